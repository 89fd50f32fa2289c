package assign

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/internal/trail"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
)

// Take cuts the records of one fetch into chunks and offers them to the sender, behind the pending ones. It runs on the poll
// goroutine and never waits.
func (p *Assignment) Take(s Sender, sp *Splitter, recs []*kgo.Record) Taken {
	sp.taken = Taken{}
	if len(recs) == 0 || p.Stopped() != nil {
		return sp.taken
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rewind || p.gate.Ended() || p.pending.stopsAtEnd() {
		return sp.taken
	}
	if first := recs[0].Offset; first < p.expect {
		// The client went back by itself: the log was cut off behind us and grew again with other records.
		p.Stop(part.Truncated(p.Partition, first, p.expect))
		return sp.taken
	}
	now := time.Now()
	sp.router, sp.rules, sp.content, sp.Limit, sp.arrived, sp.short = p.Router, p.rules(), p.content, p.Limit, route.ArrivalAt(now), shortSpans-p.spans
	if p.Lanes > 0 {
		sp.join = p.pending.joinable(sp.arrived.Minute)
	}
	sp.topicID, sp.byHand = p.Topic.ID, p.ByHand
	chunks, _ := sp.split(recs)
	sp.body, sp.originals = route.Body{}, route.Originals{} // or they would keep the fetch
	if sp.rules != nil {
		p.letters.fetched(len(recs), now)
		for _, s := range sp.taken.Aside {
			p.Aside.Skipped(p, s)
		}
	}
	if len(chunks) == 0 {
		return sp.taken
	}
	p.expect, p.heard, p.spans = chunks[len(chunks)-1].next, now, min(p.spans+len(chunks), shortSpans)
	p.times.fetched(recs, chunks, p.expect, now)
	p.pending.push(chunks)
	p.offerPendingLocked(s)
	return sp.taken
}

// Offer offers again what the sender had no room for.
func (p *Assignment) Offer(s Sender) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.offerPendingLocked(s)
}

// offerPendingLocked offers chunks in order until one is not taken whole.
func (p *Assignment) offerPendingLocked(s Sender) {
	defer p.noteWaitsLocked()
	now := time.Now()
	for len(p.pending.chunks) > 0 {
		if p.gate.Ended() {
			p.dropPendingLocked(0)
			return
		}
		if h := p.Stopped(); h != nil {
			p.backToStopLocked(h)
			return
		}
		wait, h := p.offerFirstLocked(s, now)
		if h != nil {
			p.Stop(h)
			continue
		}
		if wait.Code == reason.Order {
			p.waitInOrderLocked(now)
			return
		}
		if wait != (reason.Key{}) {
			// A full budget closes nothing: the polling itself stops then, and a pause would throw away what is buffered.
			p.gate.Refer(wait, now, wait.Code != reason.Budget)
			if wait.Code != reason.LetterWait {
				p.gate.Drop(lettersKey)
			}
			if wait.Code != reason.Budget {
				p.gate.Drop(BudgetKey)
			}
			if wait.Code == reason.StreamFull {
				for e := StreamFull(p.gate.Condition()); e != nil && e.Key != wait; e = StreamFull(p.gate.Condition()) {
					p.gate.Drop(e.Key) // that stream had room: it is not the culprit any more
				}
			}
			p.countPendingLocked()
			return
		}
	}
	p.dropPendingLocked(0)
}

// offerFirstLocked offers the first chunk, with order every chunk of which a lane may go on. It returns what the first one waits for, or
// why the partition cannot go on.
func (p *Assignment) offerFirstLocked(s Sender, now time.Time) (wait reason.Key, h *reason.Reason) {
	if p.Lanes > 0 {
		return p.offerInOrderLocked(s, now)
	}
	c := p.pending.chunks[0]
	if wait, h = p.offerLocked(s, c, now); h == nil && wait == (reason.Key{}) {
		p.pending.shift()
		h = c.stop
	}
	return wait, h
}

// backToStopLocked gives back the memory of what waits behind the reason that stops the partition. When that reason may end, a
// chunk that is half sent stays, and the partition goes on behind it.
func (p *Assignment) backToStopLocked(h *gate.Entry) {
	p.gate.Drop(BudgetKey) // or what is kept would hold the polling up
	begun := p.pending.begun()
	switch {
	case reason.KindOf(h.Code).Terminal:
		p.dropPendingLocked(0)
	case begun > 0:
		p.expect = p.pending.chunks[begun-1].next
		p.dropPendingLocked(begun)
	default:
		p.expect = p.pending.chunks[0].first
		p.dropPendingLocked(0)
	}
	if p.expect < p.Limit {
		p.gate.Drop(part.Key(p.Partition, reason.AtEnd)) // or what was given back would not be fetched again
	}
}

// beginLocked opens the spans of the pending chunks up to c: spans are in the order of the log.
func (p *Assignment) beginLocked(c *chunk, now time.Time) {
	for i := 0; !c.begun; i++ {
		b := p.pending.chunks[i]
		if b.begun {
			continue
		}
		b.span, b.begun = p.checkpoint.Begin(b.first, b.next), true
		p.openedLocked(b, now)
		p.checkpoint.Count(b.span, checkpoint.Skipped, b.skipped)
		p.checkpoint.Count(b.span, checkpoint.ByHand, b.byHand)
	}
}

// offerLocked hands what is left of a chunk to the sender. It returns what the rest waits for, or why the partition cannot
// go on.
func (p *Assignment) offerLocked(s Sender, c *chunk, now time.Time) (wait reason.Key, h *reason.Reason) {
	if p.Lanes == 0 || len(c.aside) > 0 { // with order once anything is taken: more may join it until then
		p.beginLocked(c, now)
	}
	if len(c.aside) > 0 {
		if wait, h = p.writeLettersLocked(c, now); h != nil || wait != (reason.Key{}) {
			return wait, h
		}
	}
	for i := range c.groups {
		g := &c.groups[i]
		if g.sent == len(g.payloads) {
			continue
		}
		err := p.sendLocked(s, c, g)
		for errors.Is(err, sdk.ErrTooLarge) && p.keepTooLargeLocked(c, g, err) {
			err = p.sendLocked(s, c, g)
		}
		switch {
		case err == nil:
			clear(g.payloads) // or other groups of its slab would keep its fetch
			g.payloads, g.attrs, g.offsets, g.sent = nil, nil, nil, 0
		case errors.Is(err, sdk.ErrStreamFull):
			wait = StreamKey(g.route.Target.Group, g.route.Target.Stream, reason.StreamFull) // the other streams of the chunk may have room
		case errors.Is(err, sdk.ErrPackFull):
			if wait == (reason.Key{}) {
				wait = p.orderKey
			}
		case errors.Is(err, sdk.ErrBufferFull):
			return BudgetKey, nil
		case errors.Is(err, sdk.ErrClosed):
			p.gate.End()
			return BudgetKey, nil
		case errors.Is(err, sdk.ErrTooLarge):
			p.tooLarge = oversizeOf(g, p.Router, err)
			return reason.Key{}, part.Stop(p.Partition, reason.TooLarge, g.offsets[g.sent], part.OrSkip(tooLargeReason(p.Partition, g, err), p.Partition, p.Topic.ID, g.offsets[g.sent]))
		default:
			return reason.Key{}, part.Stop(p.Partition, reason.Refused, g.offsets[g.sent], "handing records to the sender: "+err.Error())
		}
	}
	if wait == (reason.Key{}) {
		p.beginLocked(c, now)
		p.checkpoint.End(c.span)
	}
	return wait, nil
}

// maxOffer is the most bytes of one batch. What a stream may take is looked at per batch, so a large one
// could take the room of all others at once: a small fetch of well compressed records may be very large.
const maxOffer = 256 << 10

// offer is the batch that is being handed over. It is used again, because a batch may have few records.
type offer struct {
	batch   sdk.Batch
	origins *trail.Origins // of the batch; nil if packs tell nothing
	c       *chunk
	g       *group
	base    int // index in g of the batch's first payload
}

// packedLocked names the piece of payloads [from, to) of the batch that is being handed over.
func (p *Assignment) packedLocked(from, to int) uint64 {
	o := &p.offer
	g, from, to := o.g, o.base+from, o.base+to
	if !o.c.begun {
		p.beginLocked(o.c, time.Now())
	}
	return uint64(p.checkpoint.Add(o.c.span, checkpoint.Origin{
		First: g.offsets[from], Last: g.offsets[to-1],
		Route: g.route.Index, Minute: g.minute, Records: int32(to - from), Arrived: g.minute == o.c.arrived.Minute, Lane: g.lane,
	}))
}

// sendLocked offers the rest of a group, in one batch or several.
func (p *Assignment) sendLocked(s Sender, c *chunk, g *group) error {
	o := &p.offer
	b := &o.batch
	o.c, o.g, b.Stream, b.Time, b.PackAttrs = c, g, g.route.Stream, g.time, p.packAttrs(c.from)
	defer func() { o.c, o.g, b.Payloads, b.Attrs = nil, nil, nil, nil }() // or it would keep the fetch
	for g.sent < len(g.payloads) {
		o.base = g.sent
		if p.Lanes > 0 {
			if b.OnePack = p.packOfLocked(g.lane); b.OnePack == nil {
				return sdk.ErrPackFull
			}
		}
		end := g.upToBytes(o.base, maxOffer)
		if b.Payloads = g.payloads[o.base:end]; g.attrs != nil {
			b.Attrs = g.attrs[o.base:end]
		}
		if o.origins != nil {
			p.tellChunk(o.origins, c, g)
		}
		n, err := s.TrySendBatch(b)
		g.sent += n
		if p.Lanes > 0 {
			p.tookInOrderLocked(c, g, n, err)
		}
		switch {
		case err != nil:
			return err
		case n == 0: // cannot be, and must not spin
			return sdk.ErrBufferFull
		}
	}
	return nil
}

// upToBytes returns the end of a run of payloads from base on that has about limit bytes, one at least.
func (g *group) upToBytes(base, limit int) int {
	sum := 0
	for i := base; i < len(g.payloads); i++ {
		sum += len(g.payloads[i]) + 4
		if g.attrs != nil {
			sum += route.AttrsSize(g.attrs[i])
		}
		if sum > limit && i > base {
			return i
		}
	}
	return len(g.payloads)
}

// oversizeOf is the record of a group that fits into no frame, with what its packs carry beside it.
func oversizeOf(g *group, rt *route.Router, err error) oversize {
	bytes := len(g.payloads[g.sent])
	if e, ok := errors.AsType[*sdk.TooLargeError](err); ok {
		bytes = e.Size // its attributes counted in
	}
	return oversize{g.route.Stream, bytes + packAttrsSize(rt)}
}

func tooLargeReason(id part.ID, g *group, err error) string {
	return fmt.Sprintf("the record at offset %d of %s has %d bytes and fits into no frame: %s; "+
		"hint: raise max-msg-length of the proxies and inlong.max_frame, up to 20 MiB", g.offsets[g.sent], id, len(g.payloads[g.sent]), part.InKeys(err))
}
