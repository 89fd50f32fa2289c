//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
)

// What the sender alone sends in each message type, and a proxy put into the queue, is read by InLong's own
// InLongMsg: ids, time, count, name of the pack, and every byte of the records.
func TestInLongReadsEveryMessageType(t *testing.T) {
	t.Parallel()
	r := need(t, "inlong")
	b := newBench(t)
	for _, typ := range []sdk.MessageType{sdk.Type3, sdk.Type5, sdk.Type7} {
		for _, compression := range []sdk.Compression{sdk.None, sdk.Snappy} {
			t.Run(fmt.Sprintf("type %d, compression %d", typ, compression), func(t *testing.T) {
				readsMessageType(b.on(t), r, typ, compression, false)
			})
		}
	}
	t.Run("type 7, attributes of records", func(t *testing.T) { readsMessageType(b.on(t), r, sdk.Type7, sdk.Snappy, true) })
}

func readsMessageType(b *bench, r *release, typ sdk.MessageType, compression sdk.Compression, attrs bool) {
	b.Helper()
	queue := dptest.NewMemoryQueue(1, 1)
	proxy := dptest.Start(b, dptest.WithQueue(queue), dptest.WithQueueDelay(0))
	s, err := sdk.New(b.Context(), sdk.WithProxies(proxy.Addr()), sdk.WithMessageType(typ), sdk.WithCompression(compression), sdk.WithInstance("me"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close(b.Context())
	st, err := s.Stream("shop", "orders")
	if err != nil {
		b.Fatal(err)
	}
	at := time.UnixMilli(1760000000123)
	want := []string{"a", "größer & = \x00\xff", "with a carriage return\r", strings.Repeat("long ", 500), " "}
	if typ != sdk.Type3 {
		want = append(want, "two\nlines\n", "\n")
	}
	if typ == sdk.Type7 && !attrs {
		want = append(want, "", "behind an empty one")
	}
	payloads := make([][]byte, len(want))
	for i := range want {
		payloads[i] = []byte(want[i])
	}
	batch := &sdk.Batch{Stream: st, Time: at, Payloads: payloads}
	if attrs { // the same for each: InLong hands out records by their attributes
		for range payloads {
			batch.Attrs = append(batch.Attrs, []sdk.Attr{{Key: "k", Value: "v 1"}, {Key: "l", Value: ""}})
		}
	}
	if n, err := s.SendBatch(b.Context(), batch); n != len(want) || err != nil {
		b.Fatalf("SendBatch = %d, %v", n, err)
	}
	if err := s.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	queue.WaitFor(b, 1)

	var values [][]byte
	for _, m := range queue.All() {
		values = append(values, m.Value)
	}
	if len(values) != 1 {
		b.Fatalf("%d packs, want one", len(values))
	}
	got := b.readByInLong(r, values)[0]
	var records []string
	for _, rec := range got.records {
		if typ == sdk.Type3 {
			records = append(records, strings.Split(string(rec), "\n")...)
		} else {
			records = append(records, string(rec))
		}
	}
	if !slices.Equal(records, want) {
		b.Errorf("InLong reads %q, want %q", records, want)
	}
	// Type 7 carries seconds, and type 5 a count that DataProxy overwrites.
	dt, cnt := "1760000000123", fmt.Sprint(len(want))
	switch typ {
	case sdk.Type5:
		cnt = "1"
	case sdk.Type7:
		dt = "1760000000000"
	}
	fields := map[string]string{"groupId": "shop", "streamId": "orders", "dt": dt, "cnt": cnt, "mid": "me.1"}
	if attrs {
		fields["k"], fields["l"] = "v 1", ""
	}
	for name, want := range fields {
		if v := attribute(got.attr, name); v != want {
			b.Errorf("%s is %q for InLong, want %q; the attributes are %q", name, v, want, got.attr)
		}
	}
	count := 0 // in the versions for text packs InLong counts what it writes, not what it reads
	if typ == sdk.Type7 {
		count = len(want)
	}
	if got.count != count {
		b.Errorf("InLong counts %d, want %d", got.count, count)
	}
}
