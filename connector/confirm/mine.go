package confirm

import "inlong-bridge/sdk/frame"

// Verdict says whose a message of the queue is.
type Verdict uint8

const (
	Mine       Verdict = iota // a pack of this instance
	Foreign                   // of another instance, or of a sender that names its packs otherwise or not at all
	Unreadable                // no InLongMsg, or one of a version that carries no pack of ours
)

// Judge looks at the attributes of a message value and says whether the pack is this instance's, and its
// sequence number if so. It goes by lengths, never opens the body, keeps nothing and allocates nothing.
func Judge(value []byte, instance string) (seq uint64, v Verdict) {
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
