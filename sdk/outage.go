package sdk

import (
	"slices"
	"time"
)

// outage is the time in which a proxy cannot be used: from a dial that fails, or the end of a connection, to the first
// answer on a new one. It decides what is logged of it: each kind of failure at once, and from then on the last one at
// growing intervals, so that the log never falls silent over a proxy that is away, and is never full of it. It is a value
// without a clock.
type outage struct {
	on       bool
	since    time.Duration
	failures int          // dials that failed, and connections that ended before anything was answered
	code     EndpointCode // of the last one; empty before the first
	told     []EndpointCode
	next     time.Duration // when to log again
	interval time.Duration // the last one between two lines
}

// How often an outage that lasts is logged.
const (
	firstReminder = time.Minute
	lastReminder  = time.Hour
)

// begin notes that a connection ended.
func (o *outage) begin(now time.Duration) {
	if !o.on {
		*o = outage{on: true, since: now}
	}
}

// failed notes that the proxy could not be used once more and reports whether that is to be logged.
func (o *outage) failed(code EndpointCode, now time.Duration) (log bool) {
	o.begin(now)
	o.failures++
	o.code = code
	switch {
	case !slices.Contains(o.told, code):
		o.told = append(o.told, code)
		if o.interval == 0 {
			o.interval, o.next = firstReminder, now+firstReminder
		}
		return true
	case now >= o.next:
		o.interval = min(2*o.interval, lastReminder)
		o.next = now + o.interval
		return true
	}
	return false
}

// failedLocked notes and logs that a proxy cannot be used: a dial failed, or a connection ended before anything was
// answered on it, with so many packs in flight. Under mu.
func (s *Sender) failedLocked(ep *endpoint, code EndpointCode, why string, inFlight int) {
	now := s.now()
	if !ep.outage.failed(code, now) {
		return
	}
	about := []any{"endpoint", ep.addr, "err", why, "attempts", ep.outage.failures,
		"for", (now - ep.outage.since).Round(time.Millisecond).String(), "in_flight", inFlight}
	switch code {
	case EndpointClosesAtOnce:
		s.o.logger.Warn("proxy ends connections before it answers anything", about...)
	case EndpointNoAnswer:
		s.o.logger.Warn("proxy is connected and does not answer", about...)
	default:
		s.o.logger.Warn("connecting to proxy fails", about...)
	}
}

// heardLocked notes that something was answered on a connection. The first answer ends the outage of its proxy, and a
// connection that had to prove itself takes packs from now on. Under mu.
func (s *Sender) heardLocked(c *conn) {
	if c.answers {
		return
	}
	c.answers = true
	ep := c.ep
	if c.unproven {
		c.unproven = false
		ep.easedLocked(s.now())
		s.warmer.wake()
		s.thorough = true
	}
	if ep.outage.on {
		s.o.logger.Info("connected to proxy again", "endpoint", ep.addr, "attempts", ep.outage.failures,
			"after", (s.now() - ep.outage.since).Round(time.Millisecond).String())
		ep.outage = outage{}
	}
}
