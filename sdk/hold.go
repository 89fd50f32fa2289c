package sdk

import (
	"slices"
	"time"
)

// hold keeps packs away from a proxy, or a stream's packs from one, after an answer that says "not
// now": nothing goes there until the pause is over, then one pack as a trial, and everything again once
// that was acked. It is a value without a clock.
type hold struct {
	until  time.Duration // of the pause
	pauses int           // in a row
	reason string
	isLate bool       // the reason is that the last trial was answered late
	code   StreamCode // of a stream's
	// struck is when a pack of the stream was refused for good there. Packs may be at fault, so there is no pause before
	// another one that was sent later is refused too, and none was acked between the two.
	struck time.Duration
	trial  uint64 // pack that is in flight as the trial, 0 for none
}

// blocks reports whether no pack may go there now.
func (h *hold) blocks(now time.Duration) bool {
	return h != nil && (now < h.until || h.trial != 0)
}

// refuse notes a "not now" to a pack that was handed over at sentAt. Only the answer to a pack sent
// after the pause had begun makes the next one longer: a hundred packs in flight are all refused for
// one and the same reason.
func (h *hold) refuse(pack uint64, sentAt, now time.Duration, reason string, b backoff) {
	if h.trial == pack {
		h.trial = 0
	}
	if h.pauses > 0 && sentAt < h.until {
		return
	}
	h.until, h.reason, h.isLate = now+b.pause(h.pauses), reason, false
	h.pauses++
}

// late notes that the trial was answered, but not in time.
func (h *hold) late(now time.Duration, b backoff) {
	h.trial, h.reason, h.isLate = 0, "acks come late", true
	h.until = now + b.pause(h.pauses)
	h.pauses++
}

// strikeLocked notes that a proxy refused a pack of the stream for good, while another proxy may take it. Such a proxy
// answers at once, and so would seem to be the one with the least to do. Under Sender.mu.
func (s *Sender) strikeLocked(p *pack, ep *endpoint, sentAt, now time.Duration, reason string) {
	h := p.st.holds[ep]
	switch {
	case h == nil:
		p.st.setHoldLocked(ep, &hold{code: StreamRefused, struck: now})
	case sentAt >= h.struck:
		if h.pauses == 0 {
			s.o.logger.Warn("one proxy refuses a stream's packs for good", "endpoint", ep.addr, "stream", p.st.text, "reason", reason)
		}
		h.code = StreamRefused
		h.refuse(p.seq, sentAt, now, reason, s.o.backoff())
	}
}

// setHoldLocked begins what is held against a proxy. Under Sender.mu.
func (s *Stream) setHoldLocked(ep *endpoint, h *hold) {
	if s.holds == nil {
		s.holds = make(map[*endpoint]*hold)
	}
	s.holds[ep] = h
}

// endHoldLocked ends what is held against a proxy. Under Sender.mu.
func (s *Stream) endHoldLocked(ep *endpoint) {
	if delete(s.holds, ep); len(s.holds) == 0 {
		s.holds = nil
	}
}

// agreedLocked ends what is held against a proxy for refusing a pack for good: another one refused it too. Under Sender.mu.
func (s *Stream) agreedLocked(ep *endpoint) {
	if h := s.holds[ep]; h != nil && h.code == StreamRefused {
		s.endHoldLocked(ep)
	}
}

// triesLocked reports whether a pack of the stream is in flight as the trial of some proxy. There is one at a time.
// Under Sender.mu.
func (s *Stream) triesLocked() bool {
	for _, h := range s.holds {
		if h.trial != 0 {
			return true
		}
	}
	return false
}

// knownLocked notes that a proxy took a trial: the stream, or what was wrong with it, is known there, so the others are
// tried soon. Under Sender.mu.
func (s *Stream) knownLocked(ep *endpoint, now time.Duration, b backoff) {
	s.endHoldLocked(ep)
	for _, h := range s.holds {
		if h.pauses > 1 {
			h.pauses = 1
			h.until = min(h.until, now+b.pause(0))
		}
	}
}

// streamBackoffLocked is that of a stream which a proxy does not take. Where no proxy knows the stream, pauses grow as long as
// those of held packs may: it may come into being at any time, or never. Under Sender.mu.
func (s *Sender) streamBackoffLocked(st *Stream, c class) backoff {
	b := s.o.backoff()
	if c == unknownStream && s.o.refusedRetry && !slices.ContainsFunc(st.proxies.endpoints, func(e *endpoint) bool {
		h := st.holds[e]
		return len(e.conns) > 0 && (h == nil || h.pauses == 0)
	}) {
		b.max = max(b.max, s.o.refusedMax)
	}
	return b
}

// backoff is an exponential pause with jitter.
type backoff struct {
	min, max time.Duration
	random   func() float64 // in [0, 1)
}

// pause returns how long to wait after so many pauses in a row: min doubled each time up to max, and
// of that between three quarters and all.
func (b backoff) pause(before int) time.Duration {
	d := b.min
	for ; before > 0 && d < b.max; before-- {
		d *= 2
	}
	d = min(d, b.max)
	return d - time.Duration(b.random()*float64(d)/4)
}
