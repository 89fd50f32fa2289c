package assign

import (
	"fmt"
	"sync/atomic"
	"time"

	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
)

// BudgetKey is the reason that the sender's budget is full.
var BudgetKey = reason.Key{Code: reason.Budget, Scope: reason.Process}

// ResumePause is how long a partition stays paused at least whose stream was full, or that held too many pieces: each pause throws
// away what was fetched ahead.
const ResumePause = 200 * time.Millisecond

// PendingBytes is the memory of the chunks of all partitions that wait for room in the sender's budget. Chunks that wait because
// their own stream is full are not counted: they hold nobody else up.
type PendingBytes struct {
	Bytes   atomic.Int64
	InOrder atomic.Int64 // the same of chunks that wait for their turn; see countInOrderLocked
	Waiting atomic.Int64 // assignments that wait for room, whatever keeps it: so nobody asks ten thousand idle ones
}

// recordWeight is about what a fetched record takes in memory beside its value.
const recordWeight = 200

// attrWeight is about what an attribute of a record takes in memory beside its text.
const attrWeight = 40

func (c *chunk) weight() int64 {
	return c.bytes + recordWeight*int64(c.records) + attrWeight*int64(c.attrs)
}

// pending is the chunks of a partition that were fetched and that the sender has not taken yet, in order.
type pending struct {
	chunks  []*chunk
	weight  int64         // memory of chunks
	counted int64         // the part of weight that is in shared.Bytes
	inOrder int64         // the part of weight that is in shared.InOrder
	shared  *PendingBytes // of all partitions
}

// push puts chunks behind those that wait.
func (q *pending) push(chunks []*chunk) {
	for _, c := range chunks {
		q.weight += c.weight()
	}
	q.chunks = append(q.chunks, chunks...)
}

// shift takes away the first chunk, which the sender has.
func (q *pending) shift() {
	q.weight -= q.chunks[0].weight()
	q.chunks[0] = nil
	q.chunks = q.chunks[1:]
}

// drop forgets the chunks from i on.
func (q *pending) drop(i int) {
	for _, c := range q.chunks[i:] {
		q.weight -= c.weight()
	}
	if clear(q.chunks[i:]); i == 0 {
		q.chunks = nil
	} else {
		q.chunks = q.chunks[:i]
	}
}

// count brings the sum of all partitions up to date. forBudget says that the chunks wait for room in the budget.
func (q *pending) count(forBudget bool) {
	now := int64(0)
	if forBudget {
		now = q.weight
	}
	if now != q.counted {
		q.shared.Bytes.Add(now - q.counted)
		q.counted = now
	}
}

// stopsAtEnd reports whether the partition stops as soon as the sender has the last chunk. Nothing is put behind that chunk.
// Otherwise: 1. records up to a record without a stream wait for room  2. the next fetch is put behind them  3. they are sent, and
// the partition stops  4. it goes on at the fetch of 2, and the rest of the first is skipped.
func (q *pending) stopsAtEnd() bool {
	n := len(q.chunks)
	return n > 0 && q.chunks[n-1].stop != nil
}

// bytes is how much the values of the pending records take.
func (q *pending) bytes() (sum int64) {
	for _, c := range q.chunks {
		sum += c.bytes
	}
	return sum
}

// dropPendingLocked forgets the pending chunks from i on.
func (p *Assignment) dropPendingLocked(i int) {
	if p.pending.drop(i); i == 0 {
		p.gate.Drop(BudgetKey)
	}
	p.countPendingLocked()
}

func (p *Assignment) countPendingLocked() {
	p.pending.count(p.gate.Condition().Has(reason.Budget))
	if p.Lanes > 0 {
		p.countInOrderLocked(time.Now())
	}
}

// DropUnbegun forgets pending chunks of which nothing was sent.
func (p *Assignment) DropUnbegun() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, c := range p.pending.chunks {
		if !c.begun {
			p.dropPendingLocked(i)
			break
		}
	}
}

// Waiting reports how much is pending.
func (p *Assignment) Waiting() (chunks int, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pending.chunks), p.pending.bytes()
}

// noteWaitsLocked keeps waits true while the loop that offers pending chunks has something to do for p. Whoever adds a pending chunk calls it.
func (p *Assignment) noteWaitsLocked() {
	c := p.gate.Condition()
	waits := !p.gate.Ended() && (len(p.pending.chunks) > 0 || StreamFull(c) != nil || c.Get(p.shareKey) != nil || c.Get(lettersKey) != nil ||
		p.Lanes > 0 && c.Get(p.orderKey) != nil)
	switch {
	case p.waits.Swap(waits) == waits:
	case waits:
		p.pending.shared.Waiting.Add(1)
	default:
		p.pending.shared.Waiting.Add(-1)
	}
}

// RoomAgain ends the reasons of streams that were full, once nothing is pending.
func (p *Assignment) RoomAgain(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.pending.chunks) == 0 {
		for e := StreamFull(p.gate.Condition()); e != nil && now.Sub(e.Since) >= ResumePause; e = StreamFull(p.gate.Condition()) {
			p.gate.Drop(e.Key)
		}
		if e := p.gate.Condition().Get(lettersKey); e != nil && now.Sub(e.Since) >= ResumePause {
			p.gate.Drop(lettersKey)
		}
	}
	if p.Lanes > 0 {
		p.fetchAgainLocked(now)
	}
	p.noteWaitsLocked()
}

// Share closes a partition that holds more pieces than are free, and opens it again when there is room. So one whose commits fail,
// or whose stream stalls, leaves half of the pieces to the others; two leave a third. Replacements of lost pieces count, and are never
// held up. free is how many of most pieces (delivery.max_unfinal) nobody holds.
func (p *Assignment) Share(free, most int, now time.Time) {
	k, held := p.shareKey, p.checkpoint.Held()
	switch e := p.gate.Condition().Get(k); {
	case e == nil && held > free:
		p.gate.Add(reason.New(k, now, fmt.Sprintf("%d pieces of %s wait to become final or to be committed, as many as are free of delivery.max_unfinal (%d); "+
			"hint: see what else keeps them, or look at the failures of commits", held, p.Partition, most)), true)
		p.mu.Lock() // or a note of a moment ago might say last that there is nothing to do
		p.noteWaitsLocked()
		p.mu.Unlock()
	case e != nil && held <= free/4*3 && now.Sub(e.Since) >= ResumePause:
		p.gate.Drop(k)
	}
}

// RoutesInUse marks the routes that the assignment needs.
func (p *Assignment) RoutesInUse(in map[int32]bool) {
	if r := p.Router.Fixed(); r != nil {
		in[r.Index] = true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.pending.chunks {
		for i := range c.groups {
			in[c.groups[i].route.Index] = true
		}
	}
	p.checkpoint.Routes(in)
}

// Fits reports whether the record for which the partition stopped as too large fits into a frame by now.
func (p *Assignment) Fits() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.tooLarge
	return o.stream != nil && o.bytes <= o.stream.MaxRecord()
}

// ReachedEnd closes a partition of which a migration wants nothing more, and leaves any other alone.
func (p *Assignment) ReachedEnd() {
	if p.Limit < 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.expect < p.Limit { // a stop may have given back what was fetched
		return
	}
	p.gate.Add(reason.New(part.Key(p.Partition, reason.AtEnd), time.Now(), fmt.Sprintf("the migration has read %s up to its end, offset %d", p.Partition, p.Limit)), true)
}
