package connector

import (
	"context"
	"errors"
)

// Migrate moves every partition up to the end offsets it had at the start, calls progress once a second, and
// returns a verdict per partition.
func (b *Bridge) Migrate(ctx, hard context.Context, progress func(Progress)) (Verdict, error) {
	return Verdict{}, errors.ErrUnsupported
}

// Progress is the sum over all partitions of a migration.
type Progress struct {
	Partitions, Done int
	Offsets, Moved   int64  // to move in all, safe so far
	Reason           string // why nothing moves, if so
}

// PartitionVerdict closes the books of one partition of a migration.
type PartitionVerdict struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Start     int64  `json:"start"`
	End       int64  `json:"end"`
	Committed int64  `json:"committed"`
	Final     int64  `json:"final"`
	Skipped   int64  `json:"skipped"`
	Gap       int64  `json:"gap"`
	Lost      int64  `json:"lost"`
	Closed    bool   `json:"closed"`
	Reason    string `json:"reason,omitempty"`
}

// Verdict is the end of a migration.
type Verdict struct {
	Partitions []PartitionVerdict `json:"partitions"`
	Closed     bool               `json:"closed"`
}
