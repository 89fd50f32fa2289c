package consume

import (
	"fmt"
	"log/slog"
	"slices"
	"time"

	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/resume"
)

// The group's client keeps the topic id that it saw first, and fetches and commits under no other. For a topic that was
// created again it is therefore made to forget the topic and to consume it anew. The watcher does that, because it ends the
// session that the caller is part of.

// joinAgain has a topic joined again at the watcher's next look.
func (tb *Table) joinAgain(topic, why string) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.joinAgainLocked(topic, why, nil, 0)
}

// unread has a topic joined again of which a partition is assigned and not read. Otherwise: 1. a partition is
// assigned  2. the question for its committed offset fails, because the client knows the topic by an older id
// 3. kgo drops the partition from its session, and nobody reads it until the group moves.
func (tb *Table) unread(id part.ID, err error) {
	if err == nil {
		return
	}
	tb.mu.Lock()
	defer tb.mu.Unlock()
	if _, mine := tb.mine[id]; mine && tb.topics[id.Topic] != nil {
		// Not at once: it may just be about to begin.
		tb.joinAgainLocked(id.Topic, fmt.Sprintf("partition %d is assigned and cannot be read: %v", id.Num, err), &id, joinPause)
	}
}

func (tb *Table) joinAgainLocked(topic, why string, unread *part.ID, pause time.Duration) {
	if tb.again == nil {
		tb.again = make(map[string]*joining)
	}
	j := tb.again[topic]
	if j == nil {
		j = new(joining)
		tb.again[topic] = j
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

// dueAgain returns the topics that are to be left and those that are to be joined now. sessions is how many the group has had.
func (tb *Table) dueAgain(now time.Time, sessions uint64, log *slog.Logger) (leave, join []string) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	for name, j := range tb.again {
		switch {
		case !j.asked, now.Before(j.due):
		case !j.left && j.unread != nil && !tb.unreadLocked(*j.unread):
			j.asked, j.pause = false, 0
		case !j.left:
			log.Warn("the group leaves a topic and joins it again", "topic", name, "why", j.why, "topic_id", resume.TopicID(tb.topics[name].ID).String())
			j.left, j.leftAt, j.sessions = true, now, sessions
			leave = append(leave, name)
		case !tb.holdsLocked(name) && j.over(sessions, now):
			join = append(join, name)
		}
	}
	return leave, join
}

// joined notes the ids under which topics are joined again.
func (tb *Table) joined(topics []string, idOf func(name string) resume.TopicID) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	for _, name := range topics {
		t, id := tb.topics[name], idOf(name)
		// Found: what a topic of that name holds now came while this bridge ran.
		tb.topics[name] = &assign.Topic{Name: name, ID: id, Found: t.Found || part.OtherTopic(t.ID, id), Mapping: t.Mapping}
		tb.again[name].asked = false
	}
}

// unreadLocked reports whether a partition is assigned and was not begun.
func (tb *Table) unreadLocked(id part.ID) bool {
	_, mine := tb.mine[id]
	return mine && tb.parts[id] == nil
}

// holdsLocked reports whether a partition of a topic is assigned.
func (tb *Table) holdsLocked(topic string) bool {
	return slices.ContainsFunc(tb.order, func(p *assign.Assignment) bool { return p.ID().Topic == topic })
}

// given remembers which partitions the group assigned.
func (tb *Table) given(given map[string][]int32) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	for name, nums := range given {
		for _, num := range nums {
			tb.mine[part.ID{Topic: name, Num: num}] = struct{}{}
		}
	}
}

// taken remembers which partitions the group took away.
func (tb *Table) taken(taken map[string][]int32) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	for name, nums := range taken {
		for _, num := range nums {
			delete(tb.mine, part.ID{Topic: name, Num: num})
		}
		if j := tb.again[name]; j != nil && j.left {
			j.revoked = true
		}
	}
}
