package frame

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// attrReceiveTime is the attribute DataProxy puts in front of a text pack's attributes when it is absent.
const attrReceiveTime = "rt"

// TextAck is the answer to a TextPack. It has no number: only what the sender wrote into the attributes
// and finds again in the echo tells which pack it is for, and an error found before the attributes were
// read echoes nothing. Code is 0 when the pack was accepted.
type TextAck struct {
	Type    uint8 // of the pack
	Code    int
	Message []byte // errMsg, unescaped and to be shown only
	Body    []byte // "2", or for type 4 the pack's own; nothing from servers before 2.1
	Attr    []byte // the whole attribute string, dpIp included
}

// DecodeTextAck reads one whole answer of the types 2 to 6. The result refers to frame. The attributes are
// read as those of [DecodeAck]: an errCode counts only directly behind dpIp or in its place.
func DecodeTextAck(frame []byte) (TextAck, error) {
	typ, flags, body, attr, err := cutText(frame)
	if err == nil && flags != 0 {
		err = fmt.Errorf("type byte 0x%02x: %w", typ|flags, ErrType)
	}
	if err != nil {
		return TextAck{}, fmt.Errorf("decoding ack: %w", err)
	}
	a := TextAck{Type: typ, Body: body, Attr: attr}
	a.Code, a.Message = outcome(attr)
	return a, nil
}

// Echoed returns the value of an attribute of the pack as DataProxy sent it back. It looks from the right:
// the echo comes last, and messages of errors repeat attributes as well.
func (a *TextAck) Echoed(key string) (value []byte, ok bool) {
	for rest := a.Attr; len(rest) > 0; {
		at := bytes.LastIndexByte(rest, '&')
		if value, ok := valueOf(rest[at+1:], key); ok {
			return value, true
		}
		rest = rest[:max(at, 0)]
	}
	return nil, false
}

// MessageWithout returns the message without the echo of the request's attributes behind it, as far as
// the echo can be told from the message.
func (a *TextAck) MessageWithout(requestAttr []byte) []byte {
	return messageWithout(a.Message, requestAttr, attrReportTime, attrReceiveTime)
}

// AppendTextAck appends the answer DataProxy gives to a pack of the types 2 to 6: body is "2", or for type
// 4 the pack's own; the rest is that of [AppendAck], and nothing is cut off.
func AppendTextAck(dst []byte, typ uint8, body []byte, dpIP string, code int, message string, attr []byte) []byte {
	start := len(dst)
	dst = slices.Grow(dst, TextOverhead+len(body)+len(dpIP)+len(message)+len(attr)+48)
	dst = append(dst, 0, 0, 0, 0, typ)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(body)))
	dst = append(dst, body...)
	dst = append(dst, 0, 0, 0, 0)
	text := len(dst)
	dst = appendOutcome(dst, dpIP, code, message, attr)
	binary.BigEndian.PutUint32(dst[text-4:], uint32(len(dst)-text))
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-lengthLen))
	return dst
}
