package consume

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// most is how many records one poll returns at most, so that a rate holds within a tenth of a second; 0 for no limit.
func most(rate int) int {
	if rate <= 0 {
		return 0
	}
	return max(rate/10, 1)
}

// slow waits for as long as the records of a poll take at the rate: a second at most. No poll is open meanwhile, so heartbeats and
// rebalances go on.
func slow(ctx context.Context, rate int, fs kgo.Fetches) {
	n := fs.NumRecords()
	if rate <= 0 || n == 0 {
		return
	}
	t := time.NewTimer(time.Duration(n) * time.Second / time.Duration(rate))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
