package connector

import (
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"inlong-bridge/connector/reason"
	"inlong-bridge/connector/resume"
	"inlong-bridge/connector/startfile"
	"inlong-bridge/sdk/dptest"
)

// startSkipping starts a bridge that is told to skip records.
func (e *env) startSkipping(confirm string, skips ...string) (*running, *lines) {
	e.t.Helper()
	log := new(lines)
	e.skip = nil
	for _, text := range skips {
		entry, err := startfile.ParseEntry(text)
		if err != nil {
			e.t.Fatal(err)
		}
		e.skip = append(e.skip, HandSkip{Entry: entry, Who: "ann", Why: "ticket 7"})
	}
	return e.startLogging(e.config(confirm), slog.New(slog.NewTextHandler(log, nil))), log
}

// entryOf is how --skip names a record of topic orders.
func (e *env) entryOf(partition int32, offset int64) string {
	return startfile.Entry{Topic: "orders", ID: resume.TopicID(e.kafka.TopicInfo("orders").TopicID), Partition: partition, Offset: offset}.String()
}

var skipHint = regexp.MustCompile(`--skip (\S+) --skip-why`)

// What stops a partition says how to skip the record alone; told so, the next start passes over it, books it and logs who
// said so. The records around it arrive.
func TestRecordThatStopsItsPartitionIsSkippedByHand(t *testing.T) {
	const bad = 4
	refusing := func(code int) envOption { return notTaking(payload("orders", 0, bad), code) }
	for _, c := range []struct {
		code    reason.Code
		confirm string
		env     []envOption
	}{
		{code: reason.Unrouted, confirm: "queue"},
		{code: reason.TooLarge, confirm: "queue"},
		{code: reason.Poison, confirm: "queue", env: []envOption{refusing(dptest.CloseConnection)}},
		{code: reason.Refused, confirm: "queue", env: []envOption{refusing(104)}},
		{code: reason.Refused, confirm: "settle", env: []envOption{refusing(104)}},
	} {
		t.Run(string(c.code)+" "+c.confirm, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, append(c.env, withPartitions(1))...)
			switch c.code {
			case reason.Unrouted:
				e.routes = "  - {topics: [orders], group: g, stream: '{key}'}\n"
				e.produceOdd(0, 10, bad)
			case reason.TooLarge:
				e.produce("orders", 0, 0, bad, 0)
				e.produce("orders", 0, bad, 1, 600<<10)
				e.produce("orders", 0, bad+1, 5, 0)
			default:
				e.produce("orders", 0, 0, 10, 0)
			}
			r, _ := e.startSkipping(c.confirm)
			p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Stopped && p.Stall == string(c.code) })
			want := e.entryOf(0, bad)
			if c.code != reason.Refused { // those are held as packs, and nobody knows yet which record is meant
				if m := skipHint.FindStringSubmatch(p.Reason); m == nil || m[1] != want {
					t.Fatalf("the partition stops with %q, want --skip %s in it", p.Reason, want)
				}
			}
			r.crash()

			r, log := e.startSkipping(c.confirm, want)
			e.waitCommitted("orders", 0, 10)
			p = r.part("orders", 0, func(p PartitionStatus) bool { return p.Committed == 10 })
			if b := p.Books; b.Hand != 1 || b.Final != 9 || b.Sum() != 10 {
				t.Errorf("books are %+v, want 9 final and 1 by hand", b)
			}
			if gone := missing(e.arrived(), "orders", 0, 10); len(gone) != 1 || gone[0] != bad {
				t.Errorf("records %v are not in the queue, want %d alone", gone, bad)
			}
			if log.count("skipping a record by hand") != 1 || log.count(`who=ann why="ticket 7"`) != 1 {
				t.Errorf("the log does not say once who skipped the record and why:\n%s", log.text())
			}
			r.crash()

			r, log = e.startSkipping(c.confirm, want) // left in a unit file
			e.produce("orders", 0, 10, 3, 0)
			if c.code != reason.Unrouted {
				e.waitCommitted("orders", 0, 13)
			}
			eventually(t, 10*time.Second, func() error {
				if log.count("the partition is committed up to offset 10 already") == 0 {
					return fmt.Errorf("the log does not refuse what was skipped before:\n%s", log.text())
				}
				return nil
			})
			r.crash()
		})
	}
}

// A skip is for one record: the partition stops at the next bad one, and one that stands elsewhere passes over nothing.
func TestOnlyTheNamedRecordIsSkipped(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	e.routes = "  - {topics: [orders], group: g, stream: '{key}'}\n"
	e.produceOdd(0, 10, 4, 7)
	for _, c := range []struct{ skip, stands int64 }{{7, 4}, {4, 7}} {
		r, _ := e.startSkipping("queue", e.entryOf(0, c.skip))
		p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Stopped && p.Final == c.stands })
		if m := skipHint.FindStringSubmatch(p.Reason); m == nil || m[1] != e.entryOf(0, c.stands) || p.Stall != string(reason.Unrouted) {
			t.Errorf("with --skip of offset %d the partition stops with %s %q, want it to stand at %d", c.skip, p.Stall, p.Reason, c.stands)
		}
		r.crash()
	}
}

// Whatever is not the record at which its partition stands is refused, said, and delivered.
func TestSkipOfAnyOtherRecordIsRefused(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(3))
	for p := range int32(3) {
		e.produce("orders", p, 0, 10, 0)
	}
	other := startfile.Entry{Topic: "orders", ID: resume.TopicID{1}, Partition: 1, Offset: 4}
	_, log := e.startSkipping("queue", e.entryOf(0, 4), other.String(), e.entryOf(2, 10), startfile.Entry{Topic: "elsewhere", Partition: 0, Offset: 1}.String())
	for p := range int32(3) {
		e.waitCommitted("orders", p, 10)
		if gone := missing(e.arrived(), "orders", p, 10); len(gone) > 0 {
			t.Errorf("records %v of partition %d are not in the queue", gone, p)
		}
	}
	eventually(t, 10*time.Second, func() error {
		for _, want := range []string{
			"the partition did not stop at the record, and is final up to offset", "the topic has the id", "the log ends at offset 10", "the routes do not consume topic elsewhere",
		} {
			if n := log.count(want); n != 1 {
				return fmt.Errorf("the log says %d times that %s, want once:\n%s", n, want, log.text())
			}
		}
		return nil
	})
}

func TestTwoSkipsOfOnePartitionAreRefusedAtTheStart(t *testing.T) {
	e := newEnv(t, withPartitions(1))
	skip := func(offset int64) HandSkip { return HandSkip{Entry: startfile.Entry{Topic: "orders", Offset: offset}} }
	if _, err := New(e.config("ack"), Deps{Skip: []HandSkip{skip(1), skip(2)}}); err == nil || !strings.Contains(err.Error(), "of the same partition") {
		t.Errorf("two records of one partition: %v", err)
	}
}
