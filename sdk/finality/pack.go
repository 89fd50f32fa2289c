package finality

import (
	"time"

	"inlong-bridge/sdk/internal/list"
)

// state of a pack; a final one is not in the tables any more.
type state uint8

const (
	waiting state = iota
	inFlight
	acked
	lost
)

// pack is what is known of one pack after it was written for the first time.
type pack struct {
	id     Pack
	stream *stream
	state  state
	c      *conn     // in flight or acked: where; acked and nil: its connection ended (an orphan)
	ep     *endpoint // of the last copy
	order  uint64    // of the last copy among all that was written by the machine
	copies int       // times written, but for a first copy that was surely not stored; nobody can tell which copy was seen
	bytes  int64
	sentAt time.Duration
	stamp  time.Duration // acked: the life clock (Settle) or the queue clock (Queue) at the ack

	inWindow  bool // counts in its connection's window
	isCounted bool // counts in what is open of its stream
	// overdueSince is when a rule first wanted the acked pack lost; it is, once a barrier begun later
	// is passed. Meaningful while overdue is set.
	overdue      bool
	overdueSince time.Duration

	at list.Node[pack] // its place in one of the lists below
	in *packList
}

// packList is packs in the order in which they were put in, with the sum of their bytes.
type packList struct {
	list.List[pack]
	bytes int64
}

func (l *packList) push(p *pack) { l.insertAfter(p, l.Back()) }

// insert puts an acked pack where its stamp belongs: at the end unless it comes back from another list.
func (l *packList) insert(p *pack) {
	after := l.Back()
	for after != nil && after.stamp > p.stamp {
		after = after.at.Prev()
	}
	l.insertAfter(p, after)
}

func (l *packList) insertAfter(p, after *pack) {
	p.at.Owner, p.in = p, l
	if after == nil {
		l.InsertAfter(&p.at, nil)
	} else {
		l.InsertAfter(&p.at, &after.at)
	}
	l.bytes += p.bytes
}

// unlink takes p out of whatever list it is in.
func (p *pack) unlink() {
	if p.in == nil {
		return
	}
	p.at.Remove()
	p.in.bytes -= p.bytes
	p.in = nil
}

// Written says that a pack was handed to c: it is in flight from here. Call it before its first byte
// is written. A pack that was waiting after Resend or Refused is written again under the same name.
// bytes is its size on the wire.
func (m *Machine) Written(id Pack, s Stream, epoch ConnEpoch, bytes int, now time.Duration) {
	c := m.conns[epoch]
	if c == nil {
		panic("bug: pack written to a connection that is not open")
	}
	p := m.packs[id]
	if p == nil {
		p = m.newPack()
		p.id, p.stream = id, m.stream(s)
		p.stream.packs++
		m.packs[id] = p
	} else if p.state != waiting {
		panic("bug: pack written that is not waiting")
	}
	m.order++
	p.state, p.c, p.ep, p.order, p.bytes, p.sentAt = inFlight, c, c.ep, m.order, int64(bytes), now
	p.copies++
	c.inFlight.push(p)
	c.enter(p)
	m.counted(p)
	c.used = true
	c.lastSent, c.lastData = now, now
	c.ep.spend(int64(bytes), m.cfg.Rate, now)
	m.tried(c.ep, p.stream, now)
}

// Acked says that c acked the pack without an error code. It is ignored unless the pack is in flight
// there.
func (m *Machine) Acked(id Pack, epoch ConnEpoch, now time.Duration) {
	p := m.inFlightOn(id, epoch)
	if p == nil {
		return
	}
	c := p.c
	took := now - p.sentAt
	p.unlink()
	p.state = acked
	m.heard(c.ep, now)
	c.pace(p.bytes, took, now, &m.cfg)
	switch m.cfg.Mode {
	case Ack:
		m.final(p, "acked")
	case Settle:
		c.clock.dataAnswered(took <= m.cfg.Timely)
		m.lifeSign(c, took, now)
		p.stamp = c.clock.life
		c.acked.push(p)
	case Queue:
		m.advanceQueue(now)
		p.stamp = m.queue.clock
		if s := p.stream; !s.acked {
			s.acked, s.ackedAt = true, m.queue.clock
		}
		p.place()
	}
}

// Refused says that c answered the pack with an error code: it is waiting again (no Resend comes).
// full says that the code was 114, the proxy's memory is full.
func (m *Machine) Refused(id Pack, epoch ConnEpoch, full bool, now time.Duration) {
	p := m.inFlightOn(id, epoch)
	if p == nil {
		return
	}
	c := p.c
	p.unlink()
	c.leave(p)
	p.uncounted()
	m.heard(c.ep, now)
	p.state, p.c = waiting, nil
	if full {
		c.clock.full = true
		c.shrink(now, &m.cfg)
	}
}

// NotStored says that the copy that was refused last cannot be in the queue, because its proxy checks what it refused before
// it stores anything. Call it after Refused. If it was the only copy, the next one speaks for its proxy as a first copy does.
func (m *Machine) NotStored(id Pack) {
	if p := m.packs[id]; p != nil && p.state == waiting && p.copies == 1 {
		p.copies = 0
	}
}

func (m *Machine) inFlightOn(id Pack, epoch ConnEpoch) *pack {
	p := m.packs[id]
	if p == nil || p.state != inFlight || p.c.id != epoch {
		return nil
	}
	return p
}

// Drop forgets a waiting pack that the caller gives up for good.
func (m *Machine) Drop(id Pack, _ time.Duration) {
	if p := m.packs[id]; p != nil && p.state == waiting {
		m.remove(p)
	}
}

// Forget drops a lost pack: nobody needs to know any more whether it is seen after all.
func (m *Machine) Forget(id Pack) {
	if p := m.packs[id]; p != nil && p.state == lost {
		m.remove(p)
	}
}

// final ends a pack in whatever state it is.
func (m *Machine) final(p *pack, why string) {
	m.decide(Decision{Kind: Final, Pack: p.id, Reason: why})
	m.remove(p)
}

// lose says that an acked pack must be read again. Its name stays known: it may be seen after all.
func (m *Machine) lose(p *pack, why string) {
	p.unlink()
	if p.c != nil {
		p.c.leave(p)
	}
	p.uncounted()
	p.state, p.c, p.overdue = lost, nil, false
	m.lost++
	m.decide(Decision{Kind: Lost, Pack: p.id, Reason: why})
}

func (m *Machine) remove(p *pack) {
	p.unlink()
	if p.c != nil {
		p.c.leave(p)
	}
	p.uncounted()
	if p.state == lost {
		m.lost--
	}
	p.stream.packs--
	delete(m.packs, p.id)
	*p = pack{}
	p.at.Owner = p
	m.free.InsertAfter(&p.at, nil)
}

func (m *Machine) newPack() *pack {
	p := m.free.Front()
	if p == nil {
		return new(pack)
	}
	p.at.Remove()
	return p
}
