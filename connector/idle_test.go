package connector

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
)

// produceByKey appends records to orders whose keys name their streams.
func (e *env) produceByKey(n int, key func(i int) string) {
	e.t.Helper()
	var recs []*kgo.Record
	for i := range n {
		recs = append(recs, &kgo.Record{Topic: "orders", Key: []byte(key(i)), Value: []byte(payload("orders", 0, i))})
	}
	if err := e.cl.ProduceSync(e.t.Context(), recs...).FirstErr(); err != nil {
		e.t.Fatal(err)
	}
}

// A stream per key: the partition stops at the record of one stream too many, and goes on there when an idle one is forgotten.
func TestStreamTooManyStopsItsPartitionUntilThereIsRoom(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	e.routes = "  - {topics: [orders], group: g, stream: '{key}', unmatched: skip}\n"
	c := e.config("settle")
	c.InLong.MaxStreams = 3
	e.tune = func(b *Bridge) { b.lookAgain = 50 * time.Millisecond }
	r := e.start(c)
	e.produceByKey(40, func(i int) string { return fmt.Sprint("k", i/10) })
	p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Stall == string(reason.TooManyStreams) && p.Final == 30 })
	if p.Reason == "" || p.Position != 30 {
		t.Errorf("status = %+v, want stopped before offset 30", p)
	}
	// Two of the three are idle and forgotten.
	forgotten := 0
	r.b.routes.ForgetIdle(0, nil, func(*sdk.Stream) bool { forgotten++; return forgotten <= 2 })
	e.waitCommitted("orders", 0, 40)
	if got := r.b.consumer.Counters.GoneOn.Snapshot()[string(reason.TooManyStreams)]; got != 1 {
		t.Errorf("went on %d times, want once", got)
	}
}
