package assign

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
	"inlong-bridge/mapping"
	"inlong-bridge/sdk"
)

// What proxies do not take: a pack that they refuse permanently, or that ends connections. The sender cuts it between its pieces.
// A piece is then
//
//	held and tried again   refused, and the topic's policy is to stop: the partition stops meanwhile
//	taken back             else: it is read again and handed over as two pieces, down to the one record
//	refused alone          a single record: see refusedAlone

// classOf tells a record on which proxies close the connection from one that they refuse by code.
func classOf(err error) mapping.Class {
	if poison := (*sdk.PoisonError)(nil); errors.As(err, &poison) {
		return mapping.ClassPoison
	}
	return mapping.ClassRefused
}

// Judge says what becomes of a piece that proxies do not take, as sdk.Judge. It runs on the sender's dispatcher.
func (p *Assignment) Judge(piece uint64, r sdk.Result) sdk.Verdict {
	o, ok := p.checkpoint.Undecided(checkpoint.Piece(piece))
	class := classOf(r.Err)
	switch {
	case !ok: // revoked, or seen in another pack: nobody waits for it
		return sdk.GiveUp
	case class == mapping.ClassRefused && p.Topic.Mapping.OnError(class) == mapping.PolicyStop && !(p.ByHand.Within(o.First, o.Last) && (o.Records > 1 || p.ByHand.Is(o.First))):
		return sdk.Keep
	case o.Records > 1: // also where poison stops the partition: the reason names the record, and the others are delivered
		return sdk.TakeBack
	}
	return sdk.GiveUp
}

// takenBack has a piece read again in two halves.
func (p *Assignment) takenBack(pc checkpoint.Piece) {
	if o, again := p.checkpoint.Lost(pc); again {
		p.events.Halve(p, pc, o)
	}
	p.events.Moved()
}

// refused takes the news that the sender gave a piece up.
func (p *Assignment) refused(pc checkpoint.Piece, r sdk.Result) {
	o, ok := p.checkpoint.Undecided(pc)
	if !ok || errors.Is(r.Err, sdk.ErrClosed) {
		return // it was seen in another pack, or nothing was decided; what is not final is read again after the restart
	}
	p.refusedAlone(pc, o, classOf(r.Err), r)
	p.events.Moved()
}

// refusedAlone decides about a piece of one record that proxies do not take, whatever pack it comes in.
func (p *Assignment) refusedAlone(pc checkpoint.Piece, o checkpoint.Origin, class mapping.Class, r sdk.Result) {
	what := fmt.Sprintf("the record at offset %d", o.First)
	if o.Records > 1 { // nothing of it was sent
		what = fmt.Sprintf("%d records from offset %d on", o.Records, o.First)
	}
	why := fmt.Sprintf("proxy %s rejects %s permanently: %s", r.Endpoint, what, part.InKeys(r.Err))
	if o.Records == 1 && p.setAside(pc, class, why, r.Sends) {
		return
	}
	p.strandAlone(pc)
	if o.Records == 1 {
		why = part.OrSkip(why, p.Partition, p.Topic.ID, o.First)
	}
	p.Stop(part.Stop(p.Partition, CodeOf(class), o.First, why))
}

// strandAlone notes that a record will not become final: nobody waits for the piece that it was cut from.
func (p *Assignment) strandAlone(pc checkpoint.Piece) {
	if p.Refused.isAlone(p.checkpoint.Root(pc)) {
		p.gate.Strand(1)
	}
}

// heldBy stops the partition because proxies refuse one of its packs, which the sender keeps and tries again.
func (p *Assignment) heldBy(pc checkpoint.Piece, r sdk.Result) {
	k, o, ok := p.refusedKey(pc)
	if !ok {
		return
	}
	if p.Refused.add(pc, k) {
		p.gate.Strand(1)
	}
	if p.gate.Refer(k, time.Now(), true) {
		why := fmt.Sprintf("proxy %s and every other that was asked refuse a pack: %v; "+
			"hint: nothing is skipped; the oldest refused pack is tried again at growing pauses, and the partition goes on when a proxy takes it", r.Endpoint, part.InKeys(r.Err))
		if why = part.OrSkip(why, p.Partition, p.Topic.ID, o.First); o.Records > 1 {
			why += fmt.Sprintf(" (it is the first of the %d of the partition in the pack: if another one is at fault, the bridge finds and names that)", o.Records)
		}
		p.events.Stopped(p, part.Stop(p.Partition, reason.Refused, o.First, why))
	}
	p.events.Moved()
}

// refusalEnded notes that a piece is not refused any more.
func (f *facts) refusalEnded(pc checkpoint.Piece) {
	if f.Refused.remove(pc) {
		f.gate.Strand(-1)
	}
}

// refusedKey is the reason of a piece's stream when proxies refuse its packs, and where the piece is from.
func (f *facts) refusedKey(pc checkpoint.Piece) (k reason.Key, o checkpoint.Origin, ok bool) {
	o, ok = f.checkpoint.Origin(pc)
	if !ok {
		return reason.Key{}, o, false // revoked: nobody waits for it
	}
	r := f.Router.At(o.Route)
	if r == nil {
		return reason.Key{}, o, false
	}
	return StreamKey(r.Target.Group, r.Target.Stream, reason.Refused), o, true
}

// Refusals are the pieces that proxies refuse and the sender keeps, by the reason of their stream. A piece that is seen in an older
// pack is forgotten while its pack is kept, so each is remembered by name.
type Refusals struct {
	mu     sync.Mutex
	pieces map[checkpoint.Piece]reason.Key // guarded by mu
	counts map[reason.Key]int              // guarded by mu; of pieces
	alone  map[checkpoint.Piece]bool       // guarded by mu; pieces that hold, or held, a record that is refused alone
}

// add notes a refused piece, and reports whether it is new.
func (r *Refusals) add(pc checkpoint.Piece, k reason.Key) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.pieces[pc]; known {
		return false
	}
	if r.pieces == nil {
		r.pieces, r.counts = make(map[checkpoint.Piece]reason.Key), make(map[reason.Key]int)
	}
	r.pieces[pc] = k
	r.counts[k]++
	return true
}

// remove forgets a piece, and reports whether it was refused.
func (r *Refusals) remove(pc checkpoint.Piece) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	k, known := r.pieces[pc]
	if !known {
		return false
	}
	delete(r.pieces, pc)
	if r.counts[k]--; r.counts[k] == 0 {
		delete(r.counts, k)
	}
	return true
}

// Of is how many pieces proxies refuse for the reason.
func (r *Refusals) Of(k reason.Key) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts[k]
}

// Total is how many pieces proxies refuse.
func (r *Refusals) Total() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.pieces)
}

// isAlone notes that a record of a piece is refused alone, and reports whether it is the first one.
func (r *Refusals) isAlone(pc checkpoint.Piece) (first bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.alone[pc] {
		return false
	}
	if r.alone == nil {
		r.alone = make(map[checkpoint.Piece]bool)
	}
	r.alone[pc] = true
	return true
}
