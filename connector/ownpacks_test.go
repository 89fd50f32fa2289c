package connector

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/connector/reason"
)

// Something copies the queue into a topic that the bridge reads. The copy has a name and an id of its own: only
// the packs tell. Packs of another group are moved, counted and told once.
func TestCopyOfTheOwnQueueStopsAsALoop(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.routes = "  - {topics: [orders, copy], group: g, stream: s}\n"
	if _, err := e.adm.CreateTopics(t.Context(), 1, 1, nil, "copy"); err != nil {
		t.Fatal(err)
	}
	e.produce("orders", 0, 0, 20, 0)
	first := e.start(e.config("queue"))
	e.waitCommitted("orders", 0, 20)
	if err := first.drain(); err != nil {
		t.Fatal(err)
	}
	foreign := assigntest.Pack(t, "groupId=g&streamId=s&bg=another&mid=i.1")
	e.write("copy", foreign, foreign, e.read(queueTopic), []byte("behind it"))

	log := new(lines)
	r := e.startLogging(e.config("queue"), newLog(log)) // another process of the same group
	p := r.part("copy", 0, func(p PartitionStatus) bool { return p.Stopped && p.Committed == 2 })
	if p.Stall != string(reason.Loop) || !strings.Contains(p.Reason, "offset 2 of copy/0") || !strings.Contains(p.Reason, "stream s") {
		t.Errorf("copy/0 = %+v, want it stopped as a loop at offset 2", p)
	}
	if n := log.count("packs that another bridge or sender wrote"); n != 1 {
		t.Errorf("packs of others were told %d times, want once", n)
	}
	n := uint64(0)
	each(&r.b.consumer.Counters.Packs, func(topic string, v uint64) {
		if topic == "copy" {
			n = v
		}
	})
	if n != 2 {
		t.Errorf("%d packs of others were counted, want 2", n)
	}
	e.produce("orders", 0, 20, 5, 0)
	e.waitCommitted("orders", 0, 25) // the others go on
	if err := r.drain(); !errors.Is(err, ErrUnfinished) {
		t.Errorf("Run = %v, want unfinished: a partition is stopped", err)
	}
	v, _, err := e.migrate(t.Context(), "queue")
	if err != nil || v.Closed {
		t.Errorf("Migrate = %v, closed %v; want an open partition", err, v.Closed)
	}
	for _, pv := range v.Partitions {
		if pv.Topic == "copy" && (pv.Closed || !strings.Contains(pv.Reason, "round for ever")) {
			t.Errorf("verdict of copy = %+v, want it open because of the loop", pv)
		}
	}
	if got := e.arrived()["behind it"]; got != 0 {
		t.Error("what lies behind the pack was sent")
	}
}

// write appends values to partition 0 of a topic.
func (e *env) write(topic string, values ...[]byte) {
	e.t.Helper()
	for _, v := range values {
		if err := e.cl.ProduceSync(e.t.Context(), &kgo.Record{Topic: topic, Value: v}).FirstErr(); err != nil {
			e.t.Fatal(err)
		}
	}
}

// read returns some record's value of a topic.
func (e *env) read(topic string) []byte {
	e.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(e.kafka.ListenAddrs()...), kgo.ConsumeTopics(topic))
	if err != nil {
		e.t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeoutCause(e.t.Context(), 10*time.Second, errors.New("nothing to read"))
	defer cancel()
	recs := cl.PollRecords(ctx, 1).Records()
	if len(recs) == 0 {
		e.t.Fatalf("nothing in %s: %v", topic, context.Cause(ctx))
	}
	return recs[0].Value
}
