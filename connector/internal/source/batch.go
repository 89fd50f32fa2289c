package source

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Batch is a record batch as it lies in the log.
type Batch struct {
	Base  int64     // first offset, as its header says
	Next  int64     // offset after its last one; -1 if the log does not say where it ends
	Empty bool      // it holds no records for a reader: it was aborted, or it is a control batch
	Time  time.Time // of its newest record, zero if its header cannot be believed
	Codec string
	Why   string // it cannot be read, "" for one that can be
	Raw   []byte
}

// Layout of a batch: base offset (8), length of what follows (4), leader epoch (4), magic (1), and in version 2 checksum (4), attributes
// (2), last offset delta (4), first and newest timestamp (8 each), producer id (8), epoch (2) and sequence (4), number of records (4). The checksum covers what comes after it, so it
// vouches for the delta, and for neither base offset, length nor magic.
const (
	lengthEnd   = 12
	magicAt     = 16
	headerSize  = 61
	transaction = 1 << 4
	control     = 1 << 5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is the head of a batch.
type header struct {
	size       int // of the whole batch, 0 if its bytes do not say
	magic      byte
	base, next int64 // next is -1 if unknown
	sound      bool  // all of it is there, and the checksum holds
	counts     bool  // it says twice how many offsets it has, and both say the same
	attributes int16
	oldest     int64 // time of its first record
	newest     int64
	producer   int64
}

// headerOf reads the head of the batch with which raw begins. ok is false where raw is too short to tell.
func headerOf(raw []byte) (h header, ok bool) {
	if len(raw) <= magicAt {
		return h, false
	}
	h.base, h.next, h.magic = int64(binary.BigEndian.Uint64(raw)), -1, raw[magicAt]
	if n := int64(int32(binary.BigEndian.Uint32(raw[8:]))); n > magicAt-lengthEnd && n <= math.MaxInt32-lengthEnd {
		h.size = int(n) + lengthEnd
	}
	switch {
	case h.magic < 2: // the offset is that of the last record
		if h.base >= 0 && h.base < math.MaxInt64 {
			h.next = h.base + 1
		}
	case len(raw) >= headerSize && h.size >= headerSize:
		h.attributes = int16(binary.BigEndian.Uint16(raw[21:]))
		h.oldest, h.newest, h.producer = int64(binary.BigEndian.Uint64(raw[27:])), int64(binary.BigEndian.Uint64(raw[35:])), int64(binary.BigEndian.Uint64(raw[43:]))
		if delta := int64(int32(binary.BigEndian.Uint32(raw[23:]))); delta >= 0 && h.base >= 0 && h.base < math.MaxInt64-delta {
			h.next, h.counts = h.base+delta+1, delta+1 == int64(int32(binary.BigEndian.Uint32(raw[57:])))
		}
		h.sound = h.magic == 2 && h.size <= len(raw) && crc32.Checksum(raw[21:h.size], castagnoli) == binary.BigEndian.Uint32(raw[17:])
	}
	return h, true
}

// codec names the compression of a batch.
func (h *header) codec() string {
	names := []string{"none", "gzip", "snappy", "lz4", "zstd"}
	if i := int(h.attributes & 7); h.magic >= 2 && i < len(names) {
		return names[i]
	}
	return "unknown"
}

// examine looks at the first batch of what a broker returned for an offset, when it was asked for so many bytes; high is the high watermark of the
// same answer. It returns nil where there is no batch. need is not 0 where the answer is too short to tell where the batch ends: it is how
// much to ask for.
func examine(raw []byte, asked int, offset, high int64, unfold kgo.Decompressor) (b *Batch, need int, err error) {
	if len(raw) == 0 {
		return nil, 0, nil
	}
	h, ok := headerOf(raw)
	if !ok || h.size == 0 || h.size > len(raw) { // brokers return the first batch whole, however large it is
		return &Batch{Base: offset, Next: -1, Codec: "unknown", Why: fmt.Sprintf("its header says that it has %d bytes, and the broker returns %d", h.size, len(raw))}, 0, nil
	}
	first, rest := raw[:h.size], raw[h.size:]
	if h.next >= 0 && h.next <= offset && h.sound {
		return nil, 0, fmt.Errorf("the broker returns a batch that ends before offset %d", offset)
	}
	b = &Batch{Base: offset, Next: h.next, Codec: h.codec(), Why: unreadable(first, h, offset, unfold), Raw: first}
	if h.base >= 0 && h.base < offset && h.magic >= 2 {
		b.Base = h.base
	}
	if h.sound {
		b.Time = time.UnixMilli(h.newest)
		b.Empty = h.attributes&control != 0
	} else if b.Why == "" {
		return b, 0, nil // of version 0 or 1
	} else if b.Next, need = endOf(h, rest, h.size >= asked); need > 0 {
		return nil, need, nil
	}
	if b.Next <= offset || b.Next > high || b.Next-b.Base > math.MaxInt32 {
		b.Next = -1
	}
	return b, 0, nil
}

// endOf says where a batch ends whose checksum does not hold: where it says so, but never behind the beginning of the next one, which a
// wrong header would skip. The end is -1 where that is not known; need is how much of the log tells it. cut says that more
// may follow than was asked for.
func endOf(h header, rest []byte, cut bool) (next int64, need int) {
	if len(rest) == 0 {
		switch {
		case cut:
			return -1, h.size + maxBytes
		case h.counts: // the last one, of the log or of its segment
			return h.next, 0
		}
		return -1, 0
	}
	follows, ok := headerOf(rest)
	if !ok {
		return -1, h.size + maxBytes
	}
	switch {
	case follows.sound && (h.next < 0 || follows.base < h.next):
		return follows.base, 0
	case h.next >= 0 && (follows.sound || follows.base == h.next):
		return h.next, 0
	case follows.size > len(rest): // cut off
		return -1, h.size + follows.size + maxBytes
	}
	return -1, 0
}

// unreadable says why a batch cannot be read, "" if it can.
func unreadable(raw []byte, h header, offset int64, unfold kgo.Decompressor) string {
	fp, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: offset, IsolationLevel: kgo.ReadUncommitted(), KeepControlRecords: true,
	}, &kmsg.FetchResponseTopicPartition{RecordBatches: raw}, unfold, nil)
	switch {
	case errors.Is(fp.Err, kgo.ErrMaxDecompress):
		return "it unfolds to more than memory.budget allows"
	case fp.Err != nil:
		return fp.Err.Error()
	case next < h.next:
		return fmt.Sprintf("a record behind offset %d is malformed", next-1)
	case next <= offset:
		return "it is cut off"
	}
	return ""
}
