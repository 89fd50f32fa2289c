package connector

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
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

// A coordinator appends what one request commits as one batch, which may be too large for the topic of the offsets.
func TestCommitOfManyPartitionsIsDividedAmongRequests(t *testing.T) {
	t.Parallel()
	const partitions, most = 1200, 500
	e := newEnv(t, withPartitions(partitions))
	e.kafka.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		e.kafka.KeepControl()
		in := req.(*kmsg.OffsetCommitRequest)
		resp := in.ResponseKind().(*kmsg.OffsetCommitResponse)
		n := 0
		for _, t := range in.Topics {
			n += len(t.Partitions)
			rt := kmsg.NewOffsetCommitResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewOffsetCommitResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, kerr.UnknownServerError.Code
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, n > most // the broker takes the others
	})
	for _, p := range []int32{0, partitions - 1} {
		e.produce("orders", p, 0, 10, 0)
	}
	e.start(e.config("queue"))
	eventually(t, 20*time.Second, func() error {
		if first, last := e.committed("orders", 0), e.committed("orders", partitions-1); first != 10 || last != 10 {
			return fmt.Errorf("the first partition is committed at %d and the last at %d, want 10", first, last)
		}
		return nil
	})
	if n := e.committed("orders", partitions/2); n != 0 {
		t.Errorf("a partition without records is committed at %d, want 0, where it begins", n)
	}
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
