package dptest_test

import (
	"errors"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/frame"
)

func TestFrozenProxyTakesConnectionsAndAnswersWhenThawed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(dptest.Network)
		p := dptest.Start(t, dptest.WithNetwork(n), dptest.WithQueueDelay(10*time.Millisecond))
		p.Freeze(true)
		c := dial(t, n, p)
		c.send(packs(t, 0, 2), frame.AppendHeartbeat(nil))
		c.silent(time.Minute)
		if s := p.Stats(); s.Packs != 0 {
			t.Errorf("a frozen proxy stored %d packs", s.Packs)
		}
		p.Freeze(false)
		c.acks(0, 2)
		if b, err := c.next(); err != nil || len(b) != 5 {
			t.Errorf("heartbeat is answered with %x, %v", b, err)
		}
		p.Freeze(true)
		time.Sleep(time.Minute)
		if got := p.MemoryQueue().Len(); got != 0 {
			t.Errorf("a frozen proxy moved %d packs", got)
		}
		if k, _ := p.Kill(); k != 2 {
			t.Errorf("killing a frozen proxy lost %d packs, want 2", k)
		}
		if err := p.Restart(); err != nil {
			t.Fatal(err)
		}
		c = dial(t, n, p)
		c.send(packs(t, 0, 2))
		c.acks(0, 2)
		p.MemoryQueue().WaitFor(t, 2)
	})
}

func TestZombieAnswersHeartbeatsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(dptest.Network)
		p := dptest.Start(t, dptest.WithNetwork(n), dptest.WithQueueDelay(time.Second))
		c := dial(t, n, p)
		p.AckDelay(100 * time.Millisecond)
		c.send(packs(t, 0, 1))
		synctest.Wait()
		p.Zombie(true)
		c.send(packs(t, 1, 3), frame.AppendHeartbeat(nil))
		if b, err := c.next(); err != nil || len(b) != 5 {
			t.Errorf("first answer of a zombie is %x, %v, want the heartbeat's", b, err)
		}
		late := dial(t, n, p)
		late.send(frame.AppendHeartbeat(nil))
		if b, err := late.next(); err != nil || len(b) != 5 {
			t.Errorf("a new connection gets %x, %v", b, err)
		}
		c.silent(time.Minute)
		s := p.Stats()
		if s.Packs != 1 || s.InMemory != 1 || p.MemoryQueue().Len() != 0 {
			t.Errorf("a zombie has %+v and %d in the queue", s, p.MemoryQueue().Len())
		}
		if k, _ := p.Kill(); k != 1 {
			t.Errorf("killing the zombie lost %d packs, want 1", k)
		}
	})
}

func TestDroppedStreamIsAckedAndNeverArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(dptest.Network)
		p := dptest.Start(t, dptest.WithNetwork(n), dptest.WithQueueDelay(0))
		p.DropStream("g1", "s1", true)
		c := dial(t, n, p)
		c.send(packs(t, 0, 2), pack(t, 2, "groupId=g1&streamId=s2&mid=i.2"))
		c.acks(0, 3)
		p.DropStream("g1", "s1", false)
		c.send(packs(t, 3, 4))
		c.acks(3, 4)
		p.MemoryQueue().WaitFor(t, 2)
		time.Sleep(time.Minute)
		if m := mids(t, p.MemoryQueue()); len(m) != 2 || m["i.2"] != 1 || m["i.3"] != 1 {
			t.Errorf("the queue has %v", m)
		}
		if s := p.Stats(); s.Dropped != 2 || s.Packs != 4 {
			t.Errorf("stats are %+v", s)
		}
	})
}

func TestMemoryOfFullSizeAnswers114UntilTheQueueDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(dptest.Network)
		p := dptest.Start(t, dptest.WithNetwork(n), dptest.WithMemory(3), dptest.WithQueueDelay(0))
		p.StallQueue(true)
		c := dial(t, n, p)
		c.send(packs(t, 0, 4))
		c.acks(0, 3)
		if a := c.ack(); a.Code != 114 || a.Uniq != 3 {
			t.Errorf("the fourth pack is answered with %+v", a)
		}
		p.StallQueue(false)
		p.WaitQueued(t, 3)
		c.send(packs(t, 4, 5))
		c.acks(4, 5)
	})
}

func TestAStalledClusterKeepsItsOwnPacksOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(dptest.Network)
		q := dptest.NewMemoryQueue(2, 2)
		p := dptest.Start(t, dptest.WithNetwork(n), dptest.WithQueue(q), dptest.WithQueueDelay(0))
		q.Stall(0)
		c := dial(t, n, p)
		for u := range uint32(10) {
			c.send(packs(t, u, u+1))
			c.acks(u, u+1)
		}
		time.Sleep(time.Minute)
		if a, b, m := q.End(0, 0)+q.End(0, 1), q.End(1, 0)+q.End(1, 1), p.Stats().InMemory; a != 0 || b != 5 || m != 5 {
			t.Errorf("stalled cluster has %d, the other %d, memory %d; want 0, 5, 5", a, b, m)
		}
		q.Resume(0)
		p.WaitQueued(t, 10)
		for cl := range 2 {
			for part := range 2 {
				if end := q.End(cl, part); end < 2 {
					t.Errorf("cluster %d partition %d has %d messages", cl, part, end)
				}
			}
		}
	})
}

func TestAckDelayDoesNotSerialisePipelinedFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(dptest.Network)
		p := dptest.Start(t, dptest.WithNetwork(n))
		p.AckDelay(200 * time.Millisecond)
		c := dial(t, n, p)
		start := time.Now()
		c.send(packs(t, 0, 50))
		time.Sleep(100 * time.Millisecond)
		c.send(packs(t, 50, 51))
		c.acks(0, 50)
		if d := time.Since(start); d != 200*time.Millisecond {
			t.Errorf("50 pipelined acks took %v", d)
		}
		c.acks(50, 51)
		if d := time.Since(start); d != 300*time.Millisecond {
			t.Errorf("the ack of a frame sent 100 ms later came at %v", d)
		}
	})
}

func TestScriptedAckFaults(t *testing.T) {
	run := func(name string, f func(t *testing.T, p *dptest.Proxy, c *client)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := new(dptest.Network)
				p := dptest.Start(t, dptest.WithNetwork(n), dptest.WithQueueDelay(0))
				f(t, p, dial(t, n, p))
			})
		})
	}
	run("swallowed acks are stored", func(t *testing.T, p *dptest.Proxy, c *client) {
		p.SwallowAck(2)
		c.send(packs(t, 0, 4))
		c.acks(2, 4)
		c.silent(time.Minute)
		if got := p.MemoryQueue().Len(); got != 4 {
			t.Errorf("%d packs in the queue, want 4", got)
		}
	})
	run("close in the middle of an ack", func(t *testing.T, p *dptest.Proxy, c *client) {
		p.CloseMidAck(1)
		c.send(packs(t, 0, 2))
		if b, err := c.next(); err == nil {
			t.Errorf("got the whole ack %x", b)
		}
		p.WaitFor(t, func(s dptest.Stats) bool { return s.Packs == 1 && s.Connections == 0 })
		if s := p.Stats(); s.Poisoned != 0 || s.Acked != 0 {
			t.Errorf("stats are %+v", s)
		}
	})
	run("every ack twice", func(t *testing.T, p *dptest.Proxy, c *client) {
		p.DuplicateAcks(1)
		c.send(packs(t, 7, 8))
		c.acks(7, 8)
		c.acks(7, 8)
	})
	run("uniq of nobody", func(t *testing.T, p *dptest.Proxy, c *client) {
		p.WrongUniq(1)
		c.send(packs(t, 7, 8))
		if a := c.ack(); a.Uniq != 7|1<<31 {
			t.Errorf("uniq is %x", a.Uniq)
		}
	})
	run("acks out of order", func(t *testing.T, p *dptest.Proxy, c *client) {
		p.AcksOutOfOrder(1)
		c.send(packs(t, 0, 4))
		var order []uint32
		for range 4 {
			order = append(order, c.ack().Uniq)
		}
		if slices.IsSorted(order) {
			t.Errorf("acks came in order: %v", order)
		}
		slices.Sort(order)
		if !slices.Equal(order, []uint32{0, 1, 2, 3}) {
			t.Errorf("acks are of %v", order)
		}
	})
	run("an ack nothing overtakes still comes", func(t *testing.T, p *dptest.Proxy, c *client) {
		p.AcksOutOfOrder(1)
		c.send(packs(t, 0, 1))
		c.acks(0, 1)
	})
	run("a share of codes is seeded", func(t *testing.T, p *dptest.Proxy, c *client) {
		p.Code(114, 0.25)
		p.Code(1, 0.1)
		c.send(packs(t, 0, 400))
		codes := map[int]int{}
		for range 400 {
			codes[c.ack().Code]++
		}
		if codes[114] < 70 || codes[114] > 130 || codes[1] < 10 || codes[1] > 60 {
			t.Errorf("codes are %v", codes)
		}
		p.Code(114, 0)
		p.Code(1, 0)
		c.send(packs(t, 0, 100))
		c.acks(0, 100)
	})
}

func TestResetConnectionsKeepsMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(dptest.Network)
		p := dptest.Start(t, dptest.WithNetwork(n))
		c := dial(t, n, p)
		c.send(packs(t, 0, 3))
		c.acks(0, 3)
		p.ResetConnections()
		if _, err := c.next(); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the connection ends with %v, want a reset", err)
		}
		p.WaitQueued(t, 3)
		c = dial(t, n, p)
		c.send(packs(t, 3, 4))
		c.acks(3, 4)
		p.CloseConnections()
		c.ended()
	})
}

func TestIdleConnectionsAreClosedAndHeartbeatsKeepThemOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(dptest.Network)
		p := dptest.Start(t, dptest.WithNetwork(n))
		c := dial(t, n, p)
		for range 10 {
			time.Sleep(179 * time.Second)
			c.send(frame.AppendHeartbeat(nil))
			if _, err := c.next(); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		c.ended()
		if d := time.Since(start); d != 180*time.Second {
			t.Errorf("closed after %v", d)
		}
	})
}

func TestAClientThatDoesNotReadItsAcksLosesTheConnectionNotItsPacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &dptest.Network{Buffer: 4096}
		p := dptest.Start(t, dptest.WithNetwork(n), dptest.WithQueueDelay(0))
		c := dial(t, n, p)
		sent := 0
		for range 10000 {
			if _, err := c.Write(packs(t, 0, 1)); err != nil {
				break
			}
			sent++
		}
		if sent == 10000 {
			t.Fatal("the connection was never closed")
		}
		p.WaitFor(t, func(s dptest.Stats) bool { return s.Connections == 0 && s.InMemory == 0 })
		if s := p.Stats(); s.Packs == 0 || s.Packs < s.Acked || s.Packs != uint64(p.MemoryQueue().Len()) {
			t.Errorf("stats are %+v, %d in the queue", s, p.MemoryQueue().Len())
		}
	})
}

func TestBadRecordIsRefusedOrClosesTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(dptest.Network)
		p := dptest.Start(t, dptest.WithNetwork(n), dptest.WithQueueDelay(0))
		c := dial(t, n, p)
		first := packs(t, 0, 1)
		p.BadRecord("ello", 102)
		c.send(first)
		c.acks(0, 1)
		p.BadRecord("hel", 102)
		c.send(first)
		if a := c.ack(); a.Code != 102 {
			t.Errorf("a pack with a bad record is answered with %+v, want 102", a)
		}
		p.BadRecord("hel", 0)
		c.send(first)
		c.acks(0, 1)
		p.BadRecord("hel", dptest.CloseConnection)
		c.send(first)
		if b, err := c.next(); err == nil {
			t.Errorf("a pack at which the connection is to close is answered with %x", b)
		}
	})
}
