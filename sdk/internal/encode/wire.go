package encode

import "time"

// Wire decides per stream whether connections are the limit: then encoders have time to make frames smaller. Packs wait
// for a connection in bursts, because a bound on the rate lets bytes go at each tick, so what counts is a share of time.
//
// The nil Wire is that of a stream of which no two packs were under way: it counts nothing, and nothing limits.
type Wire struct {
	waiting int64         // bytes of records in packs that are encoded and wait for a connection
	at      time.Duration // waited is up to date as of then
	waited  time.Duration // while waiting > 0, since the window began
	began   time.Duration // the window
	limits  bool          // the last window's answer
}

// The better encoder takes two to three times as long. While packs wait for three quarters of the time, encoders work for
// a quarter at most, and do not become the limit by it. If they did, fewer packs would wait, and it would end.
const wireWindow = 250 * time.Millisecond

// Add counts n more bytes of records that wait for a connection, fewer where n < 0.
func (w *Wire) Add(n int64, now time.Duration) {
	w.advance(now)
	w.waiting += n
}

// Waiting is how many bytes of records wait for a connection.
func (w *Wire) Waiting() int64 {
	if w == nil {
		return 0
	}
	return w.waiting
}

// Limits reports whether connections are the limit for the next pack. A window ends with the first pack after
// wireWindow, so that the first one after a pause finds that nothing waited.
func (w *Wire) Limits(now time.Duration) bool {
	if w == nil {
		return false
	}
	w.advance(now)
	if window := now - w.began; window >= wireWindow {
		w.limits = 4*w.waited >= 3*window
		w.began, w.waited = now, 0
	}
	return w.limits
}

func (w *Wire) advance(now time.Duration) {
	if now <= w.at {
		return
	}
	if w.waiting > 0 {
		w.waited += now - w.at
	}
	w.at = now
}
