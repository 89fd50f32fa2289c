package engine

import (
	"maps"
	"slices"
	"time"

	"inlong-bridge/sdk/finality"
	"inlong-bridge/sdk/frame"
)

// Endpoint is what the engine knows of one proxy. The owner embeds it in its own struct, calls AddEndpoint once, and
// keeps it when it leaves the lists: its counters go on when it comes back, and so do the packs that its last
// connections still answer for.
type Endpoint struct {
	Ref int32 // the owner's handle; the engine only carries it

	id      finality.Endpoint
	lists   int     // Invariant: proxy lists that it stands on
	conns   []*Conn // that did not end, in the order they were opened
	breaker breaker
	outage  outage

	// throttled: it answered "not now" once, at throttledAt. It gets one pack at a time until one is acked in time that
	// was sent after that; another "not now" to such a pack opens the breaker.
	throttled   bool
	throttledAt time.Duration
	// growing: it came back at growingSince, and has a growing share of the packs.
	growing      bool
	growingSince time.Duration

	codes  map[int]uint64 // answers by error code. Invariant: at most maxCodes of them
	counts EndpointCounts
}

// EndpointCounts are the counters of a proxy. They run since AddEndpoint.
type EndpointCounts struct {
	Acked, Bytes, Reconnects, Ended, UnknownAcks uint64
	Lost, RecordsLost                            uint64
}

// ProxyList is the proxies that some streams send to. The owner embeds it in its own struct.
type ProxyList struct {
	endpoints []*Endpoint
	fullIn    uint64 // the round of dispatch in which none of them took anything
}

// Endpoints are the proxies on the list. The caller must not change the slice.
func (l *ProxyList) Endpoints() []*Endpoint { return l.endpoints }

// AddEndpoint makes a proxy known. No two proxies have the same id.
func (e *Engine) AddEndpoint(ep *Endpoint, id finality.Endpoint) {
	ep.id, ep.codes = id, make(map[int]uint64)
}

// AddList makes an empty list known.
func (e *Engine) AddList(l *ProxyList) { e.lists = append(e.lists, l) }

// DropList empties a list and forgets it. No stream uses it any more.
func (e *Engine) DropList(l *ProxyList, now time.Duration) {
	e.SetList(l, nil, now)
	e.lists = slices.DeleteFunc(e.lists, func(i *ProxyList) bool { return i == l })
}

// SetList replaces the proxies on a list. A proxy that is on no list any more finishes what it has.
func (e *Engine) SetList(l *ProxyList, endpoints []*Endpoint, now time.Duration) {
	old := l.endpoints
	l.endpoints = endpoints
	for _, ep := range endpoints {
		if slices.Contains(old, ep) {
			continue
		}
		if ep.lists++; ep.lists == 1 && !e.stopped {
			ep.outage = outage{}
			e.confirm.AddEndpoint(ep.id, now)
			e.emit(Effect{Kind: Connect, Endpoint: ep})
		}
	}
	for _, ep := range old {
		if slices.Contains(endpoints, ep) {
			continue
		}
		if ep.lists--; ep.lists == 0 {
			e.confirm.RemoveEndpoint(ep.id, now)
			e.emit(Effect{Kind: Disconnect, Endpoint: ep})
			for _, c := range ep.conns {
				e.drain(c)
			}
		}
	}
	e.redialList(l)
}

// redial ends the pauses after failed dials to all proxies of the lists of ep of which none is connected any more:
// somebody has to take the packs now.
func (e *Engine) redial(ep *Endpoint) {
	for _, l := range e.lists {
		if slices.Contains(l.endpoints, ep) {
			e.redialList(l)
		}
	}
}

func (e *Engine) redialList(l *ProxyList) {
	if l.up() {
		return
	}
	for _, ep := range l.endpoints {
		e.emit(Effect{Kind: Redial, Endpoint: ep})
	}
}

// up reports whether a proxy of the list has a connection that takes packs.
func (l *ProxyList) up() bool { return slices.ContainsFunc(l.endpoints, (*Endpoint).Up) }

// unreachable reports whether ep is on the list and nothing on the list is connected.
func (l *ProxyList) unreachable(ep *Endpoint) bool {
	return slices.Contains(l.endpoints, ep) && !l.up()
}

// alone reports whether a list has ep on it and no proxy that is connected.
func (e *Engine) alone(ep *Endpoint) bool {
	return slices.ContainsFunc(e.lists, func(l *ProxyList) bool { return l.unreachable(ep) })
}

// Up reports whether the proxy has a connection that takes packs.
func (ep *Endpoint) Up() bool { return ep.Ups() > 0 }

// Ups is the number of connections that take packs.
func (ep *Endpoint) Ups() (n int) {
	for _, c := range ep.conns {
		if !c.unproven {
			n++
		}
	}
	return n
}

// Conns are the connections that did not end. The caller must not change the slice.
func (ep *Endpoint) Conns() []*Conn { return ep.conns }

// Listed reports whether the proxy stands on a list.
func (ep *Endpoint) Listed() bool { return ep.lists > 0 }

// EndpointState is a snapshot of a proxy.
type EndpointState struct {
	Listed        bool
	Up            int // connections that take packs
	Breaker       BreakerState
	BreakerReason string  // why it is open
	AcksLate      bool    // that is because the last trial was answered late
	Failure       Failure // of the outage that lasts
	Counts        EndpointCounts
	Codes         map[int]uint64 // a copy; nil without any
	Confirm       finality.EndpointState
}

// EndpointState returns a snapshot of a proxy.
func (e *Engine) EndpointState(ep *Endpoint, now time.Duration) EndpointState {
	s := EndpointState{
		Listed: ep.Listed(), Up: ep.Ups(), Breaker: ep.breaker.state(now), BreakerReason: ep.breaker.reason, AcksLate: ep.breaker.late,
		Failure: ep.outage.failure, Counts: ep.counts, Confirm: e.confirm.Endpoint(ep.id, now),
	}
	if s.Confirm.Reason == finality.RateReached && e.states[Waiting] == 0 {
		s.Confirm.Reason = finality.OK // it holds nothing back
	}
	if len(ep.codes) > 0 {
		s.Codes = maps.Clone(ep.codes)
	}
	return s
}

// eased begins the growing share of a proxy that came back.
func (ep *Endpoint) eased(now time.Duration) { ep.growing, ep.growingSince = true, now }

// share is the part of its packs that a proxy gets now.
func (ep *Endpoint) share(now, slowStart time.Duration) float64 {
	if !ep.growing {
		return 1
	}
	if now-ep.growingSince >= slowStart {
		ep.growing = false
		return 1
	}
	return max(float64(now-ep.growingSince)/float64(slowStart), slowStartShare)
}

// refusesAll notes a "not now" of the proxy to a pack that was handed over at sentAt.
func (ep *Endpoint) refusesAll(e *Engine, seq uint64, sentAt, now time.Duration, reason string) {
	if ep.breaker.pauses == 0 {
		if !ep.throttled {
			ep.throttled, ep.throttledAt = true, now
			return
		}
		if sentAt < ep.throttledAt {
			return // in flight when the first one was refused
		}
	}
	ep.breaker.refuse(e, seq, sentAt, now, reason, e.cfg.Retry)
}

// acks notes that the proxy acked a pack, and reports whether it takes packs again because of that.
func (ep *Endpoint) acks(e *Engine, p *Pack, now time.Duration) (recovered bool) {
	b := &ep.breaker
	inTime := now-p.sentAt <= e.cfg.Finality.Timely
	switch {
	case b.trial == p.seq && !inTime:
		b.acksLate(e, now)
	case b.trial == p.seq, ep.throttled && b.pauses == 0 && inTime && p.sentAt >= ep.throttledAt:
		*b, ep.throttled = breaker{}, false
		ep.eased(now)
		return true
	}
	return false
}

// closed reports whether the proxy takes nothing now, whatever the stream is.
func (ep *Endpoint) closed(now time.Duration) bool {
	if ep.breaker.blocks(now) {
		return true
	}
	return ep.throttled && slices.ContainsFunc(ep.conns, func(c *Conn) bool { return c.inFlight > 0 })
}

// maxCodes bounds how many error codes of a proxy are told apart; DataProxy has about 40.
const maxCodes = 64

// countCode counts an answer with an error code.
func (ep *Endpoint) countCode(code int) {
	if _, known := ep.codes[code]; !known && len(ep.codes) >= maxCodes {
		code = frame.CodeUnknown
	}
	ep.codes[code]++
}
