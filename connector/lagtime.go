package connector

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// recordTimes knows when the records that a partition waits for were written: one time for each run of records that
// was fetched, and a guess for records that were not fetched. It is not safe for concurrent use.
type recordTimes struct {
	runs   []recordRun
	passed int       // so many of runs the watermark has passed
	end    int64     // offset after the last record that was fetched
	missed time.Time // since when a record at end is known of that was not fetched; zero if there is none
	behind int64     // end as of missed
	guess  recordRun // of a record that was not fetched, see guessRecordTimes; zero if nothing was asked
}

// recordRun is a run of records from first on, up to the next run.
type recordRun struct {
	first int64
	at    time.Time // timestamp of the first
}

// fetched notes the records of a fetch, of which those below next were taken. The first that was not taken, because
// the partition stopped there, is noted too: it is what the partition waits for.
func (r *recordTimes) fetched(recs []*kgo.Record, chunks []*chunk, next int64, now time.Time) {
	for _, c := range chunks {
		r.note(recs, c.first, now)
	}
	r.end = next
	if n := len(recs); n > 0 && recs[n-1].Offset >= next {
		r.note(recs, next, now)
		r.end = next + 1
	}
}

// note adds a run that begins with the first of recs at or above offset.
func (r *recordTimes) note(recs []*kgo.Record, offset int64, now time.Time) {
	i := sort.Search(len(recs), func(i int) bool { return recs[i].Offset >= offset })
	if i == len(recs) {
		return
	}
	at, _, ok := eventTime(recs[i])
	if !ok {
		at = now
	}
	r.runs = append(r.runs, recordRun{recs[i].Offset, at})
}

// oldest returns the time of the first record at or above the watermark, which the caller knows to exist. It is
// exact for records that were fetched. For others it is the guess, or now as of the first call, so that the age of a
// record of which nothing is known counts from then on.
func (r *recordTimes) oldest(watermark int64, now time.Time) time.Time {
	if at, ok := r.known(watermark); ok {
		r.missed = time.Time{}
		return at
	}
	if r.missed.IsZero() || r.behind != r.end {
		r.missed, r.behind = now, r.end
	}
	return r.missed
}

// none notes that no record at or above the watermark exists.
func (r *recordTimes) none(watermark int64) {
	r.drop(watermark)
	r.missed = time.Time{}
}

// known is oldest without the last resort.
func (r *recordTimes) known(watermark int64) (time.Time, bool) {
	r.drop(watermark)
	if r.passed < len(r.runs) {
		return r.runs[r.passed].at, true
	}
	return r.guess.at, r.guess.first == watermark && !r.guess.at.IsZero()
}

// drop forgets the runs that the watermark has passed.
func (r *recordTimes) drop(watermark int64) {
	for r.passed < len(r.runs) {
		next := r.end
		if r.passed+1 < len(r.runs) {
			next = r.runs[r.passed+1].first
		}
		if next > watermark {
			break
		}
		r.passed++
	}
	if r.passed < len(r.runs)-r.passed {
		return
	}
	n := copy(r.runs, r.runs[r.passed:])
	r.runs, r.passed = r.runs[:n], 0
	if n == 0 && cap(r.runs) > keptSpans {
		r.runs = nil // give back what a long outage needed
	}
}

// lagTime returns the age of the oldest record that is not final, 0 where there is none, and false where the end of
// the log is not known yet.
func (p *partition) lagTime(now time.Time) (time.Duration, bool) {
	at, lag := p.oldestRecord(now)
	switch {
	case lag < 0:
		return 0, false
	case lag == 0:
		return 0, true
	}
	return max(0, now.Sub(at)), true // the producer's clock may be ahead
}

// oldestRecord returns the lag, and where it is above 0 the time of the oldest record that is not final.
func (p *partition) oldestRecord(now time.Time) (at time.Time, lag int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	watermark := p.wm.Watermark()
	if lag = p.lag(watermark); lag <= 0 {
		p.times.none(watermark)
		return time.Time{}, lag
	}
	return p.times.oldest(watermark, now), lag
}

// RouteLag is the age of the oldest record that partitions wait for and that goes to a route.
type RouteLag struct {
	RouteStatus
	LagSeconds float64 `json:"lag_seconds"`
}

// timesStatus puts what is known about times into a status.
type timesStatus struct {
	b      *Bridge
	routes map[int32]float64 // largest lag by the route's index
	waits  []int32
}

func newTimesStatus(b *Bridge, s *Status) *timesStatus {
	s.LagSeconds = -1
	return &timesStatus{b: b, routes: make(map[int32]float64)}
}

// add completes the last partition of s, which is p.
func (t *timesStatus) add(s *Status, p *partition, now time.Time) {
	ps := &s.Parts[len(s.Parts)-1]
	ps.LagSeconds = -1
	if lag, ok := p.lagTime(now); ok {
		ps.LagSeconds = lag.Seconds()
	}
	s.LagSeconds = max(s.LagSeconds, ps.LagSeconds)
	if left, why, ok := t.b.retention.left(p, now); ok {
		seconds := left.Seconds()
		ps.RetentionSecondsLeft = &seconds
		if s.Retention == nil || seconds < s.Retention.SecondsLeft {
			s.Retention = &RetentionStatus{Partition: p.id.String(), SecondsLeft: seconds, Reason: why}
		}
	}
	if ps.LagSeconds <= 0 {
		return
	}
	t.waits = p.wm.WaitingFor(t.waits[:0])
	if len(t.waits) == 0 && p.router.fixed != nil {
		t.waits = append(t.waits, p.router.fixed.index)
	}
	for _, index := range t.waits {
		t.routes[index] = max(t.routes[index], ps.LagSeconds)
	}
}

// addRoutes adds the lag of the routes that partitions wait for.
func (t *timesStatus) addRoutes(s *Status) {
	for index, lag := range t.routes {
		r := t.b.routes.at(index)
		s.RouteLag = append(s.RouteLag, RouteLag{RouteStatus{r.target.Group, r.target.Stream}, lag})
	}
	slices.SortFunc(s.RouteLag, func(a, c RouteLag) int {
		return cmp.Or(cmp.Compare(a.Group, c.Group), cmp.Compare(a.Stream, c.Stream))
	})
}

// routeLags calls f with the lag of each route in use, as metrics show them: 0 where no partition waits, and
// routes whose series the sender folds are one. s.RouteLag is sorted.
func routeLags(s *Status, f func(group, stream string, seconds float64)) {
	folded, other := make(map[RouteStatus]bool), -1.0
	for i := range s.Sender.Streams {
		if st := &s.Sender.Streams[i]; st.Folded {
			folded[RouteStatus{st.Group, st.Stream}] = true
		}
	}
	waiting := s.RouteLag
	for _, r := range s.Routes { // sorted too
		lag := 0.0
		if len(waiting) > 0 && waiting[0].RouteStatus == r {
			lag, waiting = waiting[0].LagSeconds, waiting[1:]
		}
		if folded[r] || len(folded) > 0 && r == (RouteStatus{"other", "other"}) { // which would be there twice
			other = max(other, lag)
		} else {
			f(r.Group, r.Stream, lag)
		}
	}
	if other >= 0 {
		f("other", "other", other)
	}
}
