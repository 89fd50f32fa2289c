package sdk

import (
	"slices"
	"time"
)

// lossEvent is what one proxy lost for one reason in one go: a line when it is known how much that is, and one when nothing
// of it is open any more. Guarded by Sender.mu.
type lossEvent struct {
	endpoint *endpoint
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

// How long the losses of one proxy for one reason are gathered for one line. When they go on, each line gathers twice as
// long as the one before.
const (
	firstLossWindow = time.Second
	lastLossWindow  = 10 * time.Minute
	lossMemory      = time.Minute // losses that far apart at least have nothing to do with each other
)

// lostLocked counts a pack that a proxy has lost. Under mu.
func (s *Sender) lostLocked(p *pack, why string, now time.Duration) {
	i := slices.IndexFunc(s.losses, func(e *lossEvent) bool { return e.endpoint == p.endpoint && e.why == why })
	var e *lossEvent
	switch {
	case i < 0:
		e = &lossEvent{endpoint: p.endpoint, why: why, since: now, window: firstLossWindow, due: now + firstLossWindow}
		s.losses = append(s.losses, e)
	case s.losses[i].logged:
		window := min(2*s.losses[i].window, lastLossWindow)
		e = &lossEvent{endpoint: p.endpoint, why: why, since: now, window: window, due: now + window}
		s.losses[i] = e
	default:
		e = s.losses[i]
	}
	e.packs++
	e.records += p.count
	if p.tokens > 0 {
		e.waited++
		e.open++
		p.loss = e
	}
}

// lossEndedLocked notes that nothing more is expected of a lost pack: it was seen after all, or all its tokens have
// forgotten it, because what was sent for it is final or is somebody else's now. Under mu.
func (s *Sender) lossEndedLocked(p *pack, seen bool, now time.Duration) {
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
		s.tellLossEnded(e, now)
	}
}

// tellLossesLocked logs the events that have gathered long enough, or all of them. Under mu.
func (s *Sender) tellLossesLocked(now time.Duration, all bool) {
	if len(s.losses) == 0 {
		return
	}
	s.losses = slices.DeleteFunc(s.losses, func(e *lossEvent) bool {
		if e.logged {
			return now >= e.due+max(e.window, lossMemory)
		}
		if !all && now < e.due {
			return false
		}
		e.logged = true
		s.o.logger.Warn("proxy lost packs that it had acked", "endpoint", e.endpoint.addr,
			"packs", e.packs, "records", e.records, "reason", e.why)
		if e.open == 0 && e.waited > 0 {
			s.tellLossEnded(e, now)
		}
		return false
	})
}

func (s *Sender) tellLossEnded(e *lossEvent, now time.Duration) {
	s.o.logger.Info("what a proxy lost is final, or left with its partition", "endpoint", e.endpoint.addr, "packs", e.packs,
		"records", e.records, "seen_after_all", e.seen, "reason", e.why, "after", (now - e.since).Round(time.Millisecond).String())
}
