package frame

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// Bits of the ext_field.
const (
	ExtRecordAttrs = 0x0001 // each record carries its own attributes
	ExtTrace       = 0x0002 // DataProxy adds its address and time to the attributes
	ExtStringIDs   = 0x0004 // group and stream are in the attributes, not in the header
	ExtLF          = 0x0020 // records are separated by line feeds inside an item: a hint for consumers
)

const (
	// PackOverhead is what a type-7 frame needs beside body and attributes, length field included.
	PackOverhead = 29
	// ItemOverhead is what a record needs beside its bytes.
	ItemOverhead = 4
	// ItemAttrOverhead is what a record with attributes of its own needs beside its bytes and theirs.
	ItemAttrOverhead = 8
	// MaxCount is the most records a pack may hold: InLong's reader takes the field as signed.
	MaxCount = 32767
	// MaxAttr is the longest attribute string a reader accepts (signed 16 bit).
	MaxAttr = 32767

	// PackHeader is what of PackOverhead comes before the body.
	PackHeader = 25
	// PackTail is what of PackOverhead comes behind the body, around the attributes.
	PackTail = PackOverhead - PackHeader

	packHeader = PackHeader
)

// Pack is one type-7 frame. Body and Attr are as on the wire: Body is compressed when Snappy is set.
type Pack struct {
	GroupIDNum, StreamIDNum uint16
	Ext                     uint16
	DataTime                uint32 // event time, seconds since the epoch
	Count                   uint16
	Uniq                    uint32
	Flags                   uint8 // high three bits of the type byte; FlagSnappy among them
	Body                    []byte
	Attr                    []byte

	Better bool // AppendPack compresses more slowly, to fewer bytes; not on the wire
}

// AppendTo appends the frame, length field included, to dst. It keeps no reference to dst, Body or Attr.
//
// It writes what it is given, also what no DataProxy takes (an empty body, attributes that are not
// ASCII, a count of 0), and fails only on what the layout has no room for: then dst is returned
// unchanged. A sender's frames come from [AppendPack].
func (p *Pack) AppendTo(dst []byte) ([]byte, error) {
	if err := p.checkLayout(len(p.Body)); err != nil {
		return dst, err
	}
	dst = slices.Grow(dst, PackOverhead+len(p.Body)+len(p.Attr))
	dst = p.appendHeader(dst, len(p.Body))
	dst = append(dst, p.Body...)
	return p.appendTail(dst), nil
}

// AppendPack appends a frame made of p's header fields and attributes and of items, the uncompressed
// sequence of records; with compress the body is items as one raw snappy block, if that is shorter,
// and p.Flags and p.Body are set accordingly. p.Body refers into the returned slice.
//
// It refuses what a DataProxy would choke on: no items, a count outside of 1..MaxCount, attributes
// that are too long or not printable ASCII. Then dst is returned unchanged. When dst has
// [Room](len(items), len(p.Attr)) bytes of free capacity, nothing is allocated.
func AppendPack(dst []byte, p *Pack, items []byte, compress bool) ([]byte, error) {
	if err := p.check(len(items)); err != nil {
		return dst, err
	}

	start := len(dst)
	dst = slices.Grow(dst, Room(len(items), len(p.Attr)))
	dst = dst[:start+packHeader] // written below, when the body's length is known
	p.Flags &^= FlagSnappy
	if compress {
		if dst = appendSnappy(dst, items, p.Better); len(dst)-start-packHeader < len(items) {
			p.Flags |= FlagSnappy
		} else {
			dst = dst[:start+packHeader]
		}
	}
	if p.Flags&FlagSnappy == 0 {
		dst = append(dst, items...)
	}
	body := len(dst) - start - packHeader
	p.appendHeader(dst[:start], body)
	dst = p.appendTail(dst)
	p.Body = dst[start+packHeader : start+packHeader+body : start+packHeader+body]
	return dst, nil
}

// FinishPack makes an uncompressed frame of buf in place: [PackHeader] bytes that it writes, and behind
// them the sequence of records. What it appends takes [PackTail] bytes and the attributes; with so much
// free capacity nothing is allocated. p.Flags and p.Body are set accordingly, and p.Body refers into the
// returned slice. It refuses what AppendPack refuses; then buf is returned unchanged.
func FinishPack(buf []byte, p *Pack) ([]byte, error) {
	body := len(buf) - packHeader
	if err := p.check(body); err != nil {
		return buf, err
	}
	p.Flags &^= FlagSnappy
	p.appendHeader(buf[:0], body)
	p.Body = buf[packHeader:len(buf):len(buf)]
	return p.appendTail(buf), nil
}

// check refuses what a DataProxy would choke on, for a body of items bytes before compression.
func (p *Pack) check(items int) error {
	switch {
	case items <= 0:
		return fmt.Errorf("encoding pack: no records (DataProxy refuses an empty body); an empty record still has its %d bytes of length", ItemOverhead)
	case p.Count == 0 || p.Count > MaxCount:
		return fmt.Errorf("encoding pack: %d records, but a pack holds 1 to %d", p.Count, MaxCount)
	}
	if err := p.checkLayout(items); err != nil {
		return err
	}
	if i := notPrintable(p.Attr); i >= 0 {
		return fmt.Errorf("encoding pack: byte %d of the attributes is 0x%02x, but DataProxy closes the connection on anything but printable ASCII", i, p.Attr[i])
	}
	return nil
}

// MaxPackSize returns the largest frame that items bytes of records and attr bytes of attributes can
// become, incompressible bodies included (AppendPack never sends a body larger than items).
func MaxPackSize(items, attr int) int { return PackOverhead + items + attr }

// Room returns the free capacity with which AppendPack never allocates. It is a little more than
// [MaxPackSize], because a snappy block that turns out longer than its source is written out first.
func Room(items, attr int) int { return PackOverhead + maxSnappyLen(items) + attr }

// checkLayout says whether the frame's fields have room for flags, a body of body bytes, and attributes.
func (p *Pack) checkLayout(body int) error {
	switch {
	case p.Flags&^flagMask != 0:
		return fmt.Errorf("encoding pack: flags 0x%02x reach into the message type", p.Flags)
	case len(p.Attr) > MaxAttr:
		return fmt.Errorf("encoding pack: %d bytes of attributes: %w", len(p.Attr), ErrAttrLength)
	case body > math.MaxInt32-PackOverhead-MaxAttr:
		return fmt.Errorf("encoding pack: a body of %d bytes does not fit the length field: %w", body, ErrTooLarge)
	}
	return nil
}

func (p *Pack) appendHeader(dst []byte, body int) []byte {
	b := binary.BigEndian
	dst = b.AppendUint32(dst, uint32(PackOverhead-lengthLen+body+len(p.Attr)))
	dst = append(dst, TypePack|p.Flags)
	dst = b.AppendUint16(dst, p.GroupIDNum)
	dst = b.AppendUint16(dst, p.StreamIDNum)
	dst = b.AppendUint16(dst, p.Ext)
	dst = b.AppendUint32(dst, p.DataTime)
	dst = b.AppendUint16(dst, p.Count)
	dst = b.AppendUint32(dst, p.Uniq)
	return b.AppendUint32(dst, uint32(body))
}

func (p *Pack) appendTail(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(p.Attr)))
	dst = append(dst, p.Attr...)
	return binary.BigEndian.AppendUint16(dst, magic)
}

// DecodePack reads one whole frame, length field included. The result refers to frame.
//
// The checks come in DataProxy's order. With ErrMagic and ErrAttrLength the header fields (Uniq among
// them) are set beside the error, because DataProxy answers these with an error code; the connection is
// closed on all others. A body of no bytes and a count of 0 or above MaxCount are decoded as they are.
func DecodePack(frame []byte) (Pack, error) {
	typ, flags, err := Type(frame)
	if err != nil {
		return Pack{}, fmt.Errorf("decoding pack: %w", err)
	}
	if typ != TypePack {
		return Pack{}, fmt.Errorf("decoding pack: type %d: %w", typ, ErrType)
	}
	if len(frame) < PackOverhead {
		return Pack{}, fmt.Errorf("decoding pack: %d bytes: %w", len(frame), ErrShort)
	}
	b := binary.BigEndian
	p := Pack{
		GroupIDNum:  b.Uint16(frame[5:]),
		StreamIDNum: b.Uint16(frame[7:]),
		Ext:         b.Uint16(frame[9:]),
		DataTime:    b.Uint32(frame[11:]),
		Count:       b.Uint16(frame[15:]),
		Uniq:        b.Uint32(frame[17:]),
		Flags:       flags,
	}
	body := b.Uint32(frame[21:])
	if body > uint32(len(frame)-PackOverhead) {
		return Pack{}, fmt.Errorf("decoding pack: body of %d bytes in a frame of %d: %w", body, len(frame), ErrLength)
	}
	tail := frame[packHeader+int(body):]
	attr := int(b.Uint16(tail))
	if attr > MaxAttr {
		return p, fmt.Errorf("decoding pack: %w", ErrAttrLength)
	}
	if attr > len(tail)-4 {
		return Pack{}, fmt.Errorf("decoding pack: %d bytes of attributes where %d are left: %w", attr, len(tail)-4, ErrLength)
	}
	if b.Uint16(tail[2+attr:]) != magic {
		return p, fmt.Errorf("decoding pack: %w", ErrMagic)
	}
	if extra := len(tail) - 4 - attr; extra != 0 {
		return Pack{}, fmt.Errorf("decoding pack: %d bytes behind the magic: %w", extra, ErrLength)
	}
	p.Body = frame[packHeader : packHeader+int(body) : packHeader+int(body)]
	p.Attr = tail[2 : 2+attr : 2+attr]
	return p, nil
}

// Type returns the message type and the flags of a whole frame.
func Type(frame []byte) (typ, flags uint8, err error) {
	if len(frame) <= lengthLen {
		return 0, 0, fmt.Errorf("%d bytes: %w", len(frame), ErrShort)
	}
	if n := binary.BigEndian.Uint32(frame); uint64(n) != uint64(len(frame)-lengthLen) {
		return 0, 0, fmt.Errorf("length field says %d where %d bytes follow: %w", n, len(frame)-lengthLen, ErrLength)
	}
	return frame[lengthLen] & typeMask, frame[lengthLen] & flagMask, nil
}
