package connector

import (
	"context"
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
	leaveBound, leaveBoundHard = 5 * time.Second, time.Second
	closeBound, closeBoundHard = 2 * time.Second, 500 * time.Millisecond
)

// stopping reports whether the bridge was told to stop.
func (b *Bridge) stopping() bool { return b.soft != nil && b.soft.Err() != nil || b.draining.Load() }

// stopTime returns a context that ends after limit, or soon after a second signal.
func stopTime(hard context.Context, limit, limitHard time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	stop := context.AfterFunc(hard, func() { time.AfterFunc(limitHard, cancel) })
	return ctx, func() { stop(); cancel() }
}

// closing runs f, which ends a part of the bridge, and goes on without it when that takes too long.
func (b *Bridge) closing(hard context.Context, part string, f func()) {
	ctx, cancel := stopTime(hard, closeBound, closeBoundHard)
	defer cancel()
	began, done := time.Now(), make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		b.log.Warn("a part of the bridge does not end, stopping without it", "part", part, "waited", time.Since(began).Round(time.Millisecond).String())
	}
}

// leaveGroup ends the membership of the group and closes its client. A member that goes without a word holds up the
// next rebalance until its session times out, so this is done also when the bridge is told to stop at once.
func (b *Bridge) leaveGroup(hard context.Context) {
	if b.group == nil {
		return
	}
	b.group.AllowRebalance()
	static := b.cfg.Kafka.InstanceID != "" // it keeps its place over a restart, and the client knows when it must not
	left, joining := false, !b.inSession.Load()
	if !joining || static {
		close(b.leaving)
		began := time.Now()
		ctx, cancel := stopTime(hard, leaveBound, leaveBoundHard)
		err := b.group.LeaveGroupContext(ctx)
		left = ctx.Err() == nil
		cancel()
		if !left {
			b.log.Warn("leaving the group takes too long and is cut off", "group", b.cfg.Kafka.Group, "waited", time.Since(began).Round(time.Millisecond).String(), "err", err)
		}
	}
	member, _ := b.group.GroupMetadata()
	if !left {
		if joining {
			b.log.Info("the group is joined at the moment; leaving without waiting for that", "group", b.cfg.Kafka.Group)
		}
		b.cutGroup() // before leaving is closed: the client joins as soon as its callback returns
	}
	select {
	case <-b.leaving:
	default:
		close(b.leaving)
	}
	b.closing(hard, "client of the group", b.group.Close)
	b.cutGroup()
	if !left && !static && member != "" {
		b.leaveAs(hard, member)
	}
}

// leaveAs takes a member out of the group over the client that has no group.
func (b *Bridge) leaveAs(hard context.Context, id string) {
	ctx, cancel := stopTime(hard, closeBound, closeBoundHard)
	defer cancel()
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID = b.cfg.Kafka.Group, id
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID, m.Reason = id, new("the bridge stops during a rebalance")
	req.Members = append(req.Members, m)
	resp, err := req.RequestWith(ctx, b.direct)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	for i := 0; err == nil && i < len(resp.Members); i++ {
		err = kerr.ErrorForCode(resp.Members[i].ErrorCode)
	}
	if err != nil {
		b.log.Warn("the group was not told that this member leaves; it waits for its session to time out", "group", b.cfg.Kafka.Group,
			"session_timeout", b.cfg.Kafka.SessionTimeout.String(), "err", err)
	}
}

// awaitLeave holds the end of a session while the bridge stops: when the callback returns, the client joins again. What
// is under way becomes final meanwhile and is committed in the session that ends, which the group keeps open for
// kafka.rebalance_timeout. A drain that takes longer lets the client join once more, for else its last commit would
// be refused.
func (b *Bridge) awaitLeave() {
	k := &b.cfg.Kafka
	if !b.draining.Load() || k.InstanceID != "" {
		return
	}
	wait := time.NewTimer(k.RebalanceTimeout - k.CommitTimeout - b.cfg.Delivery.RevokeWait)
	defer wait.Stop()
	select {
	case <-b.leaving:
	case <-wait.C:
	}
}

// session is the group's session as commits see it.
type session struct{ *Bridge }

// Beside returns the place to commit for while the bridge stops and no session works. The client holds commits back while it joins;
// the group takes them from a member of its generation until the rebalance is over.
func (b session) Beside() (commit.Seat, bool) {
	s := b.seat.Load()
	if s == nil || !b.stopping() || b.inSession.Load() {
		return commit.Seat{}, false
	}
	return *s, true
}

// UnlessHeldBack returns a context for a commit through the client. It ends with the signal when the client holds the commit back:
// another way is open then, see Beside.
func (b session) UnlessHeldBack(ctx context.Context) (context.Context, context.CancelFunc) {
	if b.soft == nil {
		return context.WithCancel(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(b.soft, func() {
		if !b.inSession.Load() {
			cancel()
		}
	})
	return ctx, func() { stop(); cancel() }
}
