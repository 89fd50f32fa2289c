package connector

import (
	"time"

	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
)

// A stream per key makes streams as data comes. They have a bound (inlong.max_streams), and those that are idle are
// forgotten everywhere: here, in the mapping, in the sender, and by the reader of the queue.

const (
	idleTick  = time.Minute
	idleTicks = 10               // a stream is idle after so many without a record
	lookAgain = 10 * time.Second // whether stopped partitions may go on
)

// forgetIdleStreams lets go of streams that nothing needs: not looked up for a while, named by no piece that may be read again,
// waited for by no record, and idle in the sender.
func (b *Bridge) forgetIdleStreams() {
	b.routes.Pass(1)
	inUse := make(map[int32]bool)
	for _, p := range b.assigned() {
		p.routesInUse(inUse)
	}
	gone := b.routes.ForgetIdle(idleTicks, inUse, b.sender.ForgetStream)
	for _, t := range gone {
		b.cfg.Routes.Forget(t)
	}
	if len(gone) > 0 {
		b.log.Info("idle streams forgotten", "streams", len(gone), "left", b.routes.Count())
	}
}

// routesInUse marks the routes that the assignment needs.
func (p *partition) routesInUse(in map[int32]bool) {
	if r := p.router.Fixed(); r != nil {
		in[r.Index] = true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.parked {
		for i := range c.groups {
			in[c.groups[i].route.Index] = true
		}
	}
	p.wm.Routes(in)
}

// refusalsOver has partitions go on whose refused packs are all on their way again.
func (b *Bridge) refusalsOver() {
	for _, p := range b.assigned() {
		for _, e := range p.gate.Condition().Entries() {
			// One that does not close was only found by the stall detection: the partition never stopped for it.
			if e.Code != reason.Refused || e.Own != nil || !e.Closes || p.refusals(e.Key) > 0 || !b.goOn(p, e.Key) {
				continue
			}
			if p.refusals(e.Key) > 0 { // refused again in between
				p.gate.Refer(e.Key, time.Now(), true)
			}
		}
	}
}

// fitsAgain has partitions go on that stopped at a record too large for a frame, once the limit that the Manager names has grown.
func (b *Bridge) fitsAgain() {
	for _, p := range b.assigned() {
		k := part.Key(p.id, reason.TooLarge)
		if p.gate.Condition().Get(k) == nil {
			continue
		}
		p.mu.Lock()
		o := p.tooLarge
		p.mu.Unlock()
		if o.stream != nil && o.bytes <= o.stream.MaxRecord() && b.goOn(p, k) {
			p.mu.Lock()
			p.tooLarge = oversize{}
			p.mu.Unlock()
		}
	}
}

// streamsAgain has partitions go on that stopped for want of a stream, once there is room.
func (b *Bridge) streamsAgain() {
	for _, p := range b.assigned() {
		k := part.Key(p.id, reason.TooManyStreams)
		if !b.routes.Room() {
			return
		}
		if p.gate.Condition().Get(k) != nil {
			b.goOn(p, k)
		}
	}
}
