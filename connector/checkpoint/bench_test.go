package checkpoint_test

import (
	"runtime"
	"testing"

	"inlong-bridge/connector/checkpoint"
)

// follow tracks and resolves one piece while n others stay open, committing now and then.
type follow struct {
	p    *checkpoint.Partition
	open []checkpoint.Piece
	at   int
	off  int64
}

func newFollow(n int) *follow {
	f := &follow{p: checkpoint.New(0), open: make([]checkpoint.Piece, n)}
	for i := range f.open {
		f.open[i] = f.track()
	}
	return f
}

func (f *follow) track() checkpoint.Piece {
	s := f.p.Begin(f.off, f.off+1)
	pc := f.p.Add(s, origin(f.off, f.off))
	f.p.End(s)
	f.off++
	return pc
}

func (f *follow) step() {
	f.p.Final(f.open[f.at])
	f.open[f.at] = f.track()
	f.at++
	if f.at == len(f.open) {
		f.at = 0
	}
	if f.off%64 == 0 {
		if _, ok := f.p.BeginCommit(); ok {
			f.p.EndCommit(true)
		}
	}
}

func BenchmarkTrackAndResolve(b *testing.B) {
	for _, bb := range []struct {
		name string
		open int
	}{{"1 open", 1}, {"500000 open", 500_000}} {
		b.Run(bb.name, func(b *testing.B) {
			f := newFollow(bb.open)
			b.ReportAllocs()
			for b.Loop() {
				f.step()
			}
			if f.p.Unfinal() != bb.open || f.p.Checkpoint() == 0 && b.N > bb.open {
				b.Fatalf("unfinal %d, checkpoint %d", f.p.Unfinal(), f.p.Checkpoint())
			}
		})
	}
}

func TestSteadyStateDoesNotAllocate(t *testing.T) {
	f := newFollow(2000)
	for range 5000 {
		f.step()
	}
	if n := testing.AllocsPerRun(5000, f.step); n != 0 {
		t.Errorf("%v allocations per piece, want 0", n)
	}
}

func TestAPieceCostsLessThan100Bytes(t *testing.T) {
	const n = 200_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	p := checkpoint.New(0)
	for off := int64(0); off < n; off += 20 {
		s := p.Begin(off, off+20)
		for i := range int64(20) {
			p.Add(s, origin(off+i, off+i))
		}
		p.End(s)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if per := float64(after.HeapAlloc-before.HeapAlloc) / n; per >= 100 {
		t.Errorf("%.1f bytes a piece, want less than 100", per)
	}
	if p.Unfinal() != n {
		t.Errorf("unfinal %d, want %d", p.Unfinal(), n)
	}
}

func TestMemoryIsGivenBackAfterAnOutage(t *testing.T) {
	f := newFollow(100_000)
	for _, pc := range f.open {
		f.p.Final(pc)
	}
	if _, ok := f.p.BeginCommit(); !ok {
		t.Fatal("nothing to commit")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f.p.EndCommit(true)
	old := f.open[0]
	runtime.GC()
	runtime.ReadMemStats(&after)
	if freed := int64(before.HeapAlloc) - int64(after.HeapAlloc); freed < 5<<20 {
		t.Errorf("%d bytes given back, want at least 5 MiB", freed)
	}
	fresh := f.track()
	if f.p.Final(old) || !f.p.Forgotten(old) {
		t.Error("a stale handle answered in a page that was given back")
	}
	if !f.p.Final(fresh) {
		t.Error("the fresh piece did not move the checkpoint")
	}
}
