//go:build soak

package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/dptest/seeds"
	"inlong-bridge/sdk/finality"
)

// TestSoak is the story of TestRandomFaults in real time, over TCP, with as much load as the machine
// gives: make soak-sender (SECONDS, 600; INLONG_BRIDGE_SEED). The list of proxies changes every second.
func TestSoak(t *testing.T) {
	seconds := 600
	if text := os.Getenv("SECONDS"); text != "" {
		var err error
		if seconds, err = strconv.Atoi(text); err != nil || seconds < 1 {
			t.Fatalf("SECONDS is %q, want a number above 0", text)
		}
	}
	seed := seeds.List(t, 0, 1)[0]
	rnd := rand.New(rand.NewPCG(seed, 7))
	goroutines, memory := baseline()

	e := &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1, 1), log: newLedger(t)}
	sink := &sinkOfNumbers{seen: make(map[string]*bitmap)}
	for range 4 {
		e.proxies = append(e.proxies, dptest.Start(t, dptest.WithQueue(dptest.Discard), dptest.WithQueueDelay(0), dptest.WithMemory(1<<20),
			dptest.WithOnPack(func(p dptest.PackInfo) {
				records, err := p.Pack.Items(1 << 20)
				if err != nil {
					t.Errorf("a proxy stored what cannot be read: %v", err)
				}
				sink.note(p.Stream, records)
			})))
	}
	names := &lists{addrs: map[string][]string{"g": e.addrs()}}
	cfg := finality.DefaultConfig(finality.Ack)
	cfg.AckTimeout = 3 * time.Second
	s, err := sdk.New(t.Context(), sdk.WithLister(names.ask), sdk.WithRefresh(200*time.Millisecond), sdk.WithFinality(cfg),
		sdk.WithConnections(2), sdk.WithBudget(16<<20, 1<<20), sdk.WithRetry(10*time.Millisecond, time.Second))
	if err != nil {
		t.Fatal(err)
	}
	e.sender = s

	const streams = 4
	var senders sync.WaitGroup
	end := time.Now().Add(time.Duration(seconds) * time.Second)
	told := make([]*bitmap, streams) // verdicts by number
	var wrong, refused atomic.Int64
	sent := make([]int, streams)
	final := make([]*bitmap, streams)
	for i := range streams {
		st := e.stream(strconv.Itoa(i))
		told[i], final[i] = new(bitmap), new(bitmap)
		senders.Go(func() {
			for n := 0; time.Now().Before(end); n++ {
				m := sdk.Message{Stream: st, Time: time.Now(), Payload: fmt.Appendf(nil, "%d and something to send along with it", n)}
				if err := s.SendAsync(context.Background(), m, func(r sdk.Result) {
					if !told[i].set(n) {
						wrong.Add(1)
					}
					if r.Outcome == sdk.Final {
						final[i].set(n)
					} else {
						refused.Add(1)
					}
				}); err != nil {
					t.Errorf("SendAsync: %v", err)
					return
				}
				if sent[i]++; n%200 == 199 {
					time.Sleep(20 * time.Millisecond) // 10,000 a second and stream: the sink remembers every one
				}
			}
		})
	}
	for time.Now().Before(end) {
		fault(e, rnd, finality.Ack, names)
		names.set("g", nil, e.addrs()[rnd.IntN(3):]...)
		time.Sleep(time.Duration(rnd.IntN(400)) * time.Millisecond)
		if rnd.IntN(10) == 0 {
			names.hangs(false)
			for _, p := range e.proxies {
				heal(p)
			}
		}
	}
	names.hangs(false)
	names.set("g", nil, e.addrs()...)
	for _, p := range e.proxies {
		heal(p)
	}
	senders.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Errorf("Close: %v\n%+v", err, s.Status())
	}
	if n := sdk.Lent(s); n != 0 {
		t.Errorf("%d buffers were not given back", n)
	}
	total := 0
	for i := range streams {
		total += sent[i]
		if n := told[i].count(); n != sent[i] {
			t.Errorf("stream %d: %d of %d messages told", i, n, sent[i])
		}
		for n := range sent[i] {
			if final[i].has(n) && !sink.has(strconv.Itoa(i), n) {
				t.Errorf("stream %d: message %d is final, and no proxy knows it", i, n)
			}
		}
	}
	if n := wrong.Load(); n > 0 {
		t.Errorf("%d second verdicts", n)
	}
	status := s.Status()
	t.Logf("%d messages in %d s, %d refused (94 twice, or cut off again and again); %+v", total, seconds, refused.Load(), status.Streams[0])
	if refused.Load() > int64(total/100) {
		t.Errorf("%d of %d messages refused", refused.Load(), total)
	}

	for _, p := range e.proxies {
		if err := p.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Errorf("closing proxy: %v", err)
		}
	}
	e.proxies, e.sender, s, sink, told, final = nil, nil, nil, nil, nil, nil
	after, left := baseline()
	for range 50 {
		if after <= goroutines+2 {
			break
		}
		time.Sleep(100 * time.Millisecond)
		after, left = baseline()
	}
	if after > goroutines+2 {
		t.Errorf("%d goroutines, %d before", after, goroutines)
	}
	if left > memory+64<<20 {
		t.Errorf("%d MiB of heap, %d before", left>>20, memory>>20)
	}
}

// baseline returns how many goroutines there are, and the bytes of heap.
func baseline() (goroutines int, heap uint64) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return runtime.NumGoroutine(), m.HeapAlloc
}

// bitmap is a growing set of numbers.
type bitmap struct {
	mu   sync.Mutex
	bits []uint64
}

// set reports whether n is new.
func (b *bitmap) set(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.bits) <= n/64 {
		b.bits = append(b.bits, 0)
	}
	fresh := b.bits[n/64]&(1<<(n%64)) == 0
	b.bits[n/64] |= 1 << (n % 64)
	return fresh
}

func (b *bitmap) has(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return n/64 < len(b.bits) && b.bits[n/64]&(1<<(n%64)) != 0
}

func (b *bitmap) count() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range 64 * len(b.bits) {
		if b.bits[i/64]&(1<<(i%64)) != 0 {
			n++
		}
	}
	return n
}

// sinkOfNumbers remembers which numbers arrived.
type sinkOfNumbers struct {
	mu   sync.Mutex
	seen map[string]*bitmap
}

func (s *sinkOfNumbers) note(stream string, records [][]byte) {
	s.mu.Lock()
	b := s.seen[stream]
	if b == nil {
		b = new(bitmap)
		s.seen[stream] = b
	}
	s.mu.Unlock()
	for _, r := range records {
		n := 0
		for _, c := range r {
			if c < '0' || c > '9' {
				break
			}
			n = 10*n + int(c-'0')
		}
		b.set(n)
	}
}

func (s *sinkOfNumbers) has(stream string, n int) bool {
	s.mu.Lock()
	b := s.seen[stream]
	s.mu.Unlock()
	return b != nil && b.has(n)
}
