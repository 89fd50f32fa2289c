package observe

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// hungAfter is how long a loop may work on one thing. Everything that a loop waits for has a shorter bound.
const hungAfter = time.Minute

// Loops knows which of the bridge's loops run. The zero value is ready; it is safe for concurrent use.
type Loops struct {
	mu  sync.Mutex
	now map[string]*Loop // guarded by mu
}

// Loop is one loop as a snapshot shows it.
type Loop struct {
	Name  string
	Since time.Time // when it began what it does now, zero while it waits for something to do
	Ended bool
}

// Started says that a loop runs, and returns what it has to call when it ends.
func (l *Loops) Started(name string) (ended func()) {
	l.set(name, func(x *Loop) { x.Ended = false })
	return func() { l.set(name, func(x *Loop) { x.Ended = true }) }
}

// Works says that a loop has something to do, and returns what it has to call when that is done.
func (l *Loops) Works(name string) (done func()) {
	l.set(name, func(x *Loop) { x.Since = time.Now() })
	return func() { l.set(name, func(x *Loop) { x.Since = time.Time{} }) }
}

func (l *Loops) set(name string, change func(*Loop)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now == nil {
		l.now = make(map[string]*Loop)
	}
	if l.now[name] == nil {
		l.now[name] = &Loop{Name: name}
	}
	change(l.now[name])
}

// Snapshot returns the loops in the order of their names.
func (l *Loops) Snapshot() []Loop {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]Loop, 0, len(l.now))
	for _, x := range l.now {
		out = append(out, *x)
	}
	slices.SortFunc(out, func(a, b Loop) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// hung says why a loop does not do its work, "" if it does.
func (l *Loop) hung(now time.Time) string {
	switch {
	case l.Ended:
		return "the " + l.Name + " loop has ended"
	case !l.Since.IsZero() && now.Sub(l.Since) > hungAfter:
		return fmt.Sprintf("the %s loop has been at one thing for %v", l.Name, now.Sub(l.Since).Round(time.Second))
	}
	return ""
}
