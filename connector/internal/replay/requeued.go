package replay

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/requeue"
)

// originals says where the records of a task come from in a requeue. They come from one partition, as the task's piece does.
type originals struct {
	from    *requeue.Letter // nil where nothing is requeued
	offsets map[int64]int64 // of the originals, by that of the letter
}

// originalsOf looks at the records of a task with such offsets.
func originalsOf(recs []*kgo.Record, offsets []int64) (o originals) {
	i := 0
	for _, rec := range recs {
		if i == len(offsets) {
			break
		}
		if rec.Offset != offsets[i] {
			continue
		}
		i++
		l := requeue.Of(rec)
		if l == nil {
			return originals{}
		}
		if o.from == nil {
			o.from, o.offsets = l, make(map[int64]int64, len(offsets))
		}
		o.offsets[rec.Offset] = l.Offset
	}
	return o
}

// told returns the offsets of the originals of letters with such offsets.
func (o *originals) told(offsets []int64) []int64 {
	if o.from == nil {
		return nil
	}
	out := make([]int64, len(offsets))
	for i, at := range offsets {
		out[i] = o.offsets[at]
	}
	return out
}
