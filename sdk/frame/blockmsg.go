package frame

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

const (
	markerV1 = 0x0f01
	markerV3 = 0x0f03

	blockMsgHeader  = markerLen + 8 + 4 // up to the first block, in version 1
	blockMsgCount   = 4                 // the number of records, in version 3 only
	blockOverhead   = 2 + 4 + 1
	maxBlockAttr    = math.MaxUint16
	blockCompressed = 1
)

// BlockMsg is an InLongMsg of version 1 or 3, in which DataProxy stores text packs: one block for each
// set of attributes, which from DataProxy is one.
type BlockMsg struct {
	Version uint8
	Created int64  // milliseconds since the epoch
	Count   uint32 // records, in version 3 only
	Blocks  []Block
}

// Block is the records that share their attributes. Data is as stored, a raw snappy block if Snappy is
// set: in version 1 records as [AppendItem] makes them, in version 3 groups with a total length in front,
// of records as [AppendItemAttr] makes them.
type Block struct {
	Attr   []byte // in Java's modified UTF-8, which for ASCII is ASCII
	Snappy bool
	Data   []byte
}

// AppendTo appends the message to dst. It fails, and returns dst unchanged, when the version is another or
// a length has no room in its field.
func (m *BlockMsg) AppendTo(dst []byte) ([]byte, error) {
	marker, header := uint16(markerV1), blockMsgHeader
	switch m.Version {
	case 1:
	case 3:
		marker, header = markerV3, blockMsgHeader+blockMsgCount
	default:
		return dst, fmt.Errorf("encoding InLongMsg of version %d: %w", m.Version, ErrNotInLongMsg)
	}
	size := header + markerLen
	for i := range m.Blocks {
		blk := &m.Blocks[i]
		if len(blk.Attr) > maxBlockAttr || len(blk.Data) >= math.MaxInt32 {
			return dst, fmt.Errorf("encoding InLongMsg: %d bytes of attributes and %d of records: %w", len(blk.Attr), len(blk.Data), ErrTooLarge)
		}
		size += blockOverhead + len(blk.Attr) + len(blk.Data)
	}
	b := binary.BigEndian
	dst = slices.Grow(dst, size)
	dst = b.AppendUint16(dst, marker)
	dst = b.AppendUint64(dst, uint64(m.Created))
	if m.Version == 3 {
		dst = b.AppendUint32(dst, m.Count)
	}
	dst = b.AppendUint32(dst, uint32(len(m.Blocks)))
	for i := range m.Blocks {
		blk := &m.Blocks[i]
		dst = b.AppendUint16(dst, uint16(len(blk.Attr)))
		dst = append(dst, blk.Attr...)
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

// DecodeBlockMsg reads a message of version 1 or 3 as it lies in the queue. The result refers to value.
// A value of another version is ErrNotInLongMsg.
func DecodeBlockMsg(value []byte) (BlockMsg, error) {
	version, blocks, rest, err := cutBlockMsg(value)
	if err != nil {
		return BlockMsg{}, fmt.Errorf("reading InLongMsg: %w", err)
	}
	b := binary.BigEndian
	m := BlockMsg{Version: version, Created: int64(b.Uint64(value[markerLen:]))}
	if version == 3 {
		m.Count = b.Uint32(value[markerLen+8:])
	}
	m.Blocks = make([]Block, 0, min(int(blocks), len(rest)/blockOverhead))
	for range blocks {
		var blk Block
		if blk, rest, err = cutBlock(rest); err != nil {
			return BlockMsg{}, fmt.Errorf("reading block %d of InLongMsg: %w", len(m.Blocks), err)
		}
		m.Blocks = append(m.Blocks, blk)
	}
	if len(rest) != 0 {
		return BlockMsg{}, fmt.Errorf("reading InLongMsg: %d bytes behind the last block: %w", len(rest), ErrLength)
	}
	return m, nil
}

// blockMsgAttr is InLongMsgAttr for the versions 1 and 3: the attributes of the first block. It allocates
// nothing. It is kept out of its caller, which for version 4 is three times as fast without it.
//
//go:noinline
func blockMsgAttr(value []byte) (attr []byte, err error) {
	_, blocks, rest, err := cutBlockMsg(value)
	if err != nil {
		return nil, err
	}
	for i := range blocks {
		var blk Block
		if blk, rest, err = cutBlock(rest); err != nil {
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
	if len(value) < blockMsgHeader+markerLen {
		return 0, 0, nil, ErrNotInLongMsg
	}
	b := binary.BigEndian
	marker, at := b.Uint16(value), blockMsgHeader
	switch {
	case marker != b.Uint16(value[len(value)-markerLen:]):
		return 0, 0, nil, ErrNotInLongMsg
	case marker == markerV1:
		version = 1
	case marker == markerV3 && len(value) >= blockMsgHeader+blockMsgCount+markerLen:
		version, at = 3, blockMsgHeader+blockMsgCount
	default:
		return 0, 0, nil, ErrNotInLongMsg
	}
	return version, b.Uint32(value[at-4:]), value[at : len(value)-markerLen : len(value)-markerLen], nil
}

// cutBlock cuts one block off the front of rest.
func cutBlock(rest []byte) (blk Block, tail []byte, err error) {
	b := binary.BigEndian
	if len(rest) < blockOverhead {
		return Block{}, nil, ErrLength
	}
	n := int(b.Uint16(rest))
	if n > len(rest)-blockOverhead {
		return Block{}, nil, ErrLength
	}
	blk.Attr, rest = rest[2:2+n:2+n], rest[2+n:]
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
			case m.Version == 1:
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
