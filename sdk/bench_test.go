package sdk_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/finality"
)

// BenchmarkBatch is the whole way: append, seal, encode, write, ack.
func BenchmarkBatch(b *testing.B) {
	soon := finality.DefaultConfig(finality.Settle)
	soon.Settle, soon.BusyBeat = 50*time.Millisecond, 20*time.Millisecond
	for _, bb := range []struct {
		name string
		size int
		opts []sdk.Option
	}{
		{"100B", 100, nil},
		{"1KiB", 1024, nil},
		{"1KiB/none", 1024, []sdk.Option{sdk.WithCompression(sdk.None)}},
		{"1KiB/settle", 1024, []sdk.Option{sdk.WithFinality(soon)}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			s, st := realSender(b, bb.opts...)
			records := json(1000, bb.size)
			batch := &sdk.Batch{Stream: st, Time: time.Now(), Payloads: records, Token: nobody{}, Packed: func(int, int) uint64 { return 1 }}
			b.SetBytes(int64(bb.size * len(records)))
			b.ReportAllocs()
			for b.Loop() {
				if n, err := s.SendBatch(context.Background(), batch); n != len(records) || err != nil {
					b.Fatal(n, err)
				}
			}
			drain(b, s)
			b.ReportMetric(float64(b.N*len(records))/b.Elapsed().Seconds(), "rec/s")
		})
	}
}

// BenchmarkSendAsync is one message of 100 bytes with a callback per operation.
func BenchmarkSendAsync(b *testing.B) {
	s, st := realSender(b)
	m := sdk.Message{Stream: st, Time: time.Now(), Payload: json(1, 100)[0]}
	told := 0
	done := func(sdk.Result) { told++ }
	b.SetBytes(100)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if err := s.SendAsync(context.Background(), m, done); err != nil {
			b.Fatal(err)
		}
		n++
	}
	if err := s.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
	if told != n {
		b.Fatalf("%d callbacks for %d messages", told, n)
	}
}

func drain(b *testing.B, s *sdk.Sender) {
	b.Helper()
	if err := s.Close(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkManyStreams hands one record of 100 bytes each to 1,000 streams in turn.
func BenchmarkManyStreams(b *testing.B) {
	s, _ := realSender(b, sdk.WithPack(64<<10, 1000, 20*time.Millisecond))
	streams := make([]*sdk.Stream, 1000)
	for i := range streams {
		st, err := s.Stream("g", fmt.Sprint("s", i))
		if err != nil {
			b.Fatal(err)
		}
		streams[i] = st
	}
	batch := &sdk.Batch{Time: time.Now(), Payloads: json(1, 100), Token: nobody{}, Packed: func(int, int) uint64 { return 1 }}
	b.SetBytes(100)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		batch.Stream = streams[i%len(streams)]
		if n, err := s.SendBatch(context.Background(), batch); n != 1 || err != nil {
			b.Fatal(n, err)
		}
		i++
	}
	drain(b, s)
}
