package fill

import (
	"math"
	"sync/atomic"
	"time"
)

// Who hands over records is faster than the encoders, and those are faster than a connection at times.
// What runs ahead fills the budget, and by the time the next core gets to it, no cache holds it any more:
// the same work costs a third more. So new records wait a little when much is ahead, long before the
// budget is full. These bounds pace what moves; what does not move is left to the budget.

// minAhead is the least bound; with the usual packs it takes two encoders a few milliseconds.
const minAhead = 2 << 20

// When the connections take less than there is, because of a rate, a window or slow acks, packs wait for their turn. Where
// records can wait elsewhere, more of them than a few seconds' worth is of no use here: they only take memory, and have to be
// sent before the process may end.

// FreeAhead is how much of all streams may be sealed and wait for a connection, however little was sent lately: when a sink
// becomes faster, it finds that much at once, and the measure of a few seconds grows with what it takes.
const FreeAhead = 16 << 20

// Flow is bytes of records on their way to the next stage.
type Flow struct {
	bytes  atomic.Int64
	moved  atomic.Int64  // when something went on last
	lately atomic.Uint64 // bits of a float64: fading, as of moved
}

// Bytes is how much is on its way.
func (f *Flow) Bytes() int64 { return f.bytes.Load() }

// Add counts n more bytes, less where n < 0.
func (f *Flow) Add(n int64) { f.bytes.Add(n) }

// Move notes that n bytes go on to the next stage. One caller at a time.
func (f *Flow) Move(n int64, now time.Duration) {
	f.lately.Store(math.Float64bits(f.fading(now) + float64(n)))
	f.moved.Store(int64(now))
}

// fading is how much goes on in a second, from what went on so far: a byte counts for less the longer ago it was, after a
// second for 1/e.
func (f *Flow) fading(now time.Duration) float64 {
	return math.Float64frombits(f.lately.Load()) * math.Exp(min(f.Moved()-now, 0).Seconds())
}

// Moved is when something went on last.
func (f *Flow) Moved() time.Duration { return time.Duration(f.moved.Load()) }

// fell reports whether taking n away, which left so much, went below half of limit. Those who wait are woken
// then and not sooner, so that they have something to do.
func fell(left, n, limit int64) bool { return left <= limit/2 && left+n > limit/2 }

// Backlog is a flow that has a cache line of its own: many look at it who do not write it.
type Backlog struct {
	_ [64]byte
	Flow
	_ [40]byte
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
	if fell(f.bytes.Add(-n), n, b.maxAhead) {
		b.CaughtUp()
	}
}

// CaughtUp wakes those who keep the pace. At each tick it also lets them see that there is none to keep.
func (b *Budget) CaughtUp() {
	if b.paceWanted.CompareAndSwap(true, false) {
		b.wake()
	}
}

// Ahead is how many bytes of all streams are sealed and not handed to a connection yet.
func (b *Budget) Ahead() int64 { return b.ahead.Bytes() }

// GoAhead counts n bytes of a stream that are sealed.
func (b *Budget) GoAhead(f *Flow, n int64) {
	f.Add(n)
	b.ahead.Add(n)
}

// Sent takes n bytes away from what a stream has sealed, because a connection takes them. One caller at a time.
func (b *Budget) Sent(f *Flow, n int64, now time.Duration) {
	b.Ended(f, n, now)
	if b.wait == 0 { // nobody asks how much went on
		f.moved.Store(int64(now))
		return
	}
	f.Move(n, now)
	b.ahead.Move(n, now)
}

// Ended takes n bytes away from what a stream has sealed, and wakes those who wait when there is something to do for them.
func (b *Budget) Ended(f *Flow, n int64, now time.Duration) {
	own, all := f.bytes.Add(-n), b.ahead.bytes.Add(-n)
	if fell(own, n, b.maxAhead) || b.wait > 0 && (fell(own, n, b.worth(f, now)) || fell(all, n, FreeAhead)) {
		b.CaughtUp()
	}
}

// worth is how much of a flow goes on in Budget.wait.
func (b *Budget) worth(f *Flow, now time.Duration) int64 {
	return int64(b.wait.Seconds() * f.fading(now))
}

// Held reports whether nothing new of a stream may come now, because it has sealed pack bytes more than it sends in the time
// for which records may wait. all says that the others are no better off: the connections take no more, and this stream is
// not slower than others. A stream that stands still keeps what it has, and is in nobody's way: each is measured by what it
// sends itself.
func (b *Budget) Held(f *Flow, pack int64, now time.Duration) (held, all bool) {
	total, own := b.Ahead(), f.Bytes()
	if total <= FreeAhead || own <= b.worth(f, now)+pack {
		return false, false
	}
	b.paceWanted.Store(true)
	others := max(b.worth(&b.ahead.Flow, now)-b.worth(f, now), 0)
	return true, total-own+FreeAhead/4 >= others/2
}
