package dptest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"inlong-bridge/sdk/frame"
)

// describeText makes the checks that the server makes on a frame of the types 2 to 6 before it looks at its own state:
// lengths, attributes, decompression and the records of type 5, in that order. b is the whole frame.
func describeText(b []byte) (request, outcome) {
	r := request{typ: b[4] & 0x1f, reply: true, early: true}
	if len(b) < 4+minText {
		return r, closing("frame of %d bytes is too short for a text pack", len(b))
	}
	be := binary.BigEndian
	p := &r.text
	p.Type, p.Flags = r.typ, b[4]&^0x1f
	bodyLen := int(int32(be.Uint32(b[5:])))
	at := textHeader + bodyLen
	switch {
	case bodyLen == 0:
		return r, refusing(105)
	case bodyLen < 0:
		return r, refusing(106)
	case bodyLen > math.MaxInt32-frame.TextOverhead: // the sum overflows and passes; then the server runs out of memory
		return r, closing("body of %d bytes in a frame of %d", bodyLen, len(b))
	case at+4 > len(b):
		return r, refusing(104)
	}
	p.Body = b[textHeader:at:at]
	attrLen := int(int32(be.Uint32(b[at:])))
	switch {
	case attrLen < 0:
		return r, refusing(107)
	case at+4+attrLen != len(b):
		return r, refusing(104)
	}
	p.Attr = b[at+4 : len(b) : len(b)]
	if !utf8.Valid(p.Attr) { // the server goes on with the text that Java decodes
		p.Attr = []byte(string([]rune(string(p.Attr))))
	}
	r.early = false
	if v := r.readAttrs(p.Attr); !v.ok() {
		return r, v
	}

	var err error
	if r.content, err = p.Content(math.MaxInt32); err != nil || len(r.content) == 0 {
		return r, outcome{code: 96, message: fmt.Sprintf("Error to uncompress msg, compress type(%s), attr: (%s), error: (%v)", r.attrs["cp"], p.Attr, err)}
	}
	r.records = 1
	if n, err := strconv.ParseInt(r.attrs["cnt"], 10, 32); err == nil && n > 0 {
		r.records = int(n)
	}
	if r.typ == frame.TypeMultiBody {
		var v outcome
		if r.records, v = countItems(r.content); !v.ok() {
			return r, v
		}
	}
	return r, outcome{}
}

// countItems counts the records of a type-5 body up to the first one that is empty or exceeds the body. The server acks
// and loses the records behind it.
func countItems(content []byte) (int, outcome) {
	if len(content) <= frame.ItemOverhead {
		return 0, refusing(123)
	}
	n := 0
	for rest := content; len(rest) > 0; n++ {
		if len(rest) < frame.ItemOverhead {
			return n, closing("%d bytes behind the last record", len(rest))
		}
		size := int(int32(binary.BigEndian.Uint32(rest)))
		rest = rest[frame.ItemOverhead:]
		if size <= 0 || size > len(rest) {
			break
		}
		rest = rest[size:]
	}
	if n == 0 {
		return 0, refusing(123)
	}
	return n, outcome{}
}

// wrapText makes the message for the queue, and puts rt and rtms in front of the echoed attributes if they are absent.
func (r *request) wrapText(receivedMillis int64) ([]byte, outcome) {
	value, err := frame.AppendTextInLongMsg(nil, &r.text, r.content, receivedMillis, receivedMillis)
	switch {
	case errors.Is(err, frame.ErrTooLarge):
		value = []byte{} // Java cannot write attributes that long: the server stores an empty message, and acks
	case err != nil:
		return nil, closing("%v", err)
	}
	var front []byte
	now := strconv.FormatInt(receivedMillis, 10)
	for _, key := range [...]string{"rt", "rtms"} {
		if r.attrs[key] == "" {
			front = frame.AppendAttr(front, key, now)
		}
	}
	if front != nil {
		if strings.TrimSpace(string(r.text.Attr)) != "" {
			front = append(front, '&')
			front = append(front, r.text.Attr...)
		}
		r.text.Attr = front
	}
	return value, outcome{}
}
