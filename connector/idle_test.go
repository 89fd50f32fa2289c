package connector

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
	"inlong-bridge/mapping"
	"inlong-bridge/sdk"
)

// What waits for room, and what may be read again, keeps its route.
func TestRouteThatAPieceOrAParkedRecordNamesIsKept(t *testing.T) {
	rt := routerBy(t, "- {topics: [t], group: g, stream: '{key}'}\n")
	p := newPartition(part.ID{Topic: "t", Num: 0}, &topic{name: "t"}, rt, 0, new(fakeEvents), testGate(part.ID{Topic: "t", Num: 0}), new(heldBack), testLog(t))
	keyedBy := func(at int, key string) []*kgo.Record {
		return []*kgo.Record{{Topic: "t", Offset: int64(at), Key: []byte(key), Value: []byte("v"), Timestamp: time.Unix(6000, 0)}}
	}
	s := &fakeSender{room: 1, err: sdk.ErrStreamFull}
	p.take(s, split(), keyedBy(0, "sent"))
	p.take(s, split(), keyedBy(1, "parked"))
	forget := func() []mapping.Target {
		rt.Table().Pass(idleTicks)
		inUse := make(map[int32]bool)
		p.routesInUse(inUse)
		return rt.Table().ForgetIdle(idleTicks, inUse, func(*sdk.Stream) bool { return true })
	}
	if gone := forget(); len(gone) != 0 {
		t.Fatalf("forgotten %v, want none: one record is sent and one is parked", gone)
	}
	s.room = -1
	p.unpark(s)
	s.settle(sdk.Final)
	if gone := forget(); len(gone) != 0 {
		t.Fatalf("forgotten %v, want none: what is final is not committed yet", gone)
	}
	p.wm.BeginCommit()
	p.wm.EndCommit(true)
	if gone := forget(); len(gone) != 2 {
		t.Fatalf("forgotten %v, want both once all is committed", gone)
	}
}

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
	if got := r.b.counters.goneOn.snapshot()[string(reason.TooManyStreams)]; got != 1 {
		t.Errorf("went on %d times, want once", got)
	}
}
