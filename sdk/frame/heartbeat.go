package frame

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

const binHeartbeatOverhead = 18

// AppendHeartbeat appends a type-1 heartbeat (request and reply look alike).
func AppendHeartbeat(dst []byte) []byte { return append(dst, 0, 0, 0, 1, TypeHeartbeat) }

// BinHeartbeat is the body of a type-8 heartbeat, request or reply.
type BinHeartbeat struct {
	Time    uint32 // seconds since the epoch
	Version uint8
	Body    []byte // empty in a request; two bytes of load, always 0xFFFF, in a reply
	Attr    []byte
}

// AppendTo appends the frame to dst. It fails, and returns dst unchanged, when the attributes or the
// body have no room in the frame.
func (h *BinHeartbeat) AppendTo(dst []byte) ([]byte, error) {
	if len(h.Attr) > MaxAttr {
		return dst, fmt.Errorf("encoding heartbeat: %d bytes of attributes: %w", len(h.Attr), ErrAttrLength)
	}
	if len(h.Body) > math.MaxInt32-binHeartbeatOverhead-MaxAttr {
		return dst, fmt.Errorf("encoding heartbeat: a body of %d bytes does not fit the length field: %w", len(h.Body), ErrTooLarge)
	}
	b := binary.BigEndian
	size := binHeartbeatOverhead + len(h.Body) + len(h.Attr)
	dst = slices.Grow(dst, size)
	dst = b.AppendUint32(dst, uint32(size-lengthLen))
	dst = append(dst, TypeBinHeartbeat)
	dst = b.AppendUint32(dst, h.Time)
	dst = append(dst, h.Version)
	dst = b.AppendUint32(dst, uint32(len(h.Body)))
	dst = append(dst, h.Body...)
	dst = b.AppendUint16(dst, uint16(len(h.Attr)))
	dst = append(dst, h.Attr...)
	return b.AppendUint16(dst, magic), nil
}

// DecodeBinHeartbeat reads one whole type-8 frame. The result refers to frame.
func DecodeBinHeartbeat(frame []byte) (BinHeartbeat, error) {
	typ, flags, err := Type(frame)
	switch {
	case err != nil:
		return BinHeartbeat{}, fmt.Errorf("decoding heartbeat: %w", err)
	case typ != TypeBinHeartbeat || flags&FlagSnappy != 0:
		return BinHeartbeat{}, fmt.Errorf("decoding heartbeat: type byte 0x%02x: %w", typ|flags, ErrType)
	case len(frame) < binHeartbeatOverhead:
		return BinHeartbeat{}, fmt.Errorf("decoding heartbeat: %d bytes: %w", len(frame), ErrShort)
	}
	b := binary.BigEndian
	body := b.Uint32(frame[10:])
	if body > uint32(len(frame)-binHeartbeatOverhead) {
		return BinHeartbeat{}, fmt.Errorf("decoding heartbeat: body of %d bytes in a frame of %d: %w", body, len(frame), ErrLength)
	}
	tail := frame[14+int(body):]
	attr := int(b.Uint16(tail))
	switch {
	case attr > MaxAttr:
		return BinHeartbeat{}, fmt.Errorf("decoding heartbeat: %w", ErrAttrLength)
	case attr != len(tail)-4:
		return BinHeartbeat{}, fmt.Errorf("decoding heartbeat: %d bytes of attributes where %d are left: %w", attr, len(tail)-4, ErrLength)
	case b.Uint16(tail[2+attr:]) != magic:
		return BinHeartbeat{}, fmt.Errorf("decoding heartbeat: %w", ErrMagic)
	}
	return BinHeartbeat{
		Time:    b.Uint32(frame[5:]),
		Version: frame[9],
		Body:    frame[14 : 14+int(body) : 14+int(body)],
		Attr:    tail[2 : 2+attr : 2+attr],
	}, nil
}
