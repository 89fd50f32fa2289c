package connector

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/connector/watermark"
)

// begin says where an assignment begins.
type begin struct {
	offset int64
	// lost is how many offsets before offset are gone from Kafka and were accepted as lost.
	lost int64
	// first is set when the group has no commit yet: the position must be committed before anything else
	// is, or a crash would choose another one (start: latest).
	first bool
	halt  *halt
}

// beginAt decides where a partition begins. committed is negative when the group has no commit for it; at
// is then where start says to begin. start and end are the log's.
func beginAt(id tp, committed, start, end, at int64, acceptGap bool) begin {
	switch {
	case committed < 0:
		return begin{offset: min(max(at, start), end), first: true}
	case committed > end:
		return begin{offset: committed, halt: &halt{code: haltTruncated, offset: end, reason: truncatedReason(id, end, committed)}}
	case committed < start && acceptGap:
		return begin{offset: start, lost: start - committed}
	case committed < start:
		return begin{offset: committed, halt: &halt{code: haltGap, offset: committed, reason: gapReason(id, committed, start)}}
	}
	return begin{offset: committed}
}

func gapReason(id tp, from, to int64) string {
	return fmt.Sprintf("offsets %d to %d of %s are gone from Kafka and were not delivered; "+
		"hint: retention is shorter than the bridge was behind; delivery.on_gap: continue accepts the loss and goes on at %d", from, to-1, id, to)
}

func truncatedReason(id tp, end, want int64) string {
	return fmt.Sprintf("the log of %s ends or continues at %d, but %d was reached before: it was cut off (unclean leader election) "+
		"or the topic was created again; hint: find out what happened, then set the group's offset and restart the bridge", id, end, want)
}

func tooLargeReason(id tp, g *group, err error) string {
	return fmt.Sprintf("the record at offset %d of %s has %d bytes and fits into no frame: %v; "+
		"hint: raise max-msg-length of the proxies and inlong.max_frame, up to 20 MiB", g.offsets[g.sent], id, len(g.payloads[g.sent]), err)
}

func recreated(p *partition) *halt {
	return &halt{code: haltRecreated, offset: p.wm.Position(), reason: fmt.Sprintf(
		"topic %s was deleted and created again: what was not delivered of the old one is gone; "+
			"hint: reset the group's offsets of the old one, if there are any left, and restart the bridge to begin with the new topic", p.id.topic)}
}

// adjust is called by kgo for partitions it was assigned, before it fetches anything of them. It decides
// where each begins and opens its generation. It runs beside polls and other partitions' work, asks the
// brokers until they answer, and ends with ctx when the session does.
func (b *Bridge) adjust(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	if len(offsets) == 0 {
		return offsets, nil
	}
	pause := 200 * time.Millisecond
	for {
		bounds, err := b.bounds(ctx, offsets)
		if err == nil {
			var out map[string]map[int32]kgo.Offset
			if out, err = b.openGenerations(offsets, bounds); err == nil {
				b.groupFault(nil)
				return out, nil
			}
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		b.groupFault(kafkaclient.Explain(err, "listing offsets"))
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
		pause = min(2*pause, 5*time.Second)
	}
}

// bound is what Kafka says about one partition; err is for that partition alone and final.
type bound struct {
	start, end, at int64
	err            error
}

// bounds asks for the log's start and end and, where there is no commit, for the offset to begin at.
func (b *Bridge) bounds(ctx context.Context, offsets map[string]map[int32]kgo.Offset) (map[tp]bound, error) {
	topics := slices.Sorted(maps.Keys(offsets))
	// The ends come first: a record that arrives while we ask is then after them, whatever comes next.
	ends, err := b.admin.ListEndOffsets(ctx, topics...)
	if err != nil {
		return nil, err
	}
	starts, err := b.admin.ListStartOffsets(ctx, topics...)
	if err != nil {
		return nil, err
	}
	var after kadm.ListedOffsets
	if b.cfg.Kafka.Start == "timestamp" {
		if after, err = b.admin.ListOffsetsAfterMilli(ctx, b.cfg.Kafka.StartTime.UnixMilli(), topics...); err != nil {
			return nil, err
		}
	}
	out := make(map[tp]bound)
	for topic, parts := range offsets {
		for num := range parts {
			id := tp{topic, num}
			start, end, err := within(starts, ends, id)
			if err != nil {
				if errors.Is(err, kerr.UnknownTopicOrPartition) {
					out[id] = bound{err: err}
					continue
				}
				return nil, err
			}
			bd := bound{start: start, end: end}
			switch b.cfg.Kafka.Start {
			case "latest":
				// A partition that came after the bridge has nothing that is older than it.
				if bd.at = start; num < b.knownPartitions(topic) {
					bd.at = end
				}
			case "timestamp":
				bd.at = end // nothing is as new: -1 for the timestamp, and the offset is then an end of its own
				if o, ok := after.Lookup(topic, num); ok && o.Err == nil && o.Timestamp >= 0 && o.Offset >= 0 {
					bd.at = o.Offset
				} else if ok && o.Err != nil {
					return nil, o.Err
				}
			default:
				bd.at = start
			}
			out[id] = bd
		}
	}
	return out, nil
}

// within looks up the start and end of a partition's log.
func within(starts, ends kadm.ListedOffsets, id tp) (start, end int64, err error) {
	s, okStart := starts.Lookup(id.topic, id.partition)
	e, okEnd := ends.Lookup(id.topic, id.partition)
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
func (b *Bridge) openGenerations(offsets map[string]map[int32]kgo.Offset, bounds map[tp]bound) (map[string]map[int32]kgo.Offset, error) {
	out := make(map[string]map[int32]kgo.Offset, len(offsets))
	resume := make(map[string][]int32)
	var opened []*partition
	for topic, parts := range offsets {
		t, err := b.topicOf(topic)
		if err != nil {
			return nil, err
		}
		rt, err := newRouter(t.mapping, b.routes)
		if err != nil {
			return nil, err
		}
		out[topic] = make(map[int32]kgo.Offset, len(parts))
		for num, o := range parts {
			id := tp{topic, num}
			bd := bounds[id]
			var bg begin
			if bd.err != nil {
				bg = begin{offset: max(0, o.EpochOffset().Offset), halt: deleted(id)}
			} else {
				bg = beginAt(id, o.EpochOffset().Offset, bd.start, bd.end, bd.at, b.cfg.Delivery.OnGap == "continue")
			}
			p := newPartition(id, t, rt, bg.offset-bg.lost, b, &b.held, b.log)
			p.limit = b.limitOf(id)
			p.first = bg.first
			p.high.Store(bd.end)
			p.logStart.Store(bd.start)
			if bg.lost > 0 {
				p.loseBefore(bg.offset)
				b.counters.offsetsLost.Add(uint64(bg.lost))
				b.log.Warn("offsets are gone from Kafka, going on after them", "topic", topic, "partition", num,
					"from", bg.offset-bg.lost, "to", bg.offset-1, "on_gap", "continue")
			}
			at := kgo.NewOffset().At(bg.offset)
			if !bg.first && bg.lost == 0 && bg.halt == nil {
				at = at.WithEpoch(o.EpochOffset().Epoch) // finds a log that was cut off and grew again
			}
			out[topic][num] = at
			resume[topic] = append(resume[topic], num)
			if bg.halt != nil {
				p.halted.Store(bg.halt)
			}
			opened = append(opened, p)
		}
	}
	b.group.ResumeFetchPartitions(resume) // a pause outlives its assignment inside kgo
	for _, p := range opened {
		b.put(p)
		if h := p.halted.Load(); h != nil {
			b.stopped(p, h)
		} else if p.limit >= 0 && p.start >= p.limit {
			b.group.PauseFetchPartitions(one(p.id))
		}
	}
	return out, nil
}

func deleted(id tp) *halt {
	return &halt{code: haltDeleted, offset: -1, reason: fmt.Sprintf("topic %s or its partition %d does not exist any more; "+
		"hint: it is consumed again when the bridge is restarted after it was created", id.topic, id.partition)}
}

// jumpsTheStart reports whether a fetch that was to begin at want begins behind offsets that are gone. kgo says
// nothing then when it had to list the partition's offsets first, as it does when its metadata came late:
// an offset below the log's start becomes the start. A hole that compaction left lies behind the start.
func jumpsTheStart(fp *kgo.FetchPartition, want int64) bool {
	return len(fp.Records) > 0 && fp.Records[0].Offset > want && fp.LogStartOffset > want
}

// loseBefore books the offsets up to next as lost and goes on there.
func (p *partition) loseBefore(next int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	from := p.expect
	if next <= from || p.detached {
		return
	}
	s := p.wm.Begin(from, next)
	p.wm.Count(s, watermark.LostGap, next-from)
	p.wm.End(s)
	p.expect = next
}
