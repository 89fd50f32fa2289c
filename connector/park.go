package connector

import "sync/atomic"

// heldBack is the memory of what is parked for want of room in the sender, over all partitions. What is
// parked because its own stream is full is not in it: it holds nobody else up.
type heldBack struct{ bytes atomic.Int64 }

// recordWeight is about what a fetched record takes in memory beside its value.
const recordWeight = 200

func (c *chunk) weight() int64 { return c.bytes + recordWeight*int64(c.records) }

// park puts chunks behind those that wait for the sender; p.mu is held.
func (p *partition) park(chunks []*chunk) {
	for _, c := range chunks {
		p.weight += c.weight()
	}
	p.parked = append(p.parked, chunks...)
}

// shift takes away the first chunk, which the sender has; p.mu is held.
func (p *partition) shift() {
	p.weight -= p.parked[0].weight()
	p.parked[0] = nil
	p.parked = p.parked[1:]
}

// dropParked forgets the chunks from i on; p.mu is held.
func (p *partition) dropParked(i int) {
	for _, c := range p.parked[i:] {
		p.weight -= c.weight()
	}
	if clear(p.parked[i:]); i == 0 {
		p.parked, p.blocked = nil, ""
	} else {
		p.parked = p.parked[:i]
	}
	p.count()
}

// count brings the bridge's sum up to date; p.mu is held.
func (p *partition) count() {
	now := int64(0)
	if p.blocked == stallBudget {
		now = p.weight
	}
	if now != p.counted {
		p.held.bytes.Add(now - p.counted)
		p.counted = now
	}
}
