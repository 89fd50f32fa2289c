package connector

import (
	"context"
	"time"

	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/commit"
	"inlong-bridge/connector/internal/replay"
)

// onAssigned tells of new partitions; they are made in adjust, once their offsets are known.
func (b *Bridge) onAssigned(added map[string][]int32) {
	b.noteGiven(added) // takes the lock under which b.group is set
	member, generation := b.group.GroupMetadata()
	b.seat.Store(&commit.Seat{Member: member, Generation: generation})
	b.inSession.Store(true)
	b.sessions.Add(1)
	b.groupFault(nil)
	n := 0
	for _, nums := range added {
		n += len(nums)
	}
	switch {
	case n > 0 && b.stopping():
		b.log.Info("partitions assigned while the bridge stops; they are not begun", "partitions", n)
	case n > 0:
		b.log.Info("partitions assigned", "partitions", n)
	}
}

// onRevoked runs in kgo's callback, during which no poll returns. It needs nothing from the poll goroutine:
// stop the dispatch, wait a little for what is on its way, commit, end the assignments. Partitions that
// stay are not touched. kgo also calls it at the end of each session with nothing to revoke.
func (b *Bridge) onRevoked(lost map[string][]int32) {
	defer b.awaitLeave()
	defer b.noteTaken(lost)
	b.inSession.Store(false)
	parts := b.pick(lost)
	if len(parts) == 0 {
		return
	}
	began := time.Now()
	for _, p := range parts {
		p.Detach()
	}
	if wait := b.revokeWait(); wait > 0 {
		b.sender.Seal()
		b.awaitFinal(parts, wait)
	}
	// The context is its own: leaving the group cancels everybody else's. A revoke has at most
	// revoke_wait and the commit's time, which check holds below the rebalance time-out.
	if !b.drained.Load() { // the drain ended with a commit of its own
		b.committer.Commit(context.WithoutCancel(b.life), parts)
	}
	b.endAssignments(parts)
	left := 0
	for _, p := range parts {
		left += p.LeftUnfinal()
	}
	b.counters.revoked.Add(uint64(len(parts)))
	b.log.Info("partitions revoked", "partitions", len(parts), "took", time.Since(began).Round(time.Millisecond), "pieces_not_final", left)
}

// onLost runs when the group membership itself is gone: a commit would be refused.
func (b *Bridge) onLost(lost map[string][]int32) {
	defer b.noteTaken(lost)
	b.inSession.Store(false)
	parts := b.pick(lost)
	if len(parts) == 0 {
		return
	}
	if b.drained.Load() { // the membership was cut off on purpose, after the last commit
		b.endAssignments(parts)
		b.counters.revoked.Add(uint64(len(parts)))
		return
	}
	for _, p := range parts {
		p.Detach()
	}
	b.endAssignments(parts)
	b.counters.revoked.Add(uint64(len(parts)))
	b.log.Warn("partitions lost with the group membership; what was not committed is delivered again by their next owner", "partitions", len(parts))
}

// revokeWait is how long a revoke waits for pieces to become final. In settle that would take longer than
// anybody may wait; while draining everything has been waited for already.
func (b *Bridge) revokeWait() time.Duration {
	if b.cfg.Delivery.Confirm == "settle" || b.drained.Load() {
		return 0
	}
	return b.cfg.Delivery.RevokeWait
}

// awaitFinal waits until nothing of parts is open, at most d, and leaves early at the first loss: reading
// again takes longer than a rebalance may.
func (b *Bridge) awaitFinal(parts []*assign.Assignment, d time.Duration) {
	ctx, cancel := context.WithTimeout(b.life, d)
	defer cancel()
	of := make(map[replay.Assignment]bool, len(parts))
	for _, p := range parts {
		of[p] = true
	}
	b.progress.Wait(func() bool {
		open := 0
		for _, p := range parts {
			open += p.Unfinished()
		}
		return open == 0 || b.reread.Has(func(a replay.Assignment) bool { return of[a] })
	}, ctx.Done())
}

// endAssignments ends the assignments of parts under the commit slot: a commit that is on its way ends
// first, unless it outlasts its own time-out, and then the broker has fenced it or will only rewind, which
// costs duplicates and never records.
func (b *Bridge) endAssignments(parts []*assign.Assignment) {
	defer b.committer.Hold()()
	for _, p := range parts {
		for ; p != nil; p = p.Succeeded() {
			p.Detach()
			b.close(p)
			p.End()
			b.remove(p)
		}
	}
	b.reread.Nudge()
	b.progress.Changed()
}
