package connector

import (
	"log/slog"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
)

// 1. a fetch holds a record of one stream too many, and the budget is full  2. the next fetch comes  3. there is room, and the
// partition stops at that record. When it goes on, the rest of the first fetch must come again.
func TestFetchBehindARecordThatStopsLaterIsIgnored(t *testing.T) {
	rs := streamsOf(2)
	rt, err := newRouter(table(t, "- {topics: [t], group: g, stream: '{header:s}'}\n").ForTopic("t"), rs)
	if err != nil {
		t.Fatal(err)
	}
	id := tp{"t", 0}
	p := newPartition(id, &topic{name: "t"}, rt, 0, new(fakeEvents), testGate(id), new(heldBack), slog.New(slog.DiscardHandler))
	s := &fakeSender{room: 1, err: sdk.ErrBufferFull}
	first := recs(0, 10)
	first[6].Headers = []kgo.RecordHeader{{Key: "s", Value: []byte("c")}}
	p.take(s, split(), first)
	p.take(s, split(), recs(10, 10))
	s.room = -1
	p.unpark(s)
	if h := p.stopped(); h == nil || h.Code != reason.TooManyStreams {
		t.Fatalf("stopped = %+v, want %s", h, reason.TooManyStreams)
	}
	if at := p.expects(); at != 6 {
		t.Fatalf("the partition goes on at offset %d, want 6: what comes after the record was never sent", at)
	}
	rs.max = 3
	p.gate.Drop(partitionKey(id, reason.TooManyStreams))
	p.take(s, split(), append(first[6:], recs(10, 10)...))
	s.settle(sdk.Final)
	if at := p.wm.Watermark(); at != 20 || len(s.order) != 20 {
		t.Errorf("watermark = %d, sent %v; want each of 20 records once", at, s.order)
	}
}

// 1. a migration has fetched up to the end, and the budget is full  2. the partition stops and gives back what is parked  3. it goes
// on. What was given back must be fetched again.
func TestMigrationFetchesAgainWhatAStopGaveBack(t *testing.T) {
	ev := new(fakeEvents)
	p, s := testPartition(t, ev), &fakeSender{room: 4, err: sdk.ErrBufferFull}
	p.limit = 20
	p.take(s, split(), recs(0, 10))
	p.take(s, &splitter{pack: 256 << 10, suspect: 1 << 20, limit: 20}, recs(10, 10))
	p.reachedEnd()
	if !p.gate.Condition().Closed() {
		t.Fatal("a partition at its end is fetched")
	}
	k := streamKey("g", "a", reason.Refused)
	p.gate.Refer(k, p.heard, true)
	p.unpark(s)
	p.gate.Drop(k)
	if at := p.expects(); at != 10 || p.gate.Condition().Closed() {
		t.Errorf("the partition goes on at %d, closed for %+v; want 10 and to be fetched", at, p.gate.Condition().Entries())
	}
}
