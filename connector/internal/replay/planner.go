package replay

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/requeue"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
	"inlong-bridge/sdk/backoff"
)

// Assignment is one assignment of a partition to this process, as far as replay needs it.
type Assignment interface {
	ID() part.ID
	TopicID() [16]byte // all zeros if the brokers do not tell
	Checkpoint() *checkpoint.Partition
	Gate() *gate.Gate
	// Known returns the index of a record's route; ok is false for a record that no piece can hold.
	Known(rec *kgo.Record) (index int32, ok bool)
	// Lane returns the lane in which a record keeps its order.
	Lane(rec *kgo.Record) uint8
	// Content is what travels of a record, nil for its value.
	Content() *route.Content
	// Stop stops the partition. A second call with the same reason does nothing.
	Stop(r *reason.Reason)
	// AsideAgain says whether a lost piece is one record that is to become a dead letter, and not before when.
	AsideAgain(pc checkpoint.Piece) (due time.Time, ok bool)
	// KeepTooLarge applies on_error to one record of a lost piece that is too large to be sent again, and has its own piece replace it. It
	// returns false if the partition is to stop.
	KeepTooLarge(lost checkpoint.Piece, o checkpoint.Origin, err error) bool
}

// Outlet takes records that are sent once more.
type Outlet interface {
	// Send returns how many of the batch's records were taken, from the first on. tooLarge is not nil when the next record is too
	// large to be sent at all; otherwise the rest may be taken later.
	Send(b *Batch) (taken int, tooLarge error)
	// Letter takes the record of a lost piece that is to become a dead letter; taken is false while there is no room.
	Letter(a Assignment, pc checkpoint.Piece, rec *kgo.Record) (taken bool)
}

// Batch is records of one lost piece.
type Batch struct {
	Assignment Assignment
	Route      int32
	Time       time.Time // event time
	Payloads   [][]byte
	Attrs      [][]sdk.Attr    // of each payload; nil where records have none
	Offsets    []int64         // of the payloads
	From       *requeue.Letter // of a requeue: the payloads are originals of its partition
	Told       []int64         // of a requeue: offsets of the originals
	Alone      bool            // proxies may not stand them: they share a pack with nothing else
	// Packed is called for each run of payloads [from, to) that goes into one pack, before the pack is sent. It returns the piece that
	// the run is from now on; 0 for one of which no news is wanted.
	Packed func(from, to int) uint64
}

// Config is what a Planner needs.
type Config struct {
	Outlet    Outlet
	Origin    string // names this consumer group in the packs that it sends
	AcceptGap bool   // delivery.on_gap: continue
	Moved     func() // called when something became final or was given up; may be nil
}

// Planner decides what is read again. Add, Pending, Outstanding, Has and Counts may be called from anywhere; everything else belongs
// to one goroutine.
type Planner struct {
	c Config

	mu    sync.Mutex
	tasks map[*task]struct{} // guarded by mu; all that are not done

	active map[part.ID]*reading // being fetched
	halved map[part.ID]bool     // of which pieces to be halved were fetched last

	ranges, records, bytes, gone atomic.Uint64
}

const maxReadings = 16 // partitions fetched at a time

// Pauses of a task while the sender has no room, and while fetching fails.
var (
	fullPauses  = backoff.Backoff{Min: 50 * time.Millisecond, Max: 2 * time.Second}
	errorPauses = backoff.Backoff{Min: 200 * time.Millisecond, Max: 5 * time.Second}
)

// NewPlanner makes a planner without lost pieces.
func NewPlanner(c Config) *Planner {
	if c.Moved == nil {
		c.Moved = func() {}
	}
	return &Planner{c: c, tasks: make(map[*task]struct{}), active: make(map[part.ID]*reading), halved: make(map[part.ID]bool)}
}

// Add asks for a lost piece to be read again. It never waits: it runs on the sender's dispatcher.
func (p *Planner) Add(a Assignment, pc checkpoint.Piece, o checkpoint.Origin) {
	t := &task{of: a, piece: pc, origin: o, from: o.First}
	t.due, t.letter = a.AsideAgain(pc)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tasks[t] = struct{}{}
}

// Pending is how many lost pieces are not handed over again yet.
func (p *Planner) Pending() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.tasks)
}

// Outstanding returns the assignments with lost pieces that still have to be read again and can be.
func (p *Planner) Outstanding() map[Assignment]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make(map[Assignment]bool)
	for t := range p.tasks {
		if t.outstanding() {
			out[t.of] = true
		}
	}
	return out
}

// Has reports whether any of the assignments for which of is true has lost pieces that still have to be read again and can be.
func (p *Planner) Has(of func(a Assignment) bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for t := range p.tasks {
		if of(t.of) && t.outstanding() {
			return true
		}
	}
	return false
}

// Counts is what was read again so far.
type Counts struct {
	Ranges, Records, Bytes uint64
	Gone                   uint64 // records that are gone from Kafka, which on_gap accepted
}

// Counts returns what was read again so far.
func (p *Planner) Counts() Counts {
	return Counts{Ranges: p.ranges.Load(), Records: p.records.Load(), Bytes: p.bytes.Load(), Gone: p.gone.Load()}
}

// Start is a partition to fetch, from an offset on.
type Start struct {
	Partition part.ID
	Offset    int64
}

// Plan drops what is not wanted any more and begins with partitions that are not being fetched. The caller stops fetching the
// partitions in leave, then fetches those in begin. next is when the next waiting task is due, zero for none.
func (p *Planner) Plan(now time.Time) (begin []Start, leave []part.ID, next time.Time) {
	due, next := p.due(now)
	for id, rd := range p.active {
		keep := rd.tasks[:0]
		for _, t := range rd.tasks {
			if t.outstanding() {
				keep = append(keep, t)
			}
		}
		if rd.tasks = keep; len(keep) == 0 {
			delete(p.active, id)
			leave = append(leave, id)
		}
	}
	for id, tasks := range due {
		if len(p.active) >= maxReadings {
			break
		}
		if p.active[id] == nil {
			rd, _ := planReading(p.turn(id, tasks))
			p.active[id] = &rd
			p.ranges.Add(1)
			begin = append(begin, Start{id, rd.first})
		}
	}
	return begin, leave, next
}

// due returns the tasks that may begin now, by partition, and when the next one may.
func (p *Planner) due(now time.Time) (due map[part.ID][]*task, next time.Time) {
	due = make(map[part.ID][]*task)
	busy := make(map[*task]bool)
	for _, rd := range p.active {
		for _, t := range rd.tasks {
			busy[t] = true
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for t := range p.tasks {
		switch {
		case busy[t]:
		case !t.wanted():
			delete(p.tasks, t)
		case !t.readable():
			t.of.Gate().Strand(1)
			delete(p.tasks, t)
		case t.of.Gate().Condition().Has(reason.Deleted): // its topic may come back
		case !t.inTurn(): // what becomes final wakes the planner's owner
		case t.due.After(now):
			if next.IsZero() || t.due.Before(next) {
				next = t.due
			}
		default:
			due[t.of.ID()] = append(due[t.of.ID()], t)
		}
	}
	return due, next
}

// Active reports whether any partition is being fetched.
func (p *Planner) Active() bool { return len(p.active) > 0 }

// Next is what the caller does with a partition of which it fetched something.
type Next uint8

// What comes next.
const (
	Continue Next = iota // keep fetching it
	Leave                // stop fetching it
	AskLog               // stop fetching it, find out where its log begins and ends, and call Gap; or Failed if that fails
)

// Fetched takes what was fetched of a partition. topic is the id of the topic in the answer, logStart where its log begins.
func (p *Planner) Fetched(id part.ID, topic [16]byte, logStart int64, recs []*kgo.Record, now time.Time) Next {
	rd := p.active[id]
	switch {
	case rd == nil:
		return Leave
	case part.OtherTopic(topic, rd.tasks[0].of.TopicID()):
		p.recreated(id, rd)
		return Leave
	case part.JumpsStart(recs, logStart, rd.next()):
		return AskLog
	case len(recs) == 0:
		return Continue
	}
	return p.handle(id, rd, recs, now)
}

// recreated stops the partition of a range: the topic has the same name and offsets, but other records. The lost ones are gone.
func (p *Planner) recreated(id part.ID, rd *reading) {
	delete(p.active, id)
	for _, t := range rd.tasks {
		t.of.Stop(part.Recreated(id, t.of.Checkpoint().Position()))
	}
}

// handle hands the records that belong to tasks to the sender. The range ends after its last record, or when the sender has no room.
func (p *Planner) handle(id part.ID, rd *reading, recs []*kgo.Record, now time.Time) Next {
	upTo := recs[len(recs)-1].Offset
	full := false
	open := rd.tasks[:0]
	for _, t := range rd.tasks {
		switch p.serve(t, recs, upTo) {
		case taskDone:
			p.done(t)
		case taskFull:
			if full = true; t.inTurn() { // what waits for its turn is not due before
				t.backOff(now, fullPauses)
			}
		case taskOpen:
			t.pause = 0
			open = append(open, t)
		}
	}
	rd.tasks = open
	if full || len(open) == 0 || upTo >= rd.last {
		delete(p.active, id)
		return Leave
	}
	return Continue
}

type taskState uint8

const (
	taskOpen taskState = iota // its range goes on beyond what was fetched
	taskFull                  // the sender has no room for the rest
	taskDone
)

// serve hands over the task's records among recs, which are everything there is up to upTo.
func (p *Planner) serve(t *task, recs []*kgo.Record, upTo int64) taskState {
	if !t.wanted() {
		return taskDone
	}
	if upTo < t.from {
		return taskOpen
	}
	if t.letter {
		if rec := t.record(recs); rec != nil {
			if p.c.Outlet.Letter(t.of, t.piece, rec) {
				return taskDone
			}
			return taskFull
		}
		return p.passed(t, upTo)
	}
	got := t.pick(recs)
	if h := route.LoopIn(t.of.ID(), p.c.Origin, got.values, got.offsets); h != nil { // the log was cut and grew again with other records
		t.stop(h)
		return taskDone
	}
	for len(got.payloads) > 0 {
		n, tooLarge := p.handOver(t, &got)
		for _, v := range got.payloads[:n] {
			p.bytes.Add(uint64(len(v)))
		}
		p.records.Add(uint64(n))
		if n == len(got.payloads) {
			break
		}
		t.from = got.offsets[n]
		if tooLarge == nil {
			return taskFull
		}
		// It was sent before: the proxies' limit shrank.
		if !t.of.KeepTooLarge(t.piece, t.run(got.offsets[n:n+1]), tooLarge) {
			t.stop(part.Stop(t.of.ID(), reason.TooLarge, got.offsets[n], "reading a lost record again: "+tooLarge.Error()))
			return taskDone
		}
		t.found++
		got.cut(n + 1)
	}
	return p.passed(t, upTo)
}

// passed notes that everything up to an offset was looked at, and ends the task where that is its last.
func (p *Planner) passed(t *task, upTo int64) taskState {
	t.from = upTo + 1
	if t.from <= t.origin.Last {
		return taskOpen
	}
	class := checkpoint.Gap // compaction took them, which is what the topic's owner wants
	if t.gone {
		class = checkpoint.LostGap
		p.gone.Add(uint64(t.missing()))
	}
	t.of.Checkpoint().Replaced(t.piece, int64(t.missing()), class)
	p.c.Moved()
	return taskDone
}

// handOver hands records of a task to the sender, in one batch, or two where the piece is halved. It returns how many were taken, and
// why the next one can never be.
func (p *Planner) handOver(t *task, got *picked) (n int, tooLarge error) {
	for n < len(got.payloads) && tooLarge == nil && t.inTurn() {
		from, to := n, t.upTo(n, len(got.payloads))
		var taken int
		taken, tooLarge = p.c.Outlet.Send(&Batch{
			Assignment: t.of, Route: t.origin.Route, Time: got.time, Payloads: got.payloads[from:to], Attrs: got.attrsOf(from, to), Alone: t.halve,
			Offsets: got.offsets[from:to], From: got.from, Told: got.toldOf(from, to),
			Packed: func(a, b int) uint64 {
				return uint64(t.of.Checkpoint().Replace(t.piece, t.run(got.offsets[from+a:from+b])))
			},
		})
		n += taken
		t.found += int32(taken)
		if n < to {
			break
		}
	}
	return n, tooLarge
}

func (p *Planner) done(t *task) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.tasks, t)
}

// giveUp ends a task whose records nobody has any more. Its piece stays open.
func (p *Planner) giveUp(t *task, r *reason.Reason) {
	t.stop(r)
	p.done(t)
	p.c.Moved()
}

// Failed has the tasks of a partition wait that could not be fetched. They are tried again without end.
func (p *Planner) Failed(id part.ID, now time.Time) {
	rd := p.active[id]
	if rd == nil {
		return
	}
	delete(p.active, id)
	for _, t := range rd.tasks {
		t.backOff(now, errorPauses)
	}
}

// Gone is a range of lost records that are gone from Kafka, both ends included.
type Gone struct{ From, To int64 }

// Gap judges a partition whose fetch was out of the log's range. It returns the ranges that are gone and without which the partition
// goes on (on_gap: continue).
func (p *Planner) Gap(id part.ID, x part.Extent) (accepted []Gone) {
	rd := p.active[id]
	if rd == nil {
		return nil
	}
	if part.OtherTopic(rd.tasks[0].of.TopicID(), x.Topic) { // the offsets are another topic's
		p.recreated(id, rd)
		return nil
	}
	delete(p.active, id)
	for _, t := range rd.tasks {
		switch {
		case t.from > x.End:
			p.giveUp(t, part.Truncated(id, x.End, t.from))
		case t.from >= x.Start: // it was out of range only as part of a wider range
		case !p.c.AcceptGap:
			p.giveUp(t, part.Gap(id, t.from, min(x.Start, t.origin.Last+1)))
		default:
			accepted = append(accepted, Gone{t.from, min(x.Start-1, t.origin.Last)})
			t.gone, t.from = true, x.Start
			if t.from > t.origin.Last {
				p.gone.Add(uint64(t.missing()))
				t.of.Checkpoint().Replaced(t.piece, int64(t.missing()), checkpoint.LostGap)
				p.done(t)
				p.c.Moved()
			}
		}
	}
	return accepted
}
