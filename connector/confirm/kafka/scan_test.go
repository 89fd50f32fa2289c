package kafka

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/sdk/frame"
)

// scan is a reader that is given fetches instead of making them.
type scan struct {
	c    *cluster
	seen []uint64
	next int64
}

func (s *scan) Seen(seqs []uint64) { s.seen = append(s.seen[:0], seqs...) }
func (s *scan) QueueAnswers(bool)  {}

func (s *scan) TopicMissing(string, string, bool) {}
func (s *scan) RepairsUnseen() int                { return 0 }

const scanInstance = "0123456789abcdefghijkl"

func newScan(tb testing.TB) *scan {
	tb.Helper()
	r, err := New(Config{Instance: scanInstance, Timeout: time.Second, Clusters: []Cluster{{Name: "q", Topic: "t", Opts: []kgo.Opt{kgo.SeedBrokers("127.0.0.1:1")}}}})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.Close)
	s := &scan{c: r.Clusters()[0].(*cluster)}
	p := s.c.Positions()
	l := confirm.Listing{Fresh: p.Ask(), Topics: map[string]confirm.TopicListing{"t": {Exists: true, Partitions: map[int32]confirm.Bounds{0: {Start: confirm.At(0), End: confirm.At(0)}}}}}
	starts, err := p.Fix("q", "t", l)
	if err != nil || len(starts) != 1 {
		tb.Fatal(starts, err)
	}
	s.c.reading[starts[0].Place] = starts[0].Life
	return s
}

// fetch is n packs of 100 KiB as the queue holds them, every other one of another instance.
func fetch(tb testing.TB, n int) (kgo.Fetches, int64) {
	tb.Helper()
	body := frame.AppendItem(nil, make([]byte, 100<<10))
	var recs []*kgo.Record
	bytes := int64(0)
	for i := range n {
		who := [2]string{scanInstance, "another"}[i%2]
		p := frame.Pack{
			Ext: frame.ExtStringIDs, DataTime: 1, Count: 1, Uniq: uint32(i), Body: body,
			Attr: append([]byte("groupId=g&streamId=s&rtms=1700000000000&mid="), frame.AppendMid(nil, who, uint64(i))...),
		}
		v, err := frame.AppendInLongMsg(nil, &p, 1_700_000_000_000)
		if err != nil {
			tb.Fatal(err)
		}
		bytes += int64(len(v))
		recs = append(recs, &kgo.Record{Topic: "t", Value: v})
	}
	return kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: "t", Partitions: []kgo.FetchPartition{{Partition: 0, Records: recs}}}}}}, bytes
}

func (s *scan) take(tb testing.TB, fs kgo.Fetches) {
	recs := fs[0].Topics[0].Partitions[0].Records
	for _, r := range recs {
		r.Offset = s.next
		s.next++
	}
	if failed := s.c.take(context.Background(), s, fs); failed || len(s.seen) != len(recs)/2 {
		tb.Fatal(failed, len(s.seen))
	}
}

// BenchmarkReaderOfMids is what the reader of the queue does with a fetch of 100 packs of 100 KiB: the bodies
// are not touched, so it is per pack, whatever it holds.
func BenchmarkReaderOfMids(b *testing.B) {
	s := newScan(b)
	fs, bytes := fetch(b, 100)
	b.SetBytes(bytes)
	b.ReportAllocs()
	for b.Loop() {
		s.take(b, fs)
	}
	if got := s.c.Status(); got.Mine != uint64(s.next)/2 || s.c.Positions().Sum("q").Lag != 0 {
		b.Fatalf("%d packs were mine of %d, lag %d", got.Mine, s.next, got.Lag)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(s.next), "ns/pack")
}

// A fetch costs a few allocations for what it reports, its packs none.
func TestReaderOfMidsAllocatesNothingPerPack(t *testing.T) {
	perFetch := func(n int) float64 {
		s := newScan(t)
		fs, _ := fetch(t, n)
		return testing.AllocsPerRun(50, func() { s.take(t, fs) })
	}
	few, many := perFetch(20), perFetch(400)
	if per := (many - few) / 380; per > 0.02 {
		t.Errorf("%v allocations in a fetch of 20 packs, %v in one of 400, want no more than the list grows", few, many)
	}
}
