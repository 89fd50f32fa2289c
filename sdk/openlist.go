package sdk

import (
	"sync"
	"sync/atomic"
	"time"

	"inlong-bridge/sdk/internal/list"
)

// openList holds the packs that are being filled, oldest first. Its lock is a leaf.
type openList struct {
	mu   sync.Mutex
	list list.List[pack]
	n    atomic.Int32 // its length
}

// add reports whether the list was empty before.
func (l *openList) add(p *pack) (first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.inOpen.Owner = p
	l.list.PushBack(&p.inOpen)
	return l.n.Add(1) == 1
}

func (l *openList) remove(p *pack) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.inOpen.Remove()
	l.n.Add(-1)
}

// oldest returns the pack that was opened first, and when; nil if there is none.
func (l *openList) oldest() (p *pack, opened time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p = l.list.Front(); p == nil {
		return nil, 0
	}
	return p, p.opened
}

func (l *openList) len() int { return int(l.n.Load()) }
