package seeds_test

import (
	"slices"
	"testing"

	"inlong-bridge/sdk/dptest/seeds"
)

func TestEveryRunPlaysTheFixedSeedsAndOthers(t *testing.T) {
	t.Setenv(seeds.Env, "")
	t.Setenv(seeds.Count, "")
	one, two := seeds.List(t, 4, 3), seeds.List(t, 4, 3)
	if len(one) != 7 || !slices.Equal(one[:4], []uint64{0, 1, 2, 3}) {
		t.Errorf("seeds %v, want 0 to 3 and three fresh ones", one)
	}
	if slices.Equal(one, two) {
		t.Errorf("two runs play the same seeds: %v", one)
	}
	if len(slices.Compact(slices.Sorted(slices.Values(one)))) != 7 {
		t.Errorf("a seed is played twice: %v", one)
	}
}

func TestAFailureCanBePlayedAgain(t *testing.T) {
	t.Setenv(seeds.Env, "18446744073709551615")
	t.Setenv(seeds.Count, "1")
	var got []uint64
	seeds.Run(t, 4, 3, func(_ *testing.T, seed uint64) { got = append(got, seed) })
	if !slices.Equal(got, []uint64{1<<64 - 1}) {
		t.Errorf("seeds %v, want the one that was asked for", got)
	}
}
