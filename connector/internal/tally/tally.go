// Package tally counts by the values of one label.
package tally

import (
	"maps"
	"sync"
)

// ByLabel counts per value of one label, of which there must be few. The zero value is ready. It is safe for concurrent use.
type ByLabel struct {
	mu sync.Mutex
	n  map[string]uint64 // guarded by mu
}

// Add counts and reports whether the label is new.
func (c *ByLabel) Add(label string, n uint64) (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = make(map[string]uint64)
	}
	before := len(c.n)
	c.n[label] += n
	return len(c.n) > before
}

// Snapshot copies the counts, with 0 for those of known that were not added to: a series that is there from the start has an increase
// when it first counts.
func (c *ByLabel) Snapshot(known ...string) map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := make(map[string]uint64, len(c.n)+len(known))
	for _, label := range known {
		n[label] = 0
	}
	maps.Copy(n, c.n)
	return n
}
