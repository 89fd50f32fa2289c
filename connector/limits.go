package connector

import (
	"os"
	"runtime/debug"

	"inlong-bridge/connector/config"
)

// A bridge at full speed keeps some 20 MiB and throws away hundreds of MiB a second. A collector that runs when
// the heap has doubled would run 25 times a second, and as often give memory back that is asked for again at once.
// So the heap gets ballast: memory that is allocated and never touched, and therefore takes no room in the machine.
// The collector then runs when what is kept and the ballast have grown by collectAt percent together, which is at a heap of 1.75
// times what is kept and 42 MiB more. A bridge that keeps much, and is collected seldom anyway, takes no more than with doubling.
const (
	mostBallast = 56 << 20
	collectAt   = 75
)

// tuneCollector tells the garbage collector how far the heap may grow, and what the container allows, unless the environment
// did. What it returns must be kept as long as the bridge runs.
func tuneCollector(l config.Limits) (ballast []byte) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	ballast = make([]byte, ballastBytes(l))
	if os.Getenv("GOMEMLIMIT") == "" && l.GoMemLimit > 0 {
		debug.SetMemoryLimit(l.GoMemLimit + int64(len(ballast))) // it counts as used, and is not
	}
	return ballast
}

// ballastBytes is less in a small container, in which there is less room for garbage.
func ballastBytes(l config.Limits) int64 {
	if l.MemoryLimit > 0 {
		return min(mostBallast, l.MemoryLimit/8)
	}
	return mostBallast
}
