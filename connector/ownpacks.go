package connector

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"

	"inlong-bridge/connector/internal/part"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk/frame"
)

// originOf names a consumer group of one Kafka cluster in the packs that its members send. It is short, because
// every pack carries it. The cluster is part of it because bridges of different clusters often use one group
// name, and one of them may well ship what the other wrote; "" where the brokers do not tell.
func originOf(clusterID, group string) string {
	sum := sha256.Sum256([]byte("inlong-bridge\x00" + clusterID + "\x00" + group))
	return base64.RawURLEncoding.EncodeToString(sum[:6])
}

// packFrom says who sent a record that is a pack.
type packFrom uint8

const (
	noPack      packFrom = iota // an ordinary record, or an InLongMsg without a mid: no sender of ours made it
	foreignPack                 // another group, or a sender that does not say where its packs come from
	ownPack                     // this group, in this process or another one
)

// whosePack looks at a record's value by lengths; it never opens a body and allocates nothing. It is asked only
// when frame.MayBeInLongMsg does not say no.
func whosePack(value []byte, origin string) packFrom {
	attr, err := frame.InLongMsgAttr(value)
	if err != nil {
		return noPack
	}
	if _, ok := frame.Attribute(attr, frame.AttrMid); !ok {
		return noPack
	}
	if from, ok := frame.Attribute(attr, frame.AttrOrigin); ok && string(from) == origin {
		return ownPack
	}
	return foreignPack
}

// looped is the reason that stops a partition at a record that this group sent itself.
func looped(id part.ID, offset int64, value []byte) *reason.Reason {
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

// loopIn returns why a partition stops at the first record of a batch that this group sent itself, nil for none.
func loopIn(id part.ID, origin string, payloads [][]byte, offsets []int64) *reason.Reason {
	for i, v := range payloads {
		if frame.MayBeInLongMsg(v) && whosePack(v, origin) == ownPack {
			return looped(id, offsets[i], v)
		}
	}
	return nil
}

// foreign judges a record that may be a pack: it returns the reason to stop at a pack of this group, and counts one of
// somebody else.
func (s *splitter) foreign(rec *kgo.Record) *reason.Reason {
	switch whosePack(rec.Value, s.origin) {
	case ownPack:
		return looped(part.ID{Topic: rec.Topic, Num: rec.Partition}, rec.Offset, rec.Value)
	case foreignPack:
		s.packs++
	case noPack:
	}
	return nil
}

// tookPacks counts records of a topic that are packs of somebody else, and tells of the first.
func (b *Bridge) tookPacks(topic string, n int64) {
	if n == 0 {
		return
	}
	if b.counters.packs.add(topic, uint64(n)) {
		b.log.Warn("the topic holds packs that another bridge or sender wrote; they are moved as records like any other, so that readers find packs inside packs",
			"topic", topic, "hint", "if that is not wanted, take the topic out of routes")
	}
}
