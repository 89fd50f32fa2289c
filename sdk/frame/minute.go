package frame

import "time"

// MinuteOf returns the minute of t, counted from 1970. It rounds down on both sides of 1970. The records of a pack
// share their minute.
func MinuteOf(t time.Time) int64 {
	sec := t.Unix()
	m := sec / 60
	if sec%60 < 0 {
		m--
	}
	return m
}
