package connector

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/internal/observe"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
)

// brokenBatch has n records whose compressed bytes are none, under a right checksum. Apache Kafka does not take such a batch from a producer.
func brokenBatch(n int) []byte {
	return rawBatch(1_700_000_000_000, n, 4, []byte("no zstd at all"))
}

// damage answers fetches of partition 0 of orders at offset base with other bytes while it is told to. What lies there need not be there yet, or one fetch
// would bring it with what lies before it.
func (e *env) damage(base, high int64, raw []byte, still func() bool) {
	e.more = append(e.more, kgo.DisableFetchSessions())
	raw = bytes.Clone(raw)
	binary.BigEndian.PutUint64(raw, uint64(base))
	topic := e.topicID("orders")
	e.kafka.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		e.kafka.KeepControl()
		in := req.(*kmsg.FetchRequest)
		for _, t := range in.Topics {
			for _, p := range t.Partitions {
				if t.TopicID != topic || p.Partition != 0 || p.FetchOffset != base || !still() {
					continue
				}
				resp := in.ResponseKind().(*kmsg.FetchResponse)
				rt, rp := kmsg.NewFetchResponseTopic(), kmsg.NewFetchResponseTopicPartition()
				rt.Topic, rt.TopicID = "orders", t.TopicID
				rp.HighWatermark, rp.LastStableOffset, rp.LogStartOffset, rp.RecordBatches = high, high, 0, raw
				rt.Partitions = append(rt.Partitions, rp)
				resp.Topics = append(resp.Topics, rt)
				return resp, nil, true
			}
		}
		return nil, nil, false
	})
}

func undecodable(onError string) string {
	return "  - {topics: [orders], group: g, stream: s, on_error: {undecodable: " + onError + "}}\ndead_letter: {topic: letters}\n"
}

func TestBatchThatCannotBeReadBecomesALetter(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.letterTopic()
	e.routes = undecodable("dead_letter")
	e.produce("orders", 0, 0, 5, 0)
	raw := brokenBatch(7)
	e.produceRaw("orders", 0, raw)
	e.produce("orders", 0, 5, 5, 0)
	r := e.start(e.config("queue"))
	e.waitCommitted("orders", 0, 17)
	ls, originals := e.lettersIn()
	if len(ls) != 1 {
		t.Fatalf("%d letters, want one", len(ls))
	}
	if l := ls[0]; l.Reason != "undecodable" || l.Offset != 5 || l.Last != 11 || !strings.Contains(l.Sentence, "codec zstd") || !strings.Contains(l.Sentence, "decompress") {
		t.Errorf("letter = %+v, want one of offsets 5 to 11 that says why", l)
	}
	if o := originals[0]; !bytes.Equal(o.Value[21:], raw[21:]) || o.Key != nil || len(o.Headers) != 0 || o.Timestamp.UnixMilli() != 1_700_000_000_000 {
		t.Errorf("original = %+v, want the bytes of the batch", o)
	}
	e.expectAll(10) // what lies before and behind the batch
	books := r.part("orders", 0, func(p PartitionStatus) bool { return p.Books.Dead == 7 }).Books
	if books.Final != 10 || books.Sum() != 17 {
		t.Errorf("books = %+v, want 10 final and 7 dead letters", books)
	}
	if got := r.b.Status().Counters.DeadLetters; !slices.Contains(got, observe.SetAside{Topic: "orders", Reason: "undecodable", N: 1}) {
		t.Errorf("counted %+v, want one letter", got)
	}
}

func TestBatchThatCannotBeReadIsSkippedAndBooked(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.routes = undecodable("skip")
	e.produceRaw("orders", 0, brokenBatch(7))
	e.produceRaw("orders", 0, brokenBatch(2))
	e.produce("orders", 0, 0, 5, 0)
	r := e.start(e.config("queue"))
	e.waitCommitted("orders", 0, 14)
	e.expectAll(5)
	books := r.part("orders", 0, func(p PartitionStatus) bool { return p.Books.Skipped == 9 }).Books
	if books.Final != 5 || books.Sum() != 14 {
		t.Errorf("books = %+v, want 5 final and 9 skipped", books)
	}
	if got := r.b.Status().Counters.SkippedByPolicy; !slices.Contains(got, observe.SetAside{Topic: "orders", Reason: "undecodable", N: 9}) {
		t.Errorf("counted %+v, want the offsets of both batches", got)
	}
}

// Nothing is passed over unless a rule says so. Once the batch can be read, because another replica leads, the partition goes on.
func TestBatchThatCannotBeReadStopsUntilItCan(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.tune = func(b *Bridge) { b.lookAgain = 50 * time.Millisecond }
	e.produce("orders", 0, 0, 3, 0)
	e.produce("orders", 1, 0, 3, 0)
	var mended atomic.Bool
	e.damage(3, 7, brokenBatch(4), func() bool { return !mended.Load() })
	r := e.start(e.config("queue"))
	p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Stopped })
	for _, want := range []string{"offsets 3 to 6", "codec zstd", "decompress", "another replica", "undecodable: skip"} {
		if !strings.Contains(p.Reason, want) {
			t.Errorf("stopped because %q, want %q in it", p.Reason, want)
		}
	}
	if p.Stall != string(reason.Undecodable) {
		t.Errorf("stopped as %s, want %s", p.Stall, reason.Undecodable)
	}
	e.waitCommitted("orders", 0, 3)
	e.waitCommitted("orders", 1, 3)
	e.produce("orders", 0, 3, 4, 0)
	mended.Store(true)
	e.waitCommitted("orders", 0, 7)
	e.expectAll(7, 3)
	if books := r.part("orders", 0, func(p PartitionStatus) bool { return !p.Stopped && p.Books.Sum() == 7 }).Books; books.Final != 7 {
		t.Errorf("books = %+v, want all seven final", books)
	}
}

// What was damaged on its way, or comes in other bytes each time, is no dead letter.
func TestDamagedReadsAreTriedAgain(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(raw []byte){
		"checksum": func(raw []byte) { raw[len(raw)-1]++ },
		"version":  func(raw []byte) { raw[16] = 9 }, // kgo goes on behind such a batch
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			e.letterTopic()
			e.routes = undecodable("dead_letter")
			e.produce("orders", 0, 0, 2, 0)
			var n atomic.Int32
			raw := rawBatch(1_700_000_000_000, 1, 0, []byte("no record, either"))
			spoil(raw)
			e.damage(2, 3, raw, func() bool { return n.Add(1) <= 3 }) // the client once, and two looks
			r := e.start(e.config("queue"))
			e.waitCommitted("orders", 0, 2)
			for i := range 3 { // batches of one record each
				e.produce("orders", 0, 2+i, 1, 0)
			}
			e.waitCommitted("orders", 0, 5)
			e.expectAll(5)
			if ls, _ := e.lettersIn(); len(ls) != 0 || n.Load() <= 3 {
				t.Errorf("%d letters after %d reads, want none", len(ls), n.Load())
			}
			if books := r.part("orders", 0, func(p PartitionStatus) bool { return p.Books.Sum() == 5 }).Books; books.Final != 5 {
				t.Errorf("books = %+v, want all five final", books)
			}
		})
	}
}

// kgo passes over a batch of an unknown version that has one offset. The bridge does not.
func TestBatchOfAnUnknownVersionIsNotPassedOver(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.produce("orders", 0, 0, 2, 0)
	raw := rawBatch(1_700_000_000_000, 1, 0, []byte("no record, either"))
	raw[16] = 9
	e.damage(2, 3, raw, func() bool { return true })
	r := e.start(e.config("queue"))
	e.waitCommitted("orders", 0, 2)
	e.produce("orders", 0, 2, 1, 0)
	e.produce("orders", 0, 3, 3, 0)
	p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Stopped })
	if p.Stall != string(reason.Undecodable) || !strings.Contains(p.Reason, "magic") {
		t.Errorf("stopped as %s: %s", p.Stall, p.Reason)
	}
	e.waitCommitted("orders", 0, 2)
	if at := p.Position; at != 2 {
		t.Errorf("the position is %d, want 2", at)
	}
}

// The topic is missing: the partition stops, and the batch is fetched again for its letter once the topic is there.
func TestLetterOfABatchIsWrittenOnceItsTopicIsThere(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.routes = undecodable("dead_letter")
	e.produceRaw("orders", 0, brokenBatch(7))
	e.produce("orders", 0, 0, 5, 0)
	r := e.start(e.config("queue"))
	p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Stopped })
	if p.Stall != string(reason.LetterTopic) {
		t.Errorf("stopped as %s: %s; want %s", p.Stall, p.Reason, reason.LetterTopic)
	}
	if at := e.committed("orders", 0); at > 0 {
		t.Errorf("committed = %d, past a batch that nobody has", at)
	}
	e.letterTopic()
	e.waitCommitted("orders", 0, 12)
	if ls, _ := e.lettersIn(); len(ls) == 0 || ls[0].Offset != 0 || ls[0].Last != 6 {
		t.Errorf("letters = %+v, want that of offsets 0 to 6", ls)
	}
	e.expectAll(5)
	eventually(t, 10*time.Second, func() error {
		if p := r.b.table.Lookup(part.ID{Topic: "orders", Num: 0}); p.Stopped() != nil || p.Gate().Stranded() != 0 {
			return fmt.Errorf("left behind: stopped by %+v, %d pieces stranded", p.Stopped(), p.Gate().Stranded())
		}
		return nil
	})
}

// A batch that unfolds to more than the budget is one that cannot be read, where a rule says what becomes of such.
func TestBatchThatUnfoldsBeyondTheBudgetIsSetAside(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.letterTopic()
	e.routes = undecodable("dead_letter")
	c := e.config("queue")
	c.Memory.Budget.N = 16 << 20
	e.produce("orders", 0, 0, 3, 0)
	e.produceZeros("orders", 0, 20, 1<<20)
	e.produce("orders", 0, 3, 3, 0)
	e.start(c)
	e.waitCommitted("orders", 0, 26)
	if ls, _ := e.lettersIn(); len(ls) != 1 || ls[0].Offset != 3 || ls[0].Last != 22 || !strings.Contains(ls[0].Sentence, "memory.budget") {
		t.Errorf("letters = %+v, want one of offsets 3 to 22", ls)
	}
	e.expectAll(6)
}

func TestMigrationSetsABatchAside(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	e.letterTopic()
	e.routes = undecodable("dead_letter")
	e.produce("orders", 0, 0, 3, 0)
	e.produceRaw("orders", 0, brokenBatch(4))
	b, err := New(e.config("queue"), Deps{Log: testLog(t), KafkaOpts: []kgo.Opt{kgo.FetchMaxWait(50 * time.Millisecond)}})
	if err != nil {
		t.Fatal(err)
	}
	v, err := b.Migrate(t.Context(), t.Context(), func(Progress) {})
	if err != nil || !v.Closed {
		t.Fatalf("Migrate = %+v, %v; want closed", v, err)
	}
	if p := v.Partitions[0]; p.End != 7 || p.Final != 3 || p.DeadLettered != 4 || p.Committed != 7 {
		t.Errorf("verdict = %+v, want 3 final and 4 dead-lettered", p)
	}
}

// A batch could be read when its records were sent, and cannot when they are to be read again: the partition stops, and goes on once it can.
func TestBatchThatCannotBeReadAgainStopsThePartition(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	e.letterTopic()
	e.routes = undecodable("skip")
	e.tune = func(b *Bridge) { b.lookAgain = 50 * time.Millisecond }
	e.produce("orders", 0, 0, 4, 0)
	var rotten, mended atomic.Bool
	e.damage(0, 4, brokenBatch(4), func() bool { return rotten.Load() && !mended.Load() })
	for _, p := range e.proxies {
		p.StallQueue(true)
	}
	r := e.start(e.config("queue"))
	r.part("orders", 0, func(p PartitionStatus) bool { return p.Position == 4 })
	rotten.Store(true)
	for _, p := range e.proxies { // with what they hold in memory
		p.Kill()
		p.StallQueue(false)
		if err := p.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Stopped })
	if p.Stall != string(reason.Undecodable) || !strings.Contains(p.Reason, "reading lost records again") || e.committed("orders", 0) > 0 {
		t.Errorf("stopped as %s: %s; committed %d", p.Stall, p.Reason, e.committed("orders", 0))
	}
	mended.Store(true)
	e.waitCommitted("orders", 0, 4)
	e.expectAll(4)
}
