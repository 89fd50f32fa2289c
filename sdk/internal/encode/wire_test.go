package encode

import (
	"testing"
	"time"
)

// A bound on the rate lets bytes go at each tick: packs that come in the burst find nothing that waits, and packs wait
// most of the time all the same.
func TestWireLimitsWhilePacksWaitMostOfTheTime(t *testing.T) {
	const tick = 100 * time.Millisecond
	for _, tt := range []struct {
		name string
		wait time.Duration // of each tick
		want bool
	}{
		{"nothing waits", 0, false},
		{"packs wait half of the time", tick / 2, false},
		{"packs wait nearly always", tick - tick/10, true},
		{"packs wait always", tick, true},
	} {
		var w Wire
		var now time.Duration
		for range 10 {
			if tt.wait > 0 {
				w.Add(1000, now)
				w.Add(1000, now+tt.wait/2)
				w.Add(-2000, now+tt.wait)
			}
			now += tick
			if w.Waiting() != 0 {
				t.Fatalf("%s: %d bytes wait", tt.name, w.Waiting())
			}
			got := w.Limits(now)
			if early := now <= wireWindow; got != (tt.want && !early) {
				t.Errorf("%s: limits = %v after %v", tt.name, got, now)
			}
		}
		if w.Limits(now + time.Minute) {
			t.Errorf("%s: the first pack after a pause is not the fast encoder's", tt.name)
		}
	}
}
