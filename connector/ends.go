package connector

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"inlong-bridge/connector/internal/assign"
)

// endsLoop keeps the ends of the logs known of partitions of which nothing is heard, until ctx ends: a client that is stuck
// would show no lag.
func (b *Bridge) endsLoop(ctx context.Context) {
	after := b.watchdogAfter()
	tick := time.NewTicker(max(after/2, 100*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if b.draining.Load() {
			continue
		}
		done := b.loops.Works("ends")
		b.askEnds(ctx, after/2)
		done()
	}
}

// watchdogAfter is how long a partition may make no progress: in settle nothing is final before settle.
func (b *Bridge) watchdogAfter() time.Duration {
	after := b.cfg.Delivery.Watchdog
	if after > 0 && b.cfg.Delivery.Confirm == "settle" {
		after += b.cfg.Delivery.Settle
	}
	return after
}

// askEnds asks for the ends of the logs of partitions of which nothing was heard for a while, and notes whether their next
// record belongs to an open transaction.
func (b *Bridge) askEnds(ctx context.Context, quiet time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var topics []string
	var parts []*assign.Assignment
	now := time.Now()
	for _, p := range b.assigned() {
		if t := p.Retry.Load(); t != nil && t.Absent {
			continue // a right that one topic lacks would leave all without an answer
		}
		if p.Stopped() == nil && (now.Sub(p.FetchedAt()) >= quiet || p.Behind() > 0 && p.Checkpoint().Unfinal() == 0) {
			parts = append(parts, p)
			if !slices.Contains(topics, p.ID().Topic) {
				topics = append(topics, p.ID().Topic)
			}
		}
	}
	if len(parts) == 0 {
		return
	}
	ends, err := b.admin.ListEndOffsets(ctx, topics...)
	if err != nil {
		return // the fetches see the same, and say so
	}
	var stable kadm.ListedOffsets
	if b.cfg.Kafka.Isolation == "read_committed" {
		if stable, err = b.admin.ListCommittedOffsets(ctx, topics...); err != nil {
			return
		}
	}
	for _, p := range parts {
		end, ok := ends.Lookup(p.ID().Topic, p.ID().Num)
		if !ok || end.Err != nil {
			continue
		}
		p.Log.Grew(end.Offset)
		s, ok := stable.Lookup(p.ID().Topic, p.ID().Num)
		p.Log.SetOpenTxn(ok && s.Err == nil && s.Offset < end.Offset && p.Expects() >= s.Offset)
	}
}
