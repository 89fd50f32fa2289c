package connector

import "inlong-bridge/connector/internal/tally"

func each(c *tally.ByLabel, f func(label string, n uint64)) {
	for label, n := range c.Snapshot() {
		f(label, n)
	}
}
