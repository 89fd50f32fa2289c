package frame

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Item is one record of a pack. Attr is its own attributes, nil in the form without them.
type Item struct {
	Data, Attr []byte
}

// AppendItem appends one record in the form used without ExtRecordAttrs. An empty record is its length
// alone. Records of more than 2 GiB cannot be expressed, and no frame could hold one.
func AppendItem(dst, data []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(data)))
	return append(dst, data...)
}

// AppendItemAttr appends one record in the form used with ExtRecordAttrs and in type 6: attr is its own
// attribute string, as [AppendAttr] makes it. The record takes ItemAttrOverhead beside its bytes.
//
// Neither data nor attr may be empty: InLong's reader refuses the whole pack then. The error is
// ErrEmptyItem as it is, and dst is returned unchanged.
func AppendItemAttr(dst, data, attr []byte) ([]byte, error) {
	if len(data) == 0 || len(attr) == 0 {
		return dst, ErrEmptyItem
	}
	return AppendItem(AppendItem(dst, data), attr), nil
}

// Items returns the records of the pack, decompressed if need be, at most limit bytes of them (their
// lengths counted in): a larger body is ErrTooLarge, one that does not come out even ErrCorrupt.
// The records refer to p.Body or to one fresh buffer. Attributes of single records are skipped, see
// [Pack.ItemsAttrs].
//
// The number of records may differ from p.Count: no DataProxy checks that, and with ExtLF one item
// holds all of them, separated by line feeds.
func (p *Pack) Items(limit int) ([][]byte, error) {
	body, err := p.openBody(limit)
	if err != nil {
		return nil, err
	}
	withAttrs := p.Ext&ExtRecordAttrs != 0
	items := make([][]byte, 0, min(int(p.Count), len(body)/ItemOverhead))
	for rest := body; len(rest) > 0; {
		data, tail, ok := cutItem(rest)
		if ok && withAttrs {
			var attr []byte
			attr, tail, ok = cutItem(tail)
			ok = ok && len(data) > 0 && len(attr) > 0 // a zero length makes InLong's reader refuse the pack
		}
		if !ok {
			return nil, corruptItem(len(items), body, rest)
		}
		items, rest = append(items, data), tail
	}
	return items, nil
}

// ItemsAttrs is Items with the attributes of the single records. Without ExtRecordAttrs there are none.
func (p *Pack) ItemsAttrs(limit int) ([]Item, error) {
	body, err := p.openBody(limit)
	if err != nil {
		return nil, err
	}
	if p.Ext&ExtRecordAttrs != 0 {
		return appendItemsAttrs(nil, body)
	}
	items := make([]Item, 0, min(int(p.Count), len(body)/ItemOverhead))
	for rest := body; len(rest) > 0; {
		data, tail, ok := cutItem(rest)
		if !ok {
			return nil, corruptItem(len(items), body, rest)
		}
		items, rest = append(items, Item{Data: data}), tail
	}
	return items, nil
}

// openBody returns the body, decompressed if need be, at most limit bytes of it.
func (p *Pack) openBody(limit int) ([]byte, error) {
	body := p.Body
	if p.Flags&FlagSnappy != 0 {
		var err error
		if body, err = decodeSnappy(body, limit); err != nil {
			return nil, fmt.Errorf("decompressing body of %d bytes: %w", len(p.Body), err)
		}
	}
	if len(body) > limit {
		return nil, fmt.Errorf("reading records: body of %d bytes, limit %d: %w", len(body), limit, ErrTooLarge)
	}
	return body, nil
}

// appendItemsAttrs reads a sequence of records with attributes, both of at least one byte.
func appendItemsAttrs(items []Item, body []byte) ([]Item, error) {
	for rest := body; len(rest) > 0; {
		data, tail, ok := cutItem(rest)
		var attr []byte
		if ok {
			attr, tail, ok = cutItem(tail)
		}
		if !ok || len(data) == 0 || len(attr) == 0 {
			return nil, corruptItem(len(items), body, rest)
		}
		items, rest = append(items, Item{data, attr}), tail
	}
	return items, nil
}

func corruptItem(n int, body, rest []byte) error {
	return fmt.Errorf("reading record %d at byte %d: %w", n, len(body)-len(rest), ErrCorrupt)
}

// cutItem cuts one length and its bytes off the front of body.
func cutItem(body []byte) (item, rest []byte, ok bool) {
	if len(body) < ItemOverhead {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(body)
	body = body[ItemOverhead:]
	if n > math.MaxInt32 || int(n) > len(body) {
		return nil, nil, false
	}
	return body[:n:n], body[n:], true
}
