package forwarded

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"inlong-bridge/sdk"
)

// Names of the attributes. All contain a dot, which no attribute of InLong's does.
const (
	AttrKey       = "k.key" // the key; without it the record has none
	AttrTimestamp = "k.ts"  // milliseconds
	AttrOrigin    = "k.at"  // cluster/topic/topic id/partition/offset
	// HeaderPrefix stands before the name of a header. The second header of a name is h.name#2, and so on.
	HeaderPrefix = "h."
)

// Reserved reports whether an attribute of that name may be one of a record's.
func Reserved(name string) bool {
	return strings.HasPrefix(name, "k.") || strings.HasPrefix(name, HeaderPrefix)
}

const (
	null      = "!" // the value of a header that is null: no escaped text contains it
	duplicate = '#' // between the name of a header and its number among those of the name
	noTopicID = "-"
)

// manyHeaders is how many headers are compared one by one.
const manyHeaders = 16

// Attrs returns the attributes of the record. The error is a *HeadersTooLargeError.
func (r *Record) Attrs(f Fields) ([]sdk.Attr, error) {
	var room [512]byte
	var places [16]int
	text, ends := room[:0], places[:0] // ends of keys and values in text, in turn
	add := func(from []byte) { text, ends = from, append(ends, len(from)) }
	if f.Key && r.Key != nil {
		add(append(text, AttrKey...))
		add(appendEscaped(text, r.Key))
	}
	if f.Timestamp && r.Timestamp != NoTimestamp {
		add(append(text, AttrTimestamp...))
		add(strconv.AppendInt(text, r.Timestamp, 10))
	}
	if f.Origin && r.Origin != (Origin{}) {
		add(append(text, AttrOrigin...))
		add(r.Origin.appendTo(text))
	}
	if f.Headers {
		if err := checkHeaders(r.Headers); err != nil {
			return nil, err
		}
		start := len(text)
		var seen map[string]int
		if len(r.Headers) > manyHeaders {
			seen = make(map[string]int, len(r.Headers))
		}
		for i := range r.Headers {
			h := &r.Headers[i]
			text = appendEscaped(append(text, HeaderPrefix...), h.Name)
			if n := nth(r.Headers, i, seen); n > 1 {
				text = strconv.AppendInt(append(text, duplicate), int64(n), 10)
			}
			add(text)
			if h.Value == nil {
				add(append(text, null...))
			} else {
				add(appendEscaped(text, h.Value))
			}
		}
		if size := len(text) - start + len("&=")*len(r.Headers); size > MaxHeaders {
			return nil, &HeadersTooLargeError{len(r.Headers), size}
		}
	}
	return cutAttrs(string(text), ends), nil
}

// cutAttrs makes attributes of a text that ends at their keys and values.
func cutAttrs(text string, ends []int) []sdk.Attr {
	attrs := make([]sdk.Attr, len(ends)/2)
	from := 0
	for i := range attrs {
		key, value := ends[2*i], ends[2*i+1]
		attrs[i] = sdk.Attr{Key: text[from:key], Value: text[key:value]}
		from = value
	}
	return attrs
}

// nth returns the number of a header among those of its name, from 1. It is called for each header in turn; seen is nil where they
// are few.
func nth(hs []Header, i int, seen map[string]int) int {
	if seen != nil {
		seen[hs[i].Name]++
		return seen[hs[i].Name]
	}
	n := 1
	for j := range i {
		if hs[j].Name == hs[i].Name {
			n++
		}
	}
	return n
}

func (o *Origin) appendTo(dst []byte) []byte {
	dst = append(appendEscaped(dst, o.Cluster), '/')
	dst = append(appendEscaped(dst, o.Topic), '/')
	if o.TopicID == ([16]byte{}) {
		dst = append(dst, noTopicID...)
	} else {
		dst = base64.RawURLEncoding.AppendEncode(dst, o.TopicID[:])
	}
	dst = strconv.AppendInt(append(dst, '/'), int64(o.Partition), 10)
	return strconv.AppendInt(append(dst, '/'), o.Offset, 10)
}

// FromAttrs reads the attributes of a record, k=v&k=v, as [frame.Item] has them. It ignores those that are not the bridge's. The
// record's bytes are its value, but null and empty values never have attributes: see the rule's tombstone.
func FromAttrs(attr []byte) (Record, error) {
	r := Record{Timestamp: NoTimestamp}
	var numbers []int // of r.Headers, among those of their names
	for token := range bytes.SplitSeq(attr, []byte{'&'}) {
		name, value, _ := bytes.Cut(token, []byte{'='})
		var err error
		switch {
		case string(name) == AttrKey && r.Key != nil, string(name) == AttrTimestamp && r.Timestamp != NoTimestamp,
			string(name) == AttrOrigin && r.Origin != (Origin{}):
			err = fmt.Errorf("it is given twice")
		case string(name) == AttrKey:
			r.Key, err = unescape(value)
		case string(name) == AttrTimestamp:
			r.Timestamp, err = strconv.ParseInt(string(value), 10, 64)
		case string(name) == AttrOrigin:
			r.Origin, err = parseOrigin(value)
		case bytes.HasPrefix(name, []byte(HeaderPrefix)):
			var h Header
			var n int
			if h, n, err = parseHeader(name[len(HeaderPrefix):], value); err == nil {
				r.Headers, numbers = append(r.Headers, h), append(numbers, n)
			}
		}
		if err != nil {
			return Record{}, fmt.Errorf("reading attribute %.80q: %w", token, err)
		}
	}
	return r, inOrder(r.Headers, numbers)
}

func parseHeader(name, value []byte) (h Header, number int, err error) {
	name, digits, repeated := bytes.Cut(name, []byte{duplicate})
	number = 1
	if repeated {
		if number, err = strconv.Atoi(string(digits)); err != nil || number < 2 {
			return h, 0, fmt.Errorf("%q is no number of a header", digits)
		}
	}
	text, err := unescape(name)
	if err != nil {
		return h, 0, err
	}
	if h.Name = string(text); string(value) == null {
		return h, number, nil
	}
	h.Value, err = unescape(value)
	return h, number, err
}

// inOrder checks that the headers of each name are numbered from 1, in this order, as those who kept the attributes as a text
// have them. Headers of different names are in the order of the record.
func inOrder(hs []Header, numbers []int) error {
	seen := make(map[string]int)
	for i := range hs {
		if seen[hs[i].Name]++; numbers[i] != seen[hs[i].Name] {
			return fmt.Errorf("reading attributes: header %q number %d stands where number %d is due", hs[i].Name, numbers[i], seen[hs[i].Name])
		}
	}
	return nil
}

func parseOrigin(value []byte) (o Origin, err error) {
	parts := bytes.Split(value, []byte{'/'})
	if len(parts) != 5 {
		return o, fmt.Errorf("%q is not cluster/topic/topic id/partition/offset", value)
	}
	var names [2][]byte
	for i := range names {
		if names[i], err = unescape(parts[i]); err != nil {
			return o, err
		}
	}
	o.Cluster, o.Topic = string(names[0]), string(names[1])
	if string(parts[2]) != noTopicID {
		if o.TopicID, err = parseTopicID(string(parts[2])); err != nil {
			return Origin{}, err
		}
	}
	partition, err := strconv.ParseInt(string(parts[3]), 10, 32)
	if err != nil {
		return Origin{}, err
	}
	o.Partition = int32(partition)
	o.Offset, err = strconv.ParseInt(string(parts[4]), 10, 64)
	return o, err
}

func parseTopicID(text string) (id [16]byte, err error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("%q is no topic id", text)
	}
	return [16]byte(slices.Clone(b)), nil
}
