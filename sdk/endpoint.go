package sdk

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"inlong-bridge/sdk/finality"
	"inlong-bridge/sdk/frame"
)

// endpoint is one proxy, known by its address. It is kept when it leaves the lists: its counters go on
// when it comes back, and so do the packs that its last connections still answer for.
// Everything is guarded by Sender.mu.
type endpoint struct {
	id        finality.Endpoint
	addr      string
	group     string // whose it is; empty where groups share it
	lists     int    // proxy lists it stands on
	leave     context.CancelFunc
	conns     []*conn
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
	endpoints []*endpoint
	owner     string       // the group whose endpoints are its own; empty where they are shared
	maxFrame  atomic.Int64 // largest frame as the Manager says, 0 for nothing said
	fullIn    uint64       // round of dispatch in which nothing took anything
}

// apply replaces the list: proxies that are new to it are connected to, those that left it take
// nothing more from this group. A proxy that stands on no list any more finishes what it has. Under mu.
func (s *Sender) apply(l *proxyList, addrs []string) {
	old := l.endpoints
	l.endpoints = nil
	for _, addr := range addrs {
		ep := s.endpoint(endpointKey{l.owner, addr})
		l.endpoints = append(l.endpoints, ep)
		if slices.Contains(old, ep) {
			continue
		}
		if ep.lists++; ep.lists == 1 {
			s.connect(ep)
		}
	}
	for _, ep := range old {
		if slices.Contains(l.endpoints, ep) {
			continue
		}
		if ep.lists--; ep.lists == 0 {
			s.part(ep)
		}
	}
}

func (s *Sender) endpoint(key endpointKey) *endpoint {
	ep := s.endpoints[key]
	if ep == nil {
		ep = &endpoint{id: finality.Endpoint(len(s.endpoints)), addr: key.addr, group: key.group, codes: make(map[int]uint64)}
		s.endpoints[key] = ep
		s.endpointList = append(s.endpointList, ep)
	}
	return ep
}

// connect begins to keep connections to the proxy.
func (s *Sender) connect(ep *endpoint) {
	if s.stopped {
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	ep.leave = cancel
	s.m.AddEndpoint(ep.id, s.now())
	for i := range s.o.connections {
		s.wg.Go(func() { s.slotLoop(ctx, ep, i == 0) })
	}
}

// part lets the proxy's connections finish: each is closed once nothing on it is unanswered or acked
// and not final.
func (s *Sender) part(ep *endpoint) {
	s.m.RemoveEndpoint(ep.id, s.now())
	ep.leave()
	for _, c := range ep.conns {
		s.drain(c)
	}
}

// drain keeps new packs away from a connection and lets closeDrained end it. Under mu.
func (s *Sender) drain(c *conn) {
	if !c.draining {
		c.draining = true
		s.draining = append(s.draining, c)
	}
}

// drainGrace is how long a connection whose proxy stays on the list waits for what it acked: no other takes its
// place meanwhile, and what was acked may never become final.
const drainGrace = 30 * time.Second

// closeDrained ends the draining connections that have nothing left. Under mu.
func (s *Sender) closeDrained(now time.Duration) {
	s.draining = slices.DeleteFunc(s.draining, func(c *conn) bool {
		if c.closing {
			return true
		}
		if c.inFlight > 0 || (c.acked > 0 && (c.drainBy == 0 || now < c.drainBy)) {
			return false
		}
		s.end(c, "drained")
		return true
	})
}

// end closes a connection after mu was let go. Under mu.
func (s *Sender) end(c *conn, why string) {
	if !c.closing {
		c.closing, c.why = true, why
		s.toClose = append(s.toClose, c)
	}
}

// maxCodes bounds how many error codes of a proxy are told apart; DataProxy has about 40.
const maxCodes = 64

// countCode counts an answer with an error code. Under mu.
func (ep *endpoint) countCode(code int) {
	if _, known := ep.codes[code]; !known && len(ep.codes) >= maxCodes {
		code = frame.CodeUnknown
	}
	ep.codes[code]++
}

// note remembers the endpoint's last trouble. Under mu.
func (ep *endpoint) note(text string) { ep.lastErr, ep.lastTime = text, time.Now() }

// slotLoop keeps one connection to the proxy until the proxy leaves the lists and what the connection
// carried is settled, or the sender stops. The dials that fail count as tries of waiting packs in the
// first slot only.
func (s *Sender) slotLoop(ctx context.Context, ep *endpoint, first bool) {
	wait := s.o.backoff()
	for failures := 0; ; {
		nc, err := s.dialProxy(ctx, ep)
		s.mu.Lock()
		if ctx.Err() != nil {
			s.mu.Unlock()
			if err == nil {
				nc.Close() //nolint:errcheck // never used
			}
			return
		}
		if err == nil {
			if failures > 0 {
				ep.eased(s.now())
				s.o.logger.Info("connected to proxy again", "endpoint", ep.addr, "attempts", failures)
			}
			c := s.connected(ep, nc)
			s.progress()
			if s.serve(c) {
				failures = 0
			}
		} else {
			ep.note(err.Error())
			if failures == 0 {
				s.o.logger.Warn("connecting to proxy fails", "endpoint", ep.addr, "error", err)
			}
			if first {
				s.dialFailed(ep, err)
			}
			s.progress()
		}
		pause := time.NewTimer(wait.pause(failures))
		failures++
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}
