package assign

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/deadletter"
	"inlong-bridge/connector/internal/letters"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/requeue"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/reason"
	"inlong-bridge/mapping"
	"inlong-bridge/sdk"
	"inlong-bridge/sdk/backoff"
)

// A record that on_error keeps from the proxies is set aside: skipped, or written as a dead letter. Such a letter is a piece of its
// own, which ends when the letter is safe in its topic.

// Aside is where records go that are set aside. Its methods must be quick.
type Aside interface {
	Room() bool // for a letter
	Write(it letters.Item)
	Skipped(p *Assignment, s Skips)                                        // told of records that on_error skips
	Lettered(p *Assignment, class mapping.Class, offset int64, why string) // told of each letter that is safe
}

// Skips are records of one class that on_error skips, the first of them and why.
type Skips struct {
	Class mapping.Class
	N     int64
	First int64
	Why   string
}

// CodeOf is the reason of a class of records that cannot be delivered. They have the same names.
func CodeOf(c mapping.Class) reason.Code { return reason.Code(c.String()) }

// lettersKey is the reason that letters wait for room.
var lettersKey = reason.Key{Code: reason.LetterWait, Scope: reason.Process}

// rules is the topic's on_error, nil where everything stops the partition.
func (f *facts) rules() *mapping.Topic {
	if f.Aside == nil {
		return nil
	}
	return f.Topic.Mapping
}

// policy says what becomes of a record that cannot be delivered.
func (f *facts) policy(c mapping.Class) mapping.Policy {
	if t := f.rules(); t != nil {
		return t.OnError(c)
	}
	return mapping.PolicyStop
}

// stopsAt reports whether a record that cannot be delivered stops the partition: neither on_error nor a person passes over it.
func (f *facts) stopsAt(c mapping.Class, offset int64) bool {
	return f.policy(c) == mapping.PolicyStop && !f.ByHand.Is(offset)
}

// letterPauses are between two tries to write a letter.
var letterPauses = backoff.Backoff{Min: time.Second, Max: 30 * time.Second}

// letterbox is what an assignment knows of its letters.
type letterbox struct {
	mu      sync.Mutex
	rate    letters.Rate                  // guarded by mu
	waiting map[checkpoint.Piece]*waiting // guarded by mu; letters whose records are to be read again
	roots   map[checkpoint.Piece]int      // guarded by mu; how many letters of pieces with a place of their own could not be written
}

// waiting is a letter whose record is to be read again.
type waiting struct {
	class    mapping.Class
	why      string
	attempts int
	failed   bool             // it could not be written, and the partition is stopped for it
	root     checkpoint.Piece // what it was cut from, of one that failed
	due      time.Time
	pause    time.Duration
	busy     bool // its batch is being fetched or written
}

// fetched counts records for the limit.
func (b *letterbox) fetched(n int, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rate.Records(n, now)
}

func (b *letterbox) get(pc checkpoint.Piece) (w waiting, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if x := b.waiting[pc]; x != nil {
		return *x, true
	}
	return waiting{}, false
}

func (b *letterbox) put(pc checkpoint.Piece, w waiting) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.putLocked(pc, w)
}

func (b *letterbox) putLocked(pc checkpoint.Piece, w waiting) {
	if b.waiting == nil {
		b.waiting = make(map[checkpoint.Piece]*waiting)
	}
	b.waiting[pc] = &w
}

// fail notes that a letter could not be written, and reports whether it is the first of its root.
func (b *letterbox) fail(pc checkpoint.Piece, w waiting, root checkpoint.Piece, now time.Time) (first bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	w.pause = letterPauses.Next(w.pause)
	w.due = now.Add(w.pause)
	if !w.failed {
		if b.roots == nil {
			b.roots = make(map[checkpoint.Piece]int)
		}
		w.failed, w.root = true, root
		b.roots[root]++
		first = b.roots[root] == 1
	}
	b.putLocked(pc, w)
	return first
}

// settle forgets the letters that are not wanted any more. over is how many roots have no letter left that failed, and left how many
// letters that failed are wanted.
func (b *letterbox) settle(c *checkpoint.Partition) (over, left int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for pc, w := range b.waiting {
		if c.Wanted(pc) {
			if w.failed {
				left++
			}
			continue
		}
		delete(b.waiting, pc)
		if !w.failed {
			continue
		}
		if b.roots[w.root]--; b.roots[w.root] == 0 {
			delete(b.roots, w.root)
			over++
		}
	}
	return over, left
}

// LettersLeft returns how many letters could not be written and are to be tried again.
func (p *Assignment) LettersLeft() int {
	over, left := p.letters.settle(p.checkpoint)
	p.gate.Strand(-over)
	return left
}

// AsideAgain says whether a lost piece is a record that is to be set aside, and not before when.
func (p *Assignment) AsideAgain(pc checkpoint.Piece) (due time.Time, ok bool) {
	w, ok := p.letters.get(pc)
	return w.due, ok
}

// overLimit counts a letter and returns why it must not be written, nil if it may.
func (p *Assignment) overLimit(offset int64, now time.Time) *reason.Reason {
	p.letters.mu.Lock()
	over, n, records := p.letters.rate.Letter(now)
	limit := p.letters.rate.Limit
	p.letters.mu.Unlock()
	if !over {
		return nil
	}
	return part.Stop(p.Partition, reason.LetterLimit, offset, fmt.Sprintf("%d of the %d records of %s in the last minute would become dead letters, more than dead_letter.limit (%d) and more than 1 %%; "+
		"hint: find out what is wrong with the stream, the proxies or the producer, and restart the bridge; raise dead_letter.limit only if so many are meant", n, records, p.Partition, limit))
}

// setAside applies on_error to a piece of one record. It returns false if the partition is to stop.
func (p *Assignment) setAside(pc checkpoint.Piece, class mapping.Class, why string, attempts int) bool {
	policy := p.policy(class)
	o, known := p.checkpoint.Origin(pc)
	switch {
	case policy == mapping.PolicyStop:
		if !known || !p.ByHand.Is(o.First) || o.Records != 1 {
			return false
		}
		p.ByHand.Took(why)
		p.endAside(pc, checkpoint.ByHand)
	case !known: // nobody waits for it
	case policy == mapping.PolicySkip:
		if p.endAside(pc, checkpoint.Skipped) {
			p.Aside.Skipped(p, Skips{Class: class, N: int64(o.Records), First: o.First, Why: why})
		}
	default:
		if r := p.overLimit(o.First, time.Now()); r != nil {
			p.strandAlone(pc)
			p.Stop(r)
			return true
		}
		p.letters.put(pc, waiting{class: class, why: why, attempts: attempts})
		if o, again := p.checkpoint.Lost(pc); again {
			p.events.Lost(p, pc, o)
		}
	}
	return true
}

// endAside books the records of a piece as what became of them, and reports whether it was open until then.
func (p *Assignment) endAside(pc checkpoint.Piece, as checkpoint.Class) (ended bool) {
	ended = p.checkpoint.SetAside(pc, as)
	p.laneFreed()
	p.events.Moved()
	return ended
}

// write hands over the letter of a piece.
func (p *Assignment) write(pc checkpoint.Piece, rec *kgo.Record, w waiting) {
	l := deadletter.Letter{
		Cluster: p.Cluster, Topic: p.Partition.Topic, TopicID: p.Topic.ID, Partition: p.Partition.Num, Offset: rec.Offset, Last: rec.Offset,
		Attempts: w.attempts,
	}
	if old := requeue.Of(rec); old != nil { // the same original again: one of its letters outlives compaction
		l = old.Again(w.attempts)
	}
	l.Reason, l.Sentence = string(CodeOf(w.class)), w.why
	p.Aside.Write(letters.Item{Original: rec, Letter: l, Done: func(err error) { p.written(pc, w, rec.Offset, err) }})
}

// written takes news of a letter. After a revoke it moves nothing.
func (p *Assignment) written(pc checkpoint.Piece, w waiting, offset int64, err error) {
	if err == nil {
		p.endAside(pc, checkpoint.Quarantined)
		p.Aside.Lettered(p, w.class, offset, w.why)
		return
	}
	defer p.events.Moved()
	o, again := p.checkpoint.Lost(pc)
	if !again {
		if !p.checkpoint.Wanted(pc) {
			return
		}
		o, _ = p.checkpoint.Origin(pc)
	}
	if p.letters.fail(pc, w, p.checkpoint.Root(pc), time.Now()) {
		p.gate.Strand(1)
	}
	p.stopForLetter(offset, err.Error())
	if w.class != mapping.ClassUndecodable { // its batch is fetched by hand; see BatchesDue
		p.events.Lost(p, pc, o)
	}
}

// stopForLetter stops the partition because a letter cannot be written.
func (p *Assignment) stopForLetter(offset int64, text string) {
	if !strings.Contains(text, "; hint: ") {
		text += "; hint: look at the brokers of the source"
	}
	p.Stop(part.Stop(p.Partition, reason.LetterTopic, offset, text+"; the partition goes on by itself once its letters are written"))
}

// StopForLetters stops the partition for letters that failed while it was about to go on.
func (p *Assignment) StopForLetters() {
	p.stopForLetter(-1, "a dead letter could not be written")
}

// setAside is a record of a chunk that becomes a dead letter.
type setAside struct {
	rec   *kgo.Record
	route int32 // -1 for one without
	waiting
}

// noRoute is the route of a piece whose record has none.
const noRoute = -1

// keep applies on_error to a record that cannot be sent. It returns false if the partition is to stop.
func (s *Splitter) keep(c *chunk, rec *kgo.Record, class mapping.Class, route int32, why string) bool {
	policy := mapping.PolicyStop
	if s.rules != nil {
		policy = s.rules.OnError(class)
	}
	if l := requeue.Of(rec); l != nil && l.Verdict != requeue.Chosen {
		policy = mapping.PolicyStop // no letter, or one that cannot be opened: there is no original
	}
	switch policy {
	case mapping.PolicySkip:
		c.skipped++
		s.taken.skip(class, rec.Offset, why)
	case mapping.PolicyDeadLetter:
		c.aside = append(c.aside, setAside{rec: rec, route: route, waiting: waiting{class: class, why: why}})
		c.bytes += int64(len(rec.Value))
	default:
		return s.skipByHand(c, rec, why)
	}
	return true
}

// skipByHand leaves out a record at which the partition would stop, if a person said so.
func (s *Splitter) skipByHand(c *chunk, rec *kgo.Record, why string) bool {
	if !s.byHand.Is(rec.Offset) {
		return false
	}
	s.byHand.Took(why)
	c.byHand++
	return true
}

// keepTooLarge applies on_error to a record of which more bytes travel than its stream takes.
func (s *Splitter) keepTooLarge(c *chunk, rec *kgo.Record, size int, r *route.Route) bool {
	if s.rules == nil && !s.byHand.Is(rec.Offset) {
		return false
	}
	most := r.Stream.MaxRecord() - packAttrsSize(s.router)
	return size > most && s.keep(c, rec, mapping.ClassTooLarge, r.Index, part.InKeys(&sdk.TooLargeError{Size: size, Limit: most}))
}

// packAttrsSize is what the attributes of the packs of a topic's records take of a frame.
func packAttrsSize(rt *route.Router) int {
	if text := rt.PackAttrs().String(); text != "" {
		return len("&") + len(text)
	}
	return 0
}

func (t *Taken) skip(class mapping.Class, offset int64, why string) {
	for i := range t.Aside {
		if t.Aside[i].Class == class {
			t.Aside[i].N++
			return
		}
	}
	t.Aside = append(t.Aside, Skips{Class: class, N: 1, First: offset, Why: why})
}

// writeLettersLocked hands over the letters of a chunk that has begun. It returns what the rest waits for, or why the partition
// cannot go on.
func (p *Assignment) writeLettersLocked(c *chunk, now time.Time) (wait reason.Key, h *reason.Reason) {
	for len(c.aside) > 0 {
		x := &c.aside[0]
		if !p.Aside.Room() {
			return lettersKey, nil
		}
		if h := p.overLimit(x.rec.Offset, now); h != nil {
			return reason.Key{}, h
		}
		if pc := p.checkpoint.Add(c.span, checkpoint.Origin{First: x.rec.Offset, Last: x.rec.Offset, Route: x.route, Records: 1, Lane: p.Lane(x.rec)}); pc != 0 {
			p.write(pc, x.rec, x.waiting)
		}
		c.aside[0] = setAside{}
		c.aside = c.aside[1:]
	}
	return reason.Key{}, nil
}

// keepTooLargeLocked applies on_error to the next record of a group, which the sender takes no more: its limit shrank. It returns false
// if the partition is to stop.
func (p *Assignment) keepTooLargeLocked(c *chunk, g *group, err error) bool {
	at := g.offsets[g.sent]
	if p.stopsAt(mapping.ClassTooLarge, at) {
		return false
	}
	p.beginLocked(c, time.Now())
	p.setAside(p.checkpoint.Add(c.span, checkpoint.Origin{
		First: at, Last: at, Route: g.route.Index, Minute: g.minute, Records: 1, Arrived: g.minute == c.arrived.Minute, Lane: g.lane,
	}), mapping.ClassTooLarge, part.InKeys(err), 0)
	g.payloads[g.sent] = nil
	g.sent++
	return true
}

// KeepTooLarge applies on_error to a record of a lost piece, which was sent before and fits no more: the limit shrank. It returns false
// if the partition is to stop.
func (p *Assignment) KeepTooLarge(lost checkpoint.Piece, o checkpoint.Origin, err error) bool {
	if p.stopsAt(mapping.ClassTooLarge, o.First) {
		return false
	}
	return p.setAside(p.checkpoint.Replace(lost, o), mapping.ClassTooLarge, part.InKeys(err), 0)
}
