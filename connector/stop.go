package connector

import (
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
)

// stop ends the work on this assignment until the reason ends, which most never do. It takes only the gate's lock.
func (p *partition) stop(r *reason.Reason) {
	if p.gate.Add(*r, true) {
		p.events.stopped(p, r)
	}
}

// stopped returns why the partition is stopped, nil if it is not.
func (p *partition) stopped() *gate.Entry { return p.gate.Condition().Stop() }

// streamFull returns the oldest entry of a stream that is full and closes the partition, nil for none. One that does not close it
// was found by the stall detection, and is another partition's.
func streamFull(c *gate.Condition) *gate.Entry {
	entries := c.Entries()
	for i := range entries {
		if e := &entries[i]; e.Code == reason.StreamFull && e.Closes {
			return e
		}
	}
	return nil
}

var (
	budgetKey    = reason.Key{Code: reason.Budget, Scope: reason.Process}
	unfinalKey   = reason.Key{Code: reason.MaxUnfinal, Scope: reason.Process}
	drainingKey  = reason.Key{Code: reason.Draining, Scope: reason.Process}
	rebalanceKey = reason.Key{Code: reason.Rebalance, Scope: reason.Group}
)

// gatesOf returns the gates of assignments.
func gatesOf(parts []*partition) []*gate.Gate {
	out := make([]*gate.Gate, len(parts))
	for i, p := range parts {
		out[i] = p.gate
	}
	return out
}

// streamKey is the key of a reason of a stream.
func streamKey(group, stream string, code reason.Code) reason.Key {
	return reason.Key{Code: code, Scope: reason.Stream, Object: group + "/" + stream}
}

// stopRecreated stops the assignment because its topic was deleted and created again.
func (p *partition) stopRecreated() { p.stop(part.Recreated(p.id, p.wm.Position())) }
