package backoff_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"inlong-bridge/sdk/backoff"
)

func TestPausesDoubleFromMinToMax(t *testing.T) {
	b := backoff.Backoff{Min: 100 * time.Millisecond, Max: time.Second}
	want := []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond, time.Second, time.Second}
	var counted, next []time.Duration
	last := time.Duration(0)
	for before := range want {
		counted = append(counted, b.Pause(before, 0))
		last = b.Next(last)
		next = append(next, last)
	}
	if !slices.Equal(counted, want) {
		t.Errorf("Pause gives %v, want %v", counted, want)
	}
	if !slices.Equal(next, want) {
		t.Errorf("Next gives %v, want %v", next, want)
	}
	if got := b.Pause(-1, 0); got != b.Min {
		t.Errorf("Pause(-1) = %v, want %v", got, b.Min)
	}
}

func TestJitterTakesUpToAQuarterOff(t *testing.T) {
	b := backoff.Backoff{Min: time.Second, Max: time.Minute}
	for _, tt := range []struct {
		random float64
		want   time.Duration
	}{{0, 4 * time.Second}, {0.5, 3500 * time.Millisecond}, {math.Nextafter(1, 0), 3 * time.Second}} {
		if got := b.Pause(2, tt.random); got.Round(time.Millisecond) != tt.want {
			t.Errorf("Pause(2, %v) = %v, want %v", tt.random, got, tt.want)
		}
	}
}

func TestPauseNeverExceedsMaxAndNeverOverflows(t *testing.T) {
	for _, b := range []backoff.Backoff{
		{Min: time.Second, Max: math.MaxInt64},
		{Min: time.Minute, Max: time.Second},
		{Min: 0, Max: time.Second},
		{Min: time.Second, Max: 0},
	} {
		last := time.Duration(0)
		for before := range 200 {
			last = b.Next(last)
			if got := b.Pause(before, 0); got < 0 || got > b.Max {
				t.Fatalf("%+v: Pause(%d) = %v", b, before, got)
			}
			if last < 0 || last > b.Max {
				t.Fatalf("%+v: pause %d is %v", b, before, last)
			}
		}
	}
	if got := (backoff.Backoff{Max: time.Second}).Pause(1<<30, 0); got != 0 {
		t.Errorf("without Min the pause is %v, want none", got)
	}
}
