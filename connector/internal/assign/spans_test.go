package assign

import (
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
)

func TestSpanHoldsAtMostOnePackAndFourThousandRecords(t *testing.T) {
	for _, tt := range []struct {
		name             string
		records, size    int
		pack             int
		spans, ofRecords int
	}{
		{"by bytes", 1000, 1020, 256 << 10, 4, 256},
		{"by records", 10_000, 10, 256 << 10, 3, maxSpanRecords},
		{"larger than a pack", 5, 3000, 1024, 5, 1},
		{"one fits", 1, 1020, 256 << 10, 1, 1},
		{"empty records", 5000, 0, 256 << 10, 2, maxSpanRecords},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &Splitter{router: assigntest.RouterByHeader(t, false), Pack: tt.pack, Oversize: 1 << 20, Limit: -1}
			var recs []*kgo.Record
			for i := range tt.records {
				recs = append(recs, assigntest.Record(int64(i), "a", 0, string(make([]byte, tt.size))))
			}
			chunks, used := s.split(recs)
			if len(chunks) != tt.spans || used != tt.records || chunks[0].records != tt.ofRecords {
				t.Errorf("%d spans of %d records, the first of %d; want %d of %d, the first of %d",
					len(chunks), used, chunks[0].records, tt.spans, tt.records, tt.ofRecords)
			}
		})
	}
}

// keyed is n records of size bytes that go to so many streams in turn, from an offset on.
func keyed(from, n, streams, size int) (recs []*kgo.Record) {
	for i := range n {
		recs = append(recs, assigntest.Record(int64(from+i), fmt.Sprint("s", (from+i)%streams), 0, string(make([]byte, size))))
	}
	return recs
}

// The records of a stream in a span are one piece: over many streams a span goes on until it has some of each.
func TestSpanOverManyStreamsIsWide(t *testing.T) {
	for _, tt := range []struct {
		name                   string
		records, streams, size int
		short                  int
		spans, ofRecords       int
	}{
		{"few streams", 1024, fewGroups, 1020, 0, 4, 256},
		{"until each has a run", 2048, 100, 1020, 0, 3, runRecords * 100},
		{"by bytes", 8192, 1000, 1020, 0, 2, wideSpan * 256},
		{"by records", 2 * wideSpan * maxSpanRecords, 20_000, 0, 0, 2, wideSpan * maxSpanRecords},
		{"behind short ones", 2 * 256, 1000, 1020, 1, 2, 256},
		{"all short", 8192, 1000, 1020, 100, 32, 256},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &Splitter{router: assigntest.RouterByHeader(t, false), Pack: 256 << 10, Oversize: 1 << 20, Limit: -1, short: tt.short}
			chunks, used := s.split(keyed(0, tt.records, tt.streams, tt.size))
			if len(chunks) != tt.spans || used != tt.records || chunks[0].records != tt.ofRecords {
				t.Errorf("%d spans of %d records, the first of %d; want %d of %d, the first of %d",
					len(chunks), used, chunks[0].records, tt.spans, tt.records, tt.ofRecords)
			}
		})
	}
}

// The groups of a chunk are found by an index that the splitter keeps. 1. a chunk ends at a record that stops the partition  2. another one
// finds the groups of the first: its records go to other streams.
func TestGroupsOfAChunkAreNotThoseOfTheOneBefore(t *testing.T) {
	s := &Splitter{router: assigntest.RouterByHeader(t, true), Pack: 1 << 20, Oversize: 1 << 20, Limit: -1}
	const n = 5 * fewGroups
	if chunks, _ := s.split(append(keyed(0, n, n, 10), assigntest.Record(n, "", 0, "x"))); len(chunks) != 1 || chunks[0].stop == nil {
		t.Fatalf("%d chunks, want one that stops", len(chunks))
	}
	again := keyed(n, n, n, 10)
	slices.Reverse(again)
	want := make(map[int64]string)
	for i, r := range again {
		want[int64(n+i)], r.Offset = string(r.Headers[0].Value), int64(n+i)
	}
	chunks, _ := s.split(again)
	for _, c := range chunks {
		for _, g := range c.groups {
			for _, o := range g.offsets {
				if g.route.Target.Stream != want[o] {
					t.Errorf("offset %d goes to %s, want %s", o, g.route.Target.Stream, want[o])
				}
				delete(want, o)
			}
		}
	}
	if len(want) != 0 {
		t.Errorf("%v go nowhere", want)
	}
}

// Skipped records count, or a span of nothing else would be as long as the fetch.
func TestSpanOfSkippedRecordsIsBounded(t *testing.T) {
	s := &Splitter{router: assigntest.RouterByHeader(t, false), Pack: 1 << 20, Oversize: 1 << 20, Limit: -1}
	var recs []*kgo.Record
	for i := range 3 * maxSpanRecords {
		recs = append(recs, assigntest.Record(int64(i), "", 0, "x"))
	}
	if chunks, _ := s.split(recs); len(chunks) != 3 {
		t.Errorf("%d spans, want 3", len(chunks))
	}
}

// Spans end where packs do not: small records of several spans, and of several fetches, share a pack.
func TestSpansShareOpenPacks(t *testing.T) {
	proxy, err := dptest.NewProxy(dptest.Discard, dptest.WithQueueDelay(0))
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	var d net.Dialer
	s, err := sdk.New(t.Context(), sdk.WithProxies(proxy.Addr()), sdk.WithDial(d.DialContext), sdk.WithPack(256<<10, 32_767, 5*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	rt := assigntest.RouterOf(t, assigntest.Ways[0].Rule, s.Stream)
	p, sp := quietPartition(0, rt), &Splitter{Pack: 256 << 10, Oversize: 1 << 20}
	p.Limit = -1
	recs := assigntest.KeyedRecords(15_000, 10) // 210 KB in the pack, and four spans
	p.Take(s, sp, recs[:9000])
	p.Take(s, sp, recs[9000:])
	if chunks, _ := p.Waiting(); chunks != 0 {
		t.Fatalf("%d chunks are parked, want none", chunks)
	}
	if got := p.checkpoint.Unfinal(); got != 5 {
		t.Errorf("%d pieces, want 5: one for each span", got)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if at, packs := p.checkpoint.Checkpoint(), s.Status().Streams[0].Packs; at != 15_000 || packs != 1 {
		t.Errorf("checkpoint %d in %d packs, want 15000 in 1", at, packs)
	}
}

// 1. a fetch brings 1,000 records  2. two packs of it become final  3. the bridge commits and is killed, and the
// next one begins at the commit. With one span per fetch no run would commit anything. Over many streams later spans are
// wide, and the first ones are not.
func TestCrashLoopFasterThanAFetchAdvances(t *testing.T) {
	for _, streams := range []int{1, 50} {
		const n, size, pack = 1000, 1000, 64 << 10
		sent, at := 0, 0
		for run := 0; at < n; run++ {
			if run == n {
				t.Fatalf("after %d crashes %d of %d records are committed", run, at, n)
			}
			p, s := testPartitionAt(t, new(fakeEvents), int64(at)), &assigntest.Sender{Room: -1}
			p.Take(s, &Splitter{Pack: pack, Oversize: 1 << 20, Limit: -1}, keyed(at, n-at, streams, size))
			final := 0
			for _, pc := range slices.Sorted(maps.Keys(s.Taken)) {
				if final += len(s.Taken[pc].Payloads); final > 2*pack/size {
					break
				}
				sent += len(s.Taken[pc].Payloads)
				s.Taken[pc].Token.Settled(pc, sdk.Result{Outcome: sdk.Final})
			}
			if to, ok := p.Checkpoint().BeginCommit(); ok {
				if l := p.Checkpoint().Ledger(); l.Final != to-int64(at) {
					t.Fatalf("ledger %+v at %d, want %d records final", l, to, int(to)-at)
				}
				at = int(to)
			}
		}
		if streams == 1 && sent != n {
			t.Errorf("%d records became final, want each of %d once", sent, n)
		}
	}
}
