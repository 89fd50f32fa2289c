package lineage

import (
	"cmp"
	"slices"
)

// interval is the offsets from first to last.
type interval struct{ first, last int64 }

// intervals is a set of offsets: in order, none touches the next.
type intervals []interval

// at returns the number of the first interval that ends at or behind an offset.
func (s intervals) at(offset int64) int {
	if n := len(s); n == 0 || s[n-1].last < offset { // mostly
		return n
	}
	i, _ := slices.BinarySearchFunc(s, offset, func(v interval, o int64) int { return cmp.Compare(v.last, o) })
	return i
}

func (s intervals) has(offset int64) bool {
	i := s.at(offset)
	return i < len(s) && s[i].first <= offset
}

// add adds an offset that the set does not have.
func (s *intervals) add(offset int64) {
	l := *s
	i := l.at(offset)
	before, after := i > 0 && l[i-1].last == offset-1, i < len(l) && l[i].first == offset+1
	switch {
	case before && after:
		l[i-1].last = l[i].last
		*s = slices.Delete(l, i, i+1)
	case before:
		l[i-1].last = offset
	case after:
		l[i].first = offset
	default:
		*s = slices.Insert(l, i, interval{offset, offset})
	}
}

// dropBelow removes the offsets below one, and returns how many those were.
func (s *intervals) dropBelow(offset int64) (n int64) {
	l := *s
	i := l.at(offset)
	for _, v := range l[:i] {
		n += v.last - v.first + 1
	}
	if l = l[i:]; len(l) > 0 && l[0].first < offset {
		n += offset - l[0].first
		l[0].first = offset
	}
	*s = l
	return n
}
