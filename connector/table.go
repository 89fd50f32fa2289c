package connector

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
	"inlong-bridge/connector/resume"
)

func (b *Bridge) topicOf(name string) (*assign.Topic, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	t := b.topics[name]
	if t == nil {
		return nil, fmt.Errorf("bug: topic %s was assigned and never asked for", name)
	}
	return t, nil
}

// foundRunning reports whether a topic appeared after the bridge started.
func (b *Bridge) foundRunning(name string) bool {
	b.mu.RLock()
	defer b.mu.RUnlock()
	t := b.topics[name]
	return t != nil && t.Found
}

// put makes p the assignment of its partition. One that is still there never ended (a session broke off
// between assigning and fetching); it ends now.
func (b *Bridge) put(p *assign.Assignment) {
	b.mu.Lock()
	old := b.parts[p.ID()]
	b.putLocked(p)
	b.mu.Unlock()
	if old != nil {
		old.Detach()
		old.Checkpoint().Revoke()
	}
	b.counters.assigned.Add(1)
}

func (b *Bridge) putLocked(p *assign.Assignment) {
	b.parts[p.ID()] = p
	if r := b.own.Stop(p.ID()); r != nil {
		p.Gate().Add(*r, true)
	}
	if b.draining.Load() {
		p.Gate().Refer(drainingKey, time.Now(), true)
	}
	p.Checkpoint().CountInto(&b.unfinal, &b.pieces)
	b.reorderLocked()
}

// remove forgets an assignment, unless a newer one took its place.
func (b *Bridge) remove(p *assign.Assignment) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.parts[p.ID()] == p {
		delete(b.parts, p.ID())
		b.reorderLocked()
	}
}

// reorderLocked makes the list that assigned returns.
func (b *Bridge) reorderLocked() {
	b.order = slices.SortedFunc(maps.Values(b.parts), func(a, c *assign.Assignment) int {
		return cmp.Or(cmp.Compare(a.Partition.Topic, c.Partition.Topic), cmp.Compare(a.Partition.Num, c.Partition.Num))
	})
}

func (b *Bridge) lookup(id part.ID) *assign.Assignment {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.parts[id]
}

// assigned returns the assignments in order. The list is not to be changed.
func (b *Bridge) assigned() []*assign.Assignment {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.order
}

// pick returns the assignments of the partitions named.
func (b *Bridge) pick(names map[string][]int32) []*assign.Assignment {
	b.mu.RLock()
	defer b.mu.RUnlock()
	var out []*assign.Assignment
	for topic, nums := range names {
		for _, num := range nums {
			if p := b.parts[part.ID{Topic: topic, Num: num}]; p != nil {
				out = append(out, p)
			}
		}
	}
	return out
}

// limitOf is where a migration ends a partition and of which topic that is, -1 without a migration.
func (b *Bridge) limitOf(id part.ID) (limit int64, of resume.TopicID) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.ends == nil {
		return -1, resume.TopicID{}
	}
	e := b.ends[id] // 0 for a partition that is newer than the migration: nothing of it is moved
	return e.offset, e.topic
}

// closing hands the books of an assignment that ends to a migration.
func (b *Bridge) close(p *assign.Assignment) {
	if b.onClose != nil {
		b.onClose(p)
	}
}

// moved, lost and stopped implement partitionEvents.
func (b *Bridge) Moved() { b.progress.Changed() }

func (b *Bridge) Lost(p *assign.Assignment, pc checkpoint.Piece, o checkpoint.Origin) {
	b.reread.Add(p, pc, o)
	b.reread.Nudge()
}

func (b *Bridge) Stopped(_ *assign.Assignment, r *reason.Reason) {
	b.counters.partitionsStops.Add(string(r.Code), 1)
	b.observer.Stopped(*r)
	b.progress.Changed()
}

// textOf is the sentence of an entry of a condition, its own or the shared reason's, with the hint.
func (b *Bridge) textOf(e *gate.Entry) string {
	r := e.Own
	if r == nil {
		shared, ok := b.board.Get(e.Key)
		if !ok {
			return reason.KindOf(e.Code).Meaning
		}
		r = &shared
	}
	return r.Text()
}

// holding posts why nothing is fetched, the zero key for nothing.
func (b *Bridge) holding(why reason.Key) {
	for _, k := range []reason.Key{assign.BudgetKey, unfinalKey} {
		if k != why {
			b.board.Clear(k)
		} else {
			b.board.Set(reason.New(k, time.Now(), reason.KindOf(k.Code).Meaning))
		}
	}
	b.heldAt.Store(time.Now().UnixNano())
}

// groupFault notes what is wrong with the group session, nil for nothing.
func (b *Bridge) groupFault(err error) {
	if err == nil {
		b.board.Clear(rebalanceKey)
		for _, f := range b.groupFaults.End() {
			b.log.Info("the group session works again", "after", f.Lasted, "times", f.Times)
		}
		return
	}
	b.board.Set(reason.New(rebalanceKey, time.Now(), err.Error()))
	if b.groupFaults.Begin("group") {
		b.log.Warn("the group session fails, trying again", "group", b.cfg.Kafka.Group, "err", err)
	}
}
