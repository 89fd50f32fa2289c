package consume

import (
	"testing"
	"time"

	"inlong-bridge/connector/internal/assign"
)

func TestPartitionHoldsAsManyPiecesAsAreFree(t *testing.T) {
	c := consumerOf(t, 3)
	c.cfg.Delivery.MaxUnfinal = 90
	now := time.Now()
	fill := func(p *assign.Assignment, n int) {
		for range n {
			holdOne(p)
		}
		c.share(p, now)
	}
	closed := func() (out []bool) {
		for _, p := range c.table.Assigned() {
			out = append(out, p.Gate().Condition().Closed())
		}
		return out
	}
	parts := c.table.Assigned()
	fill(parts[0], 45)
	if got := closed(); got[0] {
		t.Errorf("closed = %v with 45 pieces held and 45 free", got)
	}
	fill(parts[0], 1)
	fill(parts[1], 22)
	if got := closed(); !got[0] || got[1] {
		t.Errorf("closed = %v, want the first alone: it holds 46 of 90", got)
	}
	fill(parts[1], 1)
	if got := closed(); !got[1] {
		t.Errorf("closed = %v, want the second too: it holds 23 and 21 are free", got)
	}
	parts[0].Checkpoint().Revoke()
	c.share(parts[1], now)
	if got := closed(); !got[1] {
		t.Error("opened at once: each pause throws away what was fetched ahead")
	}
	c.share(parts[1], now.Add(assign.ResumePause))
	if got := closed(); got[1] {
		t.Error("still closed with room for three times as much")
	}
}
