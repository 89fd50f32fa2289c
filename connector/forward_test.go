package connector

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/forwarded"
	"inlong-bridge/connector/lineage"
	"inlong-bridge/sdk/frame"
)

// items reads the records of all packs in the queue.
func (e *env) items() (items []frame.Item) {
	e.t.Helper()
	ends, err := e.adm.ListEndOffsets(e.t.Context(), queueTopic)
	if err != nil {
		e.t.Fatal(err)
	}
	packs := int64(0)
	for _, o := range ends.Offsets()[queueTopic] {
		packs += o.At
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(e.kafka.ListenAddrs()...), kgo.ConsumeTopics(queueTopic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		e.t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(e.t.Context(), 10*time.Second)
	defer cancel()
	for ; packs > 0 && ctx.Err() == nil; packs-- {
		for _, r := range cl.PollRecords(ctx, 1).Records() {
			pack, err := frame.DecodeInLongMsg(r.Value)
			if err != nil {
				e.t.Fatal(err)
			}
			if env, _ := frame.Attribute(pack.Attr, "env"); string(env) != "prod" {
				e.t.Errorf("attributes of a pack %q, want env=prod among them", pack.Attr)
			}
			found, err := pack.ItemsAttrs(1 << 20)
			if err != nil {
				e.t.Fatal(err)
			}
			items = append(items, found...)
		}
	}
	return items
}

// A tombstone of a topic that is compacted has nothing but its key, which attributes cannot carry: it becomes a dead letter, and a
// record with 1,000 headers is skipped because its rule says so. Everything else arrives with its key and headers, and the books close.
func TestBridgeForwardsAndKeepsWhatCannotTravel(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.letterTopic()
	e.routes = "  - topics: [orders]\n    group: g\n    stream: s\n    forward: {key: true, headers: [trace], origin: true}\n    tombstone: dead_letter\n" +
		"    on_error: {too_large: skip}\n    attrs: {env: prod}\ndead_letter: {topic: letters}\n"
	many := make([]kgo.RecordHeader, 1000)
	for i := range many {
		many[i] = kgo.RecordHeader{Key: "trace", Value: []byte("x")}
	}
	for _, r := range []*kgo.Record{
		{Key: []byte("ü"), Value: []byte("a"), Headers: []kgo.RecordHeader{{Key: "trace", Value: []byte("1")}, {Key: "secret", Value: []byte("2")}}},
		{Key: []byte("gone")},
		{Value: []byte("c"), Headers: many},
		{Key: []byte{}, Value: []byte("d")},
	} {
		r.Topic, r.Timestamp = "orders", time.UnixMilli(1_700_000_000_123)
		if err := e.cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	r := e.start(e.config("queue"))
	e.waitCommitted("orders", 0, 4)
	books := r.part("orders", 0, func(p PartitionStatus) bool { return p.Books.Sum() == 4 }).Books
	if books.Final != 2 || books.Dead != 1 || books.Skipped != 1 {
		t.Errorf("books = %+v, want two final, one dead letter and one skipped", books)
	}
	ls, originals := e.lettersIn()
	if len(ls) != 1 || ls[0].Reason != "tombstone" || ls[0].Offset != 1 || string(originals[0].Key) != "gone" || originals[0].Value != nil {
		t.Errorf("letters = %+v of %+v, want the tombstone as it was", ls, originals)
	}
	meta, err := e.adm.Metadata(t.Context(), "orders")
	if err != nil {
		t.Fatal(err)
	}
	items := e.items()
	if len(items) != 2 {
		t.Fatalf("%d records in the queue, want 2", len(items))
	}
	for i, want := range []struct {
		value, key string
		offset     int64
		headers    int
	}{{"a", "ü", 0, 1}, {"d", "", 3, 0}} {
		got, err := forwarded.FromAttrs(items[i].Attr)
		o := forwarded.Origin{Cluster: lineage.ClusterOf(meta.Cluster).String(), Topic: "orders", TopicID: meta.Topics["orders"].ID, Offset: want.offset}
		if err != nil || string(items[i].Data) != want.value || got.Key == nil || string(got.Key) != want.key || got.Origin != o || len(got.Headers) != want.headers {
			t.Errorf("record %d: %q with %q reads as %+v, %v; want %+v of %+v", i, items[i].Data, items[i].Attr, got, err, want, o)
		}
	}
	if got := r.b.Status().Counters.DeadLetters; len(got) != 1 || got[0].Reason != "tombstone" {
		t.Errorf("counted %+v, want one tombstone", got)
	}
}
