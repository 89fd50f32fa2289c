// Package ends keeps the ends of logs known of partitions of which nothing is heard.
package ends

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"inlong-bridge/connector/internal/assign"
)

// Admin is what a Watch asks the brokers; *kadm.Client answers it.
type Admin interface {
	ListEndOffsets(ctx context.Context, topics ...string) (kadm.ListedOffsets, error)
	ListCommittedOffsets(ctx context.Context, topics ...string) (kadm.ListedOffsets, error)
}

// Watch asks for the ends of logs: a client that is stuck would show no lag.
type Watch struct {
	Admin         Admin
	Assigned      func() []*assign.Assignment
	ReadCommitted bool
	After         time.Duration // a partition of which nothing is heard for half of it is asked about
	Draining      func() bool   // nothing is asked for then
	Works         func() (done func())
}

// Run asks until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	after := w.After
	tick := time.NewTicker(max(after/2, 100*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if w.Draining() {
			continue
		}
		done := w.Works()
		w.ask(ctx, after/2)
		done()
	}
}

// ask asks for the ends of the logs of partitions of which nothing was heard for a while, and notes whether their next
// record belongs to an open transaction.
func (w *Watch) ask(ctx context.Context, quiet time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var topics []string
	var parts []*assign.Assignment
	now := time.Now()
	for _, p := range w.Assigned() {
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
	ends, err := w.Admin.ListEndOffsets(ctx, topics...)
	if err != nil {
		return // the fetches see the same, and say so
	}
	var stable kadm.ListedOffsets
	if w.ReadCommitted {
		if stable, err = w.Admin.ListCommittedOffsets(ctx, topics...); err != nil {
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
