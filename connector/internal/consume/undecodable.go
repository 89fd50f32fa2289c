package consume

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/source"
	"inlong-bridge/connector/reason"
)

// A batch that the client cannot decode may be damaged in the log, or was on its way. So it is fetched by hand until several fetches have
// returned the same bytes; only then on_error decides. Until then the partition is at fault, and whenever a fetch by hand returns a sound
// batch, the client tries again.

// looks is how many fetches by hand return the same bytes, faultPause apart, before on_error decides.
const looks = 4

// distrust is fault for an error that may be a batch that cannot be decoded. kgo may have gone on behind it.
func (c *Consumer) distrust(p *assign.Assignment, err error) {
	if t := p.Retry.Load(); t != nil && t.Absent {
		return
	}
	p.Distrust()
	c.retry(p, err, assign.Retry{Doubt: &assign.Doubt{}})
}

// doubted looks by hand at what the client could not decode, and reports whether the client is to try again.
func (w *watcher) doubted(ctx context.Context, p *assign.Assignment, f *assign.Retry) (again bool) {
	at := p.Expects()
	b, err := w.deps.Kafka.Look(ctx, p.ID(), p.TopicID(), at)
	switch {
	case errors.Is(err, source.ErrOtherTopic):
		p.StopRecreated()
		return false
	case err != nil || b == nil || b.Why == "": // an error is one that the client meets too, and says
		p.GoBack(w.setOffsets)
		return true
	}
	seen := *f
	if seen.Doubt = f.Doubt.Looked(at, b.Raw); seen.Doubt.Looks < looks {
		seen.Last = time.Now()
		p.Retry.CompareAndSwap(f, &seen)
		return false
	}
	if p.PassBatch(b, at, w.setOffsets) {
		w.recovered(p)
		w.progress.Changed()
		p.ReachedEnd()
		w.log.Warn("a batch cannot be read", "topic", p.ID().Topic, "partition", p.ID().Num, "from", at, "to", b.Next-1, "codec", b.Codec, "why", b.Why,
			"holds_no_records", b.Empty)
	}
	return false
}

// readableAgain has partitions go on that stopped before a batch which can be read by now, or of which the log says by now where it ends.
func (w *watcher) readableAgain(ctx context.Context) {
	began := time.Now()
	for _, p := range w.table.Assigned() {
		e := p.Gate().Condition().Find(reason.Undecodable)
		if e == nil || time.Since(began) > gapRound {
			continue
		}
		at := e.Own.Offset
		b, err := w.deps.Kafka.Look(ctx, p.ID(), p.TopicID(), at)
		if err != nil || b == nil {
			continue
		}
		if b.Why == "" || b.Next > 0 && at == p.Expects() && !p.StopsAtUndecodable() {
			w.GoOn(assign.Ending{Assignment: p, Key: e.Key})
		}
	}
}

// lettersOfBatches fetches again the batches whose letters could not be written, and writes these.
func (w *watcher) lettersOfBatches(ctx context.Context) {
	if w.deps.Letters == nil {
		return
	}
	now := time.Now()
	for _, p := range w.table.Assigned() {
		for _, a := range p.BatchesDue(now) {
			if time.Since(now) > gapRound || !w.rewriteBatch(ctx, p, a) {
				p.BatchLater(a, time.Now())
			}
		}
	}
}

func (w *watcher) rewriteBatch(ctx context.Context, p *assign.Assignment, a assign.BatchAgain) (done bool) {
	b, err := w.deps.Kafka.Look(ctx, p.ID(), p.TopicID(), a.First)
	switch {
	case errors.Is(err, source.ErrOtherTopic):
		p.StopRecreated()
		return false
	case errors.Is(err, kerr.OffsetOutOfRange):
		return w.batchGone(ctx, p, a)
	case err != nil || b == nil:
		return false // the letter's own reason is said already
	}
	return p.RewriteBatch(a, b)
}

// batchGone decides about a batch that Kafka removed before its letter was written, as on_gap says.
func (w *watcher) batchGone(ctx context.Context, p *assign.Assignment, a assign.BatchAgain) (done bool) {
	log, err := w.deps.Kafka.Extent(ctx, p.ID())
	if err != nil || log.Start <= a.Last || part.OtherTopic(p.TopicID(), log.Topic) {
		return false
	}
	if !w.goesOn {
		p.Stop(part.Gap(p.ID(), a.First, a.Last+1))
		return false
	}
	w.Counters.OffsetsLost.Add(uint64(a.Last - a.First + 1))
	p.LoseBatch(a)
	return true
}
