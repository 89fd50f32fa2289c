package gate

import (
	"slices"
	"time"

	"inlong-bridge/connector/reason"
)

// Entry is one reason in a condition: its own, or a reference to one that others share.
type Entry struct {
	reason.Key
	Since  time.Time      // when the reason began to hold this partition
	Own    *reason.Reason // nil for a reference: the sentence is the shared reason's, and is not copied
	Closes bool           // the gate is closed because of it
	Behind time.Time      // since when the partition has been behind and made no progress because of it; zero if it is not

	found bool // the stall detection alone put it there; such an entry neither closes nor stops
}

// MayEnd reports whether the reason may end within the assignment.
func (e *Entry) MayEnd() bool {
	return !reason.KindOf(e.Code).Terminal && (e.Own == nil || !e.Own.Terminal)
}

// Condition is the ordered set of reasons why one assignment does not go on, oldest first. It is never changed: a gate
// replaces it whole, so that whoever reads one needs no lock.
type Condition struct {
	entries []Entry
	stop    int // index of the first entry that stops the partition, -1 for none
	closed  bool
}

var empty = &Condition{stop: -1}

// Entries returns the reasons, oldest first. The slice is not to be changed.
func (c *Condition) Entries() []Entry { return c.entries }

// Closed reports whether any reason asks for the partition not to be fetched.
func (c *Condition) Closed() bool { return c.closed }

// Stop returns the oldest reason that stops the partition, one that never ends by itself before one that may; nil if it is
// not stopped.
func (c *Condition) Stop() *Entry {
	if c.stop < 0 {
		return nil
	}
	return &c.entries[c.stop]
}

// Behind returns the first entry because of which the partition makes no progress, nil for none.
func (c *Condition) Behind() *Entry {
	for i := range c.entries {
		if !c.entries[i].Behind.IsZero() {
			return &c.entries[i]
		}
	}
	return nil
}

// Find returns the oldest entry with a code, nil for none.
func (c *Condition) Find(code reason.Code) *Entry {
	for i := range c.entries {
		if c.entries[i].Code == code {
			return &c.entries[i]
		}
	}
	return nil
}

// Get returns the entry of a key, nil if it is not in the condition.
func (c *Condition) Get(k reason.Key) *Entry {
	if i := c.index(k); i >= 0 {
		return &c.entries[i]
	}
	return nil
}

// Has reports whether any of the codes is in the condition.
func (c *Condition) Has(codes ...reason.Code) bool {
	for i := range c.entries {
		if slices.Contains(codes, c.entries[i].Code) {
			return true
		}
	}
	return false
}

func (c *Condition) index(k reason.Key) int {
	for i := range c.entries {
		if c.entries[i].Key == k {
			return i
		}
	}
	return -1
}

// conditionOf works out what follows from a set of entries.
func conditionOf(entries []Entry) *Condition {
	if len(entries) == 0 {
		return empty
	}
	c := &Condition{entries: entries, stop: -1}
	for i := range entries {
		kind := reason.KindOf(entries[i].Code)
		c.closed = c.closed || entries[i].Closes
		if kind.Stops && !entries[i].found && (c.stop < 0 || kind.Terminal && !reason.KindOf(entries[c.stop].Code).Terminal) {
			c.stop = i
		}
	}
	return c
}
