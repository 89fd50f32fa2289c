package observe

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
)

// shown is a snapshot for an observer.
type shown struct{ s Status }

func (s *shown) Snapshot() Status              { return s.s }
func (*shown) Stalled(map[uint64][]gate.Entry) {}

func observing(s Status) *Observer {
	return New(&shown{s}, new(reason.Board), Config{}, slog.New(slog.DiscardHandler))
}

func TestReadyzNamesTheSilentQueueCluster(t *testing.T) {
	s := Status{State: "running", Routes: []RouteStatus{{"g", "s"}}, Queue: &confirm.Status{Clusters: []confirm.ClusterStatus{
		{Name: "mq1", Answers: true}, {Name: "mq2", LastError: "connection refused"},
	}}}
	got := strings.Join(observing(s).Status().Ready.Reasons, "; ")
	if !strings.Contains(got, "mq2 does not answer") || !strings.Contains(got, "connection refused") || strings.Contains(got, "mq1") {
		t.Errorf("reasons = %q, want the cluster that does not answer, and why", got)
	}
}

// One cause, however many partitions and streams it holds back, is one short line.
func TestReadinessIsShortHoweverManyPartitionsAreHeldBack(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s := Status{State: "running", Routes: []RouteStatus{{"g", "s"}}, Sender: sdk.Status{Endpoints: []sdk.EndpointStatus{{Address: "p:1", Connections: 1}}}}
	long := strings.Repeat("t", 240)
	for i := range 10_000 {
		s.Sender.Streams = append(s.Sender.Streams, sdk.StreamStatus{Group: "g", Stream: fmt.Sprint(long, i), Stall: "errCode 115: unknown " + strings.Repeat("x", 2000)})
	}
	for i := range 5000 {
		g := new(gate.Gates).New(long, int32(i))
		g.Refer(reason.Key{Code: reason.StreamStalled, Scope: reason.Stream, Object: fmt.Sprint("g/", long, i)}, now, false)
		s.Parts = append(s.Parts, PartitionStatus{Topic: long, Partition: int32(i), Condition: g.Condition()})
	}
	r := observing(s).Status().Ready
	if n := len(strings.Join(r.Reasons, "\n")); n > 4<<10 || len(r.Reasons) != 1 {
		t.Errorf("%d lines of %d bytes, want one line below 4 KiB", len(r.Reasons), n)
	}
	for _, want := range []string{"route: 10000 streams", "holds back 5000 partitions", "errCode 115"} {
		if !strings.Contains(strings.Join(r.Reasons, "\n"), want) {
			t.Errorf("reasons = %.300q..., want %q in it", r.Reasons, want)
		}
	}
	if !r.Ready || r.Strict {
		t.Errorf("ready = %v, strict = %v; streams that stall leave the bridge ready and not strictly", r.Ready, r.Strict)
	}
}

func TestBridgeThatDrainsOrWhoseLoopHangsIsNotReady(t *testing.T) {
	for name, s := range map[string]Status{
		"starting": {State: "starting"},
		"waiting":  {State: "starting", Starting: "nothing listens at kafka:9092"},
		"joining":  {State: "running", Starting: "the bridge has not joined its group yet"},
		"hung":     {State: "running", Loops: []Loop{{Name: "commit", Since: time.Now().Add(-2 * hungAfter)}}},
		"ended":    {State: "running", Loops: []Loop{{Name: "watch", Ended: true}}},
	} {
		if r := observing(s).Status().Ready; r.Ready || r.Strict || len(r.Reasons) != 1 {
			t.Errorf("%s: %+v, want not ready for one reason", name, r)
		}
	}
	if r := observing(Status{State: "running", Loops: []Loop{{Name: "commit", Since: time.Now()}}}).Status().Ready; !r.Ready || !r.Strict {
		t.Errorf("a loop at work: %+v, want ready", r)
	}
}

// At 3 a.m. one look must tell that nothing is ill, and which key to turn.
func TestRateThatHoldsRecordsBackIsNamedOnce(t *testing.T) {
	waits, goes := new(gate.Gates).New("orders", 0), new(gate.Gates).New("orders", 0)
	waits.Refer(reason.Key{Code: reason.Budget, Scope: reason.Process}, time.Now(), false)
	proxy := func(code sdk.EndpointCode) sdk.EndpointStatus {
		return sdk.EndpointStatus{Address: "p:1", Connections: 1, Code: code}
	}
	const says = "the proxies get 32MiB/s each"
	for _, tt := range []struct {
		name    string
		gate    *gate.Gate
		proxies []sdk.EndpointStatus
		want    bool
	}{
		{"records wait, and every proxy has its rate", waits, []sdk.EndpointStatus{proxy(sdk.EndpointRateReached), proxy(sdk.EndpointRateReached)}, true},
		{"one of them has a full window", waits, []sdk.EndpointStatus{proxy(sdk.EndpointRateReached), proxy(sdk.EndpointWindowFull)}, true},
		{"one of them is away", waits, []sdk.EndpointStatus{proxy(sdk.EndpointRateReached), {Address: "p:2", Code: sdk.EndpointNotConnected}}, true},
		{"one of them could take more", waits, []sdk.EndpointStatus{proxy(sdk.EndpointRateReached), proxy(sdk.EndpointOK)}, false},
		{"it is the windows alone", waits, []sdk.EndpointStatus{proxy(sdk.EndpointWindowFull)}, false},
		{"nothing waits", goes, []sdk.EndpointStatus{proxy(sdk.EndpointRateReached)}, false},
	} {
		s := observing(Status{
			State: "running", Routes: []RouteStatus{{"g", "s"}}, RateReached: says + "; hint: add proxies",
			Parts: []PartitionStatus{{Topic: "orders", Condition: tt.gate.Condition()}}, Sender: sdk.Status{Endpoints: tt.proxies},
		}).Status()
		named, ill := 0, 0
		for i := range s.Conditions {
			switch c := &s.Conditions[i]; {
			case c.Code == reason.Rate && c.Sentence == says:
				named++
			case c.Code == reason.Endpoint && c.Object == "p:1":
				ill++
			}
		}
		if (named == 1) != tt.want || named > 1 || strings.HasPrefix(s.Memory.Hold, says) != tt.want {
			t.Errorf("%s: named %d times, memory.hold %q, want it: %v", tt.name, named, s.Memory.Hold, tt.want)
		}
		if ill > 0 {
			t.Errorf("%s: a proxy that has its rate is called ill", tt.name)
		}
	}
}
