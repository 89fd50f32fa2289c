// Package gate owns whether an assignment of a partition is fetched. Each assignment has a Gate with a Condition: the
// reasons why it does not go on. The gate is closed while any of them asks for it, and nobody else pauses or
// resumes the partition in the Kafka client.
//
// One mutex guards all gates of a client and is held across the client's pause and resume, which do not wait: so the client
// is told in the order in which the conditions changed. The mutex is the innermost lock: nothing is called under it but
// the client. Conditions are read without a lock.
package gate

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/connector/reason"
)

// Fetcher pauses and resumes the fetching of partitions, as *kgo.Client does.
type Fetcher interface {
	PauseFetchPartitions(partitions map[string][]int32) map[string][]int32
	ResumeFetchPartitions(partitions map[string][]int32)
}

// Gates are the gates of one client's assignments.
type Gates struct {
	mu      sync.Mutex
	fetcher Fetcher // guarded by mu; nil until Attach
}

// Attach names the client. It comes before the first Begin.
func (gs *Gates) Attach(f Fetcher) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	gs.fetcher = f
}

// Wake has the client look again at what it may fetch; see kafkaclient.Wake. No gate opens or closes.
func (gs *Gates) Wake() {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if gs.fetcher != nil {
		kafkaclient.Wake(gs.fetcher)
	}
}

// Gate is that of one assignment.
type Gate struct {
	gates *Gates
	topic string
	num   int32

	cond     atomic.Pointer[Condition]
	ended    atomic.Bool
	stranded atomic.Int64

	begun  bool // guarded by gates.mu; the client knows of the assignment
	paused bool // guarded by gates.mu; the client was told to pause. Invariant while begun and not ended: paused == condition closed
}

// New makes the gate of an assignment of a partition. Nothing is told to the client before Begin.
func (gs *Gates) New(topic string, num int32) *Gate {
	g := &Gate{gates: gs, topic: topic, num: num}
	g.cond.Store(empty)
	return g
}

// Begin tells the client of new assignments: those with a reason to be closed are paused, the others resumed, because a
// pause outlives its assignment inside the client.
func (gs *Gates) Begin(list ...*Gate) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for _, g := range list {
		g.begun, g.paused = true, !g.cond.Load().closed // so that the client is told either way
	}
	gs.tellLocked(list)
}

// Refer adds a reference to a shared reason to many gates at once. The client is told once.
func (gs *Gates) Refer(list []*Gate, k reason.Key, now time.Time, closes bool) {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	for _, g := range list {
		g.putLocked(Entry{Key: k, Since: now, Closes: closes})
	}
	gs.tellLocked(list)
}

// Condition is why the assignment does not go on now.
func (g *Gate) Condition() *Condition { return g.cond.Load() }

// Add adds a reason of the partition's own. It reports whether the reason is new: one that is there gets the new sentence and
// keeps its time.
func (g *Gate) Add(r reason.Reason, closes bool) (added bool) {
	return g.put(Entry{Key: r.Key, Since: r.Since, Own: &r, Closes: closes})
}

// Refer adds a reference to a reason that others share, and reports whether it is new.
func (g *Gate) Refer(k reason.Key, now time.Time, closes bool) (added bool) {
	return g.put(Entry{Key: k, Since: now, Closes: closes})
}

func (g *Gate) put(e Entry) (added bool) {
	g.gates.mu.Lock()
	defer g.gates.mu.Unlock()
	added = g.putLocked(e)
	g.gates.tellLocked([]*Gate{g})
	return added
}

func (g *Gate) putLocked(e Entry) (added bool) {
	c := g.cond.Load()
	entries := slices.Clone(c.entries)
	i := c.index(e.Key)
	switch {
	case i < 0:
		entries, added = append(entries, e), true
	case entries[i].found: // it begins now: the stall detection only named it
		e.Behind = entries[i].Behind
		entries, added = append(slices.Delete(entries, i, i+1), e), true
	default:
		e.Since, e.Behind = entries[i].Since, entries[i].Behind
		if e.Own != nil {
			e.Own.Since = e.Since
		}
		entries[i] = e
	}
	g.cond.Store(conditionOf(entries))
	return added
}

// Drop ends a reason and returns its entry. A reason that never ends by itself stays. After End only the condition changes: the
// client is told nothing.
func (g *Gate) Drop(k reason.Key) (dropped Entry, ok bool) {
	if g.cond.Load().index(k) < 0 {
		return Entry{}, false // nearly always, and without the lock
	}
	g.gates.mu.Lock()
	defer g.gates.mu.Unlock()
	c := g.cond.Load()
	i := c.index(k)
	if i < 0 || !c.entries[i].MayEnd() {
		return Entry{}, false
	}
	dropped = c.entries[i]
	g.cond.Store(conditionOf(slices.Delete(slices.Clone(c.entries), i, i+1)))
	g.gates.tellLocked([]*Gate{g})
	return dropped, true
}

// Stall makes found the reasons why the partition is behind and makes no progress; none says that it is not. Reasons that are
// there for another cause stay when they are no longer found. A reason that is only found neither closes the gate nor stops the
// partition. Otherwise: 1. it is found for a stream whose packs proxies refuse  2. what is fetched is dropped, as of a partition
// that has stopped  3. it is no longer found, and the records after those dropped are taken.
func (g *Gate) Stall(found []Entry) {
	c := g.cond.Load()
	if len(found) == 0 && c.Behind() == nil {
		return // nearly always, and without the lock
	}
	g.gates.mu.Lock()
	defer g.gates.mu.Unlock()
	c = g.cond.Load()
	var entries []Entry
	for _, e := range c.entries {
		e.Behind = time.Time{}
		if i := slices.IndexFunc(found, func(f Entry) bool { return f.Key == e.Key }); i >= 0 {
			e.Behind = found[i].Behind
			if e.found { // its sentence may have figures that grow
				e.Own = ownSince(found[i].Own, e.Since)
			}
		}
		if !e.found || !e.Behind.IsZero() {
			entries = append(entries, e)
		}
	}
	for _, f := range found {
		if c.index(f.Key) < 0 {
			f.found, f.Closes, f.Since = true, false, f.Behind
			f.Own = ownSince(f.Own, f.Since)
			entries = append(entries, f)
		}
	}
	g.cond.Store(conditionOf(entries))
	g.gates.tellLocked([]*Gate{g})
}

// ownSince returns a copy of an entry's own reason with its time, nil for none.
func ownSince(own *reason.Reason, since time.Time) *reason.Reason {
	if own == nil {
		return nil
	}
	r := *own
	r.Since = since
	return &r
}

// Try lets a reason stay and no longer close the gate: the next fetch shows whether it has passed.
func (g *Gate) Try(k reason.Key) {
	g.gates.mu.Lock()
	defer g.gates.mu.Unlock()
	c := g.cond.Load()
	i := c.index(k)
	if i < 0 || reason.KindOf(k.Code).Stops {
		return
	}
	entries := slices.Clone(c.entries)
	entries[i].Closes = false
	g.cond.Store(conditionOf(entries))
	g.gates.tellLocked([]*Gate{g})
}

// End says that the assignment is over: the client is told nothing more about the partition, which may be somebody else's, or
// this process's by a later assignment.
func (g *Gate) End() {
	g.gates.mu.Lock()
	defer g.gates.mu.Unlock()
	g.ended.Store(true)
}

// Ended reports whether the assignment is over: nothing more of it is offered to the sender.
func (g *Gate) Ended() bool { return g.ended.Load() }

// Strand counts pieces that the reasons keep from becoming final, or takes them back.
func (g *Gate) Strand(pieces int) { g.stranded.Add(int64(pieces)) }

// Stranded is how many pieces cannot become final while the reasons last.
func (g *Gate) Stranded() int { return int(g.stranded.Load()) }

// tellLocked brings the client up to date with the conditions of list, with one call for all it pauses and one for all it
// resumes.
func (gs *Gates) tellLocked(list []*Gate) {
	var pause, resume map[string][]int32
	for _, g := range list {
		closed := g.cond.Load().closed
		if !g.begun || g.ended.Load() || closed == g.paused {
			continue
		}
		g.paused = closed
		to := &resume
		if closed {
			to = &pause
		}
		if *to == nil {
			*to = make(map[string][]int32)
		}
		(*to)[g.topic] = append((*to)[g.topic], g.num)
	}
	if gs.fetcher == nil {
		return
	}
	if pause != nil {
		gs.fetcher.PauseFetchPartitions(pause)
	}
	if resume != nil {
		gs.fetcher.ResumeFetchPartitions(resume)
	}
}
