package sdk

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"sync/atomic"
	"time"

	"inlong-bridge/sdk/backoff"
	"inlong-bridge/sdk/engine"
	"inlong-bridge/sdk/finality"
	"inlong-bridge/sdk/internal/choice"
	"inlong-bridge/sdk/internal/lists"
	"inlong-bridge/sdk/internal/names"
	"inlong-bridge/sdk/manager"
	"inlong-bridge/sdk/signal"
)

// endpoint is one proxy, known by its address, or by its name and one of the name's addresses. It is kept when it leaves the lists: its counters go on
// when it comes back, and so do the packs that its last connections still answer for.
// Everything is guarded by Sender.mu.
type endpoint struct {
	life   engine.Endpoint // what the engine knows of it
	addr   string          // how it is called: host:port, and the address where the name has several
	dial   string          // host:port that is dialled; constant
	group  string          // whose it is; empty where groups share it
	leave  context.CancelFunc
	redial signal.Broadcast // pauses after dials that failed end at once

	lastErr  string
	lastTime time.Time
	standing choice.Standing // with WithMaxProxies
}

// directory is the proxies that are known, and where their lists come from. Guarded by Sender.mu.
type directory struct {
	static       *proxyList // of all groups; nil where each has its own
	groups       map[string]*group
	clusters     *lists.Clusters // see IsolateGroupsShareList
	store        *manager.Store  // the Manager's last answers on disk; nil for none
	names        *names.Table    // which addresses names stand for; nil: names are dialled as they are
	resolving    bool            // resolveLoop runs
	resolveWake  signal.Poke     // for resolveLoop: there is a new name
	choice       choice.Chooser  // see WithMaxProxies
	endpoints    map[endpointKey]*endpoint
	endpointList []*endpoint // in the order of first use: the engine refers to them by their index
}

func newDirectory() directory {
	return directory{
		groups:    make(map[string]*group),
		endpoints: make(map[endpointKey]*endpoint), resolveWake: signal.NewPoke(),
	}
}

// eachListLocked calls f with every list of proxies. Under Sender.mu.
func (d *directory) eachListLocked(f func(*proxyList)) {
	if d.static != nil {
		f(d.static)
	}
	for _, g := range d.groups {
		f(&g.list)
	}
}

// endpointOfLocked is the proxy that the engine refers to. Under Sender.mu.
func (d *directory) endpointOfLocked(ep *engine.Endpoint) *endpoint { return d.endpointList[ep.Ref] }

// addrOfLocked is the address of a proxy, empty for none. Under Sender.mu.
func (d *directory) addrOfLocked(ep *engine.Endpoint) string {
	if ep == nil {
		return ""
	}
	return d.endpointOfLocked(ep).addr
}

// proxyList is the proxies of a group; with static proxies all groups share one.
type proxyList struct {
	life     engine.ProxyList
	addrs    []string     // host:port as given
	reserve  int          // proxies of the list that may take the place of another; see WithMaxProxies
	owner    string       // the group whose endpoints are its own; empty where they are shared
	maxFrame atomic.Int64 // largest frame as the Manager says, 0 for nothing said
}

// applyLocked replaces the list: proxies that are new to it are connected to, those that left it take
// nothing more from this group. Of more proxies than WithMaxProxies allows some are chosen. A proxy that stands on no list any more finishes what it has. The caller ends with
// progressLocked. Under mu.
func (s *Sender) applyLocked(l *proxyList, addrs []string) {
	l.addrs = addrs
	var endpoints []*engine.Endpoint
	for _, t := range s.chooseLocked(l, s.targetsLocked(addrs)) {
		endpoints = append(endpoints, &s.endpointLocked(endpointKey{l.owner, t.Label}, t.Addr).life)
	}
	s.e.SetList(&l.life, endpoints, s.now())
}

func (s *Sender) endpointLocked(key endpointKey, dial string) *endpoint {
	ep := s.proxies.endpoints[key]
	if ep == nil {
		ep = &endpoint{addr: key.addr, dial: dial, group: key.group}
		ep.life.Ref = int32(len(s.proxies.endpointList))
		s.e.AddEndpoint(&ep.life, finality.Endpoint(ep.life.Ref))
		s.proxies.endpoints[key] = ep
		s.proxies.endpointList = append(s.proxies.endpointList, ep)
	}
	return ep
}

// connectLocked begins to keep connections to the proxy. Under mu.
func (s *Sender) connectLocked(ep *endpoint) {
	ctx, cancel := context.WithCancel(s.ctx)
	ep.leave = cancel
	for i := range s.o.connections {
		s.wg.Go(func() { s.slotLoop(ctx, ep, i == 0, nil) })
	}
}

// noteLocked remembers the endpoint's last trouble. Under mu.
func (ep *endpoint) noteLocked(text string) { ep.lastErr, ep.lastTime = text, time.Now() }

// failureLocked is the error of a try that ended with its connection. Under mu.
func (ep *endpoint) failureLocked(why string) error {
	if ep.lastErr != "" {
		why = ep.lastErr
	}
	return fmt.Errorf("proxy %s: %s", ep.addr, why)
}

// maxDialPause is the longest pause between dials that fail: a proxy that is back is used within that time. A dial costs
// the proxy next to nothing. What accepts connections and ends them is paused longer: it may be at work on each.
const maxDialPause = 2 * time.Second

// maxProofPause is the longest pause of a proxy whose connections end before it answers anything, while no other is
// connected: such a connection costs a heartbeat, and the packs have nowhere to go. While others take them, pauses
// grow on up to the longest.
const maxProofPause = 5 * time.Second

// dialBackoff is the pauses between dials that fail.
func (o *options) dialBackoff() backoff.Backoff {
	b := o.backoff()
	b.Max = max(b.Min, min(b.Max, maxDialPause))
	return b
}

// slotLoop keeps one connection to the proxy until the proxy leaves the lists and what the connection
// carried is settled, or the sender stops. The dials that fail count as tries of waiting packs in the
// first slot only. c is a connection that is open already, nil for none. It returns false when c had to prove itself
// beside another one, which lives on and keeps the slot (lifetime.go).
func (s *Sender) slotLoop(ctx context.Context, ep *endpoint, first bool, c *conn) (mine bool) {
	dials, wait := s.o.dialBackoff(), s.o.backoff()
	failed, useless := 0, 0 // in a row: dials, connections
	unproven := false       // the last connection ended before anything was answered on it
	for again := c != nil; ; again = true {
		redial := ep.redial.Next() // before the dial, so that no wake is missed
		var err error
		if c == nil {
			if c, err = s.dialConn(ctx, ep, unproven, again, first); c == nil && ctx.Err() != nil {
				return true
			}
		}
		var pause time.Duration
		if err == nil {
			s.renewLater(ctx, c, first)
			end := s.serve(c)
			if keep, mine := s.after(c); !keep {
				return mine
			}
			c = nil
			failed, unproven = 0, !end.Answered
			if end.Useful {
				useless = 0
			}
			pause = wait.Pause(useless, mathrand.Float64())
			if unproven && end.Alone {
				pause = min(pause, maxProofPause)
			}
			if !end.Useful {
				useless++
			}
			redial = nil // it may be at work on each connection: pauses are kept
		} else {
			pause = dials.Pause(failed, mathrand.Float64())
			failed++
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return true
		case <-timer.C:
		case <-redial:
			timer.Stop()
		}
	}
}

// dialConn dials the proxy and begins a connection. It returns neither that nor an error when ctx ended first.
func (s *Sender) dialConn(ctx context.Context, ep *endpoint, unproven, again, first bool) (c *conn, err error) {
	nc, err := s.dialProxy(ctx, ep)
	s.mu.Lock()
	if ctx.Err() != nil {
		s.mu.Unlock()
		if err == nil {
			nc.Close() //nolint:errcheck // never used
		}
		return nil, nil //nolint:nilnil // as the comment says
	}
	if err == nil {
		c = s.connectedLocked(ep, nc, unproven, again, first)
	} else {
		ep.noteLocked(err.Error())
		s.e.DialFailed(&ep.life, err, first, s.now())
	}
	todo := s.progressLocked()
	s.mu.Unlock()
	todo.perform()
	return c, err
}
