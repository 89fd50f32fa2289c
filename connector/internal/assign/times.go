package assign

import (
	"sort"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/route"
)

// recordTimes knows when the records that are not final were written: one time for each run of fetched records, and a guess for
// records that were not fetched. It is not safe for concurrent use.
type recordTimes struct {
	runs   []recordRun
	passed int       // so many of runs the checkpoint has passed
	end    int64     // offset after the last record that was fetched
	missed time.Time // since when a record at end is known of that was not fetched; zero if there is none
	behind int64     // end as of missed
	guess  recordRun // of a record that was not fetched, see guessRecordTimes; zero if nothing was asked
}

// recordRun is a run of records from first on, up to the next run. There may be hundreds of thousands of them, so it holds no
// pointer, as a time.Time does: the garbage collector would look at each.
type recordRun struct {
	first  int64
	millis int64 // timestamp of the first, since the epoch
}

func runAt(first int64, at time.Time) recordRun { return recordRun{first, at.UnixMilli()} }

func (r recordRun) at() time.Time { return time.UnixMilli(r.millis) }

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
	first := recs[i].Offset
	for n := len(r.runs); n > r.passed && r.runs[n-1].first >= first; n-- {
		r.runs = r.runs[:n-1] // it went back, and fetches them again
	}
	at, _, ok := route.EventTime(recs[i])
	if !ok {
		at = now
	}
	r.runs = append(r.runs, runAt(first, at))
}

// oldest returns the time of the first record at or above the checkpoint, which the caller knows to exist. It is
// exact for records that were fetched. For others it is the guess, or now as of the first call, so that the age of a
// record of which nothing is known counts from then on.
func (r *recordTimes) oldest(checkpoint int64, now time.Time) time.Time {
	if at, ok := r.known(checkpoint); ok {
		r.missed = time.Time{}
		return at
	}
	if r.missed.IsZero() || r.behind != r.end {
		r.missed, r.behind = now, r.end
	}
	return r.missed
}

// none notes that no record at or above the checkpoint exists.
func (r *recordTimes) none(checkpoint int64) {
	r.drop(checkpoint)
	r.missed = time.Time{}
}

// known is oldest without the last resort.
func (r *recordTimes) known(checkpoint int64) (time.Time, bool) {
	r.drop(checkpoint)
	if r.passed < len(r.runs) {
		return r.runs[r.passed].at(), true
	}
	return r.guess.at(), r.guess.first == checkpoint && r.guess.millis != 0
}

// drop forgets the runs that the checkpoint has passed.
func (r *recordTimes) drop(checkpoint int64) {
	for r.passed < len(r.runs) {
		next := r.end
		if r.passed+1 < len(r.runs) {
			next = r.runs[r.passed+1].first
		}
		if next > checkpoint {
			break
		}
		r.passed++
	}
	r.runs, r.passed = withoutPassed(r.runs, r.passed)
}
