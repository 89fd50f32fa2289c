// Package bufpool lends byte slices in classes of powers of two. A [Pool] only counts what it has lent;
// the memory itself is shared by all pools of the process.
package bufpool

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

const (
	minShift = 9  // 512 bytes
	maxShift = 25 // 32 MiB
)

var (
	classes [maxShift - minShift + 1]sync.Pool // of *[]byte with exactly the class's capacity
	headers sync.Pool                          // of *[]byte without a slice, so that Put does not allocate
)

// Pool lends buffers and counts them. The zero value is ready; it is safe for concurrent use.
type Pool struct {
	lent atomic.Int64
}

// class returns the index of the smallest class of at least n bytes, or -1 if there is none.
func class(n int) int {
	if n <= 1<<minShift {
		return 0
	}
	if n > 1<<maxShift {
		return -1
	}
	return bits.Len(uint(n-1)) - minShift
}

// Get returns an empty slice with a capacity of at least n bytes. What is behind its length is not
// zeroed. Larger ones than the largest class are allocated and not kept.
func (p *Pool) Get(n int) []byte {
	p.lent.Add(1)
	c := class(n)
	if c < 0 {
		return make([]byte, 0, n)
	}
	h, _ := classes[c].Get().(*[]byte)
	if h == nil {
		return make([]byte, 0, 1<<(c+minShift))
	}
	b := *h
	*h = nil
	headers.Put(h)
	return b[:0]
}

// Put takes back a slice that Get returned. The caller may not touch it any more. A slice of another
// size than a class's (one that was grown by append, say) is dropped.
func (p *Pool) Put(b []byte) {
	p.lent.Add(-1)
	poison(b[:cap(b)])
	c := class(cap(b))
	if c < 0 || cap(b) != 1<<(c+minShift) {
		return
	}
	h, _ := headers.Get().(*[]byte)
	if h == nil {
		h = new([]byte)
	}
	*h = b[:0]
	classes[c].Put(h)
}

// Grow returns a slice with the contents of b and room for n more bytes, and takes b back if it had to
// be replaced. b may be nil, which stands for a slice that was never lent.
func (p *Pool) Grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	if b == nil {
		return p.Get(n)
	}
	grown := append(p.Get(max(len(b)+n, next(cap(b)))), b...)
	p.Put(b)
	return grown
}

// next is what follows a capacity of n. What a slice grows out of stays with the pool, so small ones take
// two classes at once.
func next(n int) int {
	if n < 16<<10 {
		return 4 * n
	}
	return 2 * n
}

// Lent is the number of slices that were not given back.
func (p *Pool) Lent() int64 { return p.lent.Load() }
