package frame

import (
	"encoding/binary"
	"math"
	"strconv"
)

// Opened is an InLongMsg of any version, opened.
type Opened struct {
	Version    uint8  // 0 to 4; DataProxy writes 1, 3 and 4
	Attr       []byte // of the pack
	DataMillis int64  // event time, milliseconds since the epoch; 0 when dt is no number
	// Numeric says that the pack names its group and stream by GroupIDNum and StreamIDNum instead of attributes.
	Numeric                 bool
	GroupIDNum, StreamIDNum uint16
	// Count is how many records the pack says it has. In the versions 0 to 3 every item stands for cnt of
	// them: text packs of type 3 are one item of many lines.
	Count   int
	Records [][]byte
	// RecordAttrs are the attributes of the single records, nil if the form of the pack has none.
	RecordAttrs [][]byte
}

// OpenInLongMsg opens a message as it lies in the queue, decompressing at most limit bytes; the errors are
// those of [DecodeInLongMsg], [DecodeBlockMsg] and of Items. Beside an error of the records the other fields
// are set. Of several blocks, which DataProxy never writes, the attributes of the first count. The result refers to value
// or to fresh buffers.
func OpenInLongMsg(value []byte, limit int) (Opened, error) {
	if len(value) >= markerLen && binary.BigEndian.Uint16(value) == markerV4 {
		p, err := DecodeInLongMsg(value)
		if err != nil {
			return Opened{}, err
		}
		o := Opened{
			Version: 4, Attr: p.Attr, DataMillis: int64(p.DataTime) * 1000, Count: int(p.Count),
			Numeric: p.Ext&ExtStringIDs == 0, GroupIDNum: p.GroupIDNum, StreamIDNum: p.StreamIDNum,
		}
		if p.Ext&ExtRecordAttrs == 0 {
			o.Records, err = p.Items(limit)
			return o, err
		}
		items, err := p.ItemsAttrs(limit)
		o.setItems(items, true)
		return o, err
	}
	m, err := DecodeBlockMsg(value)
	if err != nil {
		return Opened{}, err
	}
	o := Opened{Version: m.Version}
	if len(m.Blocks) > 0 {
		o.Attr = fromModifiedUTF8(m.Blocks[0].Attr)
	}
	each := int64(1)
	if value, ok := Attribute(o.Attr, attrCount); ok {
		if n, err := strconv.ParseInt(string(value), 10, 32); err == nil && n > 0 {
			each = n
		}
	}
	if value, ok := Attribute(o.Attr, attrDataTime); ok {
		o.DataMillis, _ = strconv.ParseInt(string(value), 10, 64)
	}
	items, err := m.Items(limit)
	if err != nil {
		o.Count = int(each)
		return o, err
	}
	o.Count = int(min(each*int64(len(items)), math.MaxInt32))
	o.setItems(items, m.Version == 3)
	return o, nil
}

func (o *Opened) setItems(items []Item, withAttrs bool) {
	if items == nil {
		return
	}
	o.Records = make([][]byte, len(items))
	if withAttrs {
		o.RecordAttrs = make([][]byte, len(items))
	}
	for i := range items {
		o.Records[i] = items[i].Data
		if withAttrs {
			o.RecordAttrs[i] = items[i].Attr
		}
	}
}
