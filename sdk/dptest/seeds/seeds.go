// Package seeds chooses the seeds of tests that draw random schedules: fixed ones, so that a fault that was
// found once is looked for in every run, and fresh ones, so that every run looks somewhere else. Only tests
// import it.
package seeds

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// Env names the first seed to play, Count how many follow, the first included. With Env set, nothing else is
// played.
const (
	Env   = "INLONG_BRIDGE_SEED"
	Count = "INLONG_BRIDGE_SCHEDULES"
)

// List returns the seeds 0 to fixed-1 and then as many fresh ones, which follow each other. It says in the
// test's log, which a failure prints, how to play the fresh ones again.
func List(t testing.TB, fixed, fresh int) []uint64 {
	t.Helper()
	base, total := Base(t)
	if base != nil {
		return follow(nil, *base, orElse(total, fixed+fresh))
	}
	if total > 0 {
		// A third of what is asked for is fresh, as in a run that asks for nothing.
		fixed, fresh = total-total/3, total/3
	}
	all := follow(nil, 0, fixed)
	if fresh == 0 {
		return all
	}
	return follow(all, Fresh(t), fresh)
}

// Run plays each seed of List as a subtest that has the seed as its name.
func Run(t *testing.T, fixed, fresh int, play func(t *testing.T, seed uint64)) {
	t.Helper()
	for _, seed := range List(t, fixed, fresh) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { play(t, seed) })
	}
}

// Base returns what the environment asks for: the first seed, nil for none, and the number of schedules, 0
// for none.
func Base(t testing.TB) (first *uint64, total int) {
	t.Helper()
	if text := os.Getenv(Count); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("%s is %q, want a number above 0", Count, text)
		}
		total = n
	}
	if text := os.Getenv(Env); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("%s is %q, want a number from 0", Env, text)
		}
		first = &n
	}
	return first, total
}

// Fresh draws a base seed and says in the test's log how to play it again. It is far above every fixed seed.
func Fresh(t testing.TB) uint64 {
	t.Helper()
	base := 1<<40 + rand.Uint64N(1<<40)
	t.Logf("fresh seeds begin at %d; to play one again: %s=<seed> %s=1 go test -run '^%s$'", base, Env, Count, t.Name())
	return base
}

func follow(dst []uint64, first uint64, n int) []uint64 {
	for i := range uint64(n) {
		dst = append(dst, first+i)
	}
	return dst
}

func orElse(n, other int) int {
	if n > 0 {
		return n
	}
	return other
}
