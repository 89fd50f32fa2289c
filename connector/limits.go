package connector

import (
	"os"
	"runtime/debug"

	"inlong-bridge/connector/config"
)

// applyMemoryLimit tells the garbage collector what the container allows, unless the environment did.
func applyMemoryLimit(l config.Limits) {
	if os.Getenv("GOMEMLIMIT") == "" && l.GoMemLimit > 0 {
		debug.SetMemoryLimit(l.GoMemLimit)
	}
}

// ballastBytes is memory that is allocated and never touched, so that it takes no room in the machine. The
// collector runs when the heap has doubled. A bridge at full speed keeps a few MiB and throws away
// hundreds of MiB a second, so without the ballast it would run all the time; with it, it runs when some
// ballastBytes more are garbage, however much is kept.
func ballastBytes(l config.Limits) int64 {
	most := int64(16 << 20)
	if l.MemoryLimit > 0 { // of which the collector takes the ballast for used
		most = min(most, l.MemoryLimit/32)
	}
	return most
}
