package requeue

import (
	"context"
	"time"
)

// Rate is how many records are handed on in a second at most, 0 for no limit.
type Rate int

// Most is how many records one poll returns at most, so that a rate holds within a tenth of a second; 0 for no limit.
func (r Rate) Most() int {
	if r <= 0 {
		return 0
	}
	return max(int(r)/10, 1)
}

// Wait waits for as long as n records of a poll take at the rate: a second at most. No poll is open meanwhile, so heartbeats and
// rebalances go on.
func (r Rate) Wait(ctx context.Context, n int) {
	if r <= 0 || n == 0 {
		return
	}
	t := time.NewTimer(time.Duration(n) * time.Second / time.Duration(r))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
