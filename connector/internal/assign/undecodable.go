package assign

import (
	"crypto/sha256"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/deadletter"
	"inlong-bridge/connector/internal/letters"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/source"
	"inlong-bridge/connector/reason"
	"inlong-bridge/mapping"
)

// Doubt is what looks by hand at a batch have shown that the client could not decode. A read that was damaged on its way is other bytes, or
// a sound batch, the next time; what lies in the log stays the same.
type Doubt struct {
	Looks int // that showed the same bytes
	at    int64
	sum   [sha256.Size]byte
}

// Looked returns what is known after one look more, which showed these bytes at an offset.
func (d *Doubt) Looked(at int64, raw []byte) *Doubt {
	next := &Doubt{Looks: 1, at: at, sum: sha256.Sum256(raw)}
	if d.at == next.at && d.sum == next.sum {
		next.Looks = d.Looks + 1
	}
	return next
}

// Distrust has nothing taken of what the client fetched behind a batch that it could not decode: it may have skipped some of it.
func (p *Assignment) Distrust() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rewind = true
}

// GoBack has the client fetch again from the position on. See GoOn for why what it has in hand is dropped.
func (p *Assignment) GoBack(set setOffsets) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.goToLocked(p.expect, set)
}

func (p *Assignment) goToLocked(offset int64, set setOffsets) {
	if !p.gate.Ended() {
		p.expect, p.rewind = offset, true
		set(map[part.ID]int64{p.Partition: offset})
	}
}

// StopsAtUndecodable reports whether a batch that cannot be read stops the partition.
func (p *Assignment) StopsAtUndecodable() bool {
	return p.policy(mapping.ClassUndecodable) == mapping.PolicyStop
}

// PassBatch applies on_error to a batch that cannot be read, of which at is the next offset that is wanted, and has the client go on behind it. It returns
// false if nothing was decided: something before the batch waits, or there is no room for a letter.
func (p *Assignment) PassBatch(b *source.Batch, at int64, set setOffsets) (decided bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gate.Ended() || p.expect != at || len(p.pending.chunks) > 0 {
		return false
	}
	policy := p.policy(mapping.ClassUndecodable)
	if b.Next < 0 || policy == mapping.PolicyStop && !b.Empty {
		p.Stop(part.Undecodable(p.Partition, at, b.Next, b.Codec, b.Why, false))
		return true
	}
	if policy == mapping.PolicyDeadLetter && !b.Empty {
		if !p.Aside.Room() {
			return false
		}
		if r := p.overLimit(at, time.Now()); r != nil {
			p.Stop(r)
			return true
		}
	}
	next := b.Next
	if p.Limit >= 0 {
		next = min(next, p.Limit)
	}
	why := "a batch of codec " + b.Codec + " cannot be read: " + b.Why
	c := &chunk{first: at, next: next, epoch: -1}
	switch c.span = p.checkpoint.Begin(at, next); {
	case b.Empty: // a gap, as if it had been read
	case policy == mapping.PolicySkip:
		p.checkpoint.Count(c.span, checkpoint.Skipped, next-at)
		p.Aside.Skipped(p, Skips{Class: mapping.ClassUndecodable, N: next - at, First: at, Why: why})
	default:
		pc := p.checkpoint.Add(c.span, checkpoint.Origin{First: at, Last: next - 1, Route: noRoute, Records: int32(next - at)})
		if pc != 0 {
			p.writeBatch(pc, waiting{class: mapping.ClassUndecodable, why: why}, b)
		}
	}
	p.openedLocked(c, time.Now())
	p.epochs.add(at, -1) // nothing tells in which epoch it ends
	p.checkpoint.End(c.span)
	p.goToLocked(next, set)
	return true
}

// writeBatch hands over the letter of a batch.
func (p *Assignment) writeBatch(pc checkpoint.Piece, w waiting, b *source.Batch) {
	at := b.Time
	if at.IsZero() {
		at = time.Now()
	}
	p.Aside.Write(letters.Item{
		Original: &kgo.Record{Value: b.Raw, Timestamp: at},
		Letter: deadletter.Letter{
			Reason: string(reason.Undecodable), Sentence: w.why, Cluster: p.Cluster, Topic: p.Partition.Topic, TopicID: p.Topic.ID,
			Partition: p.Partition.Num, Offset: b.Base, Last: b.Next - 1,
		},
		Done: func(err error) { p.written(pc, w, b.Base, err) },
	})
}

// BatchAgain is a batch whose letter could not be written.
type BatchAgain struct {
	Piece       checkpoint.Piece
	First, Last int64
}

// BatchesDue returns the batches whose letters are to be tried again now. Each is to be given to RewriteBatch or BatchLater.
func (p *Assignment) BatchesDue(now time.Time) (due []BatchAgain) {
	p.letters.mu.Lock()
	defer p.letters.mu.Unlock()
	for pc, w := range p.letters.waiting {
		if w.class != mapping.ClassUndecodable || w.busy || now.Before(w.due) || !p.checkpoint.Wanted(pc) {
			continue
		}
		o, _ := p.checkpoint.Origin(pc)
		w.busy = true
		due = append(due, BatchAgain{pc, o.First, o.Last})
	}
	return due
}

// RewriteBatch writes the letter of a batch that was fetched again. It returns false if it must come later.
func (p *Assignment) RewriteBatch(a BatchAgain, b *source.Batch) bool {
	w, ok := p.letters.get(a.Piece)
	if !ok {
		return true // nobody wants it any more
	}
	if !p.Aside.Room() {
		return false
	}
	w.busy = false // of what a failure puts back
	b.Next = a.Last + 1
	p.writeBatch(a.Piece, w, b)
	return true
}

// BatchLater has a batch wait whose letter cannot be tried now.
func (p *Assignment) BatchLater(a BatchAgain, now time.Time) {
	p.letters.mu.Lock()
	defer p.letters.mu.Unlock()
	if w := p.letters.waiting[a.Piece]; w != nil {
		w.busy, w.due = false, now.Add(w.pause)
	}
}

// LoseBatch books a batch whose letter was never written and which is gone from Kafka by now.
func (p *Assignment) LoseBatch(a BatchAgain) {
	p.checkpoint.Replaced(a.Piece, a.Last-a.First+1, checkpoint.LostGap)
	p.events.Moved()
}
