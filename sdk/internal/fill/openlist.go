package fill

import (
	"sync"
	"sync/atomic"

	"inlong-bridge/sdk/internal/list"
)

// OpenList holds the packs that are being filled, oldest first. It is safe for concurrent use; its lock is a leaf.
type OpenList[T any] struct {
	mu   sync.Mutex
	list list.List[T]
	n    atomic.Int32 // its length
}

// Add puts the pack with this place at the end. It reports whether the list was empty before.
func (l *OpenList[T]) Add(place *list.Node[T], pack *T) (first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	place.Owner = pack
	l.list.PushBack(place)
	return l.n.Add(1) == 1
}

// Remove takes out the pack with this place, which is in the list.
func (l *OpenList[T]) Remove(place *list.Node[T]) {
	l.mu.Lock()
	defer l.mu.Unlock()
	place.Remove()
	l.n.Add(-1)
}

// Oldest returns the pack that was added first, nil if there is none.
func (l *OpenList[T]) Oldest() *T {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.list.Front()
}

// Len is how many packs are open.
func (l *OpenList[T]) Len() int { return int(l.n.Load()) }
