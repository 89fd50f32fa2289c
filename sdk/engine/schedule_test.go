package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"inlong-bridge/sdk/finality"
)

// random drives an engine with random events. After each one every invariant holds, each pack hears its news in an order
// that makes sense, and once all is well everything ends.
type random struct {
	*rig
	r     *rand.Rand
	all   []*Pack
	fault bool
}

func (w *random) step() {
	r := w.r
	switch r.IntN(20) {
	case 0, 1, 2, 3:
		p := &Pack{Records: int32(1 + r.IntN(6)), Repair: r.IntN(6) == 0, Followed: r.IntN(2) == 0, Alone: r.IntN(8) == 0}
		w.e.Sealed(p, w.streams[r.IntN(len(w.streams))])
		w.all = append(w.all, p)
		if r.IntN(8) > 0 {
			w.e.Encoded(p, 100*int(p.Records))
		}
	case 4, 5, 6:
		w.take()
	case 7, 8, 9, 10:
		w.answer()
	case 11:
		w.endOne()
	case 12:
		w.openOne()
	case 13:
		w.e.DialFailed(w.eps[r.IntN(len(w.eps))], errOver, r.IntN(2) == 0, w.now)
	case 14:
		w.now += time.Duration(r.IntN(2000)) * time.Millisecond
		w.e.Tick(w.now)
	case 15:
		for _, p := range w.all {
			if p.state == Filling || p.encoded {
				continue
			}
			if r.IntN(20) == 0 && w.fault {
				w.e.NotEncoded(p, errOver)
			} else {
				w.e.Encoded(p, 100)
			}
		}
	case 16:
		w.seeSome(4)
	case 17:
		if r.IntN(4) == 0 {
			some := slices.Clone(w.eps)
			r.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
			w.e.SetList(w.list, some[:1+r.IntN(len(some))], w.now)
		}
	case 18:
		if b := w.barrier; b {
			w.barrier = false
			if r.IntN(3) == 0 {
				w.e.BarrierFailed(w.now)
			} else {
				w.e.BarrierPassed(w.now, w.now)
			}
		}
	case 19:
		for _, p := range w.all {
			if p.cutting && w.judge != nil && r.IntN(3) == 0 {
				w.e.Judged(p, Verdict(r.IntN(3)), w.now)
			}
			if (p.state == Lost || p.state == Held) && r.IntN(10) == 0 {
				w.e.Forget(p, w.now)
			}
		}
	}
	w.progress()
}

// answer answers some packs that were written, and heartbeats.
func (w *random) answer() {
	w.answerBeats()
	for _, p := range w.all {
		if p.state != InFlight || !p.taken || w.r.IntN(3) == 0 {
			continue
		}
		w.e.Heard(p.conn, w.now)
		if w.fault && w.r.IntN(3) == 0 {
			codes := []int{108, 109, 109, 113, 114, 117, 95}
			w.e.Refused(p, codes[w.r.IntN(len(codes))], false, fmt.Errorf("refused"), w.now)
		} else {
			w.e.Acked(p, w.now)
		}
		w.progress()
	}
}

func (w *random) endOne() {
	i := w.r.IntN(len(w.conns))
	c := w.conns[i]
	if c == nil || !w.fault && !c.closing {
		return
	}
	if w.r.IntN(4) == 0 {
		w.e.GaveUp(c)
	}
	delete(w.out, c)
	w.e.Ended(c, errOver, w.now)
	w.conns[i] = nil
}

func (w *random) openOne() {
	if i := w.r.IntN(len(w.conns)); w.conns[i] == nil && w.eps[i].Listed() {
		unproven := w.r.IntN(3) == 0
		c := w.open(i, unproven)
		if w.r.IntN(2) == 0 {
			w.e.Heard(c, w.now)
		}
	}
}

// seeSome has one of n acked packs be seen, and some that were written.
func (w *random) seeSome(n int) {
	if w.e.cfg.Finality.Mode != finality.Queue {
		return
	}
	for _, p := range w.all {
		if p.written && p.state != Done && w.r.IntN(n) == 0 {
			w.e.Seen(p.seq, w.now)
		}
	}
}

// checkNews says whether a pack heard what it should, in the right order.
func checkNews(p *Pack, news []Kind, ended bool) error {
	held, lost := false, false
	for i, k := range news {
		last := i == len(news)-1
		switch k {
		case PackHeld:
			if held {
				return fmt.Errorf("held twice")
			}
			held = true
		case PackReleased:
			if !held {
				return fmt.Errorf("released, and was not held")
			}
			held = false
		case PackLost:
			if lost || i == 0 || news[i-1] != PackAcked {
				return fmt.Errorf("lost, and was not acked")
			}
			lost = true
		case PackTakenBack:
			if lost || held || p.state == Done && !last && news[i+1] != PackFinal {
				return fmt.Errorf("taken back, and more came of it")
			}
		case PackFinal, PackRefused, PackAbandoned, PackForgotten:
			if !last {
				return fmt.Errorf("more news after %v", k)
			}
		default:
		}
	}
	if ended && p.state != Done && p.state != Lost {
		return fmt.Errorf("it is %v at the end", p.state)
	}
	return nil
}

func runSchedule(t *testing.T, seed uint64, steps int) {
	mode := finality.Mode(seed % 3)
	rnd := rand.New(rand.NewPCG(seed, 1))
	rig := newRig(t, 1+rnd.IntN(3), mode, func(c *Config) {
		c.HoldRefused = rnd.IntN(2) == 0
		if rnd.IntN(2) == 0 {
			c.RetryLimit = rnd.IntN(5)
		}
		c.Retry.Max = 2 * time.Second
		c.HeldRetry.Max = 5 * time.Second
		c.Random = rand.NewPCG(seed, 2)
	})
	w := &random{rig: rig, r: rnd, fault: true}
	for range rnd.IntN(3) {
		w.stream()
	}
	w.seal = func(p *Pack) { w.all = append(w.all, p) }
	if rnd.IntN(2) == 0 {
		w.judge = func(p *Pack) Verdict {
			if v := []Verdict{Keep, TakeBack, GiveUp, cutIt, later}[rnd.IntN(5)]; v != cutIt || p.Records > 1 {
				return v
			}
			return TakeBack
		}
	}
	for range steps {
		w.step()
	}
	// All is well from now on: what is left ends. Held packs are taken.
	w.fault = false
	w.e.SetList(w.list, w.eps, w.now)
	for range 4000 {
		for _, p := range w.all {
			if p.state == Waiting && !p.encoded {
				w.e.Encoded(p, 100)
			}
			if p.cutting {
				w.e.Judged(p, Keep, w.now)
			}
		}
		w.endOne() // closes what the engine wants closed
		w.openOne()
		w.progress()
		w.take()
		w.answer()
		w.seeSome(1)
		if w.barrier {
			w.barrier = false
			w.e.BarrierPassed(w.now, w.now)
		}
		w.wait(100 * time.Millisecond)
		states := w.e.States()
		if states.Pending()+states[Held]+states[Split] == 0 {
			break
		}
	}
	for _, p := range w.all {
		if err := checkNews(p, w.news[p], true); err != nil {
			t.Errorf("seed %d, %v: pack %d heard %v: %v", seed, mode, p.seq, w.news[p], err)
		}
	}
}

func TestRandomEventsKeepEveryInvariantAndEverythingEnds(t *testing.T) {
	seeds := uint64(150)
	if testing.Short() {
		seeds = 30
	}
	for seed := range seeds {
		runSchedule(t, seed, 400)
		if t.Failed() {
			return
		}
	}
}
