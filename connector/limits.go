package connector

import (
	"os"
	"runtime/debug"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/reason"
)

// fetchOpts bounds what kgo fetches and buffers by the fetch share of the budget. What a poll returned
// and the sender did not take is pending, and from one fetch's worth on holds the polling (roomToPoll), so the
// share is not exceeded for long.
func fetchOpts(l config.Limits) []kgo.Opt {
	return []kgo.Opt{
		kgo.FetchMaxBytes(l.FetchMaxBytes), kgo.FetchMaxPartitionBytes(l.FetchMaxPartitionBytes),
		kgo.MaxConcurrentFetches(l.MaxConcurrentFetches),
	}
}

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

// roomToPoll says why nothing new may be fetched now, "" if it may. The membership of the group lives on
// without polls. Records that wait for room hold the polling only once they are as much as a fetch: up
// to there the next fetch comes while the sender is busy with the last one.
func (b *Bridge) roomToPoll() (why reason.Key) {
	if b.pending.Bytes.Load() > int64(b.limits.FetchMaxBytes) {
		return assign.BudgetKey
	}
	if b.pieces.Load() >= int64(b.cfg.Delivery.MaxUnfinal) {
		return unfinalKey
	}
	return reason.Key{}
}

// share closes a partition that holds too many pieces, or opens it again.
func (b *Bridge) share(p *assign.Assignment, now time.Time) {
	p.Share(b.cfg.Delivery.MaxUnfinal-int(b.pieces.Load()), b.cfg.Delivery.MaxUnfinal, now)
}
