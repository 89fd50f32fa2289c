package assign

import (
	"bytes"
	"context"
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
// next one begins at the commit. With one span per fetch no run would commit anything.
func TestCrashLoopFasterThanAFetchAdvances(t *testing.T) {
	const n, size, pack = 1000, 1000, 64 << 10
	value := string(bytes.Repeat([]byte("."), size))
	sent, at := 0, int64(0)
	for run := 0; at < n; run++ {
		if run == n {
			t.Fatalf("after %d crashes %d of %d records are committed", run, at, n)
		}
		p, s := testPartitionAt(t, new(fakeEvents), at), &assigntest.Sender{Room: -1}
		var fetch []*kgo.Record
		for o := at; o < n; o++ {
			fetch = append(fetch, assigntest.Record(o, "a", 0, value))
		}
		p.Take(s, &Splitter{Pack: pack, Oversize: 1 << 20, Limit: -1}, fetch)
		for _, pc := range slices.Sorted(maps.Keys(s.Taken))[:min(2, len(s.Taken))] {
			sent += len(s.Taken[pc].Payloads)
			s.Taken[pc].Token.Settled(pc, sdk.Result{Outcome: sdk.Final})
		}
		if to, ok := p.Checkpoint().BeginCommit(); ok {
			if l := p.Checkpoint().Ledger(); l.Final != to-at {
				t.Fatalf("ledger %+v at %d, want %d records final", l, to, to-at)
			}
			at = to
		}
	}
	if sent != n {
		t.Errorf("%d records became final, want each of %d once", sent, n)
	}
}
