package assign

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// recordsAt are records with the offsets first, first+1, ..., one for each age before noon.
func recordsAt(first int64, ages ...time.Duration) []*kgo.Record {
	var recs []*kgo.Record
	for i, age := range ages {
		recs = append(recs, &kgo.Record{Offset: first + int64(i), Timestamp: noon.Add(-age)})
	}
	return recs
}

func TestLagInTimeIsTheAgeOfTheOldestRecordThatIsNotFinal(t *testing.T) {
	var r recordTimes
	recs := recordsAt(10, 50*time.Second, 40*time.Second, 30*time.Second, 20*time.Second)
	r.fetched(recs, []*chunk{{first: 10, next: 12}, {first: 12, next: 14}}, 14, noon)
	for _, row := range []struct {
		checkpoint int64
		want       time.Duration
	}{
		{10, 50 * time.Second},
		{11, 50 * time.Second}, // commits cover whole chunks, so the chunk's first record is waited for
		{12, 30 * time.Second},
	} {
		if got := noon.Sub(r.oldest(row.checkpoint, noon)); got != row.want {
			t.Errorf("with the checkpoint at %d the oldest record is %v old, want %v", row.checkpoint, got, row.want)
		}
	}
	if _, ok := r.known(14); ok {
		t.Error("a record is known although all that were fetched are final")
	}
}

// 1. A partition stops at 12, of a fetch up to 14  2. it goes on, and fetches from 12 again.
func TestLagInTimeAfterAPartitionWentBack(t *testing.T) {
	var r recordTimes
	recs := recordsAt(10, 50*time.Second, 40*time.Second, 30*time.Second, 20*time.Second)
	r.fetched(recs, []*chunk{{first: 10, next: 12}, {first: 12, next: 13}}, 13, noon)
	r.fetched(recs[2:], []*chunk{{first: 12, next: 14}}, 14, noon)
	for checkpoint, want := range map[int64]time.Duration{10: 50 * time.Second, 12: 30 * time.Second} {
		again := recordTimes{runs: slices.Clone(r.runs), end: r.end}
		if got := noon.Sub(again.oldest(checkpoint, noon)); got != want {
			t.Errorf("with the checkpoint at %d the oldest record is %v old, want %v", checkpoint, got, want)
		}
	}
	if len(r.runs) != 2 {
		t.Errorf("%d runs are kept, want 2", len(r.runs))
	}
}

// The next record after a hole (compaction, a transaction's marker) is what is waited for.
func TestLagInTimeLooksBeyondAHole(t *testing.T) {
	var r recordTimes
	r.fetched(recordsAt(20, time.Minute), []*chunk{{first: 20, next: 21}}, 21, noon)
	if got := noon.Sub(r.oldest(15, noon)); got != time.Minute {
		t.Errorf("the oldest record is %v old, want 1m", got)
	}
}

// A record that was not taken, because its partition stopped there, is what the partition waits for.
func TestLagInTimeOfAStoppedPartitionIsThatOfTheRecordItStoppedAt(t *testing.T) {
	var r recordTimes
	recs := recordsAt(10, 50*time.Second, 40*time.Second, 30*time.Second)
	r.fetched(recs, []*chunk{{first: 10, next: 11}}, 11, noon)
	if got := noon.Add(time.Hour).Sub(r.oldest(11, noon.Add(time.Hour))); got != time.Hour+40*time.Second {
		t.Errorf("the oldest record is %v old, want 1h0m40s", got)
	}
}

// 1. All that was fetched is final  2. the log gets a record that is not fetched, since the budget is full  3. its age
// grows from when the bridge knew of it, until a guess tells more.
func TestLagInTimeOfARecordThatWasNotFetchedCountsFromTheFirstLook(t *testing.T) {
	r := recordTimes{end: 10}
	if got := r.oldest(10, noon); !got.Equal(noon) {
		t.Errorf("oldest = %v at the first look, want now", got)
	}
	later := noon.Add(time.Minute)
	if got := later.Sub(r.oldest(10, later)); got != time.Minute {
		t.Errorf("the oldest record is %v old a minute later, want 1m", got)
	}
	r.guess = runAt(10, noon.Add(-time.Hour))
	if got := later.Sub(r.oldest(10, later)); got != time.Hour+time.Minute {
		t.Errorf("the oldest record is %v old, want the guess, 1h1m", got)
	}
	if got := r.oldest(11, later); !got.Equal(later) {
		t.Errorf("oldest = %v above the guess, want now", got)
	}
	r.none(12)
	if got := r.oldest(12, later.Add(time.Hour)); !got.Equal(later.Add(time.Hour)) {
		t.Errorf("oldest = %v after the log was idle, want now", got)
	}
}

// A producer that writes microseconds must not make a lag of millennia.
func TestImpossibleTimestampCountsAsTheTimeOfArrival(t *testing.T) {
	var r recordTimes
	recs := []*kgo.Record{{Offset: 0, Timestamp: time.Unix(-5, 0)}}
	r.fetched(recs, []*chunk{{first: 0, next: 1}}, 1, noon)
	if got := r.oldest(0, noon.Add(time.Second)); !got.Equal(noon) {
		t.Errorf("oldest = %v, want the arrival %v", got, noon)
	}
}

func TestRecordTimesGiveTheirMemoryBack(t *testing.T) {
	var r recordTimes
	for i := range int64(10 * keptSpans) {
		r.fetched(recordsAt(i, 0), []*chunk{{first: i, next: i + 1}}, i+1, noon)
	}
	r.drop(10 * keptSpans)
	if len(r.runs) != 0 || cap(r.runs) > keptSpans {
		t.Errorf("%d runs of %d are kept after all became final", len(r.runs), cap(r.runs))
	}
}

// The garbage collector looks at every word of a list whose elements hold pointers, each time: with 400,000 spans not final that is
// tens of megabytes.
func TestWhatIsKeptOfASpanIsSmallAndHoldsNoPointers(t *testing.T) {
	for _, of := range []reflect.Type{reflect.TypeFor[recordRun](), reflect.TypeFor[openSpan]()} {
		for f := range of.Fields() {
			if f.Type.Kind() != reflect.Int64 {
				t.Errorf("%s.%s is %s, want an integer", of, f.Name, f.Type)
			}
		}
		if of.Size() > 16 {
			t.Errorf("%s takes %d bytes, want at most 16", of, of.Size())
		}
	}
}
