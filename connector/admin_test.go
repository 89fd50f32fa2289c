package connector

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

func get(t *testing.T, url string) (code int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func TestAdminServesWhatIsSeenFromOutside(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.produce("orders", 0, 0, 10, 0)
	c := e.config("queue")
	c.Admin.Pprof = true
	r := e.start(c)
	e.waitCommitted("orders", 0, 10)
	base := "http://" + r.b.AdminAddr()
	if code, body := get(t, base+"/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("/healthz = %d %q, want 200 ok", code, body)
	}
	if code, body := get(t, base+"/readyz"); code != 200 || !strings.Contains(body, `"ready": true`) {
		t.Errorf("/readyz = %d %s, want 200 and ready", code, body)
	}
	if code, _ := get(t, base+"/debug/pprof/cmdline"); code != 200 {
		t.Errorf("/debug/pprof/cmdline = %d, want 200", code)
	}
	r.b.counters.polled("elsewhere", 5, 50, 3)
	r.b.counters.replaced.add("elsewhere", 2)
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes", "inlong_bridge_ready", `inlong_bridge_skipped_records_total{topic="elsewhere"}`,
		`inlong_bridge_event_time_replaced_total{topic="elsewhere"}`} {
		if _, body := get(t, base+"/metrics"); !strings.Contains(body, "\n"+name+" ") {
			t.Errorf("/metrics has no %s", name)
		}
	}
	code, body := get(t, base+"/status")
	var s Status
	if err := json.Unmarshal([]byte(body), &s); code != 200 || err != nil {
		t.Fatalf("/status = %d, %v", code, err)
	}
	if s.Confirm != "queue" || len(s.Parts) != 2 || s.Parts[0].Final != 10 || s.Queue == nil || !s.Queue.Answers || len(s.Sender.Endpoints) != 2 {
		t.Errorf("/status = %s, want queue, two partitions, a queue that answers and two endpoints", body)
	}
	code, body = get(t, base+"/metrics")
	for _, want := range []string{
		`inlong_bridge_partition_lag_records{partition="0",topic="orders"} 0`,
		`inlong_bridge_partition_committed_offset{partition="0",topic="orders"} 10`,
		`inlong_bridge_fetched_records_total{topic="orders"} 10`,
		`inlong_bridge_info{confirm="queue",version=""} 1`,
		`inlong_bridge_queue_cluster_answers`, `inlong_bridge_sender_`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("/metrics (%d) does not have %s", code, want)
		}
	}
	problems, err := testutil.GatherAndLint(r.b.deps.Registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("metric %s: %s", p.Metric, p.Text)
	}
}

// Proxies that nobody listens on, and a bridge that is not ready because of it.
func TestReadyzNamesUnreachableProxies(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	for _, p := range e.proxies {
		p.Kill()
	}
	e.produce("orders", 0, 0, 1, 0)
	r := e.start(e.config("queue"))
	r.part("orders", 0, func(p PartitionStatus) bool { return p.Unfinal > 0 })
	code, body := get(t, "http://"+r.b.AdminAddr()+"/readyz?strict=1")
	if code != 503 || !strings.Contains(body, "no proxy is reachable") {
		t.Errorf("/readyz = %d %s, want 503 and the reason", code, body)
	}
}

// Idle is ready: nothing is assigned with records, and proxies are connected all the same.
func TestIdleBridgeIsReady(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	r := e.start(e.config("queue"))
	eventually(t, 10*time.Second, func() error {
		if s := r.b.Status(); !s.Ready.Strict || len(s.Parts) != 2 {
			return fmt.Errorf("ready = %+v with %d partitions, want ready", s.Ready, len(s.Parts))
		}
		return nil
	})
}
