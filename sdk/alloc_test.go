package sdk_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"testing"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
)

// realSender is a sender to one proxy over loopback, in real time. The proxy throws everything away.
func realSender(tb testing.TB, opts ...sdk.Option) (*sdk.Sender, *sdk.Stream) {
	tb.Helper()
	p, err := dptest.NewProxy(dptest.Discard, dptest.WithQueueDelay(0), dptest.WithMemory(1<<30))
	if err != nil {
		tb.Fatal(err)
	}
	var d net.Dialer
	s, err := sdk.New(context.Background(), append([]sdk.Option{sdk.WithProxies(p.Addr()), sdk.WithDial(d.DialContext)}, opts...)...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			tb.Error(err)
		}
		_ = p.Close()
	})
	st, err := s.Stream("g", "s")
	if err != nil {
		tb.Fatal(err)
	}
	return s, st
}

// json returns records of about size bytes that compress as such data does.
func json(n, size int) [][]byte {
	records := make([][]byte, n)
	for i := range records {
		b := fmt.Appendf(nil, `{"id":%d,"user":"u-%x","at":"2026-01-02T03:04:05Z","text":"`, i, i*7919)
		for j := 0; len(b) < size; j++ {
			b = fmt.Appendf(b, "%x ", (i*31+j)*2654435761)
		}
		records[i] = append(b, `"}`...)
	}
	return records
}

// nobody is a token that wants no news.
type nobody struct{}

func (nobody) Settled(uint64, sdk.Result) {}
func (nobody) Forgotten(uint64) bool      { return true }

// noTrails are notes that say nothing.
type noTrails struct{}

func (noTrails) Begin(int) sdk.Trail                          { return noTrails{} }
func (noTrails) Add(_ any, from, to int) int                  { return to - from }
func (noTrails) AppendTo(dst []byte) []byte                   { return append(dst, '-') }
func (noTrails) Cut(text string, _, _, _ int) (string, error) { return text, nil }

func TestBatchAllocatesNothingPerRecord(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops at random under -race")
	}
	s, st := realSender(t, sdk.WithTrails(noTrails{}))
	records := json(1000, 100)
	b := &sdk.Batch{Stream: st, Time: time.Now(), Token: nobody{}, Packed: func(int, int) uint64 { return 1 }, Trail: st}
	send := func() {
		for first := 0; first < len(records); {
			b.Payloads = records[first:]
			n, err := s.TrySendBatch(b)
			first += n
			if err != nil {
				<-s.Room()
			}
		}
	}
	for range 200 {
		send()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const rounds = 500
	for range rounds {
		send()
	}
	runtime.ReadMemStats(&after)
	// What is left is per pack (the proxy in this process included), and a pack holds thousands.
	if perRecord := float64(after.Mallocs-before.Mallocs) / (rounds * float64(len(records))); perRecord > 0.05 {
		t.Errorf("%.3f allocations per record, want none but those per pack", perRecord)
	}
}
