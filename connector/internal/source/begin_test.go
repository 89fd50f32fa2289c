package source

import (
	"testing"

	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
)

func TestBeginAt(t *testing.T) {
	id := part.ID{Topic: "t", Num: 0}
	for _, tt := range []struct {
		name                  string
		committed, start, end int64
		accept                bool
		want                  Begin
		stop                  reason.Code
	}{
		{"commit", 12, 10, 20, false, Begin{Offset: 12}, ""},
		{"commit at the end", 20, 10, 20, false, Begin{Offset: 20}, ""},
		{"gap, stop", 5, 10, 20, false, Begin{Offset: 5}, reason.Gap},
		{"gap, continue", 5, 10, 20, true, Begin{Offset: 10, Lost: 5}, ""},
		{"beyond the end", 25, 10, 20, true, Begin{Offset: 25}, reason.Truncated},
	} {
		got := BeginAt(id, tt.committed, tt.start, tt.end, tt.accept)
		code := reason.Code("")
		if got.Stop != nil {
			code = got.Stop.Code
		}
		if got.Stop = nil; got != tt.want || code != tt.stop {
			t.Errorf("%s: beginAt = %+v halt %q, want %+v halt %q", tt.name, got, code, tt.want, tt.stop)
		}
	}
}
