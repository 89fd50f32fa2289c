package connector

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/connector/reason"
	"inlong-bridge/connector/resume"
)

// beginAt decides where a partition begins that the group committed an offset of. start and end are the log's.
func beginAt(id part.ID, committed, start, end int64, acceptGap bool) begin {
	switch {
	case committed > end:
		return begin{offset: committed, stop: part.Truncated(id, end, committed)}
	case committed < start && acceptGap:
		return begin{offset: start, lost: start - committed}
	case committed < start:
		return begin{offset: committed, stop: part.Gap(id, committed, start)}
	}
	return begin{offset: committed}
}

func tooLargeReason(id part.ID, g *group, err error) string {
	return fmt.Sprintf("the record at offset %d of %s has %d bytes and fits into no frame: %v; "+
		"hint: raise max-msg-length of the proxies and inlong.max_frame, up to 20 MiB", g.offsets[g.sent], id, len(g.payloads[g.sent]), err)
}

func refusedReason(id part.ID, r *refusedOffset, now resume.TopicID) string {
	return fmt.Sprintf("the group's offset %d of %s is of the topic with id %s, which was deleted; the topic has id %s now; "+
		"hint: delete the group's offsets of the topic to move the new one from its start", r.offset, id, r.topic, now)
}

// adjust is called by kgo for partitions it was assigned, before it fetches anything of them. It decides
// where each begins and opens its generation. It runs beside polls and other partitions' work, asks the
// brokers until they answer, and ends with ctx when the session does.
func (b *Bridge) adjust(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	if len(offsets) == 0 {
		return offsets, nil
	}
	parts := make(map[string][]int32, len(offsets))
	for topic, nums := range offsets {
		parts[topic] = slices.Sorted(maps.Keys(nums))
	}
	var out map[string]map[int32]kgo.Offset
	var opened []*partition
	err := b.untilAnswered(ctx, "listing offsets", func() error {
		s, err := b.survey(ctx, parts)
		if err == nil && b.stopping() {
			return errStopping
		}
		if err == nil {
			out, opened, err = b.openGenerations(s, parts)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	// A position that nobody committed is committed before the first fetch. Otherwise: 1. the position is chosen by
	// the clock or the log's end  2. the bridge crashes  3. the next one chooses another, and what lies between is skipped.
	err = b.untilAnswered(ctx, "committing where partitions begin", func() error {
		if b.commitBy(ctx, opened, b.commitStarts); startsCommitted(opened) {
			return nil
		}
		return errStartNotTaken
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

var (
	errStartNotTaken = errors.New("the group's coordinator did not take the offsets; see the log of commits")
	errStopping      = errors.New("the bridge stops")
)

// untilAnswered calls f until it succeeds or ctx ends, with growing pauses, and shows why it fails.
func (b *Bridge) untilAnswered(ctx context.Context, what string, f func() error) error {
	for pause := 200 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		if b.stopping() { // nothing more is begun: the client fetches nothing of these partitions before this returns
			<-ctx.Done()
			return ctx.Err()
		}
		err := f()
		if err == nil {
			b.groupFault(nil)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if b.stopping() {
			continue
		}
		b.groupFault(kafkaclient.Explain(err, what))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// startsCommitted reports whether nothing must be committed any more before parts may be fetched.
func startsCommitted(parts []*partition) bool {
	for _, p := range parts {
		if p.beginning() && p.stopped() == nil {
			return false
		}
	}
	return true
}

// within looks up the start and end of a partition's log.
func within(starts, ends kadm.ListedOffsets, id part.ID) (start, end int64, err error) {
	s, okStart := starts.Lookup(id.Topic, id.Num)
	e, okEnd := ends.Lookup(id.Topic, id.Num)
	switch {
	case okStart && s.Err != nil:
		return 0, 0, s.Err
	case okEnd && e.Err != nil:
		return 0, 0, e.Err
	case !okStart || !okEnd:
		return 0, 0, kerr.UnknownTopicOrPartition
	}
	return s.Offset, max(e.Offset, s.Offset), nil
}

// openGenerations gives each partition its object and says where to fetch from.
func (b *Bridge) openGenerations(s *survey, parts map[string][]int32) (map[string]map[int32]kgo.Offset, []*partition, error) {
	out := make(map[string]map[int32]kgo.Offset, len(parts))
	var opened []*partition
	for name, nums := range parts {
		t, err := b.topicOf(name)
		if err != nil {
			return nil, nil, err
		}
		t = b.withID(t, s.topics[name].id)
		rt, err := route.NewRouter(t.mapping, b.routes)
		if err != nil {
			return nil, nil, err
		}
		out[name] = make(map[int32]kgo.Offset, len(nums))
		for _, num := range nums {
			p := b.open(s, part.ID{Topic: name, Num: num}, t, rt)
			at := kgo.NewOffset().At(p.from.offset)
			if p.from.lost == 0 && p.from.stop == nil && !p.from.bare {
				at = at.WithEpoch(p.from.epoch) // finds a log that is cut off between the survey and the first fetch
			}
			out[name][num] = at
			opened = append(opened, p)
		}
	}
	gates := make([]*gate.Gate, len(opened))
	for i, p := range opened {
		b.put(p)
		gates[i] = p.gate
		if h := p.stopped(); h != nil && !p.from.again { // one whose topic is joined again in a moment is not news
			b.stopped(p, h.Own)
		}
		if p.limit >= 0 && p.start >= p.limit && p.from.absent == nil {
			p.reachedEnd()
		}
	}
	b.gates.Begin(gates...)
	for _, p := range opened {
		if p.from.absent != nil {
			b.miss(p, byBegin, p.from.absent)
		}
	}
	b.sayBegins(s, opened)
	return out, opened, nil
}

// open makes the object of one assignment.
func (b *Bridge) open(s *survey, id part.ID, t *topic, rt *route.Router) *partition {
	bg := s.begin(id, startPolicy(&b.cfg.Kafka), b.cfg.Delivery.OnGap == "continue")
	limit, planned := b.limitOf(id)
	switch asked := s.topics[id.Topic].id; {
	case bg.absent != nil: // it begins later
	case part.OtherTopic(t.id, asked):
		// The group's client holds the old id and would never fetch under the new one.
		bg.stop, bg.again = part.Recreated(id, bg.offset), true
		b.joinAgain(id.Topic, "it was deleted and created again")
	case part.OtherTopic(planned, asked):
		bg.stop = part.Recreated(id, bg.offset)
	case bg.refused != nil && b.migration != nil:
		bg.stop = part.Stop(id, reason.Recreated, bg.refused.offset, refusedReason(id, bg.refused, asked))
	}
	p := newPartition(id, t, rt, bg.offset-bg.lost, b, b.gates.New(id.Topic, id.Num), &b.held, b.log)
	p.from, p.cluster, p.limit, p.assignment = bg, s.cluster, limit, b.assignments.Add(1)
	p.high.Store(s.logs[id].end)
	p.logStart.Store(s.logs[id].start)
	if bg.lost > 0 {
		p.loseBefore(bg.offset)
		b.counters.offsetsLost.Add(uint64(bg.lost))
		b.log.Warn("offsets are gone from Kafka, going on after them", "topic", id.Topic, "partition", id.Num,
			"from", bg.offset-bg.lost, "to", bg.offset-1, "on_gap", "continue")
	}
	if bg.stop != nil {
		p.gate.Add(*bg.stop, true)
	}
	if bg.absent != nil {
		b.faultAbsent(p, bg.absent)
	}
	return p
}

// maxNamed is how many partitions one line of the log names.
const maxNamed = 20

// sayBegins logs, once per topic, where its partitions begin and why, and what is remarkable about it.
func (b *Bridge) sayBegins(s *survey, opened []*partition) {
	byTopic := make(map[string][]*partition)
	for _, p := range opened {
		if p.stopped() == nil && p.from.absent == nil || p.from.refused != nil {
			byTopic[p.id.Topic] = append(byTopic[p.id.Topic], p)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byTopic)) {
		parts := byTopic[name]
		var whys [resume.FirstStart + 1]int
		var passed int64
		var unknown, refused, bare int
		var old []string
		for _, p := range parts {
			whys[p.from.why]++
			if p.from.commitFirst {
				passed += p.from.books.Passed
			}
			unknown += btoi(p.from.restate)
			bare += btoi(p.from.bare)
			if r := p.from.refused; r != nil {
				if refused++; refused <= maxNamed {
					old = append(old, fmt.Sprintf("%d: offset %d of %s", p.id.Num, r.offset, r.topic))
				}
			}
		}
		var where []string
		for why, n := range whys {
			if n > 0 {
				where = append(where, fmt.Sprintf("%d %s", n, resume.Why(why)))
			}
		}
		id := s.topics[name].id
		b.log.Info("partitions begin", "topic", name, "topic_id", id.String(), "partitions", len(parts),
			"where", strings.Join(where, "; "), "offsets_passed_over", passed, "offsets_without_epoch", bare)
		b.counters.passedOver.Add(uint64(passed))
		if unknown > 0 {
			b.log.Info("the offsets were committed by an earlier version, another tool or for another cluster; they are believed, and are committed again with the topic's id",
				"topic", name, "partitions", unknown)
		}
		if n := whys[resume.MissedStart]; n > 0 {
			b.log.Warn("the group saw partitions before and has no commit of them; they begin at the log's start, so some records may arrive twice",
				"topic", name, "partitions", n, "first_seen", s.topics[name].known.Seen.At)
		}
		if refused > 0 {
			b.counters.offsetsRefused.Add(uint64(refused))
			begins := "at the start of the new topic"
			if b.migration != nil {
				begins = "not at all: a migration does not go on with another topic"
			}
			b.log.Warn("committed offsets are of a topic that was deleted, and are refused", "topic", name, "topic_id", id.String(),
				"partitions", refused, "refused", strings.Join(old, ", "), "begins", begins)
		}
	}
}

func btoi(v bool) int {
	if v {
		return 1
	}
	return 0
}

// loseBefore books the offsets up to next as lost and goes on there. It refuses while something is parked, whose span has not
// begun: the one that is booked would cover it, and be final.
func (p *partition) loseBefore(next int64) (ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.parked) > 0 {
		return false
	}
	from := p.expect
	if next <= from || p.gate.Ended() {
		return true
	}
	s := p.wm.Begin(from, next)
	p.wm.Count(s, checkpoint.LostGap, next-from)
	p.wm.End(s)
	p.expect = next
	return true
}
