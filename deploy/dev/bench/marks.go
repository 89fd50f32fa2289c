package main

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// marks says, a line each, when so many records were counted: "mark <records> <unix nanoseconds>".
type marks struct {
	out io.Writer
	n   atomic.Int64

	mu   sync.Mutex
	at   []int64 // ascending
	next atomic.Int64
}

func newMarks(at []int64, out io.Writer) *marks {
	m := &marks{out: out, at: at}
	m.advance()
	return m
}

// advance notes the next mark; under mu or before anybody else knows m.
func (m *marks) advance() {
	if len(m.at) == 0 {
		m.next.Store(1 << 62)
		return
	}
	m.next.Store(m.at[0])
}

func (m *marks) add(n int64) {
	total := m.n.Add(n)
	if total < m.next.Load() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.at) > 0 && total >= m.at[0] {
		m.say(m.out)
		m.at = m.at[1:]
	}
	m.advance()
}

// say writes how many records were counted so far.
func (m *marks) say(to io.Writer) {
	fmt.Fprintf(to, "mark %d %d\n", m.n.Load(), time.Now().UnixNano()) //nolint:errcheck // the reader misses a mark and says so
}
