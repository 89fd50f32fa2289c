package sdk

import (
	"inlong-bridge/sdk/frame"
	"inlong-bridge/sdk/internal/fill"
)

// A batch with OnePack goes into one pack. A caller that keeps records in order needs that: it sends the next pack of a sequence
// when the one before is final.

// takesMoreLocked reports whether a batch that must go into one pack may begin: no pack is chosen yet, or the one that was is
// open and has room for a record of n bytes. Under st.mu.
func (s *Stream) takesMoreLocked(number uint64, key *openKey, n int) bool {
	if number == 0 {
		return true
	}
	p := s.open.get(key)
	return p != nil && p.number > 0 && oneNumber(p) == number && p.fits(n)
}

// beginOneLocked is how much room there must be in the pack that is chosen for such a batch: that of all its records, as far as a pack can
// have it. The end of another pack would cut the batch short. Under st.mu.
func (s *Stream) beginOneLocked(records [][]byte) int {
	sum := 0
	for _, r := range records {
		sum += frame.ItemOverhead + len(r)
	}
	return max(len(records[0]), min(sum, s.s.o.packBytes)-frame.ItemOverhead)
}

// numberLocked is the number by which batches find an open pack again. Under the lock of its stream.
func (s *Sender) numberLocked(p *pack) uint64 {
	for p.number == 0 {
		p.number = s.packNumbers.Add(1)
	}
	return oneNumber(p)
}

// oneNumber is the number of a pack that has one, as callers know it: never that of another pack, for which four billion would have to
// be opened within four seconds.
func oneNumber(p *pack) uint64 { return uint64(p.opened)&^(1<<32-1) | uint64(p.number) } //nolint:gosec // not negative

// isOrdered reports whether a sealed pack must not be cut in two: whoever wanted its records in one pack would have two of them under
// way. It is taken back as a whole instead.
func isOrdered(p *pack) bool { return p.number != 0 }

// giveBackLocked gives the room back that was taken for records. Under st.mu.
func (s *Sender) giveBackLocked(st *Stream, records [][]byte, key *openKey) {
	back := int64(0)
	for _, r := range records {
		back += fill.Cost(r)
	}
	s.budget.Refund(back, key.repair, &st.held)
}
