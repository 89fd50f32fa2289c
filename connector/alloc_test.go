package connector

import (
	"testing"
	"time"

	"inlong-bridge/connector/reason"
)

func TestLooksAtPartitionsAllocateNothing(t *testing.T) {
	b, now := bridgeOf(t, 500), time.Now()
	if n := testing.AllocsPerRun(1000, func() {
		if why := b.roomToPoll(); why != (reason.Key{}) {
			t.Fatal(why)
		}
		b.offerPending()
		for _, p := range b.assigned() {
			p.Oldest(now)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
