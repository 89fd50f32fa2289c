package sdkprom_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/sdkprom"
)

var update = flag.Bool("update", false, "write the golden list of names")

type fixed sdk.Status

func (f fixed) Status() sdk.Status { return sdk.Status(f) }

// took is 10 records of up to 2 ms, 20 of up to 8, 30 of more than a minute.
var took = sdk.Times{Buckets: [10]uint64{0: 10, 1: 20, 9: 30}, Seconds: 2400.5}

var sample = fixed{
	BudgetBytes: 64, UsedBytes: 32, OpenPacks: 1, WaitingPacks: 2, UnfinalPacks: 3, LostPacks: 4, HeldPacks: 5, StreamBytes: 2048,
	Discovery: sdk.DiscoveryStatus{Stale: true, Groups: []sdk.GroupStatus{
		{Group: "g", Failures: 5}, {Group: "h", Failures: 6, Folded: true}, {Group: "i", Failures: 7, Folded: true},
	}},
	Endpoints: []sdk.EndpointStatus{
		{Address: "dp1:46801", State: "paused", Connections: 1, OldestUnfinal: 1500 * time.Millisecond, PacksAcked: 7, AckErrors: map[int]uint64{114: 3, 115: 4}},
		{Address: "dp2:46801", State: "connected"},
	},
	Streams: []sdk.StreamStatus{{Group: "g", Stream: "s", Stall: "denied", Records: 11, WireTime: took}, {Group: "g", Stream: "t"}},
}

func TestMetricsAreWellFormed(t *testing.T) {
	problems, err := testutil.CollectAndLint(sdkprom.New(sample))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// The names are API: dashboards and alerts are built on them.
func TestNamesAreTheGoldenOnes(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(sdkprom.New(sample))
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, f := range families {
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		lines = append(lines, strings.ToLower(f.GetType().String())+" "+f.GetName()+"{"+strings.Join(labels, ",")+"}")
		if !strings.HasPrefix(f.GetName(), "inlong_bridge_sender_") {
			t.Errorf("%s does not begin with inlong_bridge_sender_", f.GetName())
		}
	}
	slices.Sort(lines)
	got := strings.Join(lines, "\n") + "\n"
	file := filepath.Join("testdata", "names.golden")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("names changed (run with -update if that is meant):\n%s", got)
	}
}

func TestValuesAreTheStatus(t *testing.T) {
	want := `
# HELP inlong_bridge_sender_ack_errors_total Answers with an error code. 115, 113 and 121: the stream is not known there; 114: the proxy's memory is full; 1 and 2: it takes nothing now.
# TYPE inlong_bridge_sender_ack_errors_total counter
inlong_bridge_sender_ack_errors_total{code="114",endpoint="dp1:46801"} 3
inlong_bridge_sender_ack_errors_total{code="115",endpoint="dp1:46801"} 4
` + noErrors("dp1:46801", 114, 115) + noErrors("dp2:46801")
	if err := testutil.CollectAndCompare(sdkprom.New(sample), strings.NewReader(want), "inlong_bridge_sender_ack_errors_total"); err != nil {
		t.Error(err)
	}
	if n := testutil.CollectAndCount(sdkprom.New(sample)); n != 9+2*(15+len(sdk.AckCodes()))+2*(23+3)+2 {
		t.Errorf("%d series", n)
	}
}

// noErrors is the series of the error codes, but for some, that a proxy did not answer with: they are there from the
// start, so that the first answer is an increase.
func noErrors(endpoint string, but ...int) string {
	var out strings.Builder
	for _, code := range sdk.AckCodes() {
		if !slices.Contains(but, code) {
			fmt.Fprintf(&out, "inlong_bridge_sender_ack_errors_total{code=\"%d\",endpoint=\"%s\"} 0\n", code, endpoint)
		}
	}
	return out.String()
}

func TestErrorCodesOfAlertsAreKnownFromTheStart(t *testing.T) {
	codes := sdk.AckCodes()
	for _, code := range []int{1, 2, 113, 114, 115, 121} {
		if !slices.Contains(codes, code) {
			t.Errorf("code %d is not among %v", code, codes)
		}
	}
	for _, code := range []int{0, 112} { // a success, and a frame that is never taken
		if slices.Contains(codes, code) {
			t.Errorf("code %d is among %v", code, codes)
		}
	}
}

func TestTimesAreHistogramsOverRecords(t *testing.T) {
	want := `
# HELP inlong_bridge_sender_wire_seconds Time of records from the last write to the proxy's ack. Growing: the proxies or the network are slow; see window_bytes.
# TYPE inlong_bridge_sender_wire_seconds histogram
inlong_bridge_sender_wire_seconds_bucket{group="g",stream="s",le="0.002"} 10
inlong_bridge_sender_wire_seconds_bucket{group="g",stream="s",le="0.008"} 30
inlong_bridge_sender_wire_seconds_bucket{group="g",stream="s",le="0.032"} 30
inlong_bridge_sender_wire_seconds_bucket{group="g",stream="s",le="0.128"} 30
inlong_bridge_sender_wire_seconds_bucket{group="g",stream="s",le="0.512"} 30
inlong_bridge_sender_wire_seconds_bucket{group="g",stream="s",le="1.024"} 30
inlong_bridge_sender_wire_seconds_bucket{group="g",stream="s",le="4.096"} 30
inlong_bridge_sender_wire_seconds_bucket{group="g",stream="s",le="16.384"} 30
inlong_bridge_sender_wire_seconds_bucket{group="g",stream="s",le="65.536"} 30
inlong_bridge_sender_wire_seconds_bucket{group="g",stream="s",le="+Inf"} 60
inlong_bridge_sender_wire_seconds_sum{group="g",stream="s"} 2400.5
inlong_bridge_sender_wire_seconds_count{group="g",stream="s"} 60
`
	one := fixed{Streams: sample.Streams[:1]}
	if err := testutil.CollectAndCompare(sdkprom.New(one), strings.NewReader(want), "inlong_bridge_sender_wire_seconds"); err != nil {
		t.Error(err)
	}
}

// A stream that is really called other.other must not make a series twice: the whole scrape would fail.
func TestStreamsBeyondTheLimitAreOneSeries(t *testing.T) {
	many := fixed{Streams: []sdk.StreamStatus{
		{Group: "g", Stream: "a", Records: 1, HeldBytes: 1, WireTime: took},
		{Group: "g", Stream: "b", Records: 2, HeldBytes: 2, WireTime: took, Folded: true},
		{Group: "g", Stream: "c", Records: 4, HeldBytes: 4, WireTime: took, Folded: true, Stall: "denied"},
		{Group: "other", Stream: "other", Records: 8, HeldBytes: 8},
		{Group: "z", Stream: "z", Records: 16},
	}, Discovery: sample.Discovery}
	want := `
# HELP inlong_bridge_sender_held_bytes Bytes of the stream's records that no proxy acked yet. As much as is free: the stream is stopped there so that the others go on.
# TYPE inlong_bridge_sender_held_bytes gauge
inlong_bridge_sender_held_bytes{group="g",stream="a"} 1
inlong_bridge_sender_held_bytes{group="other",stream="other"} 14
inlong_bridge_sender_held_bytes{group="z",stream="z"} 0
# HELP inlong_bridge_sender_metadata_failures_total Times the Manager did not name the group's proxies. Growing: look at the Manager and the group there; what was known goes on to be used. Groups beyond the limit on series are added up as other.
# TYPE inlong_bridge_sender_metadata_failures_total counter
inlong_bridge_sender_metadata_failures_total{group="g"} 5
inlong_bridge_sender_metadata_failures_total{group="other"} 13
# HELP inlong_bridge_sender_records_total Records taken.
# TYPE inlong_bridge_sender_records_total counter
inlong_bridge_sender_records_total{group="g",stream="a"} 1
inlong_bridge_sender_records_total{group="other",stream="other"} 14
inlong_bridge_sender_records_total{group="z",stream="z"} 16
# HELP inlong_bridge_sender_stream_stalled 1 while the stream has waiting packs and makes no progress. The status tells the reason.
# TYPE inlong_bridge_sender_stream_stalled gauge
inlong_bridge_sender_stream_stalled{group="g",stream="a"} 0
inlong_bridge_sender_stream_stalled{group="other",stream="other"} 1
inlong_bridge_sender_stream_stalled{group="z",stream="z"} 0
`
	if err := testutil.CollectAndCompare(sdkprom.New(many), strings.NewReader(want), "inlong_bridge_sender_held_bytes",
		"inlong_bridge_sender_metadata_failures_total", "inlong_bridge_sender_records_total", "inlong_bridge_sender_stream_stalled"); err != nil {
		t.Error(err)
	}
}

// With connections per group a proxy is in the status once for each of them, and once in the metrics.
func TestAProxyIsOneSeriesWhateverGroupsShare(t *testing.T) {
	isolated := fixed{Endpoints: []sdk.EndpointStatus{
		{Address: "dp1:46801", Group: "g", State: "connected", PacksAcked: 1, OldestUnfinal: 2 * time.Second, AckErrors: map[int]uint64{114: 1}},
		{Address: "dp1:46801", Group: "h", State: "paused", PacksAcked: 2, OldestUnfinal: time.Second, AckErrors: map[int]uint64{114: 2, 115: 4}},
		{Address: "dp2:46801", Group: "g", State: "connected", PacksAcked: 4},
	}}
	want := `
# HELP inlong_bridge_sender_ack_errors_total Answers with an error code. 115, 113 and 121: the stream is not known there; 114: the proxy's memory is full; 1 and 2: it takes nothing now.
# TYPE inlong_bridge_sender_ack_errors_total counter
inlong_bridge_sender_ack_errors_total{code="114",endpoint="dp1:46801"} 3
inlong_bridge_sender_ack_errors_total{code="115",endpoint="dp1:46801"} 4
` + noErrors("dp1:46801", 114, 115) + noErrors("dp2:46801") + `# HELP inlong_bridge_sender_endpoint_acks_total Packs the proxy acked. Not growing while others grow: look at this proxy.
# TYPE inlong_bridge_sender_endpoint_acks_total counter
inlong_bridge_sender_endpoint_acks_total{endpoint="dp1:46801"} 3
inlong_bridge_sender_endpoint_acks_total{endpoint="dp2:46801"} 4
# HELP inlong_bridge_sender_endpoint_paused 1 while the proxy gets nothing because of its answers or its connections' ends. See its reason in the status.
# TYPE inlong_bridge_sender_endpoint_paused gauge
inlong_bridge_sender_endpoint_paused{endpoint="dp1:46801"} 1
inlong_bridge_sender_endpoint_paused{endpoint="dp2:46801"} 0
# HELP inlong_bridge_sender_oldest_unfinal_seconds Age of the oldest pack sent through the proxy that is not final. Growing: the proxy does not reach its queue.
# TYPE inlong_bridge_sender_oldest_unfinal_seconds gauge
inlong_bridge_sender_oldest_unfinal_seconds{endpoint="dp1:46801"} 2
inlong_bridge_sender_oldest_unfinal_seconds{endpoint="dp2:46801"} 0
`
	if err := testutil.CollectAndCompare(sdkprom.New(isolated), strings.NewReader(want), "inlong_bridge_sender_ack_errors_total",
		"inlong_bridge_sender_endpoint_acks_total", "inlong_bridge_sender_endpoint_paused", "inlong_bridge_sender_oldest_unfinal_seconds"); err != nil {
		t.Error(err)
	}
	if n := isolated.Endpoints[0].AckErrors[114]; n != 1 {
		t.Errorf("a scrape changed the status: %d", n)
	}
}
