// Package trail has the sender's packs carry the lineage of their records: it is the codec of connector/lineage as the
// sender wants its notes.
package trail

import (
	"sync"

	"inlong-bridge/connector/lineage"
	"inlong-bridge/sdk"
)

// Trails makes the notes of packs. It is safe for concurrent use.
type Trails struct {
	requeued bool
	free     sync.Pool // of *notes
}

// New returns the notes of a sender. requeued says that its records come from a dead-letter topic.
func New(requeued bool) *Trails {
	t := &Trails{requeued: requeued}
	t.free.New = func() any { return &notes{of: t} }
	return t
}

// Origins says where the records of a batch come from. A pointer to it is the Trail of an sdk.Batch.
type Origins struct {
	Source    lineage.Source
	Committed int64   // offset that is committed for the source, or lineage.None
	Offsets   []int64 // of the batch's payloads
}

// Begin implements sdk.Trails.
func (t *Trails) Begin(chars int) sdk.Trail {
	n := t.free.Get().(*notes)
	n.b.Reset(chars, t.requeued)
	return n
}

// Cut implements sdk.Trails.
func (*Trails) Cut(text string, records, from, to int) (string, error) {
	return lineage.Cut(text, records, from, to)
}

// notes are those of one pack. They are used again once they are text.
type notes struct {
	b  lineage.Builder
	of *Trails
}

// Add implements sdk.Trail.
func (n *notes) Add(of any, from, to int) int {
	o := of.(*Origins)
	return n.b.Add(&o.Source, o.Committed, o.Offsets[from:to])
}

// AppendTo implements sdk.Trail.
func (n *notes) AppendTo(dst []byte) []byte {
	dst = n.b.AppendTo(dst)
	n.of.free.Put(n)
	return dst
}
