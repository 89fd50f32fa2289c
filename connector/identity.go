package connector

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"inlong-bridge/connector/resume"
)

// A topic is its id, not its name. Brokers from 4.1 on check the id of a commit (OffsetCommit v10). Older ones take
// offsets by name, so the id is asked for in the same round, before the commit. What slips in between is found
// at the next assignment, because the commit's line names the id that it was made for.

// idCheck says which topics a round may commit.
type idCheck struct {
	all    bool            // brokers check ids themselves
	agreed map[string]bool // topics whose id was confirmed in this round
	failed error           // why others were not asked with success; nil when all were
}

// mayCommit reports whether a partition's offset may be committed by its topic's name.
func (c *idCheck) mayCommit(p *partition) bool {
	if h := p.halted.Load(); h != nil && h.code == haltDeleted {
		return c.agreed[p.id.topic] // the same topic is back; it would not be asked for otherwise
	}
	return c.all || c.agreed[p.id.topic]
}

// checkIDs asks for the ids of the topics that parts are of, where they have to be asked for, and stops the
// partitions of topics that have another one. Whoever calls it holds the commit slot.
func (b *Bridge) checkIDs(ctx context.Context, parts []*partition) *idCheck {
	c := &idCheck{all: b.brokersCheckIDs.Load() == idsChecked, agreed: make(map[string]bool)}
	ask := make(map[string]bool)
	for _, p := range parts {
		if h := p.halted.Load(); !c.all || h != nil && h.code == haltDeleted {
			ask[p.id.topic] = true
		}
	}
	if len(ask) == 0 {
		return c
	}
	m, err := b.identify(ctx, slices.Sorted(maps.Keys(ask)))
	if err != nil {
		c.failed = fmt.Errorf("confirming the ids of topics before a commit: %w", err)
		return c
	}
	for _, p := range parts {
		switch t := m.topics[p.id.topic]; {
		case !ask[p.id.topic]:
		case t.err != nil:
			c.failed = fmt.Errorf("confirming the id of topic %s before a commit: %w", p.id.topic, t.err)
		case differ(p.topic.id, t.id):
			p.stop(recreated(p))
		default:
			c.agreed[p.id.topic] = true
		}
	}
	return c
}

// What is known of whether brokers check the topic id of a commit.
const (
	idsUnknown   int32 = iota
	idsChecked         // a commit was answered in a version that carries ids
	idsUnchecked       // one was not: a coordinator is older. The group may move to it again, so this stays
)

// offsetCommitWithIDs is the first version of OffsetCommit that names topics by id.
const offsetCommitWithIDs = 10

// noteCommitVersion remembers in which version a commit was answered.
func (b *Bridge) noteCommitVersion(version int16) {
	if version < offsetCommitWithIDs {
		b.brokersCheckIDs.Store(idsUnchecked)
	} else {
		b.brokersCheckIDs.CompareAndSwap(idsUnknown, idsChecked)
	}
}

// joinAgain makes the group's client forget a topic that was created again and consume it anew. kgo keeps the id
// that it saw first, and fetches and commits under no other. It is done by the watch loop, because it ends
// the session that the caller is part of.
func (b *Bridge) joinAgain(topic string, now resume.TopicID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.again == nil {
		b.again = make(map[string]*joining)
	}
	if b.again[topic] == nil {
		b.again[topic] = &joining{id: now}
		b.log.Warn("topic was deleted and created again; the group leaves the old one and joins the new one", "topic", topic,
			"old_id", resume.TopicID(b.topics[topic].id).String(), "topic_id", now.String())
	}
	select {
	case b.look <- struct{}{}:
	default:
	}
}

// joining is a topic that is being left and joined under its new id.
type joining struct {
	id   resume.TopicID
	left bool // kgo was told to forget it
}

// joinTopicsAgain leaves topics that were created again and, once none of their partitions is assigned to the old
// id any more, joins them. Joining sooner would leave kgo with an assignment that did not change.
func (b *Bridge) joinTopicsAgain() {
	if b.draining.Load() {
		return
	}
	b.mu.Lock()
	var leave, join []string
	for name, j := range b.again {
		switch {
		case !j.left:
			j.left = true
			leave = append(leave, name)
		case !b.holdsLocked(name):
			join = append(join, name)
			t := b.topics[name]
			b.topics[name] = &topic{name: name, id: j.id, found: true, mapping: t.mapping}
			delete(b.again, name)
		}
	}
	b.mu.Unlock()
	if len(leave) > 0 {
		b.group.PurgeTopicsFromConsuming(leave...)
		b.direct.PurgeTopicsFromConsuming(slices.Clone(leave)...)
	}
	if len(join) > 0 {
		b.group.AddConsumeTopics(join...)
	}
}

// withID gives a topic its id if the brokers did not tell it before.
func (b *Bridge) withID(t *topic, id resume.TopicID) *topic {
	if t.id != ([16]byte{}) || id == (resume.TopicID{}) {
		return t
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.topics[t.name] = &topic{name: t.name, id: id, found: t.found, mapping: t.mapping}
	return b.topics[t.name]
}

// holdsLocked reports whether a partition of a topic is assigned; b.mu is held.
func (b *Bridge) holdsLocked(topic string) bool {
	return slices.ContainsFunc(b.order, func(p *partition) bool { return p.id.topic == topic })
}

// sayIfUnprotected logs once that the brokers have no topic ids: nothing then tells a topic from one that was
// created in its place.
func (b *Bridge) sayIfUnprotected() {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, t := range b.topics {
		if t.id != ([16]byte{}) {
			return
		}
	}
	if len(b.topics) > 0 {
		b.log.Warn("the brokers tell no topic ids (Kafka before 2.8): a topic that is deleted and created again cannot be told from the old one; stop the bridge and delete the group's offsets before you create a topic again")
	}
}

// stillThere reports whether the topic of a partition has the id of its assignment, asked for afresh. It stops
// the partition otherwise: what is asked for by name next would be of another topic.
func (b *Bridge) stillThere(ctx context.Context, p *partition) (bool, error) {
	m, err := b.identify(ctx, []string{p.id.topic})
	if err != nil {
		return false, err
	}
	switch t := m.topics[p.id.topic]; {
	case errors.Is(t.err, kerr.UnknownTopicOrPartition):
		p.stop(deleted(p.id))
		return false, nil
	case differ(p.topic.id, t.id):
		p.stop(recreated(p))
		return false, nil
	}
	return true, nil
}

// lastRefresh bounds the last question of a bridge for what the group committed.
const lastRefresh = 5 * time.Second
