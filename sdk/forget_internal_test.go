package sdk

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/finality"
)

const idleStreams = 10_000

func idleSender(tb testing.TB) *Sender {
	tb.Helper()
	p, err := dptest.NewProxy(dptest.Discard, dptest.WithQueueDelay(0), dptest.WithMemory(1<<30))
	if err != nil {
		tb.Fatal(err)
	}
	s, err := New(context.Background(), WithProxies(p.Addr()), WithBudget(256<<20, 8<<20), WithFinality(finality.DefaultConfig(finality.Ack)))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			tb.Error(err)
		}
		_ = p.Close()
	})
	return s
}

func streamsNamed(tb testing.TB, s *Sender, name string, n int) (streams []*Stream) {
	tb.Helper()
	for i := range n {
		st, err := s.Stream("a-group-of-usual-length", fmt.Sprintf("%s-of-usual-length-%06d", name, i))
		if err != nil {
			tb.Fatal(err)
		}
		streams = append(streams, st)
	}
	return streams
}

// use sends a pack to each stream and waits until it is final.
func use(tb testing.TB, s *Sender, streams []*Stream) {
	tb.Helper()
	for _, st := range streams {
		if err := s.SendAsync(context.Background(), Message{Stream: st, Time: time.Now(), Payload: make([]byte, 200)}, nil); err != nil {
			tb.Fatal(err)
		}
	}
	s.Seal()
	for {
		s.mu.Lock()
		busy := s.e.Known()
		s.mu.Unlock()
		if busy == 0 {
			return
		}
		runtime.Gosched()
	}
}

// inUse is the bytes of the heap that are reachable.
func inUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // empties the pools
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// perIdleStream measures what streams take that have sent something and are idle, the tables that they are in included;
// and what is left of that when they are forgotten, which is those tables, as large as they were.
func perIdleStream(tb testing.TB) (bytes, left float64) {
	s := idleSender(tb)
	use(tb, s, streamsNamed(tb, s, "warm", 100)) // what all streams share
	without := inUse()
	streams := streamsNamed(tb, s, "idle", idleStreams)
	for some := range slices.Chunk(streams, 100) { // so that tables of packs stay small
		use(tb, s, some)
	}
	with := inUse()
	for i, st := range streams {
		if !s.ForgetStream(st) {
			tb.Fatalf("stream %d is not forgotten", i)
		}
		streams[i] = nil
	}
	after := inUse()
	runtime.KeepAlive(streams)
	runtime.KeepAlive(s)
	return float64(with-without) / idleStreams, float64(after-without) / idleStreams
}

// BenchmarkIdleStream reports bytes per idle stream. streamCost follows from it.
func BenchmarkIdleStream(b *testing.B) {
	for b.Loop() {
		bytes, left := perIdleStream(b)
		b.ReportMetric(bytes, "bytes/stream")
		b.ReportMetric(left, "left/stream")
	}
}

// What is charged for a stream is what it takes, and not much more.
func TestIdleStreamTakesWhatIsCharged(t *testing.T) {
	if raceInside || testing.Short() {
		t.Skip("measures memory")
	}
	got, left := perIdleStream(t)
	charged := float64((&Stream{text: "a-group-of-usual-length.idle-of-usual-length-000000"}).bytes())
	t.Logf("%.0f bytes per idle stream, %.0f charged, %.0f left when it is forgotten", got, charged, left)
	if got > charged || got < charged/2 {
		t.Errorf("an idle stream takes %.0f bytes, charged are %.0f", got, charged)
	}
	if got > 1<<10 {
		t.Errorf("an idle stream takes %.0f bytes, want at most a kilobyte", got)
	}
	if left > charged/5 {
		t.Errorf("%.0f of %.0f bytes are not given back when a stream is forgotten", left, got)
	}
}
