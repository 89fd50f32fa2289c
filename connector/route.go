package connector

import (
	"fmt"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/mapping"
	"inlong-bridge/sdk"
)

// route is one (group, stream) pair in use. Its index names it in watermark.Origin.
type route struct {
	index  int32
	target mapping.Target
	stream *sdk.Stream
}

// routes gives each target its route; it only grows.
type routes struct {
	open func(group, stream string) (*sdk.Stream, error)

	mu       sync.RWMutex
	byTarget map[mapping.Target]*route // guarded by mu
	byIndex  []*route                  // guarded by mu
}

func newRoutes(open func(group, stream string) (*sdk.Stream, error)) *routes {
	return &routes{open: open, byTarget: make(map[mapping.Target]*route)}
}

// get returns the route of a target, and makes it at first sight.
func (rs *routes) get(t mapping.Target) (*route, error) {
	rs.mu.RLock()
	r := rs.byTarget[t]
	rs.mu.RUnlock()
	if r != nil {
		return r, nil
	}
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if r := rs.byTarget[t]; r != nil {
		return r, nil
	}
	stream, err := rs.open(t.Group, t.Stream)
	if err != nil {
		return nil, fmt.Errorf("opening stream %s of group %s: %w", t.Stream, t.Group, err)
	}
	r = &route{index: int32(len(rs.byTarget)), target: t, stream: stream}
	rs.byTarget[t] = r
	rs.byIndex = append(rs.byIndex, r)
	return r, nil
}

// count is how many routes are in use.
func (rs *routes) count() int {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	return len(rs.byIndex)
}

// at returns the route of an index that get gave.
func (rs *routes) at(index int32) *route {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	if int(index) >= len(rs.byIndex) {
		return nil
	}
	return rs.byIndex[index]
}

// all returns the routes in use.
func (rs *routes) all() []*route {
	rs.mu.RLock()
	defer rs.mu.RUnlock()
	return slices.Clone(rs.byIndex)
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

func newRouter(t *mapping.Topic, rs *routes) (*router, error) {
	rt := &router{topic: t, routes: rs}
	if t.Fixed == nil {
		return rt, nil
	}
	r, err := rs.get(*t.Fixed)
	if err != nil {
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
	h := headersPool.Get().(*headers)
	h.rec = rec
	target, verdict, err := rt.topic.Route(rec.Key, h.fetch)
	h.putBack()
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
