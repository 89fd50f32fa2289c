package connector

import (
	"fmt"
	"math"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"inlong-bridge/connector/internal/observe"
)

// newRegistry has Go's metrics and those of the process.
func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// register adds the bridge's metrics to the registry. It is called before the start, which may wait for Kafka for long.
func (b *Bridge) register() error {
	most := observe.MaxPartitionSeries
	switch b.cfg.Metrics.Granularity {
	case "partition":
		most = math.MaxInt
	case "topic":
		most = 0
	}
	return b.registerOne(observe.NewCollector(b.observer, most))
}

func (b *Bridge) registerOne(c prometheus.Collector) error {
	if err := b.deps.Registry.Register(c); err != nil {
		return fmt.Errorf("starting bridge: registering metrics: %w", err)
	}
	return nil
}
