package route

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// asTheClientDoes makes a time of a broker's milliseconds as franz-go does: the product wraps.
func asTheClientDoes(millis int64) time.Time { return time.Unix(0, millis*1e6) }

func TestImpossibleEventTimesAreKnown(t *testing.T) {
	day := time.Date(2025, 6, 1, 12, 30, 15, 0, time.UTC)
	for _, tt := range []struct {
		name   string
		at     time.Time
		minute int32 // -1: impossible
	}{
		{"milliseconds", asTheClientDoes(day.UnixMilli()), int32(day.Unix() / 60)},
		{"zero", asTheClientDoes(0), 0},
		{"minute", asTheClientDoes(119_999), 1},
		{"the last second", asTheClientDoes(math.MaxInt32*1000 + 999), math.MaxInt32 / 60},
		{"one second later, in the same minute", asTheClientDoes((math.MaxInt32 + 1) * 1000), -1},
		{"none", asTheClientDoes(-1), -1},
		{"no time at all", time.Time{}, -1},
		{"seconds look like 1970, and stay", asTheClientDoes(day.Unix()), int32(day.Unix() / 1000 / 60)},
		{"microseconds", asTheClientDoes(day.UnixMicro()), -1},
		{"nanoseconds", asTheClientDoes(day.UnixNano()), -1},
		{"ticks of .NET", asTheClientDoes(638_000_000_000_000_000), -1},
		{"the largest", asTheClientDoes(math.MaxInt64), -1},
		{"the smallest", asTheClientDoes(math.MinInt64 / 3), -1},
	} {
		at, minute, ok := EventTime(&kgo.Record{Timestamp: tt.at})
		switch {
		case tt.minute < 0 && ok:
			t.Errorf("%s: eventTime = %v, want it to be impossible", tt.name, at)
		case tt.minute >= 0 && (!ok || minute != tt.minute || at.Unix()/60 != int64(minute)):
			t.Errorf("%s: eventTime = %v, minute %d, %v; want minute %d", tt.name, at, minute, ok, tt.minute)
		}
	}
}

// Whatever number a producer sets, it is either that time, or it is impossible.
func TestWrappedEventTimesAreKnown(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	for range 1_000_000 {
		millis := int64(rng.Uint64()) >> rng.IntN(40)
		if in := millis &^ (1<<58 - 1); in != 0 && millis-in < 1<<31*1000 {
			continue // see eventTime
		}
		at, _, ok := EventTime(&kgo.Record{Timestamp: asTheClientDoes(millis)})
		if want := millis >= 0 && millis < 1<<31*1000; ok != want || ok && at.UnixMilli() != millis {
			t.Fatalf("%d ms: eventTime = %v, %v, want possible: %v", millis, at, ok, want)
		}
	}
}

func TestArrivalOfAnImpossibleClockIsInRange(t *testing.T) {
	for _, at := range []time.Time{{}, time.Unix(-1, 0), time.Unix(1<<40, 0)} {
		if a := ArrivalAt(at); a.At.Unix() < 0 || a.At.Unix() > math.MaxInt32 || int64(a.Minute) != a.At.Unix()/60 {
			t.Errorf("arrivalAt(%v) = %+v", at, a)
		}
	}
}
