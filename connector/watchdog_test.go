package connector

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/sdk"
	"inlong-bridge/sdk/finality"
)

// kennel drives a watchdog over one partition with a clock of its own.
type kennel struct {
	t   *testing.T
	w   watchdog
	p   *partition
	s   *fakeSender
	now time.Time
	lag int64
	why string
}

func newKennel(t *testing.T) *kennel {
	return &kennel{
		t: t, w: watchdog{after: time.Minute}, p: testPartition(t, new(fakeEvents)), s: &fakeSender{room: -1},
		now: time.Unix(1_700_000_000, 0), why: stuckQueue,
	}
}

// pass lets time go by in looks of ten seconds and returns what was found at the last, and what was logged.
func (k *kennel) pass(d time.Duration) (last []verdict, logged int) {
	for end := k.now.Add(d); k.now.Before(end); {
		k.now = k.now.Add(10 * time.Second)
		last = k.w.look(k.now, []*partition{k.p}, func(*partition) int64 { return k.lag }, func(*partition) (string, string) { return k.why, "" })
		for _, v := range last {
			if v.bark || v.lasted > 0 {
				logged++
			}
		}
	}
	return last, logged
}

func TestWatchdogComparesWithTheLagNeverWithTraffic(t *testing.T) {
	k := newKennel(t)
	if last, logged := k.pass(24 * time.Hour); len(last)+logged != 0 {
		t.Fatalf("an idle partition at its end was found stuck: %+v", last)
	}
	k.lag = 5 // the lag begins now, however long nothing moved before
	if last, _ := k.pass(50 * time.Second); len(last) != 0 {
		t.Errorf("found stuck %+v before the time has passed", last)
	}
	if last, logged := k.pass(30 * time.Second); len(last) != 1 || last[0].lag != 5 || logged != 1 {
		t.Errorf("found %+v and logged %d times, want one partition with lag 5, logged once", last, logged)
	}
}

func TestWatchdogIsQuietWhileTheWatermarkMoves(t *testing.T) {
	k := newKennel(t)
	k.lag = 1000
	for i := range 30 {
		k.p.take(k.s, split(), recs(i, 1))
		k.s.settle(sdk.Final)
		if last, _ := k.pass(50 * time.Second); len(last) != 0 {
			t.Fatalf("a partition that moves every 50 s was found stuck: %+v", last)
		}
	}
}

func TestWatchdogLogsAStallOnceAndItsEndOnce(t *testing.T) {
	k := newKennel(t)
	k.lag = 10
	if _, logged := k.pass(9 * time.Minute); logged != 1 {
		t.Errorf("logged %d times in nine minutes, want once", logged)
	}
	k.why = stuckEndpoint
	if last, logged := k.pass(time.Minute); logged != 1 || last[0].stuck.reason != stuckEndpoint {
		t.Errorf("a new reason was logged %d times: %+v", logged, last)
	}
	if _, logged := k.pass(time.Hour); logged != 6 {
		t.Errorf("logged %d times in an hour, want every %v", logged, barkAgain)
	}
	k.p.take(k.s, split(), recs(0, 1))
	k.s.settle(sdk.Final)
	last, logged := k.pass(10 * time.Second)
	if len(last) != 1 || last[0].lasted < 70*time.Minute || last[0].stuck.reason != stuckEndpoint || logged != 1 {
		t.Errorf("its end was told as %+v, want one with how long it took", last)
	}
	if last, _ := k.pass(50 * time.Second); len(last) != 0 {
		t.Errorf("found %+v after it moved", last)
	}
}

func TestWatchdogForgetsAssignmentsThatEnded(t *testing.T) {
	k := newKennel(t)
	k.lag = 10
	k.pass(2 * time.Minute)
	k.p = testPartition(t, new(fakeEvents)) // assigned anew, at the same offset
	if last, logged := k.pass(50 * time.Second); len(last)+logged != 0 {
		t.Errorf("the new assignment was found stuck at once: %+v", last)
	}
	if len(k.w.marks) != 1 {
		t.Errorf("%d assignments are remembered, want 1", len(k.w.marks))
	}
}

func TestStoppedAndFinishedPartitionsAreNotBehind(t *testing.T) {
	p := testPartition(t, new(fakeEvents))
	if p.behind() != 0 {
		t.Errorf("behind = %d without any knowledge of the log, want 0", p.behind())
	}
	p.high.Store(100)
	p.logStart.Store(40)
	if p.behind() != 60 {
		t.Errorf("behind = %d, want 60: retention took the rest", p.behind())
	}
	p.logStart.Store(0)
	p.limit = 30
	if p.behind() != 30 {
		t.Errorf("behind = %d, want 30: a migration ends there", p.behind())
	}
	p.stop(&halt{code: haltGap})
	if p.behind() != 0 {
		t.Errorf("behind = %d, want 0: it has said why it stopped", p.behind())
	}
}

func TestReasonOfAStallIsTheOneNearestToItsRoot(t *testing.T) {
	up := sdk.EndpointStatus{Address: "a", Connections: 1}
	full := sdk.EndpointStatus{Address: "a", Connections: 1, Code: sdk.EndpointWindowFull, Reason: finality.WindowFull.String()}
	slow := sdk.EndpointStatus{Address: "a", Connections: 1, Code: sdk.EndpointSlowAcks, Reason: finality.InFlightFull.String()}
	gone := sdk.EndpointStatus{Address: "a", LastError: "connection refused"}
	memory := sdk.EndpointStatus{Address: "a", Connections: 1, Reason: "errCode 114"}
	frozen := sdk.EndpointStatus{Address: "a", Connections: 1, InFlightPacks: 150, AckedPacks: 14}
	holds := sdk.EndpointStatus{Address: "a", Connections: 1, InFlightPacks: 1, AckedPacks: 14}
	denied := sdk.StreamStatus{Group: "g", Stream: "s", Stall: "errCode 115"}
	other := sdk.StreamStatus{Group: "g", Stream: "else", Stall: "errCode 115"}
	answers, silent := &confirm.Status{Answers: true}, &confirm.Status{Clusters: []confirm.ClusterStatus{{Name: "mq", LastError: "refused"}}}
	open := PartitionStatus{Unfinal: 3}
	for _, tt := range []struct {
		name, want, detail string
		s                  Status
		in                 stuckIn
		part               PartitionStatus
	}{
		{name: "group session", want: stuckRebalance, detail: "no coordinator", part: open, s: Status{Group: GroupStatus{Error: "no coordinator"}}},
		{name: "broker's error", want: stuckBroker, detail: "leader", part: PartitionStatus{Stall: stallFault, Reason: "no leader"}},
		{name: "nothing is fetched", want: stuckBroker, detail: "returns none"},
		{name: "open transaction", want: stuckTransaction, detail: "transaction", in: stuckIn{open: true}},
		{name: "fetching is held by the budget", want: stuckBudget, s: Status{Memory: MemoryStatus{Hold: reasonBudget}}},
		{name: "fetching is held by max_unfinal", want: stuckWindow, s: Status{Memory: MemoryStatus{Hold: reasonUnfinal}}},
		{name: "no proxy", want: stuckEndpoint, detail: "connection refused", part: open,
			s: Status{Queue: silent, Memory: MemoryStatus{Hold: reasonBudget}, Sender: sdk.Status{Endpoints: []sdk.EndpointStatus{gone}, Streams: []sdk.StreamStatus{denied}}}},
		{name: "silent queue under full windows", want: stuckQueue, detail: "mq: refused", part: open,
			s: Status{Queue: silent, Memory: MemoryStatus{Hold: reasonBudget}, Sender: sdk.Status{Endpoints: []sdk.EndpointStatus{full}}}},
		{name: "its stream stalls", want: stuckRoute, detail: "115", part: open, in: stuckIn{route: &RouteStatus{"g", "s"}},
			s: Status{Queue: answers, Sender: sdk.Status{Endpoints: []sdk.EndpointStatus{up}, Streams: []sdk.StreamStatus{other, denied}}}},
		{name: "another stream stalls", want: stuckQueue, part: open, in: stuckIn{route: &RouteStatus{"g", "fine"}},
			s: Status{Queue: answers, Sender: sdk.Status{Endpoints: []sdk.EndpointStatus{up}, Streams: []sdk.StreamStatus{other}}}},
		{name: "some stream of many stalls", want: stuckRoute, part: PartitionStatus{Unfinal: 1, Stall: stallStream},
			s: Status{Sender: sdk.Status{Endpoints: []sdk.EndpointStatus{up}, Streams: []sdk.StreamStatus{other}}}},
		{name: "lost pieces cannot be read again", want: stuckBroker, detail: "not read again", part: open, in: stuckIn{repair: true},
			s: Status{Queue: answers, Sender: sdk.Status{Endpoints: []sdk.EndpointStatus{full}}}},
		{name: "windows full", want: stuckWindow, part: open,
			s: Status{Queue: answers, Memory: MemoryStatus{Hold: reasonBudget}, Sender: sdk.Status{Endpoints: []sdk.EndpointStatus{full, gone}}}},
		{name: "slow proxy", want: stuckEndpoint, detail: "slow acks", part: open, s: Status{Sender: sdk.Status{Endpoints: []sdk.EndpointStatus{full, slow}}}},
		{name: "every proxy refuses, and the stream says so too", want: stuckEndpoint, detail: "114", part: open, in: stuckIn{route: &RouteStatus{"g", "s"}},
			s: Status{Queue: answers, Sender: sdk.Status{Endpoints: []sdk.EndpointStatus{memory, memory}, Streams: []sdk.StreamStatus{denied}}}},
		{name: "one proxy of two refuses, the stream is refused", want: stuckRoute, detail: "115", part: open, in: stuckIn{route: &RouteStatus{"g", "s"}},
			s: Status{Queue: answers, Sender: sdk.Status{Endpoints: []sdk.EndpointStatus{memory, up}, Streams: []sdk.StreamStatus{denied}}}},
		// Two proxies were frozen, and the reason pointed at their queue.
		{name: "proxies that do not answer", want: stuckEndpoint, detail: "300 packs are in flight", part: open,
			s: Status{Queue: answers, Memory: MemoryStatus{Hold: reasonBudget}, Sender: sdk.Status{Endpoints: []sdk.EndpointStatus{frozen, frozen}}}},
		{name: "proxies that answer and do not deliver", want: stuckQueue, detail: "not seen", part: open,
			s: Status{Queue: answers, Sender: sdk.Status{Endpoints: []sdk.EndpointStatus{holds, holds}}}},
		{name: "budget", want: stuckBudget, part: PartitionStatus{Unfinal: 1, Stall: stallBudget}, s: Status{Sender: sdk.Status{Endpoints: []sdk.EndpointStatus{up}}}},
		{name: "acked and not seen", want: stuckQueue, detail: "not seen", part: open, s: Status{Queue: answers, Sender: sdk.Status{Endpoints: []sdk.EndpointStatus{up}}}},
		{name: "no acks", want: stuckEndpoint, part: open, s: Status{Sender: sdk.Status{Endpoints: []sdk.EndpointStatus{up}}}},
	} {
		tt.in.part = &tt.part
		if code, detail := whyStuck(&tt.s, tt.in); code != tt.want || detail == "" || !strings.Contains(detail, tt.detail) {
			t.Errorf("%s: %s (%s), want %s with %q", tt.name, code, detail, tt.want, tt.detail)
		}
	}
}

// lines keeps what is logged.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), s)
}

// The proxies are gone: the watchdog says so in the log, on /readyz and as a metric, and says once when it is over.
func TestWatchdogTellsOfAStallAndOfItsEnd(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	for _, p := range e.proxies {
		p.Kill()
	}
	e.produce("orders", 0, 0, 10, 0)
	c := e.config("queue")
	c.Delivery.Watchdog = 300 * time.Millisecond
	log := new(lines)
	r := e.startLogging(c, slog.New(slog.NewTextHandler(log, nil)))
	p := r.part("orders", 0, func(p PartitionStatus) bool { return p.StuckCode == stuckEndpoint })
	if p.Stuck < c.Delivery.Watchdog || p.Lag != 10 {
		t.Errorf("status = %+v, want stuck for at least %v with a lag of 10", p, c.Delivery.Watchdog)
	}
	base := "http://" + r.b.AdminAddr()
	if code, body := get(t, base+"/readyz"); code != 503 || !strings.Contains(body, "partition orders/0: no progress for") {
		t.Errorf("/readyz = %d %s, want 503 and the partition", code, body)
	}
	if _, body := get(t, base+"/metrics"); !strings.Contains(body, `inlong_bridge_partition_stuck{partition="0",reason="endpoint",topic="orders"} 1`) ||
		strings.Contains(body, `inlong_bridge_partition_stuck{partition="1"`) {
		t.Errorf("/metrics does not have partition 0, and only it, as stuck")
	}
	for _, p := range e.proxies {
		if err := p.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	e.waitCommitted("orders", 0, 10)
	r.part("orders", 0, func(p PartitionStatus) bool { return p.StuckCode == "" })
	eventually(t, 10*time.Second, func() error {
		// On the way out of it the reason may be another for a moment, the queue's, and that is news too.
		if begun, ended := log.count(`make no progress" reason=endpoint`), log.count("make progress again"); begun != 1 || ended != 1 {
			return fmt.Errorf("the stall was logged %d times and its end %d times, want once each", begun, ended)
		}
		return nil
	})
}

// A client whose fetches bring nothing knows of no lag; the log's end does.
func TestWatchdogFindsAClientThatFetchesNothing(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	c := e.config("queue")
	c.Delivery.Watchdog = 400 * time.Millisecond
	r := e.start(c)
	r.part("orders", 0, func(p PartitionStatus) bool { return p.Lag == 0 })
	var over atomic.Bool
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	e.kafka.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if over.Load() {
			return nil, nil, false
		}
		e.kafka.KeepControl()
		e.kafka.SleepControl(func() {
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		})
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		return resp, nil, true
	})
	defer over.Store(true)
	e.produce("orders", 0, 0, 7, 0)
	p := r.part("orders", 0, func(p PartitionStatus) bool { return p.StuckCode != "" })
	if p.StuckCode != stuckBroker || p.Lag != 7 {
		t.Errorf("status = %+v, want stuck because of the broker, with a lag of 7", p)
	}
	over.Store(true)
	cancel()
	e.waitCommitted("orders", 0, 7)
}
