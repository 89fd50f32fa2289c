package connector

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk/dptest"
)

// commitFor commits an offset for the group from outside.
func (e *env) commitFor(topic string, partition int32, at int64) {
	e.t.Helper()
	os := make(kadm.Offsets)
	os.AddOffset(topic, partition, at, -1)
	if err := e.adm.CommitAllOffsets(e.t.Context(), "bridge", os); err != nil {
		e.t.Fatal(err)
	}
}

// deleteBefore removes records as retention does.
func (e *env) deleteBefore(topic string, partition int32, at int64) {
	e.t.Helper()
	os := make(kadm.Offsets)
	os.AddOffset(topic, partition, at, -1)
	if _, err := e.adm.DeleteRecords(e.t.Context(), os); err != nil {
		e.t.Fatal(err)
	}
}

func TestStartAppliesToAGroupWithoutAnyCommit(t *testing.T) {
	tests := []struct {
		name, start string
		at          time.Time
		want        int64
	}{
		{name: "earliest", start: "earliest", want: 0},
		{name: "latest", start: "latest", want: 10},
		{name: "timestamp inside", start: "timestamp", at: time.Unix(1_700_000_004, 0), want: 4},
		{name: "timestamp that nothing is as new as", start: "timestamp", at: time.Unix(1_900_000_000, 0), want: 10},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, withPartitions(1))
			e.produce("orders", 0, 0, 10, 0)
			c := e.config("queue")
			c.Kafka.Start, c.Kafka.StartTime = tt.start, tt.at
			r := e.start(c)
			p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Final == 10 && p.Committed >= 0 })
			if p.Start != tt.want {
				t.Errorf("begins at %d, want %d", p.Start, tt.want)
			}
			e.waitCommitted("orders", 0, 10) // also where nothing was delivered: a crash must not choose anew
		})
	}
}

func TestRangeGoneAtStartStopsOrContinues(t *testing.T) {
	for _, onGap := range []string{"stop", "continue"} {
		t.Run(onGap, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			e.produce("orders", 0, 0, 100, 0)
			e.produce("orders", 1, 0, 100, 0)
			e.commitFor("orders", 0, 20)
			e.deleteBefore("orders", 0, 60)
			c := e.config("queue")
			c.Delivery.OnGap = onGap
			r := e.start(c)
			e.waitCommitted("orders", 1, 100)
			if onGap == "stop" {
				p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Stopped })
				if p.Stall != string(reason.Gap) || !strings.Contains(p.Reason, "offsets 20 to 59 of orders/0") {
					t.Errorf("stopped as %s: %q, want %s naming 20 to 59", p.Stall, p.Reason, reason.Gap)
				}
				if at := e.committed("orders", 0); at != 20 {
					t.Errorf("committed = %d, want the 20 of before", at)
				}
				return
			}
			e.waitCommitted("orders", 0, 100)
			if l := r.b.table.Lookup(part.ID{Topic: "orders", Num: 0}).Checkpoint().Ledger(); l.Lost != 40 || l.Final != 40 {
				t.Errorf("ledger = %+v, want 40 lost and 40 final", l)
			}
		})
	}
}

// Retention overtakes a bridge that is running: its position falls out of the log.
func TestRangeGoneWhileRunningStopsOrContinues(t *testing.T) {
	for _, onGap := range []string{"stop", "continue"} {
		t.Run(onGap, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, withPartitions(1))
			c := e.config("queue")
			c.Delivery.OnGap = onGap
			e.produce("orders", 0, 0, 10, 0)
			r := e.start(c)
			e.waitCommitted("orders", 0, 10)
			r.b.consumer.Group.PauseFetchTopics("orders")
			<-time.After(500 * time.Millisecond) // a fetch that waits at the broker ends after 50 ms
			e.produce("orders", 0, 10, 50, 0)
			e.deleteBefore("orders", 0, 40)
			r.b.consumer.Group.ResumeFetchTopics("orders")
			if onGap == "stop" {
				p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Stopped })
				if p.Stall != string(reason.Gap) || !strings.Contains(p.Reason, "offsets 10 to 39 of orders/0") {
					t.Errorf("stopped as %s: %q, want %s naming 10 to 39", p.Stall, p.Reason, reason.Gap)
				}
				return
			}
			e.waitCommitted("orders", 0, 60)
			if l := r.b.table.Lookup(part.ID{Topic: "orders", Num: 0}).Checkpoint().Ledger(); l.Lost != 30 || l.Final != 30 {
				t.Errorf("ledger = %+v, want 30 lost and 30 final", l)
			}
			if n := r.b.consumer.Counters.OffsetsLost.Load(); n != 30 {
				t.Errorf("offsets lost = %d, want 30", n)
			}
		})
	}
}

// kgo begins at the log's start without a word when it had to list the offsets before its first fetch.
func TestFetchThatJumpsTheLogsStartStopsOrContinues(t *testing.T) {
	for _, onGap := range []string{"stop", "continue"} {
		t.Run(onGap, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, withPartitions(1))
			c := e.config("queue")
			c.Delivery.OnGap = onGap
			e.produce("orders", 0, 0, 10, 0)
			r := e.start(c)
			e.waitCommitted("orders", 0, 10)
			r.b.consumer.Group.PauseFetchTopics("orders")
			<-time.After(500 * time.Millisecond) // a fetch that waits at the broker ends after 50 ms
			e.produce("orders", 0, 10, 50, 0)
			e.deleteBefore("orders", 0, 40)
			if err := r.b.consumer.Take(e.jump("orders", 40, 20), cutting()); err != nil {
				t.Fatal(err)
			}
			r.b.consumer.Group.ResumeFetchTopics("orders")
			if onGap == "stop" {
				p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Stopped })
				if p.Stall != string(reason.Gap) || !strings.Contains(p.Reason, "offsets 10 to 39 of orders/0") {
					t.Errorf("stopped as %s: %q, want %s naming 10 to 39", p.Stall, p.Reason, reason.Gap)
				}
				return
			}
			e.waitCommitted("orders", 0, 60)
			if l := r.b.table.Lookup(part.ID{Topic: "orders", Num: 0}).Checkpoint().Ledger(); l.Lost != 30 || l.Final != 30 {
				t.Errorf("ledger = %+v, want 30 lost and 30 final", l)
			}
		})
	}
}

// jump is a fetch of partition 0 that begins at the log's start.
func (e *env) jump(topic string, start int64, n int) kgo.Fetches {
	e.t.Helper()
	return kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: topic, Partitions: []kgo.FetchPartition{{
		Partition: 0, LogStartOffset: start, HighWatermark: start + int64(n), Records: assigntest.Records(int(start), n),
	}}}}}}
}

// Records that a proxy lost are gone from Kafka when they are to be read again.
func TestRangeGoneBeforeItWasReadAgainStopsOrContinues(t *testing.T) {
	for _, onGap := range []string{"stop", "continue"} {
		t.Run(onGap, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, withPartitions(1), withProxies(1), withProxy(dptest.WithQueueDelay(time.Hour)))
			c := e.config("queue")
			c.Delivery.OnGap = onGap
			e.produce("orders", 0, 0, 100, 0)
			r := e.start(c)
			eventually(t, 10*time.Second, func() error {
				if n := e.proxies[0].Stats().Acked; n == 0 || r.b.Status().Sender.Endpoints[0].InFlightPacks > 0 {
					return errors.New("not all is acked")
				}
				return nil
			})
			e.produce("orders", 0, 100, 20, 0)
			e.deleteBefore("orders", 0, 100)
			_, lost := e.proxies[0].Kill()
			if lost == 0 {
				t.Fatal("nothing was lost; the test shows nothing")
			}
			if onGap == "stop" {
				p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Stopped })
				if p.Stall != string(reason.Gap) || !strings.Contains(p.Reason, "of orders/0 are gone") {
					t.Errorf("stopped as %s: %q, want %s naming the offsets", p.Stall, p.Reason, reason.Gap)
				}
				return
			}
			eventually(t, 20*time.Second, func() error {
				if l := r.b.table.Lookup(part.ID{Topic: "orders", Num: 0}).Checkpoint().Ledger(); l.Lost != 100 {
					return fmt.Errorf("ledger = %+v, want 100 lost", l)
				}
				return nil
			})
		})
	}
}

func TestCommitBeyondTheEndStops(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.produce("orders", 0, 0, 10, 0)
	e.commitFor("orders", 0, 500)
	r := e.start(e.config("queue"))
	p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Stopped })
	if p.Stall != string(reason.Truncated) {
		t.Errorf("stopped as %s: %q, want %s", p.Stall, p.Reason, reason.Truncated)
	}
}

func TestTopicRecreatedStopsItsPartitions(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	r := e.start(e.config("queue"))
	e.produce("orders", 0, 0, 20, 0)
	e.waitCommitted("orders", 0, 20)
	if _, err := e.adm.DeleteTopic(t.Context(), "orders"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.adm.CreateTopic(t.Context(), 1, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Stopped })
	if p.Stall != string(reason.Recreated) && p.Stall != string(reason.Deleted) {
		t.Errorf("stopped as %s: %q, want %s", p.Stall, p.Reason, reason.Recreated)
	}
	if !strings.Contains(p.Reason, "restart") {
		t.Errorf("reason %q does not say what to do", p.Reason)
	}
}

// A topic that appears later is consumed without a restart.
func TestTopicThatAppearsIsConsumed(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.routes = "  - {topics: [orders, later], group: g, stream: s}\n  - {topics: 'x-.*', group: g, stream: s2}\n"
	r := e.start(e.config("queue"))
	if s := r.b.Status(); len(s.Group.Missing) != 1 || s.Group.Missing[0] != "later" {
		t.Errorf("missing topics = %q, want later", s.Group.Missing)
	}
	if _, err := e.adm.CreateTopics(t.Context(), 1, 1, nil, "later", "x-1", "y-1"); err != nil {
		t.Fatal(err)
	}
	e.produce("later", 0, 0, 5, 0)
	e.produce("x-1", 0, 0, 5, 0)
	e.waitCommitted("later", 0, 5)
	e.waitCommitted("x-1", 0, 5)
	if s := r.b.Status(); len(s.Group.Missing) != 0 || len(s.Group.Topics) != 3 {
		t.Errorf("group = %+v, want three topics and none missing", s.Group)
	}
}

// A log that ends in control records and aborted transactions has no lag in the end.
func TestTransactionsLeaveNoLag(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	txn, err := kgo.NewClient(kgo.SeedBrokers(e.kafka.ListenAddrs()...), kgo.TransactionalID("t"), kgo.DefaultProduceTopic("orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer txn.Close()
	for i, commit := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryCommit, kgo.TryAbort} {
		if err := txn.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := txn.ProduceSync(t.Context(), kgo.StringRecord(fmt.Sprintf("txn %d", i))).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := txn.EndTransaction(t.Context(), commit); err != nil {
			t.Fatal(err)
		}
	}
	c := e.config("queue")
	c.Kafka.Isolation = "read_committed"
	r := e.start(c)
	p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Lag == 0 && p.Committed == p.Final })
	if got := e.arrived(); p.Final != 8 || len(got) != 2 || got["txn 0"] != 1 || got["txn 2"] != 1 {
		t.Errorf("final offset %d, arrived %v; want 8 and the two committed records", p.Final, got)
	}
	if l := r.b.table.Lookup(part.ID{Topic: "orders", Num: 0}).Checkpoint().Ledger(); l.Final != 2 || l.Gap != 6 {
		t.Errorf("ledger = %+v, want 2 final and 6 gap", l)
	}
	// The same asked by hand, as it is for a log that ends in nothing: where is the next record? A marker is one, as it is for the client.
	for from, want := range map[int64]int64{0: 0, 1: 1, 2: 3, 5: 5, 6: 7, 8: 8} {
		if next, err := r.b.kafka.NewRound().NextRecord(t.Context(), orders0, [16]byte{}, from); err != nil || next != want {
			t.Errorf("nextRecord from %d = %d, %v; want %d", from, next, err, want)
		}
	}
}

// 1. a transaction in an idle partition is aborted  2. the partition is looked at by hand, before the client's own fetch returns  3. the client
// returns the marker of the abort. A look that had gone on behind the marker would make that a log that was cut off.
func TestLookAtAnIdlePartitionDoesNotOvertakeTheClient(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	c := e.config("queue")
	c.Kafka.Isolation = "read_committed"
	c.Delivery.Watchdog = time.Second // the log's end is asked for twice in it
	r := e.start(c)
	r.part("orders", 0, func(p PartitionStatus) bool { return p.Lag == 0 })
	var held atomic.Bool
	var looks, fetches atomic.Int64
	e.kafka.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		e.kafka.KeepControl()
		switch {
		case req.(*kmsg.FetchRequest).MaxWaitMillis == 100: // by hand
			looks.Add(1)
			return nil, nil, false
		case !held.Load():
			return nil, nil, false
		}
		fetches.Add(1)
		time.Sleep(5 * time.Millisecond) // or the client asks all the time
		return req.ResponseKind(), nil, true
	})
	defer held.Store(false)
	txn, err := kgo.NewClient(kgo.SeedBrokers(e.kafka.ListenAddrs()...), kgo.TransactionalID("t"), kgo.DefaultProduceTopic("orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer txn.Close()
	if err := txn.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := txn.ProduceSync(t.Context(), kgo.StringRecord("aborted")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	r.part("orders", 0, func(p PartitionStatus) bool { return p.Lag == 1 })
	held.Store(true)
	eventually(t, 20*time.Second, func() error {
		if fetches.Load() == 0 {
			return errors.New("the client's fetch from before has not returned yet")
		}
		return nil
	})
	if err := txn.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	before := looks.Load()
	eventually(t, 20*time.Second, func() error {
		if n := looks.Load() - before; n < 2 && r.part("orders", 0, func(PartitionStatus) bool { return true }).Position == 0 {
			return fmt.Errorf("looked %d times, want twice", n)
		}
		return nil
	})
	held.Store(false)
	p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Stopped || p.Lag == 0 && p.Committed == 2 })
	if p.Stopped || p.Final != 2 {
		t.Errorf("status = %+v, want everything passed", p)
	}
}

// An answer about a topic names all its partitions, so it is asked for once for all of them that are asked about.
func TestRoundAsksOnceForTheLeadersOfATopic(t *testing.T) {
	t.Parallel()
	const partitions = 40
	e := newEnv(t, withPartitions(partitions))
	r := e.start(e.config("queue"))
	var asked atomic.Int64
	e.kafka.ControlKey(int16(kmsg.Metadata), func(kmsg.Request) (kmsg.Response, error, bool) {
		e.kafka.KeepControl()
		asked.Add(1)
		return nil, nil, false
	})
	round := r.b.kafka.NewRound()
	for p := range int32(partitions) {
		if next, err := round.NextRecord(t.Context(), part.ID{Topic: "orders", Num: p}, [16]byte{}, 0); err != nil || next != 0 {
			t.Fatalf("next record of the empty partition %d is %d, %v", p, next, err)
		}
	}
	if n := asked.Load(); n > partitions/4 { // the clients of the bridge ask for themselves too
		t.Errorf("asked %d times for %d partitions of one topic", n, partitions)
	}
}

func TestStartSaysWhatIsWrong(t *testing.T) {
	run := func(t *testing.T, e *env, edit func(b *Bridge)) error {
		t.Helper()
		b, err := New(e.config("queue"), Deps{Log: testLog(t)})
		if err != nil {
			return err
		}
		b.cfg.Kafka.StartTimeout = time.Second
		if edit != nil {
			edit(b)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
		defer cancel()
		return b.Run(ctx, ctx)
	}
	wants := func(t *testing.T, err error, words ...string) {
		t.Helper()
		for _, w := range words {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("Run = %v, want it to say %q", err, w)
			}
		}
	}
	t.Run("unknown topic", func(t *testing.T) {
		t.Parallel()
		e := newEnv(t)
		e.routes = "  - {topics: [nowhere], group: g, stream: s}\n"
		wants(t, run(t, e, nil), "nowhere", "hint")
	})
	t.Run("no topic matches", func(t *testing.T) {
		t.Parallel()
		e := newEnv(t)
		e.routes = "  - {topics: 'zzz.*', group: g, stream: s}\n"
		wants(t, run(t, e, nil), "matches", "explain")
	})
	t.Run("unreachable broker", func(t *testing.T) {
		t.Parallel()
		e := newEnv(t)
		dead, err := kfake.NewCluster(kfake.NumBrokers(1))
		if err != nil {
			t.Fatal(err)
		}
		addrs := dead.ListenAddrs()
		dead.Close()
		wants(t, run(t, e, func(b *Bridge) { b.cfg.Kafka.Brokers = addrs }), addrs[0])
	})
	t.Run("port in use", func(t *testing.T) {
		t.Parallel()
		e := newEnv(t)
		r := e.start(e.config("queue"))
		wants(t, run(t, e, func(b *Bridge) { b.cfg.Admin.Listen = r.b.AdminAddr() }), "admin.listen", "hint")
	})
}

// Compaction took records: there is no lag in the end.
func TestCompactedLogLeavesNoLag(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	zero, compact := "0", "compact"
	if _, err := e.adm.CreateTopic(t.Context(), 1, 1, map[string]*string{"cleanup.policy": &compact, "delete.retention.ms": &zero}, "table"); err != nil {
		t.Fatal(err)
	}
	e.routes = "  - {topics: [table], group: g, stream: s}\n"
	put := func(key string, value []byte) {
		t.Helper()
		r := &kgo.Record{Topic: "table", Key: []byte(key), Value: value, Timestamp: time.Now().Add(-time.Hour)}
		if err := e.cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	put("a", []byte("1"))
	put("b", []byte("2"))
	put("a", []byte("3"))
	put("c", []byte("4"))
	put("c", nil)
	e.kafka.Compact()
	e.kafka.Compact()
	put("d", []byte("5"))
	put("d", nil)
	e.kafka.Compact()
	e.kafka.Compact()
	ends, err := e.adm.ListEndOffsets(t.Context(), "table")
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup("table", 0)
	r := e.start(e.config("queue"))
	p := r.part("table", 0, func(p PartitionStatus) bool { return p.Lag == 0 && p.Final == end.Offset })
	if l := r.b.table.Lookup(part.ID{Topic: "table", Num: 0}).Checkpoint().Ledger(); l.Gap == 0 || l.Start+l.Final+l.Gap != p.Final {
		t.Errorf("ledger = %+v, want holes among %d offsets", l, p.Final)
	}
	e.waitCommitted("table", 0, end.Offset)
	if got := e.arrived(); got["2"] != 1 || got["3"] != 1 {
		t.Errorf("arrived %v, want what compaction left", got)
	}
}

// kgo says nothing of offsets that hold no records. An idle partition is asked about by hand and moved on, up to what the client returns itself: here
// the marker of an abort.
func TestHoleAtTheEndIsPassed(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	c := e.config("queue")
	c.Kafka.Isolation = "read_committed"
	e.produce("orders", 0, 0, 1, 0)
	r := e.start(c)
	e.waitCommitted("orders", 0, 1)
	r.b.consumer.Group.PauseFetchTopics("orders") // so that kgo stays as silent as over a hole
	<-time.After(300 * time.Millisecond)          // a fetch that waits at the broker ends after 50 ms
	txn, err := kgo.NewClient(kgo.SeedBrokers(e.kafka.ListenAddrs()...), kgo.TransactionalID("h"), kgo.DefaultProduceTopic("orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer txn.Close()
	if err := errors.Join(txn.BeginTransaction(), txn.ProduceSync(t.Context(), kgo.StringRecord("x")).FirstErr(),
		txn.EndTransaction(t.Context(), kgo.TryAbort)); err != nil {
		t.Fatal(err)
	}
	p := r.b.table.Lookup(part.ID{Topic: "orders", Num: 0})
	p.Log.Grew(3)
	e.waitCommitted("orders", 0, 2)
	r.b.consumer.Group.ResumeFetchTopics("orders")
	e.waitCommitted("orders", 0, 3)
	if l := p.Checkpoint().Ledger(); l.Final != 1 || l.Gap != 2 {
		t.Errorf("ledger = %+v, want 1 final and 2 gap", l)
	}
}
