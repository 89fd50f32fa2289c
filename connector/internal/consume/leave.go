package consume

import (
	"context"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/internal/commit"
)

// After the signal nothing is begun, and nothing waits for others for longer than its own deadline. A rebalance is where
// that is hard: its end depends on every other member, and the client waits for it before it leaves, without a bound.
// So while the bridge stops
//
//   - a session that ends is not followed by another join: onRevoked holds it until the bridge has drained,
//   - partitions that a late join assigns are not begun: adjust waits for the end of their session,
//   - a join that is under way is cut off, and the member leaves with a request that does not pass through it.

// Bounds of the steps of a shutdown, and of the same after a second signal.
const (
	LeaveBound, leaveBoundHard = 5 * time.Second, time.Second
	CloseBound, closeBoundHard = 2 * time.Second, 500 * time.Millisecond
)

// Leave ends the membership and closes the client of the group, if Open made one.
func (c *Consumer) Leave(hard context.Context) {
	c.drained.Store(true)
	if c.Group != nil {
		c.member.leave(hard)
	}
}

// stopping reports whether the bridge was told to stop.
func (g *membership) stopping() bool { return g.deps.Soft.Err() != nil || g.draining.Load() }

// stopTime returns a context that ends after limit, or soon after a second signal.
func stopTime(hard context.Context, limit, limitHard time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	stop := context.AfterFunc(hard, func() { time.AfterFunc(limitHard, cancel) })
	return ctx, func() { stop(); cancel() }
}

// CloseWithin runs f, which ends a part of the bridge, and goes on without it when that takes too long.
func CloseWithin(hard context.Context, log *slog.Logger, part string, f func()) {
	ctx, cancel := stopTime(hard, CloseBound, closeBoundHard)
	defer cancel()
	began, done := time.Now(), make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		log.Warn("a part of the bridge does not end, stopping without it", "part", part, "waited", time.Since(began).Round(time.Millisecond).String())
	}
}

// leave ends the membership of the group and closes its client. A member that goes without a word holds up the
// next rebalance until its session times out, so this is done also when the bridge is told to stop at once.
func (g *membership) leave(hard context.Context) {
	if g.Group == nil {
		return
	}
	g.Group.AllowRebalance()
	static := g.cfg.Kafka.InstanceID != "" // it keeps its place over a restart, and the client knows when it must not
	left, joining := false, !g.inSession.Load()
	if !joining || static {
		close(g.leaving)
		began := time.Now()
		ctx, cancel := stopTime(hard, LeaveBound, leaveBoundHard)
		err := g.Group.LeaveGroupContext(ctx)
		left = ctx.Err() == nil
		cancel()
		if !left {
			g.log.Warn("leaving the group takes too long and is cut off", "group", g.cfg.Kafka.Group, "waited", time.Since(began).Round(time.Millisecond).String(), "err", err)
		}
	}
	member, _ := g.Group.GroupMetadata()
	if !left {
		if joining {
			g.log.Info("the group is joined at the moment; leaving without waiting for that", "group", g.cfg.Kafka.Group)
		}
		g.cut() // before leaving is closed: the client joins as soon as its callback returns
	}
	select {
	case <-g.leaving:
	default:
		close(g.leaving)
	}
	CloseWithin(hard, g.log, "client of the group", g.Group.Close)
	g.cut()
	if !left && !static && member != "" {
		g.leaveAs(hard, member)
	}
}

// leaveAs takes a member out of the group over the client that has no group.
func (g *membership) leaveAs(hard context.Context, id string) {
	ctx, cancel := stopTime(hard, CloseBound, closeBoundHard)
	defer cancel()
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID = g.cfg.Kafka.Group, id
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID, m.Reason = id, new("the bridge stops during a rebalance")
	req.Members = append(req.Members, m)
	resp, err := req.RequestWith(ctx, g.deps.Direct)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	for i := 0; err == nil && i < len(resp.Members); i++ {
		err = kerr.ErrorForCode(resp.Members[i].ErrorCode)
	}
	if err != nil {
		g.log.Warn("the group was not told that this member leaves; it waits for its session to time out", "group", g.cfg.Kafka.Group,
			"session_timeout", g.cfg.Kafka.SessionTimeout.String(), "err", err)
	}
}

// awaitLeave holds the end of a session while the bridge stops: when the callback returns, the client joins again. What
// is under way becomes final meanwhile and is committed in the session that ends, which the group keeps open for
// kafka.rebalance_timeout. A drain that takes longer lets the client join once more, for else its last commit would
// be refused.
func (g *membership) awaitLeave() {
	k := &g.cfg.Kafka
	if !g.draining.Load() || k.InstanceID != "" {
		return
	}
	wait := time.NewTimer(k.RebalanceTimeout - k.CommitTimeout - g.cfg.Delivery.RevokeWait)
	defer wait.Stop()
	select {
	case <-g.leaving:
	case <-wait.C:
	}
}

// Beside returns the place to commit for while the bridge stops and no session works. The client holds commits back while it joins;
// the group takes them from a member of its generation until the rebalance is over.
func (g *membership) Beside() (commit.Seat, bool) {
	s := g.seat.Load()
	if s == nil || !g.stopping() || g.inSession.Load() {
		return commit.Seat{}, false
	}
	return *s, true
}

// UnlessHeldBack returns a context for a commit through the client. It ends with the signal when the client holds the commit back:
// another way is open then, see Beside.
func (g *membership) UnlessHeldBack(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(g.deps.Soft, func() {
		if !g.inSession.Load() {
			cancel()
		}
	})
	return ctx, func() { stop(); cancel() }
}
