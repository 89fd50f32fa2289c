package dptest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/dptest/seeds"
	"inlong-bridge/sdk/frame"
)

func packs(t *testing.T, from, to uint32) []byte {
	t.Helper()
	var b []byte
	for u := from; u < to; u++ {
		b = append(b, pack(t, u, fmt.Sprintf("groupId=g1&streamId=s1&mid=i.%x&rtms=1", u))...)
	}
	return b
}

// acks reads n acks and fails unless they are of from, from+1, ...
func (c *client) acks(from, to uint32) {
	c.t.Helper()
	for u := from; u < to; u++ {
		if a := c.ack(); a.Uniq != u || a.Code != 0 {
			c.t.Fatalf("ack is of %d with code %d, want %d", a.Uniq, a.Code, u)
		}
	}
}

// mids returns what the queue holds, by the sequence in mid.
func mids(t *testing.T, q *dptest.MemoryQueue) map[string]int {
	t.Helper()
	seen := map[string]int{}
	for _, m := range q.All() {
		attr, err := frame.InLongMsgAttr(m.Value)
		if err != nil {
			t.Fatal(err)
		}
		mid, _ := frame.Attribute(attr, "mid")
		seen[string(mid)]++
	}
	return seen
}

func TestAckComesBeforeTheQueueAndTheRunnerNapsLikeFlume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(dptest.Network)
		start := time.Now()
		p := dptest.Start(t, dptest.WithNetwork(n))
		c := dial(t, n, p)
		arrivals := func(at time.Duration, uniq uint32) time.Duration {
			time.Sleep(at - time.Since(start))
			c.send(packs(t, uniq, uniq+1))
			c.acks(uniq, uniq+1)
			if got := time.Since(start); got != at {
				t.Errorf("pack %d was acked at %v, want %v", uniq, got, at)
			}
			p.MemoryQueue().WaitFor(t, int(uniq)+1)
			return time.Since(start)
		}
		// Naps end at 1, 3, 6, 10, 15, 20 s; a pack that is found starts again with 1 s.
		for i, row := range []struct{ sent, queued time.Duration }{
			{500 * time.Millisecond, time.Second},
			{1500 * time.Millisecond, 2 * time.Second},
			{11900 * time.Millisecond, 12 * time.Second}, // naps from 2 s on end at 3, 5, 8, 12
			{12100 * time.Millisecond, 13 * time.Second},
			{29 * time.Second, 33 * time.Second}, // 14, 16, 19, 23, 28, 33
		} {
			if got := arrivals(row.sent, uint32(i)); got.Round(time.Millisecond) != row.queued {
				t.Errorf("pack sent at %v is in the queue at %v, want %v", row.sent, got, row.queued)
			}
		}
	})
}

func TestQueueDelayCountsFromArrivalAndLetsPacksOvertake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(dptest.Network)
		delays := []time.Duration{300 * time.Millisecond, 100 * time.Millisecond}
		i := 0
		p := dptest.Start(t, dptest.WithNetwork(n), dptest.WithQueueDelayFunc(func() time.Duration { i++; return delays[i-1] }))
		c := dial(t, n, p)
		c.send(packs(t, 0, 2))
		c.acks(0, 2)
		start := time.Now()
		p.MemoryQueue().WaitFor(t, 1)
		if d := time.Since(start); d != 100*time.Millisecond {
			t.Errorf("the second pack took %v", d)
		}
		if m := mids(t, p.MemoryQueue()); m["i.1"] != 1 {
			t.Errorf("first in the queue is %v, want i.1", m)
		}
		p.MemoryQueue().WaitFor(t, 2)
		if d := time.Since(start); d != 300*time.Millisecond {
			t.Errorf("the first pack took %v", d)
		}
	})
}

func TestKillLosesExactlyWhatWasAckedAndNotQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(dptest.Network)
		p := dptest.Start(t, dptest.WithNetwork(n), dptest.WithQueueDelay(time.Second))
		c := dial(t, n, p)
		c.send(packs(t, 0, 10))
		c.acks(0, 10)
		time.Sleep(1500 * time.Millisecond)
		c.send(packs(t, 10, 17))
		c.acks(10, 17)

		lostPacks, lostRecords := p.Kill()
		if lostPacks != 7 || lostRecords != 7 {
			t.Errorf("Kill lost %d packs and %d records, want 7 and 7", lostPacks, lostRecords)
		}
		if _, err := c.next(); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the connection ends with %v, want a reset", err)
		}
		if _, err := n.DialContext(t.Context(), "tcp", p.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dialling a killed proxy: %v, want refused", err)
		}
		time.Sleep(time.Minute)
		if got := p.MemoryQueue().Len(); got != 10 {
			t.Errorf("%d packs in the queue a minute later, want 10", got)
		}
		if err := p.Restart(); err != nil {
			t.Fatal(err)
		}
		c = dial(t, n, p)
		c.send(packs(t, 10, 17))
		c.acks(10, 17)
		p.WaitQueued(t, 17)
		s := p.Stats()
		if s.Packs != 24 || s.Acked != 24 || s.LostPacks != 7 || s.Lost != 7 || s.InMemory != 0 {
			t.Errorf("stats are %+v", s)
		}
		if a, b := p.Kill(); a != 0 || b != 0 {
			t.Errorf("the second Kill lost %d, %d", a, b)
		}
		if a, b := p.Kill(); a != 0 || b != 0 {
			t.Errorf("killing a killed proxy lost %d, %d", a, b)
		}
	})
}

func TestKillsUnderLoadLeaveEveryPackQueuedOrCountedAsLost(t *testing.T) {
	lostInAll, queuedInAll := uint64(0), uint64(0)
	seeds.Run(t, 20, 10, func(t *testing.T, seed uint64) {
		synctest.Test(t, func(t *testing.T) {
			rnd, delays := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2))
			n := new(dptest.Network)
			q := dptest.NewMemoryQueue(2, 3)
			p := dptest.Start(t, dptest.WithNetwork(n), dptest.WithQueue(q), dptest.WithSeed(seed),
				dptest.WithQueueDelayFunc(func() time.Duration { return time.Duration(delays.IntN(50)) * time.Millisecond }))
			var lost uint64
			uniq := uint32(0)
			for range 5 {
				c := dial(t, n, p)
				var wg sync.WaitGroup
				wg.Go(func() {
					for range 40 {
						if _, err := c.Write(packs(t, uniq, uniq+5)); err != nil {
							return
						}
						uniq += 5
						time.Sleep(2 * time.Millisecond)
					}
				})
				wg.Go(func() {
					for {
						if _, err := c.next(); err != nil {
							return
						}
					}
				})
				time.Sleep(time.Duration(20+rnd.IntN(40)) * time.Millisecond)
				if rnd.IntN(2) == 0 {
					q.Stall(rnd.IntN(2))
				}
				time.Sleep(time.Duration(rnd.IntN(20)) * time.Millisecond)
				k, _ := p.Kill()
				lost += uint64(k)
				q.Resume(0)
				q.Resume(1)
				wg.Wait()
				if err := p.Restart(); err != nil {
					t.Fatal(err)
				}
			}
			s := p.Stats()
			if s.Packs != s.Queued+s.LostPacks || s.LostPacks != lost || s.Queued != uint64(q.Len()) || s.Acked > s.Packs {
				t.Errorf("%+v, %d in the queue, %d lost by count", s, q.Len(), lost)
			}
			lostInAll += s.LostPacks
			queuedInAll += s.Queued
			for mid, times := range mids(t, q) {
				if times != 1 {
					t.Errorf("%s is %d times in the queue", mid, times)
				}
			}
		})
	})
	if lostInAll == 0 || queuedInAll == 0 {
		t.Errorf("%d packs lost and %d queued in all: the schedules show nothing", lostInAll, queuedInAll)
	}
}

func TestTermAcksForAMomentFallsSilentAndLosesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(dptest.Network)
		p := dptest.Start(t, dptest.WithNetwork(n), dptest.WithQueueDelay(10*time.Millisecond))
		c := dial(t, n, p)
		start := time.Now()
		done := make(chan int)
		go func() { k, _ := p.Term(); done <- k }()
		synctest.Wait()
		c.send(packs(t, 0, 3))
		c.acks(0, 3)
		time.Sleep(200 * time.Millisecond)
		c.send(packs(t, 3, 5))
		c.silent(300 * time.Millisecond)
		if lost := <-done; lost != 3 {
			t.Errorf("Term lost %d packs, want 3", lost)
		}
		if d := time.Since(start); d != 600*time.Millisecond {
			t.Errorf("Term took %v", d)
		}
		if _, err := c.next(); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the connection ends with %v, want a reset", err)
		}
		if got := p.MemoryQueue().Len(); got != 0 {
			t.Errorf("%d packs in the queue, want none", got)
		}
	})
}

func TestFailingPutsAreTriedAgainAndPartlyStoredOnesNotTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(dptest.Network)
		mem := dptest.NewMemoryQueue(1, 1)
		calls := 0
		q := dptest.QueueFunc(func(ctx context.Context, m []dptest.QueueMessage) error {
			calls++
			if calls > 3 {
				return mem.Put(ctx, m)
			}
			half := len(m) / 2
			if err := mem.Put(ctx, m[:half]); err != nil {
				return err
			}
			stored := make([]bool, len(m))
			for i := range half {
				stored[i] = true
			}
			return &dptest.PutError{Stored: stored, Err: errors.New("broker went away")}
		})
		p := dptest.Start(t, dptest.WithNetwork(n), dptest.WithQueue(q), dptest.WithQueueDelay(time.Second))
		c := dial(t, n, p)
		c.send(packs(t, 0, 8))
		c.acks(0, 8)
		p.WaitQueued(t, 8)
		if m := mids(t, mem); len(m) != 8 || mem.Len() != 8 {
			t.Errorf("the queue has %v", m)
		}
		if s := p.Stats(); s.PutErrors != 3 {
			t.Errorf("stats are %+v", s)
		}
	})
}

func TestOnPackSeesEveryPackBeforeItsAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(dptest.Network)
		var seen []string
		p := dptest.Start(t, dptest.WithNetwork(n), dptest.WithOnPack(func(i dptest.PackInfo) {
			items, err := i.Pack.Items(1 << 20)
			seen = append(seen, fmt.Sprintf("%s.%s %d %s %v %s", i.Group, i.Stream, i.Records, items[0], err, strings.Split(i.From, ":")[0]))
		}))
		c := dial(t, n, p)
		c.send(packs(t, 0, 1))
		c.acks(0, 1)
		if !slices.Equal(seen, []string{"g1.s1 1 hello <nil> 127.0.0.1"}) {
			t.Errorf("seen %q", seen)
		}
	})
}

func TestProxyOverTCPKeepsItsPortAcrossKillAndRestart(t *testing.T) {
	p := dptest.Start(t, dptest.WithQueueDelay(time.Hour))
	addr := p.Addr()
	for round := range uint32(3) {
		c := dialTCP(t, addr)
		c.send(packs(t, 0, 100))
		c.acks(0, 100)
		if k, r := p.Kill(); k != 100 || r != 100 {
			t.Fatalf("round %d: Kill lost %d, %d", round, k, r)
		}
		c.ended()
		if err := p.Restart(); err != nil {
			t.Fatal(err)
		}
		if p.Addr() != addr {
			t.Fatalf("address is %s, was %s", p.Addr(), addr)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.Restart(); err == nil {
		t.Error("a closed proxy was restarted")
	}
}

func TestWrongOptionsAreNamedTogether(t *testing.T) {
	_, err := dptest.NewProxy(nil, dptest.WithMaxFrame(0), dptest.WithIdleTimeout(0), dptest.WithMemory(-1))
	if err == nil || strings.Count(err.Error(), "invalid option") != 3 {
		t.Errorf("error is %v", err)
	}
}

func TestKillAndCloseWaitForEveryGoroutine(t *testing.T) {
	running := func() string {
		buf := make([]byte, 1<<20)
		for line := range strings.Lines(string(buf[:runtime.Stack(buf, true)])) {
			if !strings.HasPrefix(line, "created by") && strings.Contains(line, "dptest.(*process)") || strings.Contains(line, "dptest.(*serverConn).serve(") {
				return line
			}
		}
		return ""
	}
	p := dptest.Start(t)
	for _, end := range []func(){func() { p.Kill() }, func() { p.Term() }, func() { _ = p.Close() }} {
		c := dialTCP(t, p.Addr())
		c.send(packs(t, 0, 10))
		c.acks(0, 10)
		if running() == "" {
			t.Fatal("no goroutine is seen while the proxy runs")
		}
		end()
		if line := running(); line != "" {
			t.Errorf("still running: %s", line)
		}
		_ = p.Restart()
	}
}
