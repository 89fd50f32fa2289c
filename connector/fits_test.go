package connector

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk/dptest"
)

// managed is a configuration whose proxies the Manager names.
func (e *env) managed(m *dptest.Manager, confirm string) *config.Config {
	e.t.Helper()
	brokers := strings.Join(e.kafka.ListenAddrs(), ", ")
	c, err := config.Parse("test.yaml", fmt.Appendf(nil, `kafka: {brokers: [%s], group: bridge}
inlong: {manager: {urls: ['%s']}}
routes: [{topics: [orders], group: g, stream: s}]
delivery: {confirm: %s}
queue: {kafka: [{brokers: [%s], topic: 'q.{group}.{stream}'}]}
admin: {listen: ''}
`, brokers, m.URL(), confirm, brokers), func(string) (string, bool) { return "", false })
	if err != nil {
		e.t.Fatal(err)
	}
	return c
}

// The Manager names a limit for frames. A record above it stops its partition, which goes on there once the limit is higher.
func TestRecordThatWasTooLargeIsSentOnceTheManagersLimitHasGrown(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	m := dptest.StartManager(t)
	m.SetNodes(e.proxies[0].Addr(), e.proxies[1].Addr())
	m.SetMaxPacketLength(32 << 10)
	c := e.managed(m, "queue")
	c.Kafka.CommitInterval = 50 * time.Millisecond
	c.InLong.Refresh = 100 * time.Millisecond
	e.tune = func(b *Bridge) { b.lookAgain = 50 * time.Millisecond }

	e.produce("orders", 0, 0, 10, 0)
	r := e.start(c)
	e.waitCommitted("orders", 0, 10)
	eventually(t, 10*time.Second, func() error { // before, the sender knows its own limit only
		if got := r.b.routes.All()[0].Stream.MaxRecord(); got > 60<<10 {
			return fmt.Errorf("records may have %d bytes", got)
		}
		return nil
	})
	if err := e.cl.ProduceSync(t.Context(), &kgo.Record{Topic: "orders", Value: noise(60 << 10)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	e.produce("orders", 0, 10, 10, 0)
	p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Stopped })
	if p.Stall != string(reason.TooLarge) {
		t.Fatalf("stopped as %s: %s", p.Stall, p.Reason)
	}
	time.Sleep(300 * time.Millisecond)
	if got := r.b.consumer.Counters.GoneOn.Snapshot(); len(got) != 0 {
		t.Errorf("went on %v with the same limit", got)
	}
	m.SetMaxPacketLength(128 << 10)
	e.waitCommitted("orders", 0, 21)
	got := e.expectAll(20)
	if got[string(noise(60<<10))] == 0 {
		t.Error("the large record did not arrive")
	}
}
