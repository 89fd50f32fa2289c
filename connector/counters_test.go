package connector

func each(c *byLabel, f func(label string, n uint64)) {
	for label, n := range c.snapshot() {
		f(label, n)
	}
}
