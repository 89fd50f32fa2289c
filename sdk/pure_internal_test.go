package sdk

import (
	"testing"
	"time"

	"inlong-bridge/sdk/frame"
)

func TestAutoCompressionStopsAndProbes(t *testing.T) {
	var a autoCompression
	tried := 0
	for range 1000 {
		if a.next(1000) {
			tried++
			a.result(1000, 990)
		}
	}
	if tried < 8 || tried > 12 {
		t.Errorf("%d of 1000 packs that do not shrink were compressed, want a few", tried)
	}
	a.result(1000, 400)
	for range 100 {
		if !a.next(1000) {
			t.Fatal("a stream that shrinks again is left alone")
		}
		a.result(1000, 400)
	}
	if a.next(autoFrom - 1) {
		t.Error("a tiny pack was compressed")
	}
}

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
		if got := dataTime(tm); got != tt.field {
			t.Errorf("dataTime(%d s) = %d, want %d", tt.sec, got, tt.field)
		}
	}
}
