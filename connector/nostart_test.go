package connector

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/reason"
	"inlong-bridge/connector/resume"
	"inlong-bridge/connector/startfile"
)

func (e *env) onlyCommitted() *config.Config {
	e.t.Helper()
	c := e.config("queue")
	c.Kafka.Start = "committed"
	return c
}

// startingAt is a configuration whose start file has these lines.
func (e *env) startingAt(lines ...string) *config.Config {
	e.t.Helper()
	path := filepath.Join(e.t.TempDir(), "starts")
	text := strings.Join(lines, "\n")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		e.t.Fatal(err)
	}
	c := e.config("queue")
	f, wrong := startfile.Parse(path, text)
	if len(wrong) > 0 {
		e.t.Fatal(wrong)
	}
	c.Kafka.Start, c.Kafka.StartFile, c.Kafka.StartOffsets = "file", path, f
	return c
}

// startLine is a line for a partition of the topic that is there now.
func (e *env) startLine(topic string, partition int32, offset int64) string {
	_, id := e.ids(topic)
	return startfile.Entry{Topic: topic, ID: id, Partition: partition, Offset: offset}.String()
}

// mustStop waits until a partition has stopped for want of a start, and that nothing of it was read or committed.
func (r *running) mustStop(topic string, partition int32, says string) {
	r.e.t.Helper()
	p := r.part(topic, partition, func(p PartitionStatus) bool { return p.Stall == string(reason.NoStart) })
	if !strings.Contains(p.Reason, says) || !strings.Contains(p.Reason, "hint: ") {
		r.e.t.Errorf("%s/%d stopped: %s; want a reason that says %q, and a hint", topic, partition, p.Reason, says)
	}
}

func (e *env) mustHaveNothingOf(topic string, partition int32) {
	e.t.Helper()
	for v := range e.arrived() {
		if strings.HasPrefix(v, fmt.Sprintf("%s/%d/", topic, partition)) {
			e.t.Errorf("record %q of a partition without a start arrived", v)
		}
	}
	if at := e.committed(topic, partition); at >= 0 {
		e.t.Errorf("offset %d of %s/%d was committed, which nothing gave a start", at, topic, partition)
	}
}

func TestCommittedRefusesAGroupWithoutCommits(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.produce("orders", 0, 0, 10, 0)
	for _, run := range []func(b *Bridge) error{
		func(b *Bridge) error { return b.Run(t.Context(), t.Context()) },
		func(b *Bridge) error { _, err := b.Migrate(t.Context(), t.Context(), nil); return err },
	} {
		b, err := New(e.onlyCommitted(), Deps{Log: testLog(t)})
		if err != nil {
			t.Fatal(err)
		}
		if err := run(b); err == nil || !strings.Contains(err.Error(), "group bridge has no committed offset") || !strings.Contains(err.Error(), "hint: ") {
			t.Errorf("err = %v, want that the group has no commit, and a hint", err)
		}
	}
	if got := e.arrived(); len(got) > 0 {
		t.Errorf("%d records arrived", len(got))
	}
}

// A partition with a commit goes on; one without stops, also at the next start, when lines say that the group saw it.
// One that never held a record has nothing that could be skipped or repeated.
func TestCommittedStopsWhatHasNoCommit(t *testing.T) {
	bothKafkas(t, func(t *testing.T, opts ...envOption) {
		e := newEnv(t, append(opts, withPartitions(3))...)
		e.produce("orders", 0, 0, 10, 0)
		e.produce("orders", 1, 0, 10, 0)
		e.commitFor("orders", 0, 4)
		for range 2 {
			r := e.start(e.onlyCommitted())
			e.waitCommitted("orders", 0, 10)
			r.mustStop("orders", 1, "its log holds offsets 0 to 10")
			e.waitCommitted("orders", 2, 0)
			if err := r.drain(); !errors.Is(err, ErrUnfinished) {
				t.Errorf("Run = %v, want that a partition is stopped", err)
			}
		}
		e.produce("orders", 2, 0, 5, 0)
		r := e.start(e.onlyCommitted())
		e.waitCommitted("orders", 2, 5)
		r.mustStop("orders", 1, "kafka.start is committed")
		e.mustHaveNothingOf("orders", 1)
		if got := e.arrived(); len(got) != 11 || len(missing(got, "orders", 2, 5)) > 0 {
			t.Errorf("%d records arrived, want 6 of partition 0 and 5 of partition 2", len(got))
		}
		// As the hint says.
		_ = r.drain()
		e.commitFor("orders", 1, 7)
		e.start(e.onlyCommitted())
		e.waitCommitted("orders", 1, 10)
		if got := e.arrived(); len(got) != 14 {
			t.Errorf("%d records arrived, want 3 more of partition 1", len(got))
		}
	})
}

func TestCommittedReadsPartitionsThatWereAddedFromTheirStart(t *testing.T) {
	bothKafkas(t, func(t *testing.T, opts ...envOption) {
		e := newEnv(t, append(opts, withPartitions(1))...)
		e.routes = "  - {topics: ['orders', 'late.*'], group: g, stream: s}\n"
		e.produce("orders", 0, 0, 10, 0)
		e.commitFor("orders", 0, 10)
		r := e.start(e.onlyCommitted())
		e.produce("orders", 0, 10, 1, 0)
		e.waitCommitted("orders", 0, 11)
		e.createTopic("late1")
		e.produce("late1", 0, 0, 5, 0)
		e.waitCommitted("late1", 0, 5)
		if err := r.drain(); err != nil {
			t.Fatal(err)
		}
		e.addPartitions("orders", 2)
		e.produce("orders", 1, 0, 25, 0)
		e.createTopic("late2") // nothing tells whether the group was to have it
		e.produce("late2", 0, 0, 5, 0)
		r = e.start(e.onlyCommitted())
		e.waitCommitted("orders", 1, 25)
		r.mustStop("late2", 0, "no committed offset")
		e.mustHaveNothingOf("late2", 0)
		if got := e.arrived(); len(got) != 31 {
			t.Errorf("%d records arrived, want 1 of partition 0, 25 of the new partition and 5 of the new topic", len(got))
		}
	})
}

func TestFileSaysWherePartitionsWithoutACommitBegin(t *testing.T) {
	bothKafkas(t, func(t *testing.T, opts ...envOption) {
		e := newEnv(t, append(opts, withPartitions(7))...)
		for num := range int32(7) {
			e.produce("orders", num, 0, 10, 0)
		}
		e.deleteBefore("orders", 5, 5)
		e.commitFor("orders", 1, 8)
		c := e.startingAt(
			e.startLine("orders", 0, 3),
			e.startLine("orders", 1, 0), // has a commit
			e.startLine("orders", 2, 10),
			e.startLine("orders", 3, 11), // beyond the end
			e.startLine("orders", 5, 4),  // retention took it
		)
		c.Delivery.OnGap = "continue" // accepts the loss of what the group had reached, and nothing else
		r := e.start(c)
		e.waitCommitted("orders", 0, 10)
		e.waitCommitted("orders", 1, 10)
		e.waitCommitted("orders", 2, 10)
		r.mustStop("orders", 3, "outside its log, which begins at 0 and ends at 10")
		r.mustStop("orders", 4, "no line")
		r.mustStop("orders", 5, "outside its log, which begins at 5 and ends at 10")
		r.mustStop("orders", 6, "no line")
		for num := int32(3); num < 7; num++ {
			e.mustHaveNothingOf("orders", num)
		}
		if got := e.arrived(); len(got) != 9 {
			t.Errorf("%d records arrived, want 7 of partition 0 and 2 of partition 1", len(got))
		}
		if l, ok := e.line("orders", 0); !ok || l.Books.From != 3 || l.Books.Passed != 3 || l.Books.Final != 7 {
			t.Errorf("line %+v, %v; want books from 3 that name the 3 offsets passed over", l, ok)
		}
		if n := r.b.consumer.Counters.PassedOver.Load(); n != 13 {
			t.Errorf("%d offsets counted as passed over, want 3 and 10", n)
		}
		_ = r.drain()
		// The commits count from now on, whatever the file says.
		e.produce("orders", 0, 10, 1, 0)
		e.start(c)
		e.waitCommitted("orders", 0, 11)
		if got := e.arrived(); duplicates(got) > 0 || len(got) != 10 {
			t.Errorf("%d records and %d duplicates arrived, want 10 and none: the file was used again", len(got), duplicates(got))
		}
	})
}

// A line of a topic that was deleted means nothing. A commit that is refused is of a topic that the bridge had: the new one
// begins at its start.
func TestFileOfADeletedTopicIsNotUsed(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(2))
	cluster, old := e.ids("orders")
	e.produce("orders", 0, 0, 10, 0)
	lines := []string{e.startLine("orders", 0, 5), e.startLine("orders", 1, 0)}
	e.createAgain("orders", 2)
	_, now := e.ids("orders")
	e.produce("orders", 0, 0, 10, 0)
	e.produce("orders", 1, 0, 10, 0)
	e.commitWith("orders", 1, 7, lineFor(cluster, old, 7))
	r := e.start(e.startingAt(lines...))
	r.mustStop("orders", 0, fmt.Sprintf("is of a topic with id %s; the topic has id %s now", old, now))
	e.waitCommitted("orders", 1, 10)
	e.mustHaveNothingOf("orders", 0)
	if got := missing(e.arrived(), "orders", 1, 10); len(got) > 0 {
		t.Errorf("of the new topic's partition with a refused commit %v are missing", got)
	}
}

// The position of a line is committed before anything is fetched: a file that changes later changes nothing.
func TestMigrationWithAFileIsBoundedAndResumed(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(3))
	for num := range int32(3) {
		e.produce("orders", num, 0, 50, 0)
	}
	c := e.startingAt(e.startLine("orders", 0, 20), e.startLine("orders", 2, 0))
	b, err := New(c, Deps{Log: testLog(t)})
	if err != nil {
		t.Fatal(err)
	}
	e.stallQueues(true)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if v, err := b.Migrate(ctx, ctx, func(Progress) {
		if e.committed("orders", 0) == 20 && e.committed("orders", 2) == 0 {
			cancel()
		}
	}); !errors.Is(err, ErrUnfinished) || v.Closed {
		t.Fatalf("Migrate = %+v, %v; want unfinished", v, err)
	}
	e.stallQueues(false)
	c = e.startingAt(e.startLine("orders", 0, 40), e.startLine("orders", 2, 40)) // too late
	v := e.migrateWith(c)
	e.produce("orders", 0, 50, 5, 0) // is not in the plan
	if p := v.Partitions[0]; p.Result != Unproven || p.Start != 20 || p.End != 50 || p.Final != 30 || p.PassedOver != 20 {
		t.Errorf("partition 0: %+v, want everything from 20 to 50, and 20 passed over", p)
	}
	if p := v.Partitions[1]; p.Closed || p.Result != Unfinished || !strings.Contains(p.Reason, "no line") || p.Committed != -1 {
		t.Errorf("partition 1: %+v, want open, because no line names it", p)
	}
	if p := v.Partitions[2]; !p.Closed || p.Result != Pass || p.Final != 50 {
		t.Errorf("partition 2: %+v, want PASS from 0 to 50", p)
	}
	if v.Result != Unfinished {
		t.Errorf("result %s, want UNFINISHED", v.Result)
	}
	got := e.arrived()
	if gone := missing(got, "orders", 2, 50); len(gone) > 0 {
		t.Errorf("of partition 2 %v are missing", gone)
	}
	e.mustHaveNothingOf("orders", 1)
}

func TestMigrationWithCommittedMovesOnlyWhatHasACommit(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(3)) // 2 is empty
	cluster, id := e.ids("orders")
	e.produce("orders", 0, 0, 20, 0)
	e.produce("orders", 1, 0, 20, 0)
	e.commitWith("orders", 0, 5, resume.Line{
		Cluster: cluster, Topic: id, At: time.Now(), Books: resume.Books{Final: 5}, Seen: resume.Sight{Partitions: 3, At: time.Now().Add(-time.Hour)},
	}.String())
	v := e.migrateWith(e.onlyCommitted())
	if p := v.Partitions[0]; p.Result != Pass || p.Final != 20 {
		t.Errorf("partition 0: %+v, want PASS", p)
	}
	if p := v.Partitions[1]; p.Result != Unfinished || !strings.Contains(p.Reason, "no committed offset") {
		t.Errorf("partition 1: %+v, want UNFINISHED for want of a commit", p)
	}
	if p := v.Partitions[2]; p.Result != Pass {
		t.Errorf("partition 2: %+v, want PASS: it holds nothing", p)
	}
	e.mustHaveNothingOf("orders", 1)
}
