package dptest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"inlong-bridge/sdk/frame"
)

// Least lengths of frames, as the length field counts them (without itself).
const (
	minPack         = 25
	minText         = 9
	minBinHeartbeat = 14
	packHeader      = 25 // bytes of a type-7 frame before its body, length field included
	textHeader      = 9  // the same of a text frame
	frameMagic      = 0xEE01
)

// request is a data frame as the server's code sees it.
type request struct {
	typ           uint8
	pack          frame.Pack     // type 7; refers to the frame
	text          frame.TextPack // the other types; refers to the frame
	content       []byte         // the body of text, decompressed
	attrs         map[string]string
	group, stream string
	records       int
	reply         bool // false: isAck=false, no answer whatever happens
	sinkAck       bool // proxySend or syncSend: the source answers only errors
	early         bool // the error was found before the attributes were read, so the answer echoes nothing
	extra         bool // the frame has bytes that belong to nothing
}

// outcome is the result of one check. The zero value means "go on".
type outcome struct {
	close   string // why the connection is closed without an answer; "" if it is not
	code    int    // errCode of the answer, 0: none
	message string
}

func (v outcome) ok() bool { return v.close == "" && v.code == 0 }

func closing(format string, args ...any) outcome { return outcome{close: fmt.Sprintf(format, args...)} }

func refusing(code int) outcome { return outcome{code: code, message: codeMessages[code]} }

// codeMessages are the texts of DataProxyErrCode. They go into errMsg unless a check has a better text.
var codeMessages = map[int]string{
	1:   "Service not ready",
	2:   "Service closed",
	3:   "Configure service not ready",
	94:  "Magic value not equal",
	95:  "Field length value not equal",
	96:  "Uncompress data error",
	100: "Parameter groupId is required",
	104: "Body length exceeds the maximum length",
	105: "Body length is zero",
	106: "Body length is less than zero",
	107: "Attribute length is less than zero",
	112: "Unsupported extend field value",
	114: "Put event to channel failure",
	115: "Topic is null",
	116: "No available producer info",
	121: "GroupId or streamId not found in configure",
	122: "GroupId or streamId is inconstant",
	123: "Message body items are invalid",
	150: "syncSend and isAck=false conflict",
	151: "proxySend and isAck=false conflict",
}

// describe makes the checks that the server makes on a type-7 frame before it looks at its own state: lengths, magic
// and attributes, in that order. b is the whole frame.
func describe(b []byte) (request, outcome) {
	r := request{typ: frame.TypePack, reply: true, early: true}
	if len(b) < 4+minPack {
		return r, closing("frame of %d bytes is too short for a pack", len(b))
	}
	be := binary.BigEndian
	p := &r.pack
	p.Flags = b[4] &^ 0x1f
	p.GroupIDNum, p.StreamIDNum = be.Uint16(b[5:]), be.Uint16(b[7:])
	p.Ext = be.Uint16(b[9:])
	p.DataTime = be.Uint32(b[11:])
	p.Count = be.Uint16(b[15:])
	p.Uniq = be.Uint32(b[17:])
	r.records = max(int(p.Count), 1)

	bodyLen := int(int32(be.Uint32(b[21:])))
	at := packHeader + bodyLen
	if bodyLen < 0 || at+2 > len(b) {
		return r, closing("body of %d bytes in a frame of %d", bodyLen, len(b))
	}
	if bodyLen == 0 {
		return r, refusing(105)
	}
	attrLen := int(int16(be.Uint16(b[at:])))
	if attrLen < 0 {
		return r, refusing(107)
	}
	end := at + 2 + attrLen
	if end+2 > len(b) {
		return r, closing("attributes of %d bytes behind %d of body in a frame of %d", attrLen, bodyLen, len(b))
	}
	if be.Uint16(b[end:]) != frameMagic {
		return r, refusing(94)
	}
	r.extra = end+2 < len(b)
	p.Body = b[packHeader:at:at]
	p.Attr = b[at+2 : end : end]
	r.early = false
	return r, r.readAttrs(p.Attr)
}

// readAttrs splits the attributes, and reads those that decide about the answer.
func (r *request) readAttrs(attr []byte) outcome {
	attrs, err := splitAttrs(string(attr))
	if err != nil {
		return outcome{code: 109, message: fmt.Sprintf("Parse attr (%s) failure", attr)}
	}
	noAck := strings.EqualFold(attrs["isAck"], "false")
	syncSend := strings.EqualFold(attrs["syncSend"], "true")
	proxySend := strings.EqualFold(attrs["proxySend"], "true")
	switch {
	case noAck && syncSend:
		return refusing(150)
	case noAck && proxySend:
		return refusing(151)
	}
	r.reply, r.sinkAck = !noAck, syncSend || proxySend
	r.group, r.stream = attrs["groupId"], attrs["streamId"]
	r.attrs = attrs
	return outcome{}
}

// splitAttrs works like Guava's MapSplitter as the server uses it: each entry has exactly one '=', and no key comes
// twice. An empty text is fine.
func splitAttrs(attr string) (map[string]string, error) {
	m := make(map[string]string, 8)
	if strings.TrimSpace(attr) == "" {
		return m, nil
	}
	for entry := range strings.SplitSeq(attr, "&") {
		key, value, ok := strings.Cut(strings.TrimSpace(entry), "=")
		if _, twice := m[key]; !ok || twice || strings.Contains(value, "=") {
			return nil, fmt.Errorf("attribute %q", entry)
		}
		m[key] = strings.TrimSpace(value)
	}
	return m, nil
}

// identify checks the group, ids and extension bits, before the topic is looked up.
func (r *request) identify() outcome {
	if r.typ != frame.TypePack {
		if r.group == "" {
			return refusing(100)
		}
		return outcome{}
	}
	switch ext := r.pack.Ext; {
	case ext&(0x0008|0x0010) != 0:
		return refusing(112)
	case ext&frame.ExtStringIDs == 0 && r.pack.GroupIDNum != 0:
		return refusing(3) // numeric ids need a mapping file, which does not exist here
	case ext&frame.ExtStringIDs == 0, r.group == "":
		return refusing(100)
	}
	return outcome{}
}

func noTopic(group, stream string) outcome {
	return outcome{code: 115, message: fmt.Sprintf("Topic not configured for groupId=(%s), streamId=(%s)", group, stream)}
}

// wrap makes the message for the queue, and puts rtms in front of the attributes if it is absent. This is where the
// server notices that bytes are left over, or that the attributes are not ASCII.
func (r *request) wrap(receivedMillis int64) ([]byte, outcome) {
	if r.typ != frame.TypePack {
		return r.wrapText(receivedMillis)
	}
	if r.extra {
		return nil, closing("bytes left over inside the frame")
	}
	for _, c := range r.pack.Attr {
		if c >= 0x80 {
			return nil, closing("attributes are not ASCII")
		}
	}
	if rtms, ok := frame.Attribute(r.pack.Attr, "rtms"); !ok || len(bytes.TrimSpace(rtms)) == 0 {
		attr := strconv.AppendInt([]byte("rtms="), receivedMillis, 10)
		if len(r.pack.Attr) > 0 {
			attr = append(attr, '&')
		}
		r.pack.Attr = append(attr, r.pack.Attr...)
	}
	value, err := frame.AppendInLongMsg(nil, &r.pack, receivedMillis)
	if err != nil {
		return nil, closing("wrapping the pack: %v", err)
	}
	return value, outcome{}
}

// answer returns the answer to the request; code 0 accepts it. Its attributes are those that wrap rebuilt, or the
// original ones if wrap was not reached.
func (r *request) answer(ip string, code int, message string) []byte {
	var echo []byte
	if r.typ == frame.TypePack {
		if !r.early {
			echo = r.pack.Attr
		}
		return frame.AppendAck(nil, r.pack.Uniq, ip, code, message, echo)
	}
	if !r.early {
		echo = r.text.Attr
	}
	body := []byte("2")
	if r.typ == frame.TypeOriginalReturn {
		body = r.text.Body
	}
	return frame.AppendTextAck(nil, r.typ, body, ip, code, message, echo)
}

// misname changes the answer so that no sender can match it with this request: another uniq, or no echo for a text
// pack, which has no uniq.
func (r *request) misname() {
	if r.typ == frame.TypePack {
		r.pack.Uniq ^= 1 << 31
	} else {
		r.early = true
	}
}

// answerHeartbeat appends the answer to a type-8 heartbeat. ok is false if the server would close the connection
// instead.
func answerHeartbeat(dst, b []byte, nowSeconds uint32) (out []byte, ok bool) {
	be := binary.BigEndian
	if len(b) < 4+minBinHeartbeat {
		return dst, false
	}
	bodyLen := int(int32(be.Uint32(b[10:])))
	at := 14 + bodyLen
	if bodyLen < 0 || at+2 > len(b) {
		return dst, false
	}
	attrLen := int(int16(be.Uint16(b[at:])))
	end := at + 2 + attrLen
	if attrLen < 0 || end+2 != len(b) || be.Uint16(b[end:]) != frameMagic {
		return dst, false
	}
	h := frame.BinHeartbeat{Time: nowSeconds, Version: b[9], Body: []byte{0xff, 0xff}, Attr: b[at+2 : end]}
	out, err := h.AppendTo(dst)
	return out, err == nil
}
