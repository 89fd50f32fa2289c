package connector

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
)

// fetchOf is what a poll returned of orders/0, in as many fetches as there are lists.
func fetchOf(lists ...[]*kgo.Record) (fs kgo.Fetches) {
	for _, recs := range lists {
		fs = append(fs, kgo.Fetch{Topics: []kgo.FetchTopic{{Topic: "orders", Partitions: []kgo.FetchPartition{{Partition: 0, HighWatermark: 30, Records: recs}}}}})
	}
	return fs
}

// 1. records are fetched ahead  2. their partition stops before them  3. the reason ends  4. the poll loop hands them over. Those
// between the stop and them come first.
func TestPartitionThatGoesOnTakesNothingThatWasFetchedBeforeItStopped(t *testing.T) {
	for _, tt := range []struct {
		name string
		cuts []int // of what the poll loop has in hand
	}{{"in one fetch", []int{20, 30}}, {"in two fetches of one poll", []int{20, 25, 30}}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, withPartitions(1))
			r := e.start(e.config("settle"))
			e.produce("orders", 0, 0, 10, 0)
			e.waitCommitted("orders", 0, 10)
			p := r.b.table.Lookup(part.ID{Topic: "orders", Num: 0})
			p.Gate().Add(reason.New(part.Key(p.ID(), reason.AtEnd), time.Now(), "the test holds it"), true) // so that kgo fetches nothing yet
			stop := part.Stop(p.ID(), reason.TooLarge, 10, "a record fits into no frame")
			p.Stop(stop)
			e.produce("orders", 0, 10, 20, 0)
			var inHand [][]*kgo.Record
			for i, from := range tt.cuts[:len(tt.cuts)-1] {
				var recs []*kgo.Record
				for n := from; n < tt.cuts[i+1]; n++ {
					recs = append(recs, &kgo.Record{Topic: "orders", Offset: int64(n), Value: []byte(payload("orders", 0, n)), Timestamp: time.Unix(1_700_000_000+int64(n), 0)})
				}
				inHand = append(inHand, recs)
			}
			sp := r.b.consumer.Splitter()
			if err := r.b.consumer.Take(fetchOf(inHand...), sp); err != nil || p.Expects() != 10 {
				t.Fatalf("position = %d, err = %v; a partition that has stopped takes nothing", p.Expects(), err)
			}
			if len(r.b.consumer.GoOn(assign.Ending{Assignment: p, Key: stop.Key})) == 0 {
				t.Fatal("does not go on")
			}
			if err := r.b.consumer.Take(fetchOf(inHand...), sp); err != nil || p.Expects() != 10 {
				t.Errorf("position = %d, err = %v; want 10: offsets 10 to 19 were not fetched yet", p.Expects(), err)
			}
			p.Gate().Drop(part.Key(p.ID(), reason.AtEnd))
			e.waitCommitted("orders", 0, 30)
			e.expectAll(30, 0)
			if n := r.b.consumer.Counters.GoneOn.Snapshot()[string(reason.TooLarge)]; n != 1 || p.MustRewind() {
				t.Errorf("gone on %d times, rewind = %v", n, p.MustRewind())
			}
		})
	}
}
