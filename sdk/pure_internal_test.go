package sdk

import (
	"testing"
	"time"

	"inlong-bridge/sdk/frame"
)

func TestMinuteAndDataTime(t *testing.T) {
	for _, tt := range []struct {
		sec    int64
		minute int64
		field  uint32
	}{{0, 0, 0}, {59, 0, 59}, {60, 1, 60}, {-1, -1, 0}, {-60, -1, 0}, {-61, -2, 0}, {1 << 40, 1 << 40 / 60, 1<<31 - 1}} {
		tm := time.Unix(tt.sec, 999)
		if got := frame.MinuteOf(tm); got != tt.minute {
			t.Errorf("MinuteOf(%d s) = %d, want %d", tt.sec, got, tt.minute)
		}
		if got := dataTime(dataMillis(tm)); got != tt.field {
			t.Errorf("dataTime(%d s) = %d, want %d", tt.sec, got, tt.field)
		}
	}
}
