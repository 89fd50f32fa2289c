package connector

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/internal/part"
)

// A commit whose answer says nothing of a partition may not have been taken: it is sent again until it is.
func TestCommitAnswerThatLeavesAPartitionOutIsNoCommit(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	var left atomic.Int32
	e.kafka.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		e.kafka.KeepControl()
		in := req.(*kmsg.OffsetCommitRequest)
		if in.Topics[0].Partitions[0].Offset < 10 || left.Add(1) > 1 {
			return nil, nil, false
		}
		return in.ResponseKind(), nil, true // of no partition
	})
	e.produce("orders", 0, 0, 10, 0)
	e.start(e.config("queue"))
	eventually(t, 5*time.Second, func() error {
		if left.Load() == 0 || e.committed("orders", 0) != 10 {
			return errors.New("the commit was not sent again")
		}
		return nil
	})
}

// 1. a commit is on its way  2. the group's membership is gone, and with it the partition. It is let go only when
// the commit has ended: one that comes later would rewind the next owner's.
func TestPartitionIsLetGoOnlyAfterTheCommitOnItsWay(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	c := e.config("queue")
	c.Kafka.CommitTimeout = time.Minute
	r := e.start(c)
	r.part("orders", 0, func(PartitionStatus) bool { return true })
	p := r.b.table.Lookup(part.ID{Topic: "orders", Num: 0})
	release := r.b.consumer.Committer.Hold() // a commit is on its way
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		r.b.consumer.LoseMembership(map[string][]int32{"orders": {0}})
	}()
	select {
	case <-gone:
		t.Error("the partition was let go while a commit was on its way")
	case <-time.After(100 * time.Millisecond): // only a fault is decided by this time
		if p.Checkpoint().Revoked() {
			t.Error("the assignment ended while a commit was on its way")
		}
	}
	release()
	<-gone
	if !p.Checkpoint().Revoked() {
		t.Error("the assignment goes on after the commit has ended")
	}
}
