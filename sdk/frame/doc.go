// Package frame turns DataProxy frames into values and back. It does no I/O and keeps no state.
//
// A connection carries a sequence of frames. Every frame begins with a length, which counts the bytes behind itself. The
// next byte is the type: five bits of message type and three bits of flags. All integers are big-endian. The length
// decides where a frame ends, and the inner lengths must add up to it exactly: otherwise a DataProxy closes the
// connection, and the decoders of this package return an error.
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
// Text packs, the types 2 to 6, and their answers have 13 bytes beside body and attributes, no bytes behind them, and no
// number. The attribute cp says whether the body is compressed. [TextPack.Items] says what each type holds, and
// [TextAck] how an answer finds its pack:
//
//	0        4      5         9      9+b       13+b   13+b+a
//	| length | type | bodyLen | body | attrLen | attr |
//	|   4    |  1   |    4    |  b   |    4    |  a   |
//
//	length = 9 + b + a
//
// A DataProxy puts an InLongMsg of version 4 into the queue for each pack: the frame between two markers. It compresses
// the body, and adds the attribute rtms (time of arrival) in front if the sender did not set it; see [AppendInLongMsg]:
//
//	| 0F04 | pack | 0F04 |
//
// For a text pack it writes a new message of version 1, or of version 3 for type 6; see [AppendTextInLongMsg]. The blocks
// hold records as a pack does, in version 3 behind a total length:
//
//	| 0F01 | created | blocks | block .. | 0F01 |    | 0F03 | created | count | blocks | block .. | 0F03 |
//	|  2   |    8    |   4    |          |  2   |    |  2   |    8    |   4   |   4    |          |  2   |
//
//	block:  | attrLen | attr | 1 + dataLen | 1 if snappy | data |
//	        |    2    |      |      4      |      1      |      |
//
// [OpenInLongMsg] reads all of them.
//
// Encoders append to a slice of the caller, and keep no reference to it or to their input. With enough capacity they do
// not allocate. Decoders return values that refer to their input. They copy nothing, and allocate at most in proportion
// to the input.
package frame

// Message types: the low five bits of the byte behind the length.
const (
	TypeHeartbeat      = 1 // five bytes there and back
	TypeCommon         = 2 // text, taken as type 3
	TypeAckService     = 3 // text, one body
	TypeOriginalReturn = 4 // text, one body, which the answer brings back
	TypeMultiBody      = 5 // text, many records
	TypeMultiBodyAttr  = 6 // text, many records with attributes of their own
	TypePack           = 7 // binary multi body, what this bridge sends
	TypeBinHeartbeat   = 8
)

// FlagSnappy in the type byte says that the body is one raw snappy block.
const FlagSnappy = 0x20

const (
	typeMask = 0x1f // message type
	flagMask = 0xe0

	magic     = 0xee01
	lengthLen = 4 // the length field
)
