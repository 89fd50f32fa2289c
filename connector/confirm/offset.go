package confirm

import (
	"cmp"
	"fmt"
	"strconv"
)

// Offset is a place between two messages of a partition. Offsets of a partition are ordered: every message that is put
// into the partition lies after all messages that were put into it before.
//
// Kafka counts messages: Entry is the offset of the message that follows, and the rest is 0. Pulsar counts
// ledgers, entries in a ledger and messages in an entry: after message 3:5:1 the offset is {3, 5, 2}.
type Offset struct {
	Ledger, Entry int64
	Batch         int32
}

// Unknown lies before every offset.
var Unknown = Offset{Ledger: -1}

// At is the offset in a log that counts messages.
func At(n int64) Offset { return Offset{Entry: n} }

func (o Offset) String() string {
	switch {
	case o == Unknown:
		return "unknown"
	case o.Ledger == 0 && o.Batch == 0:
		return strconv.FormatInt(o.Entry, 10)
	}
	return fmt.Sprintf("%d:%d:%d", o.Ledger, o.Entry, o.Batch)
}

// Compare orders two offsets of a partition.
func (o Offset) Compare(p Offset) int {
	return cmp.Or(cmp.Compare(o.Ledger, p.Ledger), cmp.Compare(o.Entry, p.Entry), cmp.Compare(o.Batch, p.Batch))
}

// Before reports whether o lies before p.
func (o Offset) Before(p Offset) bool { return o.Compare(p) < 0 }

func later(o, p Offset) Offset {
	if o.Before(p) {
		return p
	}
	return o
}

// distance is the number of entries between two offsets of a ledger; an entry that was begun counts as read.
func distance(from, to Offset) int64 { return to.entries() - from.entries() }

func (o Offset) entries() int64 {
	if o.Batch > 0 {
		return o.Entry + 1
	}
	return o.Entry
}
