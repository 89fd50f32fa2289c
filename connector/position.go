package connector

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

// expects returns the offset that the next fetch must not be below.
func (p *partition) expects() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.expect
}

// fetchedAt returns when something was fetched last, or asked for in vain.
func (p *partition) fetchedAt() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heard
}

// reached returns the offset that the next fetch must not be below, and the leader epoch of the record before it, -1 if unknown.
func (p *partition) reached() (offset int64, epoch int32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.expect == p.start {
		return p.expect, p.from.Epoch
	}
	epoch, _ = p.epochs.before(p.expect)
	return p.expect, epoch
}

// epochAt returns the leader epoch to commit offset with: that of the record before it, -1 if unknown. Offsets only go forward.
func (p *partition) epochAt(offset int64) int32 {
	if offset == p.start {
		return p.from.Epoch
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	epoch, at := p.epochs.before(offset)
	p.epochs = p.epochs[at:]
	return epoch
}

// loseBefore books the offsets up to next as lost and goes on there. It refuses while something is pending whose span has not begun:
// the booked span would cover it, and be final.
func (p *partition) loseBefore(next int64) (ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.pending.chunks) > 0 {
		return false
	}
	from := p.expect
	if next <= from || p.gate.Ended() {
		return true
	}
	s := p.wm.Begin(from, next)
	p.wm.Count(s, checkpoint.LostGap, next-from)
	p.wm.End(s)
	p.expect = next
	return true
}

// idleBeforeEnd returns the position of a partition that got nothing for a while though its log goes on.
func (p *partition) idleBeforeEnd(now time.Time) (from int64, ok bool) {
	if p.gate.Condition().Closed() || p.trying.Load() != nil {
		return 0, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gate.Ended() || len(p.pending.chunks) > 0 || p.expect >= p.log.high.Load() || p.limit >= 0 && p.expect >= p.limit || now.Sub(p.heard) < gapAfter {
		return 0, false
	}
	p.heard = now // asked again after the same time
	return p.expect, true
}

// passGap books [from, next) as a gap if nothing came in between.
func (p *partition) passGap(from, next int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limit >= 0 {
		next = min(next, p.limit)
	}
	if p.gate.Ended() || p.expect != from || next <= from {
		return false
	}
	p.wm.End(p.wm.Begin(next, next))
	p.expect = next
	p.epochs.add(from, -1) // nothing tells in which epoch the gap ends
	return true
}

// mustRewind reports whether what was polled is not what comes next for the partition.
func (p *partition) mustRewind() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rewind && p.stopped() == nil
}

// setOffsets moves where the client fetches partitions. It must not wait.
type setOffsets func(offsets map[part.ID]int64)

// lockAll locks the positions of assignments in one order. Nobody else holds two of these locks.
func lockAll(list []*partition) (unlock func()) {
	list = slices.SortedFunc(slices.Values(list), func(a, b *partition) int {
		return cmp.Or(cmp.Compare(a.id.Topic, b.id.Topic), cmp.Compare(a.id.Num, b.id.Num), cmp.Compare(a.number, b.number))
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

// rewindAll has the client fetch partitions from where they stopped. Only the poll loop calls it: it alone knows that it holds no
// earlier fetch of them.
//
// The locks are held while the client is told. Otherwise: 1. the position is read  2. the partition is revoked and assigned again,
// and begins elsewhere  3. the client goes back to the position of 1.
func rewindAll(list []*partition, set setOffsets) {
	defer lockAll(list)()
	offsets := make(map[part.ID]int64, len(list))
	for _, p := range list {
		if p.rewind = false; !p.gate.Ended() {
			offsets[p.id] = p.expect
		}
	}
	if len(offsets) > 0 {
		set(offsets)
	}
}

// moveTo has the client fetch the partition from another offset on.
func (p *partition) moveTo(offset int64, set setOffsets) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gate.Ended() {
		set(map[part.ID]int64{p.id: offset})
	}
}

// ending is a reason that ends, and the assignment that it stopped.
type ending struct {
	p   *partition
	key reason.Key
}

// goOn ends reasons that stopped partitions, each partition named once, and has them go on from where they stopped. It returns the
// partitions that go on, and the entries of the reasons that ended.
//
// What the poll loop has in hand was fetched ahead, before the stop. Otherwise: 1. records are fetched  2. the partition stops  3. the
// reason ends, and the client is told to go back  4. the poll loop hands over the records of 1, and those before them are skipped. So
// the first records that come are dropped, and the poll loop goes back itself (see rewindAll).
func goOn(list []ending, set setOffsets) (gone []*partition, entries []gate.Entry) {
	parts := make([]*partition, len(list))
	for i, e := range list {
		parts[i] = e.p
	}
	defer lockAll(parts)()
	offsets := make(map[part.ID]int64, len(list))
	for _, e := range list {
		if in := e.p.gate.Condition().Get(e.key); !e.p.gate.Ended() && in != nil && in.MayEnd() {
			e.p.rewind = true
			offsets[e.p.id] = e.p.expect
		}
	}
	if len(offsets) == 0 {
		return nil, nil
	}
	set(offsets) // so that something is fetched; before a gate opens, or it could undo what the poll loop sets
	for _, e := range list {
		if _, ok := offsets[e.p.id]; !ok {
			continue
		}
		if dropped, ok := e.p.gate.Drop(e.key); ok {
			e.p.tooLarge = oversize{}
			gone, entries = append(gone, e.p), append(entries, dropped)
		}
	}
	return gone, entries
}

// openedLocked notes a span for oldest, and its leader epoch for epochAt.
func (p *partition) openedLocked(c *chunk, now time.Time) {
	p.opened.drop(p.wm.Checkpoint())
	p.opened.add(c.next, now)
	if c.epoch >= 0 {
		p.epochs.add(c.first, c.epoch)
	}
}

// openSpans are the spans that the checkpoint has not passed, in order.
type openSpans struct {
	list   []openSpan
	passed int // so many of list the checkpoint has passed
}

type openSpan struct {
	next int64
	at   time.Time
}

// keptSpans is the longest list that is kept when it is empty.
const keptSpans = 1024

func (o *openSpans) add(next int64, now time.Time) { o.list = append(o.list, openSpan{next, now}) }

// drop forgets the spans that the checkpoint has passed.
func (o *openSpans) drop(checkpoint int64) {
	for o.passed < len(o.list) && o.list[o.passed].next <= checkpoint {
		o.passed++
	}
	if o.passed < len(o.list)-o.passed {
		return
	}
	n := copy(o.list, o.list[o.passed:])
	o.list, o.passed = o.list[:n], 0
	if n == 0 && cap(o.list) > keptSpans {
		o.list = nil // give back what a long outage needed
	}
}

// oldest returns when the oldest span was opened.
func (o *openSpans) oldest() (at time.Time, ok bool) {
	if o.passed < len(o.list) {
		return o.list[o.passed].at, true
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
