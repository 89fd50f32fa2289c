package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
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
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/confirm/confirmtest"
	"inlong-bridge/connector/confirm/kafka"
	"inlong-bridge/sdk/dptest/leaktest"
)

// sink remembers what it was told.
type sink struct {
	mu     sync.Mutex
	seen   map[uint64]int
	health []bool
	told   chan struct{}

	repairs atomic.Int64 // packs sent again that were not seen
}

func newSink() *sink { return &sink{seen: map[uint64]int{}, told: make(chan struct{}, 1)} }

func (s *sink) Seen(seqs []uint64) {
	s.mu.Lock()
	for _, q := range seqs {
		s.seen[q]++
	}
	s.mu.Unlock()
	s.wake()
}

func (s *sink) TopicMissing(string, string, bool) {}

func (s *sink) RepairsUnseen() int { return int(s.repairs.Load()) }

func (s *sink) QueueAnswers(ok bool) {
	s.mu.Lock()
	s.health = append(s.health, ok)
	s.mu.Unlock()
	s.wake()
}

func (s *sink) wake() {
	select {
	case s.told <- struct{}{}:
	default:
	}
}

func (s *sink) has(seq uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[seq] > 0
}

func (s *sink) all() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []uint64
	for q := range s.seen {
		out = append(out, q)
	}
	slices.Sort(out)
	return out
}

func (s *sink) answers() []bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.health)
}

// answersNow is what it was told last.
func (s *sink) answersNow() bool {
	a := s.answers()
	return len(a) > 0 && a[len(a)-1]
}

func (s *sink) waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !cond() {
		select {
		case <-s.told:
		case <-deadline:
			t.Fatalf("gave up waiting: %s; health told: %v", what, s.answers())
		}
	}
}

// queue is one or several clusters, a reader of them, and somebody who writes.
type queue struct {
	t        *testing.T
	clusters []*kfake.Cluster
	writers  []*kgo.Client
	admins   []*kadm.Client
	reader   *kafka.Reader
	sink     *sink
	stop     context.CancelFunc
	done     chan error
}

const topicName = "g.s"

func newQueue(t *testing.T, clusters int, opts ...kfake.Opt) *queue {
	t.Helper()
	return newQueueTimeout(t, 20*time.Second, clusters, opts...)
}

// newQueueTimeout makes a reader that calls a cluster silent after timeout.
func newQueueTimeout(t *testing.T, timeout time.Duration, clusters int, opts ...kfake.Opt) *queue {
	t.Helper()
	leaktest.Check(t)
	q := &queue{t: t, sink: newSink(), done: make(chan error, 1)}
	cfg := kafka.Config{Instance: confirmtest.Instance, Timeout: timeout, Unfold: 1 << 20}
	for i := range clusters {
		c, w := embedded(t, append([]kfake.Opt{kfake.NumBrokers(2)}, opts...)...)
		q.clusters, q.writers, q.admins = append(q.clusters, c), append(q.writers, w), append(q.admins, kadm.NewClient(w))
		cfg.Clusters = append(cfg.Clusters, kafka.Cluster{
			Name: fmt.Sprintf("q%d", i), Opts: []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}, Topic: "{group}.{stream}",
		})
	}
	r, err := kafka.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	q.reader = r
	return q
}

func (q *queue) run() {
	var ctx context.Context
	ctx, q.stop = context.WithCancel(q.t.Context())
	go func() { q.done <- q.reader.Run(ctx, q.sink) }()
	q.t.Cleanup(func() {
		q.stop()
		if err := <-q.done; err != nil {
			q.t.Errorf("Run: %v", err)
		}
	})
}

func (q *queue) watch() {
	q.t.Helper()
	if err := q.reader.Watch(q.t.Context(), "g", "s"); err != nil {
		q.t.Fatal(err)
	}
}

func (q *queue) barrier() {
	q.t.Helper()
	ctx, cancel := context.WithTimeout(q.t.Context(), 20*time.Second)
	defer cancel()
	if err := q.reader.Barrier(ctx); err != nil {
		q.t.Fatalf("%v\nstatus %+v", err, q.reader.Status())
	}
}

func (q *queue) create(cluster int, partitions int32) {
	q.t.Helper()
	if _, err := q.admins[cluster].CreateTopic(q.t.Context(), partitions, 1, nil, topicName); err != nil {
		q.t.Fatal(err)
	}
}

func (q *queue) put(cluster int, partition int32, values ...[]byte) {
	q.t.Helper()
	var recs []*kgo.Record
	for _, v := range values {
		recs = append(recs, &kgo.Record{Topic: topicName, Partition: partition, Value: v})
	}
	if err := q.writers[cluster].ProduceSync(q.t.Context(), recs...).FirstErr(); err != nil {
		q.t.Fatal(err)
	}
}

func (q *queue) packs(from, to uint64) (out [][]byte) {
	for s := from; s < to; s++ {
		out = append(out, confirmtest.Pack(confirmtest.Instance, s))
	}
	return out
}

func (q *queue) wantSeen(want ...uint64) {
	q.t.Helper()
	if got := q.sink.all(); !slices.Equal(got, want) {
		q.t.Errorf("seen %v, want %v", got, want)
	}
}

func upTo(from, to uint64) (out []uint64) {
	for ; from < to; from++ {
		out = append(out, from)
	}
	return out
}

func TestSeesExactlyItsOwnPacks(t *testing.T) {
	q := newQueue(t, 2)
	for i := range 2 {
		q.create(i, 3)
		q.put(i, 1, q.packs(900, 903)...) // before anybody watched
	}
	q.run()
	q.watch()
	q.put(0, 0, q.packs(0, 3)...)
	q.put(0, 2, confirmtest.Pack("somebody else", 3), []byte("no InLongMsg"), confirmtest.Value("groupId=g"))
	q.put(1, 1, q.packs(3, 6)...)
	q.barrier()
	q.wantSeen(upTo(0, 6)...)
	s := q.reader.Status()
	a, b := s.Clusters[0], s.Clusters[1]
	if !s.Answers || a.Mine != 3 || a.Foreign != 2 || a.Unreadable != 1 || a.Messages != 6 || b.Mine != 3 || b.Messages != 3 ||
		a.Partitions != 3 || a.Lag != 0 || a.Missed != 0 || a.LastBarrier <= 0 {
		t.Errorf("status %+v", s)
	}
}

func TestTopicOfAStreamMayBeGivenAndMayChange(t *testing.T) {
	leaktest.Check(t)
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "old", "new"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	var topic atomic.Value
	topic.Store("")
	r, err := kafka.New(kafka.Config{
		Instance: confirmtest.Instance, Timeout: 20 * time.Second,
		Clusters: []kafka.Cluster{{Name: "q", Opts: []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}}},
		TopicOf: func(_ context.Context, group, stream string) (string, error) {
			if name := topic.Load().(string); name != "" && group == "g" && stream == "s" {
				return name, nil
			}
			return "", errors.New("nobody knows this stream")
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	q := &queue{t: t, sink: newSink(), reader: r, done: make(chan error, 1)}
	q.run()
	if err := r.Watch(t.Context(), "g", "s"); err == nil || !strings.Contains(err.Error(), "nobody knows") {
		t.Fatalf("Watch = %v, want the reason", err)
	}
	w, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	put := func(topic string, packs [][]byte) {
		for _, p := range packs {
			if err := w.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: p}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	topic.Store("old")
	q.watch()
	put("old", q.packs(0, 2))
	topic.Store("new")
	q.watch()
	put("old", q.packs(2, 4)) // by a proxy that does not know yet
	put("new", q.packs(4, 6))
	q.barrier()
	q.wantSeen(upTo(0, 6)...)
}

func TestTwoStreamsMayShareATopic(t *testing.T) {
	q := newQueue(t, 1)
	q.create(0, 1)
	q.run()
	q.watch()
	q.put(0, 0, q.packs(0, 3)...)
	q.watch()
	q.barrier()
	q.wantSeen(upTo(0, 3)...)
}

func TestPartitionAddedLaterIsReadFromItsBeginning(t *testing.T) {
	q := newQueue(t, 1)
	q.create(0, 1)
	q.run()
	q.watch()
	if _, err := q.admins[0].UpdatePartitions(t.Context(), 3, topicName); err != nil {
		t.Fatal(err)
	}
	q.put(0, 2, q.packs(0, 5)...)
	q.barrier()
	q.wantSeen(upTo(0, 5)...)
}

func TestPartitionAddedLaterIsFoundWithoutABarrier(t *testing.T) {
	q := newQueue(t, 1)
	q.create(0, 1)
	q.run()
	q.watch()
	if _, err := q.admins[0].UpdatePartitions(t.Context(), 2, topicName); err != nil {
		t.Fatal(err)
	}
	q.put(0, 1, q.packs(0, 5)...)
	q.sink.waitFor(t, "the packs in the new partition", func() bool { return q.sink.has(4) })
}

func TestTopicCreatedLaterIsReadFromItsBeginning(t *testing.T) {
	q := newQueue(t, 2)
	q.create(0, 1)
	q.run()
	q.watch()
	q.barrier() // nothing there yet in the second cluster
	if got := q.reader.Status().Clusters[1].MissingTopics; !slices.Equal(got, []string{topicName}) {
		t.Errorf("missing topics of the second cluster: %q, want %q", got, topicName)
	}
	q.create(1, 2)
	q.put(1, 0, q.packs(0, 5)...)
	q.put(1, 1, q.packs(5, 7)...)
	q.barrier()
	q.wantSeen(upTo(0, 7)...)
}

func TestRecreatedTopicIsReadFromItsBeginningOnline(t *testing.T) {
	q := newQueue(t, 1)
	q.create(0, 2)
	q.put(0, 0, q.packs(900, 920)...)
	q.run()
	q.watch()
	q.put(0, 0, q.packs(0, 5)...)
	q.barrier()
	if _, err := q.admins[0].DeleteTopic(t.Context(), topicName); err != nil {
		t.Fatal(err)
	}
	q.create(0, 2)
	q.writers[0].PurgeTopicsFromClient(topicName)
	q.put(0, 0, q.packs(5, 40)...)
	q.put(0, 1, q.packs(40, 45)...)
	q.barrier()
	q.wantSeen(upTo(0, 45)...)
}

func TestRetentionThatOvertakesTheReaderIsCounted(t *testing.T) {
	q := newQueue(t, 1)
	q.create(0, 1)
	q.put(0, 0, q.packs(900, 910)...)
	q.watch() // from 10; nobody reads yet
	q.put(0, 0, q.packs(0, 20)...)
	gone := kadm.Offsets{}
	gone.Add(kadm.Offset{Topic: topicName, Partition: 0, At: 25})
	if _, err := q.admins[0].DeleteRecords(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	q.run()
	q.barrier()
	q.wantSeen(upTo(15, 20)...)
	if s := q.reader.Status(); s.Clusters[0].Missed != 15 {
		t.Errorf("missed %d, want 15", s.Clusters[0].Missed)
	}
	// To the very end: nothing is left to read, and a barrier still passes.
	gone = kadm.Offsets{}
	gone.Add(kadm.Offset{Topic: topicName, Partition: 0, At: 30})
	if _, err := q.admins[0].DeleteRecords(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	q.barrier()
}

func TestControlRecordsAtTheEndDoNotHoldABarrier(t *testing.T) {
	q := newQueue(t, 1)
	q.create(0, 1)
	q.run()
	q.watch()
	w, err := kgo.NewClient(kgo.SeedBrokers(q.clusters[0].ListenAddrs()...), kgo.TransactionalID("x"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	if err := w.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := w.ProduceSync(t.Context(), &kgo.Record{Topic: topicName, Value: confirmtest.Pack(confirmtest.Instance, 1)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := w.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	q.barrier()
	q.wantSeen(1) // read_uncommitted: seen is in the queue, whatever its readers make of it
	if m := q.reader.Status().Clusters[0].Messages; m != 1 {
		t.Errorf("%d messages, want 1", m)
	}
}

// Compaction leaves batches without records, which no poll ever shows: offsets 0 to 4 here.
func TestHoleAtTheEndDoesNotHoldABarrier(t *testing.T) {
	q := newQueue(t, 1)
	q.create(0, 1)
	q.watch()
	b := kmsg.NewRecordBatch()
	b.Magic, b.LastOffsetDelta, b.PartitionLeaderEpoch = 2, 4, -1
	b.ProducerID, b.ProducerEpoch, b.FirstSequence = -1, -1, -1
	b.Length = int32(len(b.AppendTo(nil)) - 12)
	b.CRC = int32(crc32.Checksum(b.AppendTo(nil)[21:], crc32.MakeTable(crc32.Castagnoli)))
	hole := b.AppendTo(nil)
	q.clusters[0].ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
		q.clusters[0].KeepControl()
		resp := req.ResponseKind().(*kmsg.ListOffsetsResponse)
		p := kmsg.NewListOffsetsResponseTopicPartition()
		p.Offset = 5
		rt := kmsg.NewListOffsetsResponseTopic()
		rt.Topic, rt.Partitions = topicName, append(rt.Partitions, p)
		resp.Topics = append(resp.Topics, rt)
		return resp, nil, true
	})
	q.clusters[0].ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		q.clusters[0].KeepControl()
		r := req.(*kmsg.FetchRequest)
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		for _, topic := range r.Topics {
			rt := kmsg.NewFetchResponseTopic()
			rt.Topic, rt.TopicID = topic.Topic, topic.TopicID
			for _, p := range topic.Partitions {
				rp := kmsg.NewFetchResponseTopicPartition()
				rp.Partition, rp.HighWatermark, rp.LastStableOffset, rp.LogStartOffset = p.Partition, 5, 5, 0
				if p.FetchOffset < 5 {
					rp.RecordBatches = hole
				}
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
	q.run()
	q.barrier()
	if s := q.reader.Status().Clusters[0]; s.Lag != 0 || s.Messages != 0 || s.Missed != 0 {
		t.Errorf("status %+v", s)
	}
}

func TestDeletedTopicDoesNotSilenceItsCluster(t *testing.T) {
	q := newQueueTimeout(t, 1500*time.Millisecond, 1)
	q.create(0, 1)
	q.watch()
	q.put(0, 0, q.packs(0, 5)...) // never read: it is gone before
	if _, err := q.admins[0].DeleteTopic(t.Context(), topicName); err != nil {
		t.Fatal(err)
	}
	q.run()
	q.sink.waitFor(t, "the queue to answer", func() bool { return q.sink.answersNow() })
	<-time.After(2500 * time.Millisecond) // longer than the timeout
	q.barrier()
	if s := q.reader.Status(); !s.Answers || strings.Contains(s.Clusters[0].LastError, "nothing was read") {
		t.Errorf("status %+v", s)
	}
}

func TestOneClusterDownMeansNoBarrier(t *testing.T) {
	q := newQueueTimeout(t, 1500*time.Millisecond, 2)
	q.create(0, 1)
	q.create(1, 1)
	q.run()
	q.watch()
	q.barrier()
	q.sink.waitFor(t, "the queue to answer", func() bool { return q.sink.answersNow() })
	q.clusters[1].Close()
	began := time.Now()
	err := q.reader.Barrier(t.Context())
	if err == nil || !strings.Contains(err.Error(), "q1") || !strings.Contains(err.Error(), "hint") {
		t.Errorf("Barrier = %v, want an error that names q1 and a remedy", err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %v to say so", took)
	}
	q.sink.waitFor(t, "the queue not to answer", func() bool { return !q.sink.answersNow() })
	q.put(0, 0, q.packs(0, 1)...) // the other one is read on
	q.sink.waitFor(t, "a pack in the cluster that lives", func() bool { return q.sink.has(0) })
	s := q.reader.Status()
	if s.Answers || !s.Clusters[0].Answers || s.Clusters[1].Answers || s.Clusters[1].LastError == "" {
		t.Errorf("status %+v", s)
	}
}

func TestClusterThatFallsSilentAndIsBack(t *testing.T) {
	q := newQueueTimeout(t, 1500*time.Millisecond, 1)
	q.create(0, 1)
	q.run()
	q.watch()
	q.sink.waitFor(t, "the queue to answer", func() bool { return q.sink.answersNow() })
	var down atomic.Bool
	down.Store(true)
	q.clusters[0].ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
		q.clusters[0].KeepControl()
		if !down.Load() {
			return nil, nil, false
		}
		return nil, errors.New("the broker hangs up"), true
	})
	q.sink.waitFor(t, "silence to be noticed", func() bool { return !q.sink.answersNow() })
	down.Store(false)
	q.sink.waitFor(t, "the queue to answer again", func() bool { return q.sink.answersNow() })
	q.put(0, 0, q.packs(0, 2)...)
	q.barrier()
	q.wantSeen(0, 1)
}

func TestUnreachableClusterIsSaidWithARemedy(t *testing.T) {
	leaktest.Check(t)
	r, err := kafka.New(kafka.Config{
		Clusters: []kafka.Cluster{{Name: "dark", Opts: []kgo.Opt{kgo.SeedBrokers("127.0.0.1:1")}, Topic: "t"}},
		Instance: confirmtest.Instance, Timeout: 500 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	err = r.Watch(t.Context(), "g", "s")
	if err == nil || !strings.Contains(err.Error(), "dark") || !strings.Contains(err.Error(), "hint") {
		t.Errorf("Watch = %v, want an error that names the cluster and a remedy", err)
	}
}

func TestMissingRightToReadIsFoundByWatch(t *testing.T) {
	q := newQueue(t, 1, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "root", "r"),
		kfake.User("PLAIN", "u", "u", kfake.ACL{
			Resource: kmsg.ACLResourceTypeTopic, Name: topicName, Pattern: kmsg.ACLResourcePatternTypeLiteral,
			Operation: kmsg.ACLOperationDescribe, Allow: true,
		}), kfake.SeedTopics(1, topicName))
	r, err := kafka.New(kafka.Config{
		Clusters: []kafka.Cluster{{
			Name: "q0", Topic: "{group}.{stream}",
			Opts: []kgo.Opt{kgo.SeedBrokers(q.clusters[0].ListenAddrs()...), kgo.SASL(plain.Auth{User: "u", Pass: "u"}.AsMechanism())},
		}},
		Instance: confirmtest.Instance, Timeout: 3 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	err = r.Watch(t.Context(), "g", "s")
	if !errors.Is(err, kerr.TopicAuthorizationFailed) || !strings.Contains(err.Error(), "grant") {
		t.Errorf("Watch = %v, want TOPIC_AUTHORIZATION_FAILED and what to grant", err)
	}
}

// The property everything above rests on: what was acknowledged to a producer before Barrier was called has
// been reported when it returns.
func TestBarrierPassesOnlyAfterEverythingWasReported(t *testing.T) {
	q := newQueue(t, 2)
	q.create(0, 3)
	q.create(1, 2)
	q.run()
	q.watch()
	var mu sync.Mutex
	var acked []uint64
	var seq atomic.Uint64
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				s := seq.Add(1)
				r := &kgo.Record{Topic: topicName, Partition: int32(i % 2), Value: confirmtest.Pack(confirmtest.Instance, s)}
				if err := q.writers[w%2].ProduceSync(t.Context(), r).FirstErr(); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				acked = append(acked, s)
				mu.Unlock()
			}
		})
	}
	wg.Go(func() {
		<-time.After(700 * time.Millisecond)
		if _, err := q.admins[1].UpdatePartitions(t.Context(), 4, topicName); err != nil {
			t.Error(err)
		}
		w, err := kgo.NewClient(kgo.SeedBrokers(q.clusters[1].ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			t.Error(err)
			return
		}
		defer w.Close()
		for p := range int32(2) {
			s := seq.Add(1)
			if err := w.ProduceSync(t.Context(), &kgo.Record{Topic: topicName, Partition: 2 + p, Value: confirmtest.Pack(confirmtest.Instance, s)}).FirstErr(); err != nil {
				t.Error(err)
			}
			mu.Lock()
			acked = append(acked, s)
			mu.Unlock()
		}
	})
	var barriers atomic.Int64
	for range 3 {
		wg.Go(func() {
			for ctx.Err() == nil {
				mu.Lock()
				must := slices.Clone(acked)
				mu.Unlock()
				if err := q.reader.Barrier(t.Context()); err != nil {
					t.Errorf("barrier: %v", err)
					return
				}
				barriers.Add(1)
				for _, s := range must {
					if !q.sink.has(s) {
						t.Errorf("barrier passed, pack %d of %d not reported", s, len(must))
						return
					}
				}
			}
		})
	}
	wg.Wait()
	q.barrier()
	if got := q.sink.all(); len(got) != len(acked) {
		t.Errorf("%d packs seen, %d written", len(got), len(acked))
	}
	t.Logf("%d packs, %d barriers", len(acked), barriers.Load())
	if barriers.Load() < 3 {
		t.Errorf("%d barriers in 2 s", barriers.Load())
	}
}

// A broker whose metadata is behind leaves out partitions that another one told of already. That it is so for
// a moment is no reason to give packs up, or to hold them until the next barrier.
func TestBarrierAsksAgainWhenABrokerIsBehind(t *testing.T) {
	q := newQueue(t, 1)
	q.create(0, 2)
	q.run()
	q.watch()
	req := kmsg.NewPtrMetadataRequest()
	asked := kmsg.NewMetadataRequestTopic()
	asked.Topic = new(topicName)
	req.Topics = append(req.Topics, asked)
	before, err := req.RequestWith(t.Context(), q.writers[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := q.admins[0].UpdatePartitions(t.Context(), 4, topicName); err != nil {
		t.Fatal(err)
	}
	q.put(0, 3, q.packs(0, 1)...)
	q.barrier()
	q.wantSeen(0)
	q.put(0, 3, q.packs(1, 2)...)
	var behind atomic.Int64
	q.clusters[0].ControlKey(int16(kmsg.Metadata), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if behind.Add(1) > 5 {
			return nil, nil, false
		}
		q.clusters[0].KeepControl()
		resp := req.ResponseKind().(*kmsg.MetadataResponse)
		*resp = *before
		resp.SetVersion(req.GetVersion())
		return resp, nil, true
	})
	q.barrier()
	q.wantSeen(0, 1)
	if behind.Load() <= 5 {
		t.Errorf("passed after %d answers that were behind", behind.Load())
	}
}

// laterCluster is one more cluster with the topic, and a client that writes to it.
func laterCluster(t *testing.T) (c *kfake.Cluster, cfg kafka.Cluster, put func(value []byte)) {
	t.Helper()
	c, w := embedded(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topicName))
	cfg = kafka.Cluster{Name: "later", Opts: []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}, Topic: "{group}.{stream}"}
	return c, cfg, func(value []byte) {
		if err := w.ProduceSync(t.Context(), &kgo.Record{Topic: topicName, Value: value}).FirstErr(); err != nil {
			t.Error(err)
		}
	}
}

// 1. The reader asks where the log ends, and where it was a while ago  2. the broker answers one question
// 3. a proxy puts a pack in  4. the broker answers the other.
func TestClusterThatJoinsIsReadFromAnEndThatIsNoLaterThanTheQuestion(t *testing.T) {
	q := newQueue(t, 1)
	q.create(0, 1)
	q.run()
	q.watch()
	c, cfg, put := laterCluster(t)
	var questions atomic.Int64
	c.ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if questions.Add(1) == 2 {
			c.SleepControl(func() { put(q.packs(0, 1)[0]) })
		}
		return nil, nil, false
	})
	if err := q.reader.Join(t.Context(), cfg, time.Now().Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	q.barrier()
	q.wantSeen(0)
}

// A barrier that was under way knows nothing of a cluster that joins meanwhile.
func TestBarrierUnderWayTakesInAClusterThatJoins(t *testing.T) {
	q := newQueue(t, 1)
	q.create(0, 1)
	q.run()
	q.watch()
	c, cfg, put := laterCluster(t)
	put(q.packs(5, 6)[0])
	var held, heldLater atomic.Bool
	free, freeLater := make(chan struct{}), make(chan struct{})
	hold := func(c *kfake.Cluster, on *atomic.Bool, free chan struct{}) {
		c.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			if on.Load() && req.(*kmsg.FetchRequest).MaxWaitMillis > 0 { // the poller's
				c.SleepControl(func() { <-free })
			}
			return nil, nil, false
		})
	}
	hold(q.clusters[0], &held, free)
	hold(c, &heldLater, freeLater)
	held.Store(true)
	heldLater.Store(true)
	q.put(0, 0, q.packs(1, 2)...)
	passed := make(chan error, 1)
	var asked atomic.Bool
	q.clusters[0].ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
		q.clusters[0].KeepControl()
		asked.Store(true)
		return nil, nil, false
	})
	go func() { passed <- q.reader.Barrier(t.Context()) }() // it waits for pack 1
	for deadline := time.Now().Add(10 * time.Second); !asked.Load() && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	if err := q.reader.Join(t.Context(), cfg, time.Now().Add(-time.Minute)); err != nil {
		t.Fatal(err)
	}
	held.Store(false)
	close(free)
	q.sink.waitFor(t, "pack 1", func() bool { return q.sink.has(1) })
	select {
	case err := <-passed:
		t.Errorf("the barrier ended with %v, pack 5 reported: %v", err, q.sink.has(5))
		close(freeLater)
	case <-time.After(300 * time.Millisecond): // it would have ended by now, or the test shows nothing
		close(freeLater)
		if err := <-passed; err != nil || !q.sink.has(5) {
			t.Errorf("barrier: %v, pack 5 reported: %v", err, q.sink.has(5))
		}
	}
}

func TestCloseEndsEverythingUnderWay(t *testing.T) {
	q := newQueue(t, 1)
	q.create(0, 1)
	q.watch()
	q.put(0, 0, q.packs(0, 1)...)
	barrier := make(chan error, 1)
	go func() { barrier <- q.reader.Barrier(t.Context()) }() // nobody runs: it cannot pass
	q.run()
	q.sink.waitFor(t, "the pack", func() bool { return q.sink.has(0) })
	if err := <-barrier; err != nil {
		t.Errorf("Barrier = %v", err)
	}
	go func() { barrier <- q.reader.Barrier(t.Context()) }()
	q.reader.Close()
	q.reader.Close()
	if err := <-barrier; err != nil && !errors.Is(err, confirm.ErrClosed) {
		t.Errorf("Barrier = %v, want nil or ErrClosed", err)
	}
	if err := q.reader.Watch(t.Context(), "g", "x"); !errors.Is(err, confirm.ErrClosed) {
		t.Errorf("Watch after Close = %v, want ErrClosed", err)
	}
	if err := q.reader.Run(t.Context(), q.sink); !errors.Is(err, confirm.ErrClosed) {
		t.Errorf("Run after Close = %v, want ErrClosed", err)
	}
}

func TestBadConfigurationIsSaidAllAtOnce(t *testing.T) {
	_, err := kafka.New(kafka.Config{Clusters: []kafka.Cluster{
		{Name: "a", Topic: "{grup}.{stream}"}, {Name: "a", Topic: ""}, {Name: "b", Topic: "x{"},
	}})
	for _, want := range []string{"{grup}", "two clusters", "no topic", "no instance", "timeout", "{ is neither"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not speak of %q", err, want)
		}
	}
}
