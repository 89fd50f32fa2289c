package route

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk/frame"
)

// OriginOf names a consumer group of one Kafka cluster in the packs that its members send. It is short, because
// every pack carries it. The cluster is part of it because bridges of different clusters often use one group
// name, and one of them may well ship what the other wrote; "" where the brokers do not tell.
func OriginOf(clusterID, group string) string {
	sum := sha256.Sum256([]byte("inlong-bridge\x00" + clusterID + "\x00" + group))
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}

// PackFrom says who sent a record that is itself a pack.
type PackFrom uint8

// The senders of a pack.
const (
	NoPack      PackFrom = iota // an ordinary record, or an InLongMsg without a mid: no sender of ours made it
	ForeignPack                 // another group, or a sender that does not say where its packs come from
	OwnPack                     // this group, in this process or another one
)

// WhosePack says whether a record's value is a pack, and whose. It reads lengths and attributes only, never the body, and allocates
// nothing. Callers ask frame.MayBeInLongMsg first, which is cheaper.
func WhosePack(value []byte, origin string) PackFrom {
	attr, err := frame.InLongMsgAttr(value)
	if err != nil {
		return NoPack
	}
	if _, ok := frame.Attribute(attr, frame.AttrMid); !ok {
		return NoPack
	}
	if from, ok := frame.Attribute(attr, frame.AttrOrigin); ok && string(from) == origin {
		return OwnPack
	}
	return ForeignPack
}

// Looped stops a partition at a record that this group sent itself.
func Looped(id part.ID, offset int64, value []byte) *reason.Reason {
	of := func(key string) []byte {
		attr, _ := frame.InLongMsgAttr(value) // it was read before
		v, _ := frame.Attribute(attr, key)
		return v
	}
	return part.Stop(id, reason.Loop, offset, fmt.Sprintf(
		"the record at offset %d of %s is a pack that this consumer group sent to group %s, stream %s: the topic holds the queue behind the proxies, "+
			"or a copy of it, and would be sent round for ever; hint: take topic %s out of routes, or stop what copies the queue into it",
		offset, id, of("groupId"), of("streamId"), id.Topic))
}

// LoopIn stops a partition at the first record of a batch that this group sent itself. It returns nil if there is none.
func LoopIn(id part.ID, origin string, payloads [][]byte, offsets []int64) *reason.Reason {
	for i, v := range payloads {
		if frame.MayBeInLongMsg(v) && WhosePack(v, origin) == OwnPack {
			return Looped(id, offsets[i], v)
		}
	}
	return nil
}
