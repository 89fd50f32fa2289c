package frame

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

const (
	markerV0 = 0x0f00 // markers of the versions 0 to 3 differ in their last digit

	blockMsgCreated = 8 // since version 1
	blockMsgCount   = 4 // the number of records, since version 2; in version 2 in each block too
	blockOverhead   = 2 + 4 + 1
	maxBlockAttr    = math.MaxUint16
	blockCompressed = 1
)

// BlockMsg is an InLongMsg of a version from 0 to 3. DataProxy stores text packs in the versions 1 and 3: one block for each
// set of attributes, which from DataProxy is one. Nothing writes the versions 0 and 2 any more, which InLong's reader still takes.
type BlockMsg struct {
	Version uint8
	Created int64  // milliseconds since the epoch, since version 1
	Count   uint32 // records, since version 2
	Blocks  []Block
}

// Block is the records that share their attributes. Data is as stored, a raw snappy block if Snappy is
// set: up to version 2 records as [AppendItem] makes them, in version 3 groups with a total length in front,
// of records as [AppendItemAttr] makes them.
type Block struct {
	Attr   []byte // in Java's modified UTF-8, which for ASCII is ASCII
	Count  uint32 // records, in version 2 only
	Snappy bool
	Data   []byte
}

// AppendTo appends the message to dst. It fails, and returns dst unchanged, when the version is another or
// a length has no room in its field.
func (m *BlockMsg) AppendTo(dst []byte) ([]byte, error) {
	if m.Version > 3 {
		return dst, fmt.Errorf("encoding InLongMsg of version %d: %w", m.Version, ErrNotInLongMsg)
	}
	size := blockMsgHeader(m.Version) + markerLen + len(m.Blocks)*blockMsgCount
	for i := range m.Blocks {
		blk := &m.Blocks[i]
		if len(blk.Attr) > maxBlockAttr || len(blk.Data) >= math.MaxInt32 {
			return dst, fmt.Errorf("encoding InLongMsg: %d bytes of attributes and %d of records: %w", len(blk.Attr), len(blk.Data), ErrTooLarge)
		}
		size += blockOverhead + len(blk.Attr) + len(blk.Data)
	}
	b := binary.BigEndian
	dst = slices.Grow(dst, size)
	marker := markerV0 + uint16(m.Version)
	dst = b.AppendUint16(dst, marker)
	if m.Version >= 1 {
		dst = b.AppendUint64(dst, uint64(m.Created))
	}
	if m.Version >= 2 {
		dst = b.AppendUint32(dst, m.Count)
	}
	dst = b.AppendUint32(dst, uint32(len(m.Blocks)))
	for i := range m.Blocks {
		blk := &m.Blocks[i]
		dst = b.AppendUint16(dst, uint16(len(blk.Attr)))
		dst = append(dst, blk.Attr...)
		if m.Version == 2 {
			dst = b.AppendUint32(dst, blk.Count)
		}
		dst = b.AppendUint32(dst, uint32(len(blk.Data)+1))
		compressed := byte(0)
		if blk.Snappy {
			compressed = blockCompressed
		}
		dst = append(dst, compressed)
		dst = append(dst, blk.Data...)
	}
	return b.AppendUint16(dst, marker), nil
}

// blockMsgHeader is the length of what comes before the first block.
func blockMsgHeader(version uint8) int {
	n := markerLen + 4
	if version >= 1 {
		n += blockMsgCreated
	}
	if version >= 2 {
		n += blockMsgCount
	}
	return n
}

// DecodeBlockMsg reads a message of a version from 0 to 3 as it lies in the queue. The result refers to value.
// A value of another version is ErrNotInLongMsg.
func DecodeBlockMsg(value []byte) (BlockMsg, error) {
	version, blocks, rest, err := cutBlockMsg(value)
	if err != nil {
		return BlockMsg{}, fmt.Errorf("reading InLongMsg: %w", err)
	}
	b := binary.BigEndian
	m := BlockMsg{Version: version}
	if version >= 1 {
		m.Created = int64(b.Uint64(value[markerLen:]))
	}
	if version >= 2 {
		m.Count = b.Uint32(value[markerLen+blockMsgCreated:])
	}
	m.Blocks = make([]Block, 0, min(int(blocks), len(rest)/blockOverhead))
	for range blocks {
		var blk Block
		if blk, rest, err = cutBlock(version, rest); err != nil {
			return BlockMsg{}, fmt.Errorf("reading block %d of InLongMsg: %w", len(m.Blocks), err)
		}
		m.Blocks = append(m.Blocks, blk)
	}
	if len(rest) != 0 {
		return BlockMsg{}, fmt.Errorf("reading InLongMsg: %d bytes behind the last block: %w", len(rest), ErrLength)
	}
	return m, nil
}

// blockMsgAttr is InLongMsgAttr for the versions 0 to 3: the attributes of the first block. It allocates
// nothing. It is kept out of its caller, which for version 4 is three times as fast without it.
//
//go:noinline
func blockMsgAttr(value []byte) (attr []byte, err error) {
	version, blocks, rest, err := cutBlockMsg(value)
	if err != nil {
		return nil, err
	}
	for i := range blocks {
		var blk Block
		if blk, rest, err = cutBlock(version, rest); err != nil {
			return nil, err
		}
		if i == 0 {
			attr = blk.Attr
		}
	}
	if len(rest) != 0 {
		return nil, ErrLength
	}
	return attr, nil
}

// cutBlockMsg returns a message's version, the number of its blocks, and their bytes.
func cutBlockMsg(value []byte) (version uint8, blocks uint32, rest []byte, err error) {
	b := binary.BigEndian
	if len(value) < 2*markerLen || b.Uint16(value) != b.Uint16(value[len(value)-markerLen:]) {
		return 0, 0, nil, ErrNotInLongMsg
	}
	marker := b.Uint16(value)
	if marker < markerV0 || marker > markerV0+3 {
		return 0, 0, nil, ErrNotInLongMsg
	}
	version = uint8(marker - markerV0)
	at := blockMsgHeader(version)
	if len(value) < at+markerLen {
		return 0, 0, nil, ErrNotInLongMsg
	}
	return version, b.Uint32(value[at-4:]), value[at : len(value)-markerLen : len(value)-markerLen], nil
}

// cutBlock cuts one block off the front of rest.
func cutBlock(version uint8, rest []byte) (blk Block, tail []byte, err error) {
	b := binary.BigEndian
	overhead := blockOverhead
	if version == 2 {
		overhead += blockMsgCount
	}
	if len(rest) < overhead {
		return Block{}, nil, ErrLength
	}
	n := int(b.Uint16(rest))
	if n > len(rest)-overhead {
		return Block{}, nil, ErrLength
	}
	blk.Attr, rest = rest[2:2+n:2+n], rest[2+n:]
	if version == 2 {
		blk.Count, rest = b.Uint32(rest), rest[blockMsgCount:]
	}
	size := b.Uint32(rest)
	if size == 0 || size > uint32(len(rest)-4) {
		return Block{}, nil, ErrLength
	}
	if rest[4] > blockCompressed {
		return Block{}, nil, ErrCorrupt
	}
	end := 4 + int(size)
	blk.Snappy, blk.Data = rest[4] == blockCompressed, rest[5:end:end]
	return blk, rest[end:], nil
}

// Items returns the records of all blocks, decompressed if need be, at most limit bytes of them as in
// [Pack.Items]. In version 3 a group that is itself a total length and records is read as well: that is
// what DataProxies make of packs of type 6.
func (m *BlockMsg) Items(limit int) ([]Item, error) {
	var items []Item
	for i := range m.Blocks {
		blk := &m.Blocks[i]
		data := blk.Data
		var err error
		if blk.Snappy {
			if data, err = decodeSnappy(blk.Data, limit); err != nil {
				return nil, fmt.Errorf("decompressing block of %d bytes: %w", len(blk.Data), err)
			}
		}
		if len(data) > limit {
			return nil, fmt.Errorf("reading records: block of %d bytes, limit %d: %w", len(data), limit, ErrTooLarge)
		}
		limit -= len(data)
		for rest := data; len(rest) > 0; {
			item, tail, ok := cutItem(rest)
			switch {
			case !ok:
				return nil, corruptItem(len(items), data, rest)
			case m.Version < 3:
				items = append(items, Item{Data: item})
			default:
				if items, err = appendItemGroup(items, item); err != nil {
					return nil, err
				}
			}
			rest = tail
		}
	}
	return items, nil
}

// appendItemGroup reads one group of version 3, with or without lengths of groups inside.
func appendItemGroup(items []Item, group []byte) ([]Item, error) {
	if inner, err := appendItemGroups(nil, group); err == nil {
		return append(items, inner...), nil
	}
	return appendItemsAttrs(items, group)
}
