package frame

import (
	"encoding/binary"
	"fmt"
	"math"
)

// AppendItem appends one record in the form used without ExtRecordAttrs. An empty record is its length
// alone. Records of more than 2 GiB cannot be expressed, and no frame could hold one.
func AppendItem(dst, data []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(data)))
	return append(dst, data...)
}

// Items returns the records of the pack, decompressed if need be, at most limit bytes of them (their
// lengths counted in): a larger body is ErrTooLarge, one that does not come out even ErrCorrupt.
// The records refer to p.Body or to one fresh buffer. Attributes of single records are skipped.
//
// The number of records may differ from p.Count: no DataProxy checks that, and with ExtLF one item
// holds all of them, separated by line feeds.
func (p *Pack) Items(limit int) ([][]byte, error) {
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
			return nil, fmt.Errorf("reading record %d at byte %d: %w", len(items), len(body)-len(rest), ErrCorrupt)
		}
		items, rest = append(items, data), tail
	}
	return items, nil
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
