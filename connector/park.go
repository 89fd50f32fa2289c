package connector

import (
	"sync/atomic"

	"inlong-bridge/connector/reason"
)

// heldBack is the memory of what is parked for want of room in the sender, over all partitions. What is
// parked because its own stream is full is not in it: it holds nobody else up.
type heldBack struct{ bytes atomic.Int64 }

// recordWeight is about what a fetched record takes in memory beside its value.
const recordWeight = 200

func (c *chunk) weight() int64 { return c.bytes + recordWeight*int64(c.records) }

// parkLocked puts chunks behind those that wait for the sender.
func (p *partition) parkLocked(chunks []*chunk) {
	for _, c := range chunks {
		p.weight += c.weight()
	}
	p.parked = append(p.parked, chunks...)
}

// shiftLocked takes away the first chunk, which the sender has.
func (p *partition) shiftLocked() {
	p.weight -= p.parked[0].weight()
	p.parked[0] = nil
	p.parked = p.parked[1:]
}

// dropParkedLocked forgets the chunks from i on.
func (p *partition) dropParkedLocked(i int) {
	for _, c := range p.parked[i:] {
		p.weight -= c.weight()
	}
	if clear(p.parked[i:]); i == 0 {
		p.parked = nil
		p.gate.Drop(budgetKey)
	} else {
		p.parked = p.parked[:i]
	}
	p.countLocked()
}

// countLocked brings the bridge's sum up to date.
func (p *partition) countLocked() {
	now := int64(0)
	if p.gate.Condition().Has(reason.Budget) {
		now = p.weight
	}
	if now != p.counted {
		p.held.bytes.Add(now - p.counted)
		p.counted = now
	}
}
