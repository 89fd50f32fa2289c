package fill

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

// Flow is bytes of records on their way to the next stage.
type Flow struct {
	bytes atomic.Int64
	moved atomic.Int64 // when something went on last
}

// Bytes is how much is on its way.
func (f *Flow) Bytes() int64 { return f.bytes.Load() }

// Add counts n more bytes, less where n < 0.
func (f *Flow) Add(n int64) { f.bytes.Add(n) }

// Move notes that something goes on to the next stage.
func (f *Flow) Move(now time.Duration) { f.moved.Store(int64(now)) }

// Moved is when something went on last.
func (f *Flow) Moved() time.Duration { return time.Duration(f.moved.Load()) }

// fell takes n away and reports whether that took the flow below half of limit. Those who wait are woken
// then and not sooner, so that they have something to do.
func (f *Flow) fell(n, limit int64) bool {
	now := f.bytes.Add(-n)
	return now <= limit/2 && now+n > limit/2
}

// Backlog is a flow that has a cache line of its own: many look at it who do not write it.
type Backlog struct {
	_ [64]byte
	Flow
	_ [48]byte
}

// MaxAhead is how much of a flow may be ahead.
func (b *Budget) MaxAhead() int64 { return b.maxAhead }

// Beyond reports whether so much of a flow is ahead that nothing new may come now.
func (b *Budget) Beyond(f *Flow) bool { return f.Bytes() > b.maxAhead }

// WantPace is Beyond, and notes that somebody waits for its end. It may have ended between the two.
func (b *Budget) WantPace(f *Flow) bool {
	b.paceWanted.Store(true)
	return b.Beyond(f)
}

// Went takes n bytes away from a flow, and wakes those who keep the pace when it has become small enough.
func (b *Budget) Went(f *Flow, n int64) {
	if f.fell(n, b.maxAhead) {
		b.CaughtUp()
	}
}

// CaughtUp wakes those who keep the pace. At each tick it also lets them see that there is none to keep.
func (b *Budget) CaughtUp() {
	if b.paceWanted.CompareAndSwap(true, false) {
		b.wake()
	}
}
