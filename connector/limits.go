package connector

import (
	"os"
	"runtime/debug"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/config"
)

// fetchOpts bounds what kgo fetches and buffers by the fetch share of the budget. What a poll returned
// and the sender did not take is parked before the next poll, so the share is not exceeded for long.
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

// roomToPoll says why nothing new may be fetched now, "" if it may. The membership of the group lives on
// without polls.
func (b *Bridge) roomToPoll() (why string) {
	for _, p := range b.assigned() {
		if !p.waits.Load() {
			continue
		}
		if _, _, blocked := p.waiting(); blocked == stallBudget {
			return reasonBudget
		}
	}
	if b.unfinal.Load() >= int64(b.cfg.Delivery.MaxUnfinal) {
		return reasonUnfinal
	}
	return ""
}

const (
	reasonBudget  = "the byte budget is full: records wait for the proxies to take them"
	reasonUnfinal = "delivery.max_unfinal is reached: packs wait to become final"
)
