package observe

import (
	"maps"
	"testing"

	"inlong-bridge/sdk"
)

func TestLagOfRoutesAndGroupIsTheLargestOfTheirPartitions(t *testing.T) {
	a, b, c := RouteStatus{Group: "g", Stream: "a"}, RouteStatus{Group: "g", Stream: "b"}, RouteStatus{Group: "g", Stream: "c"}
	soon, late := &RetentionStatus{Partition: "t/0", SecondsLeft: 5}, &RetentionStatus{Partition: "t/1", SecondsLeft: 50}
	s := Status{Routes: []RouteStatus{a, b, c}, Parts: []PartitionStatus{
		{LagSeconds: 7, Oldest: &a, Retention: late}, {LagSeconds: 9, Oldest: &a, Retention: soon}, {LagSeconds: -1, Oldest: &b}, {LagSeconds: 3, Oldest: &c}, {LagSeconds: 40},
	}}
	addLags(&s)
	if s.LagSeconds != 40 || s.Retention != soon {
		t.Errorf("lag %v, retention %+v, want 40 and that of t/0", s.LagSeconds, s.Retention)
	}
	check := func(want map[string]float64) {
		t.Helper()
		got := make(map[string]float64)
		routeLags(&s, func(group, stream string, seconds float64) {
			name := group + "/" + stream
			if _, twice := got[name]; twice {
				t.Errorf("%s has two series", name)
			}
			got[name] = seconds
		})
		if !maps.Equal(got, want) {
			t.Errorf("lags of routes are %v, want %v", got, want)
		}
	}
	check(map[string]float64{"g/a": 9, "g/b": 0, "g/c": 3})
	// A stream that is really called other.other must not make a series twice: the whole scrape would fail.
	s.Routes = append(s.Routes, RouteStatus{Group: "other", Stream: "other"})
	s.Sender.Streams = []sdk.StreamStatus{{Group: "g", Stream: "b", Folded: true}, {Group: "g", Stream: "c", Folded: true}}
	check(map[string]float64{"g/a": 9, "other/other": 3})
	s = Status{}
	if addLags(&s); s.LagSeconds != -1 {
		t.Errorf("lag %v without partitions, want -1", s.LagSeconds)
	}
}
