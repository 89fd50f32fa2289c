package letters_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"inlong-bridge/connector/internal/letters"
)

func TestLimitNeedsBothTheNumberAndTheShare(t *testing.T) {
	for _, tt := range []struct {
		name             string
		limit            int
		records, letters int
		over             bool
	}{
		{"at the number", 100, 0, 100, false},
		{"above the number", 100, 0, 101, true},
		{"above the number, and 1 % of the records", 100, 10_100, 101, false},
		{"above both", 100, 10_099, 101, true},
		{"above the share alone", 100, 1000, 50, false},
		{"no limit", 0, 0, 10_000, false},
	} {
		r, now, over := letters.Rate{Limit: tt.limit}, time.Unix(1000, 0), false
		r.Records(tt.records, now)
		for range tt.letters {
			over, _, _ = r.Letter(now)
		}
		if over != tt.over {
			t.Errorf("%s: over = %v, want %v", tt.name, over, tt.over)
		}
	}
}

// As many letters as the limit in each minute stop nothing, for ever; what is a minute old counts no more.
func TestLimitLooksAtTheLastMinute(t *testing.T) {
	r, now := letters.Rate{Limit: 100}, time.Unix(1000, 0)
	for range 5000 {
		if over, n, _ := r.Letter(now); over {
			t.Fatalf("a letter each 650 ms is over: %d in the last minute", n)
		}
		now = now.Add(650 * time.Millisecond)
	}
	now = now.Add(time.Hour)
	if _, n, records := r.Letter(now); n != 1 || records != 0 {
		t.Errorf("%d letters, %d records after an hour, want this one alone", n, records)
	}
}

// The oracle keeps each letter. The rate's minute begins at a slot's beginning, so it may see up to a slot less.
func TestRateAgreesWithWhoeverKeepsAll(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 3))
		r, now := letters.Rate{Limit: 1}, time.Unix(1000, 0)
		var all []time.Time
		for range 300 {
			now = now.Add(time.Duration(rng.Int64N(int64(8 * time.Second))))
			if rng.IntN(20) == 0 {
				now = now.Add(-time.Second) // clocks are set back
			}
			all = append(all, now)
			_, got, _ := r.Letter(now)
			newest := now
			for _, at := range all {
				if at.After(newest) {
					newest = at
				}
			}
			least, most := int64(0), int64(0)
			for _, at := range all {
				if newest.Sub(at) <= 55*time.Second {
					least++
				}
				if newest.Sub(at) <= 61*time.Second {
					most++
				}
			}
			if got < least || got > most {
				t.Fatalf("seed %d: %d letters in the last minute, want %d to %d", seed, got, least, most)
			}
		}
	}
}
