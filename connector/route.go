package connector

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/mapping"
	"inlong-bridge/sdk"
)

// route is one (group, stream) pair in use. Its index names it in checkpoint.Origin.
type route struct {
	index  int32
	target mapping.Target
	stream *sdk.Stream
	used   atomic.Int64 // tick of routes at which it was looked up last
}

// errTooManyStreams says that a record belongs to one stream more than there may be.
var errTooManyStreams = errors.New("too many streams")

// routes gives each target its route, up to a number of them, and forgets those that are idle. An index is never given twice: a
// piece that is read again finds its own route or none.
type routes struct {
	open func(group, stream string) (*sdk.Stream, error)
	max  int
	tick atomic.Int64 // moved by forgetIdle

	mu       sync.RWMutex
	byTarget map[mapping.Target]*route // guarded by mu
	byIndex  map[int32]*route          // guarded by mu
	next     int32                     // guarded by mu; index of the next route that is made
	fullAt   int                       // guarded by mu; so many streams were too many for the byte budget, 0 for never
}

func newRoutes(open func(group, stream string) (*sdk.Stream, error), limit int) *routes {
	return &routes{open: open, max: limit, byTarget: make(map[mapping.Target]*route), byIndex: make(map[int32]*route)}
}

// find returns the route of a target, nil if it is not in use.
func (rs *routes) find(t mapping.Target) *route {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	r := rs.byTarget[t]
	if r != nil {
		rs.touch(r) // under the lock: see forgetIdle
	}
	return r
}

func (rs *routes) touch(r *route) {
	if now := rs.tick.Load(); r.used.Load() != now {
		r.used.Store(now)
	}
}

// get returns the route of a target, and makes it at first sight. The error wraps errTooManyStreams when there is no room for it.
func (rs *routes) get(t mapping.Target) (*route, error) {
	if r := rs.find(t); r != nil {
		return r, nil
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if r := rs.byTarget[t]; r != nil {
		rs.touch(r)
		return r, nil
	}
	if rs.fullAt > 0 && len(rs.byTarget) >= rs.fullAt {
		return nil, fmt.Errorf("%w: %d are in use, no more fit into the byte budget, and a record belongs to one more, stream %s of group %s; "+
			"hint: raise memory.budget if so many are meant, or correct the route whose key or header makes them", errTooManyStreams, len(rs.byTarget), t.Stream, t.Group)
	}
	if rs.max > 0 && len(rs.byTarget) >= rs.max {
		return nil, fmt.Errorf("%w: %d are in use, and a record belongs to one more, stream %s of group %s; "+
			"hint: raise inlong.max_streams if so many are meant, or correct the route whose key or header makes them", errTooManyStreams, len(rs.byTarget), t.Stream, t.Group)
	}
	stream, err := rs.open(t.Group, t.Stream)
	if errors.Is(err, sdk.ErrTooManyStreams) {
		rs.fullAt = len(rs.byTarget)
		return nil, fmt.Errorf("%w, stream %s of group %s: %w; hint: raise memory.budget if so many are meant, or correct the route whose key or header makes them",
			errTooManyStreams, t.Stream, t.Group, err)
	}
	if err != nil {
		return nil, fmt.Errorf("opening stream %s of group %s: %w", t.Stream, t.Group, err)
	}
	rs.fullAt = 0
	r := &route{index: rs.next, target: t, stream: stream}
	rs.next++
	rs.touch(r)
	rs.byTarget[t] = r
	rs.byIndex[r.index] = r
	return r, nil
}

// forgetIdle lets go of routes that were not looked up for ticks calls, whose index is not in inUse, and whose stream letGo lets
// go of. It returns their targets.
//
// inUse was gathered before, and a record may come for an idle route meanwhile. Then it was looked up, so its tick is new; and the
// tick is written and compared under the lock.
func (rs *routes) forgetIdle(ticks int64, inUse map[int32]bool, letGo func(*sdk.Stream) bool) (gone []mapping.Target) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	now := rs.tick.Load()
	for t, r := range rs.byTarget {
		if now-r.used.Load() < ticks || inUse[r.index] || !letGo(r.stream) {
			continue
		}
		delete(rs.byTarget, t)
		delete(rs.byIndex, r.index)
		gone = append(gone, t)
	}
	return gone
}

// count is how many routes are in use.
func (rs *routes) count() int {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	return len(rs.byIndex)
}

// room reports whether one more may be made.
func (rs *routes) room() bool {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	n := len(rs.byIndex)
	return (rs.max <= 0 || n < rs.max) && (rs.fullAt == 0 || n < rs.fullAt)
}

// at returns the route of an index that get gave, nil if it was forgotten.
func (rs *routes) at(index int32) *route {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	return rs.byIndex[index]
}

// all returns the routes in use.
func (rs *routes) all() []*route {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	return slices.Collect(maps.Values(rs.byIndex))
}

// headers shows the headers of a record to the mapping, without allocating for each.
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

// putBack lets go of the record: its memory is the fetch's.
func (h *headers) putBack() {
	clear(h.list)
	h.rec, h.list = nil, h.list[:0]
	headersPool.Put(h)
}

// router looks the records of one topic up.
type router struct {
	topic  *mapping.Topic
	routes *routes
	fixed  *route // set when the route depends on nothing but the topic
}

// newRouter makes the router of a topic. One whose only stream is one too many looks for room at each record.
func newRouter(t *mapping.Topic, rs *routes) (*router, error) {
	rt := &router{topic: t, routes: rs}
	if t.Fixed == nil {
		return rt, nil
	}
	r, err := rs.get(*t.Fixed)
	if err != nil && !errors.Is(err, errTooManyStreams) {
		return nil, err
	}
	rt.fixed = r
	return rt, nil
}

// route returns where the record belongs; nil without an error means that policy skips it.
func (rt *router) route(rec *kgo.Record) (*route, error) {
	if rt.fixed != nil {
		return rt.fixed, nil
	}
	target, verdict, err := rt.target(rec)
	switch verdict {
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

// known returns where a record that is read again belongs, nil where no piece can be: it makes no route.
func (rt *router) known(rec *kgo.Record) *route {
	if rt.fixed != nil {
		return rt.fixed
	}
	if target, verdict, _ := rt.target(rec); verdict == mapping.Routed {
		return rt.routes.find(target)
	}
	return nil
}

func (rt *router) target(rec *kgo.Record) (mapping.Target, mapping.Verdict, error) {
	h := headersPool.Get().(*headers)
	h.rec = rec
	defer h.putBack()
	return rt.topic.Route(rec.Key, h.fetch)
}
