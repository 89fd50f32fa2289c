package sdkprom_test

import (
	"flag"
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

var sample = fixed{
	BudgetBytes: 64, UsedBytes: 32, OpenPacks: 1, WaitingPacks: 2, UnfinalPacks: 3, LostPacks: 4,
	Discovery: sdk.DiscoveryStatus{Stale: true},
	Endpoints: []sdk.EndpointStatus{
		{Address: "dp1:46801", State: "paused", Connections: 1, OldestUnfinal: 1500 * time.Millisecond, PacksAcked: 7, AckErrors: map[int]uint64{114: 3, 115: 4}},
		{Address: "dp2:46801", State: "connected"},
	},
	Streams: []sdk.StreamStatus{{Group: "g", Stream: "s", Stall: "denied", Records: 11}, {Group: "g", Stream: "t"}},
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
# HELP inlong_bridge_sender_ack_errors_total Answers with an error code. 115 and 113: the stream is not known there; 114: the proxy's memory is full; 1 and 2: it takes nothing now.
# TYPE inlong_bridge_sender_ack_errors_total counter
inlong_bridge_sender_ack_errors_total{code="114",endpoint="dp1:46801"} 3
inlong_bridge_sender_ack_errors_total{code="115",endpoint="dp1:46801"} 4
`
	if err := testutil.CollectAndCompare(sdkprom.New(sample), strings.NewReader(want), "inlong_bridge_sender_ack_errors_total"); err != nil {
		t.Error(err)
	}
	if n := testutil.CollectAndCount(sdkprom.New(sample)); n != 7+2*13+2+2*12 {
		t.Errorf("%d series", n)
	}
}
