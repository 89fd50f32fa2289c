package assign

import (
	"testing"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/sdk"
)

func TestRouteAllocatesNothing(t *testing.T) {
	if raceOn {
		t.Skip("sync.Pool drops at random under -race")
	}
	for _, way := range assigntest.Ways {
		rt, recs := assigntest.RouterBy(t, way.Rule), assigntest.KeyedRecords(1000, 10)
		i := 0
		look := func() {
			if r, err := rt.Route(recs[i%len(recs)]); r == nil || err != nil {
				t.Fatal(r, err)
			}
			i++
		}
		for range recs {
			look()
		}
		if n := testing.AllocsPerRun(2000, look); n != 0 {
			t.Errorf("%s: %v allocations a record, want 0", way.Name, n)
		}
	}
}

// A fetch costs some allocations, for the chunk and for each of its groups; how many records it has makes
// no difference.
func TestTakeAllocatesNothingPerRecord(t *testing.T) {
	if raceOn {
		t.Skip("sync.Pool drops at random under -race")
	}
	for _, way := range assigntest.Ways {
		perFetch := func(n int) float64 {
			rt := assigntest.RouterBy(t, way.Rule)
			p, s, sp := quietPartition(0, rt), new(instantSender), &Splitter{Pack: 256 << 10, Oversize: 1 << 20}
			recs := assigntest.KeyedRecords(n, 10)
			for _, r := range recs { // ten streams, so that groups are the same in both fetches
				r.Key = r.Key[:1]
				r.Headers[1].Value = r.Key
			}
			fetches := 0
			fetch := func() {
				for i, r := range recs {
					r.Offset = int64(fetches*len(recs) + i)
				}
				p.Take(s, sp, recs)
				if fetches++; fetches%8 == 0 {
					if _, ok := p.checkpoint.BeginCommit(); ok {
						p.checkpoint.EndCommit(true)
					}
				}
			}
			for range 50 {
				fetch()
			}
			allocs := testing.AllocsPerRun(100, fetch)
			if want := int64(fetches * n); p.checkpoint.Checkpoint() != want {
				t.Fatalf("%s: checkpoint %d, want %d", way.Name, p.checkpoint.Checkpoint(), want)
			}
			return allocs
		}
		few, many := perFetch(500), perFetch(5000)
		if per := (many - few) / 4500; per > 0.02 {
			t.Errorf("%s: %v allocations in a fetch of 500 records, %v in one of 5000: %.3f a record, want 0", way.Name, few, many, per)
		}
	}
}

func TestNewsOfAPieceAllocatesNothing(t *testing.T) {
	p := quietPartition(0, nil)
	off := int64(0)
	news := func() {
		s := p.checkpoint.Begin(off, off+1)
		pc := uint64(p.checkpoint.Add(s, checkpoint.Origin{First: off, Last: off, Records: 1}))
		p.checkpoint.End(s)
		off++
		p.Settled(pc, sdk.Result{Outcome: sdk.Acked})
		p.Settled(pc, sdk.Result{Outcome: sdk.Final})
		if off%8 == 0 {
			if _, ok := p.checkpoint.BeginCommit(); ok {
				p.checkpoint.EndCommit(true)
			}
		}
	}
	for range 2000 {
		news()
	}
	if n := testing.AllocsPerRun(2000, news); n != 0 {
		t.Errorf("%v allocations a piece, want 0", n)
	}
	if p.checkpoint.Checkpoint() != off {
		t.Errorf("checkpoint %d, want %d", p.checkpoint.Checkpoint(), off)
	}
}
