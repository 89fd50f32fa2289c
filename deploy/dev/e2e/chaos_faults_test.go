//go:build chaos

package e2e

import (
	"context"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// chaosFault is a row of the table: what is done, when records should flow again, and what may come twice.
type chaosFault struct {
	name                       string
	proxies, clusters, brokers int
	bridges                    int // at least
	manager                    bool
	clock                      bool // processes whose clocks can be set
	disk                       bool // bridges whose caches are on small disks of their own, with a Manager
	notSettle                  bool // the mode cannot stand it, and says so with a stall
	settleLoses                bool // one of the three that settle cannot cover
	shortSettle                bool // part of the short form in settle

	goOn      time.Duration        // how long the load does after the end of the fault, at least 10 s
	back      time.Duration        // at 90 % of the rate, after the end of the fault, with shipped durations
	strike    func(c *chaosCell)   // the fault, from its beginning to its end
	after     func(c *chaosCell)   // once records flow again
	bound     func(*chaosCell) int // duplicates that what was seen meanwhile excuses
	twice     string               // the same in words, for the table
	twiceThen string               // the same in settle, where it differs
}

const (
	inFlightAtEnd = "in flight when a connection ended"
	settleAtEnd   = "in flight or not settled when a connection ended"
	notFinal      = "what was not final"
	noDuplicates  = "0"
)

// ended is what was on connections that ended, as seen from outside: a look every 40 ms may miss what went
// since.
func ended(c *chaosCell) int {
	c.watch.mu.Lock()
	defer c.watch.mu.Unlock()
	slack := float64(c.watch.endings*c.rate) * c.scale(400*time.Millisecond).Seconds() / float64(len(c.proxies))
	return c.watch.ended + int(slack)
}

// chaosFaults are all rows, in the order of the table.
func chaosFaults() []*chaosFault {
	session := 45 * time.Second
	down := 2 * time.Second // a process that was killed stays down this long
	unseenOf := func(c *chaosCell, s snapshot, ps ...*chaosProxy) (n int) {
		for _, p := range ps {
			n += s.unseen[p.addr]
		}
		return n + c.since(s)
	}
	// stopProxies ends the first n proxies and starts them again.
	stopProxies := func(n int, end func(*chaosProxy)) func(*chaosCell) {
		return func(c *chaosCell) {
			for _, p := range c.proxies[:n] {
				end(p)
			}
			c.over = time.Now()
			c.b.pause(c.scale(down))
			for _, p := range c.proxies[:n] {
				p.wait(drainLimit)
				p.restart()
			}
		}
	}
	kill := func(p *chaosProxy) { p.kill() }
	term := func(p *chaosProxy) { p.signal(syscall.SIGTERM) }
	// during switches a fault of the first proxy for a while.
	during := func(d time.Duration, kind string, more ...string) func(*chaosCell) {
		return func(c *chaosCell) {
			c.turn(c.proxies[0], kind, true, more...)
			c.b.pause(c.scale(d))
			c.turn(c.proxies[0], kind, false, more...)
		}
	}
	inFlight := func(c *chaosCell) int {
		c.watch.mu.Lock()
		defer c.watch.mu.Unlock()
		return c.watch.inFlight
	}
	replace := func(c *chaosCell) { // nobody leaves a zombie where it is
		c.proxies[0].kill()
		c.proxies[0].restart()
	}
	return []*chaosFault{
		{name: "kill -9 bridge", proxies: 2, shortSettle: true, back: session, twice: notFinal, strike: func(c *chaosCell) {
			c.bridges[0].kill()
			c.over = time.Now()
			c.allowed += c.notCommitted()
			c.bridges[0].begin()
		}},
		{name: "SIGTERM bridge", proxies: 2, shortSettle: true, back: 0, twice: noDuplicates, strike: func(c *chaosCell) {
			c.bridges[0].signal(syscall.SIGTERM)
			if code := c.bridges[0].wait(drainLimit); code != 0 {
				c.b.Errorf("exit %d after SIGTERM, want 0; the log ends with\n%s", code, c.bridges[0].tail())
			}
			c.watch.most()
			c.bridges[0].begin()
			c.over = time.Now()
			if c.spec.bridges > 1 { // it takes partitions from the others when it comes back
				c.b.eventually(drainLimit, c.assigned)
				c.allowed += c.watch.most()
			}
		}},
		{name: "kill -9 proxy", proxies: 2, shortSettle: true, back: 10 * time.Second, strike: stopProxies(1, kill), bound: ended, twice: inFlightAtEnd, twiceThen: settleAtEnd},
		{name: "SIGTERM proxy", proxies: 2, shortSettle: true, back: 10 * time.Second, strike: stopProxies(1, term), bound: ended, twice: inFlightAtEnd, twiceThen: settleAtEnd},
		{name: "kill -9 two proxies", proxies: 3, shortSettle: true, back: 10 * time.Second, strike: stopProxies(2, kill), bound: ended, twice: inFlightAtEnd, twiceThen: settleAtEnd},
		{name: "kill -9 bridge and proxy", proxies: 2, shortSettle: true, back: session, twice: notFinal, strike: func(c *chaosCell) {
			c.bridges[0].kill()
			c.proxies[0].kill()
			c.over = time.Now()
			c.allowed += c.notCommitted()
			c.bridges[0].begin()
			c.b.pause(c.scale(down))
			c.proxies[0].restart()
		}, bound: func(c *chaosCell) int {
			if c.spec.bridges > 1 { // the others had connections to that proxy
				return ended(c)
			}
			return 0
		}},
		{name: "proxy stalls 30 s", proxies: 2, back: 10 * time.Second, bound: ended, twice: inFlightAtEnd, twiceThen: settleAtEnd, strike: func(c *chaosCell) {
			c.proxies[0].signal(syscall.SIGSTOP)
			c.b.pause(c.scale(30 * time.Second))
			c.proxies[0].signal(syscall.SIGCONT)
		}},
		// Until the proxy has been tried again: in settle what it had acked waits for a pack that it takes in time, and is sent
		// again when there is none.
		{name: "answers 114 for 30 s", proxies: 2, goOn: 45 * time.Second, back: 10 * time.Second, bound: inFlight, twice: "in flight", strike: during(30*time.Second, "code", "code", "114")},
		{name: "1 % error codes for 30 s", proxies: 2, back: 10 * time.Second, bound: inFlight, twice: "in flight", strike: during(30*time.Second, "code", "code", "4", "share", "0.01")},
		{name: "connections reset every 200 ms for 30 s", proxies: 2, notSettle: true, back: 20 * time.Second, twice: inFlightAtEnd, strike: func(c *chaosCell) {
			every := max(c.scale(200*time.Millisecond), 20*time.Millisecond)
			for end := time.Now().Add(c.scale(30 * time.Second)); time.Now().Before(end); c.b.pause(every) {
				for _, p := range c.proxies {
					s := c.look()
					c.turn(p, "reset", true)
					c.allowed += s.inFlight[p.addr] + int(float64(c.rate)*time.Since(s.at).Seconds())
				}
			}
		}},
		{name: "zombie", proxies: 2, settleLoses: true, shortSettle: true, back: 70 * time.Second, twice: "its unseen packs", twiceThen: settleAtEnd, strike: func(c *chaosCell) {
			s := c.look()
			c.turn(c.proxies[0], "zombie", true)
			c.over = time.Now()
			c.allowed += unseenOf(c, s, c.proxies[0])
			c.b.pause(c.scale(80 * time.Second)) // patience, and what comes of it
		}, after: replace, bound: ended},
		{name: "packs dropped behind their acks", proxies: 2, settleLoses: true, back: 70 * time.Second, twice: "its unseen packs", twiceThen: settleAtEnd, strike: func(c *chaosCell) {
			c.turn(c.proxies[0], "drop-stream", true, "group", streamGroup, "stream", c.topics[0])
			c.b.pause(c.scale(10 * time.Second))
			s := c.look()
			c.turn(c.proxies[0], "drop-stream", false, "group", streamGroup, "stream", c.topics[0])
			c.over = time.Now()
			c.allowed += unseenOf(c, s, c.proxies[0])
		}},
		{name: "queue stalled 20 s", proxies: 2, shortSettle: true, back: 10 * time.Second, twice: noDuplicates, strike: func(c *chaosCell) {
			c.gates[0].silence(true)
			c.b.pause(c.scale(20 * time.Second))
			c.gates[0].silence(false)
		}},
		{name: "queue stalled 20 s, proxy killed inside", proxies: 2, settleLoses: true, shortSettle: true, back: 10 * time.Second, twice: "unseen at the kill", twiceThen: settleAtEnd, strike: func(c *chaosCell) {
			c.gates[0].silence(true)
			c.b.pause(c.scale(15 * time.Second))
			s := c.look()
			c.proxies[0].kill()
			c.allowed += unseenOf(c, s, c.proxies[0])
			c.b.pause(c.scale(5 * time.Second))
			c.gates[0].silence(false)
			c.over = time.Now()
			c.proxies[0].restart()
		}},
		{name: "one of two clusters gone for 60 s", proxies: 2, clusters: 2, shortSettle: true, back: 10 * time.Second, twice: noDuplicates, strike: func(c *chaosCell) {
			c.leaves(1)
			c.b.pause(c.scale(60 * time.Second))
			c.gates[1].leave(false)
		}},
		{name: "broker killed", proxies: 2, brokers: 3, back: 10 * time.Second, twice: "what was not final of moved partitions", strike: func(c *chaosCell) {
			for _, step := range []func(){c.killBroker, c.restoreBroker} { // partitions move each time
				s := c.look()
				step()
				c.allowed += s.uncommitted + c.since(s)
				c.b.pause(c.scale(10 * time.Second))
			}
		}},
		{name: "leader moved", proxies: 2, brokers: 3, back: 10 * time.Second, twice: "what was not final of moved partitions", strike: func(c *chaosCell) {
			s := c.look()
			c.sourceKafka.ShufflePartitionLeaders()
			c.sourceKafka.RehashCoordinators()
			c.allowed += s.uncommitted + c.since(s)
		}},
		{name: "rebalance every 5 s", proxies: 2, bridges: 2, shortSettle: true, back: 10 * time.Second, twice: "what was not final of moved partitions", strike: func(c *chaosCell) {
			every := max(c.scale(5*time.Second), 2*time.Second) // a rebalance takes its time, however short the rest is
			for range 3 {
				c.watch.most()
				leave := c.visit()
				c.b.pause(every / 2)
				c.allowed += c.watch.most()
				leave()
				c.b.pause(every / 2)
			}
		}},
		{name: "clock jumps +-1 h", proxies: 2, clock: true, shortSettle: true, back: 0, twice: noDuplicates, strike: func(c *chaosCell) {
			c.over = time.Now() // there should be no dip at all
			for _, d := range []time.Duration{time.Hour, -time.Hour, 0} {
				c.jumpClocks(d)
				c.b.pause(c.scale(20 * time.Second))
			}
		}},
		{name: "cache disk full", proxies: 3, manager: true, disk: true, back: 0, twice: noDuplicates, strike: func(c *chaosCell) {
			c.over = time.Now()
			c.fillCaches()
			c.b.pause(c.scale(20 * time.Second))
		}},
		{name: "Manager gone", proxies: 2, manager: true, back: 0, twice: noDuplicates, strike: func(c *chaosCell) {
			_ = c.manager.Close()
			c.over = time.Now() // there should be no dip at all
			c.b.pause(c.scale(30 * time.Second))
			c.startManager()
		}},
	}
}

// leaves has a cluster of the queue go away. A broker of Pulsar is killed, which may have stored what it has not answered for: the proxy writes
// that again, and the bridge has no part in it. The embedded Kafka knows what a proxy writes for the second time.
func (c *chaosCell) leaves(cluster int) {
	c.b.Helper()
	s := c.look()
	c.gates[cluster].leave(true)
	if len(c.pulsars) > 0 {
		c.allowed += s.uncommitted + c.since(s)
	}
}

// killBroker ends one broker of the source, with its connections; its partitions and groups move.
func (c *chaosCell) killBroker() {
	c.b.Helper()
	if err := c.sourceKafka.RemoveNode(0); err != nil {
		c.b.Fatal(err)
	}
	c.sourceGate.cut(0)
}

// restoreBroker starts it again, at another port.
func (c *chaosCell) restoreBroker() {
	c.b.Helper()
	if _, _, err := c.sourceKafka.AddNode(0, 0); err != nil {
		c.b.Fatal(err)
	}
}

// visit joins the group with a member that takes its share of the partitions and does nothing with it.
func (c *chaosCell) visit() (leave func()) {
	c.b.Helper()
	visitor, err := kgo.NewClient(append([]kgo.Opt{
		kgo.ConsumerGroup(c.group), kgo.ConsumeTopics(c.topics...), kgo.DisableAutoCommit(),
		kgo.Balancers(kgo.CooperativeStickyBalancer()), kgo.HeartbeatInterval(200 * time.Millisecond),
	}, c.source.opts...)...)
	if err != nil {
		c.b.Fatal(err)
	}
	ctx, stop := context.WithCancel(c.b.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			visitor.PollFetches(ctx)
		}
	}()
	return func() { stop(); <-done; visitor.Close() }
}
