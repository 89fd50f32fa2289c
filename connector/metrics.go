package connector

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"inlong-bridge/connector/internal/observe"
	"inlong-bridge/sdk/sdkprom"
)

// newRegistry has Go's metrics and those of the process.
func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// register adds the bridge's and the sender's metrics to the registry.
func (b *Bridge) register() error {
	for _, c := range []prometheus.Collector{observe.NewCollector(b.observer), sdkprom.New(b.sender)} {
		if err := b.deps.Registry.Register(c); err != nil {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	return nil
}
