package connector

import (
	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/reason"
)

var (
	unfinalKey   = reason.Key{Code: reason.MaxUnfinal, Scope: reason.Process}
	drainingKey  = reason.Key{Code: reason.Draining, Scope: reason.Process}
	rebalanceKey = reason.Key{Code: reason.Rebalance, Scope: reason.Group}
)

// gatesOf returns the gates of assignments.
func gatesOf(parts []*assign.Assignment) []*gate.Gate {
	out := make([]*gate.Gate, len(parts))
	for i, p := range parts {
		out[i] = p.Gate()
	}
	return out
}
