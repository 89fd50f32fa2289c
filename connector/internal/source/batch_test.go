package source

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// logBatch is a batch of n records as it lies in a log, with values that no compression makes smaller.
func logBatch(t testing.TB, base int64, n int, codec kgo.CompressionCodec) []byte {
	t.Helper()
	var body []byte
	for i := range n {
		r := kmsg.Record{OffsetDelta: int32(i), Value: fmt.Appendf(nil, "%d", base+int64(i))}
		r.Length = int32(len(r.AppendTo(nil)) - 1)
		body = r.AppendTo(body)
	}
	return sealBatch(t, base, n, codec, body, 0)
}

func sealBatch(t testing.TB, base int64, n int, codec kgo.CompressionCodec, body []byte, attributes int16) []byte {
	t.Helper()
	comp, err := kgo.DefaultCompressor(codec)
	if err != nil {
		t.Fatal(err)
	}
	if comp != nil {
		var out bytes.Buffer
		packed, kind := comp.Compress(&out, body)
		body, attributes = bytes.Clone(packed), attributes|int16(kind)
	}
	b := kmsg.RecordBatch{
		FirstOffset: base, PartitionLeaderEpoch: 3, Magic: 2, Attributes: attributes, LastOffsetDelta: int32(n - 1), FirstTimestamp: 1_700_000_000_000,
		MaxTimestamp: 1_700_000_000_777, ProducerID: 42, NumRecords: int32(n), Records: body,
	}
	return seal(b.AppendTo(nil))
}

// seal puts length and checksum of a batch right.
func seal(raw []byte) []byte {
	binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-lengthEnd))
	binary.BigEndian.PutUint32(raw[17:], crc32.Checksum(raw[21:], castagnoli))
	return raw
}

// broken spoils the compressed records of a batch, under a right checksum.
func broken(raw []byte) []byte {
	for i := headerSize; i < len(raw); i++ {
		raw[i] ^= 0xa5
	}
	return seal(raw)
}

func unfold() kgo.Decompressor { return kgo.DefaultDecompressor() }

func look(t testing.TB, raw []byte, offset, high int64) *Batch {
	t.Helper()
	b, need, err := examine(raw, maxBytes, offset, high, unfold())
	if err != nil || need > 0 {
		t.Fatalf("examine at %d: %d bytes needed, error %v", offset, need, err)
	}
	if b != nil && b.Why == "" {
		return nil
	}
	return b
}

func TestSoundBatchesCanBeRead(t *testing.T) {
	for _, codec := range []kgo.CompressionCodec{kgo.NoCompression(), kgo.GzipCompression(), kgo.SnappyCompression(), kgo.Lz4Compression(), kgo.ZstdCompression()} {
		raw := logBatch(t, 100, 7, codec)
		for offset := int64(100); offset < 107; offset++ {
			if b := look(t, raw, offset, 107); b != nil {
				t.Errorf("codec %v, from %d: %s", codec, offset, b.Why)
			}
		}
	}
	if b := look(t, nil, 100, 100); b != nil {
		t.Errorf("the end of the log: %+v", b)
	}
}

func TestBrokenBatchIsNamedWithItsRange(t *testing.T) {
	next := logBatch(t, 107, 3, kgo.NoCompression())
	for name, tt := range map[string]struct {
		raw        []byte
		offset     int64
		high       int64
		base, next int64
		why        string
		empty      bool
		untimed    bool
	}{
		"compression": {raw: broken(logBatch(t, 100, 7, kgo.ZstdCompression())), offset: 100, high: 107, base: 100, next: 107, why: "decompress"},
		"from within": {raw: broken(logBatch(t, 100, 7, kgo.ZstdCompression())), offset: 104, high: 110, base: 100, next: 107, why: "decompress"},
		"unknown codec": {raw: func() []byte {
			raw := logBatch(t, 100, 7, kgo.NoCompression())
			raw[22] |= 6
			return seal(raw)
		}(), offset: 100, high: 107, base: 100, next: 107, why: "compression"},
		"checksum": {raw: func() []byte {
			raw := logBatch(t, 100, 7, kgo.NoCompression())
			raw[len(raw)-1]++
			return append(raw, next...)
		}(), offset: 100, high: 110, base: 100, next: 107, why: "crc", untimed: true},
		"checksum of the last": {raw: func() []byte {
			raw := logBatch(t, 100, 7, kgo.NoCompression())
			raw[len(raw)-1]++
			return raw
		}(), offset: 100, high: 107, base: 100, next: 107, why: "crc", untimed: true},
		"a wrong end, up": {raw: func() []byte { // would skip the batch behind it
			raw := logBatch(t, 100, 7, kgo.NoCompression())
			raw[26] = 200
			return append(raw, next...)
		}(), offset: 100, high: 110, base: 100, next: 107, why: "crc", untimed: true},
		"a wrong end, of the last": {raw: func() []byte {
			raw := logBatch(t, 100, 7, kgo.NoCompression())
			raw[26] = 200
			return raw
		}(), offset: 100, high: 107, base: 100, next: -1, why: "crc", untimed: true},
		"checksum of the last of a segment": {raw: func() []byte {
			raw := logBatch(t, 100, 7, kgo.NoCompression())
			raw[len(raw)-1]++
			return raw
		}(), offset: 100, high: 300, base: 100, next: 107, why: "crc", untimed: true},
		"a version of the future": {raw: func() []byte { // kgo goes on one offset further
			raw := logBatch(t, 100, 1, kgo.NoCompression())
			raw[magicAt] = 9
			return append(raw, logBatch(t, 101, 3, kgo.NoCompression())...)
		}(), offset: 100, high: 104, base: 100, next: 101, why: "magic", untimed: true},
		"a malformed record": {raw: func() []byte {
			raw := logBatch(t, 100, 7, kgo.NoCompression())
			raw[len(raw)-5] = 0x7e // the value is longer than the record
			return append(seal(raw), next...)
		}(), offset: 100, high: 110, base: 100, next: 107, why: "malformed"},
		"a control batch": {raw: sealBatch(t, 100, 1, kgo.NoCompression(), nil, control), offset: 100, high: 101, base: 100, next: 101, why: "no record bytes", empty: true},
		"two broken neighbours": {raw: func() []byte {
			raw, other := logBatch(t, 100, 7, kgo.NoCompression()), bytes.Clone(next)
			raw[len(raw)-1]++
			other[len(other)-1]++
			return append(raw, other...)
		}(), offset: 100, high: 110, base: 100, next: 107, why: "crc", untimed: true},
		"two that disagree": {raw: func() []byte {
			raw, other := logBatch(t, 100, 7, kgo.NoCompression()), bytes.Clone(next)
			raw[26] = 200
			other[len(other)-1]++
			return append(raw, other...)
		}(), offset: 100, high: 310, base: 100, next: -1, why: "crc", untimed: true},
		"a wrong length": {raw: func() []byte {
			raw := logBatch(t, 100, 7, kgo.NoCompression())
			raw[9] = 0x10
			return raw
		}(), offset: 100, high: 107, base: 100, next: -1, why: "the broker returns", untimed: true},
		"behind the end": {raw: broken(logBatch(t, 100, 7, kgo.ZstdCompression())), offset: 100, high: 103, base: 100, next: -1, why: "decompress"},
	} {
		t.Run(name, func(t *testing.T) {
			b := look(t, tt.raw, tt.offset, tt.high)
			if b == nil {
				t.Fatal("it can be read")
			}
			if b.Base != tt.base || b.Next != tt.next || !strings.Contains(b.Why, tt.why) || b.Empty != tt.empty || b.Time.IsZero() != tt.untimed {
				t.Errorf("covers [%d, %d), empty: %v, time %v, because %q\nwant [%d, %d), empty: %v, %q", b.Base, b.Next, b.Empty, b.Time, b.Why, tt.base, tt.next, tt.empty, tt.why)
			}
			if !tt.untimed && !b.Time.Equal(time.UnixMilli(1_700_000_000_777)) {
				t.Errorf("time %v, want that of the newest record", b.Time)
			}
		})
	}
}

// However a batch is damaged, what is passed over is never more than that batch.
func TestDamageNeverReachesIntoTheNextBatch(t *testing.T) {
	flip := func(raw []byte, bit int) { raw[bit/8] ^= 1 << (bit % 8) }
	first, second, third := logBatch(t, 100, 2, kgo.NoCompression()), logBatch(t, 102, 2, kgo.NoCompression()), logBatch(t, 104, 2, kgo.NoCompression())
	log := append(append(bytes.Clone(first), second...), third...)
	judged := 0
	check := func(raw []byte, bits ...int) {
		for _, bit := range bits {
			flip(raw, bit)
		}
		for _, asked := range []int{maxBytes, len(first)} {
			b, need, err := examine(raw[:min(asked, len(raw))], asked, 100, 106, unfold())
			if err != nil || need > 0 || b == nil || b.Why == "" {
				continue
			}
			if judged++; b.Next > 102 {
				t.Errorf("bits %v: passes up to %d, want 102 at most: %s", bits, b.Next, b.Why)
			}
		}
		for _, bit := range bits {
			flip(raw, bit)
		}
	}
	for a := range len(first) * 8 {
		check(log, a)
		check(log[:len(first)], a)
	}
	for _, a := range []int{0, 8 * 26, 8*26 + 3, 8*23 + 1, 8*len(first) - 2} { // and the one behind it too
		for b := 8 * 8; b < len(second)*8; b++ { // not its offset: it would be read, under another one
			check(log, a, 8*len(first)+b)
		}
	}
	if judged < 500 {
		t.Errorf("only %d damaged batches were judged", judged)
	}
}

func TestMoreIsAskedForUntilTheEndIsKnown(t *testing.T) {
	raw := logBatch(t, 100, 7, kgo.NoCompression())
	raw[len(raw)-1]++
	if _, need, err := examine(raw, len(raw), 100, 110, unfold()); err != nil || need <= len(raw) {
		t.Errorf("%d bytes are needed, error %v: want more than %d, the next batch is not there", need, err, len(raw))
	}
	next := logBatch(t, 108, 3, kgo.NoCompression()) // where the two disagree, its checksum counts
	if _, need, err := examine(append(bytes.Clone(raw), next[:40]...), len(raw)+40, 100, 111, unfold()); err != nil || need <= len(raw)+len(next) {
		t.Errorf("%d bytes are needed, error %v: want more than %d, the next batch is cut off", need, err, len(raw)+len(next))
	}
}

func TestOnlyTheBatchOfAnAbortedTransactionIsAborted(t *testing.T) {
	list := []kmsg.FetchResponseTopicPartitionAbortedTransaction{{ProducerID: 42, FirstOffset: 90}, {ProducerID: 43, FirstOffset: 10}}
	for _, tt := range []struct {
		h    header
		want bool
	}{
		{header{producer: 42, base: 100}, true}, {header{producer: 42, base: 90}, true}, {header{producer: 42, base: 80}, false}, {header{producer: 44, base: 100}, false},
	} {
		if got := abortedIn(list, tt.h); got != tt.want {
			t.Errorf("producer %d at %d is aborted: %v, want %v", tt.h.producer, tt.h.base, got, tt.want)
		}
	}
}

// FuzzExamine: a batch is passed over only from the offset that was asked for on, and never behind the log's end; its bytes are the log's.
func FuzzExamine(f *testing.F) {
	sound := logBatch(f, 100, 3, kgo.NoCompression())
	for _, raw := range [][]byte{
		nil, sound, broken(logBatch(f, 100, 3, kgo.GzipCompression())), append(broken(bytes.Clone(sound)), logBatch(f, 103, 1, kgo.NoCompression())...), sound[:30],
		binary.BigEndian.AppendUint32(make([]byte, 8), math.MaxUint32),
	} {
		f.Add(raw, int64(100), int64(104), 1000)
	}
	f.Fuzz(func(t *testing.T, raw []byte, offset, high int64, asked int) {
		if offset < 0 || high < offset {
			return
		}
		b, need, err := examine(raw, asked, offset, high, unfold())
		if b == nil || b.Why == "" {
			return
		}
		if err != nil || need > 0 {
			t.Fatalf("a batch, %d bytes needed and error %v", need, err)
		}
		if b.Next != -1 && (b.Base > offset || b.Base < 0 || b.Next <= offset || b.Next > high || !bytes.HasPrefix(raw, b.Raw) || len(b.Raw) == 0) {
			t.Fatalf("covers [%d, %d) with %d bytes, looked at from %d below %d", b.Base, b.Next, len(b.Raw), offset, high)
		}
	})
}
