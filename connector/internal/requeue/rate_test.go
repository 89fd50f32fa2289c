package requeue

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// At a rate, polls are small and each is followed by the time that it takes; without one nothing waits.
func TestRateBoundsWhatIsHandedOn(t *testing.T) {
	for _, tt := range []struct {
		rate Rate
		most int
	}{{0, 0}, {1, 1}, {9, 1}, {250, 25}, {100_000, 10_000}} {
		synctest.Test(t, func(t *testing.T) {
			if got := tt.rate.Most(); got != tt.most {
				t.Errorf("Rate(%d).Most() = %d, want %d", tt.rate, got, tt.most)
			}
			began := time.Now()
			n := 0
			for range 20 {
				tt.rate.Wait(t.Context(), tt.rate.Most())
				n += tt.rate.Most()
			}
			if took := time.Since(began); tt.rate > 0 && took+time.Microsecond < time.Duration(n)*time.Second/time.Duration(tt.rate) {
				t.Errorf("rate %d: %d records in %v", tt.rate, n, took)
			} else if tt.rate == 0 && took > 0 {
				t.Errorf("without a rate: waited %v", took)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		if Rate(1).Wait(ctx, 1); time.Since(began) > 0 {
			t.Error("a bridge that stops waited for the rate")
		}
	})
}
