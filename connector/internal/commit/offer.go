package commit

import (
	"time"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
	"inlong-bridge/connector/resume"
)

// Offer is what one partition commits in a round.
type Offer struct {
	Of     *assign.Assignment
	Offset int64
	Epoch  int32 // leader epoch of the record before the offset, -1 if unknown
	Line   resume.Line

	start bool // where the assignment began, not a checkpoint
}

// Wants reports whether a partition has something to commit. One that was created again or cut off commits
// nothing more: its offsets mean nothing in the log that is there now. One without a start has nothing to say, and one whose books
// do not add up proves nothing.
func Wants(p *assign.Assignment) bool {
	if !p.Checkpoint().Uncommitted() && !p.MustRestate() {
		return false
	}
	return !p.Gate().Condition().Has(reason.Recreated, reason.Truncated, reason.NoStart, reason.Unbalanced)
}

// NewOffer begins the commit of a partition that wants one. ok is false when there is nothing to commit any more. Ended must follow.
// Books that do not add up stop the partition: no offset is committed that they do not prove.
func NewOffer(p *assign.Assignment, now time.Time) (o Offer, ok bool) {
	offset, moved := p.Checkpoint().BeginCommit()
	books := p.From.Books
	if moved {
		books = books.Add(ledgerBooks(p.Checkpoint().Offered()))
	} else {
		if !p.MustRestate() {
			return Offer{}, false
		}
		offset = p.Start
	}
	if !books.Close(offset) {
		if moved {
			p.Checkpoint().EndCommit(false)
		}
		p.Stop(part.Unbalanced(p.ID(), offset, books))
		return Offer{}, false
	}
	line := resume.Line{Cluster: p.Cluster, Topic: p.TopicID(), Seen: p.From.Sight, At: now, Books: books}
	return Offer{Of: p, Offset: offset, Epoch: p.EpochAt(offset), Line: line, start: !moved}, true
}

// ledgerBooks turns the ledger of one assignment into books that begin where it began.
func ledgerBooks(l checkpoint.Ledger) resume.Books {
	return resume.Books{From: l.Start, Final: l.Final, Skipped: l.Skipped, Gap: l.Gap, Lost: l.Lost, Dead: l.Quarantined, Hand: l.ByHand}
}

// Ended says whether the coordinator took the offer. What is not known was not taken: the same offset, or a later one, is offered again.
func (o *Offer) Ended(taken bool, now time.Time) {
	if o.start {
		o.Of.Commits.TookStart(taken)
	} else {
		o.Of.Checkpoint().EndCommit(taken)
	}
	if taken {
		o.Of.Commits.Took(o.Offset, o.Line.Books, now)
	}
}
