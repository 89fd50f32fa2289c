package consume

import (
	"testing"
	"time"

	"inlong-bridge/connector/reason"
)

func TestLooksAtPartitionsAllocateNothing(t *testing.T) {
	c, now := consumerOf(t, 500), time.Now()
	if n := testing.AllocsPerRun(1000, func() {
		if why := c.roomToPoll(); why != (reason.Key{}) {
			t.Fatal(why)
		}
		c.offerPending()
		for _, p := range c.table.Assigned() {
			p.Oldest(now)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
