package connector

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/watermark"
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
	if len(recs) == 0 || p.halted.Load() != nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.detached {
		return 0
	}
	if first := recs[0].Offset; first < p.expect {
		// The client went back by itself: the log was cut off behind us and grew again with other records.
		p.stop(&halt{code: haltTruncated, offset: first, reason: truncatedReason(p.id, first, p.expect)})
		return 0
	}
	now := time.Now()
	sp.router, sp.limit, sp.arrived = p.router, p.limit, arrivalAt(now)
	chunks, _ := sp.split(recs)
	if len(chunks) == 0 {
		return 0
	}
	p.expect, p.heard = chunks[len(chunks)-1].next, now
	p.times.fetched(recs, chunks, p.expect, now)
	p.park(chunks)
	p.offerParked(s)
	return sp.bytes
}

// unpark offers again what the sender had no room for. It reports what still blocks, "" when nothing is
// parked any more.
func (p *partition) unpark(s sender) (blocked string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.offerParked(s)
	return p.blocked
}

// offerParked offers chunks in order until one is not taken whole; p.mu is held.
func (p *partition) offerParked(s sender) {
	now := time.Now()
	for len(p.parked) > 0 {
		if p.detached || p.halted.Load() != nil {
			p.dropParked(0)
			return
		}
		c := p.parked[0]
		why, h := p.offer(s, c, now)
		if h == nil && why == "" {
			h = c.halt
		}
		if h != nil {
			p.stop(h)
			continue
		}
		if why != "" {
			if p.blocked == "" {
				p.since = now
			}
			p.blocked = why
			p.count()
			return
		}
		p.shift()
	}
	p.dropParked(0)
}

// offer hands what is left of a chunk to the sender. It returns why not all of it was taken, or why the
// partition cannot go on; p.mu is held.
func (p *partition) offer(s sender, c *chunk, now time.Time) (blocked string, h *halt) {
	if !c.begun {
		c.span, c.begun = p.wm.Begin(c.first, c.next), true
		p.opening(c, now)
		p.wm.Count(c.span, watermark.Skipped, c.skipped)
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
			blocked = stallStream // the other streams of the chunk may have room
		case errors.Is(err, sdk.ErrBufferFull):
			return stallBudget, nil
		case errors.Is(err, sdk.ErrClosed):
			p.detached = true
			return stallBudget, nil
		case errors.Is(err, sdk.ErrTooLarge):
			return "", &halt{code: haltTooLarge, offset: g.offsets[g.sent], reason: tooLargeReason(p.id, g, err)}
		default:
			return "", &halt{code: haltRefused, offset: g.offsets[g.sent], reason: "handing records to the sender: " + err.Error()}
		}
	}
	if blocked == "" {
		p.wm.End(c.span)
	}
	return blocked, nil
}

// maxOffer is the most bytes of one batch. What a stream may take is looked at per batch, so a large one
// could take the room of all others at once: a small fetch of well compressed records may be very large.
const maxOffer = 256 << 10

// send offers the rest of a group, in one batch or several.
func (p *partition) send(s sender, c *chunk, g *group) error {
	for g.sent < len(g.payloads) {
		base := g.sent
		n, err := s.TrySendBatch(&sdk.Batch{
			Stream: g.route.stream, Time: g.time, Payloads: g.payloads[base:upToBytes(g.payloads, base, maxOffer)], Token: p,
			Packed: func(from, to int) uint64 {
				return uint64(p.wm.Add(c.span, watermark.Origin{
					First: g.offsets[base+from], Last: g.offsets[base+to-1],
					Route: g.route.index, Minute: g.minute, Records: int32(to - from), Arrived: g.minute == c.arrived.minute,
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
