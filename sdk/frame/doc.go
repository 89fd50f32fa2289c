// Package frame turns DataProxy frames into values and back. It does no I/O and keeps no state.
//
// What goes over a connection is a sequence of frames. Every frame begins with a length that counts
// the bytes behind itself; the next byte is the type: five bits of message type, three bits of flags.
// All integers are big-endian. The length decides where a frame ends, and the inner lengths must add
// up to it exactly: a DataProxy answers anything else with a closed connection, and so do the
// decoders here with an error.
//
// A pack (type 7), 29 bytes beside body and attributes:
//
//	0        4     5          7           9     11         15      17     21        25     25+b      27+b   27+b+a
//	| length | 0x07 | groupNum | streamNum | ext | dataTime | count | uniq | bodyLen | body | attrLen | attr | EE01 |
//	|   4    |  1   |    2     |     2     |  2  |    4     |   2   |  4   |    4    |  b   |    2    |  a   |  2   |
//
//	length = 25 + b + a
//
// Its body is a sequence of records, one raw snappy block when the type byte carries [FlagSnappy]:
//
//	| len | data |                      len may be 0
//	| len | data | attrLen | attr |     with ExtRecordAttrs, neither length may be 0
//	|  4  |      |    4    |      |
//
// Its answer, which carries the pack's uniq and is a success only without errCode, see [DecodeAck]:
//
//	| length | 0x07 | uniq | attrLen | dpIp=..[&errCode=..[&errMsg=..]][&the request's attributes] | EE01 |
//	|   4    |  1   |  4   |    2    |                             a                               |  2   |
//
//	length = 9 + a
//
// Heartbeats, type 1 and type 8, there and back alike (a reply to type 8 has two bytes of body):
//
//	| 00000001 | 0x01 |
//
//	| length | 0x08 | time | version | bodyLen | body | attrLen | attr | EE01 |
//	|   4    |  1   |  4   |    1    |    4    |  b   |    2    |  a   |  2   |
//
//	length = 14 + b + a
//
// What a DataProxy puts into the queue for a pack is an InLongMsg of version 4: the frame between two
// markers, its body always compressed and the attribute rtms (time of arrival) added in front when the
// sender did not set it, see [AppendInLongMsg]:
//
//	| 0F04 | pack | 0F04 |
//
// Encoders append to a slice that the caller gives and keep no reference to it or to their input; with
// enough capacity they do not allocate. Decoders return values that refer to their input, copy nothing,
// and allocate in proportion to it at most.
package frame

// Message types: the low five bits of the byte behind the length.
const (
	TypeHeartbeat    = 1 // five bytes there and back
	TypePack         = 7 // binary multi body, the only data type this bridge sends
	TypeBinHeartbeat = 8
)

// FlagSnappy in the type byte says that the body is one raw snappy block.
const FlagSnappy = 0x20

const (
	typeMask = 0x1f // message type
	flagMask = 0xe0

	magic     = 0xee01
	lengthLen = 4 // the length field
)
