package connector

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"inlong-bridge/connector/internal/source"
	"inlong-bridge/connector/reason"
	"inlong-bridge/connector/resume"
)

// withKafka39 makes brokers that take commits by the topic's name, as those before 4.1 do.
func withKafka39() envOption {
	return func(c *envConfig) { c.kafkaOpts = append(c.kafkaOpts, kfake.MaxVersions(kversion.V3_9_0())) }
}

// bothKafkas runs a test on brokers that take commits by name and on brokers that take them by id.
func bothKafkas(t *testing.T, f func(t *testing.T, opts ...envOption)) {
	t.Run("by name", func(t *testing.T) { t.Parallel(); f(t, withKafka39()) })
	t.Run("by id", func(t *testing.T) { t.Parallel(); f(t) })
}

// createAgain deletes a topic and creates it under the same name.
func (e *env) createAgain(topic string, partitions int32) {
	e.t.Helper()
	e.deleteTopic(topic)
	if _, err := e.adm.CreateTopic(e.t.Context(), partitions, 1, nil, topic); err != nil {
		e.t.Fatal(err)
	}
	e.cl.PurgeTopicsFromClient(topic) // the test's own producer has to find the new one
}

func (e *env) deleteTopic(topic string) {
	e.t.Helper()
	if _, err := e.adm.DeleteTopic(e.t.Context(), topic); err != nil {
		e.t.Fatal(err)
	}
}

func (e *env) ids(topic string) (cluster string, id resume.TopicID) {
	e.t.Helper()
	m, err := e.adm.Metadata(e.t.Context(), topic)
	if err != nil {
		e.t.Fatal(err)
	}
	return m.Cluster, resume.TopicID(m.Topics[topic].ID)
}

// line returns what the group's commit of a partition says of itself.
func (e *env) line(topic string, partition int32) (resume.Line, bool) {
	e.t.Helper()
	os, err := e.adm.FetchOffsets(e.t.Context(), "bridge")
	if err != nil {
		e.t.Fatal(err)
	}
	o, _ := os.Lookup(topic, partition)
	return resume.Parse(o.Metadata)
}

// commitWith commits an offset with metadata for the group from outside.
func (e *env) commitWith(topic string, partition int32, at int64, metadata string) {
	e.t.Helper()
	os := make(kadm.Offsets)
	os.Add(kadm.Offset{Topic: topic, Partition: partition, At: at, LeaderEpoch: -1, Metadata: metadata})
	if err := e.adm.CommitAllOffsets(e.t.Context(), "bridge", os); err != nil {
		e.t.Fatal(err)
	}
}

// lineFor is the line of a commit that moved everything from offset 0 up to at.
func lineFor(cluster string, id resume.TopicID, at int64) string {
	return resume.Line{
		Cluster: cluster, Topic: id, At: time.Now(), Books: resume.Books{Final: at},
		Seen: resume.Sight{Partitions: 1, At: time.Now().Add(-time.Hour)},
	}.String()
}

func (e *env) stallQueues(v bool) {
	for _, p := range e.proxies {
		p.StallQueue(v)
	}
}

func (e *env) produceNew(n int) []string {
	e.t.Helper()
	e.produce("orders", 0, 5000, n, 0) // payloads that the old topic did not have
	var want []string
	for i := range n {
		want = append(want, payload("orders", 0, 5000+i))
	}
	return want
}

// produceNow is produceNew with the time of now in the records.
func (e *env) produceNow(n int) (want []string) {
	e.t.Helper()
	var recs []*kgo.Record
	for i := range n {
		want = append(want, payload("orders", 0, 7000+i))
		recs = append(recs, &kgo.Record{Topic: "orders", Value: []byte(want[i])})
	}
	if err := e.cl.ProduceSync(e.t.Context(), recs...).FirstErr(); err != nil {
		e.t.Fatal(err)
	}
	return want
}

// produceKeyed appends records of which some have a key, and so a route.
func (e *env) produceKeyed(keyed, keyless int) {
	e.t.Helper()
	var recs []*kgo.Record
	for i := range keyed + keyless {
		r := &kgo.Record{Topic: "orders", Value: []byte("v")}
		if i < keyed {
			r.Key = []byte("s")
		}
		recs = append(recs, r)
	}
	if err := e.cl.ProduceSync(e.t.Context(), recs...).FirstErr(); err != nil {
		e.t.Fatal(err)
	}
}

func (e *env) waitArrived(want []string) {
	e.t.Helper()
	eventually(e.t, 20*time.Second, func() error {
		got := e.arrived()
		for _, v := range want {
			if got[v] == 0 {
				return fmt.Errorf("%q did not arrive", v)
			}
		}
		return nil
	})
}

// What the old topic's records were committed at says nothing of the new topic. On brokers before 4.1:
// 1. the topic is created again  2. the bridge, which does not know it yet, commits the old offset by name
// 3. the next bridge begins the new topic there, and everything before is skipped.
func TestTopicCreatedAgainUnderLoadLosesNothing(t *testing.T) {
	for _, n := range []int{3, 300} { // fewer and more records than the old topic had
		bothKafkas(t, func(t *testing.T, opts ...envOption) {
			e := newEnv(t, append(opts, withPartitions(1))...)
			e.produce("orders", 0, 0, 100, 0)
			e.stallQueues(true)
			c := e.config("queue")
			c.Kafka.MetadataMaxAge = 0 // kgo hears of the new topic in minutes
			r := e.start(c)
			r.part("orders", 0, func(p PartitionStatus) bool { return p.Position == 100 })
			r.b.consumer.Group.PauseFetchTopics("orders") // nor does a fetch tell
			<-time.After(300 * time.Millisecond)
			e.createAgain("orders", 1)
			want := e.produceNew(n)
			e.stallQueues(false)
			r.part("orders", 0, func(p PartitionStatus) bool { return p.Final == 100 && p.Stall == string(reason.Recreated) })
			if err := r.drain(); !errors.Is(err, ErrUnfinished) {
				t.Errorf("drain = %v, want unfinished: a partition is stopped", err)
			}
			if at := e.committed("orders", 0); at > 0 {
				t.Errorf("offset %d of the old topic was committed for the new one", at)
			}
			e.start(e.config("queue"))
			e.waitArrived(want)
			e.waitCommitted("orders", 0, int64(n))
		})
	}
}

func TestNothingIsCommittedByNameWhileTheIDIsUnknown(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1), withKafka39())
	e.produce("orders", 0, 0, 10, 0)
	c := e.config("queue")
	c.Kafka.MetadataMaxAge = 0 // only the commits ask
	r := e.start(c)
	e.waitCommitted("orders", 0, 10)
	var over atomic.Bool
	e.kafka.ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if over.Load() {
			return nil, nil, false
		}
		e.kafka.KeepControl()
		in := req.(*kmsg.MetadataRequest)
		if len(in.Topics) != 1 {
			return nil, nil, false
		}
		resp := in.ResponseKind().(*kmsg.MetadataResponse)
		rt := kmsg.NewMetadataResponseTopic()
		rt.Topic, rt.ErrorCode = in.Topics[0].Topic, kerr.TopicAuthorizationFailed.Code
		resp.Topics = append(resp.Topics, rt)
		return resp, nil, true
	})
	e.cl.PurgeTopicsFromClient()
	e.produce("orders", 0, 10, 5, 0)
	r.part("orders", 0, func(p PartitionStatus) bool { return p.Final == 15 })
	<-time.After(300 * time.Millisecond) // several rounds of commits
	if at := e.committed("orders", 0); at != 10 {
		t.Errorf("committed %d by name without knowing the topic, want 10", at)
	}
	over.Store(true)
	e.waitCommitted("orders", 0, 15)
}

func TestOffsetOfADeletedTopicIsRefused(t *testing.T) {
	for _, start := range []string{"earliest", "latest"} {
		t.Run(start, func(t *testing.T) {
			bothKafkas(t, func(t *testing.T, opts ...envOption) {
				e := newEnv(t, append(opts, withPartitions(1))...)
				cluster, old := e.ids("orders")
				e.createAgain("orders", 1)
				want := e.produceNew(50)
				e.commitWith("orders", 0, 20, lineFor(cluster, old, 20))
				c := e.config("queue")
				c.Kafka.Start = start
				r := e.start(c)
				e.waitArrived(want)
				e.waitCommitted("orders", 0, 50)
				if p := r.part("orders", 0, func(p PartitionStatus) bool { return true }); p.RefusedOffset == nil || *p.RefusedOffset != 20 || p.RefusedTopicID != old.String() {
					t.Errorf("status = %+v, want the refused offset 20 of %s", p, old)
				}
				if n := r.b.consumer.Counters.OffsetsRefused.Load(); n != 1 {
					t.Errorf("%d offsets counted as refused, want 1", n)
				}
				_, id := e.ids("orders")
				if l, ok := e.line("orders", 0); !ok || l.Topic != id || l.Books.From != 0 || l.Books.Final != 50 || l.Seen.Began != resume.Start() {
					t.Errorf("line = %+v, %v; want new books of the new topic that began at its start", l, ok)
				}
			})
		})
	}
}

func TestTopicCreatedAgainWhileTheBridgeIsDownLosesNothing(t *testing.T) {
	for _, start := range []string{"earliest", "latest"} {
		t.Run(start, func(t *testing.T) {
			bothKafkas(t, func(t *testing.T, opts ...envOption) {
				e := newEnv(t, append(opts, withPartitions(1))...)
				e.routes = "  - {topics: [orders, others], group: g, stream: s}\n"
				if _, err := e.adm.CreateTopic(t.Context(), 1, 1, nil, "others"); err != nil {
					t.Fatal(err)
				}
				e.produce("orders", 0, 0, 100, 0)
				r := e.start(e.config("queue"))
				e.waitCommitted("orders", 0, 100)
				e.waitCommitted("others", 0, 0) // a start is committed, so the group is known to have lived
				if err := r.drain(); err != nil {
					t.Fatal(err)
				}
				for range 2 { // twice
					e.createAgain("orders", 1)
				}
				want := e.produceNow(30)
				c := e.config("queue")
				c.Kafka.Start = start
				e.start(c)
				e.waitArrived(want)
				e.waitCommitted("orders", 0, 30)
			})
		})
	}
}

// A member that held the old topic's id takes the partition over.
func TestMemberThatTakesOverBeginsTheNewTopicAtItsStart(t *testing.T) {
	bothKafkas(t, func(t *testing.T, opts ...envOption) {
		e := newEnv(t, append(opts, withPartitions(1))...)
		e.produce("orders", 0, 0, 100, 0)
		first := e.start(e.config("queue"))
		first.part("orders", 0, func(p PartitionStatus) bool { return p.Committed == 100 })
		second := e.start(e.config("queue"))
		<-time.After(500 * time.Millisecond) // it joins, with the id of the old topic
		holder, other := first, second
		if len(second.b.table.Assigned()) > 0 {
			holder, other = second, first
		}
		e.createAgain("orders", 1)
		want := e.produceNew(40)
		holder.part("orders", 0, func(p PartitionStatus) bool {
			return p.Stall == string(reason.Recreated) || p.Stall == string(reason.Deleted)
		})
		_ = holder.drain()
		e.waitArrived(want)
		e.waitCommitted("orders", 0, 40)
		if p := other.part("orders", 0, func(p PartitionStatus) bool { return p.Final == 40 }); p.Stopped {
			t.Errorf("the partition is stopped: %+v", p)
		}
	})
}

// f91c421 left kgo's member id in the metadata of its commits.
func TestUpgradeFromCommitsWithoutALineSendsNothingTwice(t *testing.T) {
	bothKafkas(t, func(t *testing.T, opts ...envOption) {
		e := newEnv(t, opts...)
		e.produce("orders", 0, 0, 50, 0)
		e.produce("orders", 1, 0, 50, 0)
		e.commitWith("orders", 0, 30, "kgo-2f1c0a9e")
		e.commitWith("orders", 1, 50, "kgo-2f1c0a9e") // idle: nothing will ever move there
		e.start(e.config("queue"))
		e.waitCommitted("orders", 0, 50)
		eventually(t, 10*time.Second, func() error {
			for num, at := range map[int32]int64{0: 30, 1: 50} {
				if l, ok := e.line("orders", num); !ok || l.Books.From != at || l.Books.Unproven != at || l.Seen.Began != resume.Start() || l.Seen.Partitions != 2 {
					return fmt.Errorf("line of %d = %+v, %v; want books from %d with as many unproven", num, l, ok, at)
				}
			}
			return nil
		})
		if got := e.arrived(); len(got) != 20 || duplicates(got) != 0 {
			t.Errorf("%d records arrived, want the 20 that were not committed", len(got))
		}
	})
}

// MirrorMaker copies the metadata of the commits it carries over.
func TestMirroredCommitIsBelievedInItsNewCluster(t *testing.T) {
	bothKafkas(t, func(t *testing.T, opts ...envOption) {
		e := newEnv(t, append(opts, withPartitions(1))...)
		e.produce("orders", 0, 0, 50, 0)
		e.commitWith("orders", 0, 20, lineFor("the-other-cluster", resume.TopicID{7}, 90))
		r := e.start(e.config("queue"))
		e.waitCommitted("orders", 0, 50)
		cluster, id := e.ids("orders")
		if l, ok := e.line("orders", 0); !ok || l.Cluster != cluster || l.Topic != id || l.Books.From != 20 || l.Books.Final != 30 {
			t.Errorf("line = %+v, %v; want books of this cluster from 20", l, ok)
		}
		if p := r.part("orders", 0, func(PartitionStatus) bool { return true }); p.Start != 20 || p.RefusedOffset != nil {
			t.Errorf("begins at %d, refused %v; want 20 and nothing refused", p.Start, p.RefusedOffset)
		}
	})
}

func TestBrokerThatRefusesTheLineTakesTheOffset(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	e.kafka.ControlKey(int16(kmsg.OffsetCommit), func(req kmsg.Request) (kmsg.Response, error, bool) {
		e.kafka.KeepControl()
		in := req.(*kmsg.OffsetCommitRequest)
		resp := in.ResponseKind().(*kmsg.OffsetCommitResponse)
		refused := false
		for _, t := range in.Topics {
			rt := kmsg.NewOffsetCommitResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewOffsetCommitResponseTopicPartition()
				rp.Partition = p.Partition
				if p.Metadata != nil && len(*p.Metadata) > 10 {
					rp.ErrorCode, refused = kerr.OffsetMetadataTooLarge.Code, true
				}
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, refused
	})
	e.produce("orders", 0, 0, 10, 0)
	r := e.start(e.config("queue"))
	e.waitCommitted("orders", 0, 10)
	if _, ok := e.line("orders", 0); ok {
		t.Error("the broker took a line that it refuses")
	}
	e.produce("orders", 0, 10, 5, 0)
	e.waitCommitted("orders", 0, 15)
	if err := r.drain(); err != nil {
		t.Error(err)
	}
}

// The sums of a line are those up to exactly its offset, whoever moved what.
func TestBooksGoOnAcrossRestarts(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	e.routes = "  - {topics: [orders], group: g, stream: '{key}', unmatched: skip}\n"
	at := int64(0)
	for range 3 {
		e.produceKeyed(10, 3)
		at += 13
		r := e.start(e.config("queue"))
		e.waitCommitted("orders", 0, at)
		if err := r.drain(); err != nil {
			t.Fatal(err)
		}
		l, ok := e.line("orders", 0)
		if !ok || l.Books.From != 0 || !l.Books.Close(at) || l.Books.Skipped*10 != l.Books.Final*3 {
			t.Fatalf("line = %+v, %v; want books that close at %d with 10 final for 3 skipped", l, ok, at)
		}
	}
}

func TestMigrationLeavesATopicThatWasCreatedAgainOpen(t *testing.T) {
	bothKafkas(t, func(t *testing.T, opts ...envOption) {
		e := newEnv(t, append(opts, withPartitions(1))...)
		cluster, old := e.ids("orders")
		e.createAgain("orders", 1)
		e.produceNew(50)
		e.commitWith("orders", 0, 20, lineFor(cluster, old, 20))
		for range 2 { // also after a restart
			v, _, err := e.migrate(t.Context(), "queue")
			if err != nil || v.Result != Unfinished || !strings.Contains(v.Partitions[0].Reason, old.String()) {
				t.Errorf("Migrate = %+v, %v; want open, naming the id of the deleted topic", v, err)
			}
		}
		if got := e.arrived(); len(got) != 0 {
			t.Errorf("%d records of the new topic were moved", len(got))
		}
		if at := e.committed("orders", 0); at != 20 {
			t.Errorf("committed %d, want the 20 of before", at)
		}
	})
}

// 1. the bridge asks for a topic's id  2. the topic is created again  3. the bridge lists offsets, which are the new
// topic's, and would take them for the old one's.
func TestTopicCreatedWhileItsOffsetsAreListedIsAskedForAgain(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	e.produce("orders", 0, 0, 10, 0)
	b, err := New(e.config("queue"), Deps{Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	opts, err := b.clientOpts()
	if err != nil {
		t.Fatal(err)
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	src := source.New(source.Config{Client: cl, Group: "bridge", FoundRunning: func(string) bool { return false }})
	asked, again := make(chan struct{}), make(chan struct{})
	var once sync.Once
	e.kafka.ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
		e.kafka.SleepControl(func() { once.Do(func() { close(asked) }); <-again })
		return nil, nil, false
	})
	go func() {
		<-asked
		e.createAgain("orders", 1)
		close(again)
	}()
	if s, err := src.Survey(t.Context(), map[string][]int32{"orders": {0}}); err == nil {
		t.Errorf("survey = %+v; want an error: the topic was created while its offsets were listed", s)
	}
	if _, err := src.Survey(t.Context(), map[string][]int32{"orders": {0}}); err != nil {
		t.Errorf("asked again: %v", err)
	}
}

func TestBrokersWithoutTopicIDsAreNamedUnprotected(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1), func(c *envConfig) { c.kafkaOpts = append(c.kafkaOpts, kfake.MaxVersions(kversion.V2_7_0())) })
	e.produce("orders", 0, 0, 10, 0)
	var log strings.Builder
	var mu sync.Mutex
	r := e.startLogging(e.config("queue"), slog.New(slog.NewTextHandler(lockedWriter{&mu, &log}, nil)))
	e.waitCommitted("orders", 0, 10)
	if err := r.drain(); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if n := strings.Count(log.String(), "no topic ids"); n != 1 {
		t.Errorf("the log names brokers without topic ids %d times, want once", n)
	}
	if l, ok := e.line("orders", 0); !ok || l.Topic != (resume.TopicID{}) || !l.Books.Close(10) {
		t.Errorf("line = %+v, %v; want books without a topic id", l, ok)
	}
}

type lockedWriter struct {
	mu *sync.Mutex
	w  *strings.Builder
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.w.Write(p)
}

// 1. a partition is assigned  2. the broker does not know the topic by the id that the client holds  3. kgo drops the
// partition from its session, which goes on. It must not stay unread.
func TestPartitionThatTheClientDropsFromItsSessionIsRead(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	e.produce("orders", 0, 0, 10, 0)
	var asked atomic.Int32
	e.kafka.ControlKey(int16(kmsg.OffsetFetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		in := req.(*kmsg.OffsetFetchRequest)
		e.kafka.KeepControl()
		if len(in.Groups) != 1 || len(in.Groups[0].Topics) != 1 || asked.Add(1) > 4 { // kgo asks four times
			return nil, nil, false
		}
		resp := in.ResponseKind().(*kmsg.OffsetFetchResponse)
		g := kmsg.NewOffsetFetchResponseGroup()
		g.Group = in.Groups[0].Group
		rt := kmsg.NewOffsetFetchResponseGroupTopic()
		rt.Topic, rt.TopicID = in.Groups[0].Topics[0].Topic, in.Groups[0].Topics[0].TopicID
		rp := kmsg.NewOffsetFetchResponseGroupTopicPartition()
		rp.ErrorCode = kerr.UnknownTopicID.Code
		rt.Partitions = append(rt.Partitions, rp)
		g.Topics = append(g.Topics, rt)
		resp.Groups = append(resp.Groups, g)
		return resp, nil, true
	})
	e.start(e.config("queue"))
	e.waitCommitted("orders", 0, 10)
	if n := asked.Load(); n <= 4 {
		t.Errorf("the offset was asked for %d times: the partition was never dropped, so this shows nothing", n)
	}
}
