package sdk

import (
	"slices"
	"time"

	"inlong-bridge/sdk/finality"
)

// effects is what a change of state leaves to be done. Whoever changed the state does it after letting go of mu,
// because it may take time. What does not wait and has to keep the order of events (a signal to a writer, news for
// the notifier, a pack for the encoders) is done at once, under mu. The usual value is empty and costs nothing.
type effects struct {
	closing []*conn       // connections to be closed
	idle    chan struct{} // to be closed: after Close sealed everything, nothing is pending any more
}

// perform does it. No lock is held.
func (e effects) perform() {
	for _, c := range e.closing {
		c.nc.Close() //nolint:errcheck // its reader reports why the connection ended
	}
	if e.idle != nil {
		close(e.idle)
	}
}

// progressLocked is called at the end of every change under mu. It carries out the decisions of the state machine,
// hands waiting packs to connections, and returns what the caller has to perform once it has let go of mu.
func (s *Sender) progressLocked() (todo effects) {
	now := s.now()
	s.decideLocked(now)
	s.tryHeldLocked(now)
	if !s.stopped {
		s.dispatchLocked(now)
	}
	s.closeDrainedLocked(now)
	todo.closing, s.toClose = s.toClose, nil
	if s.flushed && s.states.pending() == 0 && !s.idleTold {
		s.idleTold = true
		todo.idle = s.idle
	}
	return todo
}

// enqueueLocked puts a waiting pack into its stream's queue, a suspect among its own kind: it may have to
// wait for an empty connection, and nobody shall wait behind it. Under mu.
func (s *Sender) enqueueLocked(p *pack) {
	if p.suspect {
		s.suspects = append(s.suspects, p)
		return
	}
	p.st.queues[p.class()].push(p)
	if p.frame != nil {
		s.joinLocked(p.st, p.class())
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

// dispatchLocked hands out packs: suspects, then those that repair a loss, then those sent before, then new ones, and
// among each the streams in turn. It ends when no connection takes more, or nobody has anything to
// give. Under mu.
func (s *Sender) dispatchLocked(now time.Duration) {
	s.round++
	s.suspects = slices.DeleteFunc(s.suspects, func(p *pack) bool {
		if p.state != packWaiting {
			return true // became final while it waited
		}
		if p.frame == nil || now < p.notBefore {
			return false
		}
		c, _ := s.chooseLocked(p, now)
		if c != nil {
			s.handLocked(p, c, now)
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
				result = s.offerFirstLocked(t.st, class, now)
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
					if fullLists++; fullLists >= s.listsLocked() {
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

// listsLocked is the number of lists of proxies that streams have.
func (s *Sender) listsLocked() int {
	if s.static != nil {
		return 1
	}
	return len(s.groups)
}

// offerFirstLocked offers the first pack of a queue to the connections.
func (s *Sender) offerFirstLocked(st *Stream, class int, now time.Duration) offer {
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
	c, result := s.chooseLocked(p, now)
	if c == nil {
		return result
	}
	q.pop()
	s.handLocked(p, c, now)
	return sent
}

// maxUnwritten is how many bytes may wait for a connection's writer. More would only wait there
// instead of here, where another connection may take them.
const maxUnwritten = 1 << 20

// handLocked records p as in flight on c and gives it to its writer. Under mu.
func (s *Sender) handLocked(p *pack, c *conn, now time.Duration) {
	if p.sends > 0 {
		p.st.counts.resent++
	}
	s.ranAheadLocked(p)
	p.st.ahead.moved.Store(int64(now))
	p.sends++
	p.conn, p.endpoint, p.sentAt, p.taken = c, c.ep, now, false
	s.setStateLocked(p, packInFlight)
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
	if h := p.st.holds[c.ep]; h != nil && h.pauses > 0 {
		h.trial = p.seq
	}
	s.m.Written(finality.Pack(p.seq), p.st.id, c.epoch, int(p.wire), now)
	c.out = append(c.out, p)
	c.signal()
}

// packCount is how many packs there are in each state.
type packCount [packStates]int

// pending is how many have no verdict yet, not counting open ones.
func (n *packCount) pending() int { return n[packWaiting] + n[packInFlight] + n[packAcked] }

// registerLocked makes a sealed pack known, which waits to be sent. Under mu.
func (s *Sender) registerLocked(p *pack) {
	s.packs[p.seq] = p
	p.st.known++
	p.state = packWaiting
	s.states[packWaiting]++
	if p.key.repair {
		s.repairStates[packWaiting]++
	}
	p.st.counts.packs++
}

// unregisterLocked: nothing more will be heard of a pack. Under mu.
func (s *Sender) unregisterLocked(p *pack) {
	delete(s.packs, p.seq)
	p.st.known--
}

// setStateLocked moves a registered pack. Under mu.
func (s *Sender) setStateLocked(p *pack, to packState) {
	s.states[p.state]--
	s.states[to]++
	if p.key.repair {
		s.repairStates[p.state]--
		s.repairStates[to]++
	}
	p.state = to
}

// unhandLocked takes p off the connection it was handed to. Under mu.
func (s *Sender) unhandLocked(p *pack) {
	c := p.conn
	delete(c.table, uint32(p.seq))
	c.inFlight--
	c.inFlightBytes -= p.wire
	p.unreserveLocked()
	s.wakeLocked(p.st)
	if h := &c.ep.hold; h.trial == p.seq {
		h.trial = 0
	}
	if h := p.st.holds[c.ep]; h != nil && h.trial == p.seq {
		h.trial = 0
	}
}

func (p *pack) unreserveLocked() {
	if p.reserved != nil {
		p.reserved.reserved, p.reserved = nil, nil
	}
}
