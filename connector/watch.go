package connector

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/source"
	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/connector/reason"
	"inlong-bridge/connector/resume"
)

// watchLoop looks after what is not on the way of records: partitions at fault are tried again, and the
// cluster's topics are compared with what is consumed.
func (b *Bridge) watchLoop(ctx context.Context) {
	tick := time.NewTicker(faultTick)
	defer tick.Stop()
	lastTopics, lastIdle, lastStreams := time.Now(), time.Now(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.look: // a partition needs a look at once
		case <-tick.C:
		}
		done := b.loops.Works("watch")
		b.joinTopicsAgain(ctx)
		b.retryFaults(ctx)
		b.refusalsOver()
		b.passGaps(ctx)
		if b.own.Changed() {
			b.stopOutput()
		}
		if age := b.topicsAge(); time.Since(lastTopics) >= age {
			lastTopics = time.Now()
			b.checkTopics(ctx)
		}
		b.askForAbsent(ctx)
		if time.Since(lastStreams) >= b.lookAgain {
			lastStreams = time.Now()
			b.streamsAgain()
			b.fitsAgain()
		}
		if time.Since(lastIdle) >= idleTick {
			lastIdle = time.Now()
			b.forgetIdleStreams()
		}
		done()
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
func (b *Bridge) fault(p *assign.Assignment, err error, outOfRange bool) {
	if t := p.Retry.Load(); t == nil || !t.Absent { // else it is asked about by name
		b.tryAgain(p, err, outOfRange)
	}
}

func (b *Bridge) tryAgain(p *assign.Assignment, err error, outOfRange bool) {
	now := time.Now()
	old := p.Retry.Load()
	r := reason.New(part.Key(p.ID(), reason.Fault), now, err.Error())
	began := p.Gate().Add(r, true)
	// After the gate has closed. Otherwise: 1. it is stored here  2. the watch loop, which has not heard of an older error for a
	// while, takes it away and opens the gate  3. the gate closes here, and nobody tries again.
	p.Retry.Store(&assign.Retry{Last: now, OutOfRange: outOfRange, Told: !outOfRange || old != nil && old.Told})
	if began && !outOfRange {
		b.observer.Began(r)
	}
	b.lookSoon()
}

func sourceKey(what string) reason.Key {
	return reason.Key{Code: reason.Source, Scope: reason.Group, Object: what}
}

// sourceFault notes that a question to the source's brokers failed, and reports whether that is to be logged.
func (b *Bridge) sourceFault(what string, err error) bool {
	b.board.Set(reason.New(sourceKey(what), time.Now(), err.Error()))
	return b.watchFaults.Begin(what)
}

// recovered ends a fault once something was fetched.
func (b *Bridge) recovered(p *assign.Assignment) {
	f := p.Retry.Swap(nil)
	if e, ok := p.Gate().Drop(part.Key(p.ID(), reason.Fault)); ok && f != nil && f.Told {
		b.observer.Ended(*e.Own)
	}
}

func (b *Bridge) retryFaults(ctx context.Context) {
	for _, p := range b.assigned() {
		f := p.Retry.Load()
		if f == nil || f.Absent || p.Stopped() != nil {
			continue
		}
		if f.OutOfRange {
			if chunks, _ := p.Waiting(); chunks > 0 {
				continue // they lie before what is decided here
			}
			if err := b.outOfRange(ctx, p); err == nil {
				b.recovered(p)
			} else if !errors.Is(err, errAbsent) && b.sourceFault("offsets", kafkaclient.Explain(err, "listing offsets of "+p.ID().String())) {
				b.log.Warn("listing the offsets of a partition fails, trying again", "topic", p.ID().Topic, "partition", p.ID().Num,
					"err", kafkaclient.Explain(err, "listing offsets of "+p.ID().String()))
			}
			continue
		}
		quiet := time.Since(f.Last)
		if f.Tried && quiet >= 5*faultPause {
			b.recovered(p) // an idle partition is not heard of again
		}
		if f.Tried || quiet < faultPause {
			continue
		}
		again := *f
		again.Tried = true
		if p.Retry.CompareAndSwap(f, &again) {
			p.Gate().Try(part.Key(p.ID(), reason.Fault))
		}
	}
}

// outOfRange decides about a partition whose next offset Kafka does not have: it was removed before it
// was delivered (on_gap decides), or the log ends before it.
func (b *Bridge) outOfRange(ctx context.Context, p *assign.Assignment) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if p.Beginning() { // where it begins is committed first; see adjust
		if b.committer.CommitStarts(ctx, []*assign.Assignment{p}); p.Beginning() {
			return errStartNotTaken
		}
	}
	log, err := b.kafka.Extent(ctx, p.ID())
	switch {
	case source.IsAbsent(err):
		b.miss(p, byPosition, err)
		return errAbsent
	case err != nil:
		return err
	case part.OtherTopic(p.TopicID(), log.Topic):
		p.StopRecreated()
		return nil
	}
	bg := source.BeginAt(p.ID(), p.Expects(), log.Start, log.End, b.acceptsGap())
	if bg.Stop != nil {
		p.Stop(bg.Stop)
		return nil
	}
	if cut, err := b.cutBelow(ctx, p, bg); err != nil || cut {
		return err
	}
	if bg.Lost > 0 {
		if !p.LoseBefore(bg.Offset) {
			return errors.New("what was fetched before the gap waits for room in the sender")
		}
		b.log.Warn("offsets are gone from Kafka, going on after them", "topic", p.ID().Topic, "partition", p.ID().Num,
			"from", bg.Offset-bg.Lost, "to", bg.Offset-1, "on_gap", "continue")
		b.counters.offsetsLost.Add(uint64(bg.Lost))
	}
	p.MoveTo(bg.Offset, b.setOffsets)
	return nil
}

// cutBelow stops a partition whose log was cut off below its position and has grown past it since.
func (b *Bridge) cutBelow(ctx context.Context, p *assign.Assignment, bg source.Begin) (bool, error) {
	offset, epoch := p.Reached()
	if bg.Lost > 0 || epoch < 0 {
		return false, nil
	}
	c := resume.Commit{Offset: offset, Epoch: epoch}
	verdicts := make(map[part.ID]source.EpochCheck)
	err := b.kafka.CheckEpochs(ctx, map[part.ID]resume.Commit{p.ID(): c}, func(string) [16]byte { return p.TopicID() }, verdicts)
	v := verdicts[p.ID()]
	if v.Absent != nil {
		b.miss(p, byPosition, v.Absent)
		return false, errAbsent
	}
	if v.Cut {
		p.Stop(part.Overwritten(p.ID(), v.At, c.Offset, c.Epoch))
	}
	return v.Cut, err
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
	details, err := b.kafka.ListTopics(ctx, ask)
	if err != nil {
		if ctx.Err() == nil && b.sourceFault("topics", kafkaclient.Explain(err, "listing topics")) {
			b.log.Warn("listing topics fails, trying again", "err", kafkaclient.Explain(err, "listing topics"))
		}
		return
	}
	for _, f := range b.watchFaults.End() {
		b.board.Clear(sourceKey(f.Class))
		b.log.Info("kafka answers again", "what", f.Class, "after", f.Lasted, "times", f.Times)
	}
	b.own.AskClusters(ctx)
	added := b.wanted(details, known)
	b.stopOutput()
	if len(added) > 0 && !b.stopping() {
		b.log.Info("consuming more topics", "topics", added)
		b.group.AddConsumeTopics(added...)
	}
	for _, p := range b.assigned() {
		d, ok := details[p.ID().Topic]
		switch {
		case !ok && all:
			b.miss(p, byList, kerr.UnknownTopicOrPartition)
		case ok && source.IsAbsent(d.Err):
			b.miss(p, byList, d.Err)
		case ok && d.Err == nil && p.TopicID() != ([16]byte{}) && [16]byte(d.ID) != ([16]byte{}) && [16]byte(d.ID) != p.TopicID():
			p.StopRecreated()
		}
	}
}

// wanted returns the topics of details that a rule wants and that are not among known, and notes them with
// their ids; known is nil when the bridge starts.
func (b *Bridge) wanted(details kadm.TopicDetails, known []string) (added []string) {
	b.notePatterns(details)
	admits := b.own.Admitting(details)
	for _, d := range details.Sorted() {
		if d.Err != nil || slices.Contains(known, d.Topic) || !admits(d) {
			continue
		}
		b.noteTopic(d.Topic, [16]byte(d.ID), known != nil)
		added = append(added, d.Topic)
	}
	return added
}
