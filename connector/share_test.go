package connector

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

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
		if held := r.b.table.Pieces.Load(); held > 700 {
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
