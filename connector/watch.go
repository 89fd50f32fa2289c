package connector

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"inlong-bridge/connector/internal/part"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

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
		b.passHoles(ctx)
		b.lookAtOutput()
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
func (b *Bridge) fault(p *partition, err error, outOfRange bool) {
	if t := p.trying.Load(); t == nil || !t.absent { // else it is asked about by name
		b.tryAgain(p, err, outOfRange)
	}
}

func (b *Bridge) tryAgain(p *partition, err error, outOfRange bool) {
	now := time.Now()
	old := p.trying.Load()
	r := reason.New(part.Key(p.id, reason.Fault), now, err.Error())
	began := p.gate.Add(r, true)
	// After the gate has closed. Otherwise: 1. it is stored here  2. the watch loop, which has not heard of an older error for a
	// while, takes it away and opens the gate  3. the gate closes here, and nobody tries again.
	p.trying.Store(&trial{last: now, outOfRange: outOfRange, told: !outOfRange || old != nil && old.told})
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
	return b.watchFaults.begin(what)
}

// recovered ends a fault once something was fetched.
func (b *Bridge) recovered(p *partition) {
	f := p.trying.Swap(nil)
	if e, ok := p.gate.Drop(part.Key(p.id, reason.Fault)); ok && f != nil && f.told {
		b.observer.Ended(*e.Own)
	}
}

func (b *Bridge) retryFaults(ctx context.Context) {
	for _, p := range b.assigned() {
		f := p.trying.Load()
		if f == nil || f.absent || p.stopped() != nil {
			continue
		}
		if f.outOfRange {
			if chunks, _ := p.waiting(); chunks > 0 {
				continue // they lie before what is decided here
			}
			if err := b.outOfRange(ctx, p); err == nil {
				b.recovered(p)
			} else if !errors.Is(err, errAbsent) && b.sourceFault("offsets", kafkaclient.Explain(err, "listing offsets of "+p.id.String())) {
				b.log.Warn("listing the offsets of a partition fails, trying again", "topic", p.id.Topic, "partition", p.id.Num,
					"err", kafkaclient.Explain(err, "listing offsets of "+p.id.String()))
			}
			continue
		}
		quiet := time.Since(f.last)
		if f.tried && quiet >= 5*faultPause {
			b.recovered(p) // an idle partition is not heard of again
		}
		if f.tried || quiet < faultPause {
			continue
		}
		again := *f
		again.tried = true
		if p.trying.CompareAndSwap(f, &again) {
			p.gate.Try(part.Key(p.id, reason.Fault))
		}
	}
}

// outOfRange decides about a partition whose next offset Kafka does not have: it was removed before it
// was delivered (on_gap decides), or the log ends before it.
func (b *Bridge) outOfRange(ctx context.Context, p *partition) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if p.beginning() { // where it begins is committed first; see adjust
		if b.commitBy(ctx, []*partition{p}, b.commitStarts); p.beginning() {
			return errStartNotTaken
		}
	}
	if there, err := b.stillThere(ctx, p); err != nil || !there {
		return err
	}
	starts, err := b.admin.ListStartOffsets(ctx, p.id.Topic)
	if err != nil {
		return err
	}
	ends, err := b.admin.ListEndOffsets(ctx, p.id.Topic)
	if err != nil {
		return err
	}
	start, end, err := within(starts, ends, p.id)
	if absentError(err) {
		b.miss(p, byPosition, err)
		return errAbsent
	}
	if err != nil {
		return err
	}
	bg := beginAt(p.id, p.expects(), start, end, b.cfg.Delivery.OnGap == "continue")
	if bg.stop != nil {
		p.stop(bg.stop)
		return nil
	}
	if cut, err := b.cutBelow(ctx, p, bg); err != nil || cut {
		return err
	}
	if bg.lost > 0 {
		if !p.loseBefore(bg.offset) {
			return errors.New("what was fetched before the gap waits for room in the sender")
		}
		b.log.Warn("offsets are gone from Kafka, going on after them", "topic", p.id.Topic, "partition", p.id.Num,
			"from", bg.offset-bg.lost, "to", bg.offset-1, "on_gap", "continue")
		b.counters.offsetsLost.Add(uint64(bg.lost))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gate.Ended() {
		b.setOffset(p.id, bg.offset)
	}
	return nil
}

// cutBelow stops a partition whose log was cut off below its position and has grown past it since.
func (b *Bridge) cutBelow(ctx context.Context, p *partition, bg begin) (bool, error) {
	offset, epoch := p.reached()
	if bg.lost > 0 || epoch < 0 {
		return false, nil
	}
	c := resume.Commit{Offset: offset, Epoch: epoch}
	verdicts := make(map[part.ID]epochVerdict)
	err := b.checkEpochs(ctx, map[part.ID]resume.Commit{p.id: c}, func(string) [16]byte { return p.topic.id }, verdicts)
	v := verdicts[p.id]
	if v.absent != nil {
		b.miss(p, byPosition, v.absent)
		return false, errAbsent
	}
	if v.cut {
		p.stop(part.Overwritten(p.id, v.at, c.Offset, c.Epoch))
	}
	return v.cut, err
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
	details, err := b.listTopics(ctx, ask)
	if err != nil {
		if ctx.Err() == nil && b.sourceFault("topics", kafkaclient.Explain(err, "listing topics")) {
			b.log.Warn("listing topics fails, trying again", "err", kafkaclient.Explain(err, "listing topics"))
		}
		return
	}
	for _, f := range b.watchFaults.end() {
		b.board.Clear(sourceKey(f.class))
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
		d, ok := details[p.id.Topic]
		switch {
		case !ok && all:
			b.miss(p, byList, kerr.UnknownTopicOrPartition)
		case ok && absentError(d.Err):
			b.miss(p, byList, d.Err)
		case ok && d.Err == nil && p.topic.id != ([16]byte{}) && [16]byte(d.ID) != ([16]byte{}) && [16]byte(d.ID) != p.topic.id:
			p.stopRecreated()
		}
	}
}

// listTopics lists topics by name, nil for all. A topic that may not be described has that as its error: kadm would give no
// answer about the others then.
func (b *Bridge) listTopics(ctx context.Context, names []string) (kadm.TopicDetails, error) {
	details, err := b.admin.ListTopics(ctx, names...)
	if _, denied := errors.AsType[*kadm.AuthError](err); !denied || len(names) == 0 {
		return details, err
	}
	m, e := b.identify(ctx, names)
	if e != nil {
		return nil, e
	}
	refused := make(kadm.TopicDetails)
	readable := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		if !errors.Is(m.topics[name].err, kerr.TopicAuthorizationFailed) {
			return false
		}
		refused[name] = kadm.TopicDetail{Topic: name, Err: m.topics[name].err}
		return true
	})
	switch {
	case len(refused) == 0: // the right is back since the first question
		return nil, err
	case len(readable) == 0:
		return refused, nil
	}
	if details, err = b.admin.ListTopics(ctx, readable...); err == nil {
		maps.Copy(details, refused)
	}
	return details, err
}

// wanted returns the topics of details that a rule wants and that are not among known, and notes them with
// their ids; known is nil when the bridge starts.
func (b *Bridge) wanted(details kadm.TopicDetails, known []string) (added []string) {
	b.notePatterns(details)
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
