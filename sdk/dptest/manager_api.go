package dptest

import (
	"cmp"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const openAPI = "/inlong/manager/openapi/"

// ServeHTTP answers getIpList, getIpListByClusterName, getAllConfig and heartbeat/report.
func (m *Manager) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	m.requests[r.URL.Path]++
	delay, garbage := m.delay, m.garbage
	status := 0
	if m.failLeft > 0 {
		m.failLeft--
		status = m.failWith
	}
	m.mu.Unlock()

	if delay > 0 {
		timer := time.NewTimer(delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	path, ok := strings.CutPrefix(r.URL.Path, openAPI)
	switch {
	case status != 0:
		http.Error(w, http.StatusText(status), status)
	case !m.authorized(r):
		http.Error(w, `{"success":false,"errMsg":"authentication failed"}`, http.StatusForbidden)
	case m.tenant != "" && cmp.Or(r.Header.Get("tenant"), "public") != m.tenant:
		http.Error(w, `{"success":false,"errMsg":"the user has no role in the tenant"}`, http.StatusForbidden)
	case garbage:
		_, _ = io.WriteString(w, "<html><body>an error page, or half of one")
	case !ok:
		http.NotFound(w, r)
	case r.Method != http.MethodPost:
		http.Error(w, "only POST", http.StatusMethodNotAllowed)
	case path == "dataproxy/getAllConfig":
		m.allConfig(w, r)
	case path == "heartbeat/report":
		reply(w, map[string]any{"success": true, "errMsg": nil, "data": true})
	default:
		// The name is one segment of the path: the real Manager knows no route for one with a slash, however it is
		// written.
		call, ofProxies := strings.CutPrefix(path, "dataproxy/")
		call, name, _ := strings.Cut(call, "/")
		byGroup := call == "getIpList"
		if !ofProxies || name == "" || strings.Contains(name, "/") || !byGroup && call != "getIpListByClusterName" {
			http.NotFound(w, r)
			return
		}
		m.nodeList(w, r, name, byGroup)
	}
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// authorized wants exactly base64(id:key), in which neither part contains a colon.
func (m *Manager) authorized(r *http.Request) bool {
	if m.secretID == "" && m.secretKey == "" {
		return true
	}
	encoded, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Basic ")
	plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(encoded))
	return ok && err == nil && string(plain) == m.secretID+":"+m.secretKey && strings.Count(string(plain), ":") == 1
}

func (m *Manager) nodeList(w http.ResponseWriter, r *http.Request, name string, byGroup bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	nodes := m.nodes
	refusal := ""
	if byGroup && m.byGroup != nil {
		own, known := m.byGroup[name]
		if !known {
			refusal = "inlong group not found: " + name
		}
		if own != nil {
			nodes = own
		}
	}
	if !byGroup && name != m.cluster {
		refusal = "cluster not found: " + name
	}
	if refusal != "" {
		reply(w, map[string]any{"success": false, "errMsg": refusal, "data": nil})
		return
	}

	type entry struct {
		ID           int    `json:"id"`
		IP           string `json:"ip"`
		Port         int    `json:"port"`
		ProtocolType string `json:"protocolType"`
		NodeLoad     int    `json:"nodeLoad"`
	}
	var list []entry // null when there are none
	want := r.FormValue("protocolType")
	for i, n := range nodes {
		protocol := n.Protocol
		if protocol == "" {
			protocol = "TCP"
		}
		if m.empty || want != "" && !strings.EqualFold(want, protocol) {
			continue
		}
		host, portText, err := net.SplitHostPort(n.Address)
		port, _ := strconv.Atoi(portText)
		if err != nil {
			host, port = n.Address, 0 // a test may want to see what a client makes of it
		}
		list = append(list, entry{ID: i + 1, IP: host, Port: port, ProtocolType: protocol, NodeLoad: 65535})
	}
	cluster := 1
	if id, ok := m.clusters[name]; ok && byGroup {
		cluster = id
	}
	var maxPack any
	if m.maxPack > 0 {
		maxPack = m.maxPack
	}
	reply(w, map[string]any{"success": true, "errMsg": nil, "data": map[string]any{
		"clusterId": cluster, "reportSourceType": nil, "isIntranet": nil, "isSwitch": nil,
		"load": 20, "maxPacketLength": maxPack, "nodeList": list,
	}})
}

// allConfig is what a proxy asks every minute or so, and what tells a sender where the queue is.
func (m *Manager) allConfig(w http.ResponseWriter, r *http.Request) {
	var request struct {
		ClusterName, ClusterTag, MD5 string
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err == nil {
		err = json.Unmarshal(body, &request)
	}
	if err != nil || request.ClusterName == "" || request.ClusterTag == "" {
		reply(w, map[string]any{"result": false, "errCode": -101, "data": nil})
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if request.ClusterName != m.cluster || request.ClusterTag != m.tag {
		reply(w, map[string]any{"result": false, "errCode": -1, "data": nil})
		return
	}

	kind := m.queue.Type
	if kind == "" {
		kind = "KAFKA"
	}
	ids := []any{}
	for _, s := range m.queue.Streams {
		ids = append(ids, map[string]any{
			"inlongId": s.Group + "." + s.Stream, "topic": s.Topic,
			"params": map[string]string{"namespace": s.Namespace},
		})
	}
	clusters := []any{}
	for _, c := range m.queue.Clusters {
		params := map[string]string{}
		if kind == "KAFKA" {
			params["messageQueueHandler"] = "org.apache.inlong.dataproxy.sink.mq.kafka.KafkaHandler"
		}
		maps.Copy(params, c.Params)
		clusters = append(clusters, map[string]any{"name": c.Name, "token": "", "zone": "default=true", "params": params})
	}
	data := map[string]any{
		"proxyCluster": map[string]any{
			"name": m.cluster, "zone": "default=true",
			"channels": []any{}, "sources": []any{}, "sinks": []any{}, "inlongIds": ids,
		},
		"cacheClusterSet": map[string]any{"type": kind, "topics": []any{}, "cacheClusters": clusters},
	}
	text, _ := json.Marshal(data) // maps are written in order of their keys
	sum := md5.Sum(text)
	hash := hex.EncodeToString(sum[:])
	code := 0
	if request.MD5 == hash {
		code = 1 // no update
	}
	reply(w, map[string]any{"result": true, "errCode": code, "md5": hash, "data": data})
}
