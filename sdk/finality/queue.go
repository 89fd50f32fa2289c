package finality

import (
	"slices"
	"time"
)

// The rules of Queue. A pack is final when it was seen and in no other way; what follows only decides
// when to stop waiting for one. A mistake here costs duplicates or time, never a record.
//
// Every loss takes two steps: a rule finds the pack overdue, which asks for a barrier; and a barrier that
// was begun after that is passed while the pack is still not seen. So a reader that is
// behind, or an answer that was on its way, never makes a pack lost.

// queueState is what the machine knows of the queue.
type queueState struct {
	answers bool          // every cluster answers
	clock   time.Duration // moves while answers is true
	at      time.Duration // of the last move

	barrier   bool          // a Barrier decision is out
	retryAt   time.Duration // no barrier before, after one that failed
	nextStart time.Duration // on the queue clock: no pack of a stream in slow start is due before
	seenOrder uint64        // the latest pack seen of all proxies
	orphans   []*orphans    // in the order their connections ended
}

// orphans are the acked packs of one connection that ended. The end of a connection does not mean the
// end of a process: they may still arrive.
type orphans struct {
	packs   packList
	ep      *endpoint
	endedAt time.Duration // on the queue clock
	// silent says that we ended the connection because nothing came, and that nothing was heard of the
	// proxy since: it may be a process that stands still and will go on, with all that it had acked.
	silent  bool
	heardAt time.Duration // when that changed, on the queue clock
	overdue bool          // the grace is over; a barrier is wanted
	since   time.Duration // since then
}

// due says whether the packs of an ended connection have been waited for long enough: LossGrace since its
// end. After a silence that is no measure, because no time passes for a process that stands still. There
// LossGrace counts from when the proxy is heard again, be it the same process or a new one; a proxy that
// stays silent is given Patience.
func (o *orphans) due(clock time.Duration, cfg *Config) bool {
	if o.silent {
		return clock-o.endedAt >= max(cfg.Patience, cfg.LossGrace)
	}
	return clock-max(o.endedAt, o.heardAt) >= cfg.LossGrace
}

// heard notes an answer of a proxy: its process runs.
func (m *Machine) heard(ep *endpoint, now time.Duration) {
	for _, o := range m.queue.orphans {
		if o.ep == ep && o.silent {
			m.advanceQueue(now)
			o.silent, o.heardAt = false, m.queue.clock
			o.overdue = false
		}
	}
}

// Reasons of losses.
const (
	lossOrphan    = "its connection ended and it was not seen in the queue"
	lossOvertaken = "packs sent later through the same proxy were seen in the queue"
	lossProbe     = "oldest pack of its connection, not seen in the queue"
	lossStarting  = "none of its stream's packs was seen in the queue"
	lossZombie    = "nothing of its proxy is seen in the queue while other proxies' packs are"
)

// QueueAnswers says whether every queue cluster answers. It starts as false.
func (m *Machine) QueueAnswers(ok bool, now time.Duration) {
	m.advanceQueue(now)
	if m.queue.answers && !ok {
		m.clearOverdue()
	}
	m.queue.answers = ok
}

// advanceQueue moves the queue clock. A stretch in which this process did not run counts as ClockGap.
func (m *Machine) advanceQueue(now time.Duration) {
	if m.queue.answers {
		m.queue.clock += min(now-m.queue.at, m.cfg.ClockGap)
	}
	m.queue.at = now
}

// Seen says that the pack was seen in the queue. It is final, whatever its state.
func (m *Machine) Seen(id Pack, now time.Duration) {
	if m.cfg.Mode != Queue {
		return
	}
	p := m.packs[id]
	if p == nil {
		return // final already, forgotten, or none of ours
	}
	m.advanceQueue(now)
	s := p.stream
	if !s.seen {
		m.started(s)
	}
	if s.stalled || len(s.overtaken) > 0 {
		s.stalled = false
		clear(s.overtaken)
		s.pause.reset()
	}
	if p.copies == 1 {
		// Of a pack written twice nobody can tell which copy arrived, so it speaks for no proxy.
		m.seenThrough(p.ep, p.order)
	}
	m.final(p, "seen in the queue")
}

func (m *Machine) seenThrough(ep *endpoint, order uint64) {
	m.queue.seenOrder = max(m.queue.seenOrder, order)
	ep.seenOrder = max(ep.seenOrder, order)
	ep.seenAt = m.queue.clock
	ep.overdue = false
	for _, c := range m.living {
		if c.ep == ep {
			c.nextProbe, c.probePause = 0, 0
		}
	}
	if ep.zombie && order > ep.openOrder {
		ep.zombie = false
		ep.pause.reset()
	}
}

// orphan takes over the acked packs of a connection that ended.
func (m *Machine) orphan(c *conn, now time.Duration) {
	if c.acked.Len()+c.apart.Len() == 0 {
		return
	}
	m.advanceQueue(now)
	o := &orphans{ep: c.ep, endedAt: m.queue.clock, silent: c.closing}
	for _, l := range []*packList{&c.acked, &c.apart} {
		for p := l.Front(); p != nil; p = l.Front() {
			p.unlink()
			c.leave(p)
			p.c, p.overdue = nil, false
			o.packs.push(p)
		}
	}
	m.queue.orphans = append(m.queue.orphans, o)
}

// tickQueue lets the rules find overdue packs, and asks for a barrier when one of them finds any.
func (m *Machine) tickQueue(now time.Duration) {
	m.advanceQueue(now)
	m.queue.orphans = slices.DeleteFunc(m.queue.orphans, func(o *orphans) bool { return o.packs.Len() == 0 })
	if !m.queue.answers {
		return
	}
	wanted := false
	for _, o := range m.queue.orphans {
		if !o.overdue && o.due(m.queue.clock, &m.cfg) {
			o.overdue, o.since = true, now
		}
		wanted = wanted || o.overdue
	}
	for _, c := range m.living {
		if c.acked.Front() == nil || m.age(c.acked.Front()) < m.cfg.Patience {
			continue
		}
		wanted = m.findOvertaken(c, now) || wanted
		wanted = m.findOldest(c, now) || wanted
		wanted = m.findZombie(c, now) || wanted
	}
	wanted = m.findStarting(now) || wanted
	if wanted && !m.queue.barrier && now >= m.queue.retryAt {
		m.queue.barrier = true
		m.decide(Decision{Kind: Barrier})
	}
}

// age of an acked pack, on the queue clock.
func (m *Machine) age(p *pack) time.Duration { return m.queue.clock - p.stamp }

// findOvertaken: a pack unseen for patience while packs sent later through the same proxy were seen.
func (m *Machine) findOvertaken(c *conn, now time.Duration) (found bool) {
	for p := c.acked.Front(); p != nil && m.age(p) >= m.cfg.Patience; p = p.at.Next() {
		if p.order < c.ep.seenOrder {
			p.markOverdue(now)
			found = true
		}
	}
	return found
}

// findOldest is the probe: where nothing newer can tell (a full window of packs that a proxy
// dropped, the last pack of an idle topic, a single proxy), the oldest pack is given up, then one more
// per growing pause, until something of that proxy is seen. Without it a window full of dropped packs
// would wait for ever.
func (m *Machine) findOldest(c *conn, now time.Duration) bool {
	p := c.acked.Front()
	if p.order < c.ep.seenOrder || m.queue.clock < c.nextProbe {
		return false
	}
	p.markOverdue(now)
	return true
}

// findZombie: nothing of a proxy was seen for patience while other proxies' later packs were. With
// a single proxy nobody can tell a zombie from a slow queue.
func (m *Machine) findZombie(c *conn, now time.Duration) bool {
	ep := c.ep
	if m.queue.clock-ep.seenAt < m.cfg.Patience || !m.othersSeenAfter(ep, c.acked.Front().order) {
		return false
	}
	if !ep.overdue {
		ep.overdue, ep.overdueAt = true, now
	}
	return true
}

// othersSeenAfter reports whether another proxy's pack was seen that was sent later than order.
func (m *Machine) othersSeenAfter(ep *endpoint, order uint64) bool {
	for _, e := range m.endpoints {
		if e != ep && e.seenOrder > order {
			return true
		}
	}
	return false
}

// markOverdue notes since when a rule wants the pack lost.
func (p *pack) markOverdue(now time.Duration) {
	if !p.overdue {
		p.overdue, p.overdueSince = true, now
	}
}

func (m *Machine) clearOverdue() {
	for _, o := range m.queue.orphans {
		o.overdue = false
	}
	for _, c := range m.living {
		c.ep.overdue = false
		for p := c.acked.Front(); p != nil; p = p.at.Next() {
			p.overdue = false
		}
		for p := c.apart.Front(); p != nil; p = p.at.Next() {
			p.overdue = false
		}
	}
}

// BarrierPassed says that a barrier begun at that time was passed: everything that lay in the queue
// then has been told by Seen. What was overdue before it and is still not seen is lost.
func (m *Machine) BarrierPassed(begun, now time.Duration) {
	m.advanceQueue(now)
	m.queue.barrier = false
	if !m.queue.answers {
		return
	}
	for _, o := range m.queue.orphans {
		if o.overdue && o.since <= begun {
			for o.packs.Front() != nil {
				m.lose(o.packs.Front(), lossOrphan)
			}
		}
	}
	for _, c := range slices.Clone(m.living) {
		m.loseOverdue(c, begun)
		m.loseStarting(c, begun)
	}
	for _, c := range slices.Clone(m.living) {
		m.loseZombie(c, begun, now)
	}
	for _, ep := range m.endpoints {
		if ep.overdue && ep.overdueAt <= begun {
			ep.overdue = false
		}
	}
	m.stallStreams(now)
}

// BarrierFailed says that the barrier was given up, because a cluster did not answer, say.
func (m *Machine) BarrierFailed(now time.Duration) {
	m.advanceQueue(now)
	m.queue.barrier = false
	m.queue.retryAt = now + m.cfg.PauseMin
}

func (m *Machine) loseOverdue(c *conn, begun time.Duration) {
	for p := c.acked.Front(); p != nil; {
		next := p.at.Next()
		if p.overdue && p.overdueSince <= begun {
			if p.order < c.ep.seenOrder {
				if p.stream.overtaken == nil {
					p.stream.overtaken = make(map[*endpoint]bool)
				}
				p.stream.overtaken[c.ep] = true
				m.lose(p, lossOvertaken)
			} else {
				c.probePause = m.cfg.pauses().Next(c.probePause)
				c.nextProbe = m.queue.clock + c.probePause
				m.lose(p, lossProbe)
			}
		}
		p = next
	}
}

// loseZombie gives up all that a zombie acked and makes the proxy half-open: one real pack per growing
// pause, full again when that one is seen.
func (m *Machine) loseZombie(c *conn, begun, now time.Duration) {
	ep := c.ep
	if !ep.overdue || ep.overdueAt > begun {
		return
	}
	for c.acked.Front() != nil {
		m.lose(c.acked.Front(), lossZombie)
	}
	if !ep.zombie {
		ep.zombie, ep.openOrder = true, m.order
		ep.pause.reset()
		ep.pause.grow(now, &m.cfg)
	}
}

// stallThreshold is on how many proxies a stream's packs must vanish before the stream stalls.
const stallThreshold = 3

// stallStreams stalls the streams whose packs vanish behind the acks of three proxies, or of all there
// are. A stalled stream leaves the windows: the others need them.
func (m *Machine) stallStreams(now time.Duration) {
	enough := max(1, min(stallThreshold, m.listedEndpoints()))
	for _, s := range m.streams {
		if s.stalled || len(s.overtaken) < enough {
			continue
		}
		s.stalled = true
		s.pause.grow(now, &m.cfg)
		for _, c := range m.living {
			for p := c.acked.Front(); p != nil; p = p.at.Next() {
				if p.stream == s {
					c.leave(p)
				}
			}
		}
	}
}
