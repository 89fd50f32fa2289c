package frame

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
)

const (
	// markerV4 stands before and behind an InLongMsg of version 4.
	markerV4  = 0x0f04
	markerLen = 2

	attrReportTime = "rtms"
)

// AppendInLongMsg appends the InLongMsg v4 that DataProxy's KafkaHandler makes of a type-7 frame:
// markers around the frame, rtms=<receivedMillis> put in front of the attributes when it is absent,
// an uncompressed body compressed (also when that makes it longer).
func AppendInLongMsg(dst []byte, p *Pack, receivedMillis int64) ([]byte, error) {
	out := *p
	if value, ok := Attribute(p.Attr, attrReportTime); !ok || len(bytes.TrimSpace(value)) == 0 {
		attr := make([]byte, 0, len(p.Attr)+len(attrReportTime)+22)
		attr = AppendAttr(attr, attrReportTime, strconv.FormatInt(receivedMillis, 10))
		if len(p.Attr) > 0 {
			attr = append(attr, '&')
			attr = append(attr, p.Attr...)
		}
		out.Attr = attr
	}
	room := len(p.Body)
	if p.Flags&FlagSnappy == 0 {
		room = maxSnappyLen(len(p.Body))
	}
	if err := out.checkLayout(room); err != nil {
		return dst, err
	}

	start := len(dst)
	dst = slices.Grow(dst, PackOverhead+room+len(out.Attr)+2*markerLen)
	dst = binary.BigEndian.AppendUint16(dst, markerV4)
	body := start + markerLen + packHeader
	dst = dst[:body] // the header is written below, when the body's length is known
	if p.Flags&FlagSnappy != 0 {
		dst = append(dst, p.Body...)
	} else {
		out.Flags |= FlagSnappy
		dst = appendSnappy(dst, p.Body, false)
	}
	out.appendHeader(dst[:start+markerLen], len(dst)-body)
	dst = out.appendTail(dst)
	return binary.BigEndian.AppendUint16(dst, markerV4), nil
}

// DecodeInLongMsg reads a v4 message as it lies in the queue. The result refers to value. A value of
// another version is ErrNotInLongMsg.
func DecodeInLongMsg(value []byte) (Pack, error) {
	frame, err := insideMarkers(value)
	if err != nil {
		return Pack{}, err
	}
	p, err := DecodePack(frame)
	if err != nil {
		return Pack{}, fmt.Errorf("reading InLongMsg: %w", err)
	}
	return p, nil
}

// MayBeInLongMsg looks only at the first two bytes: if it returns false, value is not an InLongMsg.
func MayBeInLongMsg(value []byte) bool {
	return len(value) >= 2*markerLen && value[0] == markerV4>>8 && value[1] <= markerV4&0xff
}

// InLongMsgAttr returns the attribute string of a message by lengths alone: the body is never opened.
// In the versions 0 to 3, of which text packs become 1 and 3, it is that of the first block, if there is one.
// The result refers to value. It allocates nothing, even if it fails, so that a reader may use it on everything in a
// queue. The errors are ErrNotInLongMsg, ErrLength, ErrMagic and ErrCorrupt, not wrapped.
func InLongMsgAttr(value []byte) (attr []byte, err error) {
	frame, err := insideMarkers(value)
	if err != nil {
		return blockMsgAttr(value)
	}
	b := binary.BigEndian
	if len(frame) < PackOverhead || uint64(b.Uint32(frame)) != uint64(len(frame)-lengthLen) {
		return nil, ErrLength
	}
	if frame[lengthLen]&typeMask != TypePack {
		return nil, ErrNotInLongMsg
	}
	body := b.Uint32(frame[packHeader-4:])
	if body > math.MaxInt32 || int(body) > len(frame)-PackOverhead {
		return nil, ErrLength
	}
	tail := frame[packHeader+int(body):]
	n := int(b.Uint16(tail))
	if n > MaxAttr || n != len(tail)-4 {
		return nil, ErrLength
	}
	if b.Uint16(tail[2+n:]) != magic {
		return nil, ErrMagic
	}
	return tail[2 : 2+n : 2+n], nil
}

// insideMarkers returns what stands between the markers of version 4.
func insideMarkers(value []byte) ([]byte, error) {
	b := binary.BigEndian
	if len(value) < 2*markerLen || b.Uint16(value) != markerV4 || b.Uint16(value[len(value)-markerLen:]) != markerV4 {
		return nil, ErrNotInLongMsg
	}
	return value[markerLen : len(value)-markerLen : len(value)-markerLen], nil
}
