package source

import (
	"testing"
)

func TestEpochTellsALogThatWasCutOff(t *testing.T) {
	for _, c := range []struct {
		name   string
		offset int64
		epoch  int32
		end    EpochEnd
		at     int32 // leader epoch of the record before the offset, -1 for no record
		want   EpochCheck
	}{
		{"the epoch goes on", 100, 4, EpochEnd{LeaderEpoch: 4, EndOffset: 250}, 4, EpochCheck{}},
		{"the epoch ends at the offset", 100, 4, EpochEnd{LeaderEpoch: 4, EndOffset: 100}, 4, EpochCheck{}},
		{"the epoch ends below the offset, and the log has grown past it", 100, 4, EpochEnd{LeaderEpoch: 4, EndOffset: 50}, 6, EpochCheck{Cut: true, At: 50}},
		{"the epoch before ends below the offset", 100, 4, EpochEnd{LeaderEpoch: 3, EndOffset: 50}, 6, EpochCheck{Cut: true, At: 50}},
		{"the log never had the epoch, and has another record there", 100, 4, EpochEnd{LeaderEpoch: -1, EndOffset: -1}, 2, EpochCheck{Cut: true, At: 99}},
		{"the log never had the epoch, and has no record there", 100, 4, EpochEnd{LeaderEpoch: -1, EndOffset: -1}, -1, EpochCheck{Cut: true, At: 100}},
		{"the leader does not know the epoch, and has its record", 100, 4, EpochEnd{LeaderEpoch: -1, EndOffset: -1}, 4, EpochCheck{}},
		{"an older epoch goes on past the offset", 100, 4, EpochEnd{LeaderEpoch: 3, EndOffset: 150}, 3, EpochCheck{Cut: true, At: 99}},
		{"compaction took the epoch's records", 100, 4, EpochEnd{LeaderEpoch: 3, EndOffset: 150}, -1, EpochCheck{}},
	} {
		v, unclear := JudgeEpoch(c.offset, c.epoch, c.end)
		if unclear {
			v = JudgeRecord(v, c.offset, c.epoch, c.at, c.at >= 0)
		}
		if v != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, v, c.want)
		}
	}
}
