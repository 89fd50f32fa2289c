package engine

import (
	"time"

	"inlong-bridge/sdk/backoff"
)

// BreakerState is what a circuit breaker lets through.
type BreakerState uint8

const (
	Closed   BreakerState = iota // everything
	Open                         // nothing, until its pause is over
	HalfOpen                     // one pack, as a trial
	Trial                        // nothing: the trial is in flight
)

func (s BreakerState) String() string {
	switch s {
	case Closed:
		return "closed"
	case Open:
		return "open"
	case HalfOpen:
		return "half open"
	case Trial:
		return "trial in flight"
	}
	return "unknown"
}

// breaker keeps packs away from a proxy, or the packs of one stream away from one proxy, after an answer that says "not
// now": nothing goes there until the pause is over, then one pack as a trial, and everything again once that was acked.
// The zero value is closed.
type breaker struct {
	until  time.Duration // end of the pause. Invariant: 0 while pauses is 0
	pauses int           // in a row; 0: closed
	reason string        // of the last pause
	late   bool          // the reason is that the last trial was answered late
	trial  uint64        // Seq of the pack that is in flight as the trial, 0 for none. Invariant: 0 while pauses is 0

	// Of a stream's breaker.
	unknown bool // the proxy does not know the stream
	// rejectedAt is when a pack of the stream was refused permanently there for the first time. The pack may be at fault,
	// so there is no pause before another one that was sent later is refused too, and none was acked between the two.
	rejectedAt time.Duration
}

func (b *breaker) state(now time.Duration) BreakerState {
	switch {
	case b == nil || b.pauses == 0:
		return Closed
	case b.trial != 0:
		return Trial
	case now < b.until:
		return Open
	}
	return HalfOpen
}

// blocks reports whether no pack may go there now.
func (b *breaker) blocks(now time.Duration) bool {
	switch b.state(now) {
	case Closed, HalfOpen:
		return false
	case Open, Trial:
	}
	return true
}

// refuse opens the breaker after a "not now" to a pack that was handed over at sentAt. Only the answer to a pack sent
// after the pause makes the next pause longer: a hundred packs in flight are all refused for the same reason.
func (b *breaker) refuse(e *Engine, seq uint64, sentAt, now time.Duration, reason string, pauses backoff.Backoff) {
	b.trialOver(seq)
	if b.pauses > 0 && sentAt < b.until {
		return
	}
	b.until, b.reason, b.late = now+e.pause(pauses, b.pauses), reason, false
	b.pauses++
}

// acksLate opens the breaker again: the trial was answered, but not in time.
func (b *breaker) acksLate(e *Engine, now time.Duration) {
	b.trial, b.reason, b.late = 0, "acks come late", true
	b.until = now + e.pause(e.cfg.Retry, b.pauses)
	b.pauses++
}

// trialOver notes that a pack is not in flight any more.
func (b *breaker) trialOver(seq uint64) {
	if b != nil && b.trial == seq {
		b.trial = 0
	}
}

// refusesStream opens the breaker of a stream at a proxy.
func (e *Engine) refusesStream(p *Pack, ep *Endpoint, class AckClass, sentAt, now time.Duration, err error, reason string) {
	st := p.stream
	b := st.breaker(ep)
	if b.pauses == 0 {
		e.emit(Effect{Kind: StreamRefuses, Stream: st, Endpoint: ep, Err: err})
	}
	b.unknown = class == StreamUnknown
	b.refuse(e, p.seq, sentAt, now, reason, e.streamRetry(st, class))
}

// rejectsStream notes that a proxy refused a pack of the stream permanently, while another proxy may take it. Such a
// proxy answers at once, and so would seem to be the one with the least to do.
func (e *Engine) rejectsStream(p *Pack, ep *Endpoint, sentAt, now time.Duration, reason string) {
	st := p.stream
	b := st.breakers[ep]
	switch {
	case b == nil:
		st.breaker(ep).rejectedAt = now
	case sentAt >= b.rejectedAt:
		if b.pauses == 0 {
			e.emit(Effect{Kind: StreamRejects, Stream: st, Endpoint: ep, Reason: reason})
		}
		b.unknown = false
		b.refuse(e, p.seq, sentAt, now, reason, e.cfg.Retry)
	}
}

// breaker returns the stream's breaker at a proxy, a new one if need be.
func (s *Stream) breaker(ep *Endpoint) *breaker {
	b := s.breakers[ep]
	if b == nil {
		if s.breakers == nil {
			s.breakers = make(map[*Endpoint]*breaker)
		}
		b = new(breaker)
		s.breakers[ep] = b
	}
	return b
}

// closeBreaker closes the stream's breaker at a proxy.
func (s *Stream) closeBreaker(ep *Endpoint) {
	if delete(s.breakers, ep); len(s.breakers) == 0 {
		s.breakers = nil
	}
}

// takesStream closes the breaker of a stream whose trial was acked. What was wrong may be over everywhere, so the other
// proxies are tried soon.
func (e *Engine) takesStream(st *Stream, ep *Endpoint, now time.Duration) {
	st.closeBreaker(ep)
	for _, b := range st.breakers {
		if b.pauses > 1 {
			b.pauses = 1
			b.until = min(b.until, now+e.pause(e.cfg.Retry, 0))
		}
	}
}

// streamRetry is the pauses of a stream that a proxy does not take. A stream that no connected proxy knows may come into
// being at any time, or never: its pauses grow as long as those of held packs may.
func (e *Engine) streamRetry(st *Stream, class AckClass) backoff.Backoff {
	b := e.cfg.Retry
	if class == StreamUnknown && e.cfg.HoldRefused && !st.connected(func(ep *Endpoint) bool {
		return st.breakers[ep].state(0) == Closed
	}) {
		b.Max = max(b.Max, e.cfg.HeldRetry.Max)
	}
	return b
}
