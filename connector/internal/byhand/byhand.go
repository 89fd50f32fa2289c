// Package byhand keeps which single records a person has the bridge skip (--skip), and says what became of each.
//
// Such a skip is one for the record that its partition stops at, and for nothing else: it names the topic by its id, it is refused
// where the offset is committed already or not in the log, and a record that the bridge can deliver is delivered. So one that
// is left in a unit file does nothing at later starts but to be refused.
package byhand

import (
	"fmt"
	"log/slog"
	"sync"

	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/resume"
	"inlong-bridge/connector/startfile"
)

// Request is what a person asks for: to skip the record of an entry.
type Request struct {
	startfile.Entry
	Who, Why string // go into the log
}

// Skip is one record to skip. A nil Skip is none.
type Skip struct {
	Request
	log *slog.Logger

	mu      sync.Mutex
	took    bool // guarded by mu; the partition stood at the record, and goes on behind it
	settled bool // guarded by mu; the log has said that it does nothing
}

// Is reports whether the record at an offset is meant.
func (s *Skip) Is(offset int64) bool { return s != nil && s.Offset == offset }

// Within reports whether the record may be among those of a range, both ends included.
func (s *Skip) Within(first, last int64) bool {
	return s != nil && first <= s.Offset && s.Offset <= last
}

// Took notes that the partition stood at the record, and why. The first call is logged: after a rebalance the record may be met
// again.
func (s *Skip) Took(cause string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.took {
		return
	}
	s.took = true
	s.log.Warn("skipping a record by hand; the books count it", "topic", s.Topic, "topic_id", s.ID.String(), "partition", s.Partition,
		"offset", s.Offset, "who", s.Who, "why", s.Why, "cause", cause)
}

// refuse says once why the skip does nothing.
func (s *Skip) refuse(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.took || s.settled {
		return
	}
	s.settled = true
	s.log.Error("--skip is refused, and nothing is skipped", "skip", s.String(), "who", s.Who, "why", s.Why, "err", fmt.Sprintf(format, args...))
}

// Skips are the skips of one process, at most one per partition. The methods are safe for concurrent use.
type Skips struct{ by map[part.ID]*Skip }

// New takes requests over. An error names two of one partition.
func New(log *slog.Logger, asked []Request) (*Skips, error) {
	all := &Skips{make(map[part.ID]*Skip, len(asked))}
	for _, r := range asked {
		s := &Skip{Request: r, log: log}
		id := part.ID{Topic: s.Topic, Num: s.Partition}
		if first := all.by[id]; first != nil {
			return nil, fmt.Errorf("--skip %s: another one, %s, is of the same partition; skip one record of a partition at a time: the next one is known once the partition stops there", s.Entry, first.Entry)
		}
		all.by[id] = s
	}
	return all, nil
}

// Begin returns the skip of a partition that begins at from, in a log that ends at end; nil for none.
func (all *Skips) Begin(id part.ID, topic resume.TopicID, from, end int64) *Skip {
	if all == nil {
		return nil
	}
	s := all.by[id]
	switch {
	case s == nil:
		return nil
	case s.ID != topic:
		s.refuse("the topic has the id %s now", topic)
	case s.Offset < from:
		s.refuse("the partition is committed up to offset %d already", from)
	case s.Offset >= end:
		s.refuse("the log ends at offset %d", end)
	default:
		return s
	}
	return nil
}

// Unwanted refuses the skips of topics that are not consumed.
func (all *Skips) Unwanted(wanted func(topic string) bool) {
	if all == nil {
		return
	}
	for _, s := range all.by {
		if !wanted(s.Topic) {
			s.refuse("the routes do not consume topic %s", s.Topic)
		}
	}
}

// Passed refuses the skips of partitions that went on behind the record without having stopped there. checkpoint tells up to which
// offset a partition is final; ok is false for one that this process does not have.
func (all *Skips) Passed(checkpoint func(id part.ID) (offset int64, ok bool)) {
	if all == nil {
		return
	}
	for id, s := range all.by {
		if at, ok := checkpoint(id); ok && at > s.Offset {
			s.refuse("the partition did not stop at the record, and is final up to offset %d", at)
		}
	}
}
