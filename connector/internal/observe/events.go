package observe

import (
	"log/slog"
	"time"

	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk/backoff"
)

// flushPauses are how long events are gathered: first so long that one cause is one line, and longer while events keep
// coming, so that there are few lines however long it goes on.
var flushPauses = backoff.Backoff{Min: time.Second, Max: 30 * time.Second}

// events are those of one code that were not logged yet.
type events struct {
	stops event // partitions stopped
	began event // something fails that is tried again
	ended event // that is over

	due   time.Time     // the next line comes no sooner
	pause time.Duration // grows while events keep coming
}

func (e *events) none() bool { return e.stops.n+e.began.n+e.ended.n == 0 }

// event is what happened to some partitions. Of all that is said of them it keeps the first reason and the first names.
type event struct {
	first   reason.Reason
	seen    map[string]struct{} // partitions
	names   []string            // of the first of them
	n       int                 // of all of them
	longest time.Duration       // that the reason lasted
}

func (e *event) add(r reason.Reason, now time.Time) {
	e.longest = max(e.longest, now.Sub(r.Since))
	if _, again := e.seen[r.Object]; again {
		return
	}
	if e.seen == nil {
		e.first, e.seen = r, make(map[string]struct{})
	}
	e.seen[r.Object] = struct{}{}
	if e.n++; len(e.names) <= fewNames {
		e.names = append(e.names, r.Object)
	}
}

// log writes a line for each thing that happened.
func (e *events) log(log *slog.Logger) {
	if v := &e.stops; v.n > 0 {
		log.Error("partitions stopped, nothing of them is skipped", "code", string(v.first.Code), "partitions", v.n, "which", few(v.names),
			"offset", v.first.Offset, "reason", clip(v.first.Sentence, maxSentence), "hint", v.first.Hint)
	}
	if v := &e.began; v.n > 0 {
		log.Warn("partitions do not go on, trying again", "code", string(v.first.Code), "partitions", v.n, "which", few(v.names),
			"reason", clip(v.first.Sentence, maxSentence), "hint", v.first.Hint)
	}
	if v := &e.ended; v.n > 0 {
		log.Info("partitions go on", "code", string(v.first.Code), "partitions", v.n, "which", few(v.names), "after", v.longest.Round(time.Millisecond))
	}
}
