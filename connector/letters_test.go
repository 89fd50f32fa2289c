package connector

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/deadletter"
	"inlong-bridge/connector/internal/observe"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
	"inlong-bridge/mapping"
	"inlong-bridge/sdk/dptest"
)

// keyed routes records by their key, so that one without a key has no stream.
func keyed(onError string) string {
	return "  - {topics: [orders], group: g, stream: '{key}', on_error: " + onError + "}\ndead_letter: {topic: letters}\n"
}

// letterTopic creates the topic of the dead letters.
func (e *env) letterTopic() {
	e.t.Helper()
	if _, err := e.adm.CreateTopic(e.t.Context(), 2, 1, nil, "letters"); err != nil {
		e.t.Fatal(err)
	}
}

// produceOdd appends n records of which those at odd have no key.
func (e *env) produceOdd(partition int32, n int, odd ...int) {
	e.t.Helper()
	for i := range n {
		r := &kgo.Record{Topic: "orders", Partition: partition, Key: []byte("s"), Value: []byte(payload("orders", partition, i)), Timestamp: time.UnixMilli(1_700_000_000_123 + int64(i))}
		if slices.Contains(odd, i) {
			r.Key, r.Headers = nil, []kgo.RecordHeader{{Key: "trace", Value: []byte{0xff}}, {Key: "trace"}}
		}
		if err := e.cl.ProduceSync(e.t.Context(), r).FirstErr(); err != nil {
			e.t.Fatal(err)
		}
	}
}

// lettersIn reads all that lies in the topic of the dead letters.
func (e *env) lettersIn() (ls []deadletter.Letter, originals []*kgo.Record) {
	e.t.Helper()
	ends, err := e.adm.ListEndOffsets(e.t.Context(), "letters")
	if err != nil {
		e.t.Fatal(err)
	}
	var want int64
	for _, o := range ends.Offsets()["letters"] {
		want += o.At
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(e.kafka.ListenAddrs()...), kgo.ConsumeTopics("letters"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		e.t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(e.t.Context(), 10*time.Second)
	defer cancel()
	for int64(len(ls)) < want && ctx.Err() == nil {
		cl.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			l, original, err := deadletter.Decode(r)
			if err != nil {
				e.t.Fatal(err)
			}
			ls, originals = append(ls, l), append(originals, original)
		})
	}
	return ls, originals
}

// refusal answers a produce request with an error for each of its partitions.
func refusal(in *kmsg.ProduceRequest, why *kerr.Error) *kmsg.ProduceResponse {
	resp := in.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range in.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, why.Code
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// holdProduce lets no produce request to the dead letters through until let.
func (e *env) holdProduce(let *atomic.Bool) {
	e.kafka.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if let.Load() {
			return nil, nil, false
		}
		e.kafka.KeepControl()
		in := req.(*kmsg.ProduceRequest)
		if in.Acks == -1 && len(in.Topics) == 1 && (in.Topics[0].Topic == "letters" || e.kafka.TopicInfo("letters") != nil && in.Topics[0].TopicID == e.kafka.TopicInfo("letters").TopicID) {
			return refusal(in, kerr.NotEnoughReplicas), nil, true // is tried again without end
		}
		return nil, nil, false
	})
}

// The offset moves past a record that became a dead letter only once the letter is safe.
func TestDeadLetterIsWrittenBeforeTheOffsetMoves(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.letterTopic()
	e.routes = keyed("dead_letter")
	e.produceOdd(0, 10, 4)
	var let atomic.Bool
	e.holdProduce(&let)
	r := e.start(e.config("queue"))
	p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Position == 10 && p.Unfinal == 1 }) // all but the letter
	if p.Final != 0 || e.committed("orders", 0) > 0 {
		t.Fatalf("final up to %d, committed %d while the letter is not written", p.Final, e.committed("orders", 0))
	}
	let.Store(true)
	e.waitCommitted("orders", 0, 10)
	ls, originals := e.lettersIn()
	if len(ls) != 1 {
		t.Fatalf("%d letters, want one", len(ls))
	}
	o := originals[0]
	if l := ls[0]; l.Reason != "unrouted" || l.Topic != "orders" || l.Partition != 0 || l.Offset != 4 || l.TopicID == ([16]byte{}) || l.Cluster == "" || l.Instance != r.b.instance ||
		!strings.Contains(l.Sentence, "the record has no key") {
		t.Errorf("letter = %+v", l)
	}
	if o.Key != nil || string(o.Value) != payload("orders", 0, 4) || o.Timestamp.UnixMilli() != 1_700_000_000_127 || len(o.Headers) != 2 || o.Headers[0].Value[0] != 0xff || o.Headers[1].Value != nil {
		t.Errorf("original = %+v, want the record as it was", o)
	}
	books := r.part("orders", 0, func(p PartitionStatus) bool { return p.Books.Dead == 1 }).Books
	if books.Final != 9 || books.Sum() != 10 {
		t.Errorf("books = %+v, want nine final and one dead letter", books)
	}
	if got := r.b.Status().Counters.DeadLetters; !slices.Contains(got, observe.SetAside{Topic: "orders", Reason: "unrouted", N: 1}) || len(got) != mapping.Classes-1 { // not tombstone
		t.Errorf("counted %+v, want one of orders, and the other classes with 0", got)
	}
}

// The topic is missing: the partition with the odd record stops, says so, and goes on once the topic is there. Nobody creates it.
func TestMissingDeadLetterTopicStopsThePartition(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.routes = keyed("dead_letter")
	e.produceOdd(0, 10, 4)
	e.produceOdd(1, 10)
	log := new(lines)
	r := e.startLogging(e.config("queue"), newLog(log))
	e.waitCommitted("orders", 1, 10)
	p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Stopped })
	if p.Stall != string(reason.LetterTopic) || !strings.Contains(p.Reason, "topic letters") || !strings.Contains(p.Reason, "create it") {
		t.Errorf("stopped as %s: %s; want %s and what to do", p.Stall, p.Reason, reason.LetterTopic)
	}
	if at := e.committed("orders", 0); at > 0 {
		t.Errorf("committed = %d, past a record that nobody has", at)
	}
	if log.count("the topic of the dead letters does not exist") != 1 {
		t.Error("the start did not say that the topic is missing")
	}
	if e.kafka.TopicInfo("letters") != nil {
		t.Fatal("the bridge created the topic")
	}
	e.letterTopic()
	e.waitCommitted("orders", 0, 10)
	if ls, _ := e.lettersIn(); len(ls) == 0 || ls[0].Offset != 4 {
		t.Errorf("letters = %+v, want the one of offset 4", ls)
	}
	eventually(t, 10*time.Second, func() error {
		if p := r.b.table.Lookup(part.ID{Topic: "orders", Num: 0}); p.Stopped() != nil || p.Gate().Stranded() != 0 {
			return fmt.Errorf("left behind: stopped by %+v, %d pieces stranded", p.Stopped(), p.Gate().Stranded())
		}
		return nil
	})
	if err := r.drain(); err != nil {
		t.Errorf("drain: %v", err)
	}
}

func TestUnroutedIsSkippedByPolicyAndBooked(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.routes = keyed("skip")
	e.produceOdd(0, 10, 4, 9)
	r := e.start(e.config("queue"))
	e.waitCommitted("orders", 0, 10)
	books := r.part("orders", 0, func(p PartitionStatus) bool { return p.Books.Skipped == 2 }).Books
	if books.Final != 8 || books.Sum() != 10 {
		t.Errorf("books = %+v, want eight final and two skipped", books)
	}
	if got := r.b.Status().Counters; !slices.Contains(got.SkippedByPolicy, observe.SetAside{Topic: "orders", Reason: "unrouted", N: 2}) || len(got.DeadLetters) != 0 {
		t.Errorf("counted %+v and %+v, want two of orders, and no letter", got.SkippedByPolicy, got.DeadLetters)
	}
	if r.b.letterClient != nil {
		t.Error("a client for dead letters was made, which nobody wants")
	}
}

// A record that fits into no frame is judged before anything of it is sent, and does not stop its partition.
func TestRecordLargerThanAFrameBecomesALetter(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.letterTopic()
	e.routes = "  - {topics: [orders], group: g, stream: s, on_error: {too_large: dead_letter}}\ndead_letter: {topic: letters}\n"
	e.produce("orders", 0, 0, 5, 0)
	large := noise(600 << 10)
	if err := e.cl.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Key: []byte{}, Value: large}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	e.produce("orders", 0, 5, 5, 0)
	r := e.start(e.config("queue"))
	e.waitCommitted("orders", 0, 11)
	ls, originals := e.lettersIn()
	if len(ls) != 1 || ls[0].Reason != "too_large" || ls[0].Offset != 5 || string(originals[0].Value) != string(large) || originals[0].Key == nil {
		t.Fatalf("letters = %+v, want the large record with its empty key", ls)
	}
	e.expectAll(10)
	if stops := r.b.consumer.Counters.Stops.Snapshot(); len(stops) != 0 {
		t.Errorf("partitions stopped: %v, want none", stops)
	}
}

// A topic that takes less than the letter needs stops the partition.
func TestDeadLetterTopicThatIsTooSmallStopsThePartition(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.letterTopic()
	e.routes = "  - {topics: [orders], group: g, stream: s, on_error: {too_large: dead_letter}}\ndead_letter: {topic: letters}\n"
	if err := e.cl.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: noise(600 << 10)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	e.kafka.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		e.kafka.KeepControl()
		return refusal(req.(*kmsg.ProduceRequest), kerr.MessageTooLarge), nil, true
	})
	r := e.start(e.config("queue"))
	p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Stopped })
	if p.Stall != string(reason.LetterTopic) || !strings.Contains(p.Reason, "max.message.bytes") {
		t.Errorf("stopped as %s: %s", p.Stall, p.Reason)
	}
	if at := e.committed("orders", 0); at > 0 {
		t.Errorf("committed = %d, past a record that nobody has", at)
	}
}

// '.*' does not mean the bridge's own letters.
func TestDeadLetterTopicIsNotConsumed(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.letterTopic()
	e.routes = "  - {topics: ['.*'], exclude: ['q\\..*'], group: g, stream: s, on_error: dead_letter}\ndead_letter: {topic: letters}\n"
	e.produce("orders", 0, 0, 10, 0)
	r := e.start(e.config("queue"))
	e.waitCommitted("orders", 0, 10)
	if got := r.b.Status().Group.Topics; !slices.Equal(got, []string{"orders"}) {
		t.Errorf("topics = %v, want orders alone", got)
	}
	if why := r.leftOut("letters"); !strings.Contains(why, "dead letters") {
		t.Errorf("left out because of %q", why)
	}
}

// What is written twice after a crash has one key.
func TestLettersWrittenAgainAfterACrashCompactAway(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.letterTopic()
	e.routes = keyed("dead_letter")
	e.produceOdd(0, 10, 4)
	var over atomic.Bool
	e.refuseCommitsAbove(0, &over)
	r := e.start(e.config("queue"))
	eventually(t, 10*time.Second, func() error {
		if ls, _ := e.lettersIn(); len(ls) == 0 {
			return fmt.Errorf("no letter yet")
		}
		return nil
	})
	r.crash()
	over.Store(true)
	e.start(e.config("queue"))
	e.waitCommitted("orders", 0, 10)
	ls, _ := e.lettersIn()
	if len(ls) != 2 || ls[0].Identity() != ls[1].Identity() {
		t.Errorf("letters = %+v, want two of one identity", ls)
	}
}

// One record of 10,000 is refused, or ends connections: it is found, set aside as its rule says, and everything else arrives.
func TestOneRecordThatProxiesDoNotTakeIsSetAside(t *testing.T) {
	const n, bad = 10_000, 4321
	for _, c := range []struct {
		confirm, onError string
		code             int
		reason           string
	}{
		{"queue", "{refused: dead_letter}", 104, "refused"},
		{"settle", "{refused: dead_letter}", 104, "refused"},
		{"queue", "{poison: dead_letter}", dptest.CloseConnection, "poison"},
		{"queue", "{refused: skip}", 104, "refused"},
		{"settle", "{poison: skip}", dptest.CloseConnection, "poison"},
	} {
		t.Run(c.confirm+" "+c.onError, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, withPartitions(1), notTaking(payload("orders", 0, bad), c.code))
			e.letterTopic()
			e.routes = "  - {topics: [orders], group: g, stream: s, on_error: " + c.onError + "}\ndead_letter: {topic: letters}\n"
			cfg := e.config(c.confirm)
			cfg.Pack.Bytes.N = 64 << 10
			for from := 0; from < n; from += 2500 {
				e.produce("orders", 0, from, 2500, 0)
			}
			r := e.start(cfg)
			e.waitCommitted("orders", 0, n)
			if gone := missing(e.arrived(), "orders", 0, n); len(gone) != 1 || gone[0] != bad {
				t.Errorf("%d records are not in the queue, want record %d alone", len(gone), bad)
			}
			books := r.part("orders", 0, func(p PartitionStatus) bool { return p.Committed == n && p.Books.Sum() == n }).Books
			ls, originals := e.lettersIn()
			if strings.Contains(c.onError, "skip") {
				if books.Final != n-1 || books.Skipped != 1 || len(ls) > 0 {
					t.Errorf("books = %+v with %d letters, want one record skipped", books, len(ls))
				}
			} else if books.Final != n-1 || books.Dead != 1 || len(ls) != 1 || ls[0].Reason != c.reason || ls[0].Offset != bad || ls[0].Attempts < 2 ||
				string(originals[0].Value) != payload("orders", 0, bad) {
				t.Errorf("books = %+v, letters = %+v; want one of offset %d for %s", books, ls, bad, c.reason)
			}
			if stops := r.b.consumer.Counters.Stops.Snapshot(); len(stops) != 0 {
				t.Errorf("partitions stopped: %v, want none", stops)
			}
			if err := r.drain(); err != nil {
				t.Errorf("drain: %v", err)
			}
		})
	}
}

// Everything is refused: the partition stops at the limit, instead of draining its topic into letters.
func TestRefusalOfEverythingStopsAtTheLimit(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1), withProxy(dptest.WithAnswer(func(dptest.Asked) int { return 104 })))
	e.letterTopic()
	e.routes = "  - {topics: [orders], group: g, stream: s, on_error: dead_letter}\ndead_letter: {topic: letters, limit: 5}\n"
	e.produce("orders", 0, 0, 100, 0)
	r := e.start(e.config("queue"))
	p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Stopped })
	if p.Stall != string(reason.LetterLimit) || !strings.Contains(p.Reason, "dead_letter.limit (5)") {
		t.Errorf("stopped as %s: %s", p.Stall, p.Reason)
	}
	time.Sleep(300 * time.Millisecond)
	if ls, _ := e.lettersIn(); len(ls) > 5 {
		t.Errorf("%d letters, want at most 5", len(ls))
	}
}

// A migration closes with dead letters, and its sums tell them.
func TestMigrationCountsItsDeadLetters(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	e.letterTopic()
	e.routes = keyed("dead_letter")
	e.produceOdd(0, 10, 4, 7)
	v, _, err := e.migrate(t.Context(), "queue")
	if err != nil || !v.Closed || v.Result != Pass {
		t.Fatalf("Migrate = %+v, %v; want closed", v, err)
	}
	if s := v.Sums; s.Final != 8 || s.DeadLettered != 2 || s.Skipped+s.Lost+s.Gap != 0 {
		t.Errorf("sums = %+v, want eight final and two dead letters", s)
	}
}

// Codes that mean "not yet" make no dead letter: a group that the proxies do not know may be created any minute.
func TestNotYetIsNeverADeadLetter(t *testing.T) {
	for _, code := range []int{113, 115, 116} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, withPartitions(1))
			e.letterTopic()
			e.routes = "  - {topics: [orders], group: g, stream: s, on_error: dead_letter}\ndead_letter: {topic: letters}\n"
			for _, p := range e.proxies {
				p.Code(code, 1)
			}
			e.produce("orders", 0, 0, 10, 0)
			r := e.start(e.config("queue"))
			eventually(t, 20*time.Second, func() error {
				s := r.b.Status()
				if slices.ContainsFunc(s.Conditions, func(c Condition) bool { return c.Code == reason.UnknownStream }) {
					return nil
				}
				return fmt.Errorf("conditions = %+v, want %s", s.Conditions, reason.UnknownStream)
			})
			if ls, _ := e.lettersIn(); len(ls) > 0 || e.committed("orders", 0) > 0 || r.b.table.Assigned()[0].Stopped() != nil {
				t.Errorf("%d letters, committed %d, stopped by %+v; want the records to wait", len(ls), e.committed("orders", 0), r.b.table.Assigned()[0].Stopped())
			}
		})
	}
}
