package checkpoint_test

import (
	"testing"

	"inlong-bridge/connector/checkpoint"
)

func TestLag(t *testing.T) {
	for _, tt := range []struct {
		name                string
		done, logStart, end int64
		want                int64
	}{
		{"records that are not done", 10, 0, 25, 15},
		{"all is done", 25, 0, 25, 0},
		{"retention removed what was not done", 10, 20, 25, 5},
		{"retention removed all", 10, 25, 25, 0},
		{"the end was asked for before the last records were done", 30, 0, 25, 0},
		{"nothing is done yet", 0, 0, 25, 25},
	} {
		if got := checkpoint.Lag(tt.done, tt.logStart, tt.end); got != tt.want {
			t.Errorf("%s: Lag(%d, %d, %d) = %d, want %d", tt.name, tt.done, tt.logStart, tt.end, got, tt.want)
		}
	}
}
