package sdk

import (
	mathrand "math/rand/v2"
	"time"

	"inlong-bridge/sdk/finality"
)

// What a proxy gets, from much to little:
//
//	all its share     nothing speaks against it
//	a growing share   it came back: beginning with slowStartShare, all after WithSlowStart
//	less              it answered "not now" (1, 2, 114): one pack in flight at a time, until one is acked in time
//	nothing           and it said so again, to a pack sent after that: for a pause (see hold)
//	one pack          after the pause, as a trial: acked in time, it has a growing share; else a longer pause
//
// The share is a matter of choice between proxies: one that is alone gets everything it takes.

// slowStartShare is the share that a proxy has which just came back.
const slowStartShare = 0.1

// easedLocked begins the growing share of a proxy that came back. Under Sender.mu.
func (ep *endpoint) easedLocked(now time.Duration) { ep.slow, ep.slowSince = true, now }

// shareLocked is the part of its packs that a proxy gets now.
func (ep *endpoint) shareLocked(now, slowStart time.Duration) float64 {
	if !ep.slow {
		return 1
	}
	if now-ep.slowSince >= slowStart {
		ep.slow = false
		return 1
	}
	return max(float64(now-ep.slowSince)/float64(slowStart), slowStartShare)
}

// refusedLocked notes a "not now" of the proxy to a pack that was handed over at sentAt. Under Sender.mu.
func (ep *endpoint) refusedLocked(seq uint64, sentAt, now time.Duration, reason string, b backoff) {
	if ep.hold.pauses == 0 {
		if !ep.less {
			ep.less, ep.lessSince = true, now
			return
		}
		if sentAt < ep.lessSince {
			return // in flight when the first one was refused
		}
	}
	ep.hold.refuse(seq, sentAt, now, reason, b)
}

// tookLocked notes that the proxy acked a pack, and reports whether that ended its being refused. Under Sender.mu.
func (ep *endpoint) tookLocked(p *pack, now, timely time.Duration, b backoff) (recovered bool) {
	inTime := now-p.sentAt <= timely
	switch {
	case ep.hold.trial == p.seq && !inTime:
		ep.hold.late(now, b)
	case ep.hold.trial == p.seq, ep.less && ep.hold.pauses == 0 && inTime && p.sentAt >= ep.lessSince:
		ep.hold, ep.less = hold{}, false
		ep.easedLocked(now)
		return true
	}
	return false
}

// closedLocked reports whether the proxy takes nothing now, for a reason that is its own.
func (ep *endpoint) closedLocked(now time.Duration) bool {
	if ep.hold.blocks(now) {
		return true
	}
	if ep.less {
		for _, c := range ep.conns {
			if c.inFlight > 0 {
				return true
			}
		}
	}
	return false
}

// chooseLocked returns the connection that takes p, on another proxy than the last one if there is any: of two
// that are picked at random the one with fewer bytes in flight. Else it says why there is none.
func (s *Sender) chooseLocked(p *pack, now time.Duration) (*conn, offer) {
	if c := p.reserved; c != nil {
		if !c.draining && !c.closing && !c.ep.hold.blocks(now) && s.m.Admit(c.epoch, p.st.id, int(p.wire), now) == finality.OK {
			if c.inFlight == 0 && c.unwritten == 0 {
				return c, sent
			}
			return nil, blocked // until what is in flight there is answered
		}
		p.unreserveLocked()
	}
	others, same := s.others[:0], s.same[:0]
	result := noRoom
	tries := 0 // whether a trial of the stream is in flight: 0 for not looked at, 1 for no, 2 for yes
	for _, ep := range p.st.proxies.endpoints {
		if ep.closedLocked(now) {
			continue
		}
		if p.avoidsLocked(ep) {
			result = blocked
			continue
		}
		if h := p.st.holds[ep]; h != nil && h.pauses > 0 && !p.trying() {
			if tries == 0 {
				if tries = 1; p.st.triesLocked() {
					tries = 2
				}
			}
			if h.blocks(now) || tries == 2 {
				result = blocked
				continue
			}
		}
		for _, c := range ep.conns {
			switch {
			case c.draining || c.closing || c.unproven:
				continue
			case c.epoch == p.avoid || c.reserved != nil:
				result = blocked
				continue
			case c.unwritten >= maxUnwritten:
				continue
			}
			switch s.m.Admit(c.epoch, p.st.id, int(p.wire), now) {
			case finality.OK:
			case finality.ShareFull, finality.StreamStalled, finality.SlowStart:
				result = blocked
				continue
			default:
				continue
			}
			if p.sends > 0 && ep == p.endpoint {
				same = append(same, c)
			} else {
				others = append(others, c)
			}
		}
	}
	s.others, s.same = others, same
	best := s.pickLocked(others, now)
	if best == nil {
		best = s.pickLocked(same, now)
	}
	if best != nil && p.suspect && best.inFlight > 0 {
		best.reserved, p.reserved = p, best
		return nil, blocked
	}
	return best, result
}

// pickLocked returns one of list, nil if it is empty. It reorders list.
func (s *Sender) pickLocked(list []*conn, now time.Duration) *conn {
	if len(list) > 1 {
		n := 0
		for i, c := range list {
			if share := c.ep.shareLocked(now, s.o.slowStart); share == 1 || s.random.Float64() < share {
				list[n], list[i] = list[i], list[n]
				n++
			}
		}
		if n > 0 {
			list = list[:n]
		}
	}
	switch len(list) {
	case 0:
		return nil
	case 1:
		return list[0]
	}
	i, j := s.random.IntN(len(list)), s.random.IntN(len(list)-1)
	if j >= i {
		j++
	}
	if list[j].inFlightBytes < list[i].inFlightBytes {
		i = j
	}
	return list[i]
}

// WithSlowStart is how long a proxy that came back, or takes packs again, needs until it has its whole share; 0 for
// at once. Default 10 s.
func WithSlowStart(d time.Duration) Option {
	return optionFunc(func(o *options) { o.slowStart = d })
}

// WithSeed makes the choice between proxies repeatable. By default each sender chooses in its own way.
func WithSeed(seed uint64) Option {
	return optionFunc(func(o *options) { o.seed = mathrand.NewPCG(seed, seed) })
}
