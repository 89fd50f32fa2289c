package config

import "fmt"

// orderNotes says how far delivery.order reaches.
func (c *Config) orderNotes() (notes []string) {
	d := &c.Delivery
	if d.Order == "none" {
		return nil
	}
	lane, lanes := "partition", "a partition"
	if d.Order == "key" {
		lane, lanes = "key", "each of the 64 groups of keys of a partition"
	}
	say := func(format string, args ...any) {
		notes = append(notes, fmt.Sprintf("delivery.order is %s: ", d.Order)+fmt.Sprintf(format, args...))
	}
	switch d.Confirm {
	case "queue":
		say("the first copy of every record of a %s lies in the queue before the next pack of it is sent; copies that come later have to be dropped, by the packs' lineage", lane)
	case "settle":
		say("a %s keeps its order except when a proxy that is more than delivery.settle behind its queue dies; confirm: queue has no such exception", lane)
	case "ack":
		say("with confirm: ack a pack counts as final before it lies in the queue, so a %s keeps its order only while no proxy dies, and proxies still spread its packs over their channels; use confirm: queue", lane)
	}
	say("consumers can read the order only where the topic of the stream has one partition, in one queue cluster: proxies spread packs over all partitions of all clusters")
	if n := len(c.Queue.Kafka) + len(c.Queue.Pulsar); n > 1 {
		say("the queue has %d clusters, so no consumer can read the order", n)
	}
	say("%s moves at most one pack of pack.bytes (%s) per confirmation, which takes %s, and pack.linger (%s)", lanes, c.Pack.Bytes, c.commitLag(), durationText(c.Pack.Linger))
	return notes
}
