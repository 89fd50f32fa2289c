package connector

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/lineage"
	"inlong-bridge/sdk/frame"
)

// QueueSums is what Verify read of the queue.
type QueueSums struct {
	Topics     int   `json:"topics"`
	Partitions int   `json:"partitions"`
	Messages   int64 `json:"messages"`
	Packs      int64 `json:"packs"`      // of this group, with lineage
	Foreign    int64 `json:"foreign"`    // packs of other senders and groups
	NoLineage  int64 `json:"no_lineage"` // packs of a bridge that carry none
	Unreadable int64 `json:"unreadable"` // messages, or lineages, that cannot be read
	Expired    int   `json:"partitions_with_expired"`
	BadLetters int64 `json:"unreadable_dead_letters"`

	// Since is the time from which on the queue was read: when the books began, by clocks that may differ. Nil if from its beginning.
	Since      *time.Time `json:"since,omitempty"`
	Later      int        `json:"partitions_begun_later"`            // hold older messages that were not read
	Skipped    int64      `json:"skipped"`                           // so many of them
	Uncounted  int        `json:"partitions_not_counted"`            // whose older messages nobody can count
	OlderRead  bool       `json:"older_read"`                        // not everything was found since then, so they were read as well
	NoPosition string     `json:"read_from_beginning_why,omitempty"` // why some topics were read from their beginning
}

// consumed reports whether the group consumes a topic: then it is no topic of the queue, which the bridge never consumes, though routes by
// key may make its name.
func (v *verification) consumed(c confirm.Browser, topic string) bool {
	k, ok := c.(confirm.KafkaCluster)
	if !ok || v.survey.Cluster == "" || k.ClusterID() != v.survey.Cluster {
		return false
	}
	_, ok = v.survey.Topics[topic]
	return ok
}

// mayHaveExpired notes whether a partition may have held messages that it holds no more: those that came before its first one.
func (v *verification) mayHaveExpired(s confirm.Stretch, first time.Time) {
	if s.From == confirm.At(0) || s.From == confirm.Unknown && s.To == confirm.At(0) { // nothing was deleted, or nothing was ever put into it
		return
	}
	begins := fmt.Sprintf("begins at offset %v with a message of %s", s.From, first.UTC().Format(time.RFC3339))
	switch {
	case first.IsZero():
		first, begins = v.now, "holds nothing any more"
	case s.From == confirm.Unknown:
		begins = "begins with a message of " + first.UTC().Format(time.RFC3339)
	}
	v.sums.Expired++
	if v.expired == "" || first.After(v.oldest) {
		v.oldest = first
		v.expired = fmt.Sprintf("the queue may have deleted them, %v %s", s.Place, begins)
	}
}

// partitionReader takes the messages of one partition of the queue.
type partitionReader struct {
	v     *verification
	first time.Time // of its first message
}

func (p *partitionReader) take(m *confirm.Message) error {
	v := p.v
	v.sums.Messages++
	if v.sums.Messages%1024 == 0 {
		v.Progress(v.sums.Messages, v.total)
	}
	if m.Err == nil {
		if p.first.IsZero() {
			p.first = m.Time
		}
		return v.message(m.Value)
	}
	v.sums.Unreadable++
	return nil
}

// message notes the records of a message, by lengths and attributes alone.
func (v *verification) message(value []byte) error {
	l, of := v.lineageOf(value)
	*of++
	if l == nil {
		return nil
	}
	for _, s := range l.Spans {
		a := v.accounts[l.Sources[s.Source].Source]
		if a == nil {
			continue // of a partition that is not verified
		}
		if err := a.Saw(s.First, s.Last, l.Requeued); err != nil {
			return err
		}
	}
	return nil
}

// lineageOf returns the lineage of a message if it is a pack of this group, and the sum that it counts in.
func (v *verification) lineageOf(value []byte) (l *lineage.Lineage, of *int64) {
	attr, err := frame.InLongMsgAttr(value)
	if err != nil {
		return nil, &v.sums.Unreadable
	}
	get := func(key string) string {
		b, _ := frame.Attribute(attr, key)
		return string(b)
	}
	src, origin := get(lineage.Attr), get(frame.AttrOrigin)
	switch {
	case origin != "" && origin != v.origin, src == "" && get(frame.AttrMid) == "":
		return nil, &v.sums.Foreign
	case src == "":
		return nil, &v.sums.NoLineage
	}
	records, err := recordsOf(value)
	if err == nil {
		l, err = lineage.Decode(src, records)
	}
	if err != nil {
		return nil, &v.sums.Unreadable
	}
	return l, &v.sums.Packs
}

// recordsOf returns how many records a message has.
func recordsOf(value []byte) (int, error) {
	p, err := frame.DecodeInLongMsg(value)
	if err == nil {
		return int(p.Count), nil
	}
	o, err := frame.OpenInLongMsg(value, 64<<20)
	return len(o.Records), err
}

// topicsOf lists the topics of a cluster into which the routes may lead.
func (v *verification) topicsOf(ctx context.Context, q *Queue, c confirm.Browser) ([]string, error) {
	if q.source != nil {
		return v.managedTopics(q, c), nil
	}
	outputs := v.cfg.Routes.Outputs(c.Topic("", "{group}", "{stream}")) // placeholders stand for themselves
	names, err := c.Topics(ctx, regexp.MustCompile(""))
	if errors.Is(err, confirm.ErrCannotList) {
		return v.fixedTopics(c, err)
	}
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(names, func(name string) bool { return !outputs.May(name, true) }), nil
}

// fixedTopics returns the topics of the streams that follow from the names of topics alone, where a cluster cannot list its topics.
func (v *verification) fixedTopics(c confirm.Browser, why error) (names []string, err error) {
	routes := v.cfg.Routes
	if routes.PerRecord() {
		return nil, fmt.Errorf("finding the topics of streams that depend on keys or headers: %w", why)
	}
	targets := routes.Targets()
	for _, a := range v.ordered {
		if t := routes.ForTopic(a.id.Topic).Fixed; t != nil {
			targets = append(targets, *t)
		}
	}
	for _, t := range targets {
		names = append(names, c.Topic("", t.Group, t.Stream))
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// managedTopics returns the topics of the Manager's streams into which the routes may lead. The Manager names them by group and
// stream, or by the group alone.
func (v *verification) managedTopics(q *Queue, c confirm.Browser) (names []string) {
	streams, groups := v.cfg.Routes.Outputs("{group}.{stream}"), v.cfg.Routes.Outputs("{group}")
	for key, topic := range q.source.TopicsNow() {
		if streams.May(key, true) || groups.May(key, true) {
			names = append(names, c.Topic(topic, "", ""))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
