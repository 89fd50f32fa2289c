package consume

import (
	"context"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/replay"
	"inlong-bridge/connector/reason"
)

// watchedPartition returns a bridge without clients, and its only partition.
func watchedPartition(t *testing.T, f gate.Fetcher) (*Consumer, *assign.Assignment) {
	t.Helper()
	c := consumerOf(t, 0)
	var gs gate.Gates
	if f != nil {
		gs.Attach(f)
	}
	p := assign.New(assign.Spec{Partition: part.ID{Topic: "t", Num: 0}, Topic: &assign.Topic{Name: "t"}, Router: assigntest.RouterByHeader(t, false), Limit: -1}, c, gs.New("t", 0), &c.pending)
	gs.Begin(p.Gate())
	c.Put(p)
	return c, p
}

func TestNothingGoesOnFromAReasonThatStays(t *testing.T) {
	c, p := watchedPartition(t, nil)
	stop := part.Stop(p.ID(), reason.Gap, 0, "offsets are gone")
	p.Stop(stop)
	if len(c.GoOn(assign.Ending{Assignment: p, Key: stop.Key})) > 0 || p.MustRewind() || p.Stopped() == nil {
		t.Errorf("a gap ended by itself, or what comes next is dropped: rewind = %v", p.MustRewind())
	}
	if len(c.GoOn(assign.Ending{Assignment: p, Key: assign.StreamKey("g", "s", reason.Refused)})) > 0 || p.MustRewind() {
		t.Error("went on from a reason that it does not have")
	}
	p.Detach()
	if len(c.GoOn(assign.Ending{Assignment: p, Key: stop.Key})) > 0 {
		t.Error("went on after its assignment ended")
	}
}

// The stall detection names the stream to which the oldest piece goes. The partition has not stopped for it, and does not go on from it.
func TestStreamThatTheStallDetectionNamedIsNoStopToGoOnFrom(t *testing.T) {
	c, p := watchedPartition(t, nil)
	s := &assigntest.Sender{Room: -1}
	p.Take(s, cutting(), assigntest.Records(0, 4))
	k := assign.StreamKey("g", "a", reason.Refused)
	p.Gate().Stall([]gate.Entry{{Key: k, Behind: time.Now()}})
	p.Take(s, cutting(), assigntest.Records(4, 4))
	if got := p.Expects(); got != 8 || len(s.Order) != 8 {
		t.Errorf("position = %d with %d records sent, want 8 and 8: it is behind, and has not stopped", got, len(s.Order))
	}
	c.watcher.refusalsOver()
	if p.MustRewind() || c.Counters.GoneOn.Snapshot()[string(reason.Refused)] != 0 || p.Gate().Condition().Get(k) == nil {
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
	c, p := watchedPartition(t, pausing{func() { p.Retry.Store(nil) }}) // the watch loop, as the gate closes
	for range 2 {
		c.fault(p, io.ErrUnexpectedEOF, false)
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
type roomless struct{ Sender }

func (roomless) Room() <-chan struct{} { return nil }

// 1. partitions go on, twice in a row  2. kgo misses that it is to fetch them. No gate changes any more, so nothing else would wake it.
func TestClientThatSleepsThoughNothingIsPausedIsWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := new(sleepy)
		c, p := watchedPartition(t, f)
		c.Gates.Attach(f)
		c.deps.Sender, c.Replay = roomless{}, new(replay.Reader)
		stop := reason.New(part.Key(p.ID(), reason.AtEnd), time.Now(), "the test holds it")
		p.Gate().Add(stop, true)
		f.named.Store(false) // the beginning resumed it
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			c.pendingLoop(ctx)
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
