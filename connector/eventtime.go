package connector

import (
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// eventTime is the record's time, and the minute it falls into. ok is false where that cannot be: outside 1970 to
// 2038, which is what readers of the queue take, or not what the broker has. It depends on the record alone, so that
// a record that is read again gives the same answer.
//
// The client makes a time of the broker's milliseconds by `time.Unix(0, millis*1e6)`. Beyond the year 2262 the product
// wraps: microseconds of 2025 taken for milliseconds come out as a day in 2016. The broker's number is not to be had
// from the client, but a time of whole milliseconds is a multiple of 1e6 nanoseconds, and one that wrapped k times is
// off by k*2^64, which is a multiple of 1e6 only where 15,625 divides k. So a wrap is not seen only for numbers in
// j*2^58 + [0, 2^31*1000) milliseconds, j not 0: of microseconds none before the year 11,000, of nanoseconds 36
// minutes in October 2024 and 36 in December 2033.
func eventTime(rec *kgo.Record) (at time.Time, minute int32, ok bool) {
	sec := rec.Timestamp.Unix()
	if uint64(sec) > math.MaxInt32 || rec.Timestamp.Nanosecond()%int(time.Millisecond) != 0 {
		return time.Time{}, 0, false
	}
	return rec.Timestamp, int32(sec / 60), true
}

// arrival is when a chunk was fetched. It stands for the event time of records whose own is impossible.
type arrival struct {
	at     time.Time
	minute int32
}

func arrivalAt(now time.Time) arrival {
	sec := min(max(now.Unix(), 0), math.MaxInt32) // should the clock itself be impossible
	return arrival{time.Unix(sec, 0), int32(sec / 60)}
}

// replaced counts the records of a fetch whose event time was replaced, and remembers the first.
type replaced struct {
	n     int64
	first *kgo.Record
}

func (r *replaced) add(rec *kgo.Record) {
	if r.n++; r.first == nil {
		r.first = rec
	}
}

// tookReplaced counts records of a partition whose event time was replaced, and tells of the topic's first.
func (b *Bridge) tookReplaced(p *partition, r replaced) {
	if r.n == 0 {
		return
	}
	if b.counters.replaced.add(p.id.Topic, uint64(r.n)) {
		b.log.Warn("records have an impossible event time, sending them with the time of arrival", "topic", p.id.Topic, "partition", p.id.Num,
			"offset", r.first.Offset, "hint", "Kafka's timestamps are milliseconds since 1970; a producer that sets micro- or nanoseconds, or none, looks like this. "+
				"inlong_bridge_event_time_replaced_total counts them")
	}
}
