package assign

import (
	"inlong-bridge/connector/internal/trail"
	"inlong-bridge/connector/lineage"
)

// Lineage says whether the records of assignments are followed into the queue, and what of their source is told.
type Lineage uint8

const (
	NoLineage   Lineage = iota // packs say nothing
	WithLineage                // packs say where their records come from
	// WithCommitted adds the committed offset. It is of use where final means that the records were seen in the queue: all below it lie there.
	WithCommitted
)

// origins returns what batches of the assignment tell; nil if they tell nothing.
func (s *Spec) origins() *trail.Origins {
	if s.Lineage == NoLineage {
		return nil
	}
	return &trail.Origins{
		Source:    lineage.SourceOf(lineage.ClusterOf(s.Cluster), s.Topic.ID, s.Partition.Topic, s.Partition.Num),
		Committed: lineage.None,
	}
}

// tellOrigins completes what a batch of records with such offsets tells. The committed offset is taken before the batch is handed
// over: all below it lies in the queue before the pack can.
func (p *Assignment) tellOrigins(o *trail.Origins, offsets []int64) {
	if o.Offsets = offsets; p.Lineage == WithCommitted {
		o.Committed = p.checkpoint.Committed()
	}
}
