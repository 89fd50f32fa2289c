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
	if tuneCollector(config.Limits{GoMemLimit: limit}); debug.SetMemoryLimit(-1) != before {
		t.Errorf("the limit is %d with GOMEMLIMIT set, want it left at %d", debug.SetMemoryLimit(-1), before)
	}
	t.Setenv("GOMEMLIMIT", "")
	if tuneCollector(config.Limits{}); debug.SetMemoryLimit(-1) != before {
		t.Errorf("the limit is %d without one of the container, want it left at %d", debug.SetMemoryLimit(-1), before)
	}
	ballast := tuneCollector(config.Limits{GoMemLimit: limit})
	if got, want := debug.SetMemoryLimit(-1), int64(limit+len(ballast)); got != want {
		t.Errorf("the limit is %d, want the container's and the ballast, which takes no room: %d", got, want)
	}
}

func TestGOGCOfTheEnvironmentIsKept(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	for env, want := range map[string]int{"200": 100, "": collectAt} { // the runtime has read the environment long ago
		t.Setenv("GOGC", env)
		debug.SetGCPercent(100)
		tuneCollector(config.Limits{})
		if got := debug.SetGCPercent(100); got != want {
			t.Errorf("with GOGC %q in the environment the collector runs at %d %%, want %d", env, got, want)
		}
	}
}

func TestBallastIsSmallInASmallContainer(t *testing.T) {
	for limit, want := range map[int64]int64{0: 56 << 20, 128 << 20: 16 << 20, 8 << 30: 56 << 20} {
		if got := ballastBytes(config.Limits{MemoryLimit: limit}); got != want {
			t.Errorf("%d bytes of ballast with a limit of %d, want %d", got, limit, want)
		}
	}
}
