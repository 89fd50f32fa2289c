package connector

import (
	"runtime/debug"
	"testing"

	"inlong-bridge/connector/config"
)

func TestMemoryLimitOfTheContainerIsSetUnlessTheEnvironmentSetsOne(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	const limit = 1 << 40 // far away: other tests run beside this one
	t.Setenv("GOMEMLIMIT", "2TiB")
	if applyMemoryLimit(config.Limits{GoMemLimit: limit}); debug.SetMemoryLimit(-1) != before {
		t.Errorf("the limit is %d with GOMEMLIMIT set, want it left at %d", debug.SetMemoryLimit(-1), before)
	}
	t.Setenv("GOMEMLIMIT", "")
	if applyMemoryLimit(config.Limits{}); debug.SetMemoryLimit(-1) != before {
		t.Errorf("the limit is %d without one of the container, want it left at %d", debug.SetMemoryLimit(-1), before)
	}
	if applyMemoryLimit(config.Limits{GoMemLimit: limit}); debug.SetMemoryLimit(-1) != limit {
		t.Errorf("the limit is %d, want the container's, %d", debug.SetMemoryLimit(-1), limit)
	}
}

func TestBallastIsSmallInASmallContainer(t *testing.T) {
	for limit, want := range map[int64]int64{0: 16 << 20, 128 << 20: 4 << 20, 8 << 30: 16 << 20} {
		if got := ballastBytes(config.Limits{MemoryLimit: limit}); got != want {
			t.Errorf("%d bytes of ballast with a limit of %d, want %d", got, limit, want)
		}
	}
}
