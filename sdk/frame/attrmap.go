package frame

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// attrMap is the attributes of a text pack as DataProxy holds them while it handles the pack: in a HashMap
// of Java, whose order is the order in which they land in the queue. The order follows from the hashes of
// the keys and the size of the table; that Java makes trees of crowded buckets is not followed.
type attrMap struct {
	entries []attrEntry // in the order in which their keys were first put
	index   map[string]int
	table   int // buckets, 0 before the first put
}

type attrEntry struct {
	key, value string
	hash       uint32
}

// splitAttr reads an attribute string as DataProxy does. White space around a whole token does not
// count; a token without '=' or with two, and a key that comes twice, are errors. Blank attributes are
// none.
func splitAttr(attr []byte) (*attrMap, error) {
	m := &attrMap{index: make(map[string]int)}
	if len(bytes.TrimSpace(attr)) == 0 {
		return m, nil
	}
	for token := range strings.SplitSeq(replaceInvalid(string(attr)), "&") {
		key, value, ok := strings.Cut(strings.TrimSpace(token), "=")
		if !ok || strings.Contains(value, "=") {
			return nil, fmt.Errorf("attribute %q is not key=value", token)
		}
		if _, twice := m.index[key]; twice {
			return nil, fmt.Errorf("attribute %q comes twice", key)
		}
		m.add(key, value)
	}
	// All of them are put at once, for which the table is made large enough in one step.
	m.table = 1
	for need := int(float32(len(m.entries))/0.75 + 1); m.table < need; {
		m.table *= 2
	}
	return m, nil
}

func (m *attrMap) get(key string) string {
	if i, ok := m.index[key]; ok {
		return m.entries[i].value
	}
	return ""
}

// put sets one attribute. A key that is there keeps its place.
func (m *attrMap) put(key, value string) {
	if i, ok := m.index[key]; ok {
		m.entries[i].value = value
		return
	}
	m.add(key, value)
	if m.table == 0 {
		m.table = 16
	}
	if len(m.entries) > m.table*3/4 {
		m.table *= 2
	}
}

func (m *attrMap) add(key, value string) {
	h := uint32(0)
	for _, unit := range utf16.Encode([]rune(key)) {
		h = 31*h + uint32(unit)
	}
	m.index[key] = len(m.entries)
	m.entries = append(m.entries, attrEntry{key, value, h ^ h>>16})
}

// join returns the attribute string in the order of the table, as Java writes strings.
func (m *attrMap) join() []byte {
	sorted := slices.Clone(m.entries)
	mask := uint32(max(m.table, 1) - 1)
	slices.SortStableFunc(sorted, func(a, b attrEntry) int { return cmp.Compare(a.hash&mask, b.hash&mask) })
	var out []byte
	for i, e := range sorted {
		if i > 0 {
			out = append(out, '&')
		}
		out = appendModifiedUTF8(out, e.key)
		out = append(out, '=')
		out = appendModifiedUTF8(out, e.value)
	}
	return out
}

// replaceInvalid puts U+FFFD in the place of bytes that are not UTF-8, as Java does when it reads them.
func replaceInvalid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// appendModifiedUTF8 appends s as Java's writeUTF does: zero in two bytes, and what lies above U+FFFF as
// two surrogates of three.
func appendModifiedUTF8(dst []byte, s string) []byte {
	for _, r := range s {
		switch {
		case r == 0:
			dst = append(dst, 0xc0, 0x80)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			dst = appendThree(appendThree(dst, high), low)
		default:
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst
}

func appendThree(dst []byte, r rune) []byte {
	return append(dst, 0xe0|byte(r>>12), 0x80|byte(r>>6)&0x3f, 0x80|byte(r)&0x3f)
}

// fromModifiedUTF8 is the way back. ASCII comes back as it is, in place.
func fromModifiedUTF8(s []byte) []byte {
	if !slices.ContainsFunc(s, func(c byte) bool { return c >= utf8.RuneSelf }) {
		return s
	}
	out := make([]byte, 0, len(s))
	for len(s) > 0 {
		if len(s) >= 2 && s[0] == 0xc0 && s[1] == 0x80 {
			out, s = append(out, 0), s[2:]
			continue
		}
		if high, ok := surrogate(s); ok {
			if low, ok := surrogate(s[3:]); ok {
				if r := utf16.DecodeRune(high, low); r != utf8.RuneError {
					out, s = utf8.AppendRune(out, r), s[6:]
					continue
				}
			}
		}
		r, n := utf8.DecodeRune(s)
		out, s = utf8.AppendRune(out, r), s[n:]
	}
	return out
}

// surrogate reads three bytes that stand for half of a pair.
func surrogate(s []byte) (rune, bool) {
	if len(s) < 3 || s[0] != 0xed || s[1]&0xe0 != 0xa0 || s[2]&0xc0 != 0x80 {
		return 0, false
	}
	return rune(s[0]&0x0f)<<12 | rune(s[1]&0x3f)<<6 | rune(s[2]&0x3f), true
}
