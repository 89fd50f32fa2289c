package letters

import "time"

// A partition stops above so many letters of a hundred records, if they are also above dead_letter.limit.
const percent = 1

// The last minute is counted in slots.
const (
	slots    = 12
	slotTime = time.Minute / slots
)

// Rate counts the records and the letters of a partition over the last minute. It is pure, and not safe for concurrent use.
type Rate struct {
	Limit int // of letters in a minute; 0 for none

	began   time.Time
	newest  int64 // number of the newest slot since began
	records [slots]int64
	letters [slots]int64
}

// Records counts records that were fetched.
func (r *Rate) Records(n int, now time.Time) { r.records[r.slot(now)] += int64(n) }

// Letter counts a letter that is about to be written. over says that it must not be: with it there are more letters in the last minute
// than Limit, and more than 1 % of the records.
func (r *Rate) Letter(now time.Time) (over bool, letters, records int64) {
	r.letters[r.slot(now)]++
	for i := range slots {
		letters += r.letters[i]
		records += r.records[i]
	}
	return r.Limit > 0 && letters > int64(r.Limit) && letters*100 > records*percent, letters, records
}

// slot returns the index of the slot of now, and empties those that have passed since the last one. A clock that goes back counts as one that
// stands still.
func (r *Rate) slot(now time.Time) int {
	if r.began.IsZero() {
		r.began = now
	}
	n := max(int64(now.Sub(r.began)/slotTime), r.newest)
	for i := max(r.newest+1, n-slots+1); i <= n; i++ {
		r.records[i%slots], r.letters[i%slots] = 0, 0
	}
	r.newest = n
	return int(n % slots)
}
