package connector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/deadletter"
	"inlong-bridge/connector/forwarded"
	"inlong-bridge/connector/kafkahandler"
	"inlong-bridge/connector/lineage"
	"inlong-bridge/connector/resume"
	"inlong-bridge/connector/startfile"
	"inlong-bridge/sdk/frame"
)

// lettersOf writes letters of records orders/0/from.. into partition 0 of the dead-letter topic, one for each key.
func (e *env) lettersOf(reason string, from int, keys ...string) {
	e.t.Helper()
	for i, key := range keys {
		e.letter(letterFor(e, reason, from+i), &kgo.Record{
			Key: []byte(key), Value: []byte(payload("orders", 0, from+i)), Timestamp: time.UnixMilli(1_700_000_000_123 + int64(from+i)),
		})
	}
}

func letterFor(e *env, reason string, offset int) deadletter.Letter {
	cluster, id := e.ids("orders")
	return deadletter.Letter{
		Reason: reason, Sentence: "why", Cluster: cluster, Topic: "orders", TopicID: id, Offset: int64(offset), Last: int64(offset),
		Time: time.UnixMilli(1_700_000_100_000 + int64(offset)), Instance: "i", Attempts: 2,
	}
}

func (e *env) letter(l deadletter.Letter, original *kgo.Record) {
	e.t.Helper()
	r := deadletter.Encode(original, l)
	r.Topic = "letters"
	if err := e.cl.ProduceSync(e.t.Context(), r).FirstErr(); err != nil {
		e.t.Fatal(err)
	}
}

func newLetterEnv(t *testing.T, opts ...envOption) *env {
	t.Helper()
	e := newEnv(t, opts...)
	e.routes = keyed("dead_letter")
	e.letterTopic()
	return e
}

func (e *env) requeueWith(c *config.Config, o RequeueOptions) *Requeue {
	e.t.Helper()
	q, err := NewRequeue(c, Deps{Log: testLog(e.t), KafkaOpts: append([]kgo.Opt{kgo.FetchMaxWait(50 * time.Millisecond)}, e.more...)}, o)
	if err != nil {
		e.t.Fatal(err)
	}
	return q
}

// requeue runs to the end and wants no error.
func (e *env) requeue(o RequeueOptions) RequeueReport {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), 60*time.Second)
	defer cancel()
	v, err := e.requeueWith(e.config("queue"), o).Run(ctx, ctx, nil)
	if err != nil {
		e.t.Fatalf("requeue: %v", err)
	}
	return v
}

// committedBy returns a group's offset of partition 0 of the dead letters, -1 for none.
func (e *env) committedBy(group string) int64 {
	e.t.Helper()
	os, err := e.adm.FetchOffsets(e.t.Context(), group)
	if err != nil {
		return -1
	}
	if o, ok := os.Lookup("letters", 0); ok {
		return o.At
	}
	return -1
}

// The bytes come home, to where the routes of the original's topic take its key.
func TestRequeuedLettersComeHome(t *testing.T) {
	t.Parallel()
	e := newLetterEnv(t)
	odd := []byte("\x00\xff\n ")
	e.letter(letterFor(e, "refused", 7), &kgo.Record{Key: []byte("s"), Value: odd, Timestamp: time.UnixMilli(1_700_000_000_123), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("1")}}})
	e.letter(letterFor(e, "refused", 8), &kgo.Record{Key: []byte("s"), Timestamp: time.UnixMilli(1_700_000_000_124)}) // null
	e.lettersOf("unrouted", 9, "s", "s2")
	v := e.requeue(RequeueOptions{})
	if v.Result != Pass || v.Sums.Final != 4 || v.Group != "bridge.requeue" {
		t.Errorf("requeue = %s of group %s, want PASS with 4 final", v.String(), v.Group)
	}
	want := map[string]int{string(odd): 1, "": 1, payload("orders", 0, 9): 1, payload("orders", 0, 10): 1}
	if got := e.arrived(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("arrived %v, want %v", got, want)
	}
	if at := e.committedBy("bridge.requeue"); at != 4 {
		t.Errorf("committed %d, want 4", at)
	}
	if v := e.requeue(RequeueOptions{}); v.Result != Pass || v.Sums.Final != 4 || len(e.arrived()) != 4 {
		t.Errorf("requeue again = %s, want nothing more to do", v.String())
	}
}

// Stopped on its way twice, the second time without a last word: what was not final is sent again.
func TestRequeueThatIsKilledLosesNothing(t *testing.T) {
	t.Parallel()
	e := newLetterEnv(t)
	e.lettersOf("refused", 0, slices.Repeat([]string{"s"}, 600)...)
	c := e.config("queue")
	c.Kafka.CommitInterval = 20 * time.Millisecond
	for n := range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		hard, kill := context.WithCancel(t.Context())
		var silent atomic.Bool
		silent.Store(true)
		v, err := e.requeueWith(c, RequeueOptions{Rate: 250}).Run(ctx, hard, func(p Progress) {
			if n < 2 && p.Moved > 0 {
				if n == 1 && silent.Swap(false) {
					e.refuseCommits(&silent)
				}
				kill()
				cancel()
			}
		})
		silent.Store(true)
		cancel()
		kill()
		if n < 2 && !errors.Is(err, ErrUnfinished) {
			t.Fatalf("run %d = %s, %v; want it stopped on its way", n, v.String(), err)
		}
		if n == 2 && (err != nil || v.Result != Pass || v.Sums.Final != 600) {
			t.Errorf("last run = %s, %v; want 600 final over all runs", v.String(), err)
		}
	}
	if lost := missing(e.arrived(), "orders", 0, 600); len(lost) > 0 {
		t.Errorf("%d letters never came home, the first is %d", len(lost), lost[0])
	}
}

// requeueWithLoss runs to the end, while a proxy loses what it has acked.
func (e *env) requeueWithLoss() Report {
	e.t.Helper()
	e.stallQueues(true)
	b, err := e.requeueWith(e.config("queue"), RequeueOptions{}).bridge()
	if err != nil {
		e.t.Fatal(err)
	}
	var v Report
	over := make(chan error, 1)
	go func() {
		var err error
		v, err = b.Migrate(e.t.Context(), e.t.Context(), nil)
		over <- err
	}()
	<-b.Ready()
	killWithMemory(e.t, &running{b: b}, e.proxies[0])
	e.stallQueues(false)
	if err := e.proxies[0].Restart(); err != nil {
		e.t.Fatal(err)
	}
	if err := <-over; err != nil || v.Result != Pass {
		e.t.Fatalf("requeue = %s, %v; want PASS", v.String(), err)
	}
	if b.Status().Reread.Records == 0 {
		e.t.Error("nothing was read again; the test shows less than it says")
	}
	return v
}

// What a proxy loses after its ack is read again from the dead-letter topic, and opened again.
func TestRequeuedPacksThatAProxyLosesAreReadAgain(t *testing.T) {
	t.Parallel()
	e := newLetterEnv(t)
	e.lettersOf("refused", 0, slices.Repeat([]string{"s"}, 200)...)
	if v := e.requeueWithLoss(); v.Sums.Final != 200 {
		t.Errorf("requeue = %s, want 200 final", v.String())
	}
	if lost := missing(e.arrived(), "orders", 0, 200); len(lost) > 0 {
		t.Errorf("%d letters never came home", len(lost))
	}
}

// A record that fails again is a letter again, of the same original, and the run ends.
func TestLetterThatFailsAgainIsALetterAgain(t *testing.T) {
	t.Parallel()
	e := newLetterEnv(t)
	e.lettersOf("unrouted", 0, "s", "not a stream", "s")
	v := e.requeue(RequeueOptions{})
	if v.Result != Pass || v.Sums.Final != 2 || v.Sums.DeadLettered != 1 {
		t.Errorf("requeue = %s, want 2 final and 1 dead-lettered", v.String())
	}
	ls, originals := e.lettersIn()
	if len(ls) != 4 {
		t.Fatalf("%d letters, want 4", len(ls))
	}
	i := slices.IndexFunc(ls, func(l deadletter.Letter) bool { return l.Attempts == 3 })
	want := letterFor(e, "unrouted", 1)
	if i < 0 || ls[i].Identity() != want.Identity() || ls[i].Cluster != want.Cluster || string(originals[i].Key) != "not a stream" ||
		!bytes.Equal(originals[i].Value, []byte(payload("orders", 0, 1))) || originals[i].Timestamp.UnixMilli() != 1_700_000_000_124 {
		t.Errorf("letters = %+v, want one of %s with 3 attempts, and the original unchanged", ls, want.Identity())
	}
	if v := e.requeue(RequeueOptions{}); v.Sums.DeadLettered != 2 {
		t.Errorf("requeue again = %s, want the letter that was written again, and once more", v.String())
	}
}

func TestLetterThatFailsAgainStopsIfAsked(t *testing.T) {
	t.Parallel()
	e := newLetterEnv(t)
	e.lettersOf("unrouted", 0, "s", "not a stream", "s")
	v := e.requeue(RequeueOptions{StopAgain: true})
	if p := v.Partitions[0]; v.Result != Unfinished || p.Committed != 1 || p.Final != 1 || !strings.Contains(p.Reason, "not a stream") {
		t.Errorf("requeue = %s, %+v; want it to stop before the letter at offset 1", v.String(), p)
	}
	if ls, _ := e.lettersIn(); len(ls) != 3 {
		t.Errorf("%d letters, want the 3 of before", len(ls))
	}
}

// Each choice has its own progress: a run for one reason does not pass over letters of another for good.
func TestChoicesHaveTheirOwnProgress(t *testing.T) {
	t.Parallel()
	e := newLetterEnv(t)
	e.lettersOf("refused", 0, "s", "s")
	e.lettersOf("too_large", 2, "s")
	e.lettersOf("refused", 3, "s")
	v := e.requeue(RequeueOptions{Choice: LetterChoice{Reasons: []string{"refused"}}})
	if v.Sums.Final != 3 || v.Sums.Skipped != 1 || v.Result != Pass {
		t.Errorf("requeue of refused = %s, want 3 final and 1 skipped", v.String())
	}
	if got := missing(e.arrived(), "orders", 0, 4); fmt.Sprint(got) != "[2]" {
		t.Errorf("not arrived: %v, want [2]", got)
	}
	if v := e.requeue(RequeueOptions{Choice: LetterChoice{Reasons: []string{"too_large"}}}); v.Sums.Final != 1 || v.Sums.Skipped != 3 {
		t.Errorf("requeue of too_large = %s, want 1 final and 3 skipped", v.String())
	}
	if got := e.arrived(); len(got) != 4 || duplicates(got) > 0 {
		t.Errorf("arrived %v, want each of 4 once", got)
	}
}

// Until compaction several letters of one record exist. The newest counts, a null withdraws them.
func TestNewestLetterOfARecordCounts(t *testing.T) {
	t.Parallel()
	e := newLetterEnv(t)
	e.lettersOf("unrouted", 0, "not a stream", "s", "not a stream")
	e.lettersOf("unrouted", 0, "s", "s")
	l := letterFor(e, "unrouted", 1)
	if err := e.cl.ProduceSync(t.Context(), &kgo.Record{Topic: "letters", Key: []byte(l.Identity())}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	v := e.requeue(RequeueOptions{StopAgain: true})
	if p := v.Partitions[0]; v.Result != Unfinished || p.Committed != 2 {
		t.Fatalf("requeue = %s, %+v; want it to stop at the one letter without a stream that is the newest of its record", v.String(), p)
	}
	v = e.requeue(RequeueOptions{})
	if v.Result != Pass || v.Sums.Final != 1 || v.Sums.DeadLettered != 1 || v.Sums.Skipped != 4 {
		t.Errorf("requeue = %s, want 1 final, 1 dead-lettered, 3 older and 1 null skipped", v.String())
	}
	if got := e.arrived(); len(got) != 1 || got[payload("orders", 0, 0)] != 1 {
		t.Errorf("arrived %v, want record 0 once", got)
	}
}

func TestWhatIsNoLetterStopsUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	e := newLetterEnv(t)
	e.lettersOf("refused", 0, "s")
	e.produce("letters", 0, 0, 1, 0)
	batch := letterFor(e, "undecodable", 10)
	batch.Last = 19
	e.letter(batch, &kgo.Record{Value: []byte("a whole batch")})
	e.lettersOf("refused", 3, "s")
	v := e.requeue(RequeueOptions{})
	if p := v.Partitions[0]; v.Result != Unfinished || p.Committed != 1 || !strings.Contains(p.Reason, "no dead letter") || !strings.Contains(p.Reason, "--skip-unreadable") {
		t.Errorf("requeue = %s, %+v; want it to stop at offset 1, which is no letter", v.String(), p)
	}
	v = e.requeue(RequeueOptions{SkipUnreadable: true})
	if v.Result != Pass || v.Sums.Final != 2 || v.Sums.Skipped != 2 {
		t.Errorf("requeue = %s, want 2 final and 2 skipped", v.String())
	}
	if ls, _ := e.lettersInPartition(2); len(ls) != 1 || ls[0].Last != 19 {
		t.Errorf("letters from offset 2 = %+v, want the batch left where it is", ls)
	}
}

// One record of the dead-letter topic is skipped by hand, as any other.
func TestRecordOfTheDeadLetterTopicIsSkippedByHand(t *testing.T) {
	t.Parallel()
	e := newLetterEnv(t)
	e.produce("letters", 0, 0, 1, 0)
	e.lettersOf("refused", 1, "s")
	_, id := e.ids("letters")
	q := e.requeueWith(e.config("queue"), RequeueOptions{})
	q.deps.Skip = []HandSkip{{Entry: startfile.Entry{Topic: "letters", ID: id, Partition: 0, Offset: 0}, Who: "me", Why: "a test"}}
	v, err := q.Run(t.Context(), t.Context(), nil)
	if err != nil || v.Result != Pass || v.Sums.Final != 1 || v.Sums.SkippedByHand != 1 {
		t.Errorf("requeue = %s, %v; want 1 final and 1 skipped by hand", v.String(), err)
	}
}

func (e *env) lettersInPartition(at int64) (ls []deadletter.Letter, err error) {
	e.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(e.kafka.ListenAddrs()...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"letters": {0: kgo.NewOffset().At(at)}}))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	l, _, err := deadletter.Decode(cl.PollRecords(e.t.Context(), 1).Records()[0])
	return []deadletter.Letter{l}, err
}

func TestDryRunChangesNothing(t *testing.T) {
	t.Parallel()
	e := newLetterEnv(t)
	e.lettersOf("refused", 0, "s", "s")
	e.lettersOf("unrouted", 2, "not a stream")
	e.lettersOf("unrouted", 3, "s2")
	q := e.requeueWith(e.config("queue"), RequeueOptions{Choice: LetterChoice{Until: time.UnixMilli(1_700_000_100_003)}})
	var each []string
	d, err := q.DryRun(t.Context(), false, func(l DryLetter) {
		each = append(each, fmt.Sprintf("%d %s %s %s", l.Offset, l.Verdict, l.Reason, l.To))
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(each) != 4 || each[0] != "0 chosen refused g.s" || !strings.HasPrefix(each[2], "2 chosen unrouted no stream: ") || each[3] != "3 not chosen unrouted passed over" {
		t.Errorf("letters = %q", each)
	}
	if len(d.Letters) != 3 || d.Letters[0].Letters != 2 || d.Found != "3 chosen, 1 not chosen, 0 older letter, 0 withdrawn, 0 unreadable" {
		t.Errorf("dry run = %+v", d)
	}
	if got := e.arrived(); len(got) > 0 {
		t.Errorf("a dry run delivered %v", got)
	}
	groups, err := e.adm.ListGroups(t.Context())
	if err != nil || len(groups) > 0 {
		t.Errorf("groups after a dry run: %v, %v; want none", groups.Groups(), err)
	}
}

func TestRequeueWithoutItsTopicSaysSo(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.routes = keyed("dead_letter")
	for name, run := range map[string]func(*Requeue) error{
		"run":    func(q *Requeue) error { _, err := q.Run(t.Context(), t.Context(), nil); return err },
		"dry":    func(q *Requeue) error { _, err := q.DryRun(t.Context(), false, nil); return err },
		"source": func(q *Requeue) error { _, err := q.ToSource(t.Context(), nil); return err },
	} {
		if err := run(e.requeueWith(e.config("queue"), RequeueOptions{})); err == nil || !strings.Contains(err.Error(), "dead-letter topic letters does not exist") {
			t.Errorf("%s: %v, want that the topic does not exist", name, err)
		}
	}
	c := e.config("queue")
	c.DeadLetter.Topic = ""
	if _, err := NewRequeue(c, Deps{}, RequeueOptions{}); !errors.Is(err, ErrNoDeadLetters) {
		t.Errorf("without dead_letter.topic: %v", err)
	}
	if _, err := NewRequeue(e.config("queue"), Deps{}, RequeueOptions{Group: "bridge"}); err == nil {
		t.Error("the bridge's own group was taken for a requeue")
	}
}

// A record that the proxies refuse once more, alone among many, is a letter again; it keeps its identity, and its tries add up.
func TestLetterThatProxiesRefuseAgainIsALetterAgain(t *testing.T) {
	t.Parallel()
	e := newLetterEnv(t, notTaking(payload("orders", 0, 70), 104))
	e.lettersOf("refused", 0, slices.Repeat([]string{"s"}, 200)...)
	v := e.requeue(RequeueOptions{})
	if v.Result != Pass || v.Sums.Final != 199 || v.Sums.DeadLettered != 1 {
		t.Errorf("requeue = %s, want 199 final and 1 dead-lettered", v.String())
	}
	if lost := missing(e.arrived(), "orders", 0, 200); fmt.Sprint(lost) != "[70]" {
		t.Errorf("not arrived: %v, want [70]", lost)
	}
	ls, originals := e.lettersIn()
	i := slices.IndexFunc(ls, func(l deadletter.Letter) bool { return l.Sentence != "why" })
	want := letterFor(e, "refused", 70)
	if len(ls) != 201 || i < 0 || ls[i].Identity() != want.Identity() || ls[i].Attempts < 4 || ls[i].Reason != "refused" || string(originals[i].Key) != "s" || string(originals[i].Value) != payload("orders", 0, 70) {
		t.Errorf("%d letters, %d is new: %+v; want one more of %s with 2 tries and those of now", len(ls), i, ls[max(i, 0)], want.Identity())
	}
}

// Each pack says that it is requeued, and where its originals come from: the record n of a body is the one that the letter names. That
// holds also for packs that a proxy lost, and for letters of several topics and partitions in any order.
func TestRequeuedPacksTellWhereTheirOriginalsComeFrom(t *testing.T) {
	t.Parallel()
	e := newLetterEnv(t)
	e.routes = "  - {topics: [orders, payments], group: g, stream: s, on_error: dead_letter}\ndead_letter: {topic: letters}\n"
	e.createTopics("payments")
	r := rand.New(rand.NewPCG(1, 2))
	want := make(map[string]string) // origin by value
	for i := range 300 {
		l := letterFor(e, "refused", 0)
		if r.IntN(2) == 0 {
			l.Topic = "payments"
			_, l.TopicID = e.ids("payments")
		}
		l.Partition, l.Offset = r.Int32N(3), 1000-int64(i)+r.Int64N(2)*500
		l.Last = l.Offset
		value := fmt.Sprintf("%s/%d/%d/%d", l.Topic, l.Partition, l.Offset, i)
		if want[value] = fmt.Sprintf("%s/%d@%d", resume.TopicID(l.TopicID), l.Partition, l.Offset); i > 200 && r.IntN(4) == 0 {
			l.Offset += 5000 // unique again
			l.Last = l.Offset
			want[value] = fmt.Sprintf("%s/%d@%d", resume.TopicID(l.TopicID), l.Partition, l.Offset)
		}
		e.letter(l, &kgo.Record{Value: []byte(value), Timestamp: time.UnixMilli(1_700_000_000_123)})
	}
	v := e.requeueWithLoss()
	seen := 0
	err := kafkahandler.ReadAll(t.Context(), []kgo.Opt{kgo.SeedBrokers(e.kafka.ListenAddrs()...)}, []string{queueTopic}, func(p kafkahandler.Pack) error {
		src, ok := frame.Attribute(p.Pack.Attr, lineage.Attr)
		if !ok {
			return fmt.Errorf("a pack without lineage: %s", p.Pack.Attr)
		}
		l, err := lineage.Decode(string(src), len(p.Records))
		if err != nil || !l.Requeued {
			return fmt.Errorf("lineage %s: %+v, %w; want it requeued", src, l, err)
		}
		i := 0
		for o := range l.Records() {
			from := l.Sources[o.Source]
			if got, value := fmt.Sprintf("%s/%d@%d", from.Topic, from.Partition, o.Offset), string(p.Records[i]); got != want[value] || from.Committed != lineage.None {
				return fmt.Errorf("record %q comes from %s, committed %d; want %s", value, got, from.Committed, want[value])
			}
			i++
			seen++
		}
		return p.Err
	})
	if err != nil || seen < int(v.Sums.Final) {
		t.Errorf("%d records, %v; want %d and no error", seen, err, v.Sums.Final)
	}
}

// Originals travel as the rule of their own topic says, also after a loss: with the place that they come from, not that of the letter.
func TestRequeuedRecordsTravelAsTheirRuleSays(t *testing.T) {
	t.Parallel()
	e := newLetterEnv(t)
	e.routes = `  - {topics: [orders], group: g, stream: s, forward: {key: true, headers: [h], origin: true, timestamp: true}, tombstone: skip, attrs: {env: a}, on_error: dead_letter}
  - {topics: [payments], group: g, stream: s, forward: {key: true, headers: [h], origin: true, timestamp: true}, envelope: json, attrs: {env: b}}
dead_letter: {topic: letters}
`
	e.createTopics("payments")
	r := rand.New(rand.NewPCG(3, 4))
	want := make(map[int64]forwarded.Record) // by the offset of the original
	for i := range 200 {
		l := letterFor(e, "refused", 5000-7*i)
		if r.IntN(2) == 0 {
			l.Topic = "payments"
			_, l.TopicID = e.ids("payments")
		}
		l.Partition = r.Int32N(2)
		o := &kgo.Record{
			Key: fmt.Appendf(nil, "k%d", i), Value: fmt.Appendf(nil, "v%d", i), Timestamp: time.UnixMilli(1_700_000_000_000 + int64(i)),
			Headers: []kgo.RecordHeader{{Key: "h", Value: fmt.Appendf(nil, "h%d", i)}, {Key: "other"}},
		}
		e.letter(l, o)
		want[l.Offset] = forwarded.Record{
			Key: o.Key, Value: o.Value, Timestamp: o.Timestamp.UnixMilli(), Headers: []forwarded.Header{{Name: "h", Value: o.Headers[0].Value}},
			Origin: forwarded.Origin{Cluster: lineage.ClusterOf(l.Cluster).String(), Topic: l.Topic, TopicID: l.TopicID, Partition: l.Partition, Offset: l.Offset},
		}
	}
	if v := e.requeueWithLoss(); v.Sums.Final != 200 {
		t.Errorf("requeue = %s, want 200 final", v.String())
	}
	seen := make(map[int64]bool)
	for _, m := range e.recordsOf(queueTopic) {
		p, err := frame.DecodeInLongMsg(m.Value)
		if err != nil {
			t.Fatal(err)
		}
		env, _ := frame.Attribute(p.Attr, "env")
		items, err := p.ItemsAttrs(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range items {
			got, err := forwarded.FromEnvelope(it.Data)
			if string(env) == "a" {
				got, err = forwarded.FromAttrs(it.Attr)
				got.Value = it.Data
			}
			w, known := want[got.Origin.Offset]
			if seen[got.Origin.Offset] = true; err != nil || !known || (w.Origin.Topic == "orders") != (string(env) == "a") || !reflect.DeepEqual(got, w) {
				t.Fatalf("a record of a pack with env=%s: %+v, %v\nwant %+v", env, got, err, w)
			}
		}
	}
	if len(seen) != 200 {
		t.Errorf("%d of 200 records arrived", len(seen))
	}
}
