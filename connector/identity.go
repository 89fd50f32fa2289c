package connector

import (
	"context"
	"fmt"
	"slices"
	"time"

	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/resume"
)

// joinAgain makes the group's client forget a topic and consume it anew. kgo keeps the topic id that it saw first, and
// fetches and commits under no other. It is done by the watch loop, because it ends the session that the caller is
// part of.
func (b *Bridge) joinAgain(topic, why string) {
	b.mu.Lock()
	b.joinAgainLocked(topic, why, nil, 0)
	b.mu.Unlock()
	b.lookSoon()
}

// unread has a topic joined again of which a partition is assigned and not read. Otherwise: 1. a partition is
// assigned  2. the question for its committed offset fails, because the client knows the topic by an older id
// 3. kgo drops the partition from its session, and nobody reads it until the group moves.
func (b *Bridge) unread(id part.ID, err error) {
	if err == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, mine := b.mine[id]; mine && b.topics[id.Topic] != nil {
		// Not at once: it may just be about to begin.
		b.joinAgainLocked(id.Topic, fmt.Sprintf("partition %d is assigned and cannot be read: %v", id.Num, err), &id, joinPause)
	}
}

func (b *Bridge) joinAgainLocked(topic, why string, unread *part.ID, pause time.Duration) {
	if b.again == nil {
		b.again = make(map[string]*joining)
	}
	j := b.again[topic]
	if j == nil {
		j = new(joining)
		b.again[topic] = j
	}
	if j.asked {
		return
	}
	j.asked, j.left, j.revoked, j.why, j.unread = true, false, false, why, unread
	j.due = time.Now().Add(max(j.pause, pause))
	j.pause = min(max(2*j.pause, joinPause), joinPauses)
}

const (
	joinPause  = 2 * time.Second // before a topic is joined again once more; it grows
	joinPauses = time.Minute
	leaveTime  = 3 * time.Second // for the group to share out partitions without a topic that was left
)

// joining is a topic that is left and joined again.
type joining struct {
	asked    bool     // it is to be done, or under way
	why      string   // for the log
	unread   *part.ID // nil, or the partition because of which, unless it is read by then
	due      time.Time
	pause    time.Duration // before the next time
	left     bool          // kgo was told to forget it,
	leftAt   time.Time     // then,
	sessions uint64        // after so many sessions;
	revoked  bool          // and its partitions were taken away
}

// over reports whether the group has shared out its partitions without the topic. Joining it sooner would leave kgo
// with an assignment that did not change, of which it does nothing.
func (j *joining) over(sessions uint64, now time.Time) bool {
	return j.revoked || sessions > j.sessions && now.Sub(j.leftAt) >= leaveTime
}

// joinTopicsAgain leaves topics that joinAgain named and joins them again under the ids that they have now.
func (b *Bridge) joinTopicsAgain(ctx context.Context) {
	if b.stopping() {
		return
	}
	now := time.Now()
	var leave, join []string
	b.mu.Lock()
	for name, j := range b.again {
		switch {
		case !j.asked, now.Before(j.due):
		case !j.left && j.unread != nil && !b.unreadLocked(*j.unread):
			j.asked, j.pause = false, 0
		case !j.left:
			b.log.Warn("the group leaves a topic and joins it again", "topic", name, "why", j.why, "topic_id", resume.TopicID(b.topics[name].ID).String())
			j.left, j.leftAt, j.sessions = true, now, b.sessions.Load()
			leave = append(leave, name)
		case !b.holdsLocked(name) && j.over(b.sessions.Load(), now):
			join = append(join, name)
		}
	}
	b.mu.Unlock()
	if len(leave) > 0 {
		b.group.PurgeTopicsFromConsuming(leave...)
		b.direct.PurgeTopicsFromConsuming(slices.Clone(leave)...)
	}
	if len(join) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	found, err := b.kafka.Identify(ctx, join)
	if err != nil {
		return // asked again at the next look
	}
	join = slices.DeleteFunc(join, func(name string) bool { return found.Topics[name].Err != nil }) // not there yet
	b.mu.Lock()
	for _, name := range join {
		t := b.topics[name]
		// Found: what a topic of that name holds now came while this bridge ran.
		b.topics[name] = &assign.Topic{Name: name, ID: found.Topics[name].ID, Found: t.Found || part.OtherTopic(t.ID, found.Topics[name].ID), Mapping: t.Mapping}
		b.again[name].asked = false
	}
	b.mu.Unlock()
	if len(join) > 0 {
		b.group.AddConsumeTopics(join...)
	}
}

// unreadLocked reports whether a partition is assigned and was not begun; b.mu is held.
func (b *Bridge) unreadLocked(id part.ID) bool {
	_, mine := b.mine[id]
	return mine && b.parts[id] == nil
}

// noteGiven remembers which partitions the group assigned.
func (b *Bridge) noteGiven(given map[string][]int32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, nums := range given {
		for _, num := range nums {
			b.mine[part.ID{Topic: name, Num: num}] = struct{}{}
		}
	}
}

// noteTaken remembers which partitions the group took away.
func (b *Bridge) noteTaken(taken map[string][]int32) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for name, nums := range taken {
		for _, num := range nums {
			delete(b.mine, part.ID{Topic: name, Num: num})
		}
		if j := b.again[name]; j != nil && j.left {
			j.revoked = true
		}
	}
}

// withID gives a topic its id if the brokers did not tell it before.
func (b *Bridge) withID(t *assign.Topic, id resume.TopicID) *assign.Topic {
	if t.ID != ([16]byte{}) || id == (resume.TopicID{}) {
		return t
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.topics[t.Name] = &assign.Topic{Name: t.Name, ID: id, Found: t.Found, Mapping: t.Mapping}
	return b.topics[t.Name]
}

// holdsLocked reports whether a partition of a topic is assigned; b.mu is held.
func (b *Bridge) holdsLocked(topic string) bool {
	return slices.ContainsFunc(b.order, func(p *assign.Assignment) bool { return p.ID().Topic == topic })
}

// sayIfUnprotected logs once that the brokers have no topic ids: nothing then tells a topic from one that was
// created in its place.
func (b *Bridge) sayIfUnprotected() {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, t := range b.topics {
		if t.ID != ([16]byte{}) {
			return
		}
	}
	if len(b.topics) > 0 {
		b.log.Warn("the brokers tell no topic ids (Kafka before 2.8): a topic that is deleted and created again cannot be told from the old one; stop the bridge and delete the group's offsets before you create a topic again")
	}
}
