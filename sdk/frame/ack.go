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
	// CodeUnknown is the code of an ack whose errCode is not a number. It is no code of DataProxy's.
	CodeUnknown = -1

	ackOverhead = 13
	maxAckAttr  = math.MaxUint16

	attrProxyIP = "dpIp"
	attrCode    = "errCode"
	attrMessage = "errMsg"
)

// Ack is the answer to a Pack. Code is 0 when the pack was accepted.
type Ack struct {
	Uniq    uint32
	Code    int
	Message []byte // errMsg, unescaped and to be shown only
	Attr    []byte // the whole attribute string, dpIp included
}

// DecodeAck reads one whole type-7 answer. The result refers to frame.
//
// The attributes are read from the left and no further than their second token, because everything
// behind it is either DataProxy's message, which contains '&' and '=' as it pleases, or an echo of
// what the sender wrote. So only an errCode directly behind dpIp (or in its place) is one: 0 is
// success, and a value that is not a number is CodeUnknown.
//
// Nothing tells where the message ends and the echo begins, so Message reaches to the end of the
// attributes. See [Ack.MessageWithout].
func DecodeAck(frame []byte) (Ack, error) {
	typ, flags, err := Type(frame)
	if err != nil {
		return Ack{}, fmt.Errorf("decoding ack: %w", err)
	}
	if typ != TypePack || flags != 0 {
		return Ack{}, fmt.Errorf("decoding ack: type byte 0x%02x: %w", typ|flags, ErrType)
	}
	if len(frame) < ackOverhead {
		return Ack{}, fmt.Errorf("decoding ack: %d bytes: %w", len(frame), ErrShort)
	}
	b := binary.BigEndian
	if n := int(b.Uint16(frame[9:])); n != len(frame)-ackOverhead {
		return Ack{}, fmt.Errorf("decoding ack: %d bytes of attributes in a frame of %d: %w", n, len(frame), ErrLength)
	}
	if b.Uint16(frame[len(frame)-2:]) != magic {
		return Ack{}, fmt.Errorf("decoding ack: %w", ErrMagic)
	}
	end := len(frame) - 2
	a := Ack{Uniq: b.Uint32(frame[5:]), Attr: frame[11:end:end]}
	a.Code, a.Message = outcome(a.Attr)
	return a, nil
}

// outcome reads the code and the message of an answer's attributes.
func outcome(attr []byte) (code int, message []byte) {
	token, rest, _ := bytes.Cut(attr, []byte{'&'})
	if _, ok := valueOf(token, attrProxyIP); ok {
		token, rest, _ = bytes.Cut(rest, []byte{'&'})
	}
	value, ok := valueOf(token, attrCode)
	if !ok {
		return 0, nil
	}
	code, err := strconv.Atoi(string(value))
	if err != nil {
		code = CodeUnknown
	}
	if code == 0 {
		return 0, nil
	}
	message, _ = valueOf(rest, attrMessage)
	return code, message
}

// MessageWithout returns the message without the echo of the request's attributes behind it, as far
// as the echo can be told from the message.
func (a *Ack) MessageWithout(requestAttr []byte) []byte {
	return messageWithout(a.Message, requestAttr, attrReportTime)
}

// messageWithout cuts the echo off a message, and the times that DataProxy put in front of the echo if the
// request lacked them: keys, the last one first.
func messageWithout(message, requestAttr []byte, keys ...string) []byte {
	if len(requestAttr) == 0 {
		return message
	}
	text, found := bytes.CutSuffix(message, requestAttr)
	if !found || !bytes.HasSuffix(text, []byte{'&'}) {
		return message
	}
	text = text[:len(text)-1]
	for _, key := range keys {
		if i := bytes.LastIndex(text, []byte("&"+key+"=")); i >= 0 && !bytes.ContainsAny(text[i+1:], "& ") {
			text = text[:i]
		}
	}
	return text
}

// AppendAck appends the answer DataProxy gives to a pack: dpIP is the proxy's address, code 0 means
// accepted, attr is the request's attribute string as the proxy rebuilt it. The message counts only
// with a code. Of attributes longer than 65535 bytes, all that the length field can say, the end is cut off.
func AppendAck(dst []byte, uniq uint32, dpIP string, code int, message string, attr []byte) []byte {
	start := len(dst)
	dst = slices.Grow(dst, ackOverhead+len(dpIP)+len(message)+len(attr)+48)
	dst = append(dst, 0, 0, 0, 0, TypePack)
	dst = binary.BigEndian.AppendUint32(dst, uniq)
	dst = append(dst, 0, 0)
	text := len(dst)
	dst = appendOutcome(dst, dpIP, code, message, attr)
	dst = dst[:min(len(dst), text+maxAckAttr)]
	binary.BigEndian.PutUint16(dst[text-2:], uint16(len(dst)-text))
	dst = binary.BigEndian.AppendUint16(dst, magic)
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-lengthLen))
	return dst
}

// appendOutcome appends an answer's attribute string, which outcome reads.
func appendOutcome(dst []byte, dpIP string, code int, message string, attr []byte) []byte {
	dst = append(dst, attrProxyIP+"="...)
	dst = append(dst, dpIP...)
	if code != 0 {
		dst = append(dst, "&"+attrCode+"="...)
		dst = strconv.AppendInt(dst, int64(code), 10)
		if message != "" {
			dst = append(dst, "&"+attrMessage+"="...)
			dst = append(dst, message...)
		}
	}
	if len(attr) > 0 {
		dst = append(dst, '&')
		dst = append(dst, attr...)
	}
	return dst
}
