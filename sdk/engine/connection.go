package engine

import (
	"cmp"
	"slices"
	"time"

	"inlong-bridge/sdk/finality"
)

// Conn is what the engine knows of one connection to a proxy, from when it opened until it ended. The owner embeds it in
// its own struct.
type Conn struct {
	Ref int32 // the owner's handle; the engine only carries it
	// Renews: it takes the place of another one that lives, so its proxy did not come back; see Retire.
	Renews bool

	epoch    finality.ConnEpoch
	endpoint *Endpoint
	openedAt time.Duration
	table    map[uint32]*Pack // in flight here, by the low half of Seq

	inFlight      int   // Invariant: len(table)
	inFlightBytes int64 // Invariant: wire bytes of the packs in table
	unwritten     int64 // wire bytes of the packs that were handed over and whose writing did not end yet
	acked         int   // packs acked here that are not final

	answers  bool // something was answered here
	useful   bool // something was acked here
	first    bool // a dial that fails in its place counts as a try; see retry.go
	unproven bool // it takes no pack before it answered a heartbeat; see Opened
	// unclear: a pack may be unanswered that is not in table, or an answer came to none.
	unclear  bool
	reserved *Pack // the isolated pack for which it keeps itself empty, or that it carries

	draining bool          // takes no new pack, and ends when it has nothing left. Invariant: it is in Engine.draining
	drainBy  time.Duration // when it ends though not everything is final; 0 for never
	closing  bool          // CloseConn is out, or it ended
	byUs     bool          // closing because an answer or a write took too long
	drained  bool          // closing because it had nothing left to do
	why      string        // closing: the reason
}

// Epoch names the connection; none is ever used twice.
func (c *Conn) Epoch() finality.ConnEpoch { return c.epoch }
func (c *Conn) Endpoint() *Endpoint       { return c.endpoint }
func (c *Conn) OpenedAt() time.Duration   { return c.openedAt }

// InFlight is how many packs are in flight on it.
func (c *Conn) InFlight() int { return c.inFlight }

// Drained reports whether it was closed because it had nothing left to do.
func (c *Conn) Drained() bool { return c.drained }

// takes reports whether new packs may go there.
func (c *Conn) takes() bool { return !c.draining && !c.closing }

// Opened says that a connection to a proxy is open.
//
// unproven says that the last one there ended before anything was answered on it, so that nobody knows whether a proxy
// is there: a load balancer without one accepts connections too. A pack sent there would be blamed for the end of the
// connection, or lie there for long. Such a connection sends a heartbeat first, and takes packs when that is answered.
//
// again says that it is not the first one in its place, and first that its place is the one whose failures count as tries.
func (e *Engine) Opened(c *Conn, ep *Endpoint, unproven, again, first bool, now time.Duration) {
	e.last++
	c.epoch, c.endpoint, c.openedAt, c.unproven, c.first = e.last, ep, now, unproven, first
	c.table = make(map[uint32]*Pack)
	e.conns[c.epoch] = c
	if again {
		ep.eased(now)
	}
	if ep.counts.Ended > 0 {
		ep.counts.Reconnects++
	}
	ep.conns = append(ep.conns, c)
	e.confirm.Opened(c.epoch, ep.id, now)
	if !unproven {
		e.scanAll = true
		e.emit(Effect{Kind: ConnReady, Conn: c})
	}
	if unproven || ep.outage.on { // ask for a sign of life
		e.emit(Effect{Kind: Heartbeat, Conn: c})
	}
}

// Heard says that anything was answered on a connection; it comes before the event that tells what. The first answer
// ends the outage of the proxy, and an unproven connection takes packs from now on.
func (e *Engine) Heard(c *Conn, now time.Duration) {
	if c.answers {
		return
	}
	c.answers = true
	ep := c.endpoint
	if c.unproven {
		c.unproven = false
		if !c.Renews {
			ep.eased(now)
		}
		e.scanAll = true
		e.emit(Effect{Kind: ConnReady, Conn: c})
	}
	if o := &ep.outage; o.on {
		e.emit(Effect{Kind: EndpointBack, Endpoint: ep, Times: o.failures, For: now - o.since})
		*o = outage{}
	}
}

// Beat says that a heartbeat was written on c.
func (e *Engine) Beat(c *Conn, now time.Duration) { e.confirm.Beat(c.epoch, now) }

// BeatAnswered says that the oldest unanswered heartbeat of c was answered.
func (e *Engine) BeatAnswered(c *Conn, now time.Duration) { e.confirm.Answered(c.epoch, now) }

// Take says that the writer of c takes a pack that it was sent: its first byte may be written at any time from now on.
// It returns false when the pack need not be written any more.
func (e *Engine) Take(c *Conn, p *Pack, now time.Duration) bool {
	if p.conn != c || p.state != InFlight { // it was seen in the queue before this copy went out
		c.unwritten -= p.wire
		return false
	}
	p.taken, p.written, p.wroteAt = true, true, now
	return true
}

// Wrote says that the writer of c ended the writing of a pack that it took.
func (e *Engine) Wrote(c *Conn, p *Pack) {
	c.unwritten -= p.wire
	c.endpoint.counts.Bytes += uint64(p.wire)
}

// Find returns the pack that an answer with this number is for, nil if it is for none: only a pack that is in flight on
// this very connection, and that its writer took, can be answered.
func (c *Conn) Find(uniq uint32) *Pack {
	if p := c.table[uniq]; p != nil && p.taken {
		return p
	}
	return nil
}

// Only returns the one pack that an answer without a name can be for, nil if there may be others.
func (c *Conn) Only() (p *Pack) {
	if c.unclear {
		return nil
	}
	for _, q := range c.table {
		switch {
		case !q.taken: // nothing of it went out
		case p != nil:
			return nil
		default:
			p = q
		}
	}
	return p
}

// UnknownAnswer says that an answer came to no pack that could be answered. unclear says that answers there have no
// number, so that the next one may be for such a pack too.
func (e *Engine) UnknownAnswer(c *Conn, unclear bool) {
	c.endpoint.counts.UnknownAcks++
	c.unclear = c.unclear || unclear
}

// GaveUp says that the owner ends c for what its proxy did: Ended follows.
func (e *Engine) GaveUp(c *Conn) { c.byUs = true }

// WriteFailed says that the writer of c ended with an error. late says that the write took too long.
func (e *Engine) WriteFailed(c *Conn, late bool, reason string) {
	c.byUs = c.byUs || late
	e.closeConn(c, reason)
}

// ConnEnd is how the life of a connection went.
type ConnEnd struct {
	Answered bool // something was
	Useful   bool // something was acked
	Alone    bool // no other proxy of a list is connected
}

// Ended says that a connection ended, with the error of its reader. Nothing reads the bytes of its packs any more.
func (e *Engine) Ended(c *Conn, err error, now time.Duration) ConnEnd {
	ep := c.endpoint
	c.closing = true
	e.scanAll = true // its window is gone, and so is what it was kept empty for
	delete(e.conns, c.epoch)
	ep.conns = slices.DeleteFunc(slices.Clone(ep.conns), func(o *Conn) bool { return o == c })
	if p := c.reserved; p != nil {
		if p.state == InFlight && p.suspected() && !c.byUs {
			e.confirm.Blamed(c.epoch)
		}
		p.unreserve()
	}
	ep.counts.Ended++
	e.emit(Effect{Kind: ConnEnded, Conn: c, Endpoint: ep, Reason: c.why, Err: err, Packs: c.inFlight, Acked: c.acked})
	if !e.stopped { // else what it carried is left to Abandon: Stop ended it, no proxy did
		if c.byUs {
			e.confirm.GivenUp(c.epoch)
		}
		e.confirm.Ended(c.epoch, now)
		if !c.drained {
			e.outageAfter(c, err, now)
		}
	}
	end := ConnEnd{Answered: c.answers, Useful: c.useful, Alone: e.alone(ep)}
	if c.unproven && c.first { // it took no pack, and so was no better than a dial that fails
		e.triesFailed(ep, nil, "connection ended")
	}
	return end
}

// outageAfter tells what the end of a connection means for its proxy.
func (e *Engine) outageAfter(c *Conn, err error, now time.Duration) {
	ep, reason := c.endpoint, cmp.Or(c.why, err.Error())
	switch {
	case !c.answers && c.byUs:
		e.fails(ep, NoAnswer, reason, c.inFlight, now)
	case !c.answers:
		e.fails(ep, ClosesAtOnce, reason, c.inFlight, now)
	default:
		e.emit(Effect{Kind: ConnLost, Conn: c, Endpoint: ep, Reason: c.why, Err: err, Packs: c.inFlight, Acked: c.acked})
	}
	ep.outage.begin(now)
	e.redial(ep)
}

// DialFailed says that a proxy could not be dialled. first is as for Opened.
func (e *Engine) DialFailed(ep *Endpoint, err error, first bool, now time.Duration) {
	e.fails(ep, NotConnected, err.Error(), 0, now)
	if first {
		e.triesFailed(ep, err, "")
	}
}

// Retire says that another connection takes the place of c: it takes no new packs, and is closed once nothing on it is in
// flight, or acked and not final.
func (e *Engine) Retire(c *Conn) { e.drain(c) }

// drainGrace is how long a connection whose proxy stays on the list waits for what it acked: no other takes its
// place meanwhile, and what was acked may never become final.
const drainGrace = 30 * time.Second

// drain keeps new packs away from a connection and lets closeDrained end it.
func (e *Engine) drain(c *Conn) {
	if !c.draining {
		c.draining = true
		e.draining = append(e.draining, c)
	}
}

// closeDrained ends the draining connections that have nothing left.
func (e *Engine) closeDrained(now time.Duration) {
	e.draining = slices.DeleteFunc(e.draining, func(c *Conn) bool {
		if c.closing {
			return true
		}
		if c.inFlight > 0 || (c.acked > 0 && (c.drainBy == 0 || now < c.drainBy)) {
			return false
		}
		c.drained = true
		e.closeConn(c, "drained")
		return true
	})
}

// closeConn has the owner close a connection, once.
func (e *Engine) closeConn(c *Conn, why string) {
	if !c.closing {
		c.closing, c.why = true, why
		e.emit(Effect{Kind: CloseConn, Conn: c, Reason: why})
	}
}
