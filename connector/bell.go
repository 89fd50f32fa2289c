package connector

import (
	"sync"
	"sync/atomic"
	"time"
)

// bell wakes everybody who waits for a condition. Ringing costs one atomic load when nobody does, so
// that it can be rung for each piece.
type bell struct {
	waiters atomic.Int32
	mu      sync.Mutex
	ch      chan struct{} // guarded by mu; closed by the next ring
}

func (b *bell) ring() {
	if b.waiters.Load() == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch != nil {
		close(b.ch)
		b.ch = nil
	}
}

func (b *bell) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ch == nil {
		b.ch = make(chan struct{})
	}
	return b.ch
}

// wait returns once cond holds (true) or one of stop is closed (false). cond is asked again after each
// ring and every 100 ms: some of what it asks for rings no bell.
func (b *bell) wait(cond func() bool, stop ...<-chan struct{}) bool {
	b.waiters.Add(1)
	defer b.waiters.Add(-1)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var first, second <-chan struct{} // of stop; nobody needs more
	if len(stop) > 0 {
		first = stop[0]
	}
	if len(stop) > 1 {
		second = stop[1]
	}
	for {
		ch := b.next() // before cond, so that a ring in between is not missed
		if cond() {
			return true
		}
		select {
		case <-ch:
			// Rings come per piece while cond may look at every partition: not more often than this.
			select {
			case <-time.After(2 * time.Millisecond):
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
