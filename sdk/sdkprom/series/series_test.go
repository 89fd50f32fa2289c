package series_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"inlong-bridge/sdk/sdkprom/series"
)

var (
	level = prometheus.NewDesc("level", "A gauge.", []string{"topic", "partition"}, nil)
	total = prometheus.NewDesc("total", "A counter.", []string{"topic", "partition"}, nil)
	times = prometheus.NewDesc("times", "A histogram.", []string{"topic", "partition"}, nil)
)

type two struct{}

func (two) Describe(ch chan<- *prometheus.Desc) { ch <- level; ch <- total; ch <- times }
func (two) Collect(ch chan<- prometheus.Metric) {
	for _, topic := range []string{"a", "b"} {
		labels := series.Labels(level, topic, "0")
		ch <- series.New(level, prometheus.GaugeValue, 1.5, labels)
		ch <- series.New(total, prometheus.CounterValue, 7, labels)
		ch <- series.Histogram(times, 6, 2.5, []float64{0.5, 1}, []uint64{4, 5}, labels)
	}
}

func TestSharedLabelsAreThoseOfEachMetric(t *testing.T) {
	want := `
# HELP level A gauge.
# TYPE level gauge
level{partition="0",topic="a"} 1.5
level{partition="0",topic="b"} 1.5
# HELP times A histogram.
# TYPE times histogram
times_bucket{partition="0",topic="a",le="0.5"} 4
times_bucket{partition="0",topic="a",le="1"} 5
times_bucket{partition="0",topic="a",le="+Inf"} 6
times_sum{partition="0",topic="a"} 2.5
times_count{partition="0",topic="a"} 6
times_bucket{partition="0",topic="b",le="0.5"} 4
times_bucket{partition="0",topic="b",le="1"} 5
times_bucket{partition="0",topic="b",le="+Inf"} 6
times_sum{partition="0",topic="b"} 2.5
times_count{partition="0",topic="b"} 6
# HELP total A counter.
# TYPE total counter
total{partition="0",topic="a"} 7
total{partition="0",topic="b"} 7
`
	if err := testutil.CollectAndCompare(two{}, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}
