// Package losses gathers the packs that proxies have acked and lost into few lines of the log: one when it is known how
// much was lost, and one when nothing of it is open any more. Its owner guards it, and brings the time.
package losses

import (
	"log/slog"
	"slices"
	"time"

	"inlong-bridge/sdk/backoff"
)

// Log is the loss events lately, the last one per proxy and reason. The zero value is ready.
type Log struct {
	events []*Event
}

// Proxy is which proxy has lost something. ID tells apart those that are called the same.
type Proxy struct {
	ID   int32
	Addr string
}

// Event is what one proxy lost for one reason in one go.
type Event struct {
	proxy   Proxy
	why     string
	since   time.Duration
	due     time.Duration // when it is logged
	window  time.Duration // how long it gathers
	packs   int
	records int
	waited  int // packs whose tokens are asked; whoever sent a single message has it back
	open    int // of those, neither final nor forgotten by their tokens
	seen    int // packs that turned out to be final
	logged  bool
}

// windows are how long the losses of one proxy for one reason are gathered for one line. While losses continue, each
// line gathers twice as long as the one before.
var windows = backoff.Backoff{Min: time.Second, Max: 10 * time.Minute}

// Losses that are memory or more apart have nothing to do with each other.
const memory = time.Minute

// Note counts a pack that a proxy has lost. With waits, tokens are asked about it: the event that is returned is told its
// end by Ended.
func (l *Log) Note(proxy Proxy, why string, records int, waits bool, now time.Duration) *Event {
	i := slices.IndexFunc(l.events, func(e *Event) bool { return e.proxy.ID == proxy.ID && e.why == why })
	var e *Event
	switch {
	case i < 0:
		e = &Event{proxy: proxy, why: why, since: now, window: windows.Min, due: now + windows.Min}
		l.events = append(l.events, e)
	case l.events[i].logged:
		window := windows.Next(l.events[i].window)
		e = &Event{proxy: proxy, why: why, since: now, window: window, due: now + window}
		l.events[i] = e
	default:
		e = l.events[i]
	}
	e.packs++
	e.records += records
	if waits {
		e.waited++
		e.open++
	}
	return e
}

// Ended notes that nothing more is expected of a lost pack: it was seen after all, or all its tokens have
// forgotten it, because what was sent for it is final or is somebody else's now.
func (e *Event) Ended(log *slog.Logger, seen bool, now time.Duration) {
	e.open--
	if seen {
		e.seen++
	}
	if e.logged && e.open == 0 {
		e.tellEnded(log, now)
	}
}

// Tell logs the events that have gathered long enough, or all of them.
func (l *Log) Tell(log *slog.Logger, now time.Duration, all bool) {
	if len(l.events) == 0 {
		return
	}
	l.events = slices.DeleteFunc(l.events, func(e *Event) bool {
		if e.logged {
			return now >= e.due+max(e.window, memory)
		}
		if !all && now < e.due {
			return false
		}
		e.logged = true
		log.Warn("proxy lost packs that it had acked", "endpoint", e.proxy.Addr,
			"packs", e.packs, "records", e.records, "reason", e.why)
		if e.open == 0 && e.waited > 0 {
			e.tellEnded(log, now)
		}
		return false
	})
}

func (e *Event) tellEnded(log *slog.Logger, now time.Duration) {
	log.Info("what a proxy lost is final, or left with its partition", "endpoint", e.proxy.Addr, "packs", e.packs,
		"records", e.records, "seen_after_all", e.seen, "reason", e.why, "after", (now - e.since).Round(time.Millisecond).String())
}
