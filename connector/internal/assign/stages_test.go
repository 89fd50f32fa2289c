package assign

import (
	"fmt"
	"testing"
	"time"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
)

// quiet wants no news.
type quiet struct{}

func (quiet) Moved() {}

func (quiet) Lost(*Assignment, checkpoint.Piece, checkpoint.Origin)  {}
func (quiet) Halve(*Assignment, checkpoint.Piece, checkpoint.Origin) {}

func (quiet) Stopped(*Assignment, *reason.Reason) {}
func (quiet) Freed(*Assignment)                   {}

func quietPartition(id int32, rt *route.Router) *Assignment {
	return New(Spec{Partition: part.ID{Topic: "t", Num: id}, Topic: &Topic{Name: "t"}, Router: rt, Start: 0, Limit: -1}, quiet{}, testGate(part.ID{Topic: "t", Num: id}), new(PendingBytes))
}

// instantSender takes everything in packs of 250 records, and all of it is final at once.
type instantSender struct{ records int }

func (s *instantSender) TrySendBatch(b *sdk.Batch) (int, error) {
	for from := 0; from < len(b.Payloads); from += 250 {
		to := min(from+250, len(b.Payloads))
		pc := b.Packed(from, to)
		b.Token.Settled(pc, sdk.Result{Outcome: sdk.Acked})
		b.Token.Settled(pc, sdk.Result{Outcome: sdk.Final})
	}
	s.records += len(b.Payloads)
	return len(b.Payloads), nil
}

func BenchmarkRoute(b *testing.B) {
	for _, way := range assigntest.Ways {
		b.Run(way.Name, func(b *testing.B) {
			rt, recs := assigntest.RouterBy(b, way.Rule), assigntest.KeyedRecords(1000, 1024)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if r, err := rt.Route(recs[i]); r == nil || err != nil {
					b.Fatal(r, err)
				}
				if i++; i == len(recs) {
					i = 0
				}
			}
			want := 1000
			if rt.Fixed() != nil {
				want = 1
			}
			if got := len(rt.Table().All()); got != want && b.N > 1000 {
				b.Fatalf("%d routes, want %d", got, want)
			}
		})
	}
}

// BenchmarkSplit cuts a fetch of 1,000 records of 1 KiB into groups.
func BenchmarkSplit(b *testing.B) {
	for _, way := range assigntest.Ways {
		b.Run(way.Name, func(b *testing.B) {
			s := &Splitter{router: assigntest.RouterBy(b, way.Rule), Pack: 256 << 10, Oversize: 1 << 20, Limit: -1}
			recs := assigntest.KeyedRecords(1000, 1024)
			b.SetBytes(1000 * 1024)
			b.ReportAllocs()
			for b.Loop() {
				if chunks, used := s.split(recs); len(chunks) == 0 || used != len(recs) {
					b.Fatal(len(chunks), used)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(recs)), "ns/record")
		})
	}
}

// BenchmarkTake is all that a fetch of 1,000 records of 1 KiB costs in the connector: groups, span, pieces,
// handing over to a sender that costs nothing, and the checkpoint.
func BenchmarkTake(b *testing.B) {
	for _, way := range assigntest.Ways {
		b.Run(way.Name, func(b *testing.B) {
			rt, recs := assigntest.RouterBy(b, way.Rule), assigntest.KeyedRecords(1000, 1024)
			p, s, sp := quietPartition(0, rt), new(instantSender), &Splitter{Pack: 256 << 10, Oversize: 1 << 20}
			b.SetBytes(1000 * 1024)
			b.ReportAllocs()
			fetches := 0
			for b.Loop() {
				for i, r := range recs {
					r.Offset = int64(fetches*len(recs) + i)
				}
				p.Take(s, sp, recs)
				if fetches++; fetches%64 == 0 {
					if _, ok := p.checkpoint.BeginCommit(); ok {
						p.checkpoint.EndCommit(true)
					}
				}
			}
			if want := fetches * len(recs); s.records != want || p.checkpoint.Checkpoint() != int64(want) {
				b.Fatalf("%d records taken, checkpoint %d, want %d", s.records, p.checkpoint.Checkpoint(), want)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(recs)), "ns/record")
		})
	}
}

// BenchmarkSettled is the news that a piece is acked, and then final, while so many others are not.
func BenchmarkSettled(b *testing.B) {
	for _, open := range []int{1, 500_000} {
		b.Run(fmt.Sprint(open, " not final"), func(b *testing.B) {
			p := quietPartition(0, nil)
			pieces := make([]uint64, open)
			off := int64(0)
			track := func() uint64 {
				s := p.checkpoint.Begin(off, off+1)
				pc := p.checkpoint.Add(s, checkpoint.Origin{First: off, Last: off, Records: 1})
				p.checkpoint.End(s)
				off++
				return uint64(pc)
			}
			for i := range pieces {
				pieces[i] = track()
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				p.Settled(pieces[i], sdk.Result{Outcome: sdk.Acked})
				p.Settled(pieces[i], sdk.Result{Outcome: sdk.Final})
				pieces[i] = track()
				if i++; i == len(pieces) {
					i = 0
				}
				if off%64 == 0 {
					if _, ok := p.checkpoint.BeginCommit(); ok {
						p.checkpoint.EndCommit(true)
					}
				}
			}
			if p.checkpoint.Unfinal() != open {
				b.Fatalf("%d pieces not final, want %d", p.checkpoint.Unfinal(), open)
			}
		})
	}
}

// BenchmarkOldest is what a look at the age of the oldest span costs (status, metrics) when 10,000 spans
// became final since the last fetch, and none is open.
func BenchmarkOldest(b *testing.B) {
	p := quietPartition(0, nil)
	now := time.Now()
	var pieces []checkpoint.Piece
	for i := range int64(10_000) {
		s := p.checkpoint.Begin(i, i+1)
		p.openedLocked(&chunk{first: i, next: i + 1}, now)
		pieces = append(pieces, p.checkpoint.Add(s, checkpoint.Origin{First: i, Last: i, Records: 1}))
		p.checkpoint.End(s)
	}
	for _, pc := range pieces {
		p.checkpoint.Final(pc)
	}
	b.ReportAllocs()
	for b.Loop() {
		if age := p.Oldest(now); age != 0 {
			b.Fatal(age)
		}
	}
}

// What a look at a partition forgets must not hide what is still open.
func TestOldestIsThatOfTheFirstSpanNotPassed(t *testing.T) {
	p := quietPartition(0, nil)
	began := time.Now()
	at := func(i int64) time.Time { return began.Add(time.Duration(i) * time.Second) }
	var pieces []checkpoint.Piece
	const n = 5000
	for i := range int64(n) {
		s := p.checkpoint.Begin(i, i+1)
		p.mu.Lock()
		p.openedLocked(&chunk{first: i, next: i + 1}, at(i))
		p.mu.Unlock()
		pieces = append(pieces, p.checkpoint.Add(s, checkpoint.Origin{First: i, Last: i, Records: 1}))
		p.checkpoint.End(s)
	}
	now := at(n)
	for i, pc := range pieces {
		if i%7 == 0 { // not each time: several are passed at once
			if got, want := p.Oldest(now), now.Sub(at(int64(i))); got != want {
				t.Fatalf("with %d spans passed the oldest is %v old, want %v", i, got, want)
			}
		}
		p.checkpoint.Final(pc)
	}
	if got := p.Oldest(now); got != 0 || len(p.opened.list) != 0 || cap(p.opened.list) > keptSpans {
		t.Errorf("with all passed: %v, %d spans kept in room for %d; want none", got, len(p.opened.list), cap(p.opened.list))
	}
}
