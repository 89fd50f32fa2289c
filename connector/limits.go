package connector

import (
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/reason"
)

// fetchOpts bounds what kgo fetches and buffers by the fetch share of the budget. What a poll returned
// and the sender did not take is parked, and from one fetch's worth on holds the polling (roomToPoll), so the
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
	if b.held.bytes.Load() > int64(b.limits.FetchMaxBytes) {
		return budgetKey
	}
	if b.pieces.Load() >= int64(b.cfg.Delivery.MaxUnfinal) {
		return unfinalKey
	}
	return reason.Key{}
}

// pieceShare closes a partition that holds more pieces than are free, and opens it again when there is room: so one whose
// commits fail, or whose stream stalls, leaves half of them to the others, two leave a third. Replacements of lost pieces count, and are
// never held up.
func (b *Bridge) pieceShare(p *partition, now time.Time) {
	k := p.shareKey
	held, free := p.wm.Held(), b.cfg.Delivery.MaxUnfinal-int(b.pieces.Load())
	switch e := p.gate.Condition().Get(k); {
	case e == nil && held > free:
		p.gate.Add(reason.New(k, now, fmt.Sprintf("%d pieces of %s wait to become final or to be committed, as many as are free of delivery.max_unfinal (%d); "+
			"hint: see what else keeps them, or look at the failures of commits", held, p.id, b.cfg.Delivery.MaxUnfinal)), true)
		p.mu.Lock() // else whoever noted it a moment ago may say last that there is nothing to do
		p.noteWaitsLocked()
		p.mu.Unlock()
	case e != nil && held <= free/4*3 && now.Sub(e.Since) >= resumePause: // not at once: each pause throws away what was fetched ahead
		p.gate.Drop(k)
	}
}
