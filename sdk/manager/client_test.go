package manager_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"inlong-bridge/sdk/dptest/leaktest"
	"inlong-bridge/sdk/manager"
)

const secret = "topsecretkey"

// TestMain fails the package when a request leaves a goroutine behind.
func TestMain(m *testing.M) { leaktest.Main(m) }

func reply(t testing.TB, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../testdata/manager", file))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func serve(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	return srv.URL
}

func answer(status int, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}
}

func client(t testing.TB, urls ...string) *manager.Client {
	t.Helper()
	return clientOf(t, manager.Config{URLs: urls, SecretID: "admin", SecretKey: func() (string, error) { return secret, nil }, Timeout: time.Minute})
}

func clientOf(t testing.TB, cfg manager.Config) *manager.Client {
	t.Helper()
	c, err := manager.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// mustBe checks what every error must hold, and that it tells no secret.
func mustBe(t *testing.T, err error, status int, says ...string) {
	t.Helper()
	var e *manager.Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %T (%v), want *manager.Error", err, err)
	}
	if e.Status != status || e.URL == "" || e.Op == "" || e.Err == nil {
		t.Errorf("error = %#v, want status %d, and URL, Op and Err", e, status)
	}
	for _, want := range says {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), secret) || strings.Contains(fmt.Sprintf("%#v", e), secret) {
		t.Errorf("error %q tells the secret", err)
	}
}

func TestNodeListAsksAsInLongsOwnClientsDo(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got, want := r.Method+" "+r.URL.EscapedPath(), "POST /inlong/manager/openapi/dataproxy/getIpList/g%2F1"; got != want {
			t.Errorf("request = %q, want %q", got, want)
		}
		if got := r.FormValue("protocolType"); got != "TCP" {
			t.Errorf("protocolType = %q, want TCP", got)
		}
		if id, key, ok := r.BasicAuth(); !ok || id != "admin" || key != secret {
			t.Errorf("credentials = %q, %q, %v", id, key, ok)
		}
		_, _ = w.Write(reply(t, "nodes-ok.json"))
	})
	got, err := client(t, url+"/").NodeList(t.Context(), "g/1")
	want := manager.Nodes{ClusterID: 1, Load: 20, MaxPacketLength: 524288,
		Addresses: []string{"10.0.0.1:46801", "10.0.0.1:46802", "10.0.0.2:46801"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("NodeList = %+v, %v, want %+v", got, err, want)
	}
}

func TestNodeListLeavesOutWhatCannotBeDialled(t *testing.T) {
	url := serve(t, answer(200, reply(t, "nodes-odd.json")))
	got, err := client(t, url).NodeList(t.Context(), "g1")
	want := manager.Nodes{ClusterID: 12, Addresses: []string{
		"10.0.0.1:46801", "10.0.0.2:46801", "[fd00::1]:46801", "[fd00::2]:46801", "dp-1.example.org:46801"}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("NodeList = %+v, %v, want %+v", got, err, want)
	}
}

func TestNodeListTellsWhyThereAreNoNodes(t *testing.T) {
	huge := append([]byte(`{"success":true,"x":"`), make([]byte, 5<<20)...)
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		status  int
		is      error
		says    []string
	}{
		"empty":         {answer(200, reply(t, "nodes-empty.json")), 200, manager.ErrNoNodes, []string{`"g1"`, "register"}},
		"useless":       {answer(200, reply(t, "nodes-useless.json")), 200, manager.ErrNoNodes, []string{"2 entries", "usable"}},
		"unknown group": {answer(200, reply(t, "nodes-unknown-group.json")), 200, manager.ErrRefused, []string{"group not found", "must exist"}},
		"not a list":    {answer(200, reply(t, "nodes-not-a-list.json")), 200, manager.ErrMalformed, []string{"nodeList", "check the URL"}},
		"cut off":       {answer(200, reply(t, "malformed.json")), 200, manager.ErrMalformed, []string{"check the URL"}},
		"a page":        {answer(200, reply(t, "page.html")), 200, manager.ErrMalformed, []string{"check the URL"}},
		"other JSON":    {answer(200, []byte(`{"status":"UP"}`)), 200, manager.ErrMalformed, []string{"success"}},
		"nothing":       {answer(200, nil), 200, manager.ErrMalformed, nil},
		"huge":          {answer(200, huge), 200, manager.ErrMalformed, []string{"more than 4194304 bytes"}},
		"wrong key":     {answer(401, []byte(secret)), 401, nil, []string{"401 Unauthorized", "does not accept the credentials"}},
		"no rights":     {answer(403, []byte(secret)), 403, nil, []string{"403 Forbidden", "does not accept the credentials", "rights", "tenant", "public"}},
		"not found":     {answer(404, nil), 404, nil, []string{"404", "base URL"}},
		"in trouble":    {answer(503, nil), 503, nil, []string{"503", "log"}},
		"redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/login", http.StatusFound) },
			302, nil, []string{"302", "redirects"}},
		"refusal without words": {answer(200, []byte(`{"success":false}`)), 200, manager.ErrRefused, []string{"without a reason"}},
		"refusal of many words": {answer(200, fmt.Appendf(nil, `{"success":false,"errMsg":%q}`, strings.Repeat("no ", 1000))), 200, manager.ErrRefused, []string{"..."}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := client(t, serve(t, tc.handler)).NodeList(t.Context(), "g1")
			if !reflect.DeepEqual(got, manager.Nodes{}) {
				t.Errorf("nodes beside an error: %+v", got)
			}
			mustBe(t, err, tc.status, tc.says...)
			if tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("error = %v, want %v", err, tc.is)
			}
			if !strings.Contains(err.Error(), "; hint: ") || len(err.Error()) > 700 {
				t.Errorf("error of %d bytes, want a hint and at most 700: %v", len(err.Error()), err)
			}
		})
	}
}

func TestManagerWithoutCredentialsIsToldThatItNeedsThem(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "" {
			t.Errorf("Authorization = %q, want none", got)
		}
		w.WriteHeader(http.StatusForbidden)
	})
	_, err := clientOf(t, manager.Config{URLs: []string{url}, Timeout: time.Minute}).NodeList(t.Context(), "g1")
	mustBe(t, err, 403, "requires credentials", "tenant")
}

// The Manager takes public where no tenant is named, and refuses a user without a role there with the status it has
// for wrong credentials.
func TestTenantIsAHeader(t *testing.T) {
	for _, tenant := range []string{"", "acme"} {
		status := 200
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if got := strings.Join(r.Header.Values("tenant"), ","); got != tenant {
				t.Errorf("header tenant = %q, want %q", got, tenant)
			}
			w.WriteHeader(status)
			_, _ = w.Write(reply(t, "nodes-ok.json"))
		})
		c := clientOf(t, manager.Config{URLs: []string{url}, Tenant: tenant, Timeout: time.Minute})
		if _, err := c.NodeList(t.Context(), "g1"); err != nil {
			t.Errorf("tenant %q: %v", tenant, err)
		}
		status = 403
		_, err := c.NodeList(t.Context(), "g1")
		mustBe(t, err, 403, map[string]string{"": "none is configured, so the Manager assumes public", "acme": `"acme" is configured`}[tenant])
	}
}

func TestURLsOfInLongsSDKsAreCutToTheirBase(t *testing.T) {
	const path = "/inlong/manager/openapi/dataproxy/getIpList"
	for _, row := range []struct{ raw, base, rest string }{
		{"http://m:8083", "http://m:8083", ""},
		{"http://m:8083/", "http://m:8083/", ""},
		{"http://m:8083" + path, "http://m:8083", path},
		{"http://m:8083" + path + "/g1?protocolType=TCP", "http://m:8083", path + "/g1?protocolType=TCP"},
		{"http://m:8083/inlong/manager", "http://m:8083", "/inlong/manager"},
		{"http://m:8083/inlong/manager?x=1", "http://m:8083", "/inlong/manager?x=1"},
		{"https://gate/eu" + path, "https://gate/eu", path},
		{"https://gate/inlong/manager-eu", "https://gate/inlong/manager-eu", ""},
		{"", "", ""},
	} {
		if base, rest := manager.CutURL(row.raw); base != row.base || rest != row.rest {
			t.Errorf("CutURL(%q) = %q, %q, want %q, %q", row.raw, base, rest, row.base, row.rest)
		}
	}
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != path+"/g1" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		_, _ = w.Write(reply(t, "nodes-ok.json"))
	})
	if _, err := client(t, url+path+"/other?protocolType=TCP").NodeList(t.Context(), "g1"); err != nil {
		t.Error(err)
	}
}

func TestGroupWithASlashIsNamedWhereTheManagersPathEndsAtIt(t *testing.T) {
	for status, group := range map[int]string{404: "a/b", 400: "/"} {
		_, err := client(t, serve(t, answer(status, nil))).NodeList(t.Context(), group)
		mustBe(t, err, status, "slash")
	}
	_, err := client(t, serve(t, answer(404, nil))).NodeList(t.Context(), "g1")
	mustBe(t, err, 404, "base URL")
}

func TestHangingManagerEndsAtTheTimeout(t *testing.T) {
	hang := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // or the server does not notice that the client left
		<-r.Context().Done()
	}
	halfway := func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"success":`))
		_ = http.NewResponseController(w).Flush()
		hang(w, r)
	}
	for name, handler := range map[string]http.HandlerFunc{"before the answer": hang, "inside the answer": halfway} {
		t.Run(name, func(t *testing.T) {
			url := serve(t, handler)
			c := clientOf(t, manager.Config{URLs: []string{url}, Timeout: 50 * time.Millisecond})
			_, err := c.NodeList(t.Context(), "g1")
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error = %v, want %v", err, context.DeadlineExceeded)
			}
			var e *manager.Error
			if !errors.As(err, &e) || !strings.Contains(e.Hint, "within 50ms") {
				t.Errorf("error = %v, want a hint that names the time-out", err)
			}

			stop := errors.New("the bridge stops")
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(stop)
			if _, err := client(t, url, url).NodeList(ctx, "g1"); !errors.Is(err, stop) {
				t.Errorf("error = %v, want the caller's cause %v", err, stop)
			}
		})
	}
}

func TestNextManagerIsAskedAndTheGoodOneRemembered(t *testing.T) {
	var badCalls, goodCalls atomic.Int32
	bad := serve(t, func(w http.ResponseWriter, _ *http.Request) { badCalls.Add(1); w.WriteHeader(500) })
	good := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		goodCalls.Add(1)
		_, _ = w.Write(reply(t, "nodes-ok.json"))
	})
	c := client(t, closedPort(t), bad, good)
	for i := range int32(3) {
		if _, err := c.NodeList(t.Context(), "g1"); err != nil {
			t.Fatal(err)
		}
		if badCalls.Load() != 1 || goodCalls.Load() != i+1 {
			t.Errorf("round %d: bad Manager asked %d times, good one %d", i, badCalls.Load(), goodCalls.Load())
		}
	}
}

func TestAllManagersInVainTellsEachReason(t *testing.T) {
	bad := serve(t, answer(500, nil))
	page := serve(t, answer(200, reply(t, "page.html")))
	_, err := client(t, closedPort(t), bad, page).NodeList(t.Context(), "g1")
	mustBe(t, err, 0, "nothing listens there", "status 500", "malformed", bad, page)
	if !errors.Is(err, manager.ErrMalformed) {
		t.Errorf("error = %v, want it to hold %v", err, manager.ErrMalformed)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q has more than one line", err)
	}
}

func TestRefusalIsNotPutToTheNextManager(t *testing.T) {
	refusing := serve(t, answer(200, reply(t, "nodes-unknown-group.json")))
	other := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the second Manager was asked") })
	_, err := client(t, refusing, other).NodeList(t.Context(), "g1")
	mustBe(t, err, 200, "group not found")
}

// closedPort returns a URL where nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

func TestTLSMistakesAreNamed(t *testing.T) {
	srv := httptest.NewUnstartedServer(answer(200, reply(t, "nodes-ok.json")))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	plain := serve(t, answer(200, nil))
	cfg := func(url string, tlsConfig *tls.Config) manager.Config {
		return manager.Config{URLs: []string{url}, TLS: tlsConfig, Timeout: time.Minute}
	}
	for name, tc := range map[string]struct {
		cfg    manager.Config
		status int
		says   string
	}{
		"unknown authority": {cfg(srv.URL, nil), 0, "CA certificate"},
		"expired":           {cfg(srv.URL, &tls.Config{RootCAs: roots, Time: func() time.Time { return srv.Certificate().NotAfter.Add(time.Hour) }}), 0, "renew it"},
		"other name":        {cfg(strings.Replace(srv.URL, "127.0.0.1", "localhost", 1), &tls.Config{RootCAs: roots}), 0, "another name"},
		"plain port":        {cfg(strings.Replace(plain, "http:", "https:", 1), nil), 0, "use http://"},
		"TLS port":          {cfg(strings.Replace(srv.URL, "https:", "http:", 1), nil), 400, "try https://"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := clientOf(t, tc.cfg).NodeList(t.Context(), "g1")
			mustBe(t, err, tc.status, tc.says)
		})
	}
	if _, err := clientOf(t, cfg(srv.URL, &tls.Config{RootCAs: roots})).NodeList(t.Context(), "g1"); err != nil {
		t.Errorf("with the right CA: %v", err)
	}
}

func TestSecretKeyIsReadAtEachRequest(t *testing.T) {
	var key, seen string
	var keyErr error
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, seen, _ = r.BasicAuth()
		_, _ = w.Write(reply(t, "nodes-ok.json"))
	})
	c := clientOf(t, manager.Config{URLs: []string{url}, Timeout: time.Minute, SecretID: "admin",
		SecretKey: func() (string, error) { return key, keyErr }})
	for _, key = range []string{"first", "second"} {
		if _, err := c.NodeList(t.Context(), "g1"); err != nil || seen != key {
			t.Errorf("the Manager saw %q, %v, want %q", seen, err, key)
		}
	}
	for _, key = range []string{"", secret + ":x", secret + "\n"} {
		_, err := c.NodeList(t.Context(), "g1")
		mustBe(t, err, 0, "secret key")
	}
	key, keyErr = "", os.ErrPermission
	_, err := c.NodeList(t.Context(), "g1")
	mustBe(t, err, 0, "reading the secret key")
	if !errors.Is(err, os.ErrPermission) {
		t.Errorf("error = %v, want %v", err, os.ErrPermission)
	}
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	key := func() (string, error) { return secret, nil }
	for name, tc := range map[string]struct {
		cfg  manager.Config
		says string
	}{
		"no URL":          {manager.Config{Timeout: 1}, "no URL"},
		"no scheme":       {manager.Config{URLs: []string{"manager:8083"}, Timeout: 1}, "http(s)://host:port"},
		"other scheme":    {manager.Config{URLs: []string{"ftp://manager"}, Timeout: 1}, "http(s)://host:port"},
		"no host":         {manager.Config{URLs: []string{"http://"}, Timeout: 1}, "http(s)://host:port"},
		"query":           {manager.Config{URLs: []string{"http://m?x=1"}, Timeout: 1}, "query"},
		"bad port":        {manager.Config{URLs: []string{"http://m:x"}, Timeout: 1}, "port"},
		"password":        {manager.Config{URLs: []string{"http://u:" + secret + "@m:8083"}, Timeout: 1}, "credentials"},
		"broken password": {manager.Config{URLs: []string{"http://u:" + secret + "%@m:x"}, Timeout: 1}, "credentials"},
		"no time-out":     {manager.Config{URLs: []string{"http://m"}}, "time-out"},
		"key alone":       {manager.Config{URLs: []string{"http://m"}, Timeout: 1, SecretKey: key}, "secret id"},
		"id alone":        {manager.Config{URLs: []string{"http://m"}, Timeout: 1, SecretID: "a"}, "secret key"},
		"tenant":          {manager.Config{URLs: []string{"http://m"}, Timeout: 1, Tenant: "a\n"}, `tenant "a\n"`},
		"colon in the id": {manager.Config{URLs: []string{"http://m"}, Timeout: 1, SecretID: "a:b", SecretKey: key}, "':'"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := manager.New(tc.cfg)
			if err == nil || c != nil || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), secret) {
				t.Errorf("New = %v, %v, want an error about %q", c, err, tc.says)
			}
		})
	}
}

func TestAllConfigFollowsTheProxiesRulesForTopics(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got, want := r.Method+" "+r.URL.Path, "POST /inlong/manager/openapi/dataproxy/getAllConfig"; got != want {
			t.Errorf("request = %q, want %q", got, want)
		}
		var question map[string]string
		if err := json.NewDecoder(r.Body).Decode(&question); err != nil {
			t.Error(err)
		}
		if want := map[string]string{"clusterName": "default_dataproxy", "clusterTag": "default_cluster"}; !reflect.DeepEqual(question, want) {
			t.Errorf("question = %v, want %v", question, want)
		}
		_, _ = w.Write(reply(t, "config-kafka.json"))
	})
	got, err := client(t, url).AllConfig(t.Context(), "default_dataproxy", "default_cluster", "")
	want := manager.QueueConfig{MD5: "m1", Type: "KAFKA",
		Clusters: []manager.QueueCluster{
			{Name: "mq1", Type: "KAFKA", Params: map[string]string{
				"messageQueueHandler": "org.apache.inlong.dataproxy.sink.mq.kafka.KafkaHandler",
				"bootstrap.servers":   "10.0.0.11:9092,10.0.0.12:9092", "sasl.jaas.config": "very-secret", "acks": "1"}},
			{Name: "mq2", Type: "KAFKA", Params: map[string]string{}}},
		Topics: map[string]string{"g1.s1": "topic_s1", "g1.s2": "g1ns.s2", "g1.s3": "g1ns.s3", "g2.s1": "t2", "g3": "whole_group", "g.four.s": "s"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("AllConfig = %#v, %v, want %#v", got, err, want)
	}
	for _, tc := range []struct {
		group, stream, topic string
		ok                   bool
	}{
		{"g1", "s1", "topic_s1", true}, {"g3", "any", "whole_group", true}, {"g3", "", "whole_group", true},
		{"g.four", "s", "s", true}, {"g1", "other", "", false},
	} {
		if topic, ok := got.Topic(tc.group, tc.stream); topic != tc.topic || ok != tc.ok {
			t.Errorf("Topic(%q, %q) = %q, %v, want %q, %v", tc.group, tc.stream, topic, ok, tc.topic, tc.ok)
		}
	}
	if text := fmt.Sprintf("%v %+v %s", got, got.Clusters[0], got.Clusters[0].LogValue()); strings.Contains(text, "very-secret") {
		t.Errorf("printing it tells secrets: %s", text)
	}
}

// TestTenantOfAStreamWinsOverItsClusters: the proxies go by the params of the stream. Before, only its namespace was
// heeded, and the packs of such a stream were looked for in another tenant.
func TestTenantOfAStreamWinsOverItsClusters(t *testing.T) {
	for _, row := range []struct{ kind, params, want string }{
		{"PULSAR", `{"namespace":"ns"}`, "ns/t"},
		{"PULSAR", `{"namespace":"ns","tenant":"acme"}`, "acme/ns/t"},
		{"PULSAR", `{"namespace":"ns","tenant":" "}`, "ns/t"},
		{"PULSAR", `{"namespace":"ns","tenant":null}`, "ns/t"},
		{"PULSAR", `{"tenant":"acme"}`, "acme//t"},
		{"PULSAR", `{}`, "t"},
		{"KAFKA", `{"namespace":"ns","tenant":"acme"}`, "t"},
	} {
		body := fmt.Sprintf(`{"result":true,"errCode":0,"md5":"m","data":{
			"proxyCluster":{"inlongIds":[{"inlongId":"g.s","topic":"any/t","params":%s}]},
			"cacheClusterSet":{"type":"%s","cacheClusters":[{"name":"c","params":{}}]}}}`, row.params, row.kind)
		got, err := client(t, serve(t, answer(200, []byte(body)))).AllConfig(t.Context(), "c", "t", "")
		if topic, ok := got.Topic("g", "s"); err != nil || !ok || topic != row.want {
			t.Errorf("%s %s: topic %q, %v, want %q", row.kind, row.params, topic, err, row.want)
		}
	}
}

func TestWrapTypesThatMatterAreKept(t *testing.T) {
	body := `{"result":true,"errCode":0,"md5":"m","data":{"proxyCluster":{"inlongIds":[
			{"inlongId":"g.none","topic":"t","params":{}},
			{"inlongId":"g.v0","topic":"t","params":{"wrapType":"INLONG_MSG_V0"}},
			{"inlongId":"g.null","topic":"t","params":{"wrapType":null}},
			{"inlongId":"g.raw","topic":"t","params":{"wrapType":"RAW"}},
			{"inlongId":"whole","topic":"t","params":{"wrapType":"INLONG_MSG_V1"}},
			{"inlongId":"whole.own","topic":"t","params":{}}]},
		"cacheClusterSet":{"type":"KAFKA","cacheClusters":[{"name":"c","params":{}}]}}}`
	got, err := client(t, serve(t, answer(200, []byte(body)))).AllConfig(t.Context(), "c", "t", "")
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[[2]string]string{
		{"g", "none"}: "INLONG_MSG_V0", {"g", "v0"}: "INLONG_MSG_V0", {"g", "null"}: "INLONG_MSG_V0", {"g", "raw"}: "RAW",
		{"whole", "any"}: "INLONG_MSG_V1", {"whole", "own"}: "INLONG_MSG_V0", {"g", "unknown"}: "INLONG_MSG_V0",
	} {
		if wrap := got.Wrap(id[0], id[1]); wrap != want {
			t.Errorf("Wrap(%q, %q) = %q, want %q", id[0], id[1], wrap, want)
		}
	}
}

func TestAllConfigOfOtherQueues(t *testing.T) {
	for file, want := range map[string]struct {
		kind   string
		topics map[string]string
	}{
		"config-pulsar.json": {"PULSAR", map[string]string{"g1.s1": "g1ns/s1", "g1.s2": "g1ns/s2"}},
		"config-tube.json":   {"TUBEMQ", map[string]string{"g1.s1": "tube_topic"}},
	} {
		got, err := client(t, serve(t, answer(200, reply(t, file)))).AllConfig(t.Context(), "c", "t", "")
		if err != nil || got.Type != want.kind || len(got.Clusters) != 1 || !reflect.DeepEqual(got.Topics, want.topics) {
			t.Errorf("%s: %+v, %v, want %+v", file, got, err, want)
		}
	}
}

func TestAllConfigUnchangedKeepsTheMD5(t *testing.T) {
	for _, body := range [][]byte{reply(t, "config-unchanged.json"), []byte(`{"result":true,"errCode":1}`)} {
		url := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if b, err := io.ReadAll(r.Body); err != nil || !strings.Contains(string(b), `"md5":"m1"`) {
				t.Errorf("question = %s, %v, want it to hold the md5", b, err)
			}
			_, _ = w.Write(body)
		})
		got, err := client(t, url).AllConfig(t.Context(), "c", "t", "m1")
		if err != nil || got.MD5 != "m1" || got.Clusters != nil || got.Topics != nil {
			t.Errorf("AllConfig = %+v, %v, want the md5 m1 alone", got, err)
		}
	}
}

func TestAllConfigTellsWhatIsWrong(t *testing.T) {
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		status  int
		is      error
		says    string
	}{
		"refused":   {answer(200, reply(t, "config-error.json")), 200, manager.ErrRefused, "clusterName is blank"},
		"no queue":  {answer(200, reply(t, "config-no-queue.json")), 200, manager.ErrNoQueue, "add the tag"},
		"cut off":   {answer(200, reply(t, "malformed.json")), 200, manager.ErrMalformed, "malformed"},
		"no data":   {answer(200, []byte(`{"result":true,"errCode":0}`)), 200, manager.ErrMalformed, "no data"},
		"no result": {answer(200, []byte(`{"success":true}`)), 200, manager.ErrMalformed, "success"},
		"odd code":  {answer(200, []byte(`{"result":true,"errCode":7}`)), 200, manager.ErrRefused, "code 7"},
		"code text": {answer(200, []byte(`{"result":true,"errCode":"x"}`)), 200, manager.ErrMalformed, "errCode"},
		"forbidden": {answer(403, nil), 403, nil, "credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := client(t, serve(t, tc.handler)).AllConfig(t.Context(), "c", "t", "")
			if !reflect.DeepEqual(got, manager.QueueConfig{}) {
				t.Errorf("configuration beside an error: %+v", got)
			}
			mustBe(t, err, tc.status, tc.says)
			if tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("error = %v, want %v", err, tc.is)
			}
		})
	}
}
