// Package series makes metrics of a snapshot whose labels are shared: a stream or a partition has dozens,
// and to make its labels anew for each is most of what a scrape costs.
package series

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Labels returns the labels of all descriptors that have the label names of d, in the form that New takes. They
// may be shared, and must not be changed.
func Labels(d *prometheus.Desc, values ...string) []*dto.LabelPair {
	return prometheus.MakeLabelPairs(d, values)
}

// New returns a metric with one value. kind is CounterValue, or anything else for a gauge.
func New(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels []*dto.LabelPair) prometheus.Metric {
	if kind == prometheus.CounterValue {
		m := &counter{head: head{d, labels}, value: value}
		m.counter.Value = &m.value
		return m
	}
	m := &gauge{head: head{d, labels}, value: value}
	m.gauge.Value = &m.value
	return m
}

type head struct {
	desc   *prometheus.Desc
	labels []*dto.LabelPair
}

// Desc implements prometheus.Metric.
func (h *head) Desc() *prometheus.Desc { return h.desc }

// counter and gauge hold what Write hands out, which is one allocation for all of it.
type counter struct {
	head
	value   float64
	counter dto.Counter
}

// Write implements prometheus.Metric.
func (m *counter) Write(out *dto.Metric) error {
	out.Label, out.Counter = m.labels, &m.counter
	return nil
}

type gauge struct {
	head
	value float64
	gauge dto.Gauge
}

// Write implements prometheus.Metric.
func (m *gauge) Write(out *dto.Metric) error {
	out.Label, out.Gauge = m.labels, &m.gauge
	return nil
}

// Histogram returns a histogram. upTo[i] is how many of count values were at most bounds[i]; bounds ascend. Both may be
// shared, and must not be changed.
func Histogram(d *prometheus.Desc, count uint64, sum float64, bounds []float64, upTo []uint64, labels []*dto.LabelPair) prometheus.Metric {
	m := &histogram{head: head{d, labels}, count: count, sum: sum, buckets: make([]dto.Bucket, len(bounds))}
	m.histogram.SampleCount, m.histogram.SampleSum = &m.count, &m.sum
	m.histogram.Bucket = make([]*dto.Bucket, len(bounds))
	for i := range bounds {
		b := &m.buckets[i]
		b.UpperBound, b.CumulativeCount = &bounds[i], &upTo[i]
		m.histogram.Bucket[i] = b
	}
	return m
}

type histogram struct {
	head
	count     uint64
	sum       float64
	histogram dto.Histogram
	buckets   []dto.Bucket
}

// Write implements prometheus.Metric.
func (m *histogram) Write(out *dto.Metric) error {
	out.Label, out.Histogram = m.labels, &m.histogram
	return nil
}
