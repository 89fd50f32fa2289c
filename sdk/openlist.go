package sdk

import (
	"sync"
	"sync/atomic"
	"time"
)

// openList holds the packs that are being filled, oldest first. Its lock is a leaf.
type openList struct {
	mu         sync.Mutex
	head, tail *pack
	n          atomic.Int32
}

// add reports whether the list was empty before.
func (l *openList) add(p *pack) (first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.prev = l.tail
	if l.tail == nil {
		l.head = p
	} else {
		l.tail.next = p
	}
	l.tail = p
	return l.n.Add(1) == 1
}

func (l *openList) remove(p *pack) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.prev == nil {
		l.head = p.next
	} else {
		p.prev.next = p.next
	}
	if p.next == nil {
		l.tail = p.prev
	} else {
		p.next.prev = p.prev
	}
	p.prev, p.next = nil, nil
	l.n.Add(-1)
}

// oldest returns the pack that was opened first, and when; nil if there is none.
func (l *openList) oldest() (p *pack, opened time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.head == nil {
		return nil, 0
	}
	return l.head, l.head.opened
}

func (l *openList) len() int { return int(l.n.Load()) }
