package finality

import (
	"slices"
	"time"
)

// Slow start (Queue). Until a pack of a stream has been seen, nobody knows that the topic in which the
// packs are looked for is the one that the proxies write to. Found before the rule was there: with a wrong
// topic 600,000 records went out, and all of them once more when patience was over. So until then only
// Config.StartPacks packs of the stream are open, spread over the proxies, and patience gives up the oldest
// one of them per growing pause. The first one seen ends the slow start.
//
// The acked packs of a stream that starts, or whose topic is missing, are kept in a list of their own
// (conn.apart): the rules of a living connection do not apply to them. The end of a connection does.

// Missing says whether the stream's topic is known to be missing in every queue cluster. While it is, nothing
// of the stream can be seen, so its packs do not grow older, save those whose connection ended.
func (m *Machine) Missing(id Stream, missing bool, now time.Duration) {
	s := m.streams[id]
	if s == nil {
		if !missing {
			return
		}
		s = m.stream(id)
	}
	if s.missing == missing || m.cfg.Mode != Queue {
		return
	}
	m.advanceQueue(now)
	s.missing = missing
	m.queue.nextStart = 0
	if missing {
		s.missingAt = m.queue.clock
	}
	for _, c := range m.living {
		from := &c.apart
		if missing && s.seen {
			from = &c.acked
		}
		for p := from.Front(); p != nil; {
			next := p.at.Next()
			if p.stream == s {
				p.overdue = false
				if !missing {
					p.stamp += m.queue.clock - max(p.stamp, s.missingAt)
				}
				p.place()
			}
			p = next
		}
	}
}

// place puts an acked pack of a living connection into the list where it belongs.
func (p *pack) place() {
	switch apart := p.stream.apart(); {
	case apart && p.in != &p.c.apart:
		p.unlink()
		p.c.apart.push(p)
	case !apart && p.in != &p.c.acked:
		p.unlink()
		p.c.acked.insert(p)
	}
}

// apart says whether the rules of a living connection leave the stream's packs alone.
func (s *stream) apart() bool { return !s.seen || s.missing }

// counted and uncounted keep the books of what is open of a stream: in flight, or acked and neither final nor
// lost, also where the connection ended.
func (m *Machine) counted(p *pack) {
	if m.cfg.Mode != Queue {
		return
	}
	s := p.stream
	p.isCounted = true
	s.open.add(1, p.bytes)
	if !s.seen {
		s.starting = append(s.starting, p)
	}
}

func (p *pack) uncounted() {
	if !p.isCounted {
		return
	}
	p.isCounted = false
	s := p.stream
	s.open.add(-1, -p.bytes)
	if i := slices.Index(s.starting, p); i >= 0 {
		s.starting = slices.Delete(s.starting, i, i+1)
	}
}

// started ends a stream's slow start: a pack of it was seen.
func (m *Machine) started(s *stream) {
	s.seen = true
	for _, p := range s.starting {
		if p.state == acked && p.c != nil {
			p.overdue = false
			p.place()
		}
	}
	s.starting = nil
}

// admitStart bounds what is open of a stream that starts, and on each proxy its part of that.
func (m *Machine) admitStart(ep *endpoint, s *stream, n int64) Refusal {
	if s == nil || s.seen || s.open.packs == 0 {
		return OK
	}
	if s.open.packs >= m.cfg.StartPacks || s.open.bytes+n > m.cfg.StartBytes {
		return SlowStart
	}
	here := 0
	for _, p := range s.starting {
		if p.ep == ep {
			here++
		}
	}
	// Were all with one proxy, and that one a proxy that loses them, nothing would be known of the topic.
	proxies := max(m.listedEndpoints(), 1)
	if here >= (m.cfg.StartPacks+proxies-1)/proxies {
		return SlowStart
	}
	return OK
}

// oldestStarting returns the acked pack of a living connection that a stream in slow start waits for longest.
func (s *stream) oldestStarting() *pack {
	var oldest *pack
	for _, p := range s.starting {
		if p.state == acked && p.c != nil && (oldest == nil || p.stamp < oldest.stamp) {
			oldest = p
		}
	}
	return oldest
}

// findStarting: the oldest pack of a stream in slow start, unseen for patience, and then one more per
// growing pause. Between those nothing is looked at, however many streams there are.
func (m *Machine) findStarting(now time.Duration) (found bool) {
	clock := m.queue.clock
	if clock < m.queue.nextStart {
		return false
	}
	next := clock + m.cfg.Patience // whatever is acked from now on is due later
	for _, c := range m.living {
		for p := c.apart.Front(); p != nil; p = p.at.Next() {
			s := p.stream
			if s.missing || s.oldestStarting() != p {
				continue
			}
			if due := max(p.stamp+m.cfg.Patience, s.nextGiveUp); due > clock {
				next = min(next, due)
				continue
			}
			p.markOverdue(now)
			found, next = true, clock
		}
	}
	m.queue.nextStart = next
	return found
}

// loseStarting gives up what findStarting found overdue before the barrier began.
func (m *Machine) loseStarting(c *conn, begun time.Duration) {
	for p := c.apart.Front(); p != nil; {
		next := p.at.Next()
		if s := p.stream; p.overdue && p.overdueSince <= begun {
			s.giveUpPause = m.cfg.pauses().Next(s.giveUpPause)
			s.nextGiveUp = m.queue.clock + s.giveUpPause
			m.lose(p, lossStarting)
		}
		p = next
	}
}

// StreamState is a snapshot for status and metrics.
type StreamState struct {
	Open    int           // packs in flight, or acked and neither final nor lost
	Missing bool          // its topic is known to be missing in every queue cluster
	Seen    bool          // a pack of it was seen: its slow start is over
	Unseen  time.Duration // on the queue clock since its first ack, while packs are open and none was ever seen; else 0
}

// Stream returns a snapshot of one stream (Queue).
func (m *Machine) Stream(id Stream) StreamState {
	s := m.streams[id]
	if s == nil {
		return StreamState{}
	}
	st := StreamState{Open: s.open.packs, Missing: s.missing, Seen: s.seen}
	if !s.seen && s.acked && s.open.packs > 0 {
		st.Unseen = m.queue.clock - s.ackedAt
	}
	return st
}
