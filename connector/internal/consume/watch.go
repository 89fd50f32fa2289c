package consume

import (
	"context"
	"time"

	"inlong-bridge/connector/internal/faults"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
)

// watcher looks after what is not on the way of records: partitions at fault are tried again, and the cluster's topics are
// compared with what is consumed. It is one goroutine.
type watcher struct {
	*Consumer
	faults faults.Set
}

// run looks after what is not on the way of records: partitions at fault are tried again, and the
// cluster's topics are compared with what is consumed.
func (w *watcher) run(ctx context.Context) {
	tick := time.NewTimer(faultTick)
	defer tick.Stop()
	lastTopics, lastIdle, lastStreams := time.Now(), time.Now(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.look: // a partition needs a look at once
		case <-tick.C:
		}
		tick.Reset(w.pace())
		done := w.deps.Loops.Works("watch")
		w.joinTopicsAgain(ctx)
		w.retryFaults(ctx)
		w.stopsOver()
		w.lettersOfBatches(ctx)
		w.passGaps(ctx)
		w.deps.ByHand.Passed(w.finalUpTo)
		if w.deps.Own.Changed() {
			w.stopOutput()
		}
		if age := w.topicsAge(); time.Since(lastTopics) >= age {
			lastTopics = time.Now()
			w.checkTopics(ctx)
		}
		w.askForAbsent(ctx)
		if time.Since(lastStreams) >= w.deps.LookAgain {
			lastStreams = time.Now()
			w.streamsAgain()
			w.fitsAgain()
			w.readableAgain(ctx)
		}
		if time.Since(lastIdle) >= idleTick {
			lastIdle = time.Now()
			w.forgetIdleStreams()
		}
		done()
	}
}

// finalUpTo returns up to which offset a partition is final, if this process has it.
func (w *watcher) finalUpTo(id part.ID) (offset int64, ok bool) {
	p := w.table.Lookup(id)
	if p == nil {
		return 0, false
	}
	return p.Checkpoint().Checkpoint(), true
}

// pace is the time between two looks. Each goes over all partitions, so many of them are looked at less often.
func (w *watcher) pace() time.Duration {
	return max(faultTick, time.Duration(len(w.table.Assigned()))*300*time.Microsecond)
}

const (
	faultTick  = 250 * time.Millisecond
	faultPause = 2 * time.Second  // between two tries of a partition at fault
	beginTime  = 15 * time.Second // for the offsets of partitions that were found
)

// Look has the watch loop look now, not at its next tick. It never waits.
func (c *Consumer) Look() {
	select {
	case c.look <- struct{}{}:
	default:
	}
}

func (w *watcher) topicsAge() time.Duration {
	if age := w.cfg.Kafka.MetadataMaxAge; age > 0 {
		return min(age, time.Minute)
	}
	return time.Minute
}

func sourceKey(what string) reason.Key {
	return reason.Key{Code: reason.Source, Scope: reason.Group, Object: what}
}

// sourceFault notes that a question to the source's brokers failed, and reports whether that is to be logged.
func (w *watcher) sourceFault(what string, err error) bool {
	w.deps.Board.Set(reason.New(sourceKey(what), time.Now(), err.Error()))
	return w.faults.Begin(what)
}
