package connector

import (
	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/part"
)

// cutting is a splitter with the limits of a bridge.
func cutting() *assign.Splitter {
	return &assign.Splitter{Pack: 256 << 10, Oversize: 1 << 20, Limit: -1}
}

var orders0 = part.ID{Topic: "orders", Num: 0}
