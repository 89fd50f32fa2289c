package connector

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
)

// fakeSender takes what it is told to and keeps what it took by piece.
type fakeSender struct {
	room  int   // records it takes before err; -1 for all
	err   error // why not more
	pack  int   // records of a pack, 0 for all of a batch
	taken map[uint64]fakePiece
	order []string
}

type fakePiece struct {
	token    sdk.Token
	payloads []string
	repair   bool
}

func (f *fakeSender) TrySendBatch(b *sdk.Batch) (int, error) {
	n := len(b.Payloads)
	var err error
	if f.room >= 0 && f.room < n {
		n, err = f.room, f.err
	}
	if f.room >= 0 {
		f.room -= n
	}
	step := f.pack
	if step == 0 {
		step = max(n, 1)
	}
	for from := 0; from < n; from += step {
		to := min(from+step, n)
		pc := b.Packed(from, to)
		if f.taken == nil {
			f.taken = make(map[uint64]fakePiece)
		}
		fp := fakePiece{token: b.Token, repair: b.Repair}
		for _, p := range b.Payloads[from:to] {
			fp.payloads = append(fp.payloads, string(p))
			f.order = append(f.order, string(p))
		}
		f.taken[pc] = fp
	}
	return n, err
}

func (f *fakeSender) settle(o sdk.Outcome) {
	for pc, p := range f.taken {
		p.token.Settled(pc, sdk.Result{Outcome: o})
	}
}

// fakeEvents notes what a partition tells.
type fakeEvents struct {
	losses []loss
	halts  []*reason.Reason
}

func (f *fakeEvents) moved() {}
func (f *fakeEvents) lost(p *partition, pc checkpoint.Piece, o checkpoint.Origin) {
	f.losses = append(f.losses, loss{p, pc, o})
}
func (f *fakeEvents) stopped(_ *partition, h *reason.Reason) { f.halts = append(f.halts, h) }

// waitsFor is what parked records wait for: room of their stream, room in the budget, "" for nothing.
func (p *partition) waitsFor() reason.Code {
	c := p.gate.Condition()
	switch {
	case c.Has(reason.Budget):
		return reason.Budget
	case streamFull(c) != nil:
		return reason.StreamFull
	}
	return ""
}

// testGate is a gate without a client.
func testGate(id part.ID) *gate.Gate { return new(gate.Gates).New(id.Topic, id.Num) }

func each(c *byLabel, f func(label string, n uint64)) {
	for label, n := range c.snapshot() {
		f(label, n)
	}
}

func testPartition(t *testing.T, ev *fakeEvents) *partition {
	t.Helper()
	return newPartition(part.ID{Topic: "t", Num: 0}, &topic{name: "t"}, testRouter(t, false), 0, ev, testGate(part.ID{Topic: "t", Num: 0}), new(heldBack), slog.New(slog.DiscardHandler))
}

func recs(from, n int) (out []*kgo.Record) {
	for i := range n {
		out = append(out, rec(int64(from+i), []string{"a", "b"}[i%2], 0, fmt.Sprint(from+i)))
	}
	return out
}

func split() *splitter { return &splitter{pack: 256 << 10, suspect: 1 << 20, limit: -1} }

func TestRefusedRemainderIsParkedAndGoesOnWhereItStopped(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want reason.Code
	}{{sdk.ErrBufferFull, reason.Budget}, {sdk.ErrStreamFull, reason.StreamFull}} {
		ev := new(fakeEvents)
		p, s := testPartition(t, ev), &fakeSender{room: 3, err: tt.err}
		p.take(s, split(), recs(0, 10))
		p.take(s, split(), recs(10, 4))
		if chunks, bytes := p.waiting(); chunks != 2 || bytes == 0 || p.waitsFor() != tt.want {
			t.Errorf("waiting = %d chunks, %d bytes, %q; want 2 chunks and %q", chunks, bytes, p.waitsFor(), tt.want)
		}
		s.room = -1
		p.unpark(s)
		if chunks, _ := p.waiting(); chunks != 0 || p.gate.Condition().Has(reason.Budget) {
			t.Errorf("%d chunks are parked and the condition is %+v, want nothing parked with room", chunks, p.gate.Condition().Entries())
		}
		if len(s.order) != 14 {
			t.Errorf("sent %v, want each of 14 records once", s.order)
		}
		s.settle(sdk.Final)
		if at := p.wm.Checkpoint(); at != 14 {
			t.Errorf("checkpoint = %d, want 14", at)
		}
	}
}

func TestChunkThatIsHalfSentHoldsTheCheckpoint(t *testing.T) {
	p, s := testPartition(t, new(fakeEvents)), &fakeSender{room: 3, err: sdk.ErrBufferFull}
	p.take(s, split(), recs(0, 10))
	s.settle(sdk.Final)
	if at := p.wm.Checkpoint(); at != 0 {
		t.Errorf("checkpoint = %d with records that were not sent, want 0", at)
	}
}

func TestTooLargeStopsWithNothingSkipped(t *testing.T) {
	ev := new(fakeEvents)
	p, s := testPartition(t, ev), &fakeSender{room: 0, err: sdk.ErrTooLarge}
	p.take(s, split(), recs(0, 2))
	p.take(s, split(), recs(2, 2))
	if len(ev.halts) != 1 || ev.halts[0].Code != reason.TooLarge || ev.halts[0].Offset != 0 {
		t.Fatalf("halts = %+v, want one %s at 0", ev.halts, reason.TooLarge)
	}
	if len(s.order) != 0 || p.wm.Checkpoint() != 0 {
		t.Errorf("sent %v up to %d after the stop, want nothing", s.order, p.wm.Checkpoint())
	}
}

func TestRefusedForGoodStopsThePartition(t *testing.T) {
	ev := new(fakeEvents)
	p, s := testPartition(t, ev), &fakeSender{room: -1}
	p.take(s, split(), recs(0, 1))
	for pc, x := range s.taken {
		x.token.Settled(pc, sdk.Result{Outcome: sdk.Refused, Err: errors.New("no"), Endpoint: "p:1"})
	}
	p.take(s, split(), recs(1, 1))
	if len(ev.halts) != 1 || ev.halts[0].Code != reason.Refused || len(s.order) != 1 {
		t.Errorf("halts %+v, sent %v; want one %s and nothing sent after it", ev.halts, s.order, reason.Refused)
	}
	if p.unfinished() != 0 || p.wm.Unfinal() != 1 {
		t.Errorf("unfinished %d of %d; want what is refused not to be waited for", p.unfinished(), p.wm.Unfinal())
	}
}

// 1. pieces are in flight  2. the partition is revoked and comes back at once  3. the acks arrive
func TestLateResultsOfAnOldAssignmentMoveNothing(t *testing.T) {
	ev := new(fakeEvents)
	old, s := testPartition(t, ev), &fakeSender{room: -1, pack: 2}
	old.take(s, split(), recs(0, 10))
	old.detach()
	old.wm.Revoke()
	again := testPartition(t, ev)
	s2 := &fakeSender{room: 0, err: sdk.ErrBufferFull}
	again.take(s2, split(), recs(0, 10))
	s.settle(sdk.Acked)
	s.settle(sdk.Lost)
	s.settle(sdk.Final)
	if _, ok := old.wm.BeginCommit(); ok {
		t.Error("the old assignment offers an offset to commit")
	}
	if at := again.wm.Checkpoint(); at != 0 || len(ev.losses) != 0 {
		t.Errorf("checkpoint of the new assignment = %d with %d losses, want 0 and none", at, len(ev.losses))
	}
	old.take(s, split(), recs(10, 5))
	if len(s.order) != 10 {
		t.Errorf("the old assignment sent %d records, want nothing after the revoke", len(s.order))
	}
}

func TestRecordsBelowThePositionStopThePartition(t *testing.T) {
	ev := new(fakeEvents)
	p, s := testPartition(t, ev), &fakeSender{room: -1}
	p.take(s, split(), recs(0, 10))
	p.take(s, split(), recs(4, 3))
	if len(ev.halts) != 1 || ev.halts[0].Code != reason.Truncated || len(s.order) != 10 {
		t.Errorf("halts %+v, sent %d records; want one %s and 10", ev.halts, len(s.order), reason.Truncated)
	}
}

func TestEpochOfACommitIsThatOfTheRecordBefore(t *testing.T) {
	p := testPartition(t, new(fakeEvents))
	s := &fakeSender{room: -1}
	for i, epoch := range []int32{3, 3, 5, 9} {
		r := recs(i*10, 10)
		for _, x := range r {
			x.LeaderEpoch = epoch
		}
		p.take(s, split(), r)
	}
	for _, tt := range []struct {
		offset int64
		want   int32
	}{{5, 3}, {20, 3}, {21, 5}, {30, 5}, {40, 9}} {
		if got := p.epochAt(tt.offset); got != tt.want {
			t.Errorf("epoch for %d = %d, want %d", tt.offset, got, tt.want)
		}
	}
}

func TestOldestUnfinalAgeFollowsTheCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := testPartition(t, new(fakeEvents)), &fakeSender{room: -1}
		p.take(s, split(), recs(0, 2))
		first := s.taken
		s.taken = nil
		time.Sleep(3 * time.Second)
		p.take(s, split(), recs(2, 2))
		time.Sleep(time.Second)
		if age := p.oldest(time.Now()); age != 4*time.Second {
			t.Errorf("age = %v, want 4s", age)
		}
		for pc, x := range first {
			x.token.Settled(pc, sdk.Result{Outcome: sdk.Final})
		}
		if age := p.oldest(time.Now()); age != time.Second {
			t.Errorf("age = %v after the first became final, want 1s", age)
		}
		s.settle(sdk.Final)
		if age := p.oldest(time.Now()); age != 0 {
			t.Errorf("age = %v with everything final, want 0", age)
		}
	})
}

func TestBellWakesAtOnceAndGivesUpWhenTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bell
		var done atomic.Bool
		begun := time.Now()
		go func() {
			time.Sleep(30 * time.Millisecond)
			done.Store(true)
			b.ring()
		}()
		if !b.wait(done.Load) || time.Since(begun) > 50*time.Millisecond {
			t.Errorf("waited %v, want hardly more than 30ms", time.Since(begun))
		}
		stop := make(chan struct{})
		go func() { time.Sleep(250 * time.Millisecond); close(stop) }()
		if b.wait(func() bool { return false }, stop) {
			t.Error("wait said that the condition holds")
		}
	})
}

func TestLagIsNeverNegativeAndClampedToTheLog(t *testing.T) {
	p := testPartition(t, new(fakeEvents))
	if got := p.lag(5); got != -1 {
		t.Errorf("lag = %d without a high watermark, want -1 for unknown", got)
	}
	p.high.Store(10)
	p.logStart.Store(8)
	for _, tt := range []struct{ checkpoint, want int64 }{{3, 2}, {9, 1}, {12, 0}} {
		if got := p.lag(tt.checkpoint); got != tt.want {
			t.Errorf("lag at %d = %d, want %d", tt.checkpoint, got, tt.want)
		}
	}
}
