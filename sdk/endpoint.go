package sdk

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"inlong-bridge/sdk/finality"
	"inlong-bridge/sdk/frame"
)

// endpoint is one proxy, known by its address, or by its name and one of the name's addresses. It is kept when it leaves the lists: its counters go on
// when it comes back, and so do the packs that its last connections still answer for.
// Everything is guarded by Sender.mu.
type endpoint struct {
	id        finality.Endpoint
	addr      string // how it is called: host:port, and the address where the name has several
	dial      string // host:port that is dialled; constant
	group     string // whose it is; empty where groups share it
	lists     int    // proxy lists it stands on
	leave     context.CancelFunc
	conns     []*conn
	redial    waiters // pauses after dials that failed end at once
	outage    outage
	hold      hold
	less      bool // it said "not now" once: one pack in flight at a time
	lessSince time.Duration
	slow      bool // it came back lately; see share
	slowSince time.Duration
	codes     map[int]uint64
	counts    endpointCounts

	lastErr  string
	lastTime time.Time
}

type endpointCounts struct {
	acked, bytes, reconnects, ended, unknownAcks uint64
	lost, recordsLost                            uint64
}

// proxyList is the proxies of a group; with static proxies all groups share one.
type proxyList struct {
	addrs     []string // host:port as given
	endpoints []*endpoint
	owner     string       // the group whose endpoints are its own; empty where they are shared
	maxFrame  atomic.Int64 // largest frame as the Manager says, 0 for nothing said
	fullIn    uint64       // round of dispatchLocked in which nothing took anything
}

// applyLocked replaces the list: proxies that are new to it are connected to, those that left it take
// nothing more from this group. A proxy that stands on no list any more finishes what it has. Under mu.
func (s *Sender) applyLocked(l *proxyList, addrs []string) {
	old := l.endpoints
	l.addrs, l.endpoints = addrs, nil
	for _, t := range s.targetsLocked(addrs) {
		ep := s.endpointLocked(endpointKey{l.owner, t.label}, t.addr)
		l.endpoints = append(l.endpoints, ep)
		if slices.Contains(old, ep) {
			continue
		}
		if ep.lists++; ep.lists == 1 {
			s.connectLocked(ep)
		}
	}
	for _, ep := range old {
		if slices.Contains(l.endpoints, ep) {
			continue
		}
		if ep.lists--; ep.lists == 0 {
			s.partLocked(ep)
		}
	}
	l.redialLocked()
}

func (s *Sender) endpointLocked(key endpointKey, dial string) *endpoint {
	ep := s.endpoints[key]
	if ep == nil {
		ep = &endpoint{id: finality.Endpoint(len(s.endpoints)), addr: key.addr, dial: dial, group: key.group, codes: make(map[int]uint64)}
		ep.redial.init()
		s.endpoints[key] = ep
		s.endpointList = append(s.endpointList, ep)
	}
	return ep
}

// connectLocked begins to keep connections to the proxy.
func (s *Sender) connectLocked(ep *endpoint) {
	if s.stopped {
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	ep.leave, ep.outage = cancel, outage{}
	s.m.AddEndpoint(ep.id, s.now())
	for i := range s.o.connections {
		s.wg.Go(func() { s.slotLoop(ctx, ep, i == 0) })
	}
}

// partLocked lets the proxy's connections finish: each is closed once nothing on it is unanswered or acked
// and not final.
func (s *Sender) partLocked(ep *endpoint) {
	s.m.RemoveEndpoint(ep.id, s.now())
	ep.leave()
	for _, c := range ep.conns {
		s.drainLocked(c)
	}
}

// drainLocked keeps new packs away from a connection and lets closeDrainedLocked end it. Under mu.
func (s *Sender) drainLocked(c *conn) {
	if !c.draining {
		c.draining = true
		s.draining = append(s.draining, c)
	}
}

// drainGrace is how long a connection whose proxy stays on the list waits for what it acked: no other takes its
// place meanwhile, and what was acked may never become final.
const drainGrace = 30 * time.Second

// closeDrainedLocked ends the draining connections that have nothing left. Under mu.
func (s *Sender) closeDrainedLocked(now time.Duration) {
	s.draining = slices.DeleteFunc(s.draining, func(c *conn) bool {
		if c.closing {
			return true
		}
		if c.inFlight > 0 || (c.acked > 0 && (c.drainBy == 0 || now < c.drainBy)) {
			return false
		}
		c.drained = true
		s.endLocked(c, "drained")
		return true
	})
}

// endLocked closes a connection after mu was let go. Under mu.
func (s *Sender) endLocked(c *conn, why string) {
	if !c.closing {
		c.closing, c.why = true, why
		s.toClose = append(s.toClose, c)
	}
}

// maxCodes bounds how many error codes of a proxy are told apart; DataProxy has about 40.
const maxCodes = 64

// countCodeLocked counts an answer with an error code. Under mu.
func (ep *endpoint) countCodeLocked(code int) {
	if _, known := ep.codes[code]; !known && len(ep.codes) >= maxCodes {
		code = frame.CodeUnknown
	}
	ep.codes[code]++
}

// noteLocked remembers the endpoint's last trouble. Under mu.
func (ep *endpoint) noteLocked(text string) { ep.lastErr, ep.lastTime = text, time.Now() }

// upLocked reports whether the proxy has a connection that takes packs. Under mu.
func (ep *endpoint) upLocked() bool { return ep.upsLocked() > 0 }

// upsLocked is the number of connections that take packs. Under mu.
func (ep *endpoint) upsLocked() (n int) {
	for _, c := range ep.conns {
		if !c.unproven {
			n++
		}
	}
	return n
}

// maxDialPause is the longest pause between dials that fail: a proxy that is back is used within that time. A dial costs
// the proxy next to nothing. What accepts connections and ends them is paused longer: it may be at work on each.
const maxDialPause = 2 * time.Second

// maxProofPause is the longest pause of a proxy whose connections end before it answers anything, while no other is
// connected: such a connection costs a heartbeat, and the packs have nowhere to go. While others take them, pauses
// grow on up to the longest.
const maxProofPause = 5 * time.Second

// dialBackoff is the pauses between dials that fail.
func (o *options) dialBackoff() backoff {
	b := o.backoff()
	b.max = max(b.min, min(b.max, maxDialPause))
	return b
}

// slotLoop keeps one connection to the proxy until the proxy leaves the lists and what the connection
// carried is settled, or the sender stops. The dials that fail count as tries of waiting packs in the
// first slot only.
func (s *Sender) slotLoop(ctx context.Context, ep *endpoint, first bool) {
	dials, wait := s.o.dialBackoff(), s.o.backoff()
	failed, useless := 0, 0 // in a row: dials, connections
	unproven := false       // the last connection ended before anything was answered on it
	for again := false; ; again = true {
		redial := ep.redial.next() // before the dial, so that no wake is missed
		nc, err := s.dialProxy(ctx, ep)
		s.mu.Lock()
		if ctx.Err() != nil {
			s.mu.Unlock()
			if err == nil {
				nc.Close() //nolint:errcheck // never used
			}
			return
		}
		var pause time.Duration
		if err == nil {
			if again {
				ep.easedLocked(s.now())
			}
			c := s.connectedLocked(ep, nc, unproven)
			todo := s.progressLocked()
			s.mu.Unlock()
			todo.perform()
			end := s.serve(c)
			if unproven && !end.answered && first { // it took no pack, and so was no better than a dial that fails
				s.mu.Lock()
				s.dialFailedLocked(ep, end.err)
				todo := s.progressLocked()
				s.mu.Unlock()
				todo.perform()
			}
			failed, unproven = 0, !end.answered
			if end.useful {
				useless = 0
			}
			pause = wait.pause(useless)
			if unproven && end.alone {
				pause = min(pause, maxProofPause)
			}
			if !end.useful {
				useless++
			}
			redial = nil // it may be at work on each connection: pauses are kept
		} else {
			ep.noteLocked(err.Error())
			s.failedLocked(ep, EndpointNotConnected, err.Error(), 0)
			if first {
				s.dialFailedLocked(ep, err)
			}
			todo := s.progressLocked()
			s.mu.Unlock()
			todo.perform()
			pause = dials.pause(failed)
			failed++
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-redial:
			timer.Stop()
		}
	}
}

// redialLocked ends the pauses after failed dials to all proxies of the lists of ep of which none is connected
// any more: somebody has to take the packs now. Under mu.
func (s *Sender) redialLocked(ep *endpoint) {
	s.eachListLocked(func(l *proxyList) {
		if slices.Contains(l.endpoints, ep) {
			l.redialLocked()
		}
	})
}

// redialLocked does that for one list. Under Sender.mu.
func (l *proxyList) redialLocked() {
	if slices.ContainsFunc(l.endpoints, (*endpoint).upLocked) {
		return
	}
	for _, ep := range l.endpoints {
		ep.redial.wake()
	}
}

// aloneLocked reports whether a list has ep on it and no proxy that is connected. Under mu.
func (s *Sender) aloneLocked(ep *endpoint) (alone bool) {
	s.eachListLocked(func(l *proxyList) { alone = alone || l.unreachableLocked(ep) })
	return alone
}
