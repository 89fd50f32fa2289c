package connector

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/observe"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/replay"
	"inlong-bridge/connector/reason"
)

// fetchOf is what a poll returned of orders/0, in as many fetches as there are lists.
func fetchOf(lists ...[]*kgo.Record) (fs kgo.Fetches) {
	for _, recs := range lists {
		fs = append(fs, kgo.Fetch{Topics: []kgo.FetchTopic{{Topic: "orders", Partitions: []kgo.FetchPartition{{Partition: 0, HighWatermark: 30, Records: recs}}}}})
	}
	return fs
}

// 1. records are fetched ahead  2. their partition stops before them  3. the reason ends  4. the poll loop hands them over. Those
// between the stop and them come first.
func TestPartitionThatGoesOnTakesNothingThatWasFetchedBeforeItStopped(t *testing.T) {
	for _, tt := range []struct {
		name string
		cuts []int // of what the poll loop has in hand
	}{{"in one fetch", []int{20, 30}}, {"in two fetches of one poll", []int{20, 25, 30}}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, withPartitions(1))
			r := e.start(e.config("settle"))
			e.produce("orders", 0, 0, 10, 0)
			e.waitCommitted("orders", 0, 10)
			p := r.b.lookup(part.ID{Topic: "orders", Num: 0})
			p.Gate().Add(reason.New(part.Key(p.ID(), reason.AtEnd), time.Now(), "the test holds it"), true) // so that kgo fetches nothing yet
			stop := part.Stop(p.ID(), reason.TooLarge, 10, "a record fits into no frame")
			p.Stop(stop)
			e.produce("orders", 0, 10, 20, 0)
			var inHand [][]*kgo.Record
			for i, from := range tt.cuts[:len(tt.cuts)-1] {
				var recs []*kgo.Record
				for n := from; n < tt.cuts[i+1]; n++ {
					recs = append(recs, &kgo.Record{Topic: "orders", Offset: int64(n), Value: []byte(payload("orders", 0, n)), Timestamp: time.Unix(1_700_000_000+int64(n), 0)})
				}
				inHand = append(inHand, recs)
			}
			sp := &assign.Splitter{Pack: int(r.b.cfg.Pack.Bytes.N), Oversize: r.b.oversize(), Origin: r.b.origin}
			if err := r.b.fetched(fetchOf(inHand...), sp); err != nil || p.Expects() != 10 {
				t.Fatalf("position = %d, err = %v; a partition that has stopped takes nothing", p.Expects(), err)
			}
			if len(r.b.goOn(assign.Ending{Assignment: p, Key: stop.Key})) == 0 {
				t.Fatal("does not go on")
			}
			if err := r.b.fetched(fetchOf(inHand...), sp); err != nil || p.Expects() != 10 {
				t.Errorf("position = %d, err = %v; want 10: offsets 10 to 19 were not fetched yet", p.Expects(), err)
			}
			p.Gate().Drop(part.Key(p.ID(), reason.AtEnd))
			e.waitCommitted("orders", 0, 30)
			e.expectAll(30, 0)
			if n := r.b.counters.goneOn.Snapshot()[string(reason.TooLarge)]; n != 1 || p.MustRewind() {
				t.Errorf("gone on %d times, rewind = %v", n, p.MustRewind())
			}
		})
	}
}

// watchedPartition returns a bridge without clients, and its only partition.
func watchedPartition(t *testing.T, f gate.Fetcher) (*Bridge, *assign.Assignment) {
	t.Helper()
	b := bridgeOf(t, 0)
	b.log = slog.New(slog.DiscardHandler)
	b.observer = observe.New(observed{b}, &b.board, observe.Config{}, b.log)
	var gs gate.Gates
	if f != nil {
		gs.Attach(f)
	}
	p := assign.New(assign.Spec{Partition: part.ID{Topic: "t", Num: 0}, Topic: &assign.Topic{Name: "t"}, Router: assigntest.RouterByHeader(t, false), Limit: -1}, b, gs.New("t", 0), &b.pending)
	gs.Begin(p.Gate())
	b.put(p)
	return b, p
}

func TestNothingGoesOnFromAReasonThatStays(t *testing.T) {
	b, p := watchedPartition(t, nil)
	stop := part.Stop(p.ID(), reason.Gap, 0, "offsets are gone")
	p.Stop(stop)
	if len(b.goOn(assign.Ending{Assignment: p, Key: stop.Key})) > 0 || p.MustRewind() || p.Stopped() == nil {
		t.Errorf("a gap ended by itself, or what comes next is dropped: rewind = %v", p.MustRewind())
	}
	if len(b.goOn(assign.Ending{Assignment: p, Key: assign.StreamKey("g", "s", reason.Refused)})) > 0 || p.MustRewind() {
		t.Error("went on from a reason that it does not have")
	}
	p.Detach()
	if len(b.goOn(assign.Ending{Assignment: p, Key: stop.Key})) > 0 {
		t.Error("went on after its assignment ended")
	}
}

// The stall detection names the stream to which the oldest piece goes. The partition has not stopped for it, and does not go on from it.
func TestStreamThatTheStallDetectionNamedIsNoStopToGoOnFrom(t *testing.T) {
	b, p := watchedPartition(t, nil)
	s := &assigntest.Sender{Room: -1}
	p.Take(s, cutting(), assigntest.Records(0, 4))
	k := assign.StreamKey("g", "a", reason.Refused)
	p.Gate().Stall([]gate.Entry{{Key: k, Behind: time.Now()}})
	p.Take(s, cutting(), assigntest.Records(4, 4))
	if got := p.Expects(); got != 8 || len(s.Order) != 8 {
		t.Errorf("position = %d with %d records sent, want 8 and 8: it is behind, and has not stopped", got, len(s.Order))
	}
	b.refusalsOver()
	if p.MustRewind() || b.counters.goneOn.Snapshot()[string(reason.Refused)] != 0 || p.Gate().Condition().Get(k) == nil {
		t.Error("went on from what the stall detection named")
	}
}

// pausing calls back when a partition is paused.
type pausing struct{ paused func() }

func (f pausing) PauseFetchPartitions(map[string][]int32) map[string][]int32 {
	f.paused()
	return nil
}
func (pausing) ResumeFetchPartitions(map[string][]int32) {}

// 1. a fault was tried, and nothing was heard of it for a while  2. it comes again  3. at the same time the watch loop takes it for over.
// Whoever is last, a partition that is paused for a fault is tried again.
func TestFaultThatComesAgainWhileItIsTakenForOverIsTriedAgain(t *testing.T) {
	var p *assign.Assignment
	b, p := watchedPartition(t, pausing{func() { p.Retry.Store(nil) }}) // the watch loop, as the gate closes
	for range 2 {
		b.fault(p, io.ErrUnexpectedEOF, false)
		if e := p.Gate().Condition().Find(reason.Fault); e == nil || !e.Closes || p.Retry.Load() == nil {
			t.Fatalf("fault = %+v, to be tried: %v; it is paused for ever", e, p.Retry.Load())
		}
		p.Gate().Try(part.Key(p.ID(), reason.Fault))
	}
}

// sleepy is a client that has missed the order to fetch in its new session, as kgo may: it sleeps until something is resumed.
type sleepy struct {
	asleep atomic.Bool
	named  atomic.Bool // a partition was resumed
}

func (*sleepy) PauseFetchPartitions(map[string][]int32) map[string][]int32 { return nil }

func (s *sleepy) ResumeFetchPartitions(m map[string][]int32) {
	s.asleep.Store(false)
	if len(m) > 0 {
		s.named.Store(true)
	}
}

// roomless is a sender that never says that there is room again.
type roomless struct{ outlet }

func (roomless) Room() <-chan struct{} { return nil }

// 1. partitions go on, twice in a row  2. kgo misses that it is to fetch them. No gate changes any more, so nothing else would wake it.
func TestClientThatSleepsThoughNothingIsPausedIsWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := new(sleepy)
		b, p := watchedPartition(t, f)
		b.gates.Attach(f)
		b.sender, b.reread = roomless{}, new(replay.Reader)
		stop := reason.New(part.Key(p.ID(), reason.AtEnd), time.Now(), "the test holds it")
		p.Gate().Add(stop, true)
		f.named.Store(false) // the beginning resumed it
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			b.pendingLoop(ctx)
		}()
		for range 3 {
			f.asleep.Store(true)
			time.Sleep(wakeEvery + time.Millisecond) // not at the instant of the tick
			if synctest.Wait(); f.asleep.Load() {
				t.Errorf("the client still sleeps after %v", wakeEvery)
			}
		}
		if f.named.Load() || !p.Gate().Condition().Closed() {
			t.Error("a partition was resumed that has a reason not to be fetched")
		}
		cancel()
		<-ended
	})
}
