package mapping_test

import (
	"testing"

	"inlong-bridge/mapping"
)

// What a look-up costs a record whose route depends on it; a fixed route costs a nil check.
func BenchmarkRouteByHeader(b *testing.B) {
	topic := parse(b, `[{topics: events, group: events, stream: '{header:type}'}]`).ForTopic("events")
	list := []mapping.Header{{Key: "trace", Value: []byte("0af7651916cd43dd")}, {Key: "type", Value: []byte("created")}}
	headers := func() []mapping.Header { return list }
	var got mapping.Target
	b.ReportAllocs()
	for b.Loop() {
		got, _, _ = topic.Route(nil, headers)
	}
	if got.Stream != "created" {
		b.Fatalf("routed to %v", got)
	}
}
