package verify

import (
	"errors"
	"iter"
	"maps"
	"math/bits"
	"slices"
)

// ErrMemory says that the bitmaps would take more memory than they may.
var ErrMemory = errors.New("more offsets than there is memory for")

// A chunk is the bitmap of so many offsets.
const (
	chunkBits   = 20
	chunkSize   = 1 << chunkBits
	chunkOffset = chunkSize - 1
	chunkBytes  = chunkSize / 8
)

// Memory is what the bitmaps of all sets may take together. It is not safe for concurrent use.
type Memory struct{ chunks, used int }

// NewMemory allows so many bytes, and at least one bitmap.
func NewMemory(bytes int64) *Memory { return &Memory{chunks: int(max(bytes/chunkBytes, 1))} }

// Set is a set of offsets: a bitmap for each million of them. A million that is full takes none. Its zero value is of no use; see
// NewSet. It is not safe for concurrent use.
type Set struct {
	memory *Memory
	chunks map[int64]*chunk // by offset >> chunkBits
	n      int64
}

type chunk struct {
	bits []uint64 // nil when all are set
	n    int
}

// NewSet returns an empty set.
func NewSet(m *Memory) *Set { return &Set{memory: m, chunks: make(map[int64]*chunk)} }

// Len returns the number of offsets.
func (s *Set) Len() int64 { return s.n }

// Clear makes the set empty, and frees its memory.
func (s *Set) Clear() {
	for _, c := range s.chunks {
		if c.bits != nil {
			s.memory.used--
		}
	}
	clear(s.chunks)
	s.n = 0
}

// Has reports whether the set has an offset.
func (s *Set) Has(offset int64) bool {
	c := s.chunks[offset>>chunkBits]
	return c != nil && (c.bits == nil || c.bits[offset&chunkOffset/64]&(1<<(offset%64)) != 0)
}

// Add adds an offset, and reports whether the set had it. The error is ErrMemory.
func (s *Set) Add(offset int64) (had bool, err error) {
	c := s.chunks[offset>>chunkBits]
	switch {
	case c == nil:
		if s.memory.used == s.memory.chunks {
			return false, ErrMemory
		}
		s.memory.used++
		c = &chunk{bits: make([]uint64, chunkSize/64)}
		s.chunks[offset>>chunkBits] = c
	case c.bits == nil:
		return true, nil
	}
	word, bit := &c.bits[offset&chunkOffset/64], uint64(1)<<(offset%64)
	if *word&bit != 0 {
		return true, nil
	}
	*word |= bit
	s.n++
	if c.n++; c.n == chunkSize {
		c.bits = nil
		s.memory.used--
	}
	return false, nil
}

// Interval is the offsets from First to Last.
type Interval struct {
	First int64 `json:"first"`
	Last  int64 `json:"last"`
}

// Len is how many offsets lie in it.
func (i Interval) Len() int64 { return i.Last - i.First + 1 }

// Next returns the first offset from a given one on that the set has, or, without has, that it has not; at most end.
func (s *Set) Next(from, end int64, has bool) int64 {
	for from < end {
		c := s.chunks[from>>chunkBits]
		behind := (from>>chunkBits + 1) << chunkBits
		switch {
		case c == nil && has, c != nil && c.bits == nil && !has:
			from = behind
			continue
		case c == nil || c.bits == nil:
			return from
		}
		for from < min(behind, end) {
			word := c.bits[from&chunkOffset/64]
			if !has {
				word = ^word
			}
			if word >>= from % 64; word != 0 {
				return min(from+int64(bits.TrailingZeros64(word)), end)
			}
			from = from - from%64 + 64
		}
	}
	return end
}

// Intervals goes over the offsets of [from, end) that the set has or, without has, has not.
func (s *Set) Intervals(from, end int64, has bool) iter.Seq[Interval] {
	return func(yield func(Interval) bool) {
		for at := s.Next(from, end, has); at < end; {
			behind := s.Next(at, end, !has)
			if !yield(Interval{at, behind - 1}) {
				return
			}
			at = s.Next(behind, end, has)
		}
	}
}

// All goes over the intervals of the set.
func (s *Set) All() iter.Seq[Interval] {
	return func(yield func(Interval) bool) {
		var open *Interval
		for _, key := range slices.Sorted(maps.Keys(s.chunks)) {
			for v := range s.Intervals(key<<chunkBits, (key+1)<<chunkBits, true) {
				switch {
				case open == nil:
					open = &v
				case open.Last+1 == v.First:
					open.Last = v.Last
				default:
					if !yield(*open) {
						return
					}
					open = &v
				}
			}
		}
		if open != nil {
			yield(*open)
		}
	}
}
