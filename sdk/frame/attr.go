package frame

import (
	"bytes"
	"fmt"
	"strings"
)

// AttrMid is the attribute that names a pack: its value is what AppendMid writes. DataProxy passes it
// through into the queue.
const AttrMid = "mid"

// AttrOrigin is the attribute that names whoever the packs of a sender come from, in a few characters. A bridge
// that finds its own name in a pack has got back what it sent. DataProxy passes it through into the queue.
const AttrOrigin = "bg"

// AttrTrail is the attribute that says where the records of a pack come from. Its value is the caller's. DataProxy
// passes it through into the queue.
const AttrTrail = "src"

// AppendAttr appends key=value to an attribute string, joined with '&' when dst is not empty: dst holds
// the attributes and nothing else. [CheckAttribute] says what is allowed in it. A value that is not a
// string can be appended behind an empty one.
func AppendAttr(dst []byte, key, value string) []byte {
	if len(dst) > 0 {
		dst = append(dst, '&')
	}
	dst = append(dst, key...)
	dst = append(dst, '=')
	return append(dst, value...)
}

// Attribute returns the value of the first token key=value of an attribute string. The value refers to attr.
func Attribute(attr []byte, key string) (value []byte, ok bool) {
	for len(attr) > 0 {
		var token []byte
		token, attr, _ = bytes.Cut(attr, []byte{'&'})
		if value, ok := valueOf(token, key); ok {
			return value, true
		}
	}
	return nil, false
}

// valueOf returns what stands behind "key=" in a token.
func valueOf(token []byte, key string) ([]byte, bool) {
	if len(token) > len(key) && token[len(key)] == '=' && string(token[:len(key)]) == key {
		return token[len(key)+1:], true
	}
	return nil, false
}

// CheckAttribute says why key=value is not allowed in an attribute string: empty key, non-ASCII or
// control characters, '&' or '='. DataProxy answers these with an error, or closes the connection.
// An empty value is legal.
func CheckAttribute(key, value string) error {
	if key == "" {
		return fmt.Errorf("attribute with value %q has no key; give it one", value)
	}
	for _, part := range [...]struct{ what, text string }{{"key", key}, {"value", value}} {
		if strings.ContainsAny(part.text, "&=") {
			return fmt.Errorf("%s %q of attribute %q contains '&' or '=', which separate attributes; leave them out", part.what, part.text, key)
		}
		if i := notPrintable([]byte(part.text)); i >= 0 {
			return fmt.Errorf("%s %q of attribute %q contains byte 0x%02x; use printable ASCII only", part.what, part.text, key, part.text[i])
		}
	}
	return nil
}

// notPrintable returns the index of the first byte that is not printable ASCII, or -1.
func notPrintable(text []byte) int {
	for i, c := range text {
		if c < ' ' || c > '~' {
			return i
		}
	}
	return -1
}
