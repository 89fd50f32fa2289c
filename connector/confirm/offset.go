package confirm

import (
	"cmp"
	"fmt"
	"strconv"
)

// Offset is a place between two messages of a partition. Offsets of a partition are ordered, and everything
// that is put into it later lies after everything that is in it.
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

func (o Offset) compare(p Offset) int {
	return cmp.Or(cmp.Compare(o.Ledger, p.Ledger), cmp.Compare(o.Entry, p.Entry), cmp.Compare(o.Batch, p.Batch))
}

func (o Offset) before(p Offset) bool { return o.compare(p) < 0 }

func later(o, p Offset) Offset {
	if o.before(p) {
		return p
	}
	return o
}

// distance is how many entries lie between two offsets of a ledger; one that was begun counts as read.
func distance(from, to Offset) int64 { return to.entries() - from.entries() }

func (o Offset) entries() int64 {
	if o.Batch > 0 {
		return o.Entry + 1
	}
	return o.Entry
}
