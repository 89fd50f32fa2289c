package frame

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

const (
	// TextOverhead is what a text frame (types 2 to 6) needs beside body and attributes, length field included.
	TextOverhead = 13

	textHeader = 9 // up to the body

	attrCompress = "cp" // its value does not matter: a text body is compressed when there is one
	attrSnappy   = "cp=snappy"
	attrKind     = "mt" // pb: the body is not lines, and DataProxy leaves its end alone
	kindBinary   = "pb"
)

// TextPack is one frame of the types 2 to 6. Body and Attr are as on the wire: Body is compressed when
// Compressed says so.
type TextPack struct {
	Type  uint8
	Flags uint8 // high three bits of the type byte, which mean nothing here
	Body  []byte
	Attr  []byte

	Better bool // AppendTextPack compresses more slowly, to fewer bytes; not on the wire
}

// AppendTo appends the frame, length field included, to dst. It keeps no reference to dst, Body or Attr.
// It writes what it is given, also what no DataProxy takes, and fails only on what the layout has no
// room for: then dst is returned unchanged. A sender's frames come from [AppendTextPack].
func (p *TextPack) AppendTo(dst []byte) ([]byte, error) {
	if err := p.checkLayout(len(p.Body)); err != nil {
		return dst, err
	}
	dst = slices.Grow(dst, TextOverhead+len(p.Body)+len(p.Attr))
	dst = p.appendHeader(dst, len(p.Body), len(p.Attr))
	dst = append(dst, p.Body...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(p.Attr)))
	return append(dst, p.Attr...), nil
}

// AppendTextPack appends a frame made of p's type and attributes and of content: for type 5 records
// made by [AppendItem], for type 6 by [AppendItemAttr] (their total length is put in front), and else
// the one body that these types have, as a rule lines joined by line feeds. With compress the body is one
// raw snappy block and the attributes end in cp=snappy, if that is shorter. p.Body and p.Attr then refer
// into the returned slice.
//
// It refuses what a DataProxy would choke on or change: no content, an empty record (with it DataProxy
// drops all behind it, and acks), a line feed at the end of a body that is not mt=pb (it is cut off), an
// attribute cp of the caller's, attributes that are too long or not printable ASCII. Then dst is returned
// unchanged. When dst has [TextRoom](len(content), len(p.Attr)) bytes of free capacity, nothing is
// allocated.
//
// What DataProxies make of type 6 today cannot be read by InLong's own reader (that of inlong-common
// 1.11.0 fails on it), which takes the total for the length of the first record. The type is here to be
// understood, not to be chosen.
func AppendTextPack(dst []byte, p *TextPack, content []byte, compress bool) ([]byte, error) {
	if err := p.checkLayout(len(content) + ItemOverhead); err != nil {
		return dst, err
	}
	if err := p.checkAttr(); err != nil {
		return dst, err
	}
	if err := p.checkContent(content); err != nil {
		return dst, err
	}

	start := len(dst)
	dst = slices.Grow(dst, TextRoom(len(content), len(p.Attr)))
	body, attr := start+textHeader, p.Attr
	dst = dst[:body] // the header is written below, when the body's length is known
	plain := len(content)
	if p.Type == TypeMultiBodyAttr {
		plain += ItemOverhead
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(content)))
	}
	dst = append(dst, content...)
	added := len(attrSnappy)
	if len(attr) > 0 {
		added++
	}
	compressed := false
	if compress {
		// Behind the body as it is, and moved to its place if it turns out to be worth it.
		dst = appendSnappy(dst, dst[body:body+plain], p.Better)
		if n := len(dst) - body - plain; n+added < plain {
			compressed = true
			copy(dst[body:], dst[body+plain:])
			dst = dst[:body+n]
		} else {
			dst = dst[:body+plain]
		}
	}
	n := len(dst) - body
	size := len(attr)
	if compressed {
		size += added
	}
	p.appendHeader(dst[:start], n, size)
	dst = binary.BigEndian.AppendUint32(dst, uint32(size))
	dst = append(dst, attr...)
	if compressed {
		if len(attr) > 0 {
			dst = append(dst, '&')
		}
		dst = append(dst, attrSnappy...)
	}
	p.Body = dst[body : body+n : body+n]
	p.Attr = dst[len(dst)-size : len(dst) : len(dst)]
	return dst, nil
}

// MaxTextSize returns the largest frame that content bytes and attr bytes of attributes can become.
func MaxTextSize(content, attr int) int { return TextOverhead + ItemOverhead + content + attr }

// TextRoom returns the free capacity with which AppendTextPack never allocates.
func TextRoom(content, attr int) int {
	content += ItemOverhead
	return TextOverhead + content + maxSnappyLen(content) + attr + 1 + len(attrSnappy)
}

// checkLayout says whether the frame's fields have room for type, flags, a body of body bytes and attributes.
func (p *TextPack) checkLayout(body int) error {
	switch {
	case p.Type < TypeCommon || p.Type > TypeMultiBodyAttr:
		return fmt.Errorf("encoding text pack: type %d: %w", p.Type, ErrType)
	case p.Flags&^flagMask != 0:
		return fmt.Errorf("encoding text pack: flags 0x%02x reach into the message type", p.Flags)
	case body > math.MaxInt32-TextOverhead-len(p.Attr)-len(attrSnappy)-1:
		return fmt.Errorf("encoding text pack: a body of %d bytes does not fit the length field: %w", body, ErrTooLarge)
	}
	return nil
}

func (p *TextPack) checkAttr() error {
	if len(p.Attr) > MaxAttr-len(attrSnappy)-1 {
		return fmt.Errorf("encoding text pack: %d bytes of attributes: %w", len(p.Attr), ErrAttrLength)
	}
	if i := notPrintable(p.Attr); i >= 0 {
		return fmt.Errorf("encoding text pack: byte %d of the attributes is 0x%02x; use printable ASCII only", i, p.Attr[i])
	}
	if _, ok := Attribute(p.Attr, attrCompress); ok {
		return fmt.Errorf("encoding text pack: the attributes have a %s already, which says how the body is compressed; leave it out", attrCompress)
	}
	return nil
}

// checkContent says why DataProxy would refuse, change or lose content.
func (p *TextPack) checkContent(content []byte) error {
	if len(content) == 0 {
		return fmt.Errorf("encoding text pack: no records (DataProxy refuses an empty body)")
	}
	switch p.Type {
	case TypeMultiBody:
		for n, rest := 0, content; len(rest) > 0; n++ {
			item, tail, ok := cutItem(rest)
			if !ok {
				return fmt.Errorf("encoding text pack: record %d: %w", n, ErrCorrupt)
			}
			if len(item) == 0 {
				return fmt.Errorf("encoding text pack: record %d: %w; send it in a pack of type %d", n, ErrEmptyItem, TypePack)
			}
			rest = tail
		}
	case TypeMultiBodyAttr:
		if _, err := appendItemsAttrs(nil, content); err != nil {
			return fmt.Errorf("encoding text pack: %w", err)
		}
	default:
		kind, _ := Attribute(p.Attr, attrKind)
		if content[len(content)-1] == '\n' && string(kind) != kindBinary {
			return fmt.Errorf("encoding text pack: the body ends in a line feed, which DataProxy cuts off; end it otherwise, or set %s=%s", attrKind, kindBinary)
		}
	}
	return nil
}

func (p *TextPack) appendHeader(dst []byte, body, attr int) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(TextOverhead-lengthLen+body+attr))
	dst = append(dst, p.Type|p.Flags)
	return binary.BigEndian.AppendUint32(dst, uint32(body))
}

// DecodeTextPack reads one whole frame of the types 2 to 6, length field included. The result refers to
// frame. The lengths must add up exactly, as DataProxy wants it; a body of no bytes is decoded as it is.
func DecodeTextPack(frame []byte) (TextPack, error) {
	typ, flags, body, attr, err := cutText(frame)
	if err != nil {
		return TextPack{}, fmt.Errorf("decoding text pack: %w", err)
	}
	return TextPack{Type: typ, Flags: flags, Body: body, Attr: attr}, nil
}

// cutText takes a frame of the text layout apart, pack or ack.
func cutText(frame []byte) (typ, flags uint8, body, attr []byte, err error) {
	typ, flags, err = Type(frame)
	switch {
	case err != nil:
		return 0, 0, nil, nil, err
	case typ < TypeCommon || typ > TypeMultiBodyAttr:
		return 0, 0, nil, nil, fmt.Errorf("type %d: %w", typ, ErrType)
	case len(frame) < TextOverhead:
		return 0, 0, nil, nil, fmt.Errorf("%d bytes: %w", len(frame), ErrShort)
	}
	b := binary.BigEndian
	n := b.Uint32(frame[5:])
	if n > uint32(len(frame)-TextOverhead) {
		return 0, 0, nil, nil, fmt.Errorf("body of %d bytes in a frame of %d: %w", n, len(frame), ErrLength)
	}
	body = frame[textHeader : textHeader+int(n) : textHeader+int(n)]
	tail := frame[textHeader+int(n):]
	if n := b.Uint32(tail); n != uint32(len(tail)-4) {
		return 0, 0, nil, nil, fmt.Errorf("%d bytes of attributes where %d are left: %w", n, len(tail)-4, ErrLength)
	}
	return typ, flags, body, tail[4:len(tail):len(tail)], nil
}

// Compressed says whether the attributes announce a snappy block, by whatever value of cp: DataProxy
// looks no closer.
func (p *TextPack) Compressed() bool {
	for attr := p.Attr; len(attr) > 0; {
		var token []byte
		token, attr, _ = bytes.Cut(attr, []byte{'&'})
		if value, ok := valueOf(bytes.TrimSpace(token), attrCompress); ok {
			return len(bytes.TrimSpace(value)) > 0
		}
	}
	return false
}

// Content returns the body, decompressed if need be, at most limit bytes of it: more is ErrTooLarge,
// a block that is not snappy ErrCorrupt. It is p.Body itself or a fresh buffer.
func (p *TextPack) Content(limit int) ([]byte, error) {
	if p.Compressed() {
		content, err := decodeSnappy(p.Body, limit)
		if err != nil {
			return nil, fmt.Errorf("decompressing body of %d bytes: %w", len(p.Body), err)
		}
		return content, nil
	}
	if len(p.Body) > limit {
		return nil, fmt.Errorf("body of %d bytes, limit %d: %w", len(p.Body), limit, ErrTooLarge)
	}
	return p.Body, nil
}

// Items returns the records of the pack, decompressed if need be, at most limit bytes of them as in
// [Pack.Items]. The types 2 to 4 have one, the body itself. An empty record of type 5 is ErrEmptyItem,
// because DataProxy stops there. Type 6 is read with and without the total length in front.
func (p *TextPack) Items(limit int) ([]Item, error) {
	content, err := p.Content(limit)
	if err != nil {
		return nil, err
	}
	switch p.Type {
	case TypeMultiBody:
		var items []Item
		for rest := content; len(rest) > 0; {
			data, tail, ok := cutItem(rest)
			if !ok {
				return nil, corruptItem(len(items), content, rest)
			}
			if len(data) == 0 {
				return nil, fmt.Errorf("reading record %d: %w", len(items), ErrEmptyItem)
			}
			items, rest = append(items, Item{Data: data}), tail
		}
		return items, nil
	case TypeMultiBodyAttr:
		if items, err := appendItemGroups(nil, content); err == nil {
			return items, nil
		}
		return appendItemsAttrs(nil, content)
	default:
		return []Item{{Data: content}}, nil
	}
}

// appendItemGroups reads groups of records with attributes, each with its total length in front.
func appendItemGroups(items []Item, content []byte) ([]Item, error) {
	for rest := content; len(rest) > 0; {
		group, tail, ok := cutItem(rest)
		if !ok {
			return nil, corruptItem(len(items), content, rest)
		}
		var err error
		if items, err = appendItemsAttrs(items, group); err != nil {
			return nil, err
		}
		rest = tail
	}
	return items, nil
}
