package dptest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/manager"
)

func managerClient(t *testing.T, m *dptest.Manager, secret string) *manager.Client {
	t.Helper()
	c, err := manager.New(manager.Config{
		URLs: []string{m.URL()}, SecretID: "admin",
		SecretKey: func() (string, error) { return secret, nil }, Timeout: 5 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestManagerTellsNodesToTheClient(t *testing.T) {
	m := dptest.StartManager(t, dptest.WithAuth("admin", "key"))
	m.SetNodes("127.0.0.1:46801", "127.0.0.1:46802")
	m.SetMaxPacketLength(65536)
	c := managerClient(t, m, "key")
	n, err := c.NodeList(t.Context(), "g1")
	if err != nil || len(n.Addresses) != 2 || n.MaxPacketLength != 65536 || n.ClusterID != 1 {
		t.Fatalf("NodeList = %+v, %v", n, err)
	}
	if got := m.Requests("getIpList/g1"); got != 1 {
		t.Errorf("%d requests were counted", got)
	}

	m.SetGroups("g1")
	if _, err := c.NodeList(t.Context(), "nope"); err == nil || !strings.Contains(err.Error(), "nope") {
		t.Errorf("unknown group: %v", err)
	}
	m.SetGroup("g2", "10.0.0.1:46801")
	if n, err := c.NodeList(t.Context(), "g2"); err != nil || len(n.Addresses) != 1 || n.Addresses[0] != "10.0.0.1:46801" {
		t.Errorf("NodeList of g2 = %+v, %v", n, err)
	}
	if n, err := c.NodeList(t.Context(), "g1"); err != nil || len(n.Addresses) != 2 {
		t.Errorf("NodeList of g1 = %+v, %v", n, err)
	}
	if _, err := managerClient(t, m, "wrong").NodeList(t.Context(), "g1"); err == nil {
		t.Error("a wrong secret was accepted")
	}
	for name, fault := range map[string]func(bool){"garbage": m.Garbage, "empty": m.Empty} {
		fault(true)
		if n, err := c.NodeList(t.Context(), "g1"); err == nil {
			t.Errorf("%s: got %+v", name, n)
		}
		fault(false)
	}
}

func TestManagerTellsTheQueueToTheClient(t *testing.T) {
	m := dptest.StartManager(t, dptest.WithAuth("admin", "key"))
	m.SetQueue(dptest.QueueConfig{
		Clusters: []dptest.QueueClusterConfig{{Name: "mq1", Params: map[string]string{"bootstrap.servers": "127.0.0.1:9092"}}},
		Streams:  []dptest.StreamConfig{{Group: "g1", Stream: "s1", Topic: "topic_s1", Namespace: "g1ns"}},
	})
	c := managerClient(t, m, "key")
	q, err := c.AllConfig(t.Context(), "default_dataproxy", "default_cluster", "")
	if err != nil || q.Type != "KAFKA" || len(q.Clusters) != 1 || q.Clusters[0].Params["bootstrap.servers"] != "127.0.0.1:9092" || q.Topics["g1.s1"] != "topic_s1" {
		t.Fatalf("AllConfig = %+v, %v", q, err)
	}
	if _, err := c.AllConfig(t.Context(), "other", "default_cluster", ""); err == nil {
		t.Error("an unknown cluster got an answer")
	}
}

// ask posts to the handler itself.
func ask(t *testing.T, m *dptest.Manager, path, body string) (int, string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
	w := httptest.NewRecorder()
	m.ServeHTTP(w, r)
	text, _ := io.ReadAll(w.Result().Body)
	return w.Code, string(text)
}

func TestManagerAnswersLikeTheRealOne(t *testing.T) {
	m := dptest.NewManager()
	const base = "/inlong/manager/openapi/"
	m.SetNodeList([]dptest.Node{{Address: "10.0.0.1:46801"}, {Address: "10.0.0.1:46802", Protocol: "HTTP"}})
	for _, row := range []struct{ name, path, body, want string }{
		{"nodes of one protocol", "dataproxy/getIpList/g?protocolType=tcp", "",
			`"nodeList":[{"id":1,"ip":"10.0.0.1","port":46801,"protocolType":"TCP","nodeLoad":65535}]`},
		{"all protocols mixed", "dataproxy/getIpList/g", "", `"port":46802,"protocolType":"HTTP"`},
		{"none", "dataproxy/getIpList/g?protocolType=UDP", "", `"nodeList":null`},
		{"by cluster", "dataproxy/getIpListByClusterName/default_dataproxy?protocolType=TCP", "", `"port":46801`},
		{"bad request", "dataproxy/getAllConfig", `{}`, `"errCode":-101`},
		{"config", "dataproxy/getAllConfig", `{"clusterName":"default_dataproxy","clusterTag":"default_cluster"}`, `"errCode":0`},
		{"heartbeat of a node", "heartbeat/report", `{}`, `"success":true`},
	} {
		if status, text := ask(t, m, base+row.path, row.body); status != 200 || !strings.Contains(text, row.want) {
			t.Errorf("%s: %d %s, want %s", row.name, status, text, row.want)
		}
	}

	_, text := ask(t, m, base+"dataproxy/getAllConfig", `{"clusterName":"default_dataproxy","clusterTag":"default_cluster"}`)
	var got struct{ MD5 string }
	if err := json.Unmarshal([]byte(text), &got); err != nil || got.MD5 == "" {
		t.Fatalf("%v in %s", err, text)
	}
	again := `{"clusterName":"default_dataproxy","clusterTag":"default_cluster","md5":"` + got.MD5 + `"}`
	if _, text := ask(t, m, base+"dataproxy/getAllConfig", again); !strings.Contains(text, `"errCode":1`) {
		t.Errorf("same md5: %s", text)
	}
	m.SetQueue(dptest.QueueConfig{Type: "PULSAR"})
	if _, text := ask(t, m, base+"dataproxy/getAllConfig", again); !strings.Contains(text, `"errCode":0`) {
		t.Errorf("old md5: %s", text)
	}

	m.FailNext(2, http.StatusBadGateway)
	for i, want := range []int{502, 502, 200} {
		if status, _ := ask(t, m, base+"dataproxy/getIpList/g", ""); status != want {
			t.Errorf("request %d: %d, want %d", i, status, want)
		}
	}
	for _, path := range []string{
		"/elsewhere", base + "getIpList/g", base + "dataproxy/getIpList/", base + "dataproxy/getIpList", base + "dataproxy/other/g",
		// One segment is the group. Before, these were answered for a group with a slash.
		base + "dataproxy/getIpList/a/b", base + "dataproxy/getIpList/a%2Fb", base + "dataproxy/getIpListByClusterName/a%2Fb",
		base + "dataproxy/getIpList" + base + "dataproxy/getIpList/g",
	} {
		if status, text := ask(t, m, path, ""); status != 404 {
			t.Errorf("%s: %d %s, want 404", path, status, text)
		}
	}
}

func TestManagerRefusesAnotherTenant(t *testing.T) {
	const path = "/inlong/manager/openapi/dataproxy/getIpList/g"
	for _, row := range []struct {
		tenant, asked string
		want          int
	}{
		{"", "", 200}, {"", "acme", 200}, {"acme", "acme", 200}, {"acme", "", 403}, {"acme", "public", 403}, {"public", "", 200}, {"public", "acme", 403},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, nil)
		if row.asked != "" {
			r.Header.Set("tenant", row.asked)
		}
		w := httptest.NewRecorder()
		dptest.NewManager(dptest.WithTenant(row.tenant)).ServeHTTP(w, r)
		if w.Code != row.want {
			t.Errorf("tenant %q asked as %q: %d, want %d", row.tenant, row.asked, w.Code, row.want)
		}
	}
}

func TestManagerDelayEndsWithTheRequest(t *testing.T) {
	m := dptest.StartManager(t)
	m.SetNodes("127.0.0.1:1")
	m.Delay(time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := managerClient(t, m, "").NodeList(ctx, "g"); err == nil {
		t.Error("an answer came at once")
	}
}
