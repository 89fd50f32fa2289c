package connector

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/deadletter"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/lineage"
	"inlong-bridge/connector/resume"
	"inlong-bridge/connector/verify"
	"inlong-bridge/sdk/frame"
)

// proof is a finished migration that a test tells: records in the source, commits with books, and packs in the queue.
type proof struct {
	*env
	cfg     *config.Config
	cluster string
	topic   resume.TopicID
	seen    time.Time
	at      time.Time // of the commits
}

func newProof(t *testing.T, opts ...envOption) *proof {
	t.Helper()
	e := newEnv(t, append([]envOption{withProxies(1)}, opts...)...)
	m, err := e.adm.Metadata(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-time.Hour)
	p := &proof{env: e, cfg: e.config("queue"), cluster: m.Cluster, topic: resume.TopicID(m.Topics["orders"].ID), seen: at, at: at}
	p.commit(1, resume.Books{})
	return p
}

// commit writes what a bridge would have committed of orders.
func (p *proof) commit(partition int32, b resume.Books) {
	p.t.Helper()
	line := resume.Line{Cluster: p.cluster, Topic: p.topic, Seen: resume.Sight{Partitions: 2, At: p.seen}, At: p.at, Books: b}
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: "orders", Partition: partition, At: b.From + b.Sum(), LeaderEpoch: -1, Metadata: line.String()})
	if err := p.adm.CommitAllOffsets(p.t.Context(), "bridge", offsets); err != nil {
		p.t.Fatal(err)
	}
}

// aPack is a pack of records of orders.
type aPack struct {
	partition int32
	offsets   []int64
	requeued  bool
	attr      string // instead of its lineage
	queue     int32  // partition of the queue
}

func from(first, last int64) (offsets []int64) {
	for ; first <= last; first++ {
		offsets = append(offsets, first)
	}
	return offsets
}

func (p *proof) value(k aPack) []byte {
	p.t.Helper()
	return packOf(p.t, p.cluster, p.topic, k)
}

func packOf(t *testing.T, cluster string, topic resume.TopicID, k aPack) []byte {
	t.Helper()
	attr := k.attr
	if attr == "" {
		var b lineage.Builder
		b.Reset(lineage.MaxChars, k.requeued)
		s := lineage.SourceOf(lineage.ClusterOf(cluster), topic, "orders", k.partition)
		if b.Add(&s, lineage.None, k.offsets) != len(k.offsets) {
			t.Fatal("the lineage is full")
		}
		attr = "&mid=abc.1&bg=" + route.OriginOf(cluster, "bridge") + "&src=" + string(b.AppendTo(nil))
	}
	pack := frame.Pack{Ext: frame.ExtStringIDs, Count: uint16(max(len(k.offsets), 1)), Attr: []byte("groupId=g&streamId=s" + attr)}
	for range pack.Count {
		pack.Body = frame.AppendItem(pack.Body, []byte("x"))
	}
	value, err := frame.AppendInLongMsg(nil, &pack, 1)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func (p *proof) arrive(packs ...aPack) {
	p.t.Helper()
	for _, k := range packs {
		p.put(k.queue, p.value(k), time.Now())
	}
}

func (p *proof) put(queue int32, value []byte, at time.Time) {
	p.t.Helper()
	r := &kgo.Record{Topic: queueTopic, Partition: queue, Value: value, Timestamp: at}
	if err := p.cl.ProduceSync(p.t.Context(), r).FirstErr(); err != nil {
		p.t.Fatal(err)
	}
}

// expire deletes what lies before an offset.
func (p *proof) expire(topic string, partition int32, before int64) {
	p.t.Helper()
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: topic, Partition: partition, At: before})
	if _, err := p.adm.DeleteRecords(p.t.Context(), offsets); err != nil {
		p.t.Fatal(err)
	}
}

func (p *proof) verify(o VerifyOptions) Report {
	p.t.Helper()
	if o.Memory == 0 {
		o.Memory = 64 << 20
	}
	v, err := Verify(p.t.Context(), p.cfg, Deps{Log: testLog(p.t)}, o)
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

// wants compares the first partition with what it should be.
func (p *proof) wants(what string, v Report, result Result, in ...verify.Interval) {
	p.t.Helper()
	row := v.Partitions[0]
	var got []verify.Interval
	if row.Queue != nil {
		got = row.Queue.Intervals
	}
	if v.Result != result || row.Result != result || !slices.Equal(got, in) {
		p.t.Errorf("%s: %s, %+v, %+v; want %s and %v", what, v.Result, row, row.Queue, result, in)
	}
}

func TestVerifyFindsExactlyThePackThatIsMissing(t *testing.T) {
	t.Parallel()
	p := newProof(t)
	p.produce("orders", 0, 0, 100, 0)
	p.produce("orders", 1, 0, 50, 0)
	p.commit(0, resume.Books{Final: 100})
	p.commit(1, resume.Books{Final: 50})
	packs := []aPack{{offsets: from(0, 39)}, {offsets: from(40, 59), queue: 1}, {offsets: from(60, 99)}, {partition: 1, offsets: from(0, 49)}}
	whole, holed := p.cfg, *p.cfg
	holed.Queue.Kafka = slices.Clone(holed.Queue.Kafka)
	holed.Queue.Kafka[0].Topic = "copy.{group}.{stream}"
	if _, err := p.adm.CreateTopic(t.Context(), 1, 1, nil, "copy.g.s"); err != nil {
		t.Fatal(err)
	}
	p.arrive(packs...)
	for i, k := range packs {
		if i != 1 {
			if err := p.cl.ProduceSync(t.Context(), &kgo.Record{Topic: "copy.g.s", Value: p.value(k)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
	}
	v := p.verify(VerifyOptions{})
	p.wants("the queue", v, Pass)
	if v.Queue == nil || v.Queue.Packs != 4 || v.Queue.Messages != 4 || v.Queue.Partitions != 2 || v.Partitions[0].Queue.Found != 100 || v.Partitions[1].Queue.Found != 50 {
		t.Errorf("read %+v, found %+v and %+v", v.Queue, v.Partitions[0].Queue, v.Partitions[1].Queue)
	}
	p.cfg = &holed
	v = p.verify(VerifyOptions{})
	p.wants("a copy without one pack", v, Fail, verify.Interval{First: 40, Last: 59})
	if q := v.Partitions[0].Queue; q.Missing != 20 || q.AtMost || v.Partitions[1].Result != Pass || !strings.Contains(v.Partitions[0].Reason, "20 records that the books call final are not in the queue, at the offsets 40-59") {
		t.Errorf("missing %+v, reason %q, the other %s", q, v.Partitions[0].Reason, v.Partitions[1].Result)
	}
	// Without the source nobody knows that all of these are records; the books know how many.
	v = p.verify(VerifyOptions{NoSource: true})
	p.wants("without the source", v, Fail, verify.Interval{First: 40, Last: 59})
	if q := v.Partitions[0].Queue; q.Missing != 20 || !q.AtMost || q.Unknown != 20 || q.Source == "" {
		t.Errorf("without the source: %+v", q)
	}
	p.cfg = whole
	if v = p.verify(VerifyOptions{Topics: []string{"orders"}}); v.Result != Pass {
		t.Errorf("one topic: %s", v.Result)
	}
	if _, err := Verify(t.Context(), p.cfg, Deps{Log: testLog(t)}, VerifyOptions{Topics: []string{"nope"}, Memory: 1 << 20}); !errors.Is(err, ErrNoBooks) {
		t.Errorf("a topic without commits: %v", err)
	}
}

// Routes by key can make nearly any name, that of the source's topic too where the queue is the same Kafka.
func TestVerifyReadsNoTopicThatTheGroupConsumes(t *testing.T) {
	t.Parallel()
	p := newProof(t)
	p.routes = "  - {topics: [orders], group: g, stream: '{key}'}\n"
	p.cfg = p.config("queue")
	p.cfg.Queue.Kafka[0].Topic = "{stream}"
	p.produce("orders", 0, 0, 20, 0)
	p.commit(0, resume.Books{Final: 20})
	p.arrive(aPack{offsets: from(0, 9)})
	v := p.verify(VerifyOptions{})
	p.wants("the source's records are no packs", v, Fail, verify.Interval{First: 10, Last: 19})
	if v.Queue.Messages != 1 || v.Queue.Unreadable != 0 {
		t.Errorf("read %+v, want one message", v.Queue)
	}
}

func TestVerifyListsDuplicates(t *testing.T) {
	t.Parallel()
	p := newProof(t)
	p.produce("orders", 0, 0, 30, 0)
	p.commit(0, resume.Books{Final: 30})
	p.arrive(aPack{offsets: from(0, 29)}, aPack{offsets: from(10, 14), queue: 1}, aPack{offsets: from(12, 13)}, aPack{offsets: from(28, 35)})
	v := p.verify(VerifyOptions{})
	p.wants("resent packs", v, Pass)
	if q := v.Partitions[0].Queue; q.Duplicates != 9 || !slices.Equal(q.Repeated, []verify.Interval{{First: 10, Last: 14}, {First: 28, Last: 29}}) || q.Outside != 6 {
		t.Errorf("%+v, want 9 copies at 10-14 and 28-29, and 6 records behind the books", q)
	}
}

// Markers of transactions and aborted records are no records, and what the source has deleted is counted by the books.
func TestVerifyAsksTheSourceWhatARecordIs(t *testing.T) {
	t.Parallel()
	p := newProof(t)
	p.produce("orders", 0, 0, 10, 0) // 0-9
	tx, err := kgo.NewClient(kgo.SeedBrokers(p.kafka.ListenAddrs()...), kgo.TransactionalID("tx"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	for _, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} { // 10, marker 11, 12 aborted, marker 13
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := tx.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := tx.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	p.produce("orders", 0, 10, 12, 0) // 14-15
	p.cfg.Kafka.Isolation = "read_committed"
	p.commit(0, resume.Books{Final: 13, Gap: 3})
	p.arrive(aPack{offsets: append(from(0, 10), 14, 15)})
	v := p.verify(VerifyOptions{})
	p.wants("markers and aborted records", v, Pass)
	if q := v.Partitions[0].Queue; q.Found != 13 || q.Unknown != 0 {
		t.Errorf("%+v", q)
	}
	// The same queue under books that call the markers final: nobody can find those.
	p.commit(0, resume.Books{Final: 16})
	p.wants("books that call a marker final", p.verify(VerifyOptions{}), Fail, verify.Interval{First: 11, Last: 13})
	p.commit(0, resume.Books{Final: 13, Gap: 3})
	p.expire("orders", 0, 16)
	v = p.verify(VerifyOptions{})
	p.wants("the source has deleted all of it", v, Pass)
	if q := v.Partitions[0].Queue; q == nil || q.Outcome != verify.Found || q.Unknown != 3 || !strings.Contains(q.Source, "deleted") {
		t.Errorf("%+v", q)
	}
}

func TestVerifyIsUnprovenWhereTheQueueHasDeletedMessages(t *testing.T) {
	t.Parallel()
	p := newProof(t)
	p.produce("orders", 0, 0, 40, 0)
	p.commit(0, resume.Books{Final: 40})
	p.arrive(aPack{offsets: from(0, 9)}, aPack{offsets: from(10, 39)})
	p.expire(queueTopic, 0, 1)
	v := p.verify(VerifyOptions{})
	p.wants("retention of the queue", v, Unproven, verify.Interval{First: 0, Last: 9})
	if r := v.Partitions[0].Reason; !strings.Contains(r, "10 records were not found in the queue, at the offsets 0-9: the queue may have deleted them, partition 0 of topic q.g.s") {
		t.Errorf("reason %q", r)
	}
	p.wants("the operator knows better", p.verify(VerifyOptions{QueueComplete: true}), Fail, verify.Interval{First: 0, Last: 9})
	p.arrive(aPack{offsets: from(0, 9)})
	p.wants("all of it is there all the same", p.verify(VerifyOptions{}), Pass)
}

// What came into the source after the oldest message that the queue still holds cannot have been deleted from the queue.
func TestVerifyTellsWhatRetentionCannotExplain(t *testing.T) {
	t.Parallel()
	p := newProof(t)
	now := time.Now().Truncate(time.Millisecond)
	for i := range 40 {
		at := now.Add(-2 * time.Hour)
		if i >= 20 {
			at = now
		}
		if err := p.cl.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: []byte("x"), Timestamp: at}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	p.commit(0, resume.Books{Final: 40})
	p.put(0, p.value(aPack{offsets: from(0, 4)}), now.Add(-2*time.Hour))
	p.put(0, p.value(aPack{offsets: from(5, 24)}), now.Add(-30*time.Minute))
	p.put(0, p.value(aPack{offsets: from(30, 39)}), now)
	p.expire(queueTopic, 0, 1)
	v := p.verify(VerifyOptions{})
	p.wants("0-4 may have been deleted, 25-29 not", v, Fail, verify.Interval{First: 25, Last: 29})
	if q := v.Partitions[0].Queue; q.Missing != 5 || q.NoProof != 5 {
		t.Errorf("%+v", q)
	}
	// The group saw the topic when the queue already held its oldest message.
	p.seen = now.Add(-20 * time.Minute)
	p.commit(0, resume.Books{Final: 40})
	p.wants("nothing that was deleted was ours", p.verify(VerifyOptions{}), Fail, verify.Interval{First: 0, Last: 4}, verify.Interval{First: 25, Last: 29})
}

func TestVerifyIsUnprovenWithoutLineage(t *testing.T) {
	t.Parallel()
	p := newProof(t)
	p.produce("orders", 0, 0, 20, 0)
	p.commit(0, resume.Books{Final: 20})
	ours := "&mid=abc.2&bg=" + route.OriginOf(p.cluster, "bridge")
	p.arrive(aPack{offsets: from(0, 9)})
	missing := verify.Interval{First: 10, Last: 19}
	p.arrive(aPack{attr: "&mid=abc.2&bg=" + route.OriginOf(p.cluster, "another group")}, aPack{attr: "&k=v"})
	p.wants("packs of others explain nothing", p.verify(VerifyOptions{}), Fail, missing)
	p.arrive(aPack{attr: ours})
	v := p.verify(VerifyOptions{})
	p.wants("a pack of ours without lineage", v, Unproven, missing)
	if v.Queue.Foreign != 2 || v.Queue.NoLineage != 1 || !strings.Contains(v.Partitions[0].Reason, "1 packs of this or an unknown bridge carry no lineage") {
		t.Errorf("%+v, %q", v.Queue, v.Partitions[0].Reason)
	}
	p.arrive(aPack{offsets: from(10, 19)})
	p.wants("all is found in other packs", p.verify(VerifyOptions{}), Pass)
	for _, bad := range []aPack{{attr: ours + "&src=AAAA"}} {
		p := newProof(t)
		p.produce("orders", 0, 0, 20, 0)
		p.commit(0, resume.Books{Final: 20})
		p.arrive(aPack{offsets: from(0, 9)}, bad)
		p.wants("a damaged lineage", p.verify(VerifyOptions{}), Unproven, missing)
		p.put(1, []byte("no message"), time.Now())
		if v := p.verify(VerifyOptions{}); v.Result != Unproven || v.Queue.Unreadable != 2 {
			t.Errorf("a damaged message: %s, %+v", v.Result, v.Queue)
		}
	}
}

func TestVerifyKnowsDeadLettersByTheirOffsetsAndSkipsByNumber(t *testing.T) {
	t.Parallel()
	p := newProof(t)
	p.produce("orders", 0, 0, 20, 0)
	p.commit(0, resume.Books{Final: 17, Dead: 2, Skipped: 1})
	if _, err := p.adm.CreateTopic(t.Context(), 1, 1, nil, "dead"); err != nil {
		t.Fatal(err)
	}
	p.cfg.DeadLetter.Topic = "dead"
	p.arrive(aPack{offsets: from(0, 14)}, aPack{offsets: from(18, 19)}) // 15 and 16 are dead, 17 is skipped
	letter := func(offset int64, cluster string) {
		r := deadletter.Encode(&kgo.Record{Value: []byte("x")}, deadletter.Letter{
			Reason: "refused", Sentence: "x", Cluster: cluster, Topic: "orders", TopicID: p.topic, Offset: offset, Last: offset, Time: p.at, Instance: "i", Attempts: 1,
		})
		r.Topic = "dead"
		if err := p.cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	letter(15, p.cluster)
	letter(16, p.cluster)
	letter(3, "another cluster")
	for _, r := range []*kgo.Record{
		{Topic: "dead", Key: []byte("x/0/15")}, // withdraws a letter
		{Topic: "dead", Key: []byte("x/0/15"), Value: []byte("no letter")},
	} {
		if err := p.cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	v := p.verify(VerifyOptions{})
	if v.Queue.BadLetters != 1 {
		t.Errorf("%d letters cannot be read, want 1: one that is withdrawn is no letter", v.Queue.BadLetters)
	}
	p.wants("letters and a skip", v, Pass)
	if q := v.Partitions[0].Queue; q.Letters != 2 || q.ByNumber != 1 {
		t.Errorf("%+v", q)
	}
	// A requeued letter stands for no record that is missing.
	p.commit(0, resume.Books{Final: 18, Dead: 2})
	p.arrive(aPack{offsets: from(15, 16), requeued: true})
	p.wants("17 is missing", p.verify(VerifyOptions{}), Fail, verify.Interval{First: 17, Last: 17})
	// Without the topic they are told by number.
	p.cfg.DeadLetter.Topic = ""
	p.wants("17 is missing, letters unknown", p.verify(VerifyOptions{}), Fail, verify.Interval{First: 17, Last: 17})
}

// Where packs are not seen before the commit, a young commit may be ahead of them.
func TestVerifyWaitsForWhatMayStillArrive(t *testing.T) {
	t.Parallel()
	p := newProof(t)
	p.produce("orders", 0, 0, 20, 0)
	p.arrive(aPack{offsets: from(0, 9)})
	missing := verify.Interval{First: 10, Last: 19}
	p.at = time.Now()
	p.commit(0, resume.Books{Final: 20})
	p.wants("queue", p.verify(VerifyOptions{}), Fail, missing)
	p.cfg.Delivery.Confirm = "settle"
	p.wants("settle, a young commit", p.verify(VerifyOptions{}), Unproven, missing)
	p.at = time.Now().Add(-time.Hour)
	p.commit(0, resume.Books{Final: 20})
	p.wants("settle, an old commit", p.verify(VerifyOptions{}), Fail, missing)
	p.arrive(aPack{offsets: from(10, 19)})
	p.cfg.Delivery.Confirm = "ack"
	p.wants("ack, and all of it is in the queue", p.verify(VerifyOptions{}), Pass)
}

func TestVerifyTellsWhatTheBooksTell(t *testing.T) {
	t.Parallel()
	p := newProof(t)
	p.produce("orders", 0, 0, 20, 0)
	p.arrive(aPack{offsets: from(10, 19)})
	p.commit(0, resume.Books{From: 10, Final: 10, Unproven: 10})
	p.wants("books that begin later", p.verify(VerifyOptions{}), Unproven)
	p.commit(0, resume.Books{From: 10, Final: 9, Lost: 1})
	p.wants("lost", p.verify(VerifyOptions{}), Fail)
	p.commit(0, resume.Books{From: 0, Final: 5, Gap: 5})
	v := p.verify(VerifyOptions{})
	p.wants("books of which nothing is found", v, Fail, verify.Interval{First: 0, Last: 9})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Verify(ctx, p.cfg, Deps{Log: testLog(t)}, VerifyOptions{Memory: 1 << 20}); err == nil {
		t.Error("no error after a cancel")
	}
	p.cfg.Queue.Kafka[0].Topic = "nothing.{group}.{stream}"
	if _, err := Verify(t.Context(), p.cfg, Deps{Log: testLog(t)}, VerifyOptions{Memory: 1 << 20}); !errors.Is(err, ErrNoQueueTopic) {
		t.Errorf("a queue without the topics: %v, want ErrNoQueueTopic", err)
	}
}

func TestVerifyThatLacksMemorySaysWhatToDo(t *testing.T) {
	t.Parallel()
	p := newProof(t)
	p.produce("orders", 0, 0, 1, 0)
	p.produce("orders", 1, 0, 1, 0)
	p.commit(0, resume.Books{Final: 2 << 20})
	p.commit(1, resume.Books{Final: 1})
	p.arrive(aPack{offsets: []int64{0}}, aPack{offsets: []int64{1 << 20}}, aPack{partition: 1, offsets: []int64{0}})
	_, err := Verify(t.Context(), p.cfg, Deps{Log: testLog(t)}, VerifyOptions{Memory: 2 << 17})
	if !errors.Is(err, verify.ErrMemory) || !strings.Contains(err.Error(), "--memory") {
		t.Errorf("Verify = %v, want ErrMemory and what to do", err)
	}
}
