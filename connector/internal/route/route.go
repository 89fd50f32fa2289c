// Package route says where a record goes: to which stream, in which minute of event time, and whether it is a pack that this bridge
// wrote itself.
package route

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/requeue"
	"inlong-bridge/mapping"
	"inlong-bridge/sdk"
)

// Route is one (group, stream) pair in use. Its index names it in checkpoint.Origin.
type Route struct {
	Index  int32
	Target mapping.Target
	Stream *sdk.Stream
	used   atomic.Int64 // tick of the table at which it was looked up last
}

// ErrTooManyStreams says that a record belongs to one stream more than there may be.
var ErrTooManyStreams = errors.New("too many streams")

// Table has the route of each target that is in use, up to a limit, and forgets idle ones. An index is never given twice: a piece
// that is read again finds its own route or none.
type Table struct {
	open func(group, stream string) (*sdk.Stream, error)
	max  int
	tick atomic.Int64 // see Pass

	mu       sync.RWMutex
	byTarget map[mapping.Target]*Route        // guarded by mu
	byIndex  map[int32]*Route                 // guarded by mu
	leaving  map[mapping.Target]chan struct{} // guarded by mu; idle routes whose stream is about to be forgotten; closed when that is decided
	next     int32                            // guarded by mu; index of the next route that is made
	fullAt   int                              // guarded by mu; the number of streams at which the byte budget was full, 0 for never
}

func NewTable(open func(group, stream string) (*sdk.Stream, error), limit int) *Table {
	return &Table{open: open, max: limit, byTarget: make(map[mapping.Target]*Route), byIndex: make(map[int32]*Route), leaving: make(map[mapping.Target]chan struct{})}
}

// Pass lets ticks pass, by which ForgetIdle tells how long a route was not looked up.
func (rs *Table) Pass(ticks int64) { rs.tick.Add(ticks) }

// find returns the route of a target, nil if it is not in use.
func (rs *Table) find(t mapping.Target) *Route {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	r := rs.byTarget[t]
	if r != nil {
		rs.touch(r) // under the lock, see ForgetIdle
	}
	return r
}

func (rs *Table) touch(r *Route) {
	if now := rs.tick.Load(); r.used.Load() != now {
		r.used.Store(now)
	}
}

// get returns the route of a target and makes it at first sight. The error wraps errTooManyStreams when there is no room for one
// more. It waits while the target's stream is about to be forgotten.
func (rs *Table) get(t mapping.Target) (*Route, error) {
	for {
		if r := rs.find(t); r != nil {
			return r, nil
		}
		r, leaving, err := rs.make(t)
		if leaving == nil {
			return r, err
		}
		<-leaving
	}
}

// make makes the route of a target, unless its stream is about to be forgotten: then it returns what is closed afterwards.
func (rs *Table) make(t mapping.Target) (r *Route, leaving <-chan struct{}, err error) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if ch := rs.leaving[t]; ch != nil {
		return nil, ch, nil
	}
	if r := rs.byTarget[t]; r != nil {
		rs.touch(r)
		return r, nil, nil
	}
	inUse := rs.countLocked()
	if rs.fullAt > 0 && inUse >= rs.fullAt {
		return nil, nil, fmt.Errorf("%w: %d are in use, no more fit into the byte budget, and a record belongs to one more, stream %s of group %s; "+
			"hint: raise memory.budget if so many are meant, or correct the route whose key or header makes them", ErrTooManyStreams, inUse, t.Stream, t.Group)
	}
	if rs.max > 0 && inUse >= rs.max {
		return nil, nil, fmt.Errorf("%w: %d are in use, and a record belongs to one more, stream %s of group %s; "+
			"hint: raise inlong.max_streams if so many are meant, or correct the route whose key or header makes them", ErrTooManyStreams, inUse, t.Stream, t.Group)
	}
	stream, err := rs.open(t.Group, t.Stream)
	if errors.Is(err, sdk.ErrTooManyStreams) {
		rs.fullAt = inUse
		return nil, nil, fmt.Errorf("%w, stream %s of group %s: %w; hint: raise memory.budget if so many are meant, or correct the route whose key or header makes them",
			ErrTooManyStreams, t.Stream, t.Group, err)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("opening stream %s of group %s: %w", t.Stream, t.Group, err)
	}
	rs.fullAt = 0
	r = &Route{Index: rs.next, Target: t, Stream: stream}
	rs.next++
	rs.touch(r)
	rs.putLocked(r)
	return r, nil, nil
}

func (rs *Table) putLocked(r *Route) {
	rs.byTarget[r.Target] = r
	rs.byIndex[r.Index] = r
}

// ForgetIdle forgets the routes that were not looked up for so many ticks, whose index is not in inUse, and whose stream letGo
// forgets. It returns their targets. letGo runs without the lock, because it may wait for the reader of the queue: meanwhile the
// route is not found, and get waits for that target alone.
//
// inUse was gathered before the call, and a record may have come for an idle route since. Then the route was looked up and its
// tick is new; the tick is written and compared under the lock.
func (rs *Table) ForgetIdle(ticks int64, inUse map[int32]bool, letGo func(*sdk.Stream) bool) (gone []mapping.Target) {
	for _, r := range rs.All() {
		if inUse[r.Index] || !rs.takeIdle(r, ticks) {
			continue
		}
		forgotten := letGo(r.Stream)
		rs.taken(r, forgotten)
		if forgotten {
			gone = append(gone, r.Target)
		}
	}
	return gone
}

// takeIdle takes a route out of the table if it is idle still.
func (rs *Table) takeIdle(r *Route, ticks int64) bool {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.byTarget[r.Target] != r || rs.tick.Load()-r.used.Load() < ticks {
		return false
	}
	delete(rs.byTarget, r.Target)
	delete(rs.byIndex, r.Index)
	rs.leaving[r.Target] = make(chan struct{})
	return true
}

// taken ends what takeIdle began. A route whose stream was not forgotten goes back into the table.
func (rs *Table) taken(r *Route, forgotten bool) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if !forgotten {
		rs.putLocked(r)
	}
	close(rs.leaving[r.Target])
	delete(rs.leaving, r.Target)
}

// countLocked is how many streams are known, those that are about to be forgotten among them.
func (rs *Table) countLocked() int { return len(rs.byIndex) + len(rs.leaving) }

// Count is how many routes are in use.
func (rs *Table) Count() int {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	return rs.countLocked()
}

// Room reports whether there is room for one more route.
func (rs *Table) Room() bool {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	n := rs.countLocked()
	return (rs.max <= 0 || n < rs.max) && (rs.fullAt == 0 || n < rs.fullAt)
}

// At returns the route of an index, nil if it was forgotten.
func (rs *Table) At(index int32) *Route {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	return rs.byIndex[index]
}

// All returns the routes in use, in no order.
func (rs *Table) All() []*Route {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	return slices.Collect(maps.Values(rs.byIndex))
}

// headers gives the mapping the headers of a record without an allocation per record.
type headers struct {
	rec   *kgo.Record
	list  []mapping.Header
	fetch func() []mapping.Header
}

var headersPool = sync.Pool{New: func() any {
	h := new(headers)
	h.fetch = func() []mapping.Header {
		for _, x := range h.rec.Headers {
			h.list = append(h.list, mapping.Header{Key: x.Key, Value: x.Value})
		}
		return h.list
	}
	return h
}}

// putBack drops its reference to the record, whose memory belongs to the fetch.
func (h *headers) putBack() {
	clear(h.list)
	h.rec, h.list = nil, h.list[:0]
	headersPool.Put(h)
}

// Router finds the routes of one topic's records.
type Router struct {
	topic  *mapping.Topic
	routes *Table
	fixed  *Route // set when all records of the topic have one route
	attrs  *sdk.PackAttrs
}

// NewRouter makes the router of a topic. When the topic's only stream is one too many, the router tries again at each record.
func NewRouter(t *mapping.Topic, rs *Table) (*Router, error) {
	attrs, err := packAttrs(t)
	if err != nil {
		return nil, err
	}
	rt := &Router{topic: t, routes: rs, attrs: attrs}
	if t.Fixed == nil {
		return rt, nil
	}
	r, err := rs.get(*t.Fixed)
	if err != nil && !errors.Is(err, ErrTooManyStreams) {
		return nil, err
	}
	rt.fixed = r
	return rt, nil
}

// Fixed returns the route of a topic whose records all go there, nil for any other topic.
func (rt *Router) Fixed() *Route { return rt.fixed }

// Content returns what travels of the topic's records, nil where it is their values alone.
func (rt *Router) Content() *mapping.Content { return rt.topic.Content() }

// PackAttrs returns the attributes of the packs of the topic's records, nil for none.
func (rt *Router) PackAttrs() *sdk.PackAttrs { return rt.attrs }

// Table returns the routes that the router looks up and makes.
func (rt *Router) Table() *Table { return rt.routes }

// At returns the route of an index, nil if it was forgotten.
func (rt *Router) At(index int32) *Route { return rt.routes.At(index) }

// Route returns the record's route. nil without an error means that the rules skip the record.
func (rt *Router) Route(rec *kgo.Record) (*Route, error) {
	if rt.fixed != nil {
		return rt.fixed, nil
	}
	target, result, err := rt.target(rec)
	switch result {
	case mapping.Routed:
		return rt.routes.get(target)
	case mapping.Skip:
		return nil, nil
	case mapping.Fail:
	}
	if err == nil {
		err = fmt.Errorf("routing a record of topic %q: no rule matches; hint: add a rule, or say unmatched: skip", rec.Topic)
	}
	return nil, err
}

// Known returns the route of a record that is read again. It makes no route: nil means that no piece can hold the record.
func (rt *Router) Known(rec *kgo.Record) *Route {
	if rt.fixed != nil {
		return rt.fixed
	}
	if target, result, _ := rt.target(rec); result == mapping.Routed {
		return rt.routes.find(target)
	}
	return nil
}

func (rt *Router) target(rec *kgo.Record) (mapping.Target, mapping.Result, error) {
	topic := rt.topic
	if l := requeue.Of(rec); l != nil {
		var result mapping.Result
		var err error
		if topic, result, err = l.Way(); topic == nil {
			return mapping.Target{}, result, err
		}
	}
	h := headersPool.Get().(*headers)
	h.rec = rec
	defer h.putBack()
	return topic.Route(rec.Key, h.fetch)
}
