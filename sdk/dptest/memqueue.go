package dptest

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"inlong-bridge/sdk/frame"
	"inlong-bridge/sdk/signal"
)

// MemoryQueue is a Queue for tests: clusters x partitions of messages, each append-only, stallable.
// It is safe for concurrent use, by several proxies too.
type MemoryQueue struct {
	mu       sync.Mutex
	clusters []*memoryCluster // the slice is fixed
	next     int              // cluster of the next message given to Put
	total    int
	changed  signal.Broadcast // by an append, Stall, Resume or AddPartition
}

type memoryCluster struct {
	partitions [][]QueueMessage
	next       int // partition of the next message
	stalled    bool
}

var _ ClusterQueue = (*MemoryQueue)(nil)

// NewMemoryQueue returns an empty queue of clusters x partitions logs, at least one of each.
func NewMemoryQueue(clusters, partitions int) *MemoryQueue {
	q := &MemoryQueue{}
	for range max(clusters, 1) {
		q.clusters = append(q.clusters, &memoryCluster{partitions: make([][]QueueMessage, max(partitions, 1))})
	}
	return q
}

// Clusters returns how many clusters there are.
func (q *MemoryQueue) Clusters() int { return len(q.clusters) }

// Put spreads m round robin over the clusters. It waits for a stalled cluster after the others have
// theirs; when ctx ends first the error is a *PutError.
func (q *MemoryQueue) Put(ctx context.Context, m []QueueMessage) error {
	q.mu.Lock()
	first := q.next
	q.next = (q.next + len(m)) % len(q.clusters)
	q.mu.Unlock()

	shares := make([][]QueueMessage, len(q.clusters))
	for i := range m {
		c := (first + i) % len(q.clusters)
		shares[c] = append(shares[c], m[i])
	}
	stored := make([]bool, len(q.clusters))
	var waiting []int
	for c, share := range shares {
		if stored[c] = len(share) == 0 || ctx.Err() == nil && q.tryPut(c, share); !stored[c] {
			waiting = append(waiting, c)
		}
	}
	var err error
	for _, c := range waiting {
		if err = q.PutTo(ctx, c, shares[c]); err != nil {
			break
		}
		stored[c] = true
	}
	if err == nil {
		return nil
	}
	pe := &PutError{Stored: make([]bool, len(m)), Err: err}
	for i := range m {
		pe.Stored[i] = stored[(first+i)%len(q.clusters)]
	}
	return pe
}

// PutTo appends m round robin over the partitions of one cluster, all of it at once or nothing. While
// the cluster is stalled it waits.
func (q *MemoryQueue) PutTo(ctx context.Context, cluster int, m []QueueMessage) error {
	for {
		changed := q.Changed()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if q.tryPut(cluster, m) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// tryPut stores m unless the cluster is stalled.
func (q *MemoryQueue) tryPut(cluster int, m []QueueMessage) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := q.clusters[cluster]
	if c.stalled {
		return false
	}
	for i := range m {
		p := c.next % len(c.partitions)
		c.partitions[p] = append(c.partitions[p], m[i])
		c.next++
	}
	q.total += len(m)
	q.changed.Wake()
	return true
}

// Changed returns a channel that is closed at the next append, Stall, Resume or AddPartition.
func (q *MemoryQueue) Changed() <-chan struct{} { return q.changed.Next() }

// Stall makes a cluster take nothing until Resume. What lies in it can still be read; a test that wants
// a cluster that does not answer at all asks Stalled.
func (q *MemoryQueue) Stall(cluster int) { q.setStalled(cluster, true) }

// Resume ends a Stall.
func (q *MemoryQueue) Resume(cluster int) { q.setStalled(cluster, false) }

func (q *MemoryQueue) setStalled(cluster int, on bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.clusters[cluster].stalled = on
	q.changed.Wake()
}

// Stalled says whether a cluster is stalled.
func (q *MemoryQueue) Stalled(cluster int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.clusters[cluster].stalled
}

// AddPartition gives a cluster one more empty partition and returns its number.
func (q *MemoryQueue) AddPartition(cluster int) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := q.clusters[cluster]
	c.partitions = append(c.partitions, nil)
	q.changed.Wake()
	return len(c.partitions) - 1
}

// Partitions returns how many partitions a cluster has.
func (q *MemoryQueue) Partitions(cluster int) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.clusters[cluster].partitions)
}

// Read returns the messages of a partition from offset from on, as many as there are now.
func (q *MemoryQueue) Read(cluster, partition int, from int64) []QueueMessage {
	q.mu.Lock()
	defer q.mu.Unlock()
	log := q.clusters[cluster].partitions[partition]
	if from < 0 || from >= int64(len(log)) {
		return nil
	}
	return slices.Clone(log[from:])
}

// End returns the offset the next message of a partition will get.
func (q *MemoryQueue) End(cluster, partition int) int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return int64(len(q.clusters[cluster].partitions[partition]))
}

// Len returns how many messages there are in all clusters together.
func (q *MemoryQueue) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.total
}

// Wait returns nil once the queue holds at least n messages.
func (q *MemoryQueue) Wait(ctx context.Context, n int) error {
	for {
		changed := q.Changed()
		have := q.Len()
		if have >= n {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("waiting for %d messages in the queue, %d are there: %w", n, have, context.Cause(ctx))
		}
	}
}

// WaitFor is Wait with the test's own time-out of virtual or real d.
func (q *MemoryQueue) WaitFor(t TB, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	if err := q.Wait(ctx, n); err != nil {
		t.Fatalf("%v", err)
	}
}

// All returns every message, cluster by cluster and partition by partition.
func (q *MemoryQueue) All() []QueueMessage {
	q.mu.Lock()
	defer q.mu.Unlock()
	all := make([]QueueMessage, 0, q.total)
	for _, c := range q.clusters {
		for _, p := range c.partitions {
			all = append(all, p...)
		}
	}
	return all
}

// Records opens every pack of a stream and returns the records, in no particular order.
func (q *MemoryQueue) Records(group, stream string) ([][]byte, error) {
	var records [][]byte
	for _, m := range q.All() {
		if m.Group != group || m.Stream != stream {
			continue
		}
		o, err := frame.OpenInLongMsg(m.Value, maxUnpacked)
		if err != nil {
			return nil, fmt.Errorf("opening a message of %s.%s: %w", group, stream, err)
		}
		records = append(records, o.Records...)
	}
	return records, nil
}

// maxUnpacked bounds the bytes of records that helpers take out of one pack.
const maxUnpacked = 64 << 20
