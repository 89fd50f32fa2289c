package consume

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/commit"
	"inlong-bridge/connector/internal/faults"
	"inlong-bridge/connector/internal/replay"
	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/connector/reason"
)

// membership is the bridge's membership of its group: sessions that begin and end, and the leaving.
type membership struct {
	*Consumer
	sessions    atomic.Uint64               // as often as one began to work
	inSession   atomic.Bool                 // a session works: the group is not being joined
	seat        atomic.Pointer[commit.Seat] // in the session that began last
	cut         context.CancelFunc          // ends everything that the group's client does
	leaving     chan struct{}               // closed when the bridge leaves the group
	groupFaults faults.Set
}

// opts adds to base what makes a client a member of the group. Start and reset are explicit: a partition without a commit is
// resolved in adjust, and a position that is out of range is an error for on_gap, never a jump. What is fetched and buffered is
// bounded by the fetch share of the budget. What a poll returned and the sender did not take is pending, and from one fetch's
// worth on holds the polling (roomToPoll), so the share is not exceeded for long.
func (g *membership) opts(topics []string, base []kgo.Opt) []kgo.Opt {
	k, l := &g.cfg.Kafka, &g.limits
	opts := append(base,
		kgo.FetchMaxBytes(l.FetchMaxBytes), kgo.FetchMaxPartitionBytes(l.FetchMaxPartitionBytes), kgo.MaxConcurrentFetches(l.MaxConcurrentFetches),
		kgo.ConsumerGroup(k.Group), kgo.ConsumeTopics(topics...), kgo.Balancers(kafkaclient.Balancer(k.Balancer)),
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.KeepControlRecords(), kgo.AlwaysRetryEOF(),
		kgo.ConsumeStartOffset(kgo.NoResetOffset().AtStart()), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.SessionTimeout(k.SessionTimeout), kgo.RebalanceTimeout(k.RebalanceTimeout),
		kgo.HeartbeatInterval(min(3*time.Second, k.SessionTimeout/3)),
		kgo.AdjustFetchOffsetsFn(g.opener.adjust),
		// Called whenever a session works, also when it assigns nothing new.
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { g.onAssigned(m) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { g.onRevoked(m) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { g.onLost(m) }),
	)
	if k.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(k.InstanceID))
	}
	return opts
}

// LoseMembership ends the assignments of partitions as the loss of the membership does.
func (c *Consumer) LoseMembership(of map[string][]int32) { c.member.onLost(of) }

// End ends assignments as a revoke does.
func (c *Consumer) End(parts ...*assign.Assignment) { c.member.end(parts) }

// sessionFault notes what is wrong with the group session, nil for nothing.
func (g *membership) sessionFault(err error) {
	if err == nil {
		g.deps.Board.Clear(rebalanceKey)
		for _, f := range g.groupFaults.End() {
			g.log.Info("the group session works again", "after", f.Lasted, "times", f.Times)
		}
		return
	}
	g.deps.Board.Set(reason.New(rebalanceKey, time.Now(), err.Error()))
	if g.groupFaults.Begin("group") {
		g.log.Warn("the group session fails, trying again", "group", g.cfg.Kafka.Group, "err", err)
	}
}

// onAssigned tells of new partitions; they are made in adjust, once their offsets are known.
func (g *membership) onAssigned(added map[string][]int32) {
	g.table.given(added) // takes the lock under which g.Group is set
	member, generation := g.Group.GroupMetadata()
	g.seat.Store(&commit.Seat{Member: member, Generation: generation})
	g.inSession.Store(true)
	g.sessions.Add(1)
	g.sessionFault(nil)
	n := 0
	for _, nums := range added {
		n += len(nums)
	}
	switch {
	case n > 0 && g.stopping():
		g.log.Info("partitions assigned while the bridge stops; they are not begun", "partitions", n)
	case n > 0:
		g.log.Info("partitions assigned", "partitions", n)
	}
}

// onRevoked runs in kgo's callback, during which no poll returns. It needs nothing from the poll goroutine:
// stop the dispatch, wait a little for what is on its way, commit, end the assignments. Partitions that
// stay are not touched. kgo also calls it at the end of each session with nothing to revoke.
func (g *membership) onRevoked(lost map[string][]int32) {
	defer g.awaitLeave()
	defer g.table.taken(lost)
	g.inSession.Store(false)
	parts := g.table.pick(lost)
	if len(parts) == 0 {
		return
	}
	began := time.Now()
	for _, p := range parts {
		p.Detach()
	}
	if wait := g.revokeWait(); wait > 0 {
		g.deps.Sender.Seal()
		g.awaitFinal(parts, wait)
	}
	// The context is its own: leaving the group cancels everybody else's. A revoke has at most
	// revoke_wait and the commit's time, which check holds below the rebalance time-out.
	if !g.drained.Load() { // the drain ended with a commit of its own
		g.Committer.Commit(context.WithoutCancel(g.deps.Life), parts)
	}
	g.end(parts)
	left := 0
	for _, p := range parts {
		left += p.LeftUnfinal()
	}
	g.Counters.Revoked.Add(uint64(len(parts)))
	g.log.Info("partitions revoked", "partitions", len(parts), "took", time.Since(began).Round(time.Millisecond), "pieces_not_final", left)
}

// onLost runs when the group membership itself is gone: a commit would be refused.
func (g *membership) onLost(lost map[string][]int32) {
	defer g.table.taken(lost)
	g.inSession.Store(false)
	parts := g.table.pick(lost)
	if len(parts) == 0 {
		return
	}
	if g.drained.Load() { // the membership was cut off on purpose, after the last commit
		g.end(parts)
		g.Counters.Revoked.Add(uint64(len(parts)))
		return
	}
	for _, p := range parts {
		p.Detach()
	}
	g.end(parts)
	g.Counters.Revoked.Add(uint64(len(parts)))
	g.log.Warn("partitions lost with the group membership; what was not committed is delivered again by their next owner", "partitions", len(parts))
}

// revokeWait is how long a revoke waits for pieces to become final. In settle that would take longer than
// anybody may wait; while draining everything has been waited for already.
func (g *membership) revokeWait() time.Duration {
	if g.cfg.Delivery.Confirm == "settle" || g.drained.Load() {
		return 0
	}
	return g.cfg.Delivery.RevokeWait
}

// awaitFinal waits until nothing of parts is open, at most d, and leaves early at the first loss: reading
// again takes longer than a rebalance may.
func (g *membership) awaitFinal(parts []*assign.Assignment, d time.Duration) {
	ctx, cancel := context.WithTimeout(g.deps.Life, d)
	defer cancel()
	of := make(map[replay.Assignment]bool, len(parts))
	for _, p := range parts {
		of[p] = true
	}
	g.progress.Wait(func() bool {
		open := 0
		for _, p := range parts {
			open += p.Unfinished()
		}
		return open == 0 || g.Replay.Has(func(a replay.Assignment) bool { return of[a] })
	}, ctx.Done())
}

// end ends the assignments of parts under the commit slot: a commit that is on its way ends
// first, unless it outlasts its own time-out, and then the broker has fenced it or will only rewind, which
// costs duplicates and never records.
func (g *membership) end(parts []*assign.Assignment) {
	defer g.Committer.Hold()()
	for _, p := range parts {
		for ; p != nil; p = p.Succeeded() {
			p.Detach()
			if g.deps.Ended != nil {
				g.deps.Ended(p)
			}
			p.End()
			g.table.Remove(p)
		}
	}
	g.Replay.Nudge()
	g.progress.Changed()
}
