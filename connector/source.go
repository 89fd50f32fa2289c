package connector

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

// clientOpts are the options of every client of the source's brokers.
func (b *Bridge) clientOpts() ([]kgo.Opt, error) {
	k := &b.cfg.Kafka
	opts, err := kafkaclient.Options(k.Brokers, k.ClientID, k.TLS, k.SASL, b.log)
	if err != nil {
		return nil, err
	}
	if k.MetadataMaxAge > 0 {
		opts = append(opts, kgo.MetadataMaxAge(k.MetadataMaxAge), kgo.MetadataMinAge(min(k.MetadataMaxAge, 2500*time.Millisecond)))
	}
	if k.Rack != "" {
		opts = append(opts, kgo.Rack(k.Rack))
	}
	if k.Isolation == "read_committed" {
		opts = append(opts, kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	}
	// A request is sized by its bytes on the wire, and a small batch may unfold to any size.
	opts = append(opts, kgo.MaxDecompressBatchBytes(int(b.limits.Budget)))
	return append(opts, b.deps.KafkaOpts...), nil
}

// groupOpts are those of the group consumer. Start and reset are explicit: a partition without a commit
// is resolved in adjust, and a position that is out of range is an error for onGap, never a jump.
func (b *Bridge) groupOpts(topics []string, limits config.Limits) ([]kgo.Opt, error) {
	k := &b.cfg.Kafka
	opts, err := b.clientOpts()
	if err != nil {
		return nil, err
	}
	opts = append(opts, fetchOpts(limits)...)
	opts = append(opts,
		kgo.ConsumerGroup(k.Group), kgo.ConsumeTopics(topics...), kgo.Balancers(balancer(k.Balancer)),
		kgo.DisableAutoCommit(), kgo.BlockRebalanceOnPoll(), kgo.KeepControlRecords(), kgo.AlwaysRetryEOF(),
		kgo.ConsumeStartOffset(kgo.NoResetOffset().AtStart()), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.SessionTimeout(k.SessionTimeout), kgo.RebalanceTimeout(k.RebalanceTimeout),
		kgo.HeartbeatInterval(min(3*time.Second, k.SessionTimeout/3)),
		kgo.AdjustFetchOffsetsFn(b.adjust),
		// Called whenever a session works, also when it assigns nothing new.
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { b.onAssigned(m) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { b.onRevoked(m) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { b.onLost(m) }),
	)
	if k.InstanceID != "" {
		opts = append(opts, kgo.InstanceID(k.InstanceID))
	}
	return opts, nil
}

func balancer(name string) kgo.GroupBalancer {
	switch name {
	case "sticky":
		return kgo.StickyBalancer()
	case "range":
		return kgo.RangeBalancer()
	case "roundrobin":
		return kgo.RoundRobinBalancer()
	default:
		return kgo.CooperativeStickyBalancer()
	}
}

// poll fetches and dispatches until ctx ends. It never waits for anything but the poll itself and for
// room; while it waits for room the group's heartbeats go on without it.
func (b *Bridge) poll(ctx context.Context) error {
	sp := &assign.Splitter{Pack: int(b.cfg.Pack.Bytes.N), Oversize: b.oversize(), Origin: b.origin}
	for ctx.Err() == nil {
		if why := b.roomToPoll(); why != (reason.Key{}) {
			b.holding(why)
			b.progress.Wait(func() bool { return b.roomToPoll() == (reason.Key{}) }, ctx.Done())
			b.holding(reason.Key{})
			continue
		}
		fs := b.group.PollFetches(ctx)
		done := b.loops.Works("poll")
		err := b.fetched(fs, sp)
		done()
		b.group.AllowRebalance() // also after an error: every poll may have blocked rebalances
		if err != nil {
			return err
		}
	}
	return nil
}

// fetched hands what was polled to its partitions. A rebalance waits until it returns.
func (b *Bridge) fetched(fs kgo.Fetches, sp *assign.Splitter) error {
	var fatal error
	var back []*assign.Assignment // once all is looked at: the rest of what was polled may hold more of them
	fs.EachTopic(func(t kgo.FetchTopic) {
		for i := range t.Partitions {
			fp := &t.Partitions[i]
			p := b.lookup(part.ID{Topic: t.Topic, Num: fp.Partition})
			if p == nil && t.Topic != "" && fp.Partition < 0 && source.IsAbsent(fp.Err) {
				b.missTopic(t.Topic, fp.Err)
				continue
			}
			if p == nil {
				if err := b.sessionError(fp.Err); err != nil {
					fatal = err
				}
				b.unread(part.ID{Topic: t.Topic, Num: fp.Partition}, fp.Err)
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
				b.partitionError(p, kerr.OffsetOutOfRange)
				continue
			}
			if p.MustRewind() {
				back = append(back, p)
				continue
			}
			took := p.Take(b.sender, sp, fp.Records)
			b.counters.polled(t.Topic, len(fp.Records), took.Bytes, took.Skipped)
			b.tookPacks(t.Topic, took.Packs)
			b.tookReplaced(p, took.Replaced)
			b.share(p, time.Now())
			p.ReachedEnd()
			if fp.Err != nil {
				b.partitionError(p, fp.Err)
			} else if p.Retry.Load() != nil {
				b.recovered(p)
			}
		}
	})
	if len(back) > 0 {
		assign.Rewind(back, b.setOffsets)
	}
	return fatal
}

// sessionError judges an error that is not one partition's. What ends the client is returned; the rest,
// kgo tries again, and it is shown until a group session works again.
func (b *Bridge) sessionError(err error) error {
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return nil
	case errors.Is(err, kgo.ErrClientClosed):
		return fmt.Errorf("polling kafka: %w", err)
	}
	b.groupFault(kafkaclient.Explain(err, "consuming as group "+b.cfg.Kafka.Group))
	return nil
}

// partitionError judges a partition's error: some stop it for good, some need a look at the log's
// offsets, the rest is tried again.
func (b *Bridge) partitionError(p *assign.Assignment, err error) {
	var loss *kgo.ErrDataLoss
	var unfolds *kgo.ErrDecompressTooLarge
	switch {
	case errors.As(err, &unfolds):
		p.Stop(part.Stop(p.ID(), reason.TooLarge, unfolds.Offset, fmt.Sprintf("the compressed batch at offset %d of %s unfolds to more than %s, "+
			"the whole budget; hint: raise memory.budget", unfolds.Offset, p.ID(), config.Bytes{N: b.limits.Budget})))
	case errors.As(err, &loss):
		p.Stop(part.Truncated(p.ID(), loss.ResetTo, loss.ConsumedTo))
	case errors.Is(err, kerr.OffsetOutOfRange):
		b.fault(p, err, true)
	case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID), source.IsAbsent(err):
		b.miss(p, byFetch, err) // a broker may lag; an answer by name tells
	default:
		b.fault(p, kafkaclient.Explain(err, "fetching "+p.ID().String()), false)
	}
}

// wakeEvery is how long the client may sleep at most by mistake.
const wakeEvery = time.Second

// pendingLoop offers pending chunks again when the sender has room. A partition whose stream was full is fetched again once nothing of
// it is pending, and not sooner than assign.ResumePause after the stream was full: each pause throws away what was fetched ahead.
// The loop waits for nobody, so it also wakes the client, which may sleep although a partition goes on.
func (b *Bridge) pendingLoop(ctx context.Context) {
	tick, wake := time.NewTicker(100*time.Millisecond), time.NewTicker(wakeEvery)
	defer tick.Stop()
	defer wake.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.sender.Room():
		case <-tick.C:
		case <-wake.C:
			b.gates.Wake()
			continue
		}
		b.reread.Nudge()
		b.offerPending()
	}
}

func (b *Bridge) offerPending() {
	parts := b.assigned()
	if len(parts) == 0 {
		return
	}
	b.turn++ // begin with another one each time: the first in line takes the room
	for i := range parts {
		p := parts[(i+b.turn)%len(parts)]
		if !p.WaitsForRoom() {
			continue // most of them, nearly always
		}
		if chunks, _ := p.Waiting(); chunks > 0 {
			p.Offer(b.sender)
		}
		now := time.Now()
		b.share(p, now)
		p.RoomAgain(now)
	}
	b.progress.Changed()
}

// setOffsets moves where the client fetches partitions. It is not the group's rewind: kgo skips what is not assigned any more, so a
// revoke in between does no harm.
func (b *Bridge) setOffsets(offsets map[part.ID]int64) {
	set := make(map[string]map[int32]kgo.EpochOffset)
	for id, offset := range offsets {
		if set[id.Topic] == nil {
			set[id.Topic] = make(map[int32]kgo.EpochOffset)
		}
		set[id.Topic][id.Num] = kgo.EpochOffset{Epoch: -1, Offset: offset}
	}
	b.group.SetOffsets(set)
}

// goOn ends reasons that stopped partitions, and has the partitions go on from where they stopped.
func (b *Bridge) goOn(list ...assign.Ending) (gone []*assign.Assignment) {
	gone, entries := assign.GoOn(list, b.setOffsets)
	for i, p := range gone {
		code := entries[i].Code
		b.counters.goneOn.Add(string(code), 1)
		b.observer.Ended(reason.Reason{Key: part.Key(p.ID(), code), Since: entries[i].Since})
	}
	return gone
}

// oversize is the payload size above which a record may fit into no frame.
func (b *Bridge) oversize() int {
	return int(max(b.cfg.InLong.MaxFrame.N/2, 1))
}

// tookPacks counts records of a topic that are packs of somebody else, and tells of the first.
func (b *Bridge) tookPacks(topic string, n int64) {
	if n == 0 {
		return
	}
	if b.counters.packs.Add(topic, uint64(n)) {
		b.log.Warn("the topic holds packs that another bridge or sender wrote; they are moved as records like any other, so that readers find packs inside packs",
			"topic", topic, "hint", "if that is not wanted, take the topic out of routes")
	}
}

// tookReplaced counts records of a partition whose event time was replaced, and tells of the topic's first.
func (b *Bridge) tookReplaced(p *assign.Assignment, r assign.Replaced) {
	if r.N == 0 {
		return
	}
	if b.counters.replaced.Add(p.ID().Topic, uint64(r.N)) {
		b.log.Warn("records have an impossible event time, sending them with the time of arrival", "topic", p.ID().Topic, "partition", p.ID().Num,
			"offset", r.First.Offset, "hint", "Kafka's timestamps are milliseconds since 1970; a producer that sets micro- or nanoseconds, or none, looks like this. "+
				"inlong_bridge_event_time_replaced_total counts them")
	}
}
