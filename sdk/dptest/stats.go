package dptest

import (
	"context"
	"fmt"
	"maps"
	"time"
)

// Stats counts what one proxy did since its start, over all its processes. Each stored pack is queued, lost, dropped or
// in memory: Packs = Queued + LostPacks + Dropped + InMemory.
type Stats struct {
	Connections    int    // open now
	Accepted       uint64 // connections
	Packs, Records uint64 // put into memory, or dropped by DropStream
	Acked          uint64 // packs whose success ack was written
	Queued         uint64 // packs
	QueuedRecords  uint64
	Lost           uint64 // records lost by Kill, Term and Close
	LostPacks      uint64
	Dropped        uint64 // packs thrown away by DropStream
	InMemory       int    // packs stored and not in the queue
	Heartbeats     uint64 // answered
	Poisoned       uint64 // connections closed because of a bad frame
	LastPoison     string // the reason of the last one
	PutErrors      uint64 // Puts that failed and were repeated
	Errors         map[int]uint64
}

// Stats returns a snapshot.
func (p *Proxy) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.snapshot()
}

func (p *Proxy) snapshot() Stats {
	s := p.stats
	s.Errors = maps.Clone(s.Errors)
	if p.proc != nil {
		s.Connections = len(p.proc.conns)
		s.InMemory = p.proc.inMemory
	}
	return s
}

// WaitStats waits until ok returns true for the proxy's numbers, or ctx ends.
func (p *Proxy) WaitStats(ctx context.Context, ok func(Stats) bool) (Stats, error) {
	for {
		changed := p.changed.Next()
		p.mu.Lock()
		s := p.snapshot()
		p.mu.Unlock()
		if ok(s) {
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return s, fmt.Errorf("waiting for proxy %s, which has %+v: %w", p.addr, s, context.Cause(ctx))
		}
	}
}

// waitLimit is how long the helpers that take a TB wait.
const waitLimit = 30 * time.Second

// WaitFor waits until ok returns true for the proxy's numbers, and fails the test after 30 s.
func (p *Proxy) WaitFor(t TB, ok func(Stats) bool) Stats {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	s, err := p.WaitStats(ctx, ok)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return s
}

// WaitQueued waits until n packs have reached the queue since the start.
func (p *Proxy) WaitQueued(t TB, n uint64) Stats {
	t.Helper()
	return p.WaitFor(t, func(s Stats) bool { return s.Queued >= n })
}
