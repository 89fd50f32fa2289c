package model

import "testing"

// A failure is told with its seed, which is worth something only as long as a seed plays the same schedule each time.
func TestSeedPlaysTheSameScheduleEachTime(t *testing.T) {
	for seed := uint64(1); seed <= 60; seed++ {
		first, _, _ := run(t, seed)
		if again, _, _ := run(t, seed); again != first {
			t.Fatalf("seed %d: %+v, and then %+v", seed, first, again)
		}
	}
}
