package checkpoint_test

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"inlong-bridge/connector/checkpoint"
)

// chunk adds a span of n records from first, one piece each.
func chunk(p *checkpoint.Partition, first, n int64) []checkpoint.Piece {
	s := p.Begin(first, first+n)
	var out []checkpoint.Piece
	for off := first; off < first+n; off++ {
		out = append(out, p.Add(s, origin(off, off)))
	}
	p.End(s)
	return out
}

func origin(first, last int64) checkpoint.Origin {
	return checkpoint.Origin{First: first, Last: last, Records: int32(last - first + 1)}
}

func wantMark(t *testing.T, p *checkpoint.Partition, want int64) {
	t.Helper()
	if got := p.Checkpoint(); got != want {
		t.Fatalf("checkpoint %d, want %d", got, want)
	}
}

func TestCheckpointWaitsForTheOldestOpenSpan(t *testing.T) {
	p := checkpoint.New(100)
	a, b := chunk(p, 100, 2), chunk(p, 102, 2)
	p.Final(b[0])
	p.Final(b[1])
	p.Final(a[1])
	wantMark(t, p, 100)
	if !p.Final(a[0]) {
		t.Error("Final of the last open piece did not report that the checkpoint moved")
	}
	wantMark(t, p, 104)
}

func TestHolesDoNotHoldTheCheckpoint(t *testing.T) {
	p := checkpoint.New(0)
	a := chunk(p, 5, 1)   // 0..4 compacted away
	s := p.Begin(90, 100) // 6..89 too; 90..99 a transaction's control records
	p.End(s)
	p.Final(a[0])
	wantMark(t, p, 100)
	want := checkpoint.Ledger{Start: 0, Checkpoint: 100, Final: 1, Gap: 99}
	if got := p.Ledger(); got != want {
		t.Errorf("ledger %+v, want %+v", got, want)
	}
}

func TestASpanThatHasNotEndedHoldsTheCheckpoint(t *testing.T) {
	p := checkpoint.New(0)
	s := p.Begin(0, 2)
	p.Final(p.Add(s, origin(0, 0)))
	wantMark(t, p, 0)
	p.Final(p.Add(s, origin(1, 1)))
	p.End(s)
	wantMark(t, p, 2)
}

func TestLostPieceKeepsItsPlace(t *testing.T) {
	p := checkpoint.New(0)
	a, b := chunk(p, 0, 1), chunk(p, 1, 1)
	if o, again := p.Lost(a[0]); !again || o != origin(0, 0) {
		t.Fatalf("Lost = %v %v", o, again)
	}
	r := p.Replace(a[0], origin(0, 0))
	p.Final(b[0])
	wantMark(t, p, 0)
	p.Replaced(a[0], 0, checkpoint.Gap)
	wantMark(t, p, 0)
	if p.Unfinal() != 1 {
		t.Errorf("unfinal %d, want 1: a replacement takes no place", p.Unfinal())
	}
	p.Final(r)
	wantMark(t, p, 2)
}

func TestPartlyReplacedPieceWaitsForAllOfIt(t *testing.T) {
	p := checkpoint.New(0)
	s := p.Begin(0, 4)
	a := p.Add(s, origin(0, 3))
	p.End(s)
	p.Lost(a)
	r1 := p.Replace(a, origin(0, 1))
	p.Final(r1)
	wantMark(t, p, 0) // Replaced has not been called: 2 and 3 are nowhere yet
	r2 := p.Replace(a, origin(2, 3))
	p.Replaced(a, 0, checkpoint.Gap)
	wantMark(t, p, 0)
	p.Lost(r2)
	r3 := p.Replace(r2, origin(2, 2))
	p.Replaced(r2, 1, checkpoint.LostGap)
	wantMark(t, p, 0)
	p.Final(r3)
	wantMark(t, p, 4)
	want := checkpoint.Ledger{Checkpoint: 4, Final: 3, Lost: 1}
	if got := p.Ledger(); got != want {
		t.Errorf("ledger %+v, want %+v", got, want)
	}
}

func TestReplacementLostAfterOriginalWasSeenNeedsNothing(t *testing.T) {
	p := checkpoint.New(0)
	a := chunk(p, 0, 1)
	p.Lost(a[0])
	r := p.Replace(a[0], origin(0, 0))
	p.Replaced(a[0], 0, checkpoint.Gap)
	p.Final(a[0]) // seen after all
	wantMark(t, p, 1)
	if _, again := p.Lost(r); again {
		t.Error("a copy of what is final was asked for again")
	}
	if p.Final(r) {
		t.Error("the copy moved the checkpoint")
	}
}

func TestNothingIsCommittedAfterRevoke(t *testing.T) {
	p := checkpoint.New(0)
	a := chunk(p, 0, 2)
	p.Final(a[0])
	p.Revoke()
	if p.Final(a[1]) {
		t.Error("a late ack moved the checkpoint of a revoked partition")
	}
	if off, ok := p.BeginCommit(); ok {
		t.Errorf("BeginCommit = %d after Revoke", off)
	}
	if !p.Forgotten(a[0]) || p.Unfinal() != 0 || p.Held() != 0 {
		t.Error("a revoked partition still remembers pieces")
	}
}

func TestCommitInFlightAtRevokeMayEnd(t *testing.T) {
	p := checkpoint.New(0)
	p.Final(chunk(p, 0, 1)[0])
	off, ok := p.BeginCommit()
	if !ok || off != 1 {
		t.Fatalf("BeginCommit = %d %v, want 1 true", off, ok)
	}
	p.Revoke()
	p.EndCommit(true)
	if p.Committed() != 1 {
		t.Errorf("committed %d, want 1: the broker took it", p.Committed())
	}
}

func TestOneCommitInFlightAndNeverBackwards(t *testing.T) {
	p := checkpoint.New(10)
	if _, ok := p.BeginCommit(); ok {
		t.Error("nothing new was offered")
	}
	a := chunk(p, 10, 1)
	p.Final(a[0])
	if off, _ := p.BeginCommit(); off != 11 {
		t.Fatalf("BeginCommit = %d, want 11", off)
	}
	p.Final(chunk(p, 11, 1)[0])
	if off, ok := p.BeginCommit(); ok {
		t.Fatalf("second commit %d while one is in flight", off)
	}
	p.EndCommit(false)
	if off, _ := p.BeginCommit(); off != 12 {
		t.Fatalf("BeginCommit = %d after a failure, want 12", off)
	}
	p.EndCommit(true)
	p.EndCommit(false) // nobody waits for this one
	if _, ok := p.BeginCommit(); ok || p.Committed() != 12 {
		t.Errorf("committed %d, ok %v", p.Committed(), ok)
	}
}

func TestHandlesLiveUntilTheCommitNotUntilFinal(t *testing.T) {
	p := checkpoint.New(0)
	a := chunk(p, 0, 1)
	p.Lost(a[0])
	r := p.Replace(a[0], origin(0, 0))
	p.Replaced(a[0], 0, checkpoint.Gap)
	p.Final(r)
	if p.Forgotten(a[0]) {
		t.Error("the lost piece was forgotten before its offset was committed")
	}
	p.BeginCommit()
	p.EndCommit(true)
	if !p.Forgotten(a[0]) || !p.Forgotten(r) || p.Held() != 0 {
		t.Error("committed pieces are still remembered")
	}
	b := chunk(p, 1, 1) // takes the same place
	if p.Final(a[0]) || p.Final(r) || p.Forgotten(b[0]) {
		t.Error("a stale handle answered for the piece that has its place now")
	}
}

func TestBooksCloseWhenMoreIsCountedThanThereIs(t *testing.T) {
	p := checkpoint.New(0)
	s := p.Begin(0, 10)
	p.Final(p.Add(s, checkpoint.Origin{First: 0, Last: 9, Records: 30}))
	p.Count(s, checkpoint.LostGap, 1<<62)
	p.Count(s, checkpoint.LostGap, 1<<62)
	p.Count(s, checkpoint.Skipped, -5)
	p.End(s)
	want := checkpoint.Ledger{Checkpoint: 10, Lost: 10}
	if got := p.Ledger(); got != want {
		t.Errorf("ledger %+v, want %+v", got, want)
	}
	// A chunk that reaches back does not count twice.
	s = p.Begin(5, 12)
	p.End(s)
	if got := p.Ledger(); got.Checkpoint != 12 || got.Gap != 2 {
		t.Errorf("ledger %+v, want checkpoint 12, gap 2", got)
	}
	// One that ends before them moves nothing.
	s = p.Begin(3, 6)
	p.End(s)
	if got := p.Ledger(); got.Checkpoint != 12 || p.Position() != 12 {
		t.Errorf("ledger %+v and position %d, want both at 12", got, p.Position())
	}
}

func TestAddToEndedSpanPanics(t *testing.T) {
	p := checkpoint.New(0)
	s := p.Begin(0, 1)
	p.End(s)
	defer func() {
		if recover() == nil {
			t.Error("a piece that nothing waits for was accepted")
		}
	}()
	p.Add(s, origin(0, 0))
}

// The commit loop, the sender's news and the rebalance callback meet. What BeginCommit yields must have
// been begun before Revoke returned, and must not be ahead of a piece that nobody called final.
func TestRevokeRacesCommitAndNews(t *testing.T) {
	for range 200 {
		p := checkpoint.New(0)
		pieces := chunk(p, 0, 64)
		var called atomic.Int64 // pieces that Final was called for, or is about to be
		var revoked atomic.Bool
		var wg sync.WaitGroup
		wg.Go(func() {
			for _, pc := range pieces {
				called.Add(1)
				p.Final(pc)
			}
		})
		for range 2 {
			wg.Go(func() {
				last := int64(0)
				for range 50 {
					after := revoked.Load()
					off, ok := p.BeginCommit()
					if !ok {
						continue
					}
					if after {
						t.Error("a commit began after Revoke had returned")
					}
					if off > 0 && called.Load() != 64 {
						t.Errorf("offset %d offered with %d of 64 pieces final", off, called.Load())
					}
					if off < last {
						t.Errorf("offset %d offered after %d", off, last)
					}
					last = off
					p.EndCommit(off%3 != 0)
				}
			})
		}
		wg.Go(func() {
			for called.Load() < 60 && !t.Failed() {
				p.Checkpoint()
			}
			p.Revoke()
			revoked.Store(true)
		})
		wg.Wait()
		if _, ok := p.BeginCommit(); ok {
			t.Fatal("a commit began after Revoke")
		}
	}
}

func TestPlanMergesWhatOverlapsOrIsNear(t *testing.T) {
	o := func(ranges ...int64) (out []checkpoint.Origin) {
		for i := 0; i < len(ranges); i += 2 {
			out = append(out, origin(ranges[i], ranges[i+1]))
		}
		return out
	}
	for _, tt := range []struct {
		name   string
		in     []checkpoint.Origin
		maxGap int64
		want   []checkpoint.Range
	}{
		{"nothing", nil, 5, nil},
		{"one", o(3, 4), 0, []checkpoint.Range{{First: 3, Last: 4}}},
		{"overlap", o(5, 9, 0, 6), 0, []checkpoint.Range{{First: 0, Last: 9}}},
		{"inside", o(0, 100, 5, 6, 90, 95), 0, []checkpoint.Range{{First: 0, Last: 100}}},
		{"touch", o(0, 4, 5, 9), 0, []checkpoint.Range{{First: 0, Last: 9}}},
		{"hole as large as allowed", o(0, 4, 15, 19), 10, []checkpoint.Range{{First: 0, Last: 19}}},
		{"hole too large", o(0, 4, 16, 19), 10, []checkpoint.Range{{First: 0, Last: 4}, {First: 16, Last: 19}}},
		{"far apart", o(1<<62, 1<<62, 0, 0), 1 << 61, []checkpoint.Range{{First: 0, Last: 0}, {First: 1 << 62, Last: 1 << 62}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := checkpoint.Plan(tt.in, tt.maxGap); !slices.Equal(got, tt.want) {
				t.Errorf("Plan = %v, want %v", got, tt.want)
			}
		})
	}
}

// 1. a commit begins  2. more becomes final while it is on its way  3. its books are asked for: they are those of its
// offset, not of the checkpoint.
func TestOfferedBooksAreThoseOfTheOffset(t *testing.T) {
	p := checkpoint.New(5)
	s := p.Begin(5, 10)
	pc := p.Add(s, origin(5, 9))
	p.End(s)
	p.Final(pc)
	offset, ok := p.BeginCommit()
	s = p.Begin(10, 30)
	p.Count(s, checkpoint.Skipped, 20)
	p.End(s)
	if got := p.Offered(); !ok || offset != 10 || got.Checkpoint != 10 || got.Skipped != 0 || got.Start != 5 {
		t.Errorf("Offered = %+v at %d, want the books of 5 to 10", got, offset)
	}
}
