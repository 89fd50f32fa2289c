// Package encode turns sealed packs into frames: the queue in front of the goroutines that do it, whether compressing
// pays, and the frames of each type of message.
package encode

import (
	"sync"

	"inlong-bridge/sdk/internal/fill"
)

// Queue holds sealed packs until an encoder takes them. It is safe for concurrent use; its lock is a leaf. What it
// holds is bounded by the byte budget.
type Queue[T any] struct {
	mu     sync.Mutex
	more   sync.Cond
	queue  []sealed[T]
	head   int
	closed bool

	backlog fill.Backlog
}

type sealed[T any] struct {
	pack *T
	size int
}

// Init is called before first use.
func (q *Queue[T]) Init() { q.more.L = &q.mu }

// Backlog is the bytes of records that are not encoded yet. Whoever takes a pack out takes its size from it.
func (q *Queue[T]) Backlog() *fill.Flow { return &q.backlog.Flow }

// Push puts a pack with size bytes of records at the end.
func (q *Queue[T]) Push(pack *T, size int) {
	q.backlog.Add(int64(size))
	q.mu.Lock()
	q.queue = append(q.queue, sealed[T]{pack, size})
	q.mu.Unlock()
	q.more.Signal()
}

// Next waits for a pack; nil says that the queue was closed.
func (q *Queue[T]) Next() (pack *T, size int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.head == len(q.queue) && !q.closed {
		q.more.Wait()
	}
	if q.closed {
		return nil, 0
	}
	p := q.queue[q.head]
	q.queue[q.head] = sealed[T]{}
	if q.head++; q.head == len(q.queue) {
		q.queue, q.head = q.queue[:0], 0
	}
	return p.pack, p.size
}

// Close lets nobody take anything more.
func (q *Queue[T]) Close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.more.Broadcast()
}

// Drain takes out what was not taken, and calls f for each under the queue's lock.
func (q *Queue[T]) Drain(f func(*T)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i := range q.queue[q.head:] {
		p := &q.queue[q.head+i]
		q.backlog.Add(-int64(p.size))
		f(p.pack)
	}
	clear(q.queue)
	q.queue, q.head = q.queue[:0], 0
}
