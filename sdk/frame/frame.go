// Package frame turns DataProxy frames into values and back. It does no I/O and keeps no state.
package frame

import "errors"

// Message types: the low five bits of the byte behind the length.
const (
	TypeHeartbeat    = 1 // five bytes there and back
	TypePack         = 7 // binary multi body, the only data type this bridge sends
	TypeBinHeartbeat = 8
)

// FlagSnappy in the type byte says that the body is one raw snappy block.
const FlagSnappy = 0x20

// Bits of the ext_field.
const (
	ExtRecordAttrs = 0x0001
	ExtTrace       = 0x0002
	ExtStringIDs   = 0x0004
	ExtLF          = 0x0020
)

const (
	// PackOverhead is what a type-7 frame needs beside body and attributes, length field included.
	PackOverhead = 29
	// ItemOverhead is what a record needs beside its bytes.
	ItemOverhead = 4
	// MaxCount is the most records a pack may hold: InLong's reader takes the field as signed.
	MaxCount = 32767
	// MaxAttr is the longest attribute string a reader accepts (signed 16 bit).
	MaxAttr = 32767
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
}

// AppendTo appends the frame, length field included, to dst. It keeps no reference to dst, Body or Attr.
func (p *Pack) AppendTo(dst []byte) ([]byte, error) { return dst, errors.ErrUnsupported }

// AppendPack appends a frame made of p's header fields and attributes and of items, the uncompressed
// sequence of records; with compress the body is items as one raw snappy block, if that is shorter,
// and p.Flags and p.Body are set accordingly. p.Body refers into the returned slice.
func AppendPack(dst []byte, p *Pack, items []byte, compress bool) ([]byte, error) {
	return dst, errors.ErrUnsupported
}

// MaxPackSize returns the largest frame that items bytes of records and attr bytes of attributes can
// become, incompressible bodies included (AppendPack never sends a body larger than items).
func MaxPackSize(items, attr int) int { return PackOverhead + items + attr }

// DecodePack reads one whole frame, length field included. The result refers to frame.
func DecodePack(frame []byte) (Pack, error) { return Pack{}, errors.ErrUnsupported }

// AppendItem appends one record in the form used without ExtRecordAttrs.
func AppendItem(dst, data []byte) []byte { return dst }

// Items returns the records of the pack, decompressed if need be, at most limit bytes of them.
// The records refer to p.Body or to one fresh buffer.
func (p *Pack) Items(limit int) ([][]byte, error) { return nil, errors.ErrUnsupported }

// Ack is the answer to a Pack. Code is 0 when the pack was accepted.
type Ack struct {
	Uniq    uint32
	Code    int
	Message []byte // errMsg, unescaped and to be shown only
	Attr    []byte // the whole attribute string, dpIp included
}

// DecodeAck reads one whole type-7 answer. The result refers to frame.
func DecodeAck(frame []byte) (Ack, error) { return Ack{}, errors.ErrUnsupported }

// AppendAck appends the answer DataProxy gives to a pack: dpIP is the proxy's address, code 0 means
// accepted, attr is the request's attribute string as the proxy rebuilt it.
func AppendAck(dst []byte, uniq uint32, dpIP string, code int, message string, attr []byte) []byte {
	return dst
}

// AppendHeartbeat appends a type-1 heartbeat (request and reply look alike).
func AppendHeartbeat(dst []byte) []byte { return dst }

// BinHeartbeat is the body of a type-8 heartbeat, request or reply.
type BinHeartbeat struct {
	Time    uint32 // seconds since the epoch
	Version uint8
	Body    []byte // empty in a request; two bytes of load, always 0xFFFF, in a reply
	Attr    []byte
}

func (h *BinHeartbeat) AppendTo(dst []byte) ([]byte, error) { return dst, errors.ErrUnsupported }
func DecodeBinHeartbeat(frame []byte) (BinHeartbeat, error) {
	return BinHeartbeat{}, errors.ErrUnsupported
}

// Type returns the message type and the flags of a whole frame.
func Type(frame []byte) (typ, flags uint8, err error) { return 0, 0, errors.ErrUnsupported }

// Attribute returns the value of the first token key=value of an attribute string.
func Attribute(attr []byte, key string) (value []byte, ok bool) { return nil, false }

// CheckAttribute says why key=value may not stand in an attribute string: empty key, non-ASCII or
// control characters, '&' or '='.
func CheckAttribute(key, value string) error { return errors.ErrUnsupported }

// AppendInLongMsg appends the InLongMsg v4 that DataProxy's KafkaHandler makes of a type-7 frame:
// markers around the frame, rtms=<receivedMillis> put in front of the attributes when it is absent,
// an uncompressed body compressed.
func AppendInLongMsg(dst []byte, p *Pack, receivedMillis int64) ([]byte, error) {
	return dst, errors.ErrUnsupported
}

// DecodeInLongMsg reads a v4 message as it lies in the queue. The result refers to value.
func DecodeInLongMsg(value []byte) (Pack, error) { return Pack{}, errors.ErrUnsupported }

// InLongMsgAttr returns the attribute string of a v4 message by lengths alone: the body is never opened.
func InLongMsgAttr(value []byte) (attr []byte, err error) { return nil, errors.ErrUnsupported }
