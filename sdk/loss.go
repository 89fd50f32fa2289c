package sdk

import (
	"log/slog"
	"slices"
	"time"

	"inlong-bridge/sdk/backoff"
	"inlong-bridge/sdk/engine"
)

// losses are the loss events lately, the last one per proxy and reason. Guarded by Sender.mu.
type losses []*lossEvent

// lossEvent is what one proxy lost for one reason in one go: a line when it is known how much that is, and one when nothing
// of it is open any more. Guarded by Sender.mu.
type lossEvent struct {
	endpoint *engine.Endpoint
	addr     string
	why      string
	since    time.Duration
	due      time.Duration // when it is logged
	window   time.Duration // how long it gathers
	packs    int
	records  int
	waited   int // packs whose tokens are asked; whoever sent a single message has it back
	open     int // of those, neither final nor forgotten by their tokens
	seen     int // packs that turned out to be final
	logged   bool
}

// lossWindows are how long the losses of one proxy for one reason are gathered for one line. While losses continue, each
// line gathers twice as long as the one before.
var lossWindows = backoff.Backoff{Min: time.Second, Max: 10 * time.Minute}

// Losses that are lossMemory or more apart have nothing to do with each other.
const lossMemory = time.Minute

// noteLocked counts a pack that the proxy at addr has lost. Under Sender.mu.
func (l *losses) noteLocked(p *pack, addr, why string, now time.Duration) {
	ep := p.life.Endpoint()
	i := slices.IndexFunc(*l, func(e *lossEvent) bool { return e.endpoint == ep && e.why == why })
	var e *lossEvent
	switch {
	case i < 0:
		e = &lossEvent{endpoint: ep, addr: addr, why: why, since: now, window: lossWindows.Min, due: now + lossWindows.Min}
		*l = append(*l, e)
	case (*l)[i].logged:
		window := lossWindows.Next((*l)[i].window)
		e = &lossEvent{endpoint: ep, addr: addr, why: why, since: now, window: window, due: now + window}
		(*l)[i] = e
	default:
		e = (*l)[i]
	}
	e.packs++
	e.records += p.count
	if p.tokens > 0 {
		e.waited++
		e.open++
		p.loss = e
	}
}

// endedLocked notes that nothing more is expected of a lost pack: it was seen after all, or all its tokens have
// forgotten it, because what was sent for it is final or is somebody else's now. Under Sender.mu.
func (l *losses) endedLocked(log *slog.Logger, p *pack, seen bool, now time.Duration) {
	e := p.loss
	if e == nil {
		return
	}
	p.loss = nil
	e.open--
	if seen {
		e.seen++
	}
	if e.logged && e.open == 0 {
		e.tellEnded(log, now)
	}
}

// tellLocked logs the events that have gathered long enough, or all of them. Under Sender.mu.
func (l *losses) tellLocked(log *slog.Logger, now time.Duration, all bool) {
	if len(*l) == 0 {
		return
	}
	*l = slices.DeleteFunc(*l, func(e *lossEvent) bool {
		if e.logged {
			return now >= e.due+max(e.window, lossMemory)
		}
		if !all && now < e.due {
			return false
		}
		e.logged = true
		log.Warn("proxy lost packs that it had acked", "endpoint", e.addr,
			"packs", e.packs, "records", e.records, "reason", e.why)
		if e.open == 0 && e.waited > 0 {
			e.tellEnded(log, now)
		}
		return false
	})
}

func (e *lossEvent) tellEnded(log *slog.Logger, now time.Duration) {
	log.Info("what a proxy lost is final, or left with its partition", "endpoint", e.addr, "packs", e.packs,
		"records", e.records, "seen_after_all", e.seen, "reason", e.why, "after", (now - e.since).Round(time.Millisecond).String())
}
