package connector

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"inlong-bridge/connector/internal/observe"
	"inlong-bridge/connector/reason"
)

type counter = atomic.Uint64

// byLabel counts per value of one bounded label.
type byLabel struct {
	mu sync.Mutex
	n  map[string]uint64 // guarded by mu
}

// add reports whether the label is new.
func (c *byLabel) add(label string, n uint64) (first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = make(map[string]uint64)
	}
	before := len(c.n)
	c.n[label] += n
	return len(c.n) > before
}

// snapshot copies the counts, with 0 for those of known that were not added to: a series that is there from the start has
// an increase when it first counts.
func (c *byLabel) snapshot(known ...string) map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := make(map[string]uint64, len(c.n)+len(known))
	for _, label := range known {
		n[label] = 0
	}
	maps.Copy(n, c.n)
	return n
}

// counters run since the start. They are added to per chunk or rarer, never per record.
type counters struct {
	records, bytes  byLabel // fetched, by topic
	skipped         byLabel // of them, that no rule wants
	packs           byLabel // of them, that are packs of somebody else
	replaced        byLabel // of them, sent with the time of arrival
	commits         counter
	commitErrors    byLabel // by class
	assigned        counter // partitions
	revoked         counter
	offsetsLost     counter
	offsetsRefused  counter // committed offsets of topics that were deleted
	passedOver      counter // offsets that kafka.start: latest passed over
	partitionsStops byLabel // by code
	goneOn          byLabel // partitions that went on after a stop, by its code
}

func (c *counters) polled(topic string, records int, bytes, skipped int64) {
	if records == 0 {
		return
	}
	c.records.add(topic, uint64(records))
	c.bytes.add(topic, uint64(bytes))
	if skipped > 0 {
		c.skipped.add(topic, uint64(skipped))
	}
}

// stopCodes are the codes with which a partition stops.
func stopCodes() (codes []string) {
	for _, k := range reason.Kinds() {
		if k.Stops {
			codes = append(codes, string(k.Code))
		}
	}
	return codes
}

// snapshot copies the counters, with 0 for topics, classes and codes that did not count yet.
func (c *counters) snapshot(topics []string) observe.Counters {
	return observe.Counters{
		Records: c.records.snapshot(topics...), Bytes: c.bytes.snapshot(topics...), Skipped: c.skipped.snapshot(topics...), ForeignPacks: c.packs.snapshot(topics...), Replaced: c.replaced.snapshot(topics...),
		CommitErrors: c.commitErrors.snapshot(commitClasses...), Stops: c.partitionsStops.snapshot(stopCodes()...), GoneOn: c.goneOn.snapshot(stopCodes()...),
		Commits: c.commits.Load(), Assigned: c.assigned.Load(), Revoked: c.revoked.Load(),
		OffsetsLost: c.offsetsLost.Load(), OffsetsRefused: c.offsetsRefused.Load(), PassedOver: c.passedOver.Load(),
	}
}

// faults remembers what is wrong now, so that each is logged when it begins and when it is over.
type faults struct {
	mu  sync.Mutex
	now map[string]*faultState // guarded by mu
}

type faultState struct {
	class  string
	since  time.Time
	times  int
	lasted time.Duration
}

// begin notes one more failure of a class and reports whether it should be logged: the first does, then
// one a minute.
func (f *faults) begin(class string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.now[class]; s != nil {
		s.times++
		if time.Since(s.since.Add(s.lasted)) < time.Minute {
			return false
		}
		s.lasted = time.Since(s.since)
		return true
	}
	if f.now == nil {
		f.now = make(map[string]*faultState)
	}
	f.now[class] = &faultState{class: class, since: time.Now(), times: 1}
	return true
}

// end clears all and returns what was wrong.
func (f *faults) end() []*faultState {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []*faultState
	for _, s := range f.now {
		s.lasted = time.Since(s.since).Round(time.Millisecond)
		out = append(out, s)
	}
	clear(f.now)
	return out
}
