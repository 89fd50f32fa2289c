// Package faults remembers what is wrong now, so that each fault is logged when it begins, once a minute while it lasts, and
// when it is over.
package faults

import (
	"sync"
	"time"
)

// every is the shortest time between two log lines of one fault.
const every = time.Minute

// Set holds the faults that last. The zero value is ready. It is safe for concurrent use.
type Set struct {
	mu  sync.Mutex
	now map[string]*Fault // guarded by mu; by class
}

// Fault is one that is over.
type Fault struct {
	Class  string
	Times  int           // how often it was found
	Lasted time.Duration // from when it began

	since, logged time.Time
}

// Begin notes that a fault was found and reports whether to log it.
func (s *Set) Begin(class string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	f := s.now[class]
	if f == nil {
		if s.now == nil {
			s.now = make(map[string]*Fault)
		}
		s.now[class] = &Fault{Class: class, Times: 1, since: now, logged: now}
		return true
	}
	f.Times++
	if now.Sub(f.logged) < every {
		return false
	}
	f.logged = now
	return true
}

// Forget ends a fault that nobody needs to hear of any more.
func (s *Set) Forget(class string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.now, class)
}

// End ends all faults and returns them.
func (s *Set) End() (over []Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.now {
		f.Lasted = time.Since(f.since).Round(time.Millisecond)
		over = append(over, *f)
	}
	clear(s.now)
	return over
}
