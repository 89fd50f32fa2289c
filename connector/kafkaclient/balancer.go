package kafkaclient

import "github.com/twmb/franz-go/pkg/kgo"

// Balancer is the way a group shares out partitions that a configuration names.
func Balancer(name string) kgo.GroupBalancer {
	switch name {
	case "sticky":
		return kgo.StickyBalancer()
	case "range":
		return kgo.RangeBalancer()
	case "roundrobin":
		return kgo.RoundRobinBalancer()
	default:
		return kgo.CooperativeStickyBalancer()
	}
}
