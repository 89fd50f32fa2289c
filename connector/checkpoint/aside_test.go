package checkpoint_test

import (
	"testing"

	"inlong-bridge/connector/checkpoint"
)

// 1. a piece of three is lost and cut into single records  2. the middle one becomes a dead letter, the last is skipped
// 3. the first is final. The books tell the three apart, and nothing moves before the last of them has ended.
func TestRecordsSetAsideAreBookedAsWhatTheyAre(t *testing.T) {
	p := checkpoint.New(10)
	s := p.Begin(10, 14) // the last offset is a gap
	whole := p.Add(s, checkpoint.Origin{First: 10, Last: 12, Records: 3})
	p.End(s)
	p.Lost(whole)
	var each [3]checkpoint.Piece
	for i := range each {
		at := int64(10 + i)
		each[i] = p.Replace(whole, checkpoint.Origin{First: at, Last: at, Records: 1})
	}
	p.Replaced(whole, 0, checkpoint.Gap)
	if !p.SetAside(each[1], checkpoint.Quarantined) || !p.SetAside(each[2], checkpoint.Skipped) || p.Checkpoint() != 10 {
		t.Errorf("checkpoint = %d with a record that has not ended, want 10", p.Checkpoint())
	}
	if p.SetAside(each[1], checkpoint.Skipped) {
		t.Error("a record was set aside twice")
	}
	p.Final(each[1]) // it arrived after all: the letter is written, and the books stay
	if !p.Final(each[0]) {
		t.Error("the checkpoint did not move with the last piece")
	}
	want := checkpoint.Ledger{Start: 10, Checkpoint: 14, Final: 1, Skipped: 1, Quarantined: 1, Gap: 1}
	if got := p.Ledger(); got != want {
		t.Errorf("books = %+v, want %+v", got, want)
	}
}

// 1. a record is cut out of a piece and set aside  2. the whole piece is seen in the queue: it was delivered.
func TestPieceSeenWholeAfterARecordWasSetAsideIsFinal(t *testing.T) {
	p := checkpoint.New(0)
	s := p.Begin(0, 2)
	whole := p.Add(s, checkpoint.Origin{First: 0, Last: 1, Records: 2})
	p.End(s)
	p.Lost(whole)
	one := p.Replace(whole, checkpoint.Origin{First: 0, Last: 0, Records: 1})
	p.SetAside(one, checkpoint.Quarantined)
	if !p.Final(whole) || p.SetAside(one, checkpoint.Skipped) || p.Ledger().Final != 2 || p.Ledger().Quarantined != 0 {
		t.Errorf("books = %+v, want two final records", p.Ledger())
	}
}

func TestNothingIsSetAsideAfterRevoke(t *testing.T) {
	p := checkpoint.New(0)
	s := p.Begin(0, 1)
	pc := p.Add(s, checkpoint.Origin{Records: 1})
	p.End(s)
	p.Revoke()
	if p.SetAside(pc, checkpoint.Quarantined) || p.Checkpoint() != 0 {
		t.Errorf("checkpoint = %d, moved by news for an assignment that has ended", p.Checkpoint())
	}
}

// A place that is used again inherits nothing.
func TestPlaceOfAPieceSetAsideIsUsedAgainClean(t *testing.T) {
	p := checkpoint.New(0)
	for i := range int64(2) {
		s := p.Begin(i, i+1)
		pc := p.Add(s, checkpoint.Origin{First: i, Last: i, Records: 1})
		p.End(s)
		if i == 0 {
			p.SetAside(pc, checkpoint.Quarantined)
		} else {
			p.Final(pc)
		}
		p.BeginCommit()
		p.EndCommit(true)
	}
	if l := p.Ledger(); l.Final != 1 || l.Quarantined != 1 {
		t.Errorf("books = %+v, want one final and one dead letter", l)
	}
}
