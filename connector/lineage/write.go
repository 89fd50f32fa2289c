package lineage

import (
	"encoding/base64"
	"encoding/binary"
)

// version is the lowest four bits of the first byte.
const version = 1

// Flags of the first byte.
const (
	flagRequeued = 0x10
	flagPart     = 0x20 // see Cut
)

// partRoom is how many bytes Cut may add.
const partRoom = 6

// Builder writes the lineage of a pack while the pack is filled. Its zero value is of no use; see Reset. It is not safe
// for concurrent use.
type Builder struct {
	limit   int // in bytes
	flags   byte
	cluster Cluster

	sources []writing
	table   []byte
	runs    bitWriter
	gapBits bitWriter
	written
}

// writing is a source of the pack that is being filled.
type writing struct {
	Source
	topic int   // its number among the topics
	next  int64 // the offset that a neighbour would have
}

// written is how far the pack has come: copied before an addition, and put back when that does not fit.
type written struct {
	records int
	topics  int
	runBits int
	bits    int // of gapBits
	ended   int // runs that ended
	open    run // the last one
	gaps    gaps
}

// run is records of one source that follow each other in the body.
type run struct {
	source int
	n      int
	dense  bool // all of them are neighbours, and of what the source had before: no bit tells that
}

func (r run) count() uint64 {
	if r.dense {
		return uint64(r.n-1)<<1 | 1
	}
	return uint64(r.n-1) << 1
}

func (r run) bits() int {
	if r.n == 0 {
		return 0
	}
	return nibbleBits(uint64(r.source)) + nibbleBits(r.count())
}

// Reset begins a pack whose lineage takes at most chars characters.
func (b *Builder) Reset(chars int, requeued bool) {
	*b = Builder{
		limit:   base64.RawURLEncoding.DecodedLen(chars) - partRoom,
		sources: b.sources[:0], table: b.table[:0], runs: b.runs[:0], gapBits: b.gapBits[:0],
		written: written{gaps: freshGaps}, flags: version,
	}
	if requeued {
		b.flags |= flagRequeued
	}
}

// Records returns how many records were added.
func (b *Builder) Records() int { return b.records }

// Len returns how many characters AppendTo appends now.
func (b *Builder) Len() int { return base64.RawURLEncoding.EncodedLen(b.size()) }

// size is the number of bytes, before base64.
func (b *Builder) size() int {
	runs, gapBits := b.ended, b.bits
	if b.open.n > 0 {
		runs++
	}
	if !b.open.dense && b.gaps.zeros > 0 {
		gapBits++
	}
	return 1 + len(b.cluster) + uvarintLen(uint64(len(b.sources))) + len(b.table) +
		uvarintLen(uint64(runs)) + (b.runBits+b.open.bits()+7)/8 + (gapBits+7)/8
}

// Add notes the next records of the pack, and returns how many of them fit: the pack is full when that is fewer than were given.
// A pack without records takes one, unless its limit is below the 80 characters that one may need. committed is the
// offset that is committed for the source now, or None; the first one of a source in the pack is what the pack tells.
// A pack has records of one cluster.
func (b *Builder) Add(s *Source, committed int64, offsets []int64) (n int) {
	if len(offsets) > maxRecords-b.records {
		offsets = offsets[:maxRecords-b.records]
	}
	if len(offsets) == 0 || b.records > 0 && s.Cluster != b.cluster {
		return 0
	}
	before, table, sources := b.written, len(b.table), len(b.sources)
	b.cluster = s.Cluster
	i := b.find(s)
	if i < 0 {
		i = b.enter(s, committed, offsets[0])
	}
	if i != b.open.source || b.open.n == 0 {
		b.endRun()
		b.open = run{source: i, dense: true}
	}
	n = b.addAll(&b.sources[i].next, offsets)
	if n == 0 { // not even the source or the run is told
		b.written, b.table, b.sources = before, b.table[:table], b.sources[:sources]
	}
	b.records = before.records + n
	return n
}

// addAll adds records to the open run while they fit.
func (b *Builder) addAll(next *int64, offsets []int64) (n int) {
	for step := len(offsets); n < len(offsets); {
		before := b.written
		rest := offsets[n:min(n+step, len(offsets))]
		took := neighbours(*next, rest)
		if took > 0 {
			if !b.open.dense {
				b.gaps.putZeros(&b.gapBits, &b.bits, took)
			}
		} else {
			took = 1
			if b.open.dense {
				b.open.dense = false
				b.gaps.putZeros(&b.gapBits, &b.bits, b.open.n)
			}
			b.hole(rest[0] - *next)
		}
		b.open.n += took
		if b.size() > b.limit {
			b.written = before
			if step = took / 2; step == 0 {
				break
			}
			continue
		}
		n += took
		*next = offsets[n-1] + 1
	}
	return n
}

// hole adds a record that is no neighbour.
func (b *Builder) hole(gap int64) { b.gaps.putHole(&b.gapBits, &b.bits, gap) }

// neighbours returns how many of the offsets follow each other from next on.
func neighbours(next int64, offsets []int64) (n int) {
	for n < len(offsets) && offsets[n] == next+int64(n) {
		n++
	}
	return n
}

// find returns the number of a source, or -1. Mostly it is the one that was added last.
func (b *Builder) find(s *Source) int {
	if b.open.n > 0 && b.sources[b.open.source].Source == *s {
		return b.open.source
	}
	for i := range b.sources {
		if b.sources[i].Source == *s {
			return i
		}
	}
	return -1
}

// enter adds a source to the table.
func (b *Builder) enter(s *Source, committed, first int64) int {
	topic, head := b.topics, uint64(0)
	for i := range b.sources {
		if o := &b.sources[i]; o.Topic == s.Topic && o.Named == s.Named {
			topic = o.topic
			break
		}
	}
	switch {
	case topic < b.topics:
		head = uint64(topic) + 2
	case s.Named:
		head = 1
	}
	if head <<= 1; committed >= 0 {
		head |= 1
	}
	b.table = binary.AppendUvarint(b.table, head)
	if topic == b.topics {
		b.table = append(b.table, s.Topic[:]...)
		b.topics++
	}
	b.table = binary.AppendUvarint(b.table, uint64(uint32(s.Partition)))
	b.table = binary.AppendUvarint(b.table, uint64(first))
	if committed >= 0 {
		b.table = binary.AppendUvarint(b.table, zigzag(first-committed))
	}
	b.sources = append(b.sources, writing{*s, topic, first})
	return len(b.sources) - 1
}

// endRun writes the open run down.
func (b *Builder) endRun() {
	if b.open.n == 0 {
		return
	}
	if !b.open.dense {
		b.gaps.endZeros(&b.gapBits, &b.bits)
	}
	b.runs.putNibbles(&b.runBits, uint64(b.open.source))
	b.runs.putNibbles(&b.runBits, b.open.count())
	b.ended++
	b.open = run{}
}

// AppendTo appends the lineage of the records that were added. Nothing may be added afterwards.
func (b *Builder) AppendTo(dst []byte) []byte {
	b.endRun()
	var room [(MaxChars*3 + 3) / 4]byte
	raw := append(room[:0], b.flags)
	raw = append(raw, b.cluster[:]...)
	raw = binary.AppendUvarint(raw, uint64(len(b.sources)))
	raw = append(raw, b.table...)
	raw = binary.AppendUvarint(raw, uint64(b.ended))
	raw = append(raw, b.runs.bytes(b.runBits)...)
	raw = append(raw, b.gapBits.bytes(b.bits)...)
	return base64.RawURLEncoding.AppendEncode(dst, raw)
}
