package finality

import "time"

// lifeClock is the healthy life of one connection (Settle). It moves only between two timely answers
// that are no further apart than Config.ClockGap, so that silence settles nothing, and neither does a
// process that was stopped for a while and then answered.
type lifeClock struct {
	life time.Duration
	// full is set by a 114 and stays until a data pack has been acked in time: a proxy without heap
	// still answers heartbeats.
	full bool

	lastTimely bool          // the answer before was timely
	lastAt     time.Duration // and came then
}

// dataAnswered notes the ack of a data pack.
func (c *lifeClock) dataAnswered(timely bool) {
	if timely {
		c.full = false
	}
}

// answer moves the clock. healthy says that no data pack waits for its ack longer than is timely.
func (c *lifeClock) answer(timely, healthy bool, now, gap time.Duration) {
	good := timely && healthy && !c.full
	if good && c.lastTimely && now-c.lastAt <= gap {
		c.life += now - c.lastAt
	}
	c.lastTimely, c.lastAt = good, now
}

// lifeSign tells the clock of an answer that took so long, and makes final what has settled by it.
func (m *Machine) lifeSign(c *conn, took, now time.Duration) {
	oldest := c.inFlight.Front()
	healthy := oldest == nil || now-oldest.sentAt <= m.cfg.Timely
	c.clock.answer(took <= m.cfg.Timely, healthy, now, m.cfg.ClockGap)
	for p := c.acked.Front(); p != nil && c.clock.life-p.stamp >= m.cfg.Settle; p = c.acked.Front() {
		c.settled = true
		c.ep.settled()
		m.final(p, "settled")
	}
}
