package connector

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"gopkg.in/yaml.v3"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/config"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/reason"
	"inlong-bridge/mapping"
	"inlong-bridge/sdk"
)

// The stages of a record's way through the connector one by one: what each costs, and that it allocates
// nothing per record.

// ways are how the rules of these tests find the stream of a record.
var ways = []struct{ name, rule string }{
	{"fixed", "- {topics: [t], group: g, stream: s}\n"},
	{"key over 1000 streams", "- {topics: [t], group: g, stream: 's{key}'}\n"},
	{"header over 1000 streams", "- {topics: [t], group: g, stream: '{header:s}'}\n"},
}

func routerBy(tb testing.TB, rule string) *route.Router {
	tb.Helper()
	return routerOf(tb, rule, func(string, string) (*sdk.Stream, error) { return new(sdk.Stream), nil })
}

// routerOf is the router of a rule whose streams open makes.
func routerOf(tb testing.TB, rule string, open func(group, stream string) (*sdk.Stream, error)) *route.Router {
	tb.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(rule), &n); err != nil {
		tb.Fatal(err)
	}
	tab, problems := mapping.Parse(n.Content[0])
	if len(problems) > 0 {
		tb.Fatal(problems)
	}
	rt, err := route.NewRouter(tab.ForTopic("t"), route.NewTable(open, 0))
	if err != nil {
		tb.Fatal(err)
	}
	return rt
}

// keyed is n records of size bytes whose keys and headers name 1,000 streams in turn.
func keyed(n, size int) []*kgo.Record {
	out := make([]*kgo.Record, n)
	for i := range out {
		id := fmt.Appendf(nil, "%d", i%1000)
		out[i] = &kgo.Record{
			Topic: "t", Offset: int64(i), Key: id, Value: make([]byte, size), Timestamp: time.Unix(6000, 0),
			Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte("0af7651916cd43dd")}, {Key: "s", Value: id}},
		}
	}
	return out
}

// quiet wants no news.
type quiet struct{}

func (quiet) moved()                                               {}
func (quiet) lost(*partition, checkpoint.Piece, checkpoint.Origin) {}
func (quiet) stopped(*partition, *reason.Reason)                   {}

func quietPartition(id int32, rt *route.Router) *partition {
	return newPartition(part.ID{Topic: "t", Num: id}, &topic{name: "t"}, rt, 0, quiet{}, testGate(part.ID{Topic: "t", Num: id}), new(heldBack), slog.New(slog.DiscardHandler))
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
	for _, way := range ways {
		b.Run(way.name, func(b *testing.B) {
			rt, recs := routerBy(b, way.rule), keyed(1000, 1024)
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
	for _, way := range ways {
		b.Run(way.name, func(b *testing.B) {
			s := &splitter{router: routerBy(b, way.rule), pack: 256 << 10, suspect: 1 << 20, limit: -1}
			recs := keyed(1000, 1024)
			b.SetBytes(1000 * 1024)
			b.ReportAllocs()
			for b.Loop() {
				if chunks, used := s.split(recs); len(chunks) != 4 || used != len(recs) {
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
	for _, way := range ways {
		b.Run(way.name, func(b *testing.B) {
			rt, recs := routerBy(b, way.rule), keyed(1000, 1024)
			p, s, sp := quietPartition(0, rt), new(instantSender), &splitter{pack: 256 << 10, suspect: 1 << 20}
			b.SetBytes(1000 * 1024)
			b.ReportAllocs()
			fetches := 0
			for b.Loop() {
				for i, r := range recs {
					r.Offset = int64(fetches*len(recs) + i)
				}
				p.take(s, sp, recs)
				if fetches++; fetches%64 == 0 {
					if _, ok := p.wm.BeginCommit(); ok {
						p.wm.EndCommit(true)
					}
				}
			}
			if want := fetches * len(recs); s.records != want || p.wm.Checkpoint() != int64(want) {
				b.Fatalf("%d records taken, checkpoint %d, want %d", s.records, p.wm.Checkpoint(), want)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(recs)), "ns/record")
		})
	}
}

// bridgeOf is a bridge with so many partitions and nothing else.
func bridgeOf(tb testing.TB, n int) *Bridge {
	tb.Helper()
	b := &Bridge{cfg: &config.Config{}, parts: make(map[part.ID]*partition)}
	b.cfg.Delivery.MaxUnfinal = 500_000
	rt := routerBy(tb, ways[0].rule)
	for i := range n {
		b.put(quietPartition(int32(i), rt))
	}
	return b
}

// BenchmarkRoomToPoll is what is asked before each poll.
func BenchmarkRoomToPoll(b *testing.B) {
	for _, n := range []int{1, 500} {
		b.Run(fmt.Sprint(n, " partitions"), func(b *testing.B) {
			br := bridgeOf(b, n)
			b.ReportAllocs()
			for b.Loop() {
				if why := br.roomToPoll(); why != (reason.Key{}) {
					b.Fatal(why)
				}
			}
		})
	}
}

// BenchmarkUnparkAll is what each news of room costs when nothing is parked.
func BenchmarkUnparkAll(b *testing.B) {
	for _, n := range []int{1, 500} {
		b.Run(fmt.Sprint(n, " partitions"), func(b *testing.B) {
			br := bridgeOf(b, n)
			b.ReportAllocs()
			for b.Loop() {
				br.unparkAll()
			}
			if br.turn != b.N {
				b.Fatalf("%d turns, want %d", br.turn, b.N)
			}
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
				s := p.wm.Begin(off, off+1)
				pc := p.wm.Add(s, checkpoint.Origin{First: off, Last: off, Records: 1})
				p.wm.End(s)
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
					if _, ok := p.wm.BeginCommit(); ok {
						p.wm.EndCommit(true)
					}
				}
			}
			if p.wm.Unfinal() != open {
				b.Fatalf("%d pieces not final, want %d", p.wm.Unfinal(), open)
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
		s := p.wm.Begin(i, i+1)
		p.openingLocked(&chunk{first: i, next: i + 1}, now)
		pieces = append(pieces, p.wm.Add(s, checkpoint.Origin{First: i, Last: i, Records: 1}))
		p.wm.End(s)
	}
	for _, pc := range pieces {
		p.wm.Final(pc)
	}
	b.ReportAllocs()
	for b.Loop() {
		if age := p.oldest(now); age != 0 {
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
		s := p.wm.Begin(i, i+1)
		p.mu.Lock()
		p.openingLocked(&chunk{first: i, next: i + 1}, at(i))
		p.mu.Unlock()
		pieces = append(pieces, p.wm.Add(s, checkpoint.Origin{First: i, Last: i, Records: 1}))
		p.wm.End(s)
	}
	now := at(n)
	for i, pc := range pieces {
		if i%7 == 0 { // not each time: several are passed at once
			if got, want := p.oldest(now), now.Sub(at(int64(i))); got != want {
				t.Fatalf("with %d spans passed the oldest is %v old, want %v", i, got, want)
			}
		}
		p.wm.Final(pc)
	}
	if got := p.oldest(now); got != 0 || len(p.opened) != 0 || cap(p.opened) > keptSpans {
		t.Errorf("with all passed: %v, %d spans kept in room for %d; want none", got, len(p.opened), cap(p.opened))
	}
}

// holdOne adds a span of one piece.
func holdOne(p *partition) checkpoint.Piece {
	at := p.wm.Position()
	s := p.wm.Begin(at, at+1)
	pc := p.wm.Add(s, checkpoint.Origin{First: at, Last: at, Records: 1})
	p.wm.End(s)
	return pc
}

func TestUnfinalOfAllPartitionsHoldsFetching(t *testing.T) {
	b := bridgeOf(t, 3)
	b.cfg.Delivery.MaxUnfinal = 4
	parts := b.assigned()
	first := holdOne(parts[0])
	for _, p := range parts {
		holdOne(p)
	}
	want := func(when string, why reason.Key) {
		t.Helper()
		if got := b.roomToPoll(); got != why {
			t.Errorf("%s: roomToPoll = %v, want %v", when, got, why)
		}
	}
	want("4 of 4 are not final", unfinalKey)
	parts[0].wm.Final(first)
	parts[0].wm.Final(first)
	want("one became final, twice told, and is not committed", unfinalKey)
	parts[0].wm.BeginCommit()
	parts[0].wm.EndCommit(true)
	want("it is committed", reason.Key{})
	holdOne(parts[0])
	want("4 again", unfinalKey)
	parts[2].wm.Revoke()
	parts[2].wm.Revoke()
	want("one was revoked with its partition", reason.Key{})
	if got := b.unfinal.Load(); got != 3 {
		t.Errorf("%d pieces not final, want 3", got)
	}
}
