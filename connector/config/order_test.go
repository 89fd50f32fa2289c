package config

import (
	"strings"
	"testing"
)

func TestOrderSaysHowFarItReaches(t *testing.T) {
	const queue = "queue: {kafka: [{brokers: [mq1:9092]}]}\n"
	const two = "queue: {kafka: [{name: a, brokers: [mq1:9092]}, {name: b, brokers: [mq2:9092]}]}\n"
	for _, tt := range []struct {
		text string
		says []string
		not  string
	}{
		{queue + "delivery: {order: none}\n", nil, "order"},
		{queue + "delivery: {order: partition}\n", []string{"first copy of every record of a partition lies in the queue", "one partition, in one queue cluster", "a partition moves at most one pack of pack.bytes (256KiB)"}, "no consumer can"},
		{two + "delivery: {order: key}\n", []string{"of a key lies in the queue", "the queue has 2 clusters, so no consumer can", "each of the 64 groups of keys"}, "of a partition lies"},
		{"delivery: {order: partition}\n", []string{"except when a proxy that is more than delivery.settle behind", "10s (delivery.settle)"}, "first copy"},
		{"delivery: {order: key, confirm: ack}\n", []string{"only while no proxy dies", "use confirm: queue"}, "first copy"},
	} {
		c := parse(t, smallest+tt.text)
		notes := strings.Join(c.Notes(), "\n")
		for _, s := range tt.says {
			if !strings.Contains(notes, s) {
				t.Errorf("%q: the notes do not say %q:\n%s", tt.text, s, notes)
			}
		}
		if strings.Contains(notes, tt.not) {
			t.Errorf("%q: the notes say %q:\n%s", tt.text, tt.not, notes)
		}
	}
}

// A partition moves a pack at a time: what else a fetch brings of it waits, and takes memory.
func TestFetchesAreSmallWhereAPartitionKeepsItsOrder(t *testing.T) {
	c := parse(t, smallest+"delivery: {order: partition}\n")
	if l := c.limits(memory{container: 8 * gib}); int64(l.FetchMaxPartitionBytes) != 256*kib {
		t.Errorf("a fetch brings up to %d bytes of a partition, want %d", l.FetchMaxPartitionBytes, 256*kib)
	}
	c = parse(t, smallest+"delivery: {order: key}\n")
	if l := c.limits(memory{container: 8 * gib}); int64(l.FetchMaxPartitionBytes) != mib {
		t.Errorf("with lanes by key a fetch brings up to %d bytes of a partition, want %d", l.FetchMaxPartitionBytes, mib)
	}
}
