package confirm

import "inlong-bridge/sdk/frame"

// Owner says whose pack a message of the queue is.
type Owner uint8

const (
	Mine       Owner = iota // a pack of this instance
	Foreign                 // of another instance, or of a sender that names its packs otherwise or not at all
	Unreadable              // no InLongMsg, or one of a version that carries no pack of ours
)

// Judge looks at the attributes of a message's value and says whether the pack is this instance's, and its
// sequence number if so. It skips the body by its length, keeps nothing and allocates nothing.
func Judge(value []byte, instance string) (seq uint64, of Owner) {
	attr, err := frame.InLongMsgAttr(value)
	if err != nil {
		return 0, Unreadable
	}
	mid, ok := frame.Attribute(attr, frame.AttrMid)
	if !ok {
		return 0, Foreign
	}
	who, seq, ok := frame.ParseMid(mid)
	if !ok || string(who) != instance {
		return 0, Foreign
	}
	return seq, Mine
}

// Batch is what was found in messages that were read together. See [Tracker.Batch].
type Batch struct {
	Seqs                          []uint64 // packs of this instance
	Messages, Foreign, Unreadable uint64

	instance string
}

// Add judges the value of a message.
func (b *Batch) Add(value []byte) {
	b.Messages++
	switch seq, of := Judge(value, b.instance); of {
	case Mine:
		b.Seqs = append(b.Seqs, seq)
	case Foreign:
		b.Foreign++
	case Unreadable:
		b.Unreadable++
	}
}
