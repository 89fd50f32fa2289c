package forwarded

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// AppendEnvelope appends the record as one JSON object on one line, the same bytes for the same record. The error is a
// *HeadersTooLargeError, and dst comes back unchanged then.
func (r *Record) AppendEnvelope(dst []byte, f Fields) ([]byte, error) {
	start := dst
	dst = append(dst, '{')
	if f.Key {
		dst = append(appendBytes(dst, "key", r.Key), ',')
	}
	if f.Headers {
		if err := checkHeaders(r.Headers); err != nil {
			return start, err
		}
		dst = append(dst, `"headers":`...)
		from := len(dst)
		dst = appendHeaders(dst, r.Headers)
		if size := len(dst) - from; size > MaxHeaders {
			return start, &HeadersTooLargeError{len(r.Headers), size}
		}
		dst = append(dst, ',')
	}
	if f.Timestamp {
		dst = append(dst, `"timestamp":`...)
		if r.Timestamp == NoTimestamp {
			dst = append(dst, "null"...)
		} else {
			dst = strconv.AppendInt(dst, r.Timestamp, 10)
		}
		dst = append(dst, ',')
	}
	if f.Origin {
		dst = append(r.Origin.appendJSON(append(dst, `"origin":`...)), ',')
	}
	return append(appendBytes(dst, "value", r.Value), '}'), nil
}

func appendHeaders(dst []byte, hs []Header) []byte {
	dst = append(dst, '[')
	for i := range hs {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '{')
		dst = append(appendBytes(dst, "name", []byte(hs[i].Name)), ',')
		dst = append(appendBytes(dst, "value", hs[i].Value), '}')
	}
	return append(dst, ']')
}

func (o *Origin) appendJSON(dst []byte) []byte {
	if *o == (Origin{}) {
		return append(dst, "null"...)
	}
	dst = appendString(append(dst, `{"cluster":`...), []byte(o.Cluster))
	dst = appendString(append(dst, `,"topic":`...), []byte(o.Topic))
	dst = append(dst, `,"topic_id":`...)
	if o.TopicID == ([16]byte{}) {
		dst = append(dst, "null"...)
	} else {
		dst = base64.RawURLEncoding.AppendEncode(append(dst, '"'), o.TopicID[:])
		dst = append(dst, '"')
	}
	dst = strconv.AppendInt(append(dst, `,"partition":`...), int64(o.Partition), 10)
	dst = strconv.AppendInt(append(dst, `,"offset":`...), o.Offset, 10)
	return append(dst, '}')
}

// appendBytes appends "name": and b as a string, or null; or "name_base64": where b is not UTF-8.
func appendBytes(dst []byte, name string, b []byte) []byte {
	dst = append(append(dst, '"'), name...)
	switch {
	case b == nil:
		return append(dst, `":null`...)
	case utf8.Valid(b):
		return appendString(append(dst, `":`...), b)
	}
	dst = base64.StdEncoding.AppendEncode(append(dst, `_base64":"`...), b)
	return append(dst, '"')
}

// appendString appends UTF-8 as a JSON string. It escapes what JSON wants escaped, and the two line separators that scripts
// take for the end of a line.
func appendString(dst, text []byte) []byte {
	dst = append(dst, '"')
	from := 0 // text[from:i] stands for itself
	for i := 0; i < len(text); {
		c := text[i]
		n := 1
		switch {
		case c == '"' || c == '\\':
			dst = append(append(dst, text[from:i]...), '\\', c)
		case c == '\n':
			dst = append(append(dst, text[from:i]...), '\\', 'n')
		case c < ' ' || c == 0x7f:
			dst = append(append(dst, text[from:i]...), '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
		case c == 0xe2 && (bytes.HasPrefix(text[i:], []byte("\u2028")) || bytes.HasPrefix(text[i:], []byte("\u2029"))):
			dst = append(append(dst, text[from:i]...), `\u202`...)
			dst = append(dst, hex[text[i+2]&0xf])
			n = 3
		default:
			i++
			continue
		}
		i += n
		from = i
	}
	return append(append(dst, text[from:]...), '"')
}

// envelope is the JSON object. A part is null, or missing, or in one of its two forms.
type envelope struct {
	Key         *string `json:"key"`
	KeyBase64   []byte  `json:"key_base64"`
	Headers     []named `json:"headers"`
	Timestamp   *int64  `json:"timestamp"`
	Origin      *origin `json:"origin"`
	Value       *string `json:"value"`
	ValueBase64 []byte  `json:"value_base64"`
}

type named struct {
	Name        *string `json:"name"`
	NameBase64  []byte  `json:"name_base64"`
	Value       *string `json:"value"`
	ValueBase64 []byte  `json:"value_base64"`
}

type origin struct {
	Cluster   string  `json:"cluster"`
	Topic     string  `json:"topic"`
	TopicID   *string `json:"topic_id"`
	Partition int32   `json:"partition"`
	Offset    int64   `json:"offset"`
}

// FromEnvelope reads an envelope. It ignores keys that it does not know.
func FromEnvelope(body []byte) (Record, error) {
	r, err := fromEnvelope(body)
	if err != nil {
		return Record{}, fmt.Errorf("reading envelope: %w", err)
	}
	return r, nil
}

func fromEnvelope(body []byte) (r Record, err error) {
	var e envelope
	if err := json.Unmarshal(body, &e); err != nil {
		return r, err
	}
	r.Timestamp = NoTimestamp
	if e.Timestamp != nil {
		r.Timestamp = *e.Timestamp
	}
	if r.Key, err = either(e.Key, e.KeyBase64); err != nil {
		return r, fmt.Errorf("key %w", err)
	}
	if r.Value, err = either(e.Value, e.ValueBase64); err != nil {
		return r, fmt.Errorf("value %w", err)
	}
	for i, h := range e.Headers {
		name, err := either(h.Name, h.NameBase64)
		if err == nil && name == nil {
			err = errors.New("is missing")
		}
		if err != nil {
			return r, fmt.Errorf("name of header %d %w", i, err)
		}
		value, err := either(h.Value, h.ValueBase64)
		if err != nil {
			return r, fmt.Errorf("value of header %d %w", i, err)
		}
		r.Headers = append(r.Headers, Header{string(name), value})
	}
	if o := e.Origin; o != nil {
		r.Origin = Origin{Cluster: o.Cluster, Topic: o.Topic, Partition: o.Partition, Offset: o.Offset}
		if o.TopicID != nil {
			r.Origin.TopicID, err = parseTopicID(*o.TopicID)
		}
	}
	return r, err
}

// either returns the bytes of a part that is given as a string or in base64.
func either(text *string, bytes []byte) ([]byte, error) {
	switch {
	case text != nil && bytes != nil:
		return nil, errors.New("is given twice, as a string and in base64")
	case text != nil:
		return []byte(*text), nil
	}
	return bytes, nil
}
