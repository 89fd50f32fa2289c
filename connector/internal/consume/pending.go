package consume

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
)

// roomToPoll says why nothing new may be fetched now, "" if it may. The membership of the group lives on
// without polls. Records that wait for room hold the polling only once they are as much as a fetch: up
// to there the next fetch comes while the sender is busy with the last one.
func (c *Consumer) roomToPoll() (why reason.Key) {
	if c.pending.Bytes.Load() > int64(c.limits.FetchMaxBytes) {
		return assign.BudgetKey
	}
	if c.table.Pieces.Load() >= int64(c.cfg.Delivery.MaxUnfinal) {
		return unfinalKey
	}
	if c.pending.InOrder.Load() > c.limits.FetchBytes {
		return orderKey
	}
	return reason.Key{}
}

// share closes a partition that holds too many pieces, or opens it again.
func (c *Consumer) share(p *assign.Assignment, now time.Time) {
	p.Share(c.cfg.Delivery.MaxUnfinal-int(c.table.Pieces.Load()), c.cfg.Delivery.MaxUnfinal, now)
}

// holding posts why nothing is fetched, the zero key for nothing.
func (c *Consumer) holding(why reason.Key) {
	for _, k := range []reason.Key{assign.BudgetKey, unfinalKey, orderKey} {
		if k != why {
			c.deps.Board.Clear(k)
		} else {
			c.deps.Board.Set(reason.New(k, time.Now(), reason.KindOf(k.Code).Meaning))
		}
	}
	c.heldAt.Store(time.Now().UnixNano())
}

// wakeEvery is the longest time for which the client may sleep by mistake.
const wakeEvery = time.Second

// pendingLoop offers pending chunks again when the sender has room. A partition whose stream was full is fetched again once nothing of
// it is pending, and not sooner than assign.ResumePause after the stream was full: each pause throws away what was fetched ahead.
// The loop waits for nobody, so it also wakes the client, which may sleep although a partition goes on.
func (c *Consumer) pendingLoop(ctx context.Context) {
	tick, wake := time.NewTicker(100*time.Millisecond), time.NewTicker(wakeEvery)
	defer tick.Stop()
	defer wake.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.deps.Sender.Room():
		case <-tick.C:
		case <-wake.C:
			c.Gates.Wake()
			continue
		case <-c.freed.wake:
			c.offerFreed()
			continue
		}
		c.Replay.Nudge()
		c.offerPending()
	}
}

func (c *Consumer) offerPending() {
	defer c.progress.Changed()
	if c.pending.Waiting.Load() == 0 {
		return
	}
	parts := c.table.Assigned()
	c.turn++ // begin with another one each time: the first in line takes the room
	for i := range parts {
		p := parts[(i+c.turn)%len(parts)]
		if !p.WaitsForRoom() {
			continue // most of them, nearly always
		}
		if chunks, _ := p.Waiting(); chunks > 0 {
			p.Offer(c.deps.Sender)
		}
		now := time.Now()
		c.share(p, now)
		p.RoomAgain(now)
	}
}

// setOffsets moves where the client fetches partitions. It is not the group's rewind: kgo skips what is not assigned any more, so a
// revoke in between does no harm.
func (c *Consumer) setOffsets(offsets map[part.ID]int64) {
	set := make(map[string]map[int32]kgo.EpochOffset)
	for id, offset := range offsets {
		if set[id.Topic] == nil {
			set[id.Topic] = make(map[int32]kgo.EpochOffset)
		}
		set[id.Topic][id.Num] = kgo.EpochOffset{Epoch: -1, Offset: offset}
	}
	c.Group.SetOffsets(set)
}

// GoOn ends reasons that stopped partitions, and has the partitions go on from where they stopped.
func (c *Consumer) GoOn(list ...assign.Ending) (gone []*assign.Assignment) {
	gone, entries := assign.GoOn(list, c.setOffsets)
	for i, p := range gone {
		code := entries[i].Code
		c.Counters.GoneOn.Add(string(code), 1)
		c.deps.Causes.Ended(reason.Reason{Key: part.Key(p.ID(), code), Since: entries[i].Since})
	}
	return gone
}
