package consume

import (
	"slices"
	"time"

	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/reason"
)

// A stream per key makes streams as data comes. They have a bound (inlong.max_streams), and those that are idle are
// forgotten everywhere: here, in the mapping, in the sender, and by the reader of the queue.

const (
	idleTick  = time.Minute
	IdleTicks = 10               // a stream is idle after so many without a record
	LookAgain = 10 * time.Second // whether stopped partitions may go on
)

// forgetIdleStreams lets go of streams that nothing needs: not looked up for a while, named by no piece that may be read again,
// waited for by no record, and idle in the sender.
func (w *watcher) forgetIdleStreams() {
	w.deps.Routes.Pass(1)
	inUse := make(map[int32]bool)
	for _, p := range w.table.Assigned() {
		p.RoutesInUse(inUse)
	}
	gone := w.deps.Routes.ForgetIdle(IdleTicks, inUse, w.deps.Sender.ForgetStream)
	for _, t := range gone {
		w.cfg.Routes.Forget(t)
	}
	if len(gone) > 0 {
		w.log.Info("idle streams forgotten", "streams", len(gone), "left", w.deps.Routes.Count())
	}
}

// refusalsOver has partitions go on whose refused packs are all on their way again.
func (w *watcher) refusalsOver() {
	var over []assign.Ending
	for _, p := range w.table.Assigned() {
		for _, e := range p.Gate().Condition().Entries() {
			// An entry that does not close was only found by the stall detection: the partition never stopped for it.
			if e.Code != reason.Refused || e.Own != nil || !e.Closes || p.Refused.Of(e.Key) > 0 {
				continue
			}
			over = append(over, assign.Ending{Assignment: p, Key: e.Key})
			break // one reason of a partition at a time
		}
	}
	gone := w.GoOn(over...)
	for _, e := range over {
		if slices.Contains(gone, e.Assignment) && e.Assignment.Refused.Of(e.Key) > 0 { // refused again in between
			e.Assignment.Gate().Refer(e.Key, time.Now(), true)
		}
	}
}

// fitsAgain has partitions go on that stopped at a record too large for a frame, once the limit that the Manager names has grown.
func (w *watcher) fitsAgain() {
	var over []assign.Ending
	for _, p := range w.table.Assigned() {
		if e := p.Gate().Condition().Find(reason.TooLarge); e != nil && p.Fits() {
			over = append(over, assign.Ending{Assignment: p, Key: e.Key})
		}
	}
	w.GoOn(over...)
}

// streamsAgain has partitions go on that stopped for want of a stream, once there is room.
func (w *watcher) streamsAgain() {
	if !w.deps.Routes.Room() {
		return
	}
	var over []assign.Ending
	for _, p := range w.table.Assigned() {
		if e := p.Gate().Condition().Find(reason.TooManyStreams); e != nil {
			over = append(over, assign.Ending{Assignment: p, Key: e.Key})
		}
	}
	w.GoOn(over...)
}
