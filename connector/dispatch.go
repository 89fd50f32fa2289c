package connector

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
)

// sender is what dispatch needs of *sdk.Sender.
type sender interface {
	TrySendBatch(b *sdk.Batch) (int, error)
}

// take cuts the records of one fetch into chunks and offers them, behind what is parked. It returns how
// many bytes their values are, runs on the poll goroutine and never waits.
func (p *partition) take(s sender, sp *splitter, recs []*kgo.Record) int64 {
	sp.bytes, sp.skipped, sp.packs, sp.replaced = 0, 0, 0, replaced{}
	if len(recs) == 0 || p.stopped() != nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.rewind || p.gate.Ended() || p.stopsBehindParkedLocked() {
		return 0
	}
	if first := recs[0].Offset; first < p.expect {
		// The client went back by itself: the log was cut off behind us and grew again with other records.
		p.stop(part.Truncated(p.id, first, p.expect))
		return 0
	}
	now := time.Now()
	sp.router, sp.limit, sp.arrived = p.router, p.limit, route.ArrivalAt(now)
	chunks, _ := sp.split(recs)
	if len(chunks) == 0 {
		return 0
	}
	p.expect, p.heard = chunks[len(chunks)-1].next, now
	p.times.fetched(recs, chunks, p.expect, now)
	p.parkLocked(chunks)
	p.offerParkedLocked(s)
	return sp.bytes
}

// stopsBehindParkedLocked reports whether the partition stops as soon as the sender has what is parked. Nothing is parked behind
// that. Otherwise: 1. records up to a record without a stream wait for room  2. the next fetch is parked behind them  3. they
// are sent, and the partition stops  4. it goes on at the fetch of 2, and the rest of the first is skipped.
func (p *partition) stopsBehindParkedLocked() bool {
	n := len(p.parked)
	return n > 0 && p.parked[n-1].stop != nil
}

// unpark offers again what the sender had no room for.
func (p *partition) unpark(s sender) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.offerParkedLocked(s)
}

// offerParkedLocked offers chunks in order until one is not taken whole.
func (p *partition) offerParkedLocked(s sender) {
	defer p.noteWaitsLocked()
	now := time.Now()
	for len(p.parked) > 0 {
		if p.gate.Ended() {
			p.dropParkedLocked(0)
			return
		}
		if h := p.stopped(); h != nil {
			p.backToStopLocked(h)
			return
		}
		c := p.parked[0]
		wait, h := p.offerLocked(s, c, now)
		if h == nil && wait == (reason.Key{}) {
			p.shiftLocked()
			if h = c.stop; h == nil {
				continue
			}
		}
		if h != nil {
			p.stop(h)
			continue
		}
		if wait != (reason.Key{}) {
			// A full budget closes nothing: the polling itself stops then, and a pause would throw away what is buffered.
			p.gate.Refer(wait, now, wait.Code == reason.StreamFull)
			if wait.Code == reason.StreamFull {
				p.gate.Drop(budgetKey)
				for e := streamFull(p.gate.Condition()); e != nil && e.Key != wait; e = streamFull(p.gate.Condition()) {
					p.gate.Drop(e.Key) // that stream had room: it is not the culprit any more
				}
			}
			p.countLocked()
			return
		}
	}
	p.dropParkedLocked(0)
}

// backToStopLocked gives back the memory of what waits behind the reason that stops the partition. When that reason may end, the
// chunk that is half sent stays, and the partition goes on behind it.
func (p *partition) backToStopLocked(h *gate.Entry) {
	p.gate.Drop(budgetKey) // or what is kept would hold the polling up
	switch {
	case reason.KindOf(h.Code).Terminal:
		p.dropParkedLocked(0)
	case p.parked[0].begun:
		p.expect = p.parked[0].next
		p.dropParkedLocked(1)
	default:
		p.expect = p.parked[0].first
		p.dropParkedLocked(0)
	}
	if p.expect < p.limit {
		p.gate.Drop(part.Key(p.id, reason.AtEnd)) // or what was given back would not be fetched again
	}
}

// offerLocked hands what is left of a chunk to the sender. It returns what the rest waits for, or why the partition cannot
// go on.
func (p *partition) offerLocked(s sender, c *chunk, now time.Time) (wait reason.Key, h *reason.Reason) {
	if !c.begun {
		c.span, c.begun = p.wm.Begin(c.first, c.next), true
		p.openingLocked(c, now)
		p.wm.Count(c.span, checkpoint.Skipped, c.skipped)
	}
	for i := range c.groups {
		g := &c.groups[i]
		if g.sent == len(g.payloads) {
			continue
		}
		err := p.send(s, c, g)
		switch {
		case err == nil:
			g.payloads, g.offsets, g.sent = nil, nil, 0 // let go of the fetch
		case errors.Is(err, sdk.ErrStreamFull):
			wait = streamKey(g.route.Target.Group, g.route.Target.Stream, reason.StreamFull) // the other streams of the chunk may have room
		case errors.Is(err, sdk.ErrBufferFull):
			return budgetKey, nil
		case errors.Is(err, sdk.ErrClosed):
			p.gate.End()
			return budgetKey, nil
		case errors.Is(err, sdk.ErrTooLarge):
			p.tooLarge = oversize{stream: g.route.Stream, bytes: len(g.payloads[g.sent])}
			return reason.Key{}, part.Stop(p.id, reason.TooLarge, g.offsets[g.sent], tooLargeReason(p.id, g, err))
		default:
			return reason.Key{}, part.Stop(p.id, reason.Refused, g.offsets[g.sent], "handing records to the sender: "+err.Error())
		}
	}
	if wait == (reason.Key{}) {
		p.wm.End(c.span)
	}
	return wait, nil
}

// maxOffer is the most bytes of one batch. What a stream may take is looked at per batch, so a large one
// could take the room of all others at once: a small fetch of well compressed records may be very large.
const maxOffer = 256 << 10

// send offers the rest of a group, in one batch or several.
func (p *partition) send(s sender, c *chunk, g *group) error {
	for g.sent < len(g.payloads) {
		base := g.sent
		n, err := s.TrySendBatch(&sdk.Batch{
			Stream: g.route.Stream, Time: g.time, Payloads: g.payloads[base:upToBytes(g.payloads, base, maxOffer)], Token: p,
			Packed: func(from, to int) uint64 {
				return uint64(p.wm.Add(c.span, checkpoint.Origin{
					First: g.offsets[base+from], Last: g.offsets[base+to-1],
					Route: g.route.Index, Minute: g.minute, Records: int32(to - from), Arrived: g.minute == c.arrived.Minute,
				}))
			},
		})
		g.sent += n
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
func upToBytes(payloads [][]byte, base, limit int) int {
	sum := 0
	for i := base; i < len(payloads); i++ {
		if sum += len(payloads[i]) + 4; sum > limit && i > base {
			return i
		}
	}
	return len(payloads)
}
