package frame_test

import (
	"testing"
	"time"

	"inlong-bridge/sdk/frame"
)

func TestMinuteRoundsDownOnBothSidesOf1970(t *testing.T) {
	for _, tt := range []struct{ sec, want int64 }{{0, 0}, {59, 0}, {60, 1}, {-1, -1}, {-60, -1}, {-61, -2}, {1 << 40, 1 << 40 / 60}} {
		if got := frame.MinuteOf(time.Unix(tt.sec, 999_999_999)); got != tt.want {
			t.Errorf("MinuteOf(%d s) = %d, want %d", tt.sec, got, tt.want)
		}
	}
}
