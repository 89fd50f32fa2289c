package connector

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/resume"
)

func (e *env) latest() *config.Config {
	e.t.Helper()
	c := e.config("queue")
	c.Kafka.Start = "latest"
	return c
}

func (e *env) addPartitions(topic string, to int) {
	e.t.Helper()
	if _, err := e.adm.UpdatePartitions(e.t.Context(), to, topic); err != nil {
		e.t.Fatal(err)
	}
	e.cl.PurgeTopicsFromClient(topic) // the test's own producer has to find the new ones
}

func (e *env) createTopic(topic string) {
	e.t.Helper()
	if _, err := e.adm.CreateTopic(e.t.Context(), 1, 1, nil, topic); err != nil {
		e.t.Fatal(err)
	}
}

// all returns the payloads [0, n) of a partition.
func all(topic string, partition int32, n int) (want []string) {
	for i := range n {
		want = append(want, payload(topic, partition, i))
	}
	return want
}

func TestPartitionAddedWhileNoBridgeRunsBeginsAtItsStart(t *testing.T) {
	bothKafkas(t, func(t *testing.T, opts ...envOption) {
		e := newEnv(t, append(opts, withPartitions(1))...)
		e.produce("orders", 0, 0, 10, 0)
		r := e.start(e.latest())
		e.waitCommitted("orders", 0, 10)
		if err := r.drain(); err != nil {
			t.Fatal(err)
		}
		e.addPartitions("orders", 2)
		e.produce("orders", 1, 0, 25, 0)
		e.start(e.latest())
		e.waitArrived(all("orders", 1, 25))
		if got := e.arrived(); len(got) != 25 {
			t.Errorf("%d records arrived, want the 25 of the new partition", len(got))
		}
		if l, ok := e.line("orders", 1); !ok || l.Seen.Partitions != 1 || l.Books.Passed != 0 {
			t.Errorf("line = %+v, %v; want the sight of the topic's one partition handed on", l, ok)
		}
	})
}

func TestPartitionAddedBeforeALaterMemberStartedBeginsAtItsStart(t *testing.T) {
	bothKafkas(t, func(t *testing.T, opts ...envOption) {
		e := newEnv(t, append(opts, withPartitions(1))...)
		e.produce("orders", 0, 0, 10, 0)
		e.start(e.latest())
		e.waitCommitted("orders", 0, 10)
		e.addPartitions("orders", 3)
		e.produce("orders", 1, 0, 25, 0)
		e.produce("orders", 2, 0, 25, 0)
		e.start(e.latest())
		e.waitArrived(append(all("orders", 1, 25), all("orders", 2, 25)...))
	})
}

// A second replica finds commits of the first one and must not take the topic's long history for new records.
func TestReplicasThatStartTogetherAtLatestSendNoHistory(t *testing.T) {
	bothKafkas(t, func(t *testing.T, opts ...envOption) {
		e := newEnv(t, append(opts, withPartitions(3))...)
		e.routes = "  - {topics: [orders, others], group: g, stream: s}\n"
		e.createTopic("others")
		for num := range int32(3) {
			e.produce("orders", num, 0, 200, 0)
		}
		e.produce("others", 0, 0, 200, 0)
		var rs []*running
		for range 3 {
			rs = append(rs, e.start(e.latest()))
		}
		for num := range int32(3) {
			e.waitCommitted("orders", num, 200)
		}
		e.waitCommitted("others", 0, 200)
		for num := range int32(3) {
			e.produce("orders", num, 200, 5, 0)
			e.waitCommitted("orders", num, 205)
		}
		if got := e.arrived(); len(got) != 15 {
			t.Errorf("%d records arrived, want the 15 that came after the start", len(got))
		}
		for _, r := range rs {
			if err := r.drain(); err != nil {
				t.Error(err)
			}
		}
	})
}

// 1. three replicas start  2. one dies before it committed where its partitions begin  3. another one gets them and
// finds the topic with commits of two partitions of three.
func TestReplicaKilledBeforeItsFirstCommitLeavesNoHistoryToSend(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(3))
	cluster, id := e.ids("orders")
	for num := range int32(3) {
		e.produce("orders", num, 0, 100, 0)
	}
	line := resume.Line{
		Cluster: cluster, Topic: id, At: time.Now(), Books: resume.Books{From: 100, Passed: 100},
		Seen: resume.Sight{Partitions: 3, At: time.Now().Add(-20 * time.Second), Began: resume.Latest()},
	}.String()
	e.commitWith("orders", 0, 100, line)
	e.commitWith("orders", 2, 100, line)
	r := e.start(e.latest())
	e.waitCommitted("orders", 1, 100)
	e.produce("orders", 1, 100, 5, 0)
	e.waitCommitted("orders", 1, 105)
	if got := e.arrived(); len(got) != 5 {
		t.Errorf("%d records arrived, want the 5 new ones", len(got))
	}
	if n := r.b.consumer.Counters.PassedOver.Load(); n != 100 {
		t.Errorf("%d offsets counted as passed over, want 100", n)
	}
}

// Long after the first sight a missing commit is no start of the group: what was there may not have been sent.
func TestPartitionWhoseCommitIsMissingBeginsAtItsStart(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	cluster, id := e.ids("orders")
	e.produce("orders", 1, 0, 20, 0)
	e.commitWith("orders", 0, 0, resume.Line{
		Cluster: cluster, Topic: id, At: time.Now(),
		Seen: resume.Sight{Partitions: 2, At: time.Now().Add(-time.Hour), Began: resume.Latest()},
	}.String())
	e.start(e.latest())
	e.waitArrived(all("orders", 1, 20))
}

func TestTopicCreatedWhileNoBridgeRunsIsReadSinceTheGroupWasAlive(t *testing.T) {
	bothKafkas(t, func(t *testing.T, opts ...envOption) {
		e := newEnv(t, append(opts, withPartitions(1))...)
		e.routes = "  - {topics: ['orders', 'late.*'], group: g, stream: s}\n"
		e.produce("orders", 0, 0, 10, 0)
		r := e.start(e.latest())
		e.waitCommitted("orders", 0, 10)
		if err := r.drain(); err != nil {
			t.Fatal(err)
		}
		e.createTopic("late1")
		old := &kgo.Record{Topic: "late1", Value: []byte("of before"), Timestamp: time.Now().Add(-time.Hour)}
		young := &kgo.Record{Topic: "late1", Value: []byte("of the absence")}
		if err := e.cl.ProduceSync(t.Context(), old, young).FirstErr(); err != nil {
			t.Fatal(err)
		}
		e.start(e.latest())
		e.waitArrived([]string{"of the absence"})
		if got := e.arrived(); len(got) != 1 {
			t.Errorf("arrived: %v, want what is not older than the group's last commit", got)
		}
	})
}

// A topic appears while a bridge runs; another bridge that starts after it gets the topic.
func TestTopicThatAppearedBeforeALaterMemberStartedIsReadFromItsStart(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	e.routes = "  - {topics: ['orders', 'late.*'], group: g, stream: s}\n"
	e.produce("orders", 0, 0, 10, 0)
	c := e.latest()
	c.Kafka.MetadataMaxAge = 0 // it does not look for topics meanwhile
	e.start(c)
	e.waitCommitted("orders", 0, 10)
	e.createTopic("late1")
	if err := e.cl.ProduceSync(t.Context(), kgo.StringRecord("early"), kgo.StringRecord("bird")).FirstErr(); err == nil {
		t.Fatal("records without a topic were taken")
	}
	var recs []*kgo.Record
	for _, v := range []string{"early", "bird"} {
		recs = append(recs, &kgo.Record{Topic: "late1", Value: []byte(v)})
	}
	if err := e.cl.ProduceSync(t.Context(), recs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	e.start(e.latest())
	e.waitArrived([]string{"early", "bird"})
}

// The position is chosen by the log's end. Records that come before it is committed would be skipped by the next
// start, so none is fetched before.
func TestStartIsCommittedBeforeTheFirstFetch(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	_, id := e.ids("orders")
	var refused, early atomic.Int32
	e.kafka.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if refused.Load() == 3 {
			return nil, nil, false
		}
		e.kafka.KeepControl()
		refused.Add(1)
		in := req.(*kmsg.OffsetCommitRequest)
		resp := in.ResponseKind().(*kmsg.OffsetCommitResponse)
		for _, t := range in.Topics {
			rt := kmsg.NewOffsetCommitResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewOffsetCommitResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, kerr.RebalanceInProgress.Code
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
	e.kafka.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		e.kafka.KeepControl()
		for _, topic := range req.(*kmsg.FetchRequest).Topics {
			if topic.TopicID == id && refused.Load() < 3 {
				early.Add(1)
			}
		}
		return nil, nil, false
	})
	e.produce("orders", 0, 0, 10, 0)
	e.start(e.config("queue"))
	e.waitCommitted("orders", 0, 10)
	if n := early.Load(); n > 0 {
		t.Errorf("%d fetches before the start was committed", n)
	}
}

// A broker that leaves a partition out of its answer has not said that nothing is as new.
func TestTimeStartWhoseAnswerLeavesAPartitionOutSkipsNothing(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	e.produce("orders", 0, 0, 10, 0)
	var asked atomic.Int32
	e.kafka.ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
		in := req.(*kmsg.ListOffsetsRequest)
		if asked.Load() >= 2 {
			return nil, nil, false
		}
		e.kafka.KeepControl()
		if in.Topics[0].Partitions[0].Timestamp < 0 {
			return nil, nil, false
		}
		asked.Add(1)
		return in.ResponseKind(), nil, true
	})
	c := e.config("queue")
	c.Kafka.Start, c.Kafka.StartTime = "timestamp", time.Unix(1_700_000_004, 0)
	e.start(c)
	e.waitArrived(all("orders", 0, 10)[4:])
	if asked.Load() != 2 {
		t.Errorf("the broker was asked %d times for the time, want that it left the partition out twice", asked.Load())
	}
}
