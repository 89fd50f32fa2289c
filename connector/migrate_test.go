package connector

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk/dptest"
)

func (e *env) migrate(ctx context.Context, confirm string) (Report, []Progress, error) {
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

// What comes while it runs: TestMigrateLeavesWhatComesAfterItsStart.
func TestMigrateEndsAtTheEndsOfTheStart(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(4)) // 2 is empty, 3 was moved before
	e.produce("orders", 0, 0, 300, 0)
	e.produce("orders", 1, 0, 5, 0)
	e.produce("orders", 3, 0, 10, 0)
	cluster, id := e.ids("orders")
	e.commitWith("orders", 3, 10, lineFor(cluster, id, 10))
	e.commitWith("orders", 1, 2, lineFor(cluster, id, 2))
	v, ps, err := e.migrate(t.Context(), "queue")
	if err != nil || !v.Closed || len(v.Partitions) != 4 {
		t.Fatalf("Migrate = %+v, %v; want closed", v, err)
	}
	want := []PartitionReport{ // the books are the group's: they hold what was moved before
		{End: 300, Committed: 300, Final: 300},
		{End: 5, Committed: 5, Final: 5},
		{End: 0, Committed: -1, Reason: "holds nothing to move"},
		{End: 10, Committed: 10, Final: 10, Reason: "committed up to its end before"},
	}
	for i, w := range want {
		w.Topic, w.Partition, w.TopicID, w.Closed, w.Result = "orders", int32(i), id.String(), true, Pass
		got := v.Partitions[i]
		if i == 2 { // its position may have been committed while others moved
			got.Committed = -1
		}
		if got != w {
			t.Errorf("verdict %d = %+v, want %+v", i, got, w)
		}
	}
	if v.Result != Pass || v.Mode != "queue" || v.Sums.Final != 315 || v.Sums.Closed != 4 {
		t.Errorf("verdict = %s, want PASS with 315 final", v.String())
	}
	if last := ps[len(ps)-1]; last.Done != 4 || last.Moved != 303 || last.Offsets != 303 {
		t.Errorf("last progress = %+v, want 4 done and 303 of 303 moved", last)
	}
	e.produce("orders", 2, 0, 1, 0)
	if v, _, err := e.migrate(t.Context(), "queue"); err != nil || !v.Closed || v.Partitions[2].Final != 1 || v.Partitions[0].Final != 300 {
		t.Errorf("second Migrate = %+v, %v; want only the new record moved, and all books as they were", v, err)
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

// A stop that may end by itself is waited for. One who does not wait for it is told what it was.
func TestMigrateThatIsToldToStopNamesWhatMayEnd(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	recs := []*kgo.Record{
		{Topic: "orders", Value: []byte("a")}, {Topic: "orders", Value: make([]byte, 600<<10)},
	}
	if err := e.cl.ProduceSync(t.Context(), recs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	b, err := New(e.config("queue"), Deps{Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	v, err := b.Migrate(ctx, t.Context(), func(p Progress) {
		if p.Moved == 1 && len(b.Status().Parts) == 1 && b.Status().Parts[0].Stall == string(reason.TooLarge) {
			cancel()
		}
	})
	if !errors.Is(err, ErrUnfinished) || v.Partitions[0].Committed != 1 || !strings.Contains(v.Partitions[0].Reason, "fits into no frame") {
		t.Errorf("Migrate = %+v, %v; want unfinished at 1 because of the record's size", v, err)
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

// The group's commit lies beyond the log's end: the log was cut off, or somebody set the offset.
func TestMigrateDoesNotCloseBehindTheEndOfTheLog(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	e.produce("orders", 0, 0, 100, 0)
	cluster, id := e.ids("orders")
	e.commitWith("orders", 0, 500, lineFor(cluster, id, 500))
	v, _, err := e.migrate(t.Context(), "queue")
	if err != nil || v.Closed || v.Result != Unfinished || !strings.Contains(v.Partitions[0].Reason, "cut off") {
		t.Errorf("Migrate = %s, %+v, %v; want open as truncated", v.String(), v.Partitions, err)
	}
	if got := e.arrived(); len(got) != 0 {
		t.Errorf("%d records were moved from a position that nobody knows", len(got))
	}
}

func TestMigrateThatPassesOverTheHistoryProvesNothing(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	e.produce("orders", 0, 0, 100, 0)
	c := e.config("queue")
	c.Kafka.Start = "latest"
	for range 2 { // the second one finds what the first one committed, if it did
		v := e.migrateWith(c)
		if v.Closed || v.Result != Unproven || v.Sums.PassedOver != 100 || !strings.Contains(v.String(), "100 passed over") {
			t.Errorf("Migrate = %s, %+v; want 100 passed over", v.String(), v.Partitions)
		}
	}
}

func (e *env) migrateWith(c *config.Config) Report {
	e.t.Helper()
	b, err := New(c, Deps{Log: testLog(e.t)})
	if err != nil {
		e.t.Fatal(err)
	}
	v, err := b.Migrate(e.t.Context(), e.t.Context(), nil)
	if err != nil {
		e.t.Fatal(err)
	}
	return v
}

// Accepting a loss does not make it none, also when the next run has nothing left to do.
func TestMigrateWithAcceptedLossFails(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	e.produce("orders", 0, 0, 100, 0)
	cluster, id := e.ids("orders")
	e.commitWith("orders", 0, 10, lineFor(cluster, id, 10))
	e.deleteBefore("orders", 0, 60)
	c := e.config("queue")
	c.Delivery.OnGap = "continue"
	for range 2 {
		v := e.migrateWith(c)
		if p := v.Partitions[0]; v.Closed || v.Result != Fail || p.Lost != 50 || p.Final != 50 || p.Committed != 100 {
			t.Errorf("Migrate = %s, %+v; want FAIL with 50 lost", v.String(), v.Partitions)
		}
	}
}

func TestMigrateNamesItsModeAndWhatItProves(t *testing.T) {
	for mode, want := range map[string]struct {
		result Result
		text   string
	}{
		"settle": {Pass, "PASS (settle: acks and healthy connections; the queue was not looked at): 1 of 1 partitions closed; 20 final, 0 skipped, 0 gap, 0 lost"},
		"ack":    {Unproven, "UNPROVEN (ack: acks only"},
		"queue":  {Pass, "PASS (queue: every pack was seen in the queue behind the proxies)"},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, withPartitions(1))
			e.produce("orders", 0, 0, 20, 0)
			v, _, err := e.migrate(t.Context(), mode)
			if err != nil || v.Result != want.result || !strings.HasPrefix(v.String(), want.text) {
				t.Errorf("Migrate = %q, %v; want %q", v.String(), err, want.text)
			}
		})
	}
}

// What an earlier version or another tool committed is not added to what was moved.
func TestMigrateNamesWhatWasCommittedWithoutBooks(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(2))
	e.produce("orders", 0, 0, 100, 0)
	e.produce("orders", 1, 0, 50, 0)
	e.commitFor("orders", 0, 30)
	e.commitFor("orders", 1, 50)
	for range 2 {
		v, _, err := e.migrate(t.Context(), "queue")
		if p := v.Partitions[0]; err != nil || v.Result != Unproven || p.Start != 30 || p.Final != 70 || p.NotProven != 30 {
			t.Errorf("Migrate = %+v, %v; want books from 30 and 30 not proven", v.Partitions, err)
		}
		if p := v.Partitions[1]; p.Closed || p.Final != 0 || p.NotProven != 50 {
			t.Errorf("verdict = %+v, want 50 not proven", p)
		}
	}
}

// The books of a migration are one, whoever moved what: three processes, each stopped on its way.
func TestBooksOfAMigrationSurviveRestarts(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	e.produce("orders", 0, 0, 3000, 100)
	c := e.config("queue")
	c.Kafka.CommitInterval = 20 * time.Millisecond
	c.Memory.Budget.N = 8 << 20
	var v Report
	for n := 0; ; n++ {
		ctx, cancel := context.WithCancel(t.Context())
		b, err := New(c, Deps{Log: testLog(t)})
		if err != nil {
			t.Fatal(err)
		}
		v, err = b.Migrate(ctx, t.Context(), func(p Progress) {
			if n < 2 && p.Moved > 0 {
				cancel()
			}
		})
		cancel()
		if err != nil && !errors.Is(err, ErrUnfinished) {
			t.Fatal(err)
		}
		if err == nil {
			break
		}
	}
	if p := v.Partitions[0]; v.Result != Pass || p.Start != 0 || p.Final != 3000 || p.Committed != 3000 {
		t.Errorf("verdict = %+v, want 3000 final from 0", p)
	}
}

// A run that waits says for what, in the words of /status.
func TestMigrateSaysWhyNothingMoves(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	e.produce("orders", 0, 0, 5, 0)
	for _, p := range e.proxies {
		_ = p.Close()
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b, err := New(e.config("queue"), Deps{Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	var why string
	_, _ = b.Migrate(ctx, ctx, func(p Progress) {
		if strings.Contains(p.Reason, "no proxy is reachable") {
			why = p.Reason
			cancel()
		}
	})
	if why == "" {
		t.Error("the progress never said that no proxy is reachable")
	}
}

// A member that died without a word keeps its place until its session ends.
func TestMigrateSaysThatItWaitsForAFormerMember(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	e.produce("orders", 0, 0, 5, 0)
	e.joinAndDie()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	b, err := New(e.config("queue"), Deps{Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	var why string
	_, _ = b.Migrate(ctx, ctx, func(p Progress) {
		if strings.Contains(p.Reason, "waiting for the group: a former member's session has not ended, up to session_timeout (6s)") {
			why = p.Reason
			cancel()
		}
	})
	if why == "" {
		t.Error("the progress never said that it waits for a former member")
	}
}

// joinAndDie makes a member of the group that is never heard of again.
func (e *env) joinAndDie() {
	e.t.Helper()
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Version, meta.Topics = 3, []string{"orders"}
	join := kmsg.NewPtrJoinGroupRequest()
	join.Group, join.ProtocolType, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = "bridge", "consumer", 6_000, 4_000
	join.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "cooperative-sticky", Metadata: meta.AppendTo(nil)}}
	resp, err := join.RequestWith(e.t.Context(), e.cl)
	if err == nil && resp.ErrorCode == kerr.MemberIDRequired.Code {
		join.MemberID = resp.MemberID
		resp, err = join.RequestWith(e.t.Context(), e.cl)
	}
	if err != nil || resp.ErrorCode != 0 {
		e.t.Fatalf("joining: %+v, %v", resp, err)
	}
	assignment := kmsg.NewConsumerMemberAssignment()
	assignment.Topics = []kmsg.ConsumerMemberAssignmentTopic{{Topic: "orders", Partitions: []int32{0}}}
	sync := kmsg.NewPtrSyncGroupRequest()
	sync.Group, sync.MemberID, sync.Generation = "bridge", resp.MemberID, resp.Generation
	sync.GroupAssignment = []kmsg.SyncGroupRequestGroupAssignment{{MemberID: resp.MemberID, MemberAssignment: assignment.AppendTo(nil)}}
	if synced, err := sync.RequestWith(e.t.Context(), e.cl); err != nil || synced.ErrorCode != 0 {
		e.t.Fatalf("synchronising: %+v, %v", synced, err)
	}
}

// Two processes share a migration: each verdict has the books of all partitions, whoever moved what.
func TestVerdictHasTheBooksOfOtherMembers(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(6))
	for num := range int32(6) {
		e.produce("orders", num, 0, 200, 0)
	}
	e.stallQueues(true) // until both have partitions
	verdicts := make(chan Report, 2)
	var bridges []*Bridge
	for range 2 {
		b, err := New(e.config("queue"), Deps{Log: testLog(t)})
		if err != nil {
			t.Fatal(err)
		}
		bridges = append(bridges, b)
		go func() {
			v, err := b.Migrate(t.Context(), t.Context(), nil)
			if err != nil {
				t.Errorf("Migrate = %v", err)
			}
			verdicts <- v
		}()
	}
	eventually(t, 20*time.Second, func() error {
		for _, b := range bridges {
			if n := len(b.table.Assigned()); n != 3 {
				return fmt.Errorf("a member has %d of 6 partitions, want 3", n)
			}
		}
		return nil
	})
	e.stallQueues(false)
	for range 2 {
		if v := <-verdicts; v.Result != Pass || v.Sums.Final != 1200 || v.Sums.Closed != 6 {
			t.Errorf("verdict = %s, want PASS with the 1200 records of both members", v.String())
		}
	}
}
