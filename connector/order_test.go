package connector

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/kafkahandler"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/dptest/seeds"
)

// inOrder is a world whose records go to a stream with a topic of one partition, so that they can be read in order.
func inOrder(t *testing.T, opts ...envOption) *env {
	t.Helper()
	e := newEnv(t, opts...)
	e.routes = "  - {topics: [orders], group: g, stream: one}\n"
	e.createTopics("q.g.one")
	return e
}

// produceInOrder appends n records to a partition that say in which lane they have which place: of the partition, or of one of five
// keys.
func (e *env) produceInOrder(partition int32, from, n int, byKey bool) {
	e.t.Helper()
	recs := make([]*kgo.Record, n)
	for i := range recs {
		r := &kgo.Record{Topic: "orders", Partition: partition, Timestamp: time.Unix(1_700_000_000+int64(from+i), 0)}
		lane := fmt.Sprint("partition-", partition)
		if byKey {
			lane = fmt.Sprintf("key-%d-%d", partition, (from+i)*7%5)
			r.Key = []byte(lane)
		}
		r.Value = fmt.Appendf(nil, "%s %d %s", lane, from+i, strings.Repeat(".", 50))
		recs[i] = r
	}
	if err := e.cl.ProduceSync(e.t.Context(), recs...).FirstErr(); err != nil {
		e.t.Fatal(err)
	}
}

// wantInOrder reads the queue and looks at the first copy of each record.
func (e *env) wantInOrder(want int) (copies int) {
	e.t.Helper()
	newest, first := make(map[string]int), make(map[string]bool)
	err := kafkahandler.ReadAll(e.t.Context(), []kgo.Opt{kgo.SeedBrokers(e.kafka.ListenAddrs()...)}, []string{"q.g.one"}, func(p kafkahandler.Pack) error {
		for _, r := range p.Records {
			var lane string
			var n int
			if _, err := fmt.Sscanf(string(r), "%s %d", &lane, &n); err != nil {
				return err
			}
			copies++
			if at := fmt.Sprint(lane, " ", n); !first[at] {
				first[at] = true
				if last, some := newest[lane]; some && n < last {
					return fmt.Errorf("the first copy of record %d of %s arrives behind record %d", n, lane, last)
				}
				newest[lane] = n
			}
		}
		return p.Err
	})
	if err != nil {
		e.t.Fatal(err)
	}
	if len(first) != want {
		e.t.Errorf("%d of %d records arrived", len(first), want)
	}
	return copies
}

// Proxies die and come back, connections are reset, bridges join, leave and crash. Whatever comes twice: without repeats the records
// of a partition, or of a key, are in order.
func TestOrderHoldsUnderRandomFaults(t *testing.T) {
	for _, order := range []string{"partition", "key"} {
		t.Run(order, func(t *testing.T) {
			seeds.Run(t, 1, 1, func(t *testing.T, seed uint64) { playInOrder(t, order, seed) })
		})
	}
}

func playInOrder(t *testing.T, order string, seed uint64) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(seed, 5))
	e := inOrder(t, withPartitions(3), withProxies(3), withProxy(dptest.WithQueueDelay(80*time.Millisecond)))
	mk := func() *running {
		c := e.config("queue")
		c.Delivery.Order, c.Delivery.RevokeWait = order, 100*time.Millisecond
		return e.start(c)
	}
	bridges, dead, n := []*running{mk()}, map[int]bool{}, 0
	for range 12 {
		for p := range int32(3) {
			e.produceInOrder(p, n, 60, order == "key")
		}
		n += 60
		switch rng.IntN(7) {
		case 0, 1, 2:
			e.flip(dead, rng.IntN(3))
		case 3:
			if len(bridges) < 2 {
				bridges = append(bridges, mk())
			}
		case 4:
			if len(bridges) > 1 {
				b := bridges[0]
				if bridges = bridges[1:]; rng.IntN(2) == 0 {
					b.crash()
				} else if err := b.drain(); err != nil {
					t.Log(err) // a proxy that is dead may hold what is not final
				}
			}
		case 5:
			bridges[0].b.consumer.Group.ForceRebalance()
		case 6:
			e.proxies[rng.IntN(3)].ResetConnections()
		}
		<-time.After(time.Duration(rng.IntN(250)) * time.Millisecond) // faults come at any moment
	}
	for i := range dead {
		if err := e.proxies[i].Restart(); err != nil {
			t.Fatal(err)
		}
	}
	for p := range int32(3) {
		e.waitCommitted("orders", p, int64(n))
	}
	t.Logf("%s, seed %d: %d records, %d copies", order, seed, 3*n, e.wantInOrder(3*n))
}

// The stream of one partition gets nothing through; the other partition moves all of its records meanwhile.
func TestOrderedPartitionThatStandsStillHoldsNobodyUp(t *testing.T) {
	e := inOrder(t)
	e.routes = "  - {topics: [orders], group: g, stream: '{key}'}\n"
	e.createTopics("q.g.stuck")
	e.everyProxy(func(p *dptest.Proxy) { p.DenyStream("g", "stuck", true) })
	c := e.config("queue")
	c.Delivery.Order = "partition"
	r := e.start(c)
	const n = 600
	send := func(partition int32, key string) {
		recs := make([]*kgo.Record, n)
		for i := range recs {
			recs[i] = &kgo.Record{Topic: "orders", Partition: partition, Key: []byte(key), Value: fmt.Appendf(nil, "partition-%d %d %0100d", partition, i, i), Timestamp: time.Unix(1_700_000_000, 0)}
		}
		if err := e.cl.ProduceSync(t.Context(), recs...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	send(0, "stuck")
	send(1, "one")
	e.waitCommitted("orders", 1, n)
	e.wantInOrder(n)
	r.part("orders", 0, func(p PartitionStatus) bool { return p.Condition.Has(reason.Order) })
	e.everyProxy(func(p *dptest.Proxy) { p.DenyStream("g", "stuck", false) })
	e.waitCommitted("orders", 0, n)
}

// A migration moves everything up to its end with an order too, and no faster than pack by pack.
func TestMigrationKeepsOrder(t *testing.T) {
	for _, order := range []string{"partition", "key"} {
		t.Run(order, func(t *testing.T) {
			t.Parallel()
			e := inOrder(t)
			for p := range int32(2) {
				e.produceInOrder(p, 0, 300, order == "key")
			}
			c := e.config("queue")
			c.Delivery.Order = order
			if v := e.migrateWith(c); v.Result != Pass || v.Sums.Final != 600 {
				t.Errorf("Migrate = %s, %+v; want PASS with 600", v.String(), v.Partitions)
			}
			if copies := e.wantInOrder(600); copies != 600 {
				t.Errorf("%d copies of 600 records, and nothing went wrong", copies)
			}
		})
	}
}

// One record of a partition is poison: it is found in halves, all before it arrives, and nothing behind it goes.
func TestNothingGoesBehindPoisonInOrder(t *testing.T) {
	const bad = 130
	e := inOrder(t, withPartitions(1), withProxy(dptest.WithAnswer(func(a dptest.Asked) int {
		for _, r := range a.Payloads() {
			if strings.Contains(string(r), fmt.Sprintf(" %d ", bad)) {
				return dptest.CloseConnection
			}
		}
		return 0
	})))
	c := e.config("queue")
	c.Delivery.Order = "partition"
	r := e.start(c)
	e.produceInOrder(0, 0, 200, false)
	stop := r.part("orders", 0, func(p PartitionStatus) bool { return p.Stopped }).Condition.Stop()
	if stop.Code != reason.Poison || !strings.Contains(stop.Own.Text(), fmt.Sprint(bad)) {
		t.Errorf("stopped by %s: %s; want the poison at offset %d", stop.Code, stop.Own.Text(), bad)
	}
	e.wantInOrder(bad)
}
