package model

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/connector/internal/route"
	"inlong-bridge/sdk/dptest/seeds"
	"inlong-bridge/sdk/finality"
)

var (
	eventsFlag = flag.Int("model.events", fedEvents, "events that the engines get in the fixed schedules; half as many follow with fresh ones")
	seedFlag   = flag.Uint64("model.seed", 0, "run only this schedule, with its whole log")
)

// config is the shipped one, scaled down: the shape of the rules does not depend on the scale.
func config(mode finality.Mode) finality.Config {
	c := finality.DefaultConfig(mode)
	c.Settle, c.Timely, c.ClockGap, c.SlowAck = 2*time.Second, 500*time.Millisecond, 800*time.Millisecond, 300*time.Millisecond
	c.AckTimeout, c.IdleBeat, c.BusyBeat = 3*time.Second, time.Second, 300*time.Millisecond
	c.TrialPause = time.Second
	c.LossGrace, c.Patience = 2*time.Second, 5*time.Second
	c.PauseMin, c.PauseMax = 500*time.Millisecond, 6*time.Second
	c.WindowPacks, c.WindowBytes = 8, 400
	return c
}

// TestNothingCommittedIsMissing runs random schedules until enough events have passed: the ones that every run
// plays, then fresh ones. INLONG_BRIDGE_SEED names the first one instead, INLONG_BRIDGE_SCHEDULES their number.
func TestNothingCommittedIsMissing(t *testing.T) {
	if *seedFlag != 0 {
		if _, failed, log := run(t, *seedFlag); failed != "" {
			t.Fatalf("seed %d: %s\n%s", *seedFlag, failed, strings.Join(log, "\n"))
		}
		return
	}
	if first, n := seeds.Base(t); first != nil || n > 0 {
		from := uint64(1)
		if first != nil {
			from = *first
		}
		for i := range uint64(max(n, 1)) {
			play(t, from+i)
		}
		return
	}
	for _, seed := range found {
		play(t, seed)
	}
	total := playFrom(t, 1, *eventsFlag)
	total.add(playFrom(t, seeds.Fresh(t), *eventsFlag/2))
	if total.fed < *eventsFlag {
		t.Errorf("%d events went through the engine, want at least %d", total.fed, *eventsFlag)
	}
	for e, n := range total.seen {
		t.Logf("%8d times: %s", n, eventNames[e])
		if n == 0 && playsAll {
			t.Errorf("in no schedule: %s", eventNames[e])
		}
	}
}

// found are schedules that once broke a promise. They are the same only as long as the model draws the same.
var found = []uint64{}

// playFrom plays the schedules that follow each other from first until the engines got enough events.
func playFrom(t *testing.T, first uint64, most int) (total stats) {
	seed := first
	for ; total.fed < most; seed++ {
		total.add(play(t, seed))
	}
	t.Logf("%d schedules from seed %d, %d events through the engine, %d in the world, %d duplicates, nothing lost",
		seed-first, first, total.fed, total.events, total.duplicates)
	return total
}

// play plays one schedule and fails the test if a promise is broken.
func play(t *testing.T, seed uint64) stats {
	st, failed, log := run(t, seed)
	if failed != "" {
		t.Fatalf("seed %d: %s\nlast of the schedule (all: -run %s -model.seed %d):\n%s",
			seed, failed, t.Name(), seed, strings.Join(log[max(0, len(log)-25):], "\n"))
	}
	return st
}

type stats struct {
	fed                int // events that engines got
	events, duplicates int // in the world
	seen               [events]int
}

func (s *stats) add(more stats) {
	s.fed += more.fed
	s.events += more.events
	s.duplicates += more.duplicates
	for e, n := range more.seen {
		s.seen[e] += n
	}
}

// run plays one schedule in a time of its own, which nothing but the world moves.
func run(t *testing.T, seed uint64) (st stats, failed string, log []string) {
	synctest.Test(t, func(*testing.T) { st, failed, log = playOut(seed) })
	return st, failed, log
}

// playOut has faults for a while, then none, and then everything must become final.
func playOut(seed uint64) (st stats, failed string, log []string) {
	r := rand.New(rand.NewPCG(seed, 42))
	s := newSchedule(r, [...]int{0, 0, 0, 1, 0, route.KeyLanes}[seed%6])
	defer func() {
		log = s.w.log
		if e := recover(); e != nil {
			b, ok := e.(breach)
			if !ok {
				failed = fmt.Sprintf("%.1fs: panic: %v\n%s", s.w.time().Seconds(), e, debug.Stack())
				return
			}
			failed = fmt.Sprintf("%.1fs: %s", s.w.time().Seconds(), b.what)
		}
	}()
	for range 150 + r.IntN(400) {
		s.step(true)
	}
	s.heal()
	if !s.quiet(func() bool { return s.w.done() && s.settled() }) {
		panic(breach{"not everything is final long after the last fault: " + s.describe()})
	}
	s.w.checkNothingMissing()
	s.w.checkDuplicates()
	for _, m := range s.w.members {
		m.checkTablesEmpty()
	}
	return stats{s.w.fed, s.w.events, s.w.duplicates(), s.w.seen}, "", nil
}
