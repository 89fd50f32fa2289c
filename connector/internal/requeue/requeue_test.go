package requeue

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"gopkg.in/yaml.v3"

	"inlong-bridge/connector/deadletter"
	"inlong-bridge/mapping"
	"inlong-bridge/sdk/dptest/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func routes(t *testing.T) *mapping.Table {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte("- {topics: [orders], group: g, stream: '{key}'}"), &doc); err != nil {
		t.Fatal(err)
	}
	tb, problems := mapping.Parse(doc.Content[0])
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return tb
}

// at is a letter of a record of orders/0 at offset of, which lies at offset pos of the dead letters.
func at(pos, of int64, change ...func(*deadletter.Letter)) *kgo.Record {
	l := deadletter.Letter{Reason: "refused", Topic: "orders", TopicID: [16]byte{1}, Offset: of, Last: of, Time: time.UnixMilli(1000 * of)}
	for _, f := range change {
		f(&l)
	}
	r := deadletter.Encode(&kgo.Record{Key: []byte("s"), Value: []byte("v"), Timestamp: time.UnixMilli(5)}, l)
	r.Topic, r.Offset, r.LeaderEpoch = "letters", pos, 3
	return r
}

func withdrawn(pos int64, key []byte) *kgo.Record {
	return &kgo.Record{Topic: "letters", Offset: pos, Key: key}
}

func TestChoiceTakesLettersThatMeetAllOfIt(t *testing.T) {
	l := deadletter.Letter{Reason: "refused", Topic: "a", Partition: 2, Offset: 10, Time: time.UnixMilli(100)}
	for _, tt := range []struct {
		c    Choice
		want bool
	}{
		{Choice{}, true},
		{Choice{Reasons: []string{"poison", "refused"}}, true},
		{Choice{Reasons: []string{"poison"}}, false},
		{Choice{Topics: []string{"a"}, Partitions: []int32{1, 2}}, true},
		{Choice{Topics: []string{"a"}, Partitions: []int32{1}}, false},
		{Choice{Topics: []string{"b"}, Partitions: []int32{2}}, false},
		{Choice{Offsets: []Range{{0, 5}, {10, 11}}}, true},
		{Choice{Offsets: []Range{{0, 10}, {11, 20}}}, false},
		{Choice{Since: time.UnixMilli(100), Until: time.UnixMilli(101)}, true},
		{Choice{Since: time.UnixMilli(101)}, false},
		{Choice{Until: time.UnixMilli(100)}, false},
	} {
		if got := tt.c.Takes(&l); got != tt.want {
			t.Errorf("%+v takes %+v: %v, want %v", tt.c, l, got, tt.want)
		}
	}
}

// A name is part of a group's name: choices of the same letters have one, others never do.
func TestChoicesAreToldApartByName(t *testing.T) {
	if name := (&Choice{}).Name(); name != "" {
		t.Errorf("the choice of all letters is named %q", name)
	}
	a, b := Choice{Reasons: []string{"x", "y"}, Partitions: []int32{2, 1}}, Choice{Reasons: []string{"y", "x", "x"}, Partitions: []int32{1, 2}}
	if a.Name() != b.Name() || len(a.Name()) != 8 {
		t.Errorf("names %q and %q, want one of 8 characters", a.Name(), b.Name())
	}
	seen := make(map[string]string)
	for _, c := range []Choice{
		{Reasons: []string{"a"}},
		{Topics: []string{"a"}},
		{Reasons: []string{"a", "b"}},
		{Reasons: []string{`a" reason="b`}},
		{Reasons: []string{"a"}, Topics: []string{"b"}},
		{Partitions: []int32{1}},
		{Offsets: []Range{{1, 2}}},
		{Offsets: []Range{{12, 2}}},
		{Since: time.UnixMilli(1)},
		{Until: time.UnixMilli(1)},
	} {
		if old := seen[c.Name()]; old != "" {
			t.Errorf("%+v has the name of %s", c, old)
		}
		seen[c.Name()] = fmt.Sprintf("%+v", c)
	}
}

func TestFetchedLettersAreReplacedByTheirOriginals(t *testing.T) {
	rd := NewReader(Config{Topic: "letters", Routes: routes(t)})
	r := at(17, 4)
	r.Timestamp = time.UnixMilli(99) // of a topic with the time of its brokers
	rd.OnFetchRecordBuffered(r)
	if r.Topic != "letters" || r.Offset != 17 || r.LeaderEpoch != 3 || string(r.Key) != "s" || string(r.Value) != "v" || len(r.Headers) != 0 || r.Timestamp.UnixMilli() != 5 {
		t.Errorf("record = %+v, want the original in the letter's place", r)
	}
	l := Of(r)
	topic, _, err := l.Way()
	if l.Offset != 4 || l.Verdict != Chosen || err != nil {
		t.Fatalf("letter = %+v, %v; want it chosen", l, err)
	}
	if target, result, err := topic.Route(r.Key, nil); target.String() != "g.s" || result != mapping.Routed {
		t.Errorf("route = %v, %v, %v; want g.s", target, result, err)
	}
	other := at(18, 5)
	other.Topic = "orders"
	if rd.OnFetchRecordBuffered(other); Of(other) != nil || string(other.Key) == "s" {
		t.Error("a record of another topic was opened")
	}
}

// Against an oracle that looks at all letters of a partition: the newest that can be delivered is the only one that is.
func TestNewestLetterIsTheOnlyOne(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 1))
		rd := NewReader(Config{Topic: "letters", Routes: routes(t)})
		var recs []*kgo.Record
		for pos := range int64(30) {
			of := r.Int64N(6)
			rec := at(pos, of)
			switch r.IntN(8) {
			case 0:
				rec = withdrawn(pos, rec.Key)
			case 1:
				rec = at(pos, of, func(l *deadletter.Letter) { l.Last = of + 3 })
			case 2:
				rec = &kgo.Record{Topic: "letters", Key: rec.Key, Value: []byte("no letter"), Offset: pos}
			}
			rec.Partition = r.Int32N(2)
			recs = append(recs, rec)
		}
		for _, rec := range recs {
			rd.See(rec)
		}
		newest := make(map[string]int64)
		for _, rec := range recs {
			l, _, err := deadletter.Decode(rec)
			if rec.Value == nil || err == nil && l.Last == l.Offset {
				newest[fmt.Sprint(rec.Partition, string(rec.Key))] = rec.Offset
			}
		}
		for _, rec := range recs {
			l, _ := rd.Open(rec)
			_, _, err := deadletter.Decode(rec)
			older := newest[fmt.Sprint(rec.Partition, string(rec.Key))] > rec.Offset
			var want Verdict
			switch {
			case rec.Value == nil:
				want = Withdrawn
			case err != nil:
				want = Unreadable
			case older:
				want = Older
			case l.Last != l.Offset:
				want = Unreadable
			}
			if l.Verdict != want {
				t.Fatalf("seed %d, offset %d: %v, want %v", seed, rec.Offset, l.Verdict, want)
			}
		}
	}
}

// Beyond the limit nothing is forgotten that is known, and nothing is taken for older that is not.
func TestTooManyOriginalsAreNotSkipped(t *testing.T) {
	rd := NewReader(Config{Topic: "letters", Routes: routes(t)})
	rd.newest.most = 2
	recs := []*kgo.Record{at(0, 1), at(1, 2), at(2, 3), at(3, 1), at(4, 3)}
	for _, r := range recs {
		rd.See(r)
	}
	var got []string
	for _, r := range recs {
		l, _ := rd.Open(r)
		got = append(got, l.Verdict.String())
	}
	if want := []string{"older letter", "chosen", "chosen", "chosen", "chosen"}; !slices.Equal(got, want) || !rd.ForgetsOlder() {
		t.Errorf("verdicts = %q, full: %v; want %q", got, rd.ForgetsOlder(), want)
	}
}

// A log may end in offsets without records, and records come while a scan runs.
func TestScanEndsAtItsEnds(t *testing.T) {
	k, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "letters"))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	opts := []kgo.Opt{kgo.SeedBrokers(k.ListenAddrs()...), kgo.FetchMaxWait(50 * time.Millisecond)}
	cl, err := kgo.NewClient(append(slices.Clone(opts), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for i := range 60 {
		r := at(0, int64(i))
		r.Partition = int32(i % 2)
		if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	asked := 0
	s := Scan{Topic: "letters", Opts: opts, Ranges: map[int32]Range{0: {3, 20}, 1: {0, 50}, 2: {}}, Next: func(_ context.Context, num int32, from int64) (int64, error) {
		asked++
		if num != 1 || from != 30 {
			t.Errorf("asked about %d from %d, want 1 from 30", num, from)
		}
		return 50, nil // as if compaction had taken what was there
	}}
	got := make(map[int32][]int64)
	upTo := make(map[int32]int64)
	if err := s.Run(t.Context(), func(num int32, recs []*kgo.Record, next int64) error {
		for _, r := range recs {
			got[num] = append(got[num], r.Offset)
		}
		upTo[num] = next
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(got[0]) != 17 || got[0][0] != 3 || len(got[1]) != 30 || asked == 0 || upTo[0] != 20 || upTo[1] != 50 {
		t.Errorf("visited %v up to %v, want 3 to 19 of partition 0 and 0 to 29 of 1, up to 20 and 50", got, upTo)
	}
}
