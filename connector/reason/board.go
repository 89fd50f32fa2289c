package reason

import (
	"slices"
	"sync"
	"time"
)

// Board holds the reasons that several partitions share: those of the process, the group, queue clusters, proxies and
// streams. A partition's condition refers to them by key. The zero value is ready; it is safe for concurrent use.
type Board struct {
	mu  sync.Mutex
	now map[Key]*posted // guarded by mu
}

type posted struct {
	Reason
	sources []string // whose lists have it; "" for one that was set by itself
}

// Set adds a reason, or renews its sentence; its time stays. It reports whether the reason is new.
func (b *Board) Set(r Reason) (began bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.setLocked(r, "")
}

func (b *Board) setLocked(r Reason, source string) (began bool) {
	if b.now == nil {
		b.now = make(map[Key]*posted)
	}
	old := b.now[r.Key]
	if old == nil {
		b.now[r.Key] = &posted{r, []string{source}}
		return true
	}
	r.Since = old.Since
	if old.Reason = r; !slices.Contains(old.sources, source) {
		old.sources = append(old.sources, source)
	}
	return false
}

// Clear ends a reason, whoever has it, and returns it.
func (b *Board) Clear(k Key) (was Reason, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	old := b.now[k]
	if old == nil {
		return Reason{}, false
	}
	delete(b.now, k)
	return old.Reason, true
}

// Replace makes rs the reasons of a source. Those that it had before and that are not among them end, unless another source has
// them too or they were set by themselves.
func (b *Board) Replace(source string, rs []Reason) {
	b.mu.Lock()
	defer b.mu.Unlock()
	keep := make(map[Key]bool, len(rs))
	for _, r := range rs {
		keep[r.Key] = true
		b.setLocked(r, source)
	}
	for k, p := range b.now {
		if keep[k] {
			continue
		}
		if p.sources = slices.DeleteFunc(p.sources, func(s string) bool { return s == source }); len(p.sources) == 0 {
			delete(b.now, k)
		}
	}
}

// Get returns a reason by its key.
func (b *Board) Get(k Key) (Reason, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if p := b.now[k]; p != nil {
		return p.Reason, true
	}
	return Reason{}, false
}

// Snapshot returns all reasons in order.
func (b *Board) Snapshot() []Reason {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]Reason, 0, len(b.now))
	for _, p := range b.now {
		out = append(out, p.Reason)
	}
	slices.SortFunc(out, Compare)
	return out
}

// New makes a reason of a kind. Its text may carry a hint after "; hint: ".
func New(k Key, now time.Time, text string) Reason {
	sentence, hint := cutHint(text)
	return Reason{Key: k, Since: now, Sentence: sentence, Hint: hint, Terminal: KindOf(k.Code).Terminal, Offset: -1}
}
