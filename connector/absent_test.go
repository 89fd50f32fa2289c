package connector

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/internal/absence"
	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
)

// soon are rules with the shape of the default, over a time that a test can wait for.
func soon(over time.Duration) func(b *Bridge) {
	return func(b *Bridge) {
		b.absence = absence.Rules{Answers: 3, Over: over, First: 5 * time.Millisecond, Last: 20 * time.Millisecond}
	}
}

// absentConfig looks at the topics often.
func (e *env) absentConfig() *config.Config {
	c := e.config("queue")
	c.Kafka.MetadataMaxAge = 100 * time.Millisecond
	return c
}

// hurried looks at what is absent more often than by itself, until the test ends.
func (r *running) hurried() *running {
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				r.b.consumer.Look()
			}
		}
	}()
	r.e.t.Cleanup(func() { close(stop); <-done })
	return r
}

// hide makes brokers answer all questions about orders with an error.
func (e *env) hide(err *kerr.Error, nodes ...int32) *kfake.FaultHandle {
	return e.kafka.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Metadata, kmsg.ListOffsets, kmsg.Fetch, kmsg.OffsetForLeaderEpoch}, Nodes: nodes, Topic: "orders", Err: err, Count: -1,
	})
}

func (e *env) nothingMissing(partition int32, n int) {
	e.t.Helper()
	eventually(e.t, 20*time.Second, func() error {
		if gone := missing(e.arrived(), "orders", partition, n); len(gone) > 0 {
			return fmt.Errorf("%d of %d records of partition %d did not arrive: %v", len(gone), n, partition, gone[:min(len(gone), 10)])
		}
		return nil
	})
}

// never watches that a partition does not stop until the returned function is called.
func (r *running) neverStops(topic string, partition int32) (end func()) {
	var stopped atomic.Pointer[string]
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			for _, p := range r.b.Status().Parts {
				if p.Topic == topic && p.Partition == partition && p.Stopped {
					stopped.Store(&p.Reason)
				}
			}
			select {
			case <-over:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	return func() {
		r.e.t.Helper()
		close(over)
		<-done
		if why := stopped.Load(); why != nil {
			r.e.t.Errorf("%s/%d stopped: %s", topic, partition, *why)
		}
	}
}

// 1. partitions are assigned  2. the brokers that are asked for their offsets do not know the topic for a moment.
func TestUnknownAnswerAtAssignmentStopsNothing(t *testing.T) {
	for _, start := range []string{"earliest", "latest"} {
		t.Run(start, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			e.produce("orders", 0, 0, 40, 0)
			e.produce("orders", 1, 0, 40, 0)
			e.commitAt("orders", 1, 10, 0)
			unknown := e.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: "orders", Err: kerr.UnknownTopicOrPartition, Count: -1})
			c := e.absentConfig()
			c.Kafka.Start = start
			r := e.start(c)
			for num := range int32(2) {
				if p := r.part("orders", num, func(p PartitionStatus) bool { return p.Stall != "" }); p.Stall != "fault" || !strings.Contains(p.Reason, "asking again") {
					t.Errorf("partition %d: %s: %q, want fault, asked again", num, p.Stall, p.Reason)
				}
			}
			ended := []func(){r.neverStops("orders", 0), r.neverStops("orders", 1)}
			unknown.Remove()
			r.part("orders", 0, func(p PartitionStatus) bool { return p.Stall == "" })
			e.produce("orders", 0, 40, 10, 0)
			e.waitCommitted("orders", 0, 50)
			e.waitCommitted("orders", 1, 40)
			for _, end := range ended {
				end()
			}
			got := e.arrived()
			if gone := missing(got, "orders", 0, 50); start == "earliest" && len(gone) > 0 {
				t.Errorf("%d records of partition 0 are missing", len(gone))
			}
			if gone := missing(got, "orders", 1, 40); len(gone) != 10 {
				t.Errorf("%d records of partition 1 are missing, want the 10 that were committed before", len(gone))
			}
			if l, ok := e.line("orders", 0); !ok || !l.Books.Close(50) {
				t.Errorf("line = %+v, %v; want books that close", l, ok)
			}
		})
	}
}

// A broker that lags lists the topics without one that it serves.
func TestIncompleteListOfTopicsStopsNothing(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.routes = "  - {topics: 'ord.*', group: g, stream: s}\n"
	e.tune = soon(0)
	e.produce("orders", 0, 0, 20, 0)
	r := e.start(e.absentConfig())
	e.waitCommitted("orders", 0, 20)
	end := r.neverStops("orders", 0)
	lists := e.kafka.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.Metadata}, Topic: "orders", Err: kerr.UnknownTopicOrPartition, Count: -1,
		When: func(req kmsg.Request) bool { return req.(*kmsg.MetadataRequest).Topics == nil },
	})
	if err := lists.Wait(t.Context(), 10); err != nil {
		t.Fatal(err)
	}
	e.produce("orders", 0, 20, 20, 0)
	e.waitCommitted("orders", 0, 40)
	end()
	e.nothingMissing(0, 40)
}

func TestMissingRightIsNamedAndEnds(t *testing.T) {
	for _, when := range []string{"at the assignment", "later"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, withPartitions(1))
			e.tune = soon(0) // a missing right is no deletion however often it is said
			e.produce("orders", 0, 0, 20, 0)
			e.commitAt("orders", 0, 0, -1) // the fetch of the group's offsets needs the right, too
			var denied *kfake.FaultHandle
			if when == "at the assignment" {
				// As a list of topics at the start finds it: by the second question.
				denied = e.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: "orders", Err: kerr.UnknownTopicOrPartition, Count: -1})
			}
			r := e.start(e.absentConfig()).hurried()
			if when == "later" {
				e.waitCommitted("orders", 0, 20)
			} else {
				r.part("orders", 0, func(p PartitionStatus) bool { return p.Stall == "fault" })
			}
			right := e.hide(kerr.TopicAuthorizationFailed)
			end := r.neverStops("orders", 0)
			p := r.part("orders", 0, func(p PartitionStatus) bool { return strings.Contains(p.Reason, "TOPIC_AUTHORIZATION_FAILED") })
			if p.Stall != "fault" || !strings.Contains(p.Reason, "right") || !strings.Contains(p.Reason, "hint: grant") {
				t.Errorf("%s: %q, want a fault that names the right and what to do", p.Stall, p.Reason)
			}
			if err := right.Wait(t.Context(), right.Hits()+50); err != nil {
				t.Fatal(err)
			}
			right.Remove()
			if denied != nil {
				denied.Remove()
			}
			e.produce("orders", 0, 20, 20, 0)
			e.waitCommitted("orders", 0, 40)
			end()
			e.nothingMissing(0, 40)
		})
	}
}

// The right to read one topic of several is missing. That is nobody else's trouble: not the group's, and not that of the other
// topics, of which one is created meanwhile.
func TestMissingRightOfOneTopicLeavesTheOthersAlone(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	e.routes = "  - {topics: [orders, late], group: g, stream: s}\n"
	e.tune = soon(0)
	var log logBuffer
	r := e.startLogging(e.absentConfig(), newLog(&log)).hurried()
	e.produce("orders", 0, 0, 20, 0)
	e.waitCommitted("orders", 0, 20)
	right := e.hide(kerr.TopicAuthorizationFailed)
	r.part("orders", 0, func(p PartitionStatus) bool { return p.Stall == "fault" && strings.Contains(p.Reason, "right") })
	if err := right.Wait(t.Context(), right.Hits()+50); err != nil {
		t.Fatal(err)
	}
	if _, err := e.adm.CreateTopic(t.Context(), 1, 1, nil, "late"); err != nil {
		t.Fatal(err)
	}
	other, err := kgo.NewClient(kgo.SeedBrokers(e.kafka.ListenAddrs()...)) // that of the test would ask for orders and be refused
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for i := range 20 {
		if err := other.ProduceSync(t.Context(), &kgo.Record{Topic: "late", Value: []byte(payload("late", 0, i))}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	e.waitCommitted("late", 0, 20)
	for _, c := range r.b.Status().Conditions {
		if c.Code == reason.Rebalance || c.Code == reason.Source {
			t.Errorf("the right is missing, and the condition is %s: %s", c.Code, c.Sentence)
		}
	}
	right.Remove()
	e.produce("orders", 0, 20, 20, 0)
	e.waitCommitted("orders", 0, 40)
	eventually(t, 20*time.Second, func() error {
		if s := r.b.Status(); len(s.Conditions) > 0 {
			return fmt.Errorf("with the right back, the conditions are %+v", s.Conditions)
		}
		return nil
	})
	if n := log.lines("the group session fails"); n > 0 {
		t.Errorf("%d lines blame the group's session for a right that a topic lacks", n)
	}
}

func TestDeletionIsBelievedByAnswersOfTwoBrokers(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1), withBrokers(2))
	over := 400 * time.Millisecond
	e.tune = soon(over)
	e.produce("orders", 0, 0, 20, 0)
	r := e.start(e.absentConfig()).hurried()
	e.waitCommitted("orders", 0, 20)
	began := time.Now()
	e.hide(kerr.UnknownTopicOrPartition)
	r.part("orders", 0, func(p PartitionStatus) bool { return p.Stall == "fault" && strings.Contains(p.Reason, "asking again") })
	p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Stopped })
	if p.Stall != "deleted" || time.Since(began) < over {
		t.Errorf("stopped as %s after %s, want deleted after %s at least", p.Stall, time.Since(began), over)
	}
	if err := r.drain(); !errors.Is(err, ErrUnfinished) {
		t.Errorf("drain = %v, want unfinished", err)
	}
}

// One broker of two, whatever it says how often.
func TestBrokerThatDisagreesKeepsATopic(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1), withBrokers(2))
	e.tune = soon(0)
	e.produce("orders", 0, 0, 20, 0)
	r := e.start(e.absentConfig()).hurried()
	e.waitCommitted("orders", 0, 20)
	leader := e.kafka.LeaderFor("orders", 0)
	end := r.neverStops("orders", 0)
	lags := e.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Nodes: []int32{1 - leader}, Topic: "orders", Err: kerr.UnknownTopicOrPartition, Count: -1})
	if err := lags.Wait(t.Context(), 50); err != nil {
		t.Fatal(err)
	}
	lags.Remove()
	e.produce("orders", 0, 20, 20, 0)
	e.waitCommitted("orders", 0, 40)
	end()
	e.nothingMissing(0, 40)
}

func TestSameTopicBackGoesOnWhereItStopped(t *testing.T) {
	for _, begun := range []bool{true, false} {
		t.Run(fmt.Sprintf("begun %v", begun), func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, withPartitions(1))
			e.tune = soon(50 * time.Millisecond)
			e.produce("orders", 0, 0, 100, 0)
			var gone *kfake.FaultHandle
			if !begun {
				gone = e.kafka.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: "orders", Err: kerr.UnknownTopicOrPartition, Count: -1})
			}
			r := e.start(e.absentConfig()).hurried()
			if begun {
				e.waitCommitted("orders", 0, 100)
				e.stallQueues(true) // the next are not final when the topic goes
				e.produce("orders", 0, 100, 100, 0)
				r.part("orders", 0, func(p PartitionStatus) bool { return p.Position == 200 })
			} else {
				r.part("orders", 0, func(p PartitionStatus) bool { return p.Stall == "fault" })
			}
			hidden := e.hide(kerr.UnknownTopicOrPartition)
			r.part("orders", 0, func(p PartitionStatus) bool { return p.Stall == "deleted" })
			e.stallQueues(false)
			hidden.Remove()
			if gone != nil {
				gone.Remove()
			}
			r.part("orders", 0, func(p PartitionStatus) bool { return p.Stall == "" })
			from, n := 200, 50
			if !begun {
				from = 100
			}
			e.produce("orders", 0, from, n, 0)
			e.nothingMissing(0, from+n)
			e.waitCommitted("orders", 0, int64(from+n))
			if l, ok := e.line("orders", 0); !ok || l.Books.From != 0 || l.Books.Final != int64(from+n) || !l.Books.Close(int64(from+n)) {
				t.Errorf("line = %+v, %v; want the books of all %d records", l, ok, from+n)
			}
			if err := r.drain(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A topic of the same name with another id is another topic.
func TestAnotherTopicOfTheNameDoesNotEndTheStop(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	e.tune = soon(50 * time.Millisecond)
	e.produce("orders", 0, 0, 20, 0)
	r := e.start(e.absentConfig()).hurried()
	e.waitCommitted("orders", 0, 20)
	e.deleteTopic("orders")
	r.part("orders", 0, func(p PartitionStatus) bool { return p.Stall == "deleted" })
	if _, err := e.adm.CreateTopic(t.Context(), 1, 1, nil, "orders"); err != nil {
		t.Fatal(err)
	}
	e.cl.PurgeTopicsFromClient("orders")
	want := e.produceNew(10)
	r.part("orders", 0, func(p PartitionStatus) bool { return p.Stall == "recreated" })
	_ = r.drain()
	if got := e.arrived(); slices.ContainsFunc(want, func(v string) bool { return got[v] > 0 }) {
		t.Error("records of the new topic arrived within the assignment of the old one")
	}
}

func TestTopicThatComesAndGoesLosesNothingAndLeaksNothing(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(2))
	e.tune = soon(0)
	r := e.start(e.absentConfig()).hurried()
	e.produce("orders", 0, 0, 10, 0)
	e.waitCommitted("orders", 0, 10)
	goroutines, n := runtime.NumGoroutine(), 10
	for range 100 {
		hidden := e.hide(kerr.UnknownTopicOrPartition)
		r.part("orders", 0, func(p PartitionStatus) bool { return p.Stall == "deleted" })
		hidden.Remove()
		e.produce("orders", 0, n, 5, 0)
		e.produce("orders", 1, n, 5, 0)
		n += 5
		r.part("orders", 0, func(p PartitionStatus) bool { return p.Stall == "" })
	}
	e.waitCommitted("orders", 0, int64(n))
	e.nothingMissing(0, n)
	eventually(t, 20*time.Second, func() error {
		left := r.b.consumer.Absent()
		switch now := runtime.NumGoroutine(); {
		case left > 0:
			return fmt.Errorf("%d partitions are still absent", left)
		case r.b.table.Unfinal.Load() != 0:
			return fmt.Errorf("%d pieces are not final", r.b.table.Unfinal.Load())
		case now > goroutines+30: // other tests run beside this one, and connections come and go
			return fmt.Errorf("%d goroutines, %d before", now, goroutines)
		}
		return nil
	})
	if l, ok := e.line("orders", 0); !ok || l.Books.From != 0 || l.Books.Final != int64(n) {
		t.Errorf("line = %+v, %v; want the books of all %d records", l, ok, n)
	}
	if err := r.drain(); err != nil {
		t.Error(err)
	}
}

// 1. a partition waits for its log to be found  2. it is found, and begins anew  3. a revoke has the first object in hand.
func TestRevokeEndsTheAssignmentThatTookOver(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	e.produce("orders", 0, 0, 10, 0)
	r := e.start(e.absentConfig())
	e.waitCommitted("orders", 0, 10)
	old := r.b.table.Lookup(part.ID{Topic: "orders", Num: 0})
	next := assign.New(old.Spec, r.b.consumer, r.b.consumer.Gates.New("orders", 0), new(assign.PendingBytes))
	if !r.b.consumer.Succeed(old, next) {
		t.Fatal("the assignment gave way to nobody")
	}
	r.b.consumer.End(old)
	if p := r.b.table.Lookup(old.ID()); p != nil || !next.Gate().Ended() || !next.Checkpoint().Revoked() {
		t.Errorf("after the revoke the partition is still %p, ended %v", p, next.Gate().Ended())
	}
	late := assign.New(old.Spec, r.b.consumer, r.b.consumer.Gates.New("orders", 0), new(assign.PendingBytes))
	if r.b.consumer.Succeed(next, late) || r.b.table.Lookup(old.ID()) != nil {
		t.Error("an assignment that has ended gave way to another one")
	}
}
