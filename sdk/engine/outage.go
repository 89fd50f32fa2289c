package engine

import (
	"slices"
	"time"

	"inlong-bridge/sdk/backoff"
)

// Failure says why a proxy cannot be used.
type Failure uint8

const (
	NoFailure    Failure = iota
	NotConnected         // dials fail
	ClosesAtOnce         // it accepts connections and ends them before it answers anything
	NoAnswer             // it accepts connections and answers nothing
)

func (f Failure) String() string {
	switch f {
	case NoFailure:
		return "none"
	case NotConnected:
		return "not connected"
	case ClosesAtOnce:
		return "closes at once"
	case NoAnswer:
		return "no answer"
	}
	return "unknown"
}

// outage is the time in which a proxy cannot be used: from a dial that fails, or the end of a connection, to the first
// answer on a new one. It decides which failures are told: each kind at once, and from then on the last one at growing
// intervals, so that the log never falls silent over a proxy that is away, and is never full of it.
type outage struct {
	on       bool
	since    time.Duration
	failures int // dials that failed, and connections that ended before anything was answered
	failure  Failure
	told     []Failure
	next     time.Duration // when to tell again
	interval time.Duration // the last one between two lines
}

// reminders are the pauses between the lines about an outage that lasts.
var reminders = backoff.Backoff{Min: time.Minute, Max: time.Hour}

// begin notes that a connection ended.
func (o *outage) begin(now time.Duration) {
	if !o.on {
		*o = outage{on: true, since: now}
	}
}

// failed notes that the proxy could not be used once more and reports whether that is to be told.
func (o *outage) failed(f Failure, now time.Duration) (tell bool) {
	o.begin(now)
	o.failures++
	o.failure = f
	switch {
	case !slices.Contains(o.told, f):
		o.told = append(o.told, f)
		if o.interval == 0 {
			o.interval, o.next = reminders.Min, now+reminders.Min
		}
		return true
	case now >= o.next:
		o.interval = reminders.Next(o.interval)
		o.next = now + o.interval
		return true
	}
	return false
}

// fails notes that a proxy cannot be used: a dial failed, or a connection ended before anything was answered on it, with
// so many packs in flight.
func (e *Engine) fails(ep *Endpoint, f Failure, why string, inFlight int, now time.Duration) {
	if o := &ep.outage; o.failed(f, now) {
		e.emit(Effect{Kind: EndpointFails, Endpoint: ep, Failure: f, Reason: why, Times: o.failures, For: now - o.since, Packs: inFlight})
	}
}
