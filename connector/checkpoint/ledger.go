package checkpoint

import "math"

// Class of offsets that end without becoming final.
type Class uint8

const (
	Skipped     Class = iota // by policy (unmatched: skip, on_error: skip)
	Gap                      // no record at this offset: compaction, transactions, control records
	Quarantined              // kept as dead letters (on_error: dead_letter)
	ByHand                   // skipped by hand (--skip)
	LostGap                  // gone from Kafka before it was safe (on_gap: continue)
)

// Ledger counts offsets between the start and the checkpoint: Final + Skipped + Gap + Quarantined +
// ByHand + Lost = Checkpoint - Start, always.
type Ledger struct {
	Start, Checkpoint                              int64
	Final, Skipped, Gap, Quarantined, ByHand, Lost int64
}

// Ledger returns the books up to the checkpoint.
func (p *Partition) Ledger() Ledger {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ledgerLocked()
}

func (p *Partition) ledgerLocked() Ledger {
	l := p.books
	l.Start, l.Checkpoint = p.start, p.checkpoint
	return l
}

// add books a span that the checkpoint passes. What nobody accounted for is Gap; should a caller account
// for more than there is, the books still close, the worst news first.
func (l *Ledger) add(s *span) {
	left := s.next - s.from
	book := func(to *int64, n int64) {
		n = min(n, left)
		*to += n
		left -= n
	}
	book(&l.Lost, s.lost)
	book(&l.Quarantined, int64(s.quarantined))
	book(&l.ByHand, int64(s.byHand))
	book(&l.Skipped, int64(s.skipped))
	book(&l.Final, int64(s.final))
	l.Gap += left
}

// addRecords adds without overflow or negative numbers: counts come from callers.
func addRecords(n int32, more int64) int32 {
	return int32(min(int64(n)+min(max(more, 0), math.MaxInt32), math.MaxInt32))
}
