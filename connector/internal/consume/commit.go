package consume

import (
	"context"
	"math/rand/v2"
	"time"
)

// commitLoop commits the checkpoints every commit_interval, a fifth of it being jitter: many bridges that
// start together do not commit together.
func (c *Consumer) commitLoop(ctx context.Context) {
	for {
		d := c.cfg.Kafka.CommitInterval
		timer := time.NewTimer(d - d/10 + time.Duration(rand.Int64N(int64(d)/5+1)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		done := c.deps.Loops.Works("commit")
		c.Committer.Commit(ctx, c.table.Assigned())
		done()
	}
}
