package finality

import (
	"slices"
	"time"
)

// incarnation is one connection's life at an endpoint. Windows and acks belong to it.
type incarnation struct {
	id       Incarnation
	ep       *endpoint
	inFlight packList // written, not answered, in the order written
	acked    packList // in the order acked, or as if: by stamp
	apart    packList // acked, of streams that the rules of a living connection leave alone (Queue); see slowstart.go
	window   share    // what counts in its window
	shares   map[*stream]share
	used     bool // a pack was written to it
	settled  bool // something of it settled

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

// Opened begins an incarnation of an endpoint.
func (m *Machine) Opened(id Incarnation, ep Endpoint, now time.Duration) {
	if m.incs[id] != nil {
		panic("bug: incarnation opened twice")
	}
	inc := &incarnation{
		id: id, ep: m.endpoint(ep), shares: make(map[*stream]share),
		lastSent: now, allowed: min(startAllowed, m.cfg.WindowBytes),
	}
	m.incs[id] = inc
	m.living = append(m.living, inc)
	inc.ep.living++
}

// GivenUp says that the caller ends inc because its proxy takes nothing any more; Ended follows.
func (m *Machine) GivenUp(id Incarnation) {
	if inc := m.incs[id]; inc != nil {
		inc.closing = true
	}
}

// Ended ends an incarnation, for whatever reason. Its window ends at once, before anything is known
// about its packs: those in flight are waiting again, in order, the oldest one as the suspect; those
// acked are lost (Settle), or orphans that are waited for a little longer (Queue).
func (m *Machine) Ended(id Incarnation, now time.Duration) {
	inc := m.incs[id]
	if inc == nil {
		return
	}
	delete(m.incs, id)
	m.living = slices.DeleteFunc(m.living, func(i *incarnation) bool { return i == inc })
	inc.ep.living--
	for suspect := true; inc.inFlight.head != nil; suspect = false {
		p := inc.inFlight.head
		p.unlink()
		inc.leave(p)
		p.uncounted()
		p.state, p.inc = waiting, nil
		m.decide(Decision{Kind: Resend, Pack: p.id, Suspect: suspect, Reason: "connection ended before the ack"})
	}
	switch m.cfg.Mode {
	case Ack:
	case Settle:
		inc.ep.incarnationEnded(inc, now, &m.cfg)
		for inc.acked.head != nil {
			m.lose(inc.acked.head, "connection ended before the pack settled")
		}
	case Queue:
		m.orphan(inc, now)
	}
}

// several reports whether more than one stream is routed; only then shares matter.
func (m *Machine) several() bool { return len(m.streams) > 1 }

// Admit says whether a pack of bytes on the wire of this stream may be written to inc now. It changes
// nothing.
func (m *Machine) Admit(id Incarnation, s Stream, bytes int, now time.Duration) Refusal {
	inc := m.incs[id]
	if inc == nil || inc.closing {
		return IncarnationGone
	}
	if r := inc.ep.admits(now); r != OK {
		return r
	}
	st := m.streams[s]
	if r := st.admits(now); r != OK {
		return r
	}
	if inc.ep.tokens(m.cfg.Rate, now) <= 0 && m.cfg.Rate > 0 {
		return RateReached
	}
	n := int64(bytes)
	switch m.cfg.Mode {
	case Ack:
		if inc.inFlight.n > 0 && (inc.inFlight.bytes+n > m.cfg.WindowBytes || inc.inFlight.n >= m.cfg.WindowPacks) {
			return WindowFull
		}
	case Settle:
		if inc.inFlight.n > 0 && inc.inFlight.bytes+n > inc.allowed {
			return InFlightFull
		}
	case Queue:
		if r := m.admitStart(inc.ep, st, n); r != OK {
			return r
		}
		return m.admitWindow(inc, st, n)
	}
	return OK
}

// admitWindow is the flow control of Queue: the window bounds what a proxy's memory holds of ours, and
// one stream may take at most as much of it as is free, so that a stream whose packs vanish leaves
// half of the window to the others.
func (m *Machine) admitWindow(inc *incarnation, st *stream, n int64) Refusal {
	w := inc.window
	if w.packs == 0 {
		return OK // a pack larger than the window still travels, alone
	}
	if w.bytes+n > m.cfg.WindowBytes || w.packs+1 > m.cfg.WindowPacks {
		return WindowFull
	}
	if m.several() && st != nil {
		own := inc.shares[st]
		if own.bytes+n > m.cfg.WindowBytes-w.bytes || own.packs+1 > m.cfg.WindowPacks-w.packs {
			return ShareFull
		}
	}
	return OK
}

// enter and leave keep the window's books.
func (inc *incarnation) enter(p *pack) {
	p.inWindow = true
	inc.window.add(1, p.bytes)
	s := inc.shares[p.stream]
	s.add(1, p.bytes)
	inc.shares[p.stream] = s
}

func (inc *incarnation) leave(p *pack) {
	if !p.inWindow {
		return
	}
	p.inWindow = false
	inc.window.add(-1, -p.bytes)
	s := inc.shares[p.stream]
	s.add(-1, -p.bytes)
	if s.packs == 0 {
		delete(inc.shares, p.stream)
		return
	}
	inc.shares[p.stream] = s
}

func (s *share) add(packs int, bytes int64) { s.packs += packs; s.bytes += bytes }

// pace adapts the bytes in flight (Settle): a proxy whose acks take longer than SlowAck gets half as
// much, at most once in SlowAck, down to one pack; timely acks give back what they acked.
func (inc *incarnation) pace(bytes int64, took, now time.Duration, cfg *Config) {
	if took > cfg.SlowAck {
		inc.shrink(now, cfg)
		return
	}
	inc.allowed = min(inc.allowed+bytes, cfg.WindowBytes)
}

func (inc *incarnation) shrink(now time.Duration, cfg *Config) {
	if now-inc.shrunkAt < cfg.SlowAck {
		return
	}
	inc.shrunkAt = now
	inc.allowed = max(min(inc.allowed, inc.inFlight.bytes)/2, 1)
}

// Beat says that a heartbeat was written on inc.
func (m *Machine) Beat(id Incarnation, now time.Duration) {
	inc := m.incs[id]
	if inc == nil {
		return
	}
	inc.beatDue = false
	inc.beats = append(inc.beats, now)
	inc.lastBeat, inc.lastSent = now, now
}

// Answered says that the answer to the oldest unanswered heartbeat of inc came.
func (m *Machine) Answered(id Incarnation, now time.Duration) {
	inc := m.incs[id]
	if inc == nil || len(inc.beats) == 0 {
		return
	}
	took := now - inc.beats[0]
	inc.beats = slices.Delete(inc.beats, 0, 1)
	m.heard(inc.ep, now)
	if m.cfg.Mode == Settle {
		m.lifeSign(inc, took, now)
	}
}

// tickIncarnation asks for heartbeats and ends the connection whose answers do not come.
func (m *Machine) tickIncarnation(inc *incarnation, now time.Duration) {
	if inc.closing {
		return
	}
	due := now-inc.lastSent >= m.cfg.IdleBeat
	if m.cfg.Mode == Settle && inc.acked.n > 0 {
		due = due || now-inc.lastBeat >= m.cfg.BusyBeat
	}
	if due && !inc.beatDue {
		inc.beatDue = true
		m.decide(Decision{Kind: Heartbeat, Incarnation: inc.id})
	}
	if m.cfg.Mode == Settle {
		m.giveUpFull(inc, now)
	}
	if sent, ok := inc.oldestUnanswered(); ok && now-sent >= m.cfg.AckTimeout && now-m.thaw >= m.cfg.Timely {
		// The second condition: answers may have come while this process was stopped and lie unread.
		inc.closing = true
		m.decide(Decision{Kind: Close, Incarnation: inc.id, Reason: "no answer within delivery.ack_timeout"})
	}
}

// giveUpFull ends the wait of what a full proxy had acked when nothing more is sent to it. Found by
// simulation: 1. the proxy answers 114 and the life clock stops until a data pack is acked in time;
// 2. the source goes idle, or all goes elsewhere; 3. no data pack ever comes, and what was acked before
// would wait for ever. So after Settle without data it is read again, as at the end of a connection. As
// long as there is data, a pack tries the proxy at least every TrialPause, which is not "without data".
func (m *Machine) giveUpFull(inc *incarnation, now time.Duration) {
	if !inc.clock.full || inc.inFlight.n > 0 || now-inc.lastData < m.cfg.TrialPause+m.cfg.Settle {
		return
	}
	for inc.acked.head != nil {
		m.lose(inc.acked.head, "its proxy answered 114 (memory full) and got no data since")
	}
}

// oldestUnanswered returns when the oldest data pack or heartbeat without an answer was sent.
func (inc *incarnation) oldestUnanswered() (sent time.Duration, ok bool) {
	if p := inc.inFlight.head; p != nil {
		sent, ok = p.sentAt, true
	}
	if len(inc.beats) > 0 && (!ok || inc.beats[0] < sent) {
		sent, ok = inc.beats[0], true
	}
	return sent, ok
}
