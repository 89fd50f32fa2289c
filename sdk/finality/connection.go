package finality

import (
	"slices"
	"time"
)

// conn is one connection at an endpoint, from when it opened until it ended. Windows and acks belong to it.
type conn struct {
	id       ConnEpoch
	ep       *endpoint
	inFlight packList          // written, not answered, in the order written
	acked    packList          // in the order acked, or as if: by stamp
	apart    packList          // acked, of streams that the rules of a living connection leave alone (Queue); see slowstart.go
	window   share             // what counts in its window
	shares   map[*stream]share // of the window, by stream; nil but in Queue
	used     bool              // a pack was written to it
	settled  bool              // something of it settled
	blamed   bool              // its end is put down to a pack

	clock    lifeClock
	lastSent time.Duration   // anything, heartbeats too
	lastData time.Duration   // a pack
	beats    []time.Duration // heartbeats not answered, by the time they were sent
	lastBeat time.Duration
	beatDue  bool // a Heartbeat decision is out
	closing  bool // it is given up for silence: a Close decision is out, or the caller said so

	allowed  int64         // Settle: bytes that may be in flight
	shrunkAt time.Duration // of the last shrink

	nextProbe  time.Duration // Queue, on the queue clock; see queue.go
	probePause time.Duration
}

// share is how much of a window is taken.
type share struct {
	packs int
	bytes int64
}

// startAllowed is the number of bytes in flight that a fresh connection begins with (Settle).
const startAllowed = 4 << 20

// Opened says that a connection to an endpoint is open.
func (m *Machine) Opened(id ConnEpoch, ep Endpoint, now time.Duration) {
	if m.conns[id] != nil {
		panic("bug: connection opened twice")
	}
	c := &conn{
		id: id, ep: m.endpoint(ep), lastSent: now, allowed: min(startAllowed, m.cfg.WindowBytes),
	}
	if m.cfg.Mode == Queue {
		c.shares = make(map[*stream]share)
	}
	m.conns[id] = c
	m.living = append(m.living, c)
	c.ep.living++
}

// GivenUp says that the caller ends c because its proxy takes nothing any more; Ended follows.
func (m *Machine) GivenUp(id ConnEpoch) {
	if c := m.conns[id]; c != nil {
		c.closing = true
	}
}

// Blamed says that a pack that was alone on c, and ended other connections before, has ended it; Ended follows. That says nothing of
// the proxy.
func (m *Machine) Blamed(id ConnEpoch) {
	if c := m.conns[id]; c != nil {
		c.blamed = true
	}
}

// Ended ends a connection, for whatever reason. Its window ends at once, before anything is known
// about its packs: those in flight are waiting again, in order; those
// acked are lost (Settle), or orphans that are waited for a little longer (Queue).
func (m *Machine) Ended(id ConnEpoch, now time.Duration) {
	c := m.conns[id]
	if c == nil {
		return
	}
	delete(m.conns, id)
	m.living = slices.DeleteFunc(m.living, func(i *conn) bool { return i == c })
	c.ep.living--
	for oldest := true; c.inFlight.Front() != nil; oldest = false {
		p := c.inFlight.Front()
		p.unlink()
		c.leave(p)
		p.uncounted()
		p.state, p.c = waiting, nil
		m.decide(Decision{Kind: Resend, Pack: p.id, Oldest: oldest, Reason: "connection ended before the ack"})
	}
	switch m.cfg.Mode {
	case Ack:
	case Settle:
		c.ep.connEnded(c, now, &m.cfg)
		for c.acked.Front() != nil {
			m.lose(c.acked.Front(), "connection ended before the pack settled")
		}
	case Queue:
		m.orphan(c, now)
	}
}

// several reports whether more than one stream is routed; only then shares matter.
func (m *Machine) several() bool { return len(m.streams) > 1 }

// Admit says whether a pack of bytes on the wire of this stream may be written to c now. It changes
// nothing.
func (m *Machine) Admit(id ConnEpoch, s Stream, bytes int, now time.Duration) Refusal {
	c := m.conns[id]
	if c == nil || c.closing {
		return ConnGone
	}
	if r := c.ep.admits(now); r != OK {
		return r
	}
	st := m.streams[s]
	if r := st.admits(now); r != OK {
		return r
	}
	if c.ep.tokens(m.cfg.Rate, now) <= 0 && m.cfg.Rate > 0 {
		return RateReached
	}
	n := int64(bytes)
	switch m.cfg.Mode {
	case Ack:
		if c.inFlight.Len() > 0 && (c.inFlight.bytes+n > m.cfg.WindowBytes || c.inFlight.Len() >= m.cfg.WindowPacks) {
			return WindowFull
		}
	case Settle:
		if c.inFlight.Len() > 0 && c.inFlight.bytes+n > c.allowed {
			return InFlightFull
		}
	case Queue:
		if r := m.admitStart(c.ep, st, n); r != OK {
			return r
		}
		return m.admitWindow(c, st, n)
	}
	return OK
}

// admitWindow is the flow control of Queue: the window bounds what a proxy's memory holds of ours, and
// one stream may take at most as much of it as is free, so that a stream whose packs vanish leaves
// half of the window to the others.
func (m *Machine) admitWindow(c *conn, st *stream, n int64) Refusal {
	w := c.window
	if w.packs == 0 {
		return OK // a pack larger than the window still travels, alone
	}
	if w.bytes+n > m.cfg.WindowBytes || w.packs+1 > m.cfg.WindowPacks {
		return WindowFull
	}
	if m.several() && st != nil {
		own := c.shares[st]
		if own.bytes+n > m.cfg.WindowBytes-w.bytes || own.packs+1 > m.cfg.WindowPacks-w.packs {
			return ShareFull
		}
	}
	return OK
}

// enter and leave keep the window's books.
func (c *conn) enter(p *pack) {
	p.inWindow = true
	c.window.add(1, p.bytes)
	if c.shares == nil {
		return
	}
	s := c.shares[p.stream]
	s.add(1, p.bytes)
	c.shares[p.stream] = s
}

func (c *conn) leave(p *pack) {
	if !p.inWindow {
		return
	}
	p.inWindow = false
	c.window.add(-1, -p.bytes)
	if c.shares == nil {
		return
	}
	s := c.shares[p.stream]
	s.add(-1, -p.bytes)
	if s.packs == 0 {
		delete(c.shares, p.stream)
		return
	}
	c.shares[p.stream] = s
}

func (s *share) add(packs int, bytes int64) { s.packs += packs; s.bytes += bytes }

// pace adapts the bytes in flight (Settle): a proxy whose acks take longer than SlowAck gets half as
// much, at most once in SlowAck, down to one pack; timely acks give back what they acked.
func (c *conn) pace(bytes int64, took, now time.Duration, cfg *Config) {
	if took > cfg.SlowAck {
		c.shrink(now, cfg)
		return
	}
	c.allowed = min(c.allowed+bytes, cfg.WindowBytes)
}

func (c *conn) shrink(now time.Duration, cfg *Config) {
	if now-c.shrunkAt < cfg.SlowAck {
		return
	}
	c.shrunkAt = now
	c.allowed = max(min(c.allowed, c.inFlight.bytes)/2, 1)
}

// Beat says that a heartbeat was written on c.
func (m *Machine) Beat(id ConnEpoch, now time.Duration) {
	c := m.conns[id]
	if c == nil {
		return
	}
	c.beatDue = false
	c.beats = append(c.beats, now)
	c.lastBeat, c.lastSent = now, now
}

// Answered says that the answer to the oldest unanswered heartbeat of c came.
func (m *Machine) Answered(id ConnEpoch, now time.Duration) {
	c := m.conns[id]
	if c == nil || len(c.beats) == 0 {
		return
	}
	took := now - c.beats[0]
	c.beats = slices.Delete(c.beats, 0, 1)
	m.heard(c.ep, now)
	if m.cfg.Mode == Settle {
		m.lifeSign(c, took, now)
	}
}

// tickConn asks for heartbeats and ends the connection whose answers do not come.
func (m *Machine) tickConn(c *conn, now time.Duration) {
	if c.closing {
		return
	}
	due := now-c.lastSent >= m.cfg.IdleBeat
	if m.cfg.Mode == Settle && c.acked.Len() > 0 {
		due = due || now-c.lastBeat >= m.cfg.BusyBeat
	}
	if due && !c.beatDue {
		c.beatDue = true
		m.decide(Decision{Kind: Heartbeat, ConnEpoch: c.id})
	}
	if m.cfg.Mode == Settle {
		m.giveUpFull(c, now)
	}
	if sent, ok := c.oldestUnanswered(); ok && now-sent >= m.cfg.AckTimeout && now-m.thaw >= m.cfg.Timely {
		// The second condition: answers may have come while this process was stopped and lie unread.
		c.closing = true
		m.decide(Decision{Kind: Close, ConnEpoch: c.id, Reason: "no answer within the ack time-out"})
	}
}

// giveUpFull ends the wait of what a full proxy had acked when nothing more is sent to it. Found by
// simulation: 1. the proxy answers 114 and the life clock stops until a data pack is acked in time;
// 2. the source goes idle, or all goes elsewhere; 3. no data pack ever comes, and what was acked before
// would wait for ever. So after Settle without data it is read again, as at the end of a connection. As
// long as there is data, a pack tries the proxy at least every TrialPause, which is not "without data".
func (m *Machine) giveUpFull(c *conn, now time.Duration) {
	if !c.clock.full || c.inFlight.Len() > 0 || now-c.lastData < m.cfg.TrialPause+m.cfg.Settle {
		return
	}
	for c.acked.Front() != nil {
		m.lose(c.acked.Front(), "its proxy answered 114 (memory full) and got no data since")
	}
}

// oldestUnanswered returns when the oldest data pack or heartbeat without an answer was sent.
func (c *conn) oldestUnanswered() (sent time.Duration, ok bool) {
	if p := c.inFlight.Front(); p != nil {
		sent, ok = p.sentAt, true
	}
	if len(c.beats) > 0 && (!ok || c.beats[0] < sent) {
		sent, ok = c.beats[0], true
	}
	return sent, ok
}
