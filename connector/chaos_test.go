package connector

import (
	"math/rand/v2"
	"testing"
	"time"

	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/dptest/seeds"
)

// Random faults, seeded: proxies die and come back, connections are reset, bridges join, leave, crash, and
// rebalance, cooperatively or eagerly. In the end nothing is missing and everything is committed.
func TestRandomFaultsLoseNothing(t *testing.T) {
	seeds.Run(t, 2, 1, func(t *testing.T, seed uint64) {
		t.Parallel()
		rng := rand.New(rand.NewPCG(seed, 1))
		e := newEnv(t, withPartitions(4), withProxies(3), withProxy(dptest.WithQueueDelay(150*time.Millisecond)))
		mk := func() *running {
			c := e.config("queue")
			if seed%2 == 1 {
				c.Kafka.Balancer = "range"
			}
			c.Delivery.RevokeWait = 100 * time.Millisecond
			return e.start(c)
		}
		bridges := []*running{mk()}
		n := 0
		dead := map[int]bool{}
		for range 14 {
			for p := range int32(4) {
				e.produce("orders", p, n, 100, 100)
			}
			n += 100
			switch rng.IntN(7) {
			case 0, 1:
				e.flip(dead, rng.IntN(3))
			case 2:
				if len(bridges) < 3 {
					bridges = append(bridges, mk())
				}
			case 3:
				if len(bridges) > 1 {
					b := bridges[0]
					bridges = bridges[1:]
					b.crash()
				}
			case 4:
				if len(bridges) > 1 {
					b := bridges[0]
					bridges = bridges[1:]
					if err := b.drain(); err != nil {
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
		for p := range int32(4) {
			e.waitCommitted("orders", p, int64(n))
		}
		got := e.expectAll(n, n, n, n)
		t.Logf("seed %d: %d records, %d duplicates", seed, len(got), duplicates(got))
	})
}
