package assign

import (
	"cmp"
	"slices"
	"time"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
)

// gapAfter is how long a partition must have got nothing before its end is asked about.
const gapAfter = 2 * time.Second

// Expects returns the offset that the next fetch must not be below.
func (p *Assignment) Expects() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.expect
}

// FetchedAt returns when something was fetched last, or asked for in vain.
func (p *Assignment) FetchedAt() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heard
}

// Reached returns the offset that the next fetch must not be below, and the leader epoch of the record before it, -1 if unknown.
func (p *Assignment) Reached() (offset int64, epoch int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.expect == p.Start {
		return p.expect, p.From.Epoch
	}
	epoch, _ = p.epochs.before(p.expect)
	return p.expect, epoch
}

// EpochAt returns the leader epoch to commit offset with: that of the record before it, -1 if unknown. Offsets only go forward.
func (p *Assignment) EpochAt(offset int64) int32 {
	if offset == p.Start {
		return p.From.Epoch
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	epoch, at := p.epochs.before(offset)
	p.epochs = p.epochs[at:]
	return epoch
}

// LoseBefore books the offsets up to next as lost and goes on there. It refuses while something is pending whose span has not begun:
// the booked span would cover it, and be final.
func (p *Assignment) LoseBefore(next int64) (ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.pending.chunks) > 0 {
		return false
	}
	from := p.expect
	if next <= from || p.gate.Ended() {
		return true
	}
	s := p.checkpoint.Begin(from, next)
	p.checkpoint.Count(s, checkpoint.LostGap, next-from)
	p.checkpoint.End(s)
	p.expect = next
	return true
}

// IdleBeforeEnd returns the position of a partition that got nothing for a while though its log goes on.
func (p *Assignment) IdleBeforeEnd(now time.Time) (from int64, ok bool) {
	if p.gate.Condition().Closed() || p.Retry.Load() != nil {
		return 0, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gate.Ended() || len(p.pending.chunks) > 0 || p.expect >= p.Log.high.Load() || p.Limit >= 0 && p.expect >= p.Limit || now.Sub(p.heard) < gapAfter {
		return 0, false
	}
	p.heard = now // asked again after the same time
	return p.expect, true
}

// PassGap books [from, next) as a gap if nothing came in between.
func (p *Assignment) PassGap(from, next int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.Limit >= 0 {
		next = min(next, p.Limit)
	}
	if p.gate.Ended() || p.expect != from || next <= from {
		return false
	}
	p.checkpoint.End(p.checkpoint.Begin(next, next))
	p.expect = next
	p.epochs.add(from, -1) // nothing tells in which epoch the gap ends
	return true
}

// MustRewind reports whether what was polled is not what comes next for the partition.
func (p *Assignment) MustRewind() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rewind && p.Stopped() == nil
}

// RewindFirst has the poll loop go back to the position before anything is taken. It is called before the assignment begins.
func (p *Assignment) RewindFirst() { p.rewind = true }

// setOffsets moves where the client fetches partitions. It must not wait.
type setOffsets func(offsets map[part.ID]int64)

// lockAll locks the positions of assignments in one order. Nobody else holds two of these locks.
func lockAll(list []*Assignment) (unlock func()) {
	list = slices.SortedFunc(slices.Values(list), func(a, b *Assignment) int {
		return cmp.Or(a.Partition.Compare(b.Partition), cmp.Compare(a.Number, b.Number))
	})
	list = slices.Compact(list) // one poll may bring several fetches of a partition
	for _, p := range list {
		p.mu.Lock()
	}
	return func() {
		for _, p := range list {
			p.mu.Unlock()
		}
	}
}

// Rewind has the client fetch partitions from where they stopped. Only the poll loop calls it: it alone knows that it holds no
// earlier fetch of them.
//
// The locks are held while the client is told. Otherwise: 1. the position is read  2. the partition is revoked and assigned again,
// and begins elsewhere  3. the client goes back to the position of 1.
func Rewind(list []*Assignment, set setOffsets) {
	defer lockAll(list)()
	offsets := make(map[part.ID]int64, len(list))
	for _, p := range list {
		if p.rewind = false; !p.gate.Ended() {
			offsets[p.Partition] = p.expect
		}
	}
	if len(offsets) > 0 {
		set(offsets)
	}
}

// MoveTo has the client fetch the partition from another offset on.
func (p *Assignment) MoveTo(offset int64, set setOffsets) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gate.Ended() {
		set(map[part.ID]int64{p.Partition: offset})
	}
}

// Ending is a reason that ends, and the assignment that it stopped.
type Ending struct {
	Assignment *Assignment
	Key        reason.Key
}

// GoOn ends reasons that stopped partitions, each partition named once, and has them go on from where they stopped. It returns the
// partitions that go on, and the entries of the reasons that ended.
//
// What the poll loop has in hand was fetched ahead, before the stop. Otherwise: 1. records are fetched  2. the partition stops  3. the
// reason ends, and the client is told to go back  4. the poll loop hands over the records of 1, and those before them are skipped. So
// the first records that come are dropped, and the poll loop goes back itself (see rewindAll).
func GoOn(list []Ending, set setOffsets) (gone []*Assignment, entries []gate.Entry) {
	parts := make([]*Assignment, len(list))
	for i, e := range list {
		parts[i] = e.Assignment
	}
	defer lockAll(parts)()
	offsets := make(map[part.ID]int64, len(list))
	for _, e := range list {
		if in := e.Assignment.gate.Condition().Get(e.Key); !e.Assignment.gate.Ended() && in != nil && in.MayEnd() {
			e.Assignment.rewind = true
			offsets[e.Assignment.Partition] = e.Assignment.expect
		}
	}
	if len(offsets) == 0 {
		return nil, nil
	}
	set(offsets) // so that something is fetched; before a gate opens, or it could undo what the poll loop sets
	for _, e := range list {
		if _, ok := offsets[e.Assignment.Partition]; !ok {
			continue
		}
		if dropped, ok := e.Assignment.gate.Drop(e.Key); ok {
			e.Assignment.tooLarge = oversize{}
			gone, entries = append(gone, e.Assignment), append(entries, dropped)
		}
	}
	return gone, entries
}

// openedLocked notes a span for oldest, and its leader epoch for epochAt.
func (p *Assignment) openedLocked(c *chunk, now time.Time) {
	p.opened.drop(p.checkpoint.Checkpoint())
	p.opened.add(c.next, now)
	if c.epoch >= 0 {
		p.epochs.add(c.first, c.epoch)
	}
}

// openSpans are the spans that the checkpoint has not passed, in order.
type openSpans struct {
	list   []openSpan
	passed int       // so many of list the checkpoint has passed
	since  time.Time // when the first span of all was opened
}

// openSpan holds no pointer, for the reason that recordRun tells.
type openSpan struct {
	next int64
	at   time.Duration // after openSpans.since
}

// keptSpans is the longest list that is kept when it is empty.
const keptSpans = 1024

func (o *openSpans) add(next int64, now time.Time) {
	if o.since.IsZero() {
		o.since = now
	}
	o.list = append(o.list, openSpan{next, now.Sub(o.since)})
}

// drop forgets the spans that the checkpoint has passed.
func (o *openSpans) drop(checkpoint int64) {
	for o.passed < len(o.list) && o.list[o.passed].next <= checkpoint {
		o.passed++
	}
	o.list, o.passed = withoutPassed(o.list, o.passed)
}

// withoutPassed drops the first passed elements of a list once they are half of it. It returns the list, and how many passed
// elements are still in front of it.
func withoutPassed[T any](list []T, passed int) ([]T, int) {
	if passed < len(list)-passed {
		return list, passed
	}
	n := copy(list, list[passed:])
	if n == 0 && cap(list) > keptSpans {
		return nil, 0 // give back what a long outage needed
	}
	return list[:n], 0
}

// oldest returns when the oldest span was opened.
func (o *openSpans) oldest() (at time.Time, ok bool) {
	if o.passed < len(o.list) {
		return o.since.Add(o.list[o.passed].at), true
	}
	return time.Time{}, false
}

// epochs says from which offset on records have which leader epoch, in ascending order.
type epochs []epochFrom

type epochFrom struct {
	offset int64
	epoch  int32
}

// add notes that records from an offset on have an epoch, -1 if it is unknown.
func (e *epochs) add(from int64, epoch int32) {
	if n := len(*e); n == 0 || (*e)[n-1].epoch != epoch {
		*e = append(*e, epochFrom{from, epoch})
	}
}

// before returns the leader epoch of the record before offset, -1 if unknown, and its place in the list.
func (e epochs) before(offset int64) (epoch int32, at int) {
	epoch = -1
	for i, x := range e {
		if x.offset >= offset {
			break
		}
		epoch, at = x.epoch, i
	}
	return epoch, at
}
