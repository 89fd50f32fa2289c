package assign

import (
	"testing"

	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
)

// A position behind a hole is of no known epoch: the hole may end in a later one than that of the last record.
func TestPositionBehindAHoleHasNoEpoch(t *testing.T) {
	p := testPartition(t, new(fakeEvents))
	s := &assigntest.Sender{Room: -1}
	rs := assigntest.Records(0, 3)
	for _, r := range rs {
		r.LeaderEpoch = 4
	}
	p.Take(s, split(), rs)
	if !p.PassGap(3, 9) || p.EpochAt(3) != 4 || p.EpochAt(9) != -1 {
		t.Errorf("epochs %d at 3 and %d at 9, want 4 and none", p.EpochAt(3), p.EpochAt(9))
	}
}

func TestPassHoleMovesOnlyFromWhereItWasAskedFor(t *testing.T) {
	p := testPartition(t, new(fakeEvents))
	s := &assigntest.Sender{Room: -1}
	p.Take(s, split(), assigntest.Records(0, 3))
	if p.PassGap(2, 9) || p.Expects() != 3 {
		t.Errorf("passed a hole from 2 with the position at %d", p.Expects())
	}
	if !p.PassGap(3, 9) || p.Expects() != 9 || p.checkpoint.Checkpoint() != 0 {
		t.Errorf("position %d, checkpoint %d; want 9, and 0 while records are not final", p.Expects(), p.checkpoint.Checkpoint())
	}
	p.Limit = 12
	if !p.PassGap(9, 20) || p.Expects() != 12 {
		t.Errorf("position %d, want no further than the limit", p.Expects())
	}
}

func TestStoppedAndFinishedPartitionsAreNotBehind(t *testing.T) {
	p := testPartition(t, new(fakeEvents))
	if p.Behind() != 0 {
		t.Errorf("behind = %d without any knowledge of the log, want 0", p.Behind())
	}
	p.Log.high.Store(100)
	p.Log.start.Store(40)
	if p.Behind() != 60 {
		t.Errorf("behind = %d, want 60: retention took the rest", p.Behind())
	}
	p.Log.start.Store(0)
	p.Limit = 30
	if p.Behind() != 30 {
		t.Errorf("behind = %d, want 30: a migration ends there", p.Behind())
	}
	p.Stop(part.Stop(p.Partition, reason.Gap, -1, "gone"))
	if p.Behind() != 0 {
		t.Errorf("behind = %d, want 0: it has said why it stopped", p.Behind())
	}
}
