package kafka

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/confirm"
)

// batchAt is a batch of n empty records from an offset on.
func batchAt(first int64, n int, damaged bool) []byte {
	b := kmsg.RecordBatch{FirstOffset: first, Magic: 2, LastOffsetDelta: int32(n - 1), NumRecords: int32(n), Records: []byte("records")}
	raw := b.AppendTo(nil)
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], castagnoli))
	if damaged {
		raw[len(raw)-1] ^= 1
	}
	return raw
}

func TestDamagedBatchIsFoundByItsChecksum(t *testing.T) {
	cause := errors.New("cannot be decoded")
	join := func(all ...[]byte) (out []byte) {
		for _, b := range all {
			out = append(out, b...)
		}
		return out
	}
	long := batchAt(10, 5, true)
	binary.BigEndian.PutUint32(long[23:], 1<<30) // its end is damaged too
	back := batchAt(10, 5, true)
	binary.BigEndian.PutUint32(back[23:], 0x80000000)
	for _, tt := range []struct {
		name string
		raw  []byte
		err  error
		next int64 // 0: nobody can tell
	}{
		{"the only one", batchAt(10, 5, true), cause, 15},
		{"behind one that was read", join(batchAt(5, 5, false), batchAt(10, 5, true)), cause, 15},
		{"behind one without records", join(batchAt(10, 2, false), batchAt(12, 5, true)), cause, 17},
		{"the checksum is right, and it cannot be decoded", join(batchAt(10, 5, false), batchAt(15, 5, false)), cause, 15},
		{"leads out of the log", long, cause, 0},
		{"leads backwards", back, cause, 0},
		{"cut off", batchAt(10, 5, true)[:64], cause, 0},
		{"nothing", nil, cause, 0},
		{"unfolds to too much", nil, &kgo.ErrDecompressTooLarge{Offset: 10, NextOffset: 14}, 14},
		{"unfolds to too much, beyond the end", nil, &kgo.ErrDecompressTooLarge{Offset: 10, NextOffset: 99}, 0},
	} {
		err := judgeBatch(tt.raw, confirm.Unread{Next: confirm.At(10), End: confirm.At(30)}, tt.err)
		next := int64(0)
		if bad, ok := errors.AsType[*unreadableError](err); ok {
			next = bad.next
		}
		if next != tt.next || !errors.Is(err, tt.err) {
			t.Errorf("%s: judgeBatch = %v, next %d; want next %d and the cause", tt.name, err, next, tt.next)
		}
	}
}

// Whatever a broker sends: the end of a batch that is passed over lies behind the position and within the log.
func FuzzJudgeBatch(f *testing.F) {
	f.Add(batchAt(10, 5, true), int64(10), int64(30))
	f.Add(append(batchAt(5, 5, false), batchAt(10, 5, true)...), int64(10), int64(30))
	f.Add(make([]byte, 61), int64(0), int64(1))
	f.Fuzz(func(t *testing.T, raw []byte, next, end int64) {
		bad, ok := errors.AsType[*unreadableError](judgeBatch(raw, confirm.Unread{Next: confirm.At(next), End: confirm.At(end)}, errors.New("x")))
		if !ok {
			return
		}
		if bad.next <= next || bad.next > end {
			t.Fatalf("passes from %d to %d of a log that ends at %d", next, bad.next, end)
		}
	})
}
