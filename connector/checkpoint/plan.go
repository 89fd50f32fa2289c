package checkpoint

import (
	"cmp"
	"slices"
)

// Range is a range of offsets to read again, both ends included.
type Range struct{ First, Last int64 }

// Plan returns the ranges to read so that every origin is covered, in ascending order. Ranges that
// overlap, touch, or leave at most maxGap offsets between them become one: reading a few records for
// nothing is cheaper than moving the reader. It does not keep or change origins.
func Plan(origins []Origin, maxGap int64) []Range {
	if len(origins) == 0 {
		return nil
	}
	ranges := make([]Range, 0, len(origins))
	for _, o := range origins {
		ranges = append(ranges, Range{o.First, o.Last})
	}
	slices.SortFunc(ranges, func(a, b Range) int { return cmp.Compare(a.First, b.First) })
	out := ranges[:1]
	for _, r := range ranges[1:] {
		last := &out[len(out)-1]
		if r.First <= last.Last || r.First-last.Last-1 <= maxGap {
			last.Last = max(last.Last, r.Last)
		} else {
			out = append(out, r)
		}
	}
	return out
}
