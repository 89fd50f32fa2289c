package engine

import (
	"time"

	"inlong-bridge/sdk/finality"
)

// How much a proxy gets, from most to least:
//
//	its whole share   nothing speaks against it
//	a growing share   it came back: beginning with slowStartShare, all of it after Config.SlowStart
//	one at a time     it answered "not now" (1, 2, 114): one pack in flight, until one is acked in time
//	nothing           it said so again, to a pack sent after that: its breaker is open
//	one pack          after the pause, as a trial: acked in time, it has a growing share; else a longer pause
//
// The share is a matter of choice between proxies: one that is alone gets everything it takes.

// slowStartShare is the share with which a proxy begins that just came back.
const slowStartShare = 0.1

// maxUnwritten is how many bytes may wait for a connection's writer. More would only wait there
// instead of here, where another connection may take them.
const maxUnwritten = 1 << 20

// choose returns the connection that takes p, on another proxy than the last one if there is any: of two
// that are picked at random the one with fewer bytes in flight. Otherwise it says why there is none.
func (e *Engine) choose(p *Pack, now time.Duration) (*Conn, offer) {
	if c := p.reserved; c != nil {
		if c.takes() && !c.endpoint.breaker.blocks(now) && e.admit(c, p, now) == finality.OK {
			if c.inFlight == 0 && c.unwritten == 0 {
				return c, offerSent
			}
			return nil, offerBlocked // until what is in flight there is answered
		}
		p.unreserve()
	}
	e.others, e.same = e.others[:0], e.same[:0]
	result := offerFull
	var trial trialState
	for _, ep := range p.stream.list.endpoints {
		if ep.closed(now) {
			continue
		}
		if p.avoids(ep) || p.stream.blocked(ep, p, &trial, now) {
			result = offerBlocked
			continue
		}
		for _, c := range ep.conns {
			if r := e.consider(p, c, now); r == offerBlocked {
				result = offerBlocked
			}
		}
	}
	best := e.pick(e.others, now)
	if best == nil {
		best = e.pick(e.same, now)
	}
	if best != nil && p.isolated && best.inFlight > 0 {
		best.reserved, p.reserved = p, best
		return nil, offerBlocked
	}
	return best, result
}

// consider puts a connection among those that take p, or says why it does not.
func (e *Engine) consider(p *Pack, c *Conn, now time.Duration) offer {
	switch {
	case !c.takes() || c.unproven:
		return offerFull
	case c.epoch == p.avoid || c.reserved != nil:
		return offerBlocked
	case c.unwritten >= maxUnwritten:
		return offerFull
	}
	switch e.admit(c, p, now) {
	case finality.OK:
	case finality.ShareFull, finality.StreamStalled, finality.SlowStart:
		return offerBlocked
	case finality.WindowFull, finality.InFlightFull, finality.RateReached, finality.EndpointPaused, finality.EndpointZombie, finality.ConnGone:
		return offerFull
	}
	if p.sends > 0 && c.endpoint == p.endpoint {
		e.same = append(e.same, c)
	} else {
		e.others = append(e.others, c)
	}
	return offerSent
}

func (e *Engine) admit(c *Conn, p *Pack, now time.Duration) finality.Refusal {
	return e.confirm.Admit(c.epoch, p.stream.id, int(p.wire), now)
}

// trialState remembers whether a trial of the stream is in flight, which is looked up at most once for a pack.
type trialState struct{ known, inFlight bool }

// blocked reports whether the stream's breaker keeps p away from a proxy. Only one proxy is tried at a time. A held pack
// that is tried goes to each of them.
func (s *Stream) blocked(ep *Endpoint, p *Pack, trial *trialState, now time.Duration) bool {
	b := s.breakers[ep]
	if b == nil || b.pauses == 0 || p.probed() {
		return false
	}
	if b.blocks(now) {
		return true
	}
	if !trial.known {
		trial.known, trial.inFlight = true, s.probing()
	}
	return trial.inFlight
}

// pick returns one of list, nil if it is empty. It reorders list.
func (e *Engine) pick(list []*Conn, now time.Duration) *Conn {
	if len(list) > 1 {
		n := 0
		for i, c := range list {
			if share := c.endpoint.share(now, e.cfg.SlowStart); share == 1 || e.random.Float64() < share {
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
	i, j := e.random.IntN(len(list)), e.random.IntN(len(list)-1)
	if j >= i {
		j++
	}
	if list[j].inFlightBytes < list[i].inFlightBytes {
		i = j
	}
	return list[i]
}
