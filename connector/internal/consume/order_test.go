package consume

import (
	"testing"

	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/reason"
)

// What waits for its turn, over all partitions, is bounded by the share for fetches; nobody is fetched beyond it.
func TestNothingIsFetchedWhileMuchWaitsForItsTurn(t *testing.T) {
	c := consumerOf(t, 0)
	c.limits.FetchBytes, c.limits.FetchMaxBytes, c.cfg.Delivery.MaxUnfinal = 1000, 1000, 1000
	for _, step := range []struct {
		waits int64
		want  reason.Code
	}{{1000, ""}, {1001, reason.Order}, {999, ""}} {
		c.pending.InOrder.Store(step.waits)
		if got := c.roomToPoll(); got.Code != step.want {
			t.Errorf("with %d bytes nothing is fetched because of %q, want %q", step.waits, got.Code, step.want)
		}
	}
}

// What becomes final wakes the loop that offers what waits, at once and once for all.
func TestFreedLanesWakeTheLoopOnce(t *testing.T) {
	c := consumerOf(t, 2)
	for _, p := range c.table.Assigned() {
		c.Freed(p)
	}
	select {
	case <-c.freed.wake:
	default:
		t.Fatal("the loop sleeps on")
	}
	if len(c.freed.wake) != 0 || len(c.freed.take()) != 2 || len(c.freed.take()) != 0 {
		t.Error("want one wake-up with both assignments")
	}
}

func TestOrderSaysHowManyLanesThereAre(t *testing.T) {
	for order, want := range map[string]int{"none": 0, "partition": 1, "key": route.KeyLanes} {
		if got := lanesOf(order); got != want {
			t.Errorf("%s: %d lanes, want %d", order, got, want)
		}
	}
}
