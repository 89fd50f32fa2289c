package consume

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/byhand"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/internal/source"
	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/connector/resume"
)

// opener begins partitions that the group assigns.
type opener struct {
	*Consumer
	numbers atomic.Uint64 // of assignments, made so far
}

// adjust is called by kgo for partitions it was assigned, before it fetches anything of them. It decides
// where each begins and opens its assignment. It runs beside polls and other partitions' work, asks the
// brokers until they answer, and ends with ctx when the session does.
func (o *opener) adjust(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	if len(offsets) == 0 {
		return offsets, nil
	}
	parts := make(map[string][]int32, len(offsets))
	for topic, nums := range offsets {
		parts[topic] = slices.Sorted(maps.Keys(nums))
	}
	var out map[string]map[int32]kgo.Offset
	var opened []*assign.Assignment
	err := o.untilAnswered(ctx, "listing offsets", func() error {
		s, err := o.deps.Kafka.Survey(ctx, parts)
		if err == nil && o.member.stopping() {
			return errStopping
		}
		if err == nil {
			out, opened, err = o.openAssignments(s, parts)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	// A position that nobody committed is committed before the first fetch. Otherwise: 1. the position is chosen by
	// the clock or the log's end  2. the bridge crashes  3. the next one chooses another, and what lies between is skipped.
	err = o.untilAnswered(ctx, "committing where partitions begin", func() error {
		if o.Committer.CommitStarts(ctx, opened); startsCommitted(opened) {
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
func (o *opener) untilAnswered(ctx context.Context, what string, f func() error) error {
	for pause := 200 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		if o.member.stopping() { // nothing more is begun: the client fetches nothing of these partitions before this returns
			<-ctx.Done()
			return ctx.Err()
		}
		err := f()
		if err == nil {
			o.member.sessionFault(nil)
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if o.member.stopping() {
			continue
		}
		o.member.sessionFault(kafkaclient.Explain(err, what))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// startsCommitted reports whether nothing must be committed any more before parts may be fetched.
func startsCommitted(parts []*assign.Assignment) bool {
	for _, p := range parts {
		if p.Beginning() && p.Stopped() == nil {
			return false
		}
	}
	return true
}

// openAssignments gives each partition its object and says where to fetch from.
func (o *opener) openAssignments(s *source.Survey, parts map[string][]int32) (map[string]map[int32]kgo.Offset, []*assign.Assignment, error) {
	out := make(map[string]map[int32]kgo.Offset, len(parts))
	var opened []*assign.Assignment
	for name, nums := range parts {
		t, err := o.table.topic(name)
		if err != nil {
			return nil, nil, err
		}
		t = o.table.withID(t, s.Topics[name].ID)
		rt, err := route.NewRouter(t.Mapping, o.deps.Routes)
		if err != nil {
			return nil, nil, err
		}
		out[name] = make(map[int32]kgo.Offset, len(nums))
		for _, num := range nums {
			p := o.open(s, part.ID{Topic: name, Num: num}, t, rt)
			at := kgo.NewOffset().At(p.From.Offset)
			if p.From.Lost == 0 && p.From.Stop == nil && !p.From.Bare {
				at = at.WithEpoch(p.From.Epoch) // finds a log that is cut off between the survey and the first fetch
			}
			out[name][num] = at
			opened = append(opened, p)
		}
	}
	gates := make([]*gate.Gate, len(opened))
	for i, p := range opened {
		o.Put(p)
		gates[i] = p.Gate()
		if h := p.Stopped(); h != nil && !p.From.Again { // one whose topic is joined again in a moment is not news
			o.Stopped(p, h.Own)
		}
		if p.Limit >= 0 && p.Start >= p.Limit && p.From.Absent == nil {
			p.ReachedEnd()
		}
	}
	o.Gates.Begin(gates...)
	for _, p := range opened {
		if p.From.Absent != nil {
			o.miss(p, byBegin, p.From.Absent)
		}
	}
	o.sayBegins(s, opened)
	return out, opened, nil
}

// open makes the object of one assignment.
func (o *opener) open(s *source.Survey, id part.ID, t *assign.Topic, rt *route.Router) *assign.Assignment {
	bg := s.Begin(id, o.goesOn)
	limit, planned := int64(-1), resume.TopicID{}
	if o.deps.Limit != nil {
		limit, planned = o.deps.Limit(id)
	}
	switch asked := s.Topics[id.Topic].ID; {
	case bg.Absent != nil: // it begins later
	case part.OtherTopic(t.ID, asked):
		// The group's client holds the old id and would never fetch under the new one.
		bg.Stop, bg.Again = part.Recreated(id, bg.Offset), true
		o.table.joinAgain(id.Topic, "it was deleted and created again")
		o.Look()
	case part.OtherTopic(planned, asked):
		bg.Stop = part.Recreated(id, bg.Offset)
	case bg.Refused != nil && o.deps.Migrates:
		bg.Stop = source.DeletedTopic(id, bg.Refused, asked)
	}
	p := assign.New(assign.Spec{
		Partition: id, Topic: t, Router: rt, From: bg, Start: bg.Offset - bg.Lost, Limit: limit, Cluster: s.Cluster, Number: o.numbers.Add(1),
		Lanes: o.lanes, Ahead: ahead(o.lanes, o.cfg.Pack.Bytes.N),
		Aside: o.aside(t.Mapping), Letters: o.cfg.DeadLetter.Limit, Lineage: o.deps.Lineage,
		ByHand: o.byHand(s, id, t.ID, bg),
	}, o.Consumer, o.Gates.New(id.Topic, id.Num), &o.pending)
	p.Log.Saw(s.Logs[id].Start, s.Logs[id].End)
	if bg.Lost > 0 {
		p.LoseBefore(bg.Offset)
		o.Counters.OffsetsLost.Add(uint64(bg.Lost))
		o.log.Warn("offsets are gone from Kafka, going on after them", "topic", id.Topic, "partition", id.Num,
			"from", bg.Offset-bg.Lost, "to", bg.Offset-1, "on_gap", "continue")
	}
	if bg.Stop != nil {
		p.Gate().Add(*bg.Stop, true)
	}
	if bg.Absent != nil {
		o.faultAbsent(p, bg.Absent)
	}
	return p
}

// byHand returns the record of a partition that a person skips, nil for none.
func (o *opener) byHand(s *source.Survey, id part.ID, topic [16]byte, bg source.Begin) *byhand.Skip {
	if bg.Absent != nil || bg.Stop != nil { // nothing of it is read, or it is not known where it begins
		return nil
	}
	return o.deps.ByHand.Begin(id, topic, bg.Offset, s.Logs[id].End)
}

// maxNamed is how many partitions one line of the log names.
const maxNamed = 20

// sayBegins logs, once per topic, where its partitions begin and why, and what is remarkable about it.
func (o *opener) sayBegins(s *source.Survey, opened []*assign.Assignment) {
	byTopic := make(map[string][]*assign.Assignment)
	for _, p := range opened {
		if p.Stopped() == nil && p.From.Absent == nil || p.From.Refused != nil {
			byTopic[p.ID().Topic] = append(byTopic[p.ID().Topic], p)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(byTopic)) {
		parts := byTopic[name]
		var whys [resume.FirstStart + 1]int
		var passed int64
		var unknown, refused, bare int
		var old []string
		for _, p := range parts {
			whys[p.From.Why]++
			if p.From.CommitFirst {
				passed += p.From.Books.Passed
			}
			if p.From.Restate {
				unknown++
			}
			if p.From.Bare {
				bare++
			}
			if r := p.From.Refused; r != nil {
				if refused++; refused <= maxNamed {
					old = append(old, fmt.Sprintf("%d: offset %d of %s", p.ID().Num, r.Offset, r.Topic))
				}
			}
		}
		var where []string
		for why, n := range whys {
			if n > 0 {
				where = append(where, fmt.Sprintf("%d %s", n, resume.Why(why)))
			}
		}
		id := s.Topics[name].ID
		o.log.Info("partitions begin", "topic", name, "topic_id", id.String(), "partitions", len(parts),
			"where", strings.Join(where, "; "), "offsets_passed_over", passed, "offsets_without_epoch", bare)
		o.Counters.PassedOver.Add(uint64(passed))
		if unknown > 0 {
			o.log.Info("the offsets were committed by an earlier version, another tool or for another cluster; they are believed, and are committed again with the topic's id",
				"topic", name, "partitions", unknown)
		}
		if n := whys[resume.Added] + whys[resume.NewTopic]; n > 0 && o.cfg.Kafka.Start == "committed" {
			o.log.Warn("partitions without a committed offset came after the group first saw the topic; they are read from their start although kafka.start is committed",
				"topic", name, "partitions", n)
		}
		if n := whys[resume.MissedStart]; n > 0 {
			o.log.Warn("the group saw partitions before and has no commit of them; they begin at the log's start, so some records may arrive twice",
				"topic", name, "partitions", n, "first_seen", s.Topics[name].Known.Seen.At)
		}
		if refused > 0 {
			o.Counters.OffsetsRefused.Add(uint64(refused))
			begins := "at the start of the new topic"
			if o.deps.Migrates {
				begins = "not at all: a migration does not go on with another topic"
			}
			o.log.Warn("committed offsets are of a topic that was deleted, and are refused", "topic", name, "topic_id", id.String(),
				"partitions", refused, "refused", strings.Join(old, ", "), "begins", begins)
		}
	}
}
