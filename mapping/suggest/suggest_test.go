package suggest_test

import (
	"strings"
	"testing"

	"inlong-bridge/mapping/suggest"
)

func TestClosest(t *testing.T) {
	known := []string{"brokers", "group", "session_timeout", "sasl", "tls", "on_gap", "no"}
	for _, tt := range []struct{ word, want string }{
		{"group", "group"},
		{"grup", "group"},                     // left out
		{"grooup", "group"},                   // too many
		{"gruop", "group"},                    // swapped
		{"broker", "brokers"},                 // singular
		{"bokesr", "brokers"},                 // two mistakes
		{"sessionTimeout", "session_timeout"}, // camelCase
		{"session-timeout", "session_timeout"},
		{"SESSION_TIMEOUT", "session_timeout"},
		{"ongap", "on_gap"},
		{"tsl", "tls"},
		{"", ""},
		{"x", ""},
		{"tz", ""}, // as short as what would have to change
		{"linger", ""},
		{strings.Repeat("group", 100), ""},
	} {
		if got := suggest.Closest(tt.word, known); got != tt.want {
			t.Errorf("Closest(%q) = %q, want %q", tt.word, got, tt.want)
		}
	}
	if got := suggest.Closest("group", nil); got != "" {
		t.Errorf("Closest of nothing = %q", got)
	}
}

func TestClosestPrefersTheFewestChanges(t *testing.T) {
	if got := suggest.Closest("retry_mon", []string{"retry_max", "retry_min"}); got != "retry_min" {
		t.Errorf("Closest = %q, want retry_min", got)
	}
}
