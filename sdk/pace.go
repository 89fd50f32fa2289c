package sdk

import (
	"sync/atomic"
	"time"
)

// Who hands over records is faster than the encoders, and those are faster than a connection at times.
// What runs ahead fills the budget, and by the time the next core gets to it, no cache holds it any more:
// the same work costs a third more. So new records wait a little when much is ahead, long before the
// budget is full. These bounds pace what moves; what does not move is left to the budget.

// minAhead is the least bound; with the usual packs it takes two encoders a few milliseconds.
const minAhead = 2 << 20

// flow is bytes of records on their way to the next stage.
type flow struct {
	bytes atomic.Int64
	moved atomic.Int64 // when something went on last
}

// backlog is a flow that has a cache line of its own: many look at it who do not write it.
type backlog struct {
	_ [64]byte
	flow
	_ [48]byte
}

// fell adds n < 0 and reports whether that took the backlog below half of limit. Those who wait are woken
// then and not sooner, so that they have something to do.
func (b *flow) fell(n, limit int64) bool {
	now := b.bytes.Add(n)
	return now <= limit/2 && now-n > limit/2
}

// encodersBehind reports whether so much waits for the encoders that nothing new may come now. They
// never stand still, so this ends within milliseconds; s.caughtUp says when.
func (s *Sender) encodersBehind() bool {
	b := &s.enc.backlog.bytes
	if b.Load() <= s.budget.maxAhead || s.end.closing.Load() {
		return false
	}
	s.budget.paceWanted.Store(true)
	return b.Load() > s.budget.maxAhead // they may have caught up between the two
}

// streamAhead reports whether a call that may wait should do so, because much of the stream is sealed and
// not handed to a connection yet. When nothing was handed over for a while, there is no pace to keep
// and records may pile up as far as the budget goes.
func (s *Sender) streamAhead(st *Stream) bool {
	if st == nil || st.s != s || st.ahead.bytes.Load() <= s.budget.maxAhead || s.end.closing.Load() {
		return false
	}
	s.budget.paceWanted.Store(true)
	return st.ahead.bytes.Load() > s.budget.maxAhead && s.now()-time.Duration(st.ahead.moved.Load()) < tick
}

// caughtUp wakes those who keep the pace. At each tick it also lets them see that there is none to keep.
func (b *budget) caughtUp() {
	if b.paceWanted.CompareAndSwap(true, false) {
		b.wake()
	}
}

// goesAheadLocked counts a sealed pack. Repairs keep nobody waiting. Under mu.
func (s *Sender) goesAheadLocked(p *pack) {
	if !p.key.repair {
		p.ahead = int64(p.size())
		p.st.ahead.bytes.Add(p.ahead)
	}
}

// ranAheadLocked ends that, when the pack is handed over for the first time or done before. Under mu.
func (s *Sender) ranAheadLocked(p *pack) {
	if n := p.ahead; n > 0 {
		p.ahead = 0
		if p.st.ahead.fell(-n, s.budget.maxAhead) {
			s.budget.caughtUp()
		}
	}
}
