// Package await waits for conditions that several goroutines bring about.
package await

import (
	"time"

	"inlong-bridge/sdk/signal"
)

const (
	// The condition is asked at least this often, because some of what it asks for wakes nobody.
	atLeast = 100 * time.Millisecond
	// and not more often than this: wake-ups come per piece, while a condition may look at every partition.
	atMost = 2 * time.Millisecond
)

// Condition wakes everybody who waits for it. The zero value is ready; it must not be copied after first use.
type Condition struct{ changed signal.Broadcast }

// Changed says that what a condition asks for may have changed. It never waits, and costs one atomic load while nobody waits.
func (c *Condition) Changed() { c.changed.Wake() }

// Wait returns once cond holds (true) or one of stop is closed (false). It takes two channels at most.
func (c *Condition) Wait(cond func() bool, stop ...<-chan struct{}) bool {
	tick := time.NewTicker(atLeast)
	defer tick.Stop()
	var first, second <-chan struct{}
	if len(stop) > 0 {
		first = stop[0]
	}
	if len(stop) > 1 {
		second = stop[1]
	}
	for {
		ch := c.changed.Next() // before cond, so that a change in between is not missed
		if cond() {
			return true
		}
		select {
		case <-ch:
			select {
			case <-time.After(atMost):
			case <-first:
				return false
			case <-second:
				return false
			}
		case <-tick.C:
		case <-first:
			return false
		case <-second:
			return false
		}
	}
}
