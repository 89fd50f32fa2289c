package connector

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/sdkprom"
)

// manyStreams is the status of a sender of so many streams.
type manyStreams int

func (n manyStreams) Status() (s sdk.Status) {
	for i := range int(n) {
		st := sdk.StreamStatus{Group: "g", Stream: fmt.Sprintf("s%03d", i), Records: uint64(1037 * i), WireBytes: uint64(1_999_777 * i)}
		for j := range st.TotalTime.Buckets {
			st.TotalTime.Buckets[j], st.WireTime.Buckets[j] = uint64(13*i*j), uint64(3*i*j)
		}
		s.Streams = append(s.Streams, st)
	}
	return s
}

func scrape(tb testing.TB, h http.Handler, accepts string) *httptest.ResponseRecorder {
	tb.Helper()
	req := httptest.NewRequestWithContext(tb.Context(), http.MethodGet, "/metrics", http.NoBody)
	req.Header.Set("Accept-Encoding", accepts)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	return w
}

// Prometheus asks for gzip, curl does not.
func TestMetricsAreCompressedForWhoeverAsksForGzip(t *testing.T) {
	r := prometheus.NewRegistry()
	r.MustRegister(sdkprom.New(manyStreams(20)))
	h := metricsHandler(r)
	plain := scrape(t, h, "identity")
	if plain.Code != http.StatusOK || plain.Header().Get("Content-Encoding") != "" || !strings.Contains(plain.Body.String(), `sender_records_total{group="g",stream="s019"}`) {
		t.Fatalf("plain: %d, encoding %q, %d bytes", plain.Code, plain.Header().Get("Content-Encoding"), plain.Body.Len())
	}
	packed := scrape(t, h, "zstd, gzip")
	if got := packed.Header().Get("Content-Encoding"); got != "gzip" {
		t.Fatalf("encoding %q, want gzip", got)
	}
	z, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(z)
	if err != nil || string(body) != plain.Body.String() {
		t.Errorf("%d bytes behind gzip, %d without: %v", len(body), plain.Body.Len(), err)
	}
	if got := packed.Header().Get("Content-Type"); got != plain.Header().Get("Content-Type") || !strings.HasPrefix(got, "text/plain; version=0.0.4") {
		t.Errorf("content type %q with gzip, %q without", got, plain.Header().Get("Content-Type"))
	}
}

// BenchmarkScrapeOf1000Streams is a scrape as Prometheus makes it, of the most streams that have series of their own.
func BenchmarkScrapeOf1000Streams(b *testing.B) {
	r := prometheus.NewRegistry()
	r.MustRegister(sdkprom.New(manyStreams(1000)))
	h := metricsHandler(r)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		n = scrape(b, h, "gzip").Body.Len()
	}
	b.ReportMetric(float64(n), "bytes")
}
