// Package backoff says how long to wait before something that failed is tried again. It is a pure value: the caller
// keeps the time and brings the random numbers.
//
// The package serves this module's own packages and promises no stable API.
package backoff

import "time"

// Backoff is an exponential pause: Min first, doubled each time, at most Max.
type Backoff struct {
	Min, Max time.Duration
}

// Pause returns how long to wait after so many pauses in a row: Min after none. random is in [0, 1) and takes up to a
// quarter off, so that many that failed together do not come back together; 0 takes nothing off.
func (b Backoff) Pause(before int, random float64) time.Duration {
	d := min(b.Min, b.Max)
	for ; before > 0 && 0 < d && d < b.Max; before-- {
		d = b.Next(d)
	}
	return d - time.Duration(random*float64(d)/4)
}

// Next returns the pause that follows a pause of last, without jitter. last is 0 when there was none yet.
func (b Backoff) Next(last time.Duration) time.Duration {
	if last > b.Max/2 { // doubling could overflow
		return b.Max
	}
	return min(max(2*last, b.Min), b.Max)
}
