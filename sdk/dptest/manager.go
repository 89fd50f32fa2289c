package dptest

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Node is one entry of the Manager's list of proxies.
type Node struct {
	Address  string // host:port
	Protocol string // TCP when empty
}

// QueueConfig is what the Manager tells proxies about the queue behind them (getAllConfig).
type QueueConfig struct {
	Type     string // KAFKA when empty
	Clusters []QueueClusterConfig
	Streams  []StreamConfig
}

// QueueClusterConfig is one cluster of the queue. Kafka's is {"bootstrap.servers": ...}.
type QueueClusterConfig struct {
	Name   string
	Params map[string]string
}

// StreamConfig is the topic of a stream as the Manager says it; the proxies make Namespace.Topic of it
// when Topic equals the stream's id.
type StreamConfig struct {
	Group, Stream    string
	Topic, Namespace string
}

// Manager is the part of InLong Manager that senders and proxies talk to. It is an http.Handler; Start
// gives it a port of its own. All methods are safe for concurrent use.
type Manager struct {
	secretID, secretKey string
	cluster, tag        string

	server   http.Server
	listener net.Listener
	served   chan struct{}

	mu       sync.Mutex
	nodes    []Node
	byGroup  map[string][]Node // nil: every group is known
	queue    QueueConfig
	maxPack  int
	delay    time.Duration
	garbage  bool
	empty    bool
	failLeft int
	failWith int
	requests map[string]int // by path
}

// ManagerOption configures a Manager.
type ManagerOption func(*Manager)

// WithAuth refuses requests without this secret with 403.
func WithAuth(secretID, secretKey string) ManagerOption {
	return func(m *Manager) { m.secretID, m.secretKey = secretID, secretKey }
}

// WithCluster names the cluster of proxies; getAllConfig answers for no other. The default is
// default_dataproxy with the tag default_cluster.
func WithCluster(name, tag string) ManagerOption {
	return func(m *Manager) { m.cluster, m.tag = name, tag }
}

// NewManager returns a Manager without nodes that knows every group.
func NewManager(opts ...ManagerOption) *Manager {
	m := &Manager{cluster: "default_dataproxy", tag: "default_cluster", requests: make(map[string]int)}
	for _, opt := range opts {
		opt(m)
	}
	return m
}

// StartManager starts a Manager on a free port of 127.0.0.1 that ends with the test.
func StartManager(t TB, opts ...ManagerOption) *Manager {
	t.Helper()
	m := NewManager(opts...)
	if err := m.Start("127.0.0.1:0"); err != nil {
		t.Fatalf("%v", err)
		return nil
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// Start listens on addr, host:port, and serves until Close.
func (m *Manager) Start(addr string) error {
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", addr)
	if err != nil {
		return fmt.Errorf("starting manager: %w", err)
	}
	m.Serve(l)
	return nil
}

// Serve answers on l, which it then owns, until Close. It returns at once.
func (m *Manager) Serve(l net.Listener) {
	served := make(chan struct{})
	m.listener, m.served = l, served
	m.server.Handler = m
	m.server.ReadHeaderTimeout = time.Minute
	go func() {
		defer close(served)
		_ = m.server.Serve(l)
	}()
}

// URL is where a started Manager answers, without a path.
func (m *Manager) URL() string { return "http://" + m.listener.Addr().String() }

// Close stops a started Manager and waits for its goroutine.
func (m *Manager) Close() error {
	if m.listener == nil {
		return nil
	}
	err := m.server.Close()
	<-m.served
	if err != nil {
		return fmt.Errorf("closing manager: %w", err)
	}
	return nil
}

// SetNodes replaces the list of TCP proxies of all groups.
func (m *Manager) SetNodes(addresses ...string) {
	nodes := make([]Node, len(addresses))
	for i, a := range addresses {
		nodes[i].Address = a
	}
	m.SetNodeList(nodes)
}

// SetNodeList is SetNodes for nodes of any protocol.
func (m *Manager) SetNodeList(nodes []Node) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.nodes = slices.Clone(nodes)
}

// SetGroup gives a group a list of its own. From then on only the groups named so, or by SetGroups, are known.
func (m *Manager) SetGroup(group string, addresses ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byGroup == nil {
		m.byGroup = make(map[string][]Node)
	}
	m.byGroup[group] = []Node{}
	for _, a := range addresses {
		m.byGroup[group] = append(m.byGroup[group], Node{Address: a})
	}
}

// SetGroups makes these the only groups that are known, with the common list of nodes.
func (m *Manager) SetGroups(groups ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.byGroup = make(map[string][]Node, len(groups))
	for _, g := range groups {
		m.byGroup[g] = nil
	}
}

// SetQueue replaces what getAllConfig tells.
func (m *Manager) SetQueue(q QueueConfig) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queue = q
}

// SetMaxPacketLength sets what the node list says about it; 0 says nothing.
func (m *Manager) SetMaxPacketLength(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.maxPack = n
}

// FailNext answers the next n requests with an HTTP status.
func (m *Manager) FailNext(n, status int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failLeft, m.failWith = n, status
}

// Delay answers every request d later.
func (m *Manager) Delay(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.delay = d
}

// Garbage answers 200 with something that is not JSON.
func (m *Manager) Garbage(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.garbage = on
}

// Empty answers success with no nodes at all.
func (m *Manager) Empty(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.empty = on
}

// Requests returns how many requests a path has had, by its end: "getIpList/g1", "getAllConfig", "report".
func (m *Manager) Requests(pathEnd string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for path, count := range m.requests {
		if strings.HasSuffix(path, "/"+pathEnd) {
			n += count
		}
	}
	return n
}

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
	case strings.HasPrefix(path, "dataproxy/getIpList/"):
		m.nodeList(w, r, strings.TrimPrefix(path, "dataproxy/getIpList/"), true)
	case strings.HasPrefix(path, "dataproxy/getIpListByClusterName/"):
		m.nodeList(w, r, strings.TrimPrefix(path, "dataproxy/getIpListByClusterName/"), false)
	default:
		http.NotFound(w, r)
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
	var maxPack any
	if m.maxPack > 0 {
		maxPack = m.maxPack
	}
	reply(w, map[string]any{"success": true, "errMsg": nil, "data": map[string]any{
		"clusterId": 1, "reportSourceType": nil, "isIntranet": nil, "isSwitch": nil,
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
