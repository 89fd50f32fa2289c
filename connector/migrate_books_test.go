package connector

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/internal/part"
	"inlong-bridge/sdk/dptest"
)

// Records that are produced while a migration runs are after its end: it leaves them alone, though it reads and
// could move them.
func TestMigrateLeavesWhatComesAfterItsStart(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1), withProxy(dptest.WithQueueDelay(100*time.Millisecond)))
	e.produce("orders", 0, 0, 50, 0)
	for _, p := range e.proxies {
		p.StallQueue(true) // nothing is final, so the migration does not end
	}
	b, err := New(e.config("queue"), Deps{Log: testLog(t), KafkaOpts: []kgo.Opt{kgo.FetchMaxWait(50 * time.Millisecond)}})
	if err != nil {
		t.Fatal(err)
	}
	hard, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	late := false
	v, err := b.Migrate(hard, hard, func(Progress) {
		a := b.table.Lookup(part.ID{Topic: "orders", Num: 0})
		if late || a == nil {
			return
		}
		late = true
		e.produce("orders", 0, 50, 30, 0) // after the end, which was taken before anything was assigned
		for end := time.Now().Add(500 * time.Millisecond); a.Expects() <= 50 && time.Now().Before(end); {
			<-time.After(10 * time.Millisecond) // only a fault is decided by this time
		}
		if at := a.Expects(); at > 50 {
			t.Errorf("the next offset is %d: record 50 was taken, which came after the end", at)
		}
		for _, p := range e.proxies {
			p.StallQueue(false)
		}
	})
	if err != nil || !v.Closed || !late {
		t.Fatalf("Migrate = %+v, %v; want closed after more was produced", v, err)
	}
	if p := v.Partitions[0]; p.End != 50 || p.Final != 50 || p.Committed != 50 {
		t.Errorf("verdict = %+v, want 50 of 50 final and committed", p)
	}
	if at := e.committed("orders", 0); at != 50 {
		t.Errorf("committed = %d, want 50", at)
	}
	for v := range e.arrived() {
		for i := 50; i < 80; i++ {
			if strings.TrimRight(v, ".") == payload("orders", 0, i) {
				t.Errorf("record %d was moved, which came after the end", i)
			}
		}
	}
}

// 1. half is final and not committed, as commits fail  2. the partition goes and comes back  3. the next
// assignment moves all of it again, and books it. Each record is booked once.
func TestMigrateBooksOnlyWhatWasCommitted(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	e.produce("orders", 0, 0, 100, 0)
	var over, thrown atomic.Bool
	e.refuseCommitsAbove(0, &over) // where it begins is committed
	b, err := New(e.config("queue"), Deps{Log: testLog(t), KafkaOpts: []kgo.Opt{kgo.FetchMaxWait(50 * time.Millisecond)}})
	if err != nil {
		t.Fatal(err)
	}
	hard, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	go func() { // commits work again once the partition is gone, not sooner: one in between would save the second move
		select {
		case <-b.Ready():
		case <-hard.Done():
			return
		}
		for b.consumer.Counters.Revoked.Load() == 0 && hard.Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
		over.Store(true)
	}()
	v, err := b.Migrate(hard, hard, func(p Progress) {
		if p.Moved < 100 || !thrown.CompareAndSwap(false, true) {
			return
		}
		e.kafka.ControlKey(int16(kmsg.Heartbeat), func(req kmsg.Request) (kmsg.Response, error, bool) {
			resp := req.ResponseKind().(*kmsg.HeartbeatResponse)
			resp.ErrorCode = kerr.UnknownMemberID.Code
			return resp, nil, true
		})
	})
	if err != nil || !v.Closed {
		t.Fatalf("Migrate = %+v, %v; want closed", v, err)
	}
	if got := e.arrived(); duplicates(got) != 100 {
		t.Fatalf("%d duplicates: the partition was not moved twice, so this shows nothing", duplicates(got))
	}
	if p := v.Partitions[0]; p.Final != 100 {
		t.Errorf("verdict = %+v, want each of 100 records booked once", p)
	}
}
