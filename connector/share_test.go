package connector

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/reason"
)

// Commits fail and all else works: what is final piles up until it is committed. The partition that holds half of max_unfinal is
// closed alone, the reason names the commits, and all goes on when they work again.
func TestFailingCommitsCloseAPartitionBeforePiecesGrowBeyondMaxUnfinal(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	c := e.config("queue")
	c.Delivery.MaxUnfinal = 1000
	c.Pack.Count = 1
	c.Memory.Budget.N = 64 << 20
	r := e.start(c)
	e.produce("orders", 0, 0, 10, 0)
	e.waitCommitted("orders", 0, 10)
	var over atomic.Bool
	e.refuseCommitsWith(kerr.GroupAuthorizationFailed, -1, &over)
	for i := range 20 {
		e.produce("orders", 0, 10+i*100, 100, 20)
		eventually(t, 10*time.Second, func() error { // or one fetch brings more than the share
			if p := r.part("orders", 0, func(PartitionStatus) bool { return true }); p.Position < int64(110+i*100) && p.Stall != string(reason.MaxUnfinal) {
				return fmt.Errorf("position = %d", p.Position)
			}
			return nil
		})
	}
	eventually(t, 20*time.Second, func() error {
		s := r.b.Status()
		var own, commits bool
		for _, c := range s.Conditions {
			own = own || c.Code == reason.MaxUnfinal && c.Object == "orders/0"
			commits = commits || c.Code == reason.Commit && c.Object == "authorization"
		}
		if !own || !commits || s.Ready.Strict {
			return fmt.Errorf("conditions = %+v, ready %+v; want the partition closed and the commits as the reason", s.Conditions, s.Ready)
		}
		return nil
	})
	for range 20 {
		if held := r.b.pieces.Load(); held > 700 {
			t.Fatalf("%d pieces are remembered; a partition may hold 500, and one fetch more", held)
		}
		time.Sleep(20 * time.Millisecond)
	}
	e.produce("orders", 1, 0, 20, 0) // the other partition goes on
	r.part("orders", 1, func(p PartitionStatus) bool { return p.Final == 20 })
	over.Store(true)
	e.waitCommitted("orders", 0, 2010)
	e.waitCommitted("orders", 1, 20)
	eventually(t, 10*time.Second, func() error {
		if s := r.b.Status(); !s.Ready.Strict || strings.Contains(fmt.Sprint(s.Conditions), "max_unfinal") {
			return fmt.Errorf("conditions = %+v, want none once commits work", s.Conditions)
		}
		return nil
	})
}

func TestPartitionHoldsAsManyPiecesAsAreFree(t *testing.T) {
	b := bridgeOf(t, 3)
	b.cfg.Delivery.MaxUnfinal = 90
	now := time.Now()
	fill := func(p *assign.Assignment, n int) {
		for range n {
			holdOne(p)
		}
		b.share(p, now)
	}
	closed := func() (out []bool) {
		for _, p := range b.assigned() {
			out = append(out, p.Gate().Condition().Closed())
		}
		return out
	}
	parts := b.assigned()
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
	b.share(parts[1], now)
	if got := closed(); !got[1] {
		t.Error("opened at once: each pause throws away what was fetched ahead")
	}
	b.share(parts[1], now.Add(assign.ResumePause))
	if got := closed(); got[1] {
		t.Error("still closed with room for three times as much")
	}
}
