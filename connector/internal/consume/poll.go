package consume

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/source"
	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/connector/reason"
)

// poller hands what is fetched to the assignments. It belongs to the goroutine that polls.
type poller struct {
	*Consumer
	sp *assign.Splitter
}

// Poll fetches and dispatches until ctx ends.
func (c *Consumer) Poll(ctx context.Context) error {
	return (&poller{c, c.Splitter()}).run(ctx)
}

// Take hands over what was fetched, cut by sp.
func (c *Consumer) Take(fs kgo.Fetches, sp *assign.Splitter) error {
	return (&poller{c, sp}).take(fs)
}

// Splitter cuts records by the configuration's limits. Above half a frame a record may fit into no frame.
func (c *Consumer) Splitter() *assign.Splitter {
	return &assign.Splitter{Pack: int(c.cfg.Pack.Bytes.N), Oversize: int(max(c.cfg.InLong.MaxFrame.N/2, 1)), Origin: c.deps.Origin, Lanes: c.lanes}
}

// run fetches and dispatches until ctx ends. It never waits for anything but the poll itself and for
// room; while it waits for room the group's heartbeats go on without it.
func (pl *poller) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if why := pl.roomToPoll(); why != (reason.Key{}) {
			pl.holding(why)
			pl.progress.Wait(func() bool { return pl.roomToPoll() == (reason.Key{}) }, ctx.Done())
			pl.holding(reason.Key{})
			continue
		}
		fs := pl.Group.PollRecords(ctx, pl.deps.Rate.Most())
		done := pl.deps.Loops.Works("poll")
		err := pl.take(fs)
		done()
		pl.Group.AllowRebalance() // also after an error: every poll may have blocked rebalances
		if err != nil {
			return err
		}
		if r := pl.deps.Rate; r > 0 {
			r.Wait(ctx, fs.NumRecords())
		}
	}
	return nil
}

// take hands what was polled to its partitions. A rebalance waits until it returns.
func (pl *poller) take(fs kgo.Fetches) error {
	var fatal error
	var back []*assign.Assignment // once all is looked at: the rest of what was polled may hold more of them
	fs.EachTopic(func(t kgo.FetchTopic) {
		for i := range t.Partitions {
			fp := &t.Partitions[i]
			p := pl.table.Lookup(part.ID{Topic: t.Topic, Num: fp.Partition})
			if p == nil && t.Topic != "" && fp.Partition < 0 && source.IsAbsent(fp.Err) {
				pl.missTopic(t.Topic, fp.Err)
				continue
			}
			if p == nil {
				if err := pl.sessionError(fp.Err); err != nil {
					fatal = err
				}
				pl.table.unread(part.ID{Topic: t.Topic, Num: fp.Partition}, fp.Err)
				continue
			}
			if p.From.Absent != nil {
				continue // nothing says yet where it begins
			}
			if t.TopicID != ([16]byte{}) && p.TopicID() != ([16]byte{}) && t.TopicID != p.TopicID() {
				p.StopRecreated()
				continue
			}
			if fp.HighWatermark >= 0 && (fp.Err == nil || fp.HighWatermark > 0) {
				p.Log.Saw(fp.LogStartOffset, fp.HighWatermark)
			}
			if part.JumpsStart(fp.Records, fp.LogStartOffset, p.Expects()) {
				pl.partitionError(p, kerr.OffsetOutOfRange)
				continue
			}
			if p.MustRewind() {
				back = append(back, p)
				continue
			}
			took := p.Take(pl.deps.Sender, pl.sp, fp.Records)
			pl.Counters.Polled(t.Topic, len(fp.Records), took.Bytes, took.Skipped)
			pl.tookPacks(t.Topic, took.Packs)
			pl.tookReplaced(p, took.Replaced)
			pl.share(p, time.Now())
			p.ReachedEnd()
			if fp.Err != nil {
				pl.partitionError(p, fp.Err)
			} else if p.Retry.Load() != nil {
				pl.recovered(p)
			}
		}
	})
	if len(back) > 0 {
		assign.Rewind(back, pl.setOffsets)
	}
	return fatal
}

// sessionError judges an error that is not one partition's. What ends the client is returned; the rest,
// kgo tries again, and it is shown until a group session works again.
func (pl *poller) sessionError(err error) error {
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return nil
	case errors.Is(err, kgo.ErrClientClosed):
		return fmt.Errorf("polling kafka: %w", err)
	}
	pl.member.sessionFault(kafkaclient.Explain(err, "consuming as group "+pl.cfg.Kafka.Group))
	return nil
}

// partitionError judges a partition's error: some stop it permanently, some need a look at the log's
// offsets, the rest is tried again.
func (pl *poller) partitionError(p *assign.Assignment, err error) {
	var loss *kgo.ErrDataLoss
	var unfolds *kgo.ErrDecompressTooLarge
	var answer *kerr.Error
	switch {
	case errors.As(err, &unfolds) && p.StopsAtUndecodable():
		p.Stop(part.Stop(p.ID(), reason.TooLarge, unfolds.Offset, fmt.Sprintf("the compressed batch at offset %d of %s unfolds to more than %s, "+
			"the whole budget; hint: raise memory.budget", unfolds.Offset, p.ID(), config.Bytes{N: pl.limits.Budget})))
	case errors.As(err, &loss):
		p.Stop(part.Truncated(p.ID(), loss.ResetTo, loss.ConsumedTo))
	case errors.Is(err, kerr.OffsetOutOfRange):
		pl.fault(p, err, true)
	case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID), source.IsAbsent(err):
		pl.miss(p, byFetch, err) // a broker may lag; an answer by name tells
	case !errors.As(err, &answer): // what the client says of a batch that it cannot decode is text
		pl.distrust(p, kafkaclient.Explain(err, "fetching "+p.ID().String()))
	default:
		pl.fault(p, kafkaclient.Explain(err, "fetching "+p.ID().String()), false)
	}
}

// tookPacks counts records of a topic that are packs of somebody else, and tells of the first.
func (pl *poller) tookPacks(topic string, n int64) {
	if n == 0 {
		return
	}
	if pl.Counters.Packs.Add(topic, uint64(n)) {
		pl.log.Warn("the topic holds packs that another bridge or sender wrote; they are moved as records like any other, so that readers find packs inside packs",
			"topic", topic, "hint", "if that is not wanted, take the topic out of routes")
	}
}

// tookReplaced counts records of a partition whose event time was replaced, and tells of the topic's first.
func (pl *poller) tookReplaced(p *assign.Assignment, r assign.Replaced) {
	if r.N == 0 {
		return
	}
	if pl.Counters.Replaced.Add(p.ID().Topic, uint64(r.N)) {
		pl.log.Warn("records have an impossible event time, sending them with the time of arrival", "topic", p.ID().Topic, "partition", p.ID().Num,
			"offset", r.First.Offset, "hint", "Kafka's timestamps are milliseconds since 1970; a producer that sets micro- or nanoseconds, or none, looks like this. "+
				"inlong_bridge_event_time_replaced_total counts them")
	}
}
