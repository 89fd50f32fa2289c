package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/confirm"
)

// unreadableError says that a batch cannot be read, and where the next one begins.
type unreadableError struct {
	offset, next int64
	err          error
}

func (e *unreadableError) Error() string {
	return fmt.Sprintf("the batch at offset %d cannot be read: %v", e.offset, e.err)
}
func (e *unreadableError) Unwrap() error { return e.err }

// The header of a record batch in Kafka's format 2: the length counts from behind itself, the checksum covers all that
// follows it.
const (
	batchLengthAt = 8
	batchMagicAt  = 16
	batchCRCAt    = 17
	batchBodyAt   = 21
	batchLastAt   = 23 // last offset, counted from the first
	batchHeader   = 61
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// judgeBatch names the batch of raw, which was fetched from u.Next on, that the client could not read because of err. It
// returns err itself when it cannot tell: the header of a damaged batch may be damaged too, so the end that it states is
// believed only between the position and the end of the log.
func judgeBatch(raw []byte, u confirm.Unread, err error) error {
	if unfolds, ok := errors.AsType[*kgo.ErrDecompressTooLarge](err); ok {
		return believable(u, &unreadableError{unfolds.Offset, unfolds.NextOffset, err})
	}
	var first *unreadableError // the first batch that was not read yet: it is the one, unless the checksum of another is wrong
	for len(raw) >= batchHeader {
		length := int64(batchLengthAt) + 4 + int64(int32(binary.BigEndian.Uint32(raw[batchLengthAt:])))
		if raw[batchMagicAt] != 2 || length < batchHeader || length > int64(len(raw)) {
			break // an older format, or not whole
		}
		offset := int64(binary.BigEndian.Uint64(raw))
		next := offset + int64(int32(binary.BigEndian.Uint32(raw[batchLastAt:]))) + 1
		if next > u.Next.Entry { // else it was read before
			e := &unreadableError{offset, next, err}
			if crc32.Checksum(raw[batchBodyAt:length], castagnoli) != binary.BigEndian.Uint32(raw[batchCRCAt:]) {
				return believable(u, e)
			}
			if first == nil {
				first = e
			}
		}
		raw = raw[length:]
	}
	if first != nil {
		return believable(u, first)
	}
	return err
}

// believable returns e, or only its cause when e leads backwards or out of the log.
func believable(u confirm.Unread, e *unreadableError) error {
	if next := confirm.At(e.next); !u.Next.Before(next) || u.End.Before(next) {
		return e.err
	}
	return e
}

// passOver has a partition read from behind a batch that cannot be read, or says that the cluster cannot be read. It reports
// whether the partition moved.
func (c *cluster) passOver(sink confirm.Sink, u confirm.Unread, bad *unreadableError) bool {
	if against := c.passes.Next(u.Place, sink.RepairsUnseen()); against != "" {
		c.SetFault(3*confirm.RefreshAtMost, fmt.Errorf("partition %d of topic %s: %w; it is not passed over, because %s (hint: find out what writes or damages such batches; "+
			"reading goes on once the log begins behind offset %d, or the bridge is restarted)", u.Partition, u.Topic, bad, against, bad.next-1))
		return false
	}
	if !c.begin(func(p *confirm.Positions) (confirm.Start, bool) {
		return p.PassOver(u.Place, u.Life, confirm.At(bad.next))
	}) {
		return false
	}
	c.PassedOver()
	c.Log().Warn("passing over a batch of the queue that cannot be read; its packs count as unseen", "cluster", c.Name(),
		"topic", u.Topic, "partition", u.Partition, "offset", bad.offset, "next", bad.next, "err", bad.err)
	return true
}
