package consume

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/sdk"
)

// counting counts what a recordPool lends and gets back.
type counting struct {
	recordPool
	lent, back atomic.Int64
}

func (p *counting) GetRecords(n int) []kgo.Record {
	p.lent.Add(1)
	return p.recordPool.GetRecords(n)
}

func (p *counting) PutRecords(list []kgo.Record) {
	p.back.Add(1)
	p.recordPool.PutRecords(list)
}

// fetcher returns a function that puts records into Kafka and polls them.
func fetcher(t *testing.T, pool kgo.Pool) func(recs []*kgo.Record) kgo.FetchPartition {
	t.Helper()
	k, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	client := func(opts ...kgo.Opt) *kgo.Client {
		cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(k.ListenAddrs()...))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		return cl
	}
	w, r := client(), client(kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.WithPools(pool))
	return func(recs []*kgo.Record) kgo.FetchPartition {
		t.Helper()
		if err := w.ProduceSync(t.Context(), recs...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		fs := r.PollFetches(t.Context())
		if fs.NumRecords() != len(recs) {
			t.Fatalf("polled %d records, %v, want %d", fs.NumRecords(), fs.Errors(), len(recs))
		}
		return fs[0].Topics[0].Partitions[0]
	}
}

// numbered is n records with values of at least size bytes.
func numbered(from, n, size int) (out []*kgo.Record) {
	for i := range n {
		out = append(out, &kgo.Record{Topic: "t", Value: fmt.Appendf(nil, "%0*d", size, from+i), Timestamp: time.Unix(6000, 0)})
	}
	return out
}

// 1. a fetch is pending, since the sender has no room  2. its records are given back  3. the next fetch is decoded into them, and is
// pending too  4. the sender has room again. What it gets is what was in Kafka, in its order and at its own offsets.
func TestPendingRecordsOutliveTheStructsThatWereGivenBack(t *testing.T) {
	const n, polls = 100, 5
	pool := new(counting)
	fetch, sp := fetcher(t, pool), cutting()
	p := assignmentOf(0, assigntest.RouterBy(t, assigntest.Ways[0].Rule))
	full := &assigntest.Sender{Err: sdk.ErrBufferFull}
	var want []string
	for i := range polls {
		recs := numbered(i*n, n, 10)
		for _, r := range recs {
			want = append(want, string(r.Value))
		}
		got := fetch(recs).Records
		giveBack(got, p.Take(full, sp, got).Bytes)
	}
	if lent, back := pool.lent.Load(), pool.back.Load(); lent != polls || back != polls {
		t.Errorf("lent %d lists and got %d back, want %d", lent, back, polls)
	}
	if chunks, _ := p.Waiting(); chunks == 0 || len(full.Order) != 0 {
		t.Fatalf("%d chunks are pending and %d records sent, want all pending", chunks, len(full.Order))
	}
	room := &assigntest.Sender{Room: -1}
	p.Offer(room)
	if !slices.Equal(room.Order, want) {
		t.Errorf("the sender got %.200q, want %.200q", room.Order, want)
	}
	if got := p.Checkpoint().Position(); got != n*polls {
		t.Errorf("position %d, want %d", got, n*polls)
	}
}

// Records of large values are left to the garbage collector, and so are those that nobody took: both are safe.
func TestRecordsThatAreNotGivenBackAreNotLentAgain(t *testing.T) {
	pool := new(counting)
	fetch := fetcher(t, pool)
	large := fetch(numbered(0, 10, 2*smallValue)).Records
	giveBack(large, 10*2*smallValue)
	small := fetch(numbered(10, 10, 10)).Records
	giveBack(small, 10*10)
	if back := pool.back.Load(); back != 1 {
		t.Errorf("%d lists were given back, want the one of small values", back)
	}
	fetch(numbered(20, 10, 10))
	for i, r := range large {
		if want := fmt.Sprintf("%0*d", 2*smallValue, i); string(r.Value) != want || r.Offset != int64(i) {
			t.Fatalf("record %d became %.20q at offset %d", i, r.Value, r.Offset)
		}
	}
}

func TestLendingRecordsAllocatesNothing(t *testing.T) {
	if raceOn {
		t.Skip("the race detector drops what is given back at random")
	}
	p := new(recordPool)
	p.PutRecords(p.GetRecords(5000))
	if n := testing.AllocsPerRun(100, func() {
		p.PutRecords(p.GetRecords(4000))
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
	p.PutRecords(make([]kgo.Record, mostLent+1))
	if got := p.GetRecords(1); cap(got) > mostLent {
		t.Errorf("kept a list of %d records, want at most %d", cap(got), mostLent)
	}
}
