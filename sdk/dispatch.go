package sdk

import (
	"slices"
	"time"

	"inlong-bridge/sdk/finality"
)

// progress is run under mu by whoever changed something: it carries out what the state machine
// decided, hands waiting packs to connections, and lets mu go. What may take time comes after that.
func (s *Sender) progress() {
	now := s.now()
	s.decide(now)
	if !s.stopped {
		s.dispatch(now)
	}
	s.closeDrained(now)
	if s.flushed && s.states.pending() == 0 && !s.idleTold {
		s.idleTold = true
		close(s.idle)
	}
	closing := s.toClose
	s.toClose = nil
	s.mu.Unlock()
	for _, c := range closing {
		c.nc.Close() //nolint:errcheck // its reader reports why the connection ended
	}
}

// enqueue puts a waiting pack into its stream's queue, a suspect among its own kind: it may have to
// wait for an empty connection, and nobody shall wait behind it. Under mu.
func (s *Sender) enqueue(p *pack) {
	if p.suspect {
		s.suspects = append(s.suspects, p)
		return
	}
	p.st.queues[p.class()].push(p)
	if p.frame != nil {
		s.join(p.st, p.class())
	}
}

// offer is what became of a stream's oldest pack when it was offered to the connections.
type offer uint8

const (
	sent    offer = iota
	none          // no pack waits in that queue, or the first is not encoded, or the stream not watched yet
	blocked       // this stream has to wait for something of its own
	noRoom        // no connection of its proxies takes anything from anybody
)

// dispatch hands out packs: suspects, then those that repair a loss, then those sent before, then new ones, and
// among each the streams in turn. It ends when no connection takes more, or nobody has anything to
// give. Under mu.
func (s *Sender) dispatch(now time.Duration) {
	s.round++
	s.suspects = slices.DeleteFunc(s.suspects, func(p *pack) bool {
		if p.state != packWaiting {
			return true // became final while it waited
		}
		if p.frame == nil || now < p.notBefore {
			return false
		}
		c, _ := s.choose(p, now)
		if c != nil {
			s.hand(p, c, now)
		}
		return c != nil
	})
	fullLists := 0
	for class := range s.turns {
		l := &s.turns[class]
		tries := l.aside.n
		if !s.thorough {
			tries = min(tries, asideTries)
		}
		for idle := 0; ; {
			// Those that stand aside come after those that are ready.
			t, aside := l.ready.head, false
			if t == nil || idle >= l.ready.n {
				if t, aside = l.aside.head, true; t == nil || tries == 0 {
					break
				}
				tries--
			}
			result := noRoom
			if t.st.proxies.fullIn != s.round {
				result = s.offerFirst(t.st, class, now)
			}
			switch result {
			case sent:
				idle = 0
				l.ready.push(t)
			case none:
				t.leave()
			case blocked:
				l.aside.push(t)
			case noRoom:
				if t.st.proxies.fullIn != s.round {
					t.st.proxies.fullIn = s.round
					if fullLists++; fullLists >= s.lists() {
						return
					}
				}
				if aside {
					l.aside.push(t)
				} else {
					idle++
					l.ready.push(t)
				}
			}
		}
	}
	s.thorough = false
}

// lists is the number of lists of proxies that streams have.
func (s *Sender) lists() int {
	if s.static != nil {
		return 1
	}
	return len(s.groups)
}

// offerFirst offers the first pack of a queue to the connections.
func (s *Sender) offerFirst(st *Stream, class int, now time.Duration) offer {
	q := &st.queues[class]
	for q.len() > 0 && q.front().state != packWaiting {
		q.pop() // became final while it waited
	}
	if q.len() == 0 {
		return none
	}
	p := q.front()
	if p.frame == nil || (s.o.finality.Mode == finality.Queue && st.watch != watched) {
		return none
	}
	c, result := s.choose(p, now)
	if c == nil {
		return result
	}
	q.pop()
	s.hand(p, c, now)
	return sent
}

// maxUnwritten is how many bytes may wait for a connection's writer. More would only wait there
// instead of here, where another connection may take them.
const maxUnwritten = 1 << 20

// hand records p as in flight on c and gives it to its writer. Under mu.
func (s *Sender) hand(p *pack, c *conn, now time.Duration) {
	if p.sends > 0 {
		p.st.counts.resent++
	}
	s.ranAhead(p)
	p.st.ahead.moved.Store(int64(now))
	p.sends++
	p.conn, p.endpoint, p.sentAt, p.taken = c, c.ep, now, false
	s.setState(p, packInFlight)
	c.table[uint32(p.seq)] = p
	c.inFlight++
	c.inFlightBytes += p.wire
	c.unwritten += p.wire
	if p.suspect {
		c.reserved, p.reserved = p, c
		c.beat = true
	}
	if h := &c.ep.hold; h.pauses > 0 {
		h.trial = p.seq
	}
	if h := p.st.holds[c.ep]; h != nil {
		h.trial = p.seq
	}
	s.m.Written(finality.Pack(p.seq), p.st.id, c.inc, int(p.wire), now)
	c.out = append(c.out, p)
	c.signal()
}

// packCount is how many packs there are in each state.
type packCount [packStates]int

// pending is how many have no verdict yet, not counting open ones.
func (n *packCount) pending() int { return n[packWaiting] + n[packInFlight] + n[packAcked] }

// register makes a sealed pack known, which waits to be sent. Under mu.
func (s *Sender) register(p *pack) {
	s.packs[p.seq] = p
	p.state = packWaiting
	s.states[packWaiting]++
	if p.key.repair {
		s.repairStates[packWaiting]++
	}
	p.st.counts.packs++
}

// setState moves a registered pack. Under mu.
func (s *Sender) setState(p *pack, to packState) {
	s.states[p.state]--
	s.states[to]++
	if p.key.repair {
		s.repairStates[p.state]--
		s.repairStates[to]++
	}
	p.state = to
}

// unhand takes p off the connection it was handed to. Under mu.
func (s *Sender) unhand(p *pack) {
	c := p.conn
	delete(c.table, uint32(p.seq))
	c.inFlight--
	c.inFlightBytes -= p.wire
	p.unreserve()
	s.wake(p.st)
	if h := &c.ep.hold; h.trial == p.seq {
		h.trial = 0
	}
	if h := p.st.holds[c.ep]; h != nil && h.trial == p.seq {
		h.trial = 0
	}
}

func (p *pack) unreserve() {
	if p.reserved != nil {
		p.reserved.reserved, p.reserved = nil, nil
	}
}
