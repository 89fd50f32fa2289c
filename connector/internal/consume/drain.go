package consume

import (
	"context"
	"time"

	"inlong-bridge/connector/reason"
)

// FinalCommit commits what may be committed, in a time that fits a shutdown.
func (c *Consumer) FinalCommit(hard context.Context) bool {
	limit := 5 * time.Second
	if hard.Err() != nil {
		limit = time.Second
	}
	ctx, cancel := context.WithTimeout(c.deps.Life, limit)
	defer cancel()
	for !c.Committer.Commit(ctx, c.table.Assigned()) {
		select { // a rebalance or a coordinator that moves passes
		case <-ctx.Done():
			return false
		case <-hard.Done():
			return false
		case <-time.After(100 * time.Millisecond):
		}
	}
	return true
}

// Drained is how a drain ended.
type Drained struct {
	Open      int  // pieces that could still have become final
	Stuck     int  // pieces that could not, for the reasons that stop their partitions
	Committed bool // the last commit worked
}

// Halt has nothing more begun.
func (c *Consumer) Halt() { c.draining.Store(true) }

// Drain waits until everything fetched is final, reading again what gets lost, at most delivery.drain, and commits it.
func (c *Consumer) Drain(hard context.Context) (d Drained) {
	began := time.Now()
	c.draining.Store(true)
	c.deps.Board.Set(reason.New(drainingKey, began, reason.KindOf(reason.Draining).Meaning))
	c.Gates.Refer(gatesOf(c.table.Assigned()), drainingKey, began, true)
	for _, p := range c.table.Assigned() {
		p.DropUnbegun()
	}
	c.deps.Sender.Seal()
	open, stuck := c.table.UnfinishedWork()
	c.log.Info("draining", "pieces_not_final", open+stuck, "at_most", c.cfg.Delivery.Drain)
	ctx, cancel := context.WithTimeout(hard, c.cfg.Delivery.Drain)
	defer cancel()
	c.progress.Wait(func() bool {
		c.stopsOver()
		open, _ := c.table.UnfinishedWork()
		return open == 0
	}, ctx.Done())
	d.Open, d.Stuck = c.table.UnfinishedWork()
	d.Committed = c.FinalCommit(hard)
	c.drained.Store(true)
	return d
}

// stopsOver ends the stops that have nothing left to wait for. The watch loop does so too, but not at once: a drain would take them for
// standing.
func (c *Consumer) stopsOver() {
	c.refusalsOver()
	c.lettersOver()
}
