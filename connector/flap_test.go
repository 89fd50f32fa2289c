package connector

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/consume"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk/dptest"
)

const flaps = 100

// calm checks that nothing is left of stops that came and went.
func (r *running) calm(topic string, num int32) {
	r.e.t.Helper()
	eventually(r.e.t, 10*time.Second, func() error {
		p := r.b.table.Lookup(part.ID{Topic: topic, Num: num})
		if n := p.Gate().Condition().Entries(); len(n) != 0 || p.Gate().Stranded() != 0 || p.Checkpoint().Unfinal() != 0 {
			return fmt.Errorf("left behind: %+v, %d stranded, %d not final", n, p.Gate().Stranded(), p.Checkpoint().Unfinal())
		}
		return nil
	})
}

// Each record is of one stream more than there may be, until the one before it is idle.
func TestStreamsThatAreTooManyAndIdleInTurnSkipNothing(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	e.routes = "  - {topics: [orders], group: g, stream: '{key}'}\n"
	c := e.config("ack")
	c.InLong.MaxStreams = 1
	e.tune = func(b *Bridge) { b.lookAgain = 10 * time.Millisecond }
	r := e.start(c)
	e.produceByKey(flaps, func(i int) string { return fmt.Sprint("k", i) })
	for i := range flaps - 1 {
		e.waitCommitted("orders", 0, int64(i+1))
		r.part("orders", 0, func(p PartitionStatus) bool { return p.Stall == string(reason.TooManyStreams) })
		eventually(t, 10*time.Second, func() error {
			r.b.routes.Pass(consume.IdleTicks)
			inUse := make(map[int32]bool)
			for _, p := range r.b.table.Assigned() {
				p.RoutesInUse(inUse)
			}
			if len(r.b.routes.ForgetIdle(consume.IdleTicks, inUse, r.b.sender.ForgetStream)) != 1 {
				return fmt.Errorf("stream %d is not idle yet", i)
			}
			return nil
		})
	}
	e.waitCommitted("orders", 0, flaps)
	if l := r.b.table.Lookup(part.ID{Topic: "orders", Num: 0}).Checkpoint().Ledger(); l.Final != flaps || l.Gap+l.Skipped != 0 {
		t.Errorf("ledger = %+v, want each of %d records final", l, flaps)
	}
	r.calm("orders", 0)
}

// The Manager's limit for frames falls below the next record and grows again.
func TestLimitOfFramesThatComesAndGoesSkipsNothing(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	m := dptest.StartManager(t)
	m.SetNodes(e.proxies[0].Addr(), e.proxies[1].Addr())
	c := e.managed(m, "ack")
	c.Kafka.CommitInterval, c.InLong.Refresh = 20*time.Millisecond, 10*time.Millisecond
	e.tune = func(b *Bridge) { b.lookAgain = 10 * time.Millisecond }
	r := e.start(c)
	limit := func(n int) {
		m.SetMaxPacketLength(n)
		eventually(t, 20*time.Second, func() error {
			all := r.b.routes.All()
			if len(all) == 0 { // the partition is not assigned yet, and the first limit would not be waited for
				return errors.New("the bridge has no stream yet")
			}
			for _, x := range all {
				if got := x.Stream.MaxRecord(); (got > 60<<10) != (n > 60<<10) {
					return fmt.Errorf("records may have %d bytes with a limit of %d", got, n)
				}
			}
			return nil
		})
	}
	for i := range flaps {
		limit(32 << 10)
		large := append(fmt.Appendf(nil, "%d ", i), noise(60<<10)...)
		if err := e.cl.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: large}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		e.produce("orders", 0, i, 1, 0)
		r.part("orders", 0, func(p PartitionStatus) bool { return p.Stall == string(reason.TooLarge) })
		limit(128 << 10)
		e.waitCommitted("orders", 0, int64(2*(i+1)))
	}
	if l := r.b.table.Lookup(part.ID{Topic: "orders", Num: 0}).Checkpoint().Ledger(); l.Final != 2*flaps || l.Gap+l.Skipped != 0 {
		t.Errorf("ledger = %+v, want each of %d records final", l, 2*flaps)
	}
	eventually(t, 10*time.Second, func() error { // an ack comes before the queue has the record
		if m := missing(e.arrived(), "orders", 0, flaps); len(m) > 0 {
			return fmt.Errorf("%d of %d records missing, the first is %d", len(m), flaps, m[0])
		}
		return nil
	})
	r.calm("orders", 0)
}

// A stream is known to the proxies, and not, and known again.
func TestStreamThatIsKnownNowAndThenSkipsNothing(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	r := e.start(e.config("settle"))
	made := 0
	for range flaps {
		e.everyProxy(func(p *dptest.Proxy) { p.DenyStream("g", "s", true) })
		e.produce("orders", 0, made, 5, 0)
		made += 5
		eventually(t, 10*time.Second, func() error {
			if st := r.b.Status().Sender.Streams; len(st) == 0 || st[0].StallCode != "unknown_stream" {
				return fmt.Errorf("streams = %+v, want the stream unknown", st)
			}
			return nil
		})
		e.everyProxy(func(p *dptest.Proxy) { p.DenyStream("g", "s", false) })
		eventually(t, 10*time.Second, func() error {
			if st := r.b.Status().Sender.Streams; st[0].Stall != "" {
				return fmt.Errorf("streams = %+v, want the stream known", st)
			}
			return nil
		})
	}
	e.waitCommitted("orders", 0, int64(made))
	e.expectAll(made)
	r.calm("orders", 0)
}
