package confirm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// A batch of the queue may be damaged, or unfold to more than there is memory for. To wait for it would stop the
// reading of its partition for ever. So it is passed over: what it held counts as unseen, and is sent again if it
// was ours. Two things end that, because sending again does not: many such batches in a row, and another one while
// packs that were sent again have not been seen, which may lie in it. Then the cluster counts as one that
// cannot be read, and nothing in it is given up.

const (
	// defaultUnfold bounds what a compressed batch may unfold to. A pack has at most 20 MiB.
	defaultUnfold = 64 << 20
	// maxPasses is how many batches in a row of one partition are passed over.
	maxPasses = 10
)

// unreadableError is a batch that cannot be read, and where the one behind it begins.
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

// judgeBatch says which batch of raw, fetched from u.Next on, the client could not read because of err. It returns err as
// it is when that cannot be told: the header of a damaged batch may be damaged too, so its end is believed only
// between the position and the end of the log.
func judgeBatch(raw []byte, u Unread, err error) error {
	if unfolds, ok := errors.AsType[*kgo.ErrDecompressTooLarge](err); ok {
		return believable(u, &unreadableError{unfolds.Offset, unfolds.NextOffset, err})
	}
	var suspect *unreadableError // the first that was not read before: the one, unless another is damaged
	for len(raw) >= batchHeader {
		length := int64(batchLengthAt) + 4 + int64(int32(binary.BigEndian.Uint32(raw[batchLengthAt:])))
		if raw[batchMagicAt] != 2 || length < batchHeader || length > int64(len(raw)) {
			break // of an older format, or not whole
		}
		first := int64(binary.BigEndian.Uint64(raw))
		next := first + int64(int32(binary.BigEndian.Uint32(raw[batchLastAt:]))) + 1
		if next > u.Next.Entry { // else it was read before
			e := &unreadableError{first, next, err}
			if crc32.Checksum(raw[batchBodyAt:length], castagnoli) != binary.BigEndian.Uint32(raw[batchCRCAt:]) {
				return believable(u, e)
			}
			if suspect == nil {
				suspect = e
			}
		}
		raw = raw[length:]
	}
	if suspect != nil {
		return believable(u, suspect)
	}
	return err
}

// believable returns e, or its cause when it would lead backwards or out of the log.
func believable(u Unread, e *unreadableError) error {
	if next := At(e.next); !u.Next.before(next) || u.End.before(next) {
		return e.err
	}
	return e
}

// passes counts what was passed over in a row, by partition.
type passes struct {
	mu  sync.Mutex
	row map[Place]int // guarded by mu
	any bool          // guarded by mu; something was passed over
}

// end notes that something of a partition was read.
func (p *passes) end(at Place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.row, at)
}

// next counts one more, unless there is a reason against it.
func (p *passes) next(at Place, repairsUnseen int) (against string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.row[at] >= maxPasses:
		return fmt.Sprintf("the %d batches before it could not be read either", maxPasses)
	case p.any && repairsUnseen > 0:
		return fmt.Sprintf("%d packs that were sent again have not been seen and may lie in it", repairsUnseen)
	}
	if p.row == nil {
		p.row = make(map[Place]int)
	}
	p.row[at]++
	p.any = true
	return ""
}

// passOver has a partition read from behind a batch that cannot be read, or says that the cluster cannot be. It reports
// whether the partition moved.
func (c *kafkaCluster) passOver(sink Sink, u Unread, bad *unreadableError) bool {
	if against := c.passes.next(u.Place, sink.RepairsUnseen()); against != "" {
		c.setFault(3*refreshAtLeast, fmt.Errorf("partition %d of topic %s: %w; it is not passed over, because %s (hint: find out what writes or damages such batches; "+
			"the partition is read on once the log begins behind offset %d, or the bridge is restarted)", u.Partition, u.Topic, bad, against, bad.next-1))
		return false
	}
	c.r.startsMu.Lock()
	s, ok := c.r.pos.PassOver(u.Place, u.Life, At(bad.next))
	if ok {
		c.start([]Start{s})
	}
	c.r.startsMu.Unlock()
	if !ok {
		return false
	}
	c.passed.Add(1)
	c.r.log.Warn("a batch of the queue cannot be read and is passed over; what it held counts as unseen", "cluster", c.cluster,
		"topic", u.Topic, "partition", u.Partition, "offset", bad.offset, "next", bad.next, "err", bad.err)
	return true
}
