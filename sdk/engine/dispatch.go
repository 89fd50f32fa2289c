package engine

import (
	"slices"
	"time"

	"inlong-bridge/sdk/finality"
)

// enqueue puts a waiting pack where it waits for its turn. An isolated pack may have to wait until a connection is
// empty, and nobody shall wait behind it.
func (e *Engine) enqueue(p *Pack) {
	if p.state != Waiting {
		panic("bug: pack enqueued that is " + p.state.String())
	}
	if p.isolated {
		e.isolated = append(e.isolated, p)
		return
	}
	p.stream.lineUp(p)
	if p.encoded {
		e.makeRunnable(p.stream, p.lane())
	}
}

// offer is what became of a stream's oldest pack when it was offered to the connections.
type offer uint8

const (
	offerSent    offer = iota
	offerNone          // no pack waits in that queue, or the first one is not encoded, or the stream is not watched yet
	offerBlocked       // the stream has to wait for something that concerns it alone
	offerFull          // no connection of its proxies takes anything from anybody
)

func (o offer) String() string {
	switch o {
	case offerSent:
		return "sent"
	case offerNone:
		return "nothing to send"
	case offerBlocked:
		return "blocked"
	case offerFull:
		return "full"
	}
	return "unknown"
}

// dispatch hands packs to connections: isolated ones first, then the lanes in their order, and in each lane the streams
// in turn. It ends when no connection takes more, or no stream has anything to send.
func (e *Engine) dispatch(now time.Duration) {
	e.round++
	e.dispatchIsolated(now)
	full := 0 // lists of proxies that take nothing more
	for l := range lanes {
		q := &e.runnable[l]
		tries := q.blocked.Len()
		if !e.scanAll {
			tries = min(tries, blockedTries)
		}
		for idle := 0; ; {
			// Blocked streams come after those that are ready.
			st, wasBlocked := q.ready.Front(), false
			if st == nil || idle >= q.ready.Len() {
				if st, wasBlocked = q.blocked.Front(), true; st == nil || tries == 0 {
					break
				}
				tries--
			}
			turn, result := &st.line(l).turn, offerFull
			if st.list.fullIn != e.round {
				result = e.offerFirst(st, l, now)
			}
			switch result {
			case offerSent:
				idle = 0
				q.ready.PushBack(turn)
			case offerNone:
				turn.Remove()
			case offerBlocked:
				q.blocked.PushBack(turn)
			case offerFull:
				if st.list.fullIn != e.round {
					st.list.fullIn = e.round
					if full++; full >= len(e.lists) {
						return
					}
				}
				if wasBlocked {
					q.blocked.PushBack(turn)
				} else {
					idle++
					q.ready.PushBack(turn)
				}
			}
		}
	}
	e.scanAll = false
}

// dispatchIsolated hands out the packs that travel alone, as far as connections are empty.
func (e *Engine) dispatchIsolated(now time.Duration) {
	e.isolated = slices.DeleteFunc(e.isolated, func(p *Pack) bool {
		if p.state != Waiting {
			return true // it became final while it waited
		}
		if !p.encoded || now < p.notBefore || e.cfg.Finality.Mode == finality.Queue && !p.stream.watched {
			return false
		}
		c, _ := e.choose(p, now)
		if c != nil {
			e.hand(p, c, now)
		}
		return c != nil
	})
}

// offerFirst offers the first pack of a queue to the connections.
func (e *Engine) offerFirst(st *Stream, l lane, now time.Duration) offer {
	q := st.line(l)
	q.trim()
	p := q.head
	if p == nil || !p.encoded || (e.cfg.Finality.Mode == finality.Queue && !st.watched) {
		return offerNone
	}
	c, result := e.choose(p, now)
	if c == nil {
		return result
	}
	q.pop()
	e.hand(p, c, now)
	return offerSent
}

// hand puts p in flight on c. Its first byte is written after this.
func (e *Engine) hand(p *Pack, c *Conn, now time.Duration) {
	if p.sends > 0 {
		p.stream.trouble().Resent++
	}
	p.sends++
	p.conn, p.endpoint, p.sentAt, p.taken = c, c.endpoint, now, false
	e.setState(p, InFlight)
	c.table[uint32(p.seq)] = p
	c.inFlight++
	c.inFlightBytes += p.wire
	c.unwritten += p.wire
	if p.isolated { // a heartbeat goes ahead of it: see aloneRecord
		c.reserved, p.reserved = p, c
		e.emit(Effect{Kind: Heartbeat, Conn: c})
	}
	if b := &c.endpoint.breaker; b.pauses > 0 {
		b.trial = p.seq
	}
	if b := p.stream.breakers[c.endpoint]; b != nil && b.pauses > 0 {
		b.trial = p.seq
	}
	e.confirm.Written(finality.Pack(p.seq), p.stream.id, c.epoch, int(p.wire), now)
	f := e.add(Send)
	f.Pack, f.Conn = p, c
}

// unhand takes p off the connection that it was handed to.
func (e *Engine) unhand(p *Pack) {
	c := p.conn
	delete(c.table, uint32(p.seq))
	c.inFlight--
	c.inFlightBytes -= p.wire
	p.unreserve()
	e.unblock(p.stream)
	c.endpoint.breaker.trialOver(p.seq)
	p.stream.breakers[c.endpoint].trialOver(p.seq)
}

func (p *Pack) unreserve() {
	if p.reserved != nil {
		p.reserved.reserved, p.reserved = nil, nil
	}
}
