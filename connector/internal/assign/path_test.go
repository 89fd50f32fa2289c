package assign

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
)

// BenchmarkPath is a fetch of 500 records of 1 KiB from the poll goroutine to the ack: eight partitions in
// turn, one stream each or one for all, every encoder, a proxy in this process that throws all away. It is
// there to be profiled for locks that are waited for:
//
//	go test -run '^$' -bench Path -mutexprofile mutex.out -blockprofile block.out ./connector
func BenchmarkPath(b *testing.B) {
	for _, bb := range []struct{ name, rule string }{
		{"1 stream", "- {topics: [t], group: g, stream: s}\n"},
		{"8 streams", "- {topics: [t], group: g, stream: 's{key}'}\n"},
	} {
		b.Run(bb.name, func(b *testing.B) {
			const parts, n, size = 8, 500, 1024
			proxy, err := dptest.NewProxy(dptest.Discard, dptest.WithQueueDelay(0), dptest.WithMemory(1<<30))
			if err != nil {
				b.Fatal(err)
			}
			defer proxy.Close()
			var d net.Dialer
			s, err := sdk.New(b.Context(), sdk.WithProxies(proxy.Addr()), sdk.WithDial(d.DialContext))
			if err != nil {
				b.Fatal(err)
			}
			rt := assigntest.RouterOf(b, bb.rule, s.Stream)
			var ps []*Assignment
			var fetches [][]*kgo.Record
			for i := range parts {
				ps = append(ps, quietPartition(int32(i), rt))
				recs := assigntest.KeyedRecords(n, size)
				for j, r := range recs {
					r.Key, r.Value = fmt.Append(nil, i), fmt.Appendf(nil, `{"id":%d,"text":"%0*x"}`, j, size-30, uint64(j)*0x9e3779b97f4a7c15)
				}
				fetches = append(fetches, recs)
			}
			sp := &Splitter{Pack: 256 << 10, Oversize: 1 << 20}
			b.SetBytes(n * size)
			b.ReportAllocs()
			turn := 0
			for b.Loop() {
				p, recs := ps[turn%parts], fetches[turn%parts]
				turn++
				for i, r := range recs {
					r.Offset = p.expect + int64(i)
				}
				p.Take(s, sp, recs)
				for {
					if chunks, _ := p.Waiting(); chunks == 0 {
						break
					}
					select {
					case <-s.Room():
					case <-time.After(100 * time.Millisecond):
					}
					p.Offer(s)
				}
				if turn%(16*parts) == 0 {
					for _, p := range ps {
						if _, ok := p.checkpoint.BeginCommit(); ok {
							p.checkpoint.EndCommit(true)
						}
					}
				}
			}
			if err := s.Close(context.Background()); err != nil {
				b.Fatal(err)
			}
			for _, p := range ps {
				if p.checkpoint.Checkpoint() != p.expect {
					b.Fatalf("checkpoint %d, want %d", p.checkpoint.Checkpoint(), p.expect)
				}
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "rec/s")
		})
	}
}
