package consume

import (
	"context"
	"errors"
	"time"

	"inlong-bridge/connector/internal/source"
)

// A log may end in offsets without records: compaction took the last ones. kgo moves on over them without
// a word, so that the position would never reach the end: the lag would stay above 0 and a migration would
// wait for ever. An idle partition that is not at its end is therefore asked about with one fetch by hand.

// gapRound is for how long idle partitions are asked about before other work of the loop has its turn. Those that are left are
// asked about in the next round: one that was asked about is not idle for a while.
const gapRound = time.Second

// passGaps looks at partitions that are idle before their end and moves them over what holds no records.
func (w *watcher) passGaps(ctx context.Context) {
	now := time.Now()
	round := w.deps.Kafka.NewRound()
	for _, p := range w.table.Assigned() {
		if time.Since(now) > gapRound {
			return
		}
		from, ok := p.IdleBeforeEnd(now)
		if !ok {
			continue
		}
		next, err := round.NextRecord(ctx, p.ID(), p.TopicID(), from)
		if errors.Is(err, source.ErrOtherTopic) {
			p.StopRecreated()
		}
		if errors.Is(err, source.ErrNoProgress) { // of which kgo says nothing
			w.distrust(p, err)
		}
		if err != nil {
			continue // the fetches of kgo see the same error, and say so
		}
		if p.PassGap(from, next) {
			w.progress.Changed()
		}
	}
}
