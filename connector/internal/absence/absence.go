// Package absence decides when a topic that brokers do not find is believed to be deleted.
//
// One answer proves nothing: a broker that started a moment ago, or lags behind the controller, does not know a topic that
// its neighbours serve. So a deletion is believed only after several answers by name, over some time, from different
// brokers where there are several, while no broker disagreed. Believing it too late costs nothing: the partition is paused
// and asked about meanwhile.
//
// The package is pure: it has no clock and does no I/O. Times are handed in.
package absence

import "time"

// Answer is what one broker said when it was asked for a topic by name.
type Answer uint8

// The answers. A broker that did not answer said nothing, and is not counted.
const (
	Present Answer = iota // it has the topic, under the id that was expected
	Missing               // UNKNOWN_TOPIC_OR_PARTITION
	Denied                // TOPIC_AUTHORIZATION_FAILED: a right is missing, which says nothing of the topic
)

// Rules say when a deletion is believed, and how often is asked.
type Rules struct {
	Answers     int           // at least so many answers in a row
	Over        time.Duration // at least so long from the first of them to the last
	First, Last time.Duration // pauses between two questions: short at first, since most absences last a moment
}

// Default is three answers over a minute.
func Default() Rules {
	return Rules{Answers: 3, Over: time.Minute, First: 250 * time.Millisecond, Last: 10 * time.Second}
}

// Tracker collects the answers about one topic or partition. The zero value has none.
type Tracker struct {
	missing int
	first   time.Time
	last    time.Time
	one     int32 // broker of the first answer
	several bool  // a different broker answered, too
}

// Saw adds the answer of a broker. Every answer but Missing disagrees with a deletion, and the collection begins again.
func (t *Tracker) Saw(broker int32, a Answer, now time.Time) {
	if a != Missing {
		*t = Tracker{}
		return
	}
	if t.missing++; t.missing == 1 {
		t.first, t.one = now, broker
	}
	t.last = now
	t.several = t.several || broker != t.one
}

// Believed reports whether the answers prove a deletion in a cluster of so many brokers.
func (t *Tracker) Believed(r Rules, brokers int) bool {
	return t.missing >= r.Answers && t.last.Sub(t.first) >= r.Over && (t.several || brokers <= 1)
}

// Next returns the broker to ask after last, so that all are asked in turn; brokers is sorted. ok is false without any.
func Next(brokers []int32, last int32) (broker int32, ok bool) {
	if len(brokers) == 0 {
		return 0, false
	}
	for _, b := range brokers {
		if b > last {
			return b, true
		}
	}
	return brokers[0], true
}

// Pause returns the pause before the next question after so many questions.
func (r Rules) Pause(asked int) time.Duration {
	d := r.First
	for range asked {
		if d *= 2; d >= r.Last {
			return r.Last
		}
	}
	return d
}
