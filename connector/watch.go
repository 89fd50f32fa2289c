package connector

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/kafkaclient"
)

// watchLoop looks after what is not on the way of records: partitions at fault are tried again, and the
// cluster's topics are compared with what is consumed.
func (b *Bridge) watchLoop(ctx context.Context) {
	tick := time.NewTicker(faultTick)
	defer tick.Stop()
	lastTopics := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.look: // a partition needs a look at once
		case <-tick.C:
		}
		b.joinTopicsAgain(ctx)
		b.retryFaults(ctx)
		b.passHoles(ctx)
		b.lookAtOutput()
		if age := b.topicsAge(); time.Since(lastTopics) >= age {
			lastTopics = time.Now()
			b.checkTopics(ctx)
		}
	}
}

const (
	faultTick  = 250 * time.Millisecond
	faultPause = 2 * time.Second // between two tries of a partition at fault
)

// lookSoon has the watch loop look now, not at its next tick. It never waits.
func (b *Bridge) lookSoon() {
	select {
	case b.look <- struct{}{}:
	default:
	}
}

func (b *Bridge) topicsAge() time.Duration {
	if age := b.cfg.Kafka.MetadataMaxAge; age > 0 {
		return min(age, time.Minute)
	}
	return time.Minute
}

// fault pauses a partition that Kafka answers with an error; the watch loop tries again. A position that
// is out of range is looked at first.
func (b *Bridge) fault(p *partition, err error, outOfRange bool) {
	now := time.Now()
	if old := p.faulted.Load(); old != nil {
		p.faulted.Store(&fault{err: err, since: old.since, last: now, outOfRange: outOfRange})
	} else {
		p.faulted.Store(&fault{err: err, since: now, last: now, outOfRange: outOfRange})
		if !outOfRange {
			b.log.Warn("fetching a partition fails, trying again", "topic", p.id.topic, "partition", p.id.partition, "err", err)
		}
	}
	b.group.PauseFetchPartitions(one(p.id))
	b.lookSoon()
}

// recovered ends a fault once something was fetched.
func (b *Bridge) recovered(p *partition) {
	if f := p.faulted.Swap(nil); f != nil && !f.outOfRange {
		b.log.Info("fetching a partition works again", "topic", p.id.topic, "partition", p.id.partition,
			"after", time.Since(f.since).Round(time.Millisecond))
	}
}

func (b *Bridge) retryFaults(ctx context.Context) {
	for _, p := range b.assigned() {
		f := p.faulted.Load()
		if f == nil || p.halted.Load() != nil {
			continue
		}
		if f.outOfRange {
			if err := b.outOfRange(ctx, p); err == nil {
				p.faulted.Store(nil)
			} else if b.watchFaults.begin("offsets") {
				b.log.Warn("listing the offsets of a partition fails, trying again", "topic", p.id.topic, "partition", p.id.partition,
					"err", kafkaclient.Explain(err, "listing offsets of "+p.id.String()))
			}
			continue
		}
		quiet := time.Since(f.last)
		if f.resumed && quiet >= 5*faultPause {
			b.recovered(p) // an idle partition is not heard of again
		}
		if f.resumed || quiet < faultPause {
			continue
		}
		again := *f
		again.resumed = true
		if !p.faulted.CompareAndSwap(f, &again) {
			continue
		}
		p.mu.Lock()
		if !p.paused && !p.detached {
			b.group.ResumeFetchPartitions(one(p.id))
		}
		p.mu.Unlock()
	}
}

// outOfRange decides about a partition whose next offset Kafka does not have: it was removed before it
// was delivered (on_gap decides), or the log ends before it.
func (b *Bridge) outOfRange(ctx context.Context, p *partition) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if there, err := b.stillThere(ctx, p); err != nil || !there {
		return err
	}
	starts, err := b.admin.ListStartOffsets(ctx, p.id.topic)
	if err != nil {
		return err
	}
	ends, err := b.admin.ListEndOffsets(ctx, p.id.topic)
	if err != nil {
		return err
	}
	start, end, err := within(starts, ends, p.id)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		p.stop(deleted(p.id))
		return nil
	}
	if err != nil {
		return err
	}
	bg := beginAt(p.id, p.expects(), start, end, b.cfg.Delivery.OnGap == "continue")
	if bg.halt != nil {
		p.stop(bg.halt)
		return nil
	}
	if bg.lost > 0 {
		b.log.Warn("offsets are gone from Kafka, going on after them", "topic", p.id.topic, "partition", p.id.partition,
			"from", bg.offset-bg.lost, "to", bg.offset-1, "on_gap", "continue")
		b.counters.offsetsLost.Add(uint64(bg.lost))
		p.loseBefore(bg.offset)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.detached {
		return nil
	}
	// Not the group's rewind: kgo skips what is not assigned any more, so a revoke in between does no harm.
	b.group.SetOffsets(map[string]map[int32]kgo.EpochOffset{p.id.topic: {p.id.partition: {Epoch: -1, Offset: bg.offset}}})
	if !p.paused {
		b.group.ResumeFetchPartitions(one(p.id))
	}
	return nil
}

// checkTopics asks for the cluster's topics: new ones that a rule wants are consumed, ones that were
// deleted or created again stop their partitions.
func (b *Bridge) checkTopics(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	names, all := b.cfg.Routes.Topics()
	known := b.consumed()
	var ask []string // nil asks for all
	if !all {
		ask = append(ask, names...)
		for _, t := range known {
			if !slices.Contains(ask, t) {
				ask = append(ask, t)
			}
		}
		if len(ask) == 0 {
			return
		}
	}
	details, err := b.admin.ListTopics(ctx, ask...)
	if err != nil {
		if ctx.Err() == nil && b.watchFaults.begin("topics") {
			b.log.Warn("listing topics fails, trying again", "err", kafkaclient.Explain(err, "listing topics"))
		}
		return
	}
	for _, f := range b.watchFaults.end() {
		b.log.Info("kafka answers again", "what", f.class, "after", f.lasted, "times", f.times)
	}
	b.askSides(ctx)
	added := b.wanted(details, known)
	b.stopOutput()
	if len(added) > 0 && !b.stopping() {
		b.log.Info("consuming more topics", "topics", added)
		b.group.AddConsumeTopics(added...)
	}
	for _, p := range b.assigned() {
		d, ok := details[p.id.topic]
		switch {
		case !ok && all, ok && errors.Is(d.Err, kerr.UnknownTopicOrPartition):
			p.stop(deleted(p.id))
		case ok && d.Err == nil && p.topic.id != ([16]byte{}) && [16]byte(d.ID) != ([16]byte{}) && [16]byte(d.ID) != p.topic.id:
			p.stop(recreated(p))
		}
	}
}

// wanted returns the topics of details that a rule wants and that are not among known, and notes them with
// their ids; known is nil when the bridge starts.
func (b *Bridge) wanted(details kadm.TopicDetails, known []string) (added []string) {
	admits := b.admitting(details)
	for _, d := range details.Sorted() {
		if d.Err != nil || slices.Contains(known, d.Topic) || !admits(d) {
			continue
		}
		b.noteTopic(d.Topic, [16]byte(d.ID), known != nil)
		added = append(added, d.Topic)
	}
	return added
}
