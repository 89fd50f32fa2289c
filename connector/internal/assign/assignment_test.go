package assign

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
)

// fakeEvents notes what a partition tells.
type fakeEvents struct {
	losses []loss
	halved []loss
	halts  []*reason.Reason
}

func (f *fakeEvents) Moved() {}
func (f *fakeEvents) Lost(p *Assignment, pc checkpoint.Piece, o checkpoint.Origin) {
	f.losses = append(f.losses, loss{p, pc, o})
}
func (f *fakeEvents) Halve(p *Assignment, pc checkpoint.Piece, o checkpoint.Origin) {
	f.halved = append(f.halved, loss{p, pc, o})
}
func (f *fakeEvents) Stopped(_ *Assignment, h *reason.Reason) { f.halts = append(f.halts, h) }
func (f *fakeEvents) Freed(*Assignment)                       {}

// waitsFor is what parked records wait for: room of their stream, room in the budget, "" for nothing.
func (p *Assignment) waitsFor() reason.Code {
	c := p.gate.Condition()
	switch {
	case c.Has(reason.Budget):
		return reason.Budget
	case StreamFull(c) != nil:
		return reason.StreamFull
	}
	return ""
}

// testGate is a gate without a client.
func testGate(id part.ID) *gate.Gate { return new(gate.Gates).New(id.Topic, id.Num) }

func testPartition(t *testing.T, ev *fakeEvents) *Assignment {
	t.Helper()
	return testPartitionAt(t, ev, 0)
}

func testPartitionAt(t *testing.T, ev *fakeEvents, start int64) *Assignment {
	t.Helper()
	return New(Spec{Partition: part.ID{Topic: "t", Num: 0}, Topic: &Topic{Name: "t"}, Router: assigntest.RouterByHeader(t, false), Start: start, Limit: -1}, ev, testGate(part.ID{Topic: "t", Num: 0}), new(PendingBytes))
}

func split() *Splitter { return &Splitter{Pack: 256 << 10, Oversize: 1 << 20, Limit: -1} }

func TestRefusedRemainderIsParkedAndGoesOnWhereItStopped(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want reason.Code
	}{{sdk.ErrBufferFull, reason.Budget}, {sdk.ErrStreamFull, reason.StreamFull}} {
		ev := new(fakeEvents)
		p, s := testPartition(t, ev), &assigntest.Sender{Room: 3, Err: tt.err}
		p.Take(s, split(), assigntest.Records(0, 10))
		p.Take(s, split(), assigntest.Records(10, 4))
		if chunks, bytes := p.Waiting(); chunks != 2 || bytes == 0 || p.waitsFor() != tt.want {
			t.Errorf("waiting = %d chunks, %d bytes, %q; want 2 chunks and %q", chunks, bytes, p.waitsFor(), tt.want)
		}
		s.Room = -1
		p.Offer(s)
		if chunks, _ := p.Waiting(); chunks != 0 || p.gate.Condition().Has(reason.Budget) {
			t.Errorf("%d chunks are parked and the condition is %+v, want nothing parked with room", chunks, p.gate.Condition().Entries())
		}
		if len(s.Order) != 14 {
			t.Errorf("sent %v, want each of 14 records once", s.Order)
		}
		s.Settle(sdk.Final)
		if at := p.checkpoint.Checkpoint(); at != 14 {
			t.Errorf("checkpoint = %d, want 14", at)
		}
	}
}

// The loop that offers what waits asks nobody while the count is 0: one that is not counted would wait for ever.
func TestAssignmentsThatWaitForRoomAreCounted(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(p *Assignment, s *assigntest.Sender)
	}{
		{"room again", func(p *Assignment, s *assigntest.Sender) {
			s.Room = -1
			p.Offer(s)
			p.RoomAgain(time.Now().Add(time.Hour))
		}},
		{"ended", func(p *Assignment, _ *assigntest.Sender) {
			p.Detach()
			p.RoomAgain(time.Now())
		}},
	} {
		for _, full := range []error{sdk.ErrBufferFull, sdk.ErrStreamFull} {
			p, s := testPartition(t, new(fakeEvents)), &assigntest.Sender{Room: 3, Err: full}
			waiting := &p.pending.shared.Waiting
			p.Take(s, split(), assigntest.Records(0, 10))
			p.Take(s, split(), assigntest.Records(10, 4))
			if n := waiting.Load(); n != 1 || !p.WaitsForRoom() {
				t.Errorf("%s, %v: %d are counted while it waits, want 1", tt.name, full, n)
			}
			if tt.end(p, s); waiting.Load() != 0 || p.WaitsForRoom() {
				t.Errorf("%s, %v: %d are counted after it, want 0", tt.name, full, waiting.Load())
			}
		}
	}
}

func TestChunkThatIsHalfSentHoldsTheCheckpoint(t *testing.T) {
	p, s := testPartition(t, new(fakeEvents)), &assigntest.Sender{Room: 3, Err: sdk.ErrBufferFull}
	p.Take(s, split(), assigntest.Records(0, 10))
	s.Settle(sdk.Final)
	if at := p.checkpoint.Checkpoint(); at != 0 {
		t.Errorf("checkpoint = %d with records that were not sent, want 0", at)
	}
}

func TestTooLargeStopsWithNothingSkipped(t *testing.T) {
	ev := new(fakeEvents)
	p, s := testPartition(t, ev), &assigntest.Sender{Room: 0, Err: sdk.ErrTooLarge}
	p.Take(s, split(), assigntest.Records(0, 2))
	p.Take(s, split(), assigntest.Records(2, 2))
	if len(ev.halts) != 1 || ev.halts[0].Code != reason.TooLarge || ev.halts[0].Offset != 0 {
		t.Fatalf("halts = %+v, want one %s at 0", ev.halts, reason.TooLarge)
	}
	if len(s.Order) != 0 || p.checkpoint.Checkpoint() != 0 {
		t.Errorf("sent %v up to %d after the stop, want nothing", s.Order, p.checkpoint.Checkpoint())
	}
}

func TestRefusedForGoodStopsThePartition(t *testing.T) {
	ev := new(fakeEvents)
	p, s := testPartition(t, ev), &assigntest.Sender{Room: -1}
	p.Take(s, split(), assigntest.Records(0, 1))
	for pc, x := range s.Taken {
		x.Token.Settled(pc, sdk.Result{Outcome: sdk.Refused, Err: errors.New("no"), Endpoint: "p:1"})
	}
	p.Take(s, split(), assigntest.Records(1, 1))
	if len(ev.halts) != 1 || ev.halts[0].Code != reason.Refused || len(s.Order) != 1 {
		t.Errorf("halts %+v, sent %v; want one %s and nothing sent after it", ev.halts, s.Order, reason.Refused)
	}
	if p.Unfinished() != 0 || p.checkpoint.Unfinal() != 1 {
		t.Errorf("unfinished %d of %d; want what is refused not to be waited for", p.Unfinished(), p.checkpoint.Unfinal())
	}
}

// 1. pieces are in flight  2. the partition is revoked and comes back at once  3. the acks arrive
func TestLateResultsOfAnOldAssignmentMoveNothing(t *testing.T) {
	ev := new(fakeEvents)
	old, s := testPartition(t, ev), &assigntest.Sender{Room: -1, Pack: 2}
	old.Take(s, split(), assigntest.Records(0, 10))
	old.Detach()
	old.checkpoint.Revoke()
	again := testPartition(t, ev)
	s2 := &assigntest.Sender{Room: 0, Err: sdk.ErrBufferFull}
	again.Take(s2, split(), assigntest.Records(0, 10))
	s.Settle(sdk.Acked)
	s.Settle(sdk.Lost)
	s.Settle(sdk.Final)
	if _, ok := old.checkpoint.BeginCommit(); ok {
		t.Error("the old assignment offers an offset to commit")
	}
	if at := again.checkpoint.Checkpoint(); at != 0 || len(ev.losses) != 0 {
		t.Errorf("checkpoint of the new assignment = %d with %d losses, want 0 and none", at, len(ev.losses))
	}
	old.Take(s, split(), assigntest.Records(10, 5))
	if len(s.Order) != 10 {
		t.Errorf("the old assignment sent %d records, want nothing after the revoke", len(s.Order))
	}
}

func TestRecordsBelowThePositionStopThePartition(t *testing.T) {
	ev := new(fakeEvents)
	p, s := testPartition(t, ev), &assigntest.Sender{Room: -1}
	p.Take(s, split(), assigntest.Records(0, 10))
	p.Take(s, split(), assigntest.Records(4, 3))
	if len(ev.halts) != 1 || ev.halts[0].Code != reason.Truncated || len(s.Order) != 10 {
		t.Errorf("halts %+v, sent %d records; want one %s and 10", ev.halts, len(s.Order), reason.Truncated)
	}
}

func TestEpochOfACommitIsThatOfTheRecordBefore(t *testing.T) {
	p := testPartition(t, new(fakeEvents))
	s := &assigntest.Sender{Room: -1}
	for i, epoch := range []int32{3, 3, 5, 9} {
		r := assigntest.Records(i*10, 10)
		for _, x := range r {
			x.LeaderEpoch = epoch
		}
		p.Take(s, split(), r)
	}
	for _, tt := range []struct {
		offset int64
		want   int32
	}{{5, 3}, {20, 3}, {21, 5}, {30, 5}, {40, 9}} {
		if got := p.EpochAt(tt.offset); got != tt.want {
			t.Errorf("epoch for %d = %d, want %d", tt.offset, got, tt.want)
		}
	}
}

func TestOldestUnfinalAgeFollowsTheCheckpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := testPartition(t, new(fakeEvents)), &assigntest.Sender{Room: -1}
		p.Take(s, split(), assigntest.Records(0, 2))
		first := s.Taken
		s.Taken = nil
		time.Sleep(3 * time.Second)
		p.Take(s, split(), assigntest.Records(2, 2))
		time.Sleep(time.Second)
		if age := p.Oldest(time.Now()); age != 4*time.Second {
			t.Errorf("age = %v, want 4s", age)
		}
		for pc, x := range first {
			x.Token.Settled(pc, sdk.Result{Outcome: sdk.Final})
		}
		if age := p.Oldest(time.Now()); age != time.Second {
			t.Errorf("age = %v after the first became final, want 1s", age)
		}
		s.Settle(sdk.Final)
		if age := p.Oldest(time.Now()); age != 0 {
			t.Errorf("age = %v with everything final, want 0", age)
		}
	})
}

func TestLagIsNeverNegativeAndClampedToTheLog(t *testing.T) {
	p := testPartition(t, new(fakeEvents))
	if got := p.Lag(5); got != -1 {
		t.Errorf("lag = %d without a high watermark, want -1 for unknown", got)
	}
	p.Log.high.Store(10)
	p.Log.start.Store(8)
	for _, tt := range []struct{ checkpoint, want int64 }{{3, 2}, {9, 1}, {12, 0}} {
		if got := p.Lag(tt.checkpoint); got != tt.want {
			t.Errorf("lag at %d = %d, want %d", tt.checkpoint, got, tt.want)
		}
	}
}
