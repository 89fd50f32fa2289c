package sdk

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"inlong-bridge/sdk/dptest/seeds"
)

// What is added up for series beyond the limit, and told by the log, must not miss a counter.
func TestEveryCounterOfAStreamIsAddedUp(t *testing.T) {
	var one, sum StreamStatus
	v := reflect.ValueOf(&one).Elem()
	n := 0
	for i := range v.NumField() {
		if !v.Type().Field(i).IsExported() {
			continue // says which stream it is
		}
		switch f := v.Field(i); f.Interface().(type) {
		case uint64:
			n++
			f.SetUint(uint64(n))
		case Times:
			f.Set(reflect.ValueOf(Times{Buckets: [timeBuckets]uint64{1, 2, 3}, Seconds: 4}))
		case int, int64, time.Duration, string, StreamCode, bool: // of add alone
		default:
			t.Errorf("%s is neither counter nor time; does add take it?", v.Type().Field(i).Name)
		}
	}
	sum.add(&one)
	sum.add(&one)
	sum.since(&one)
	if sum != one {
		t.Errorf("twice %+v less once is %+v", one, sum)
	}
	if n != streamCounters {
		t.Errorf("%d counters, want %d", streamCounters, n)
	}
}

func TestBucketsOfTimesAgreeWithAScan(t *testing.T) {
	bounds := []time.Duration{0, 32 * time.Millisecond, 128 * time.Millisecond, 1024 * time.Millisecond}
	seeds.Run(t, 200, 100, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 2))
		var got Times
		want := make([]uint64, len(bounds))
		total, sum := uint64(0), time.Duration(0)
		for range r.IntN(50) {
			d := time.Duration(r.ExpFloat64() * float64(200*time.Millisecond))
			if r.IntN(3) == 0 {
				d = timeBounds[r.IntN(len(timeBounds))] // a bound belongs to its bucket
			}
			n := r.IntN(100)
			got.note(d, n)
			total += uint64(n)
			sum += d * time.Duration(n)
			for i := len(bounds) - 1; i >= 0; i-- {
				if d > bounds[i] || i == 0 {
					want[i] += uint64(n)
					break
				}
			}
		}
		for i, from := range bounds {
			to := time.Duration(0)
			if i+1 < len(bounds) {
				to = bounds[i+1]
			}
			if n := got.upTo(from, to); n != want[i] {
				t.Errorf("%d records above %v up to %v, want %d", n, from, to, want[i])
			}
		}
		if got.Records() != total {
			t.Errorf("%d records, want %d", got.Records(), total)
		}
		if total > 0 && (got.Mean()-sum/time.Duration(total)).Abs() > time.Microsecond {
			t.Errorf("mean %v, want %v", got.Mean(), sum/time.Duration(total))
		}
	})
}

// A proxy that is there once for each group is one in metrics, which must not miss a number either.
func TestEveryNumberOfAnEndpointIsAddedUp(t *testing.T) {
	var one, sum EndpointStatus
	v := reflect.ValueOf(&one).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Int, reflect.Int64:
			f.SetInt(int64(i + 1))
		case reflect.Uint64:
			f.SetUint(uint64(i + 1))
		case reflect.String, reflect.Struct, reflect.Map:
		default:
			t.Errorf("%s is of a kind that add may not take", v.Type().Field(i).Name)
		}
	}
	one.AckErrors = map[int]uint64{114: 3}
	sum.add(&one)
	if !reflect.DeepEqual(sum, one) {
		t.Errorf("nothing and %+v is %+v", one, sum)
	}
}
