package route

import (
	"math"
	"time"

	"inlong-bridge/sdk/frame"

	"github.com/twmb/franz-go/pkg/kgo"
)

// EventTime returns the record's time and the minute it falls into. ok is false for an impossible time: one outside 1970 to 2038,
// which readers of the queue do not take, or one that the broker does not have. The answer depends on the record alone, so that a
// record that is read again gets the same one.
//
// The client turns the broker's milliseconds into a time by `time.Unix(0, millis*1e6)`. Beyond the year 2262 the product
// wraps: microseconds of 2025 taken for milliseconds come out as a day in 2016. The client does not tell the broker's number,
// but a time of whole milliseconds is a multiple of 1e6 nanoseconds, and one that wrapped k times is off by k*2^64, which is a
// multiple of 1e6 only if 15,625 divides k. So a wrap goes unnoticed only for numbers in j*2^58 + [0, 2^31*1000) milliseconds,
// j not 0: for microseconds none before the year 11,000, for nanoseconds 36 minutes in October 2024 and 36 in December 2033.
func EventTime(rec *kgo.Record) (at time.Time, minute int32, ok bool) {
	sec := rec.Timestamp.Unix()
	if uint64(sec) > math.MaxInt32 || rec.Timestamp.Nanosecond()%int(time.Millisecond) != 0 {
		return time.Time{}, 0, false
	}
	return rec.Timestamp, int32(frame.MinuteOf(rec.Timestamp)), true
}

// Arrival is the time at which a chunk was fetched. It replaces event times that are impossible.
type Arrival struct {
	At     time.Time
	Minute int32
}

// ArrivalAt is the arrival of what is fetched now.
func ArrivalAt(now time.Time) Arrival {
	sec := min(max(now.Unix(), 0), math.MaxInt32) // the clock itself may be impossible
	at := time.Unix(sec, 0)
	return Arrival{at, int32(frame.MinuteOf(at))}
}
