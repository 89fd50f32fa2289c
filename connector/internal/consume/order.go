package consume

import (
	"sync"

	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/route"
)

// lanesOf is in how many lanes a partition's records keep their order with delivery.order.
func lanesOf(order string) int {
	switch order {
	case "partition":
		return 1
	case "key":
		return route.KeyLanes
	}
	return 0
}

// ahead is how many bytes of a partition may wait for their turn before fetching pauses. Each pause throws away what was fetched ahead,
// so it is some packs; where there are many lanes each of them can take one at a time.
func ahead(lanes int, pack int64) int64 { return int64(min(lanes+3, 16)) * pack }

// freed is the assignments of which something became final, with delivery.order: their next packs may go.
type freed struct {
	wake chan struct{} // full when there is something in list

	mu   sync.Mutex
	list []*assign.Assignment // guarded by mu
}

// add never waits: it runs on the sender's dispatcher.
func (f *freed) add(p *assign.Assignment) {
	f.mu.Lock()
	f.list = append(f.list, p)
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *freed) take() []*assign.Assignment {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := f.list
	f.list = nil
	return list
}

// offerFreed offers what waited for its turn. Lost pieces may have waited for the same.
func (c *Consumer) offerFreed() {
	for _, p := range c.freed.take() {
		p.OfferFreed(c.deps.Sender)
	}
	if c.Replay.Pending() > 0 {
		c.Replay.Nudge()
	}
	c.progress.Changed()
}
