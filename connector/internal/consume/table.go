package consume

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/resume"
	"inlong-bridge/mapping"
)

// Table knows the topics that are consumed, the partitions that the group assigned, and their assignments. It is safe for
// concurrent use; its lock is held for look-ups only.
type Table struct {
	Unfinal atomic.Int64 // pieces of all partitions that are not final
	Pieces  atomic.Int64 // pieces of all partitions that are remembered: not final, or final and not committed

	mu        sync.RWMutex
	parts     map[part.ID]*assign.Assignment // guarded by mu; assigned now
	mine      map[part.ID]struct{}           // guarded by mu; partitions that the group assigned, begun or not
	order     []*assign.Assignment           // guarded by mu; parts in order, unless stale
	stale     bool                           // guarded by mu; parts have changed since order was made
	topics    map[string]*assign.Topic       // guarded by mu; consumed
	again     map[string]*joining            // guarded by mu; topics that were created again and are joined anew
	missing   []string                       // guarded by mu; topics named by routes that do not exist
	unmatched []string                       // guarded by mu; patterns of routes that match no topic
}

// NewTable makes an empty table.
func NewTable() *Table {
	return &Table{parts: make(map[part.ID]*assign.Assignment), mine: make(map[part.ID]struct{}), topics: make(map[string]*assign.Topic)}
}

// note remembers a topic that is to be consumed. found says that it came while the bridge ran.
func (tb *Table) note(name string, id [16]byte, found bool, m *mapping.Topic) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	if tb.topics[name] == nil {
		tb.topics[name] = &assign.Topic{Name: name, ID: id, Found: found, Mapping: m}
		tb.missing = slices.DeleteFunc(tb.missing, func(m string) bool { return m == name })
	}
}

// Consumed returns the names of the topics that are consumed, sorted.
func (tb *Table) Consumed() []string {
	tb.mu.RLock()
	defer tb.mu.RUnlock()
	return slices.Sorted(maps.Keys(tb.topics))
}

func (tb *Table) topic(name string) (*assign.Topic, error) {
	tb.mu.RLock()
	defer tb.mu.RUnlock()
	t := tb.topics[name]
	if t == nil {
		return nil, fmt.Errorf("bug: topic %s was assigned and never asked for", name)
	}
	return t, nil
}

// topicIDs returns the ids of the topics that are consumed, zero where the brokers tell none.
func (tb *Table) topicIDs() map[string][16]byte {
	tb.mu.RLock()
	defer tb.mu.RUnlock()
	ids := make(map[string][16]byte, len(tb.topics))
	for name, t := range tb.topics {
		ids[name] = t.ID
	}
	return ids
}

// withID gives a topic its id if the brokers did not tell it before.
func (tb *Table) withID(t *assign.Topic, id resume.TopicID) *assign.Topic {
	if t.ID != ([16]byte{}) || id == (resume.TopicID{}) {
		return t
	}
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.topics[t.Name] = &assign.Topic{Name: t.Name, ID: id, Found: t.Found, Mapping: t.Mapping}
	return tb.topics[t.Name]
}

// FoundRunning reports whether a topic appeared after the bridge started.
func (tb *Table) FoundRunning(name string) bool {
	tb.mu.RLock()
	defer tb.mu.RUnlock()
	t := tb.topics[name]
	return t != nil && t.Found
}

// SetMissing remembers the topics that routes name and that do not exist.
func (tb *Table) SetMissing(topics []string) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.missing = topics
}

// Wanting returns the topics that routes name and that do not exist, and the patterns of routes that match no topic.
func (tb *Table) Wanting() (missing, unmatched []string) {
	tb.mu.RLock()
	defer tb.mu.RUnlock()
	return tb.missing, tb.unmatched
}

// setUnmatched remembers the patterns that match no topic, and reports whether they changed.
func (tb *Table) setUnmatched(unmatched []string) (changed bool) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	changed = !slices.Equal(tb.unmatched, unmatched)
	tb.unmatched = unmatched
	return changed
}

// put makes p the assignment of its partition and returns the one before it.
func (tb *Table) put(p *assign.Assignment) (old *assign.Assignment) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	old = tb.parts[p.ID()]
	tb.putLocked(p)
	return old
}

// succeed puts p in the place of old, unless old is no longer there or its assignment ends.
func (tb *Table) succeed(old, p *assign.Assignment) bool {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	if tb.parts[old.ID()] != old || !old.GivesWayTo(p) {
		return false
	}
	tb.putLocked(p)
	return true
}

func (tb *Table) putLocked(p *assign.Assignment) {
	tb.parts[p.ID()] = p
	p.Checkpoint().CountInto(&tb.Unfinal, &tb.Pieces)
	tb.stale = true
}

// Remove forgets an assignment, unless a newer one took its place.
func (tb *Table) Remove(p *assign.Assignment) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	if tb.parts[p.ID()] == p {
		delete(tb.parts, p.ID())
		tb.stale = true
	}
}

// Lookup returns the assignment of a partition, nil without one.
func (tb *Table) Lookup(id part.ID) *assign.Assignment {
	tb.mu.RLock()
	defer tb.mu.RUnlock()
	return tb.parts[id]
}

// Assigned returns the assignments in order. The list is not to be changed. It is made when it is asked for: made at each change,
// ten thousand partitions that begin would sort it ten thousand times.
func (tb *Table) Assigned() []*assign.Assignment {
	tb.mu.RLock()
	order, stale := tb.order, tb.stale
	tb.mu.RUnlock()
	if !stale {
		return order
	}
	tb.mu.Lock()
	defer tb.mu.Unlock()
	if tb.stale {
		tb.order, tb.stale = slices.SortedFunc(maps.Values(tb.parts), func(a, c *assign.Assignment) int {
			return a.Partition.Compare(c.Partition)
		}), false
	}
	return tb.order
}

// pick returns the assignments of the partitions named.
func (tb *Table) pick(names map[string][]int32) []*assign.Assignment {
	tb.mu.RLock()
	defer tb.mu.RUnlock()
	var out []*assign.Assignment
	for topic, nums := range names {
		for _, num := range nums {
			if p := tb.parts[part.ID{Topic: topic, Num: num}]; p != nil {
				out = append(out, p)
			}
		}
	}
	return out
}

// Stopped returns the partitions that cannot go on.
func (tb *Table) Stopped() (out []*assign.Assignment) {
	for _, p := range tb.Assigned() {
		if p.Stopped() != nil {
			out = append(out, p)
		}
	}
	return out
}

// UnfinishedWork counts pieces that may still become final, chunks that are half sent among them, and
// those that will not while the reasons last that stop their partitions.
func (tb *Table) UnfinishedWork() (open, stuck int) {
	for _, p := range tb.Assigned() {
		n := p.Checkpoint().Unfinal()
		dead := min(n, p.Gate().Stranded())
		stuck += dead
		n -= dead
		chunks, _ := p.Waiting()
		if p.Stopped() != nil { // nothing takes them while the reason lasts
			stuck, chunks = stuck+chunks, 0
		}
		open += n + chunks
	}
	return open, stuck
}

// SayIfUnprotected logs once that the brokers have no topic ids: nothing then tells a topic from one that was
// created in its place.
func (tb *Table) SayIfUnprotected(log *slog.Logger) {
	ids := tb.topicIDs()
	for _, id := range ids {
		if id != ([16]byte{}) {
			return
		}
	}
	if len(ids) > 0 {
		log.Warn("the brokers tell no topic ids (Kafka before 2.8): a topic that is deleted and created again cannot be told from the old one; stop the bridge and delete the group's offsets before you create a topic again")
	}
}
