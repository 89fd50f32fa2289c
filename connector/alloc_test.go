package connector

import (
	"testing"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
)

func TestRouteAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops at random under -race")
	}
	for _, way := range ways {
		rt, recs := routerBy(t, way.rule), keyed(1000, 10)
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
			t.Errorf("%s: %v allocations a record, want 0", way.name, n)
		}
	}
}

// A fetch costs some allocations, for the chunk and for each of its groups; how many records it has makes
// no difference.
func TestTakeAllocatesNothingPerRecord(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops at random under -race")
	}
	for _, way := range ways {
		perFetch := func(n int) float64 {
			rt := routerBy(t, way.rule)
			p, s, sp := quietPartition(0, rt), new(instantSender), &splitter{pack: 256 << 10, suspect: 1 << 20}
			recs := keyed(n, 10)
			for _, r := range recs { // ten streams, so that groups are the same in both fetches
				r.Key = r.Key[:1]
				r.Headers[1].Value = r.Key
			}
			fetches := 0
			fetch := func() {
				for i, r := range recs {
					r.Offset = int64(fetches*len(recs) + i)
				}
				p.take(s, sp, recs)
				if fetches++; fetches%8 == 0 {
					if _, ok := p.wm.BeginCommit(); ok {
						p.wm.EndCommit(true)
					}
				}
			}
			for range 50 {
				fetch()
			}
			allocs := testing.AllocsPerRun(100, fetch)
			if want := int64(fetches * n); p.wm.Checkpoint() != want {
				t.Fatalf("%s: checkpoint %d, want %d", way.name, p.wm.Checkpoint(), want)
			}
			return allocs
		}
		few, many := perFetch(500), perFetch(5000)
		if per := (many - few) / 4500; per > 0.02 {
			t.Errorf("%s: %v allocations in a fetch of 500 records, %v in one of 5000: %.3f a record, want 0", way.name, few, many, per)
		}
	}
}

func TestLooksAtPartitionsAllocateNothing(t *testing.T) {
	b := bridgeOf(t, 500)
	if n := testing.AllocsPerRun(1000, func() {
		if why := b.roomToPoll(); why != (reason.Key{}) {
			t.Fatal(why)
		}
		b.unparkAll()
		for _, p := range b.assigned() {
			p.oldest(p.heard)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestNewsOfAPieceAllocatesNothing(t *testing.T) {
	p := quietPartition(0, nil)
	off := int64(0)
	news := func() {
		s := p.wm.Begin(off, off+1)
		pc := uint64(p.wm.Add(s, checkpoint.Origin{First: off, Last: off, Records: 1}))
		p.wm.End(s)
		off++
		p.Settled(pc, sdk.Result{Outcome: sdk.Acked})
		p.Settled(pc, sdk.Result{Outcome: sdk.Final})
		if off%8 == 0 {
			if _, ok := p.wm.BeginCommit(); ok {
				p.wm.EndCommit(true)
			}
		}
	}
	for range 2000 {
		news()
	}
	if n := testing.AllocsPerRun(2000, news); n != 0 {
		t.Errorf("%v allocations a piece, want 0", n)
	}
	if p.wm.Checkpoint() != off {
		t.Errorf("checkpoint %d, want %d", p.wm.Checkpoint(), off)
	}
}
