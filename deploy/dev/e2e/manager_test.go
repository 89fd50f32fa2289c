//go:build e2e

package e2e

import (
	"strings"

	"inlong-bridge/sdk/dptest"
)

// announce starts a Manager that knows proxies and queue, for the bridge to ask instead of its configuration.
func (s *sink) announce(b *bench, sources []string) {
	b.Helper()
	m := dptest.StartManager(b, dptest.WithCluster("e2e-proxies", "e2e-tag"))
	var addrs []string
	for _, p := range s.proxies {
		addrs = append(addrs, p.addr)
	}
	m.SetNodes(addrs...)
	said := dptest.QueueConfig{Type: "KAFKA"}
	if p := s.pulsar; p != nil {
		said.Type = "PULSAR"
		said.Clusters = []dptest.QueueClusterConfig{{Name: "behind", Params: map[string]string{
			"serviceUrl": p.ServiceURL, "tenant": p.Tenant, "namespace": p.Namespace,
		}}}
	} else {
		said.Clusters = []dptest.QueueClusterConfig{{Name: "behind", Params: map[string]string{
			"bootstrap.servers": strings.Join(s.queue.brokers, ","),
		}}}
	}
	for i, topic := range s.topics(sources) {
		said.Streams = append(said.Streams, dptest.StreamConfig{
			Group: streamGroup, Stream: sources[i], Topic: topic[strings.LastIndexByte(topic, '/')+1:],
		})
	}
	m.SetQueue(said)
	s.manager = m.URL()
}
