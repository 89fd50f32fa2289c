package replay

import (
	"cmp"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/requeue"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
	"inlong-bridge/sdk/backoff"
)

// task is one lost piece that is to be read again. from moves on as parts of the piece are handed over, so that a task that had to
// stop half-way continues there.
type task struct {
	of     Assignment
	piece  checkpoint.Piece
	origin checkpoint.Origin
	from   int64     // offsets below it were handed over, or are gone
	found  int32     // records handed over
	letter bool      // its only record is to become a dead letter
	halve  bool      // they become two pieces
	gone   bool      // some of its range is gone from Kafka, and on_gap accepts that
	due    time.Time // not before
	pause  time.Duration
}

// wanted reports whether the piece still has to be read again.
func (t *task) wanted() bool { return t.of.Checkpoint().Wanted(t.piece) }

// readable reports whether Kafka may still have the piece's records. Reading again goes on in a partition that stopped for another
// reason: what lies before the stop is delivered.
func (t *task) readable() bool {
	return !t.of.Gate().Condition().Has(reason.Recreated, reason.Truncated)
}

// inTurn reports whether its records may be sent now without overtaking what lies before them in their lane.
func (t *task) inTurn() bool { return t.of.Checkpoint().InTurn(t.piece) }

// outstanding reports whether the piece still has to be read again and can be.
func (t *task) outstanding() bool { return t.wanted() && t.readable() }

// stop stops the partition of a task whose records cannot be read again. The piece stays open.
func (t *task) stop(r *reason.Reason) {
	t.of.Stop(r)
	t.of.Gate().Strand(1)
}

// rest is the part of the origin that the task still needs.
func (t *task) rest() checkpoint.Origin {
	o := t.origin
	o.First = t.from
	return o
}

// backOff has the task wait before it is tried again, longer each time.
func (t *task) backOff(now time.Time, pauses backoff.Backoff) {
	t.pause = pauses.Next(t.pause)
	t.due = now.Add(t.pause)
}

// missing is how many of the piece's records were not found.
func (t *task) missing() int32 { return max(0, t.origin.Records-t.found) }

// run is where a piece is from that holds a run of the task's records.
func (t *task) run(offsets []int64) checkpoint.Origin {
	o := t.origin
	o.First, o.Last, o.Records = offsets[0], offsets[len(offsets)-1], int32(len(offsets))
	return o
}

// record returns the task's record, of one that has only one; nil if it is not among recs. Its route does not count: there may be none.
func (t *task) record(recs []*kgo.Record) *kgo.Record {
	i, ok := slices.BinarySearchFunc(recs, t.origin.First, func(r *kgo.Record, o int64) int { return cmp.Compare(r.Offset, o) })
	if !ok || recs[i].Attrs.IsControl() {
		return nil
	}
	return recs[i]
}

// reading is one range of a partition that is fetched for the tasks in it.
type reading struct {
	first, last int64
	tasks       []*task
}

// next is the first offset that a task still needs.
func (r *reading) next() int64 {
	next := r.tasks[0].from
	for _, t := range r.tasks {
		next = min(next, t.from)
	}
	return next
}

// maxReadGap is how many offsets between two ranges are fetched in vain rather than moving the client.
const maxReadGap = 512

// planReading picks what to fetch next of one partition: the first of the ranges that cover its tasks, and the tasks that fall
// into it. Overlapping and neighbouring tasks share a range and are fetched once.
func planReading(tasks []*task) (r reading, rest []*task) {
	slices.SortFunc(tasks, func(a, b *task) int { // they come out of a map, and what is sent follows their order
		return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.piece, b.piece))
	})
	origins := make([]checkpoint.Origin, len(tasks))
	for i, t := range tasks {
		origins[i] = t.rest()
	}
	ranges := checkpoint.Plan(origins, maxReadGap)
	if len(ranges) == 0 {
		return reading{}, nil
	}
	r.first, r.last = ranges[0].First, ranges[0].Last
	for _, t := range tasks {
		if o := t.rest(); o.First >= r.first && o.Last <= r.last {
			r.tasks = append(r.tasks, t)
		} else {
			rest = append(rest, t)
		}
	}
	return r, rest
}

// picked is records of a task, as they travel.
type picked struct {
	values   [][]byte // as they lie in Kafka; payloads itself where values travel as they are
	payloads [][]byte // values, or what is made of them
	attrs    [][]sdk.Attr
	offsets  []int64
	time     time.Time // of the first

	// Of a requeue: the records are originals of one partition, because their piece is.
	from *requeue.Letter
	told []int64 // offsets of the originals
}

// cut takes away the first n records.
func (p *picked) cut(n int) {
	if p.payloads, p.offsets = p.payloads[n:], p.offsets[n:]; p.attrs != nil {
		p.attrs = p.attrs[n:]
	}
	p.told = p.told[min(n, len(p.told)):]
}

// toldOf returns the offsets of the originals [from, to), nil where nothing is requeued.
func (p *picked) toldOf(from, to int) []int64 {
	if p.from == nil {
		return nil
	}
	return p.told[from:to]
}

// attrsOf returns the attributes of records [from, to), nil where records have none.
func (p *picked) attrsOf(from, to int) [][]sdk.Attr {
	if p.attrs == nil {
		return nil
	}
	return p.attrs[from:to]
}

// pick gathers the records that belong to the task: those of its offsets, route and minute that were not handed over yet. Every
// other record of the range lives in another piece.
func (t *task) pick(recs []*kgo.Record) (p picked) {
	content, originals := t.of.Content(), route.Originals{}
	lo, _ := slices.BinarySearchFunc(recs, t.from, func(r *kgo.Record, o int64) int { return cmp.Compare(r.Offset, o) })

	for _, rec := range recs[lo:] {
		if rec.Offset > t.origin.Last {
			break
		}
		if rec.Attrs.IsControl() {
			continue
		}
		eventAt, minute, ok := route.EventTime(rec)
		if !ok { // it was sent with the time of its arrival, and belongs to that minute still
			if !t.origin.Arrived {
				continue
			}
			eventAt, minute = time.Unix(int64(t.origin.Minute)*60, 0), t.origin.Minute
		}
		if minute != t.origin.Minute {
			continue
		}
		index, ok := t.of.Known(rec)
		if !ok || !t.origin.Holds(rec.Offset, index, minute) || t.of.Lane(rec) != t.origin.Lane {
			continue // it was not routed here when it was sent, so it is not of this piece
		}
		l := requeue.Of(rec)
		if l != nil {
			content = originals.Content(l)
		}
		body := content.Of(rec)
		if body.Aside {
			continue // nor was it sent before, and it has its own place in the books
		}
		if len(p.offsets) == 0 {
			p.time = eventAt
		}
		if l != nil {
			p.from, p.told = l, append(p.told, l.Offset)
		}
		p.payloads, p.offsets = append(p.payloads, body.Payload), append(p.offsets, rec.Offset)
		if content != nil {
			p.values = append(p.values, rec.Value)
		}
		if content.WithAttrs() {
			p.attrs = append(p.attrs, body.Attrs)
		}
	}
	if content == nil {
		p.values = p.payloads
	}
	return p
}
