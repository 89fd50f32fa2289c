package sdkprom_test

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/sdkprom"
)

type still struct{ s sdk.Status }

func (s still) Status() sdk.Status { return s.s }

// BenchmarkScrape is one scrape with 1,000 streams, the most that have series of their own, sorted as a sender's are.
func BenchmarkScrape(b *testing.B) {
	var s still
	for i := range 1000 {
		s.s.Streams = append(s.s.Streams, sdk.StreamStatus{Group: "g", Stream: fmt.Sprintf("s%03d", i), Records: uint64(i)})
	}
	r := prometheus.NewRegistry()
	r.MustRegister(sdkprom.New(s))
	b.ReportAllocs()
	for b.Loop() {
		families, err := r.Gather()
		if err != nil || len(families) < 20 {
			b.Fatal(len(families), err)
		}
	}
}
