package connector

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/sdk/dptest"
)

func (e *env) migrate(ctx context.Context, confirm string) (Verdict, []Progress, error) {
	e.t.Helper()
	b, err := New(e.config(confirm), Deps{Log: testLog(e.t)})
	if err != nil {
		e.t.Fatal(err)
	}
	hard, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	var ps []Progress
	v, err := b.Migrate(ctx, hard, func(p Progress) { ps = append(ps, p) })
	return v, ps, err
}

func TestMigrateEndsAtTheEndsOfTheStart(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(4)) // 2 is empty, 3 was moved before
	e.produce("orders", 0, 0, 300, 0)
	e.produce("orders", 1, 0, 5, 0)
	e.produce("orders", 3, 0, 10, 0)
	e.commitFor("orders", 3, 10)
	e.commitFor("orders", 1, 2)
	ctx, more := context.WithCancel(t.Context())
	go func() { // records that come meanwhile are none of its business
		defer more()
		for i := range 20 {
			e.cl.Produce(ctx, &kgo.Record{Topic: "orders", Partition: 0, Value: []byte(fmt.Sprint("later ", i))}, nil)
		}
		_ = e.cl.Flush(ctx)
	}()
	<-ctx.Done()
	v, ps, err := e.migrate(t.Context(), "queue")
	if err != nil || !v.Closed || len(v.Partitions) != 4 {
		t.Fatalf("Migrate = %+v, %v; want closed", v, err)
	}
	want := []PartitionVerdict{
		{Start: 0, End: 320, Committed: 320, Final: 320, Closed: true},
		{Start: 2, End: 5, Committed: 5, Final: 3, Closed: true},
		{Start: 0, End: 0, Committed: -1, Closed: true, Reason: "holds nothing to move"},
		{Start: 10, End: 10, Committed: 10, Closed: true, Reason: "committed up to its end before"},
	}
	for i, w := range want {
		w.Topic, w.Partition = "orders", int32(i)
		got := v.Partitions[i]
		if i == 2 { // its position may have been committed while others moved
			got.Committed = -1
		}
		if got != w {
			t.Errorf("verdict %d = %+v, want %+v", i, got, w)
		}
	}
	if last := ps[len(ps)-1]; last.Done != 4 || last.Moved != 323 || last.Offsets != 323 {
		t.Errorf("last progress = %+v, want 4 done and 323 of 323 moved", last)
	}
	e.produce("orders", 2, 0, 1, 0)
	if v, _, err := e.migrate(t.Context(), "queue"); err != nil || !v.Closed || v.Partitions[2].Final != 1 || v.Partitions[0].Final != 0 {
		t.Errorf("second Migrate = %+v, %v; want only the new record moved", v, err)
	}
}

func TestMigrateIsResumed(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1), withProxy(dptest.WithQueueDelay(100*time.Millisecond)))
	e.produce("orders", 0, 0, 50, 0)
	for _, p := range e.proxies {
		p.StallQueue(true)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stopOnceSent := func(Progress) {
		for _, p := range e.proxies {
			if p.Stats().Acked > 0 {
				cancel()
			}
		}
	}
	b, err := New(e.config("queue"), Deps{Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	v, err := b.Migrate(ctx, ctx, stopOnceSent)
	if !errors.Is(err, ErrUnfinished) || v.Closed || v.Partitions[0].Closed || v.Partitions[0].Reason == "" {
		t.Fatalf("Migrate = %+v, %v; want unfinished, not closed, with a reason", v, err)
	}
	for _, p := range e.proxies {
		p.StallQueue(false)
	}
	if v, _, err := e.migrate(t.Context(), "queue"); err != nil || !v.Closed {
		t.Errorf("second Migrate = %+v, %v; want closed", v, err)
	}
	e.expectAll(50)
}

// A signal in the first moment is no verdict: exit code 3, as at any other moment.
func TestMigrateStoppedBeforeItBeganIsUnfinished(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	e.produce("orders", 0, 0, 5, 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b, err := New(e.config("queue"), Deps{Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := b.Migrate(ctx, t.Context(), nil); !errors.Is(err, ErrUnfinished) || v.Closed {
		t.Errorf("Migrate = %+v, %v; want unfinished", v, err)
	}
}

// A partition that stops does not keep a migration from ending, and is not closed.
func TestMigrateEndsWhenWhatIsLeftHasStopped(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.routes = "  - {topics: [orders], group: g, stream: '{key}'}\n"
	recs := []*kgo.Record{
		{Topic: "orders", Key: []byte("s"), Value: []byte("a")}, {Topic: "orders", Value: []byte("no key")},
		{Topic: "orders", Partition: 1, Key: []byte("s"), Value: []byte("b")},
	}
	if err := e.cl.ProduceSync(t.Context(), recs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	v, _, err := e.migrate(t.Context(), "queue")
	if err != nil || v.Closed {
		t.Fatalf("Migrate = %+v, %v; want an end that is not closed", v, err)
	}
	if p := v.Partitions[0]; p.Closed || p.Committed != 1 || !strings.Contains(p.Reason, "key") {
		t.Errorf("verdict = %+v, want not closed at 1 with the reason", p)
	}
	if p := v.Partitions[1]; !p.Closed || p.Final != 1 {
		t.Errorf("verdict = %+v, want closed", p)
	}
}

// The records up to the end are followed by nothing but control records.
func TestMigrateClosesOverControlRecordsAtTheEnd(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	txn, err := kgo.NewClient(kgo.SeedBrokers(e.kafka.ListenAddrs()...), kgo.TransactionalID("m"), kgo.DefaultProduceTopic("orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer txn.Close()
	if err := txn.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := txn.ProduceSync(t.Context(), kgo.StringRecord("x")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := txn.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	v, _, err := e.migrate(t.Context(), "queue")
	if err != nil || !v.Closed || v.Partitions[0].Gap != 1 || v.Partitions[0].Final != 1 {
		t.Errorf("Migrate = %+v, %v; want closed with 1 final and 1 gap", v, err)
	}
}
