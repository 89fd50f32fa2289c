package sdk

import "time"

// hold keeps packs away from a proxy, or a stream's packs from one, after an answer that says "not
// now": nothing goes there until the pause is over, then one pack as a trial, and everything again once
// that was acked. It is a value without a clock.
type hold struct {
	until  time.Duration // of the pause
	pauses int           // in a row
	reason string
	isLate bool   // the reason is that the last trial was answered late
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
