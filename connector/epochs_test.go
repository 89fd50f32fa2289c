package connector

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// commitAt commits an offset with a leader epoch for the group from outside, as another tool would.
func (e *env) commitAt(topic string, partition int32, at int64, epoch int32) {
	e.t.Helper()
	os := make(kadm.Offsets)
	os.Add(kadm.Offset{Topic: topic, Partition: partition, At: at, LeaderEpoch: epoch})
	if err := e.adm.CommitAllOffsets(e.t.Context(), "bridge", os); err != nil {
		e.t.Fatal(err)
	}
}

// endsEpochs answers every question for the end of an epoch.
func (e *env) endsEpochs(epoch int32, end int64) {
	e.kafka.ControlKey(int16(kmsg.OffsetForLeaderEpoch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		e.kafka.KeepControl()
		in := req.(*kmsg.OffsetForLeaderEpochRequest)
		resp := in.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
		for _, t := range in.Topics {
			rt := kmsg.NewOffsetForLeaderEpochResponseTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
				rp.Partition, rp.LeaderEpoch, rp.EndOffset = p.Partition, epoch, end
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
}

// 1. offset 60 is committed  2. the log is cut off at 20  3. it grows to 100  4. the partition is assigned: offset 60 lies in
// the log, and what is from 20 to 59 now was never delivered.
func TestCommitOfALogThatWasCutOffAndHasGrownIsTruncation(t *testing.T) {
	for name, cut := range map[string]func(e *env){
		"the log has the epoch up to 20":  func(e *env) { e.commitAt("orders", 0, 60, 0); e.endsEpochs(0, 20) },
		"the log does not have the epoch": func(e *env) { e.commitAt("orders", 0, 60, 7) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, withPartitions(1))
			e.produce("orders", 0, 0, 100, 0)
			cut(e)
			r := e.start(e.config("queue"))
			p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Stopped })
			if p.Stall != "truncated" || !strings.Contains(p.Reason, "offset 60") {
				t.Errorf("stopped as %s: %q, want truncated, naming the offset", p.Stall, p.Reason)
			}
			e.produce("orders", 0, 100, 20, 0)
			<-time.After(600 * time.Millisecond) // several looks at the topics
			r.part("orders", 0, func(p PartitionStatus) bool { return p.Stopped && p.Stall == "truncated" })
			_ = r.drain()
			if got := e.arrived(); len(got) != 0 {
				t.Errorf("%d records arrived behind the cut", len(got))
			}
		})
	}
}

// A leader moved, and nothing was written since: the offset's epoch is older than the leader's, and the log is whole.
func TestCommitOfAnOlderEpochIsBelieved(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1), withBrokers(2))
	e.produce("orders", 0, 0, 100, 0)
	e.commitAt("orders", 0, 60, 0)
	if err := e.kafka.MoveTopicPartition("orders", 0, 1-e.kafka.LeaderFor("orders", 0)); err != nil {
		t.Fatal(err)
	}
	e.start(e.config("queue"))
	e.waitCommitted("orders", 0, 100)
	if got := e.arrived(); len(got) != 40 {
		t.Errorf("%d records arrived, want the 40 after the commit", len(got))
	}
}

func TestCommitWithoutAnEpochIsNamed(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault *kerr.Error
		epoch int32
		want  int
	}{
		{"none", nil, -1, 1},
		{"one that the brokers may not be asked for", kerr.ClusterAuthorizationFailed, 0, 1},
		{"one", nil, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, withPartitions(2))
			e.produce("orders", 0, 0, 50, 0)
			e.commitAt("orders", 0, 30, c.epoch)
			e.commitAt("orders", 1, 0, -1) // there is no record before it
			if c.fault != nil {
				e.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetForLeaderEpoch}, Topic: "orders", Err: c.fault, Count: -1})
			}
			var log strings.Builder
			var mu sync.Mutex
			e.startLogging(e.config("queue"), slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, nil)))
			e.waitCommitted("orders", 0, 50)
			mu.Lock()
			defer mu.Unlock()
			if want := fmt.Sprintf("offsets_without_epoch=%d", c.want); strings.Count(log.String(), want) != 1 {
				t.Errorf("the log does not say %s once:\n%s", want, log.String())
			}
		})
	}
}

// 1. kgo fetches at 50, and the log ends at 20: out of range  2. the log grows past 50  3. the bridge lists its end.
func TestPositionOutOfRangeInALogThatHasGrownIsTruncation(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	e.produce("orders", 0, 0, 50, 0)
	r := e.start(e.config("queue"))
	e.waitCommitted("orders", 0, 50)
	e.endsEpochs(0, 20)
	e.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Topic: "orders", Err: kerr.OffsetOutOfRange})
	e.produce("orders", 0, 50, 20, 0)
	if p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Stopped }); p.Stall != "truncated" {
		t.Errorf("stopped as %s: %q, want truncated", p.Stall, p.Reason)
	}
	if err := r.drain(); !errors.Is(err, ErrUnfinished) {
		t.Errorf("drain = %v, want unfinished", err)
	}
}

// What one leader does not find, or may not tell, is no answer for the other partitions of the assignment.
func TestLeaderThatDoesNotFindOnePartitionHoldsUpNoOther(t *testing.T) {
	for _, kind := range []*kerr.Error{kerr.UnknownTopicOrPartition, kerr.TopicAuthorizationFailed} {
		t.Run(kind.Message, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, withPartitions(2))
			for num := range int32(2) {
				e.produce("orders", num, 0, 50, 0)
				e.commitAt("orders", num, 30, 0)
			}
			lags := e.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetForLeaderEpoch}, Topic: "orders", Partitions: []int32{0}, Err: kind, Count: -1})
			if kind == kerr.TopicAuthorizationFailed { // of a topic, not of a partition
				lags.Remove()
				lags = e.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetForLeaderEpoch}, Topic: "orders", Err: kind, Count: -1})
			}
			r := e.start(e.config("queue"))
			r.part("orders", 0, func(p PartitionStatus) bool { return p.Stall == "fault" && !p.Stopped })
			if kind == kerr.UnknownTopicOrPartition {
				e.waitCommitted("orders", 1, 50)
			}
			lags.Remove()
			e.waitCommitted("orders", 0, 50)
			e.waitCommitted("orders", 1, 50)
			if got := e.arrived(); len(got) != 40 {
				t.Errorf("%d records arrived, want the 40 after the commits", len(got))
			}
		})
	}
}
