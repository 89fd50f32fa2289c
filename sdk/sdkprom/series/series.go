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
	return &metric{desc: d, kind: kind, value: value, labels: labels}
}

type metric struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	value  float64
	labels []*dto.LabelPair
}

// Desc implements prometheus.Metric.
func (m *metric) Desc() *prometheus.Desc { return m.desc }

// Write implements prometheus.Metric.
func (m *metric) Write(out *dto.Metric) error {
	out.Label = m.labels
	if m.kind == prometheus.CounterValue {
		out.Counter = &dto.Counter{Value: &m.value}
	} else {
		out.Gauge = &dto.Gauge{Value: &m.value}
	}
	return nil
}
