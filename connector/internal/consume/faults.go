package consume

import (
	"context"
	"errors"
	"time"

	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/source"
	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/connector/reason"
	"inlong-bridge/connector/resume"
)

// fault pauses a partition that Kafka answers with an error; the watch loop tries again. A position that
// is out of range is looked at first.
func (c *Consumer) fault(p *assign.Assignment, err error, outOfRange bool) {
	if t := p.Retry.Load(); t == nil || !t.Absent { // else it is asked about by name
		c.tryAgain(p, err, outOfRange)
	}
}

func (c *Consumer) tryAgain(p *assign.Assignment, err error, outOfRange bool) {
	c.retry(p, err, assign.Retry{OutOfRange: outOfRange})
}

func (c *Consumer) retry(p *assign.Assignment, err error, as assign.Retry) {
	now := time.Now()
	old := p.Retry.Load()
	r := reason.New(part.Key(p.ID(), reason.Fault), now, err.Error())
	began := p.Gate().Add(r, true)
	// After the gate has closed. Otherwise: 1. it is stored here  2. the watch loop, which has not heard of an older error for a
	// while, takes it away and opens the gate  3. the gate closes here, and nobody tries again.
	as.Last, as.Told = now, !as.OutOfRange || old != nil && old.Told
	p.Retry.Store(&as)
	if began && !as.OutOfRange {
		c.deps.Causes.Began(r)
	}
	c.Look()
}

// recovered ends a fault once something was fetched.
func (c *Consumer) recovered(p *assign.Assignment) {
	f := p.Retry.Swap(nil)
	if e, ok := p.Gate().Drop(part.Key(p.ID(), reason.Fault)); ok && f != nil && f.Told {
		c.deps.Causes.Ended(*e.Own)
	}
}

func (w *watcher) retryFaults(ctx context.Context) {
	began := time.Now()
	for _, p := range w.table.Assigned() {
		f := p.Retry.Load()
		if f == nil || f.Absent || p.Stopped() != nil {
			continue
		}
		if f.OutOfRange {
			if chunks, _ := p.Waiting(); chunks > 0 {
				continue // they lie before what is decided here
			}
			if err := w.outOfRange(ctx, p); err == nil {
				w.recovered(p)
			} else if !errors.Is(err, errAbsent) && w.sourceFault("offsets", kafkaclient.Explain(err, "listing offsets of "+p.ID().String())) {
				w.log.Warn("listing the offsets of a partition fails, trying again", "topic", p.ID().Topic, "partition", p.ID().Num,
					"err", kafkaclient.Explain(err, "listing offsets of "+p.ID().String()))
			}
			continue
		}
		quiet := time.Since(f.Last)
		if f.Tried && quiet >= 5*faultPause {
			w.recovered(p) // an idle partition is not heard of again
		}
		if f.Tried || quiet < faultPause {
			continue
		}
		if f.Doubt != nil && (time.Since(began) > gapRound || !w.doubted(ctx, p, f)) {
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
func (w *watcher) outOfRange(ctx context.Context, p *assign.Assignment) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if p.Beginning() { // where it begins is committed first; see adjust
		if w.Committer.CommitStarts(ctx, []*assign.Assignment{p}); p.Beginning() {
			return errStartNotTaken
		}
	}
	log, err := w.deps.Kafka.Extent(ctx, p.ID())
	switch {
	case source.IsAbsent(err):
		w.miss(p, byPosition, err)
		return errAbsent
	case err != nil:
		return err
	case part.OtherTopic(p.TopicID(), log.Topic):
		p.StopRecreated()
		return nil
	}
	bg := source.BeginAt(p.ID(), p.Expects(), log.Start, log.End, w.goesOn)
	if bg.Stop != nil {
		p.Stop(bg.Stop)
		return nil
	}
	if cut, err := w.cutBelow(ctx, p, bg); err != nil || cut {
		return err
	}
	if bg.Lost > 0 {
		if !p.LoseBefore(bg.Offset) {
			return errors.New("what was fetched before the gap waits for room in the sender")
		}
		w.log.Warn("offsets are gone from Kafka, going on after them", "topic", p.ID().Topic, "partition", p.ID().Num,
			"from", bg.Offset-bg.Lost, "to", bg.Offset-1, "on_gap", "continue")
		w.Counters.OffsetsLost.Add(uint64(bg.Lost))
	}
	p.MoveTo(bg.Offset, w.setOffsets)
	return nil
}

// cutBelow stops a partition whose log was cut off below its position and has grown past it since.
func (w *watcher) cutBelow(ctx context.Context, p *assign.Assignment, bg source.Begin) (bool, error) {
	offset, epoch := p.Reached()
	if bg.Lost > 0 || epoch < 0 {
		return false, nil
	}
	c := resume.Commit{Offset: offset, Epoch: epoch}
	verdicts := make(map[part.ID]source.EpochCheck)
	err := w.deps.Kafka.CheckEpochs(ctx, map[part.ID]resume.Commit{p.ID(): c}, func(string) [16]byte { return p.TopicID() }, verdicts)
	v := verdicts[p.ID()]
	if v.Absent != nil {
		w.miss(p, byPosition, v.Absent)
		return false, errAbsent
	}
	if v.Cut {
		p.Stop(part.Overwritten(p.ID(), v.At, c.Offset, c.Epoch))
	}
	return v.Cut, err
}
