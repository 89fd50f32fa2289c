package finality

import (
	"fmt"
	"testing"
	"time"
)

// life is packs that are written and acked one after the other on one connection, while so many others are
// acked and not final: each step is one pack's whole life, for each settles one or is seen.
type life struct {
	m         *Machine
	now, step time.Duration
	open      int
	next      Pack
	seen      Pack
	ds        []Decision
	finals    int
}

func newLife(mode Mode, open int) *life {
	cfg := DefaultConfig(mode)
	cfg.WindowPacks, cfg.WindowBytes = 1<<30, 1<<60
	l := &life{m: New(cfg), open: open, step: cfg.Settle / time.Duration(open)}
	l.m.AddEndpoint(1, 0)
	l.m.Opened(1, 1, 0)
	l.m.QueueAnswers(true, 0)
	for s := Stream(0); mode == Queue && s < 1000; s++ { // past their slow start
		p := Pack(1<<40) + Pack(s)
		l.m.Written(p, s, 1, 100<<10, 0)
		l.m.Acked(p, 1, 0)
		l.m.Seen(p, 0)
	}
	l.m.Decisions(nil)
	for range 2*open + 2 {
		l.pack()
	}
	return l
}

func (l *life) pack() {
	l.now += l.step
	l.next++
	l.m.Written(l.next, Stream(l.next%1000), 1, 100<<10, l.now)
	l.m.Acked(l.next, 1, l.now)
	if l.m.cfg.Mode == Queue && l.next > Pack(l.open) {
		l.seen++
		l.m.Seen(l.seen, l.now)
	}
	l.ds = l.m.Decisions(l.ds[:0])
	for _, d := range l.ds {
		if d.Kind == Final {
			l.finals++
		}
	}
}

// unfinal is the number of packs acked that are not final, and whether that is what it should be.
func (l *life) unfinal() (n int, ok bool) {
	n, _ = l.m.Open()
	return n, n == int(l.next)-l.finals && (l.m.cfg.Mode == Ack && n == 0 || l.m.cfg.Mode != Ack && n >= l.open && n <= l.open+2)
}

// BenchmarkLifeOfAPack is what the state machine and the life clock cost a pack from its first byte to final.
func BenchmarkLifeOfAPack(b *testing.B) {
	for _, mode := range []Mode{Ack, Settle, Queue} {
		for _, open := range []int{4, 500_000} {
			if mode == Ack && open > 4 {
				continue
			}
			b.Run(fmt.Sprint(mode, "/", open, " not final"), func(b *testing.B) {
				l := newLife(mode, open)
				b.ReportAllocs()
				for b.Loop() {
					l.pack()
				}
				if n, ok := l.unfinal(); !ok {
					b.Fatalf("%d packs not final, %d of %d final", n, l.finals, l.next)
				}
			})
		}
	}
}

// BenchmarkTick lets time pass, as it does ten times a second, with so many packs not final.
func BenchmarkTick(b *testing.B) {
	for _, mode := range []Mode{Settle, Queue} {
		b.Run(fmt.Sprint(mode, "/500000 not final"), func(b *testing.B) {
			l := newLife(mode, 500_000)
			b.ReportAllocs()
			for b.Loop() {
				l.m.Tick(l.now)
				l.ds = l.m.Decisions(l.ds[:0])
			}
			if n, ok := l.unfinal(); !ok {
				b.Fatalf("%d packs not final", n)
			}
		})
	}
}

func TestLifeOfAPackAllocatesNothing(t *testing.T) {
	for _, mode := range []Mode{Ack, Settle, Queue} {
		l := newLife(mode, 100)
		for range 2000 {
			l.pack()
		}
		if n := testing.AllocsPerRun(2000, l.pack); n != 0 {
			t.Errorf("%v: %v allocations a pack, want 0", mode, n)
		}
		if n, ok := l.unfinal(); !ok {
			t.Errorf("%v: %d packs not final, %d of %d final", mode, n, l.finals, l.next)
		}
	}
}
