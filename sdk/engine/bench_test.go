package engine

import (
	"testing"
	"time"

	"inlong-bridge/sdk/finality"
)

// life is packs that are sealed, sent, acked and final one after the other on one connection.
type life struct {
	r    *rig
	p    Pack
	ends int
}

func newLife(tb testing.TB, mode finality.Mode) *life {
	l := &life{r: newRig(tb, 2, mode, nil)}
	l.r.heard(l.r.conns[0])
	l.r.heard(l.r.conns[1])
	return l
}

// pack is one whole life.
func (l *life) pack() {
	e, p := l.r.e, &l.p
	l.r.now += 10 * time.Millisecond
	*p = Pack{Records: 10, Followed: true, OpenedAt: l.r.now}
	e.Sealed(p, l.r.streams[0])
	e.Encoded(p, 1000)
	for _, f := range e.Progress(l.r.now) {
		if f.Kind == Send && e.Take(f.Conn, f.Pack, l.r.now) {
			e.Wrote(f.Conn, f.Pack)
		}
	}
	e.Acked(p, l.r.now)
	if l.r.e.cfg.Finality.Mode == finality.Queue {
		e.Seen(p.seq, l.r.now)
	}
	for _, f := range e.Progress(l.r.now) {
		if f.Kind == PackFinal {
			l.ends++
		}
	}
}

func TestLifeOfAPackAllocatesNothing(t *testing.T) {
	for _, mode := range []finality.Mode{finality.Ack, finality.Queue} {
		l := newLife(t, mode)
		for range 2000 {
			l.pack()
		}
		if n := testing.AllocsPerRun(2000, l.pack); n != 0 {
			t.Errorf("%v: %v allocations a pack, want 0", mode, n)
		}
		if l.ends != 4001 || l.r.e.Known() != 0 {
			t.Errorf("%v: %d packs final, %d known", mode, l.ends, l.r.e.Known())
		}
	}
}

// BenchmarkLifeOfAPack is what all decisions about a pack cost, from its seal until it is final.
func BenchmarkLifeOfAPack(b *testing.B) {
	for _, mode := range []finality.Mode{finality.Ack, finality.Queue} {
		b.Run(mode.String(), func(b *testing.B) {
			l := newLife(b, mode)
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				l.pack()
				n++
			}
			if l.ends != n {
				b.Fatalf("%d packs final, want %d", l.ends, n)
			}
		})
	}
}
