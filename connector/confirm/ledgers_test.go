package confirm_test

import (
	"testing"

	"inlong-bridge/connector/confirm"
)

// Positions of a queue that counts ledgers, entries and messages of an entry.

func ledgers(start, end confirm.Offset) bounds { return bounds{0: {Start: start, End: end}} }

func in(ledger, entry int64, batch int32) confirm.Offset {
	return confirm.Offset{Ledger: ledger, Entry: entry, Batch: batch}
}

var place0 = confirm.Place{Cluster: "a", Topic: "t"}

func TestWhatALaterLedgerShowsWasMissed(t *testing.T) {
	b := newBook(t, "a")
	list := func(start, end confirm.Offset) []confirm.Start {
		return b.take(b.p.Update("a", says(b.p.Ask(), "t", 0, ledgers(start, end))))
	}
	b.take(b.p.Fix("a", "t", says(b.p.Ask(), "t", 0, ledgers(confirm.Unknown, in(5, 9, 1)))))
	life := b.m[place0].Life
	list(confirm.Unknown, in(5, 14, 3)) // 5 entries more
	list(confirm.Unknown, in(7, 1, 1))  // and 2 in another ledger
	if lag := b.p.Sum("a").Lag; lag != 7 {
		t.Errorf("lag %d, want 7", lag)
	}
	if n := b.p.Skipped(place0, life, in(5, 10, 0)); n != 0 {
		t.Errorf("%d skipped before the next message", n)
	}
	if n := b.p.Skipped(place0, life, in(7, 0, 0)); n != 5 {
		t.Errorf("%d skipped before ledger 7, want 5", n)
	}
	if n := b.p.Skipped(place0, life, in(9, 0, 0)); n != 7 {
		t.Errorf("%d skipped before ledger 9, want 7", n)
	}
	b.p.Advance(place0, life, in(5, 14, 3))
	if n := b.p.Skipped(place0, life, in(7, 0, 0)); n != 0 {
		t.Errorf("%d skipped, although all of the ledger was read", n)
	}
	// Nothing is left of what was not read: it was missed, and a barrier passes all the same.
	s := list(in(8, 0, 0), in(8, 0, 0))
	if len(s) != 1 || s[0].Why != confirm.Overtaken || s[0].Missed != 2 {
		t.Errorf("starts %+v, want 2 missed", s)
	}
	since := b.p.Ask()
	if !b.passed(b.begin(since, map[string]confirm.Listing{"a": says(since, "t", 0, ledgers(in(8, 0, 0), in(8, 0, 0)))})) {
		t.Error("a barrier over an empty partition does not pass")
	}
}

func TestLedgerThatEndsWhenItWasReadMovesNoReader(t *testing.T) {
	b := newBook(t, "a")
	b.take(b.p.Fix("a", "t", says(b.p.Ask(), "t", 0, ledgers(confirm.Unknown, in(5, 9, 1)))))
	if s := b.take(b.p.Update("a", says(b.p.Ask(), "t", 0, ledgers(in(6, 0, 0), in(6, 0, 0))))); len(s) != 0 {
		t.Errorf("started again: %+v", s)
	}
	since := b.p.Ask()
	if !b.passed(b.begin(since, map[string]confirm.Listing{"a": says(since, "t", 0, ledgers(in(6, 0, 0), in(6, 0, 0)))})) {
		t.Error("a barrier over an empty partition does not pass")
	}
}

func TestLedgersThatBeginAnewAreReadFromTheBeginningAndEndBarriers(t *testing.T) {
	b := newBook(t, "a")
	b.take(b.p.Fix("a", "t", says(b.p.Ask(), "t", 0, ledgers(confirm.Unknown, in(5, 9, 1)))))
	since := b.p.Ask()
	x := b.begin(since, map[string]confirm.Listing{"a": says(since, "t", 0, ledgers(confirm.Unknown, in(5, 12, 1)))})
	s := b.take(b.p.Update("a", says(b.p.Ask(), "t", 0, ledgers(confirm.Unknown, in(1, 3, 1)))))
	if len(s) != 1 || s[0].Offset != in(0, 0, 0) || s[0].Why != confirm.Truncated {
		t.Errorf("starts %+v, want the beginning", s)
	}
	if _, err := b.p.Passed(x); err == nil {
		t.Error("a barrier over what is gone was not given up")
	}
}

func TestResumeBeginsWhereItWasUnderANewLife(t *testing.T) {
	b := newBook(t, "a")
	b.take(b.p.Fix("a", "t", says(b.p.Ask(), "t", 0, ledgers(confirm.Unknown, in(5, 9, 1)))))
	old := b.m[place0].Life
	b.p.Advance(place0, old, in(5, 10, 2))
	s, ok := b.p.Resume(place0, old)
	if !ok || s.Offset != in(5, 10, 2) || s.Why != confirm.Resumed {
		t.Fatalf("Resume = %+v %v", s, ok)
	}
	b.p.Advance(place0, old, in(5, 99, 1)) // dropped by its reader, and told late
	if _, ok := b.p.Resume(place0, old); ok {
		t.Error("a life was resumed twice")
	}
	if s, _ := b.p.Resume(place0, s.Life); s.Offset != in(5, 10, 2) {
		t.Errorf("it is at %v", s.Offset)
	}
}
