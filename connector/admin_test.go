package connector

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/internal/commit"
	"inlong-bridge/connector/reason"
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
	r.b.consumer.Counters.Polled("elsewhere", 5, 50, 3)
	r.b.consumer.Counters.Replaced.Add("elsewhere", 2)
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
		`inlong_bridge_info{confirm="queue",group="bridge",version=""} 1`,
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

// A counter that appears with its first value has no increase, so no alert on one would fire.
func TestKnownLabelValuesHaveSeriesFromTheStart(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	r := e.start(e.config("queue"))
	r.part("orders", 0, func(p PartitionStatus) bool { return p.Lag == 0 })
	_, body := get(t, "http://"+r.b.AdminAddr()+"/metrics")
	want := []string{
		`inlong_bridge_fetched_records_total{topic="orders"}`, `inlong_bridge_fetched_bytes_total{topic="orders"}`,
		`inlong_bridge_skipped_records_total{topic="orders"}`, `inlong_bridge_foreign_packs_total{topic="orders"}`,
		`inlong_bridge_event_time_replaced_total{topic="orders"}`, `inlong_bridge_group_lag_records`, `inlong_bridge_group_lag_seconds`,
	}
	for _, class := range commit.Classes {
		want = append(want, `inlong_bridge_commit_errors_total{class="`+class+`"}`)
	}
	for _, k := range reason.Kinds() {
		if k.Stops {
			want = append(want, `inlong_bridge_partition_stops_total{code="`+string(k.Code)+`"}`)
		}
	}
	for _, whose := range []string{"mine", "foreign", "unreadable"} {
		want = append(want, `inlong_bridge_queue_messages_total{cluster="`+r.b.Status().Queue.Clusters[0].Name+`",whose="`+whose+`"}`)
	}
	for _, name := range want {
		if !strings.Contains(body, "\n"+name+" 0\n") {
			t.Errorf("/metrics has no %s 0", name)
		}
	}
}

// With granularity topic there is one series for all partitions of a topic, under the same name.
func TestGranularityTopicAddsPartitionsUp(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(3))
	for p := range int32(3) {
		e.produce("orders", p, 0, 10, 0)
	}
	c := e.config("queue")
	c.Metrics.Granularity = "topic"
	r := e.start(c)
	for p := range int32(3) {
		e.waitCommitted("orders", p, 10)
		r.part("orders", p, func(p PartitionStatus) bool { return p.Committed == 10 && p.Lag == 0 })
	}
	_, body := get(t, "http://"+r.b.AdminAddr()+"/metrics")
	for _, want := range []string{
		`inlong_bridge_partition_committed_offset{partition="all",topic="orders"} 30`, `inlong_bridge_partition_final_offset{partition="all",topic="orders"} 30`,
		`inlong_bridge_partition_lag_records{partition="all",topic="orders"} 0`, `inlong_bridge_partition_lag_seconds{partition="all",topic="orders"} 0`,
	} {
		if !strings.Contains(body, "\n"+want+"\n") {
			t.Errorf("/metrics has no %s", want)
		}
	}
	if strings.Contains(body, `partition="0"`) {
		t.Error("/metrics has series of single partitions")
	}
}

// Proxies hold everything up: the lag in time is that of the records' timestamps, for the partition, the route and the
// group, and retention is told as long as the records are unread.
func TestLagInTimeAndRetentionShowWhileProxiesAreDown(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	for _, p := range e.proxies {
		p.Kill()
	}
	retention := "7200000"
	if _, err := e.adm.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: &retention}}, "orders"); err != nil {
		t.Fatal(err)
	}
	hourOld := &kgo.Record{Topic: "orders", Partition: 0, Value: []byte("x"), Timestamp: time.Now().Add(-time.Hour)}
	if err := e.cl.ProduceSync(t.Context(), hourOld).FirstErr(); err != nil {
		t.Fatal(err)
	}
	r := e.start(e.config("queue"))
	r.part("orders", 0, func(p PartitionStatus) bool { return p.Unfinal > 0 })
	r.b.retention.Look(t.Context())
	s := r.b.Status()
	about := func(what string, got, want float64) {
		t.Helper()
		if got < want-60 || got > want+60 {
			t.Errorf("%s is %v s, want about %v s", what, got, want)
		}
	}
	about("lag of the partition", s.Parts[0].LagSeconds, 3600)
	about("lag of the idle partition", s.Parts[1].LagSeconds, 0)
	about("lag of the group", s.LagSeconds, 3600)
	if len(s.RouteLag) != 1 || s.RouteLag[0].Stream != "s" {
		t.Fatalf("lag of routes is %v, want one of the stream s", s.RouteLag)
	}
	about("lag of the route", s.RouteLag[0].LagSeconds, 3600)
	if s.Retention == nil || s.Retention.Partition != "orders/0" || s.Parts[0].Retention == nil || s.Parts[1].Retention != nil {
		t.Fatalf("retention is %+v, want orders/0 alone", s.Retention)
	}
	about("time left", s.Retention.SecondsLeft, 3600)
	_, body := get(t, "http://"+r.b.AdminAddr()+"/metrics")
	for _, name := range []string{
		`inlong_bridge_partition_lag_seconds{partition="0",topic="orders"} 36`, `inlong_bridge_partition_retention_seconds_left{partition="0",topic="orders"} 3`,
		`inlong_bridge_route_lag_seconds{group="g",stream="s"} 36`, `inlong_bridge_group_lag_seconds 36`,
	} {
		if !strings.Contains(body, "\n"+name) {
			t.Errorf("/metrics has no %s...", name)
		}
	}
	for _, p := range e.proxies {
		if err := p.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	r.part("orders", 0, func(p PartitionStatus) bool { return p.Lag == 0 && p.LagSeconds == 0 && p.Retention == nil })
}

// A bridge that may not describe topics goes on without the estimate by time, and says so once.
func TestRetentionWithoutTheRightToAskIsNotKnown(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.kafka.ControlKey(int16(kmsg.DescribeConfigs), func(req kmsg.Request) (kmsg.Response, error, bool) {
		e.kafka.KeepControl()
		resp := req.ResponseKind().(*kmsg.DescribeConfigsResponse)
		for _, r := range req.(*kmsg.DescribeConfigsRequest).Resources {
			rr := kmsg.NewDescribeConfigsResponseResource()
			rr.ResourceType, rr.ResourceName, rr.ErrorCode = r.ResourceType, r.ResourceName, kerr.TopicAuthorizationFailed.Code
			resp.Resources = append(resp.Resources, rr)
		}
		return resp, nil, true
	})
	for _, p := range e.proxies {
		p.Kill()
	}
	e.produce("orders", 0, 0, 1, 0)
	log := new(lines)
	r := e.startLogging(e.config("queue"), newLog(log))
	r.part("orders", 0, func(p PartitionStatus) bool { return p.Unfinal > 0 })
	for range 2 {
		r.b.retention.Look(t.Context())
	}
	if s := r.b.Status(); s.Retention != nil || s.Parts[0].Retention != nil {
		t.Errorf("retention is %+v, want nothing", s.Retention)
	}
	if n := log.count("the retention of topics is not known"); n != 1 {
		t.Errorf("the log says %d times that retention is not known, want once", n)
	}
}

// A bridge that waits for Kafka at its start is there, and says that it starts: else it would count as one that vanished.
func TestBridgeThatStartsHasMetrics(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	registry := prometheus.NewRegistry()
	b, err := New(e.config("queue"), Deps{Registry: registry})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.register(); err != nil {
		t.Fatal(err)
	}
	want := `
# HELP inlong_bridge_info Always 1. The labels say which version runs, which mode of confirmation is in force, and for which consumer group. Alerts and the dashboard take the group from here.
# TYPE inlong_bridge_info gauge
inlong_bridge_info{confirm="queue",group="bridge",version=""} 1
# HELP inlong_bridge_ready 1 when /readyz says ready. At 0 ask /readyz for the reasons.
# TYPE inlong_bridge_ready gauge
inlong_bridge_ready 0
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "inlong_bridge_info", "inlong_bridge_ready"); err != nil {
		t.Error(err)
	}
	if n, err := testutil.GatherAndCount(registry, "inlong_bridge_reason_partitions"); err != nil || n != len(reason.Kinds()) {
		t.Errorf("%d series of reasons, %v, want %d", n, err, len(reason.Kinds()))
	}
}
