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
)

type two struct{}

func (two) Describe(ch chan<- *prometheus.Desc) { ch <- level; ch <- total }
func (two) Collect(ch chan<- prometheus.Metric) {
	for _, topic := range []string{"a", "b"} {
		labels := series.Labels(level, topic, "0")
		ch <- series.New(level, prometheus.GaugeValue, 1.5, labels)
		ch <- series.New(total, prometheus.CounterValue, 7, labels)
	}
}

func TestSharedLabelsAreThoseOfEachMetric(t *testing.T) {
	want := `
# HELP level A gauge.
# TYPE level gauge
level{partition="0",topic="a"} 1.5
level{partition="0",topic="b"} 1.5
# HELP total A counter.
# TYPE total counter
total{partition="0",topic="a"} 7
total{partition="0",topic="b"} 7
`
	if err := testutil.CollectAndCompare(two{}, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}
