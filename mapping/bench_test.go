package mapping_test

import (
	"fmt"
	"testing"

	"inlong-bridge/mapping"
)

func BenchmarkRouteFixed(b *testing.B) {
	topic := parse(b, `[{topics: events, group: events, stream: '{topic}'}]`).ForTopic("events")
	var got mapping.Target
	b.ReportAllocs()
	for b.Loop() {
		got, _, _ = topic.Route(nil, nil)
	}
	if got.Stream != "events" {
		b.Fatalf("routed to %v", got)
	}
}

func BenchmarkRouteByKeyOver1000Streams(b *testing.B) {
	topic := parse(b, `[{topics: events, group: events, stream: 's{key}'}]`).ForTopic("events")
	keys := make([][]byte, 1000)
	for i := range keys {
		keys[i] = fmt.Appendf(nil, "%d", i)
	}
	var got mapping.Target
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		got, _, _ = topic.Route(keys[i%len(keys)], nil)
		i++
	}
	if want := fmt.Sprint("s", (i-1)%len(keys)); got.Stream != want {
		b.Fatalf("routed to %v, want %s", got, want)
	}
}

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
