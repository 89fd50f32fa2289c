package mapping

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

type partKind uint8

const (
	literalPart partKind = iota
	topicPart
	capturePart
	keyPart
	headerPart
)

// part is a literal or one placeholder. text is the literal, the name or number of the capture, or the name of the
// header.
type part struct {
	kind partKind
	text string
}

// template is the group or stream of a rule. An empty template is not valid.
type template []part

// String returns the template as the file has it.
func (t template) String() string {
	var b strings.Builder
	for _, p := range t {
		switch p.kind {
		case literalPart:
			b.WriteString(p.text)
		default:
			b.WriteString(p.placeholder())
		}
	}
	return b.String()
}

func (p part) placeholder() string {
	switch p.kind {
	case topicPart:
		return "{topic}"
	case keyPart:
		return "{key}"
	case headerPart:
		return "{header:" + p.text + "}"
	default:
		return "{" + p.text + "}"
	}
}

// parseTemplate reads s. The error names the place in s. The captures of the rule are checked elsewhere.
func parseTemplate(s string) (template, error) {
	if s == "" {
		return nil, fmt.Errorf("is empty: give an id, or a template such as '{topic}'")
	}
	var t template
	literals := 0
	for rest := s; rest != ""; {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			i = len(rest)
		}
		if i > 0 {
			if why := badChars(rest[:i]); why != "" {
				return nil, fmt.Errorf("%q: %s", s, why)
			}
			t = append(t, part{literalPart, rest[:i]})
			literals += i
			rest = rest[i:]
			continue
		}
		if rest[0] == '}' {
			return nil, fmt.Errorf("%q: '}' without a '{' before it", s)
		}
		end := strings.IndexAny(rest[1:], "{}")
		if end < 0 || rest[1+end] == '{' {
			return nil, fmt.Errorf("%q: '{' without a '}' after it", s)
		}
		p, err := parsePlaceholder(rest[1 : 1+end])
		if err != nil {
			return nil, fmt.Errorf("%q: %w", s, err)
		}
		t = append(t, p)
		rest = rest[end+2:]
	}
	if literals > MaxID {
		return nil, fmt.Errorf("%q: %d characters; at most %d are allowed", clip(s), literals, MaxID)
	}
	return t, nil
}

func parsePlaceholder(name string) (part, error) {
	const known = "known are {topic}, {key}, {header:name}, and captures such as {app} or {1}"
	kind, rest, colon := strings.Cut(name, ":")
	switch {
	case name == "":
		return part{}, fmt.Errorf("empty placeholder {}: %s", known)
	case colon && kind == "header" && (rest != strings.TrimSpace(rest) || strings.ContainsFunc(rest, unicode.IsControl)):
		return part{}, fmt.Errorf("header %q: its name begins or ends with white space, or contains a control character: remove it", clip(rest))
	case colon && kind == "header" && rest != "":
		return part{headerPart, rest}, nil
	case colon && kind == "header":
		return part{}, fmt.Errorf("{header:} names no header; write {header:name}")
	case name == "header":
		return part{}, fmt.Errorf("{header} names no header; write {header:name}")
	case colon:
		return part{}, fmt.Errorf("unknown placeholder {%s}: %s", name, known)
	case name == "topic":
		return part{kind: topicPart}, nil
	case name == "key":
		return part{kind: keyPart}, nil
	case !isCaptureName(name):
		return part{}, fmt.Errorf("unknown placeholder {%s}: %s", name, known)
	}
	return part{capturePart, name}, nil
}

// isCaptureName reports whether a regular expression can have a capture of that name or number.
func isCaptureName(s string) bool {
	digits := true
	for i := range len(s) {
		c := s[i]
		isDigit := c >= '0' && c <= '9'
		if !isDigit && c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
		digits = digits && isDigit
	}
	return !digits || (s[0] != '0' && len(s) < 4)
}

// captures returns the names and numbers of captures that t uses.
func (t template) captures() (names []string) {
	for _, p := range t {
		if p.kind == capturePart {
			names = append(names, p.text)
		}
	}
	return names
}

// needs returns the parts of a record that t uses, such as "key" and "header type".
func (t template) needs() (names []string) {
	for _, p := range t {
		switch p.kind {
		case keyPart:
			names = append(names, "key")
		case headerPart:
			names = append(names, "header "+p.text)
		}
	}
	return names
}

// static reports whether t is an id without placeholders.
func (t template) static() bool {
	return !slices.ContainsFunc(t, func(p part) bool { return p.kind != literalPart })
}

// resolve fills in the topic and its captures. Key and headers stay.
func (t template) resolve(topic string, capture func(name string) string) template {
	var out template
	add := func(text string) {
		if n := len(out); n > 0 && out[n-1].kind == literalPart {
			out[n-1].text += text
			return
		}
		out = append(out, part{literalPart, text})
	}
	for _, p := range t {
		switch p.kind {
		case literalPart:
			add(p.text)
		case topicPart:
			add(topic)
		case capturePart:
			add(capture(p.text))
		default:
			out = append(out, p)
		}
	}
	return out
}

// fixed returns the text of a resolved template that uses nothing of a record.
func (t template) fixed() (text string, ok bool) {
	if len(t) == 1 && t[0].kind == literalPart {
		return t[0].text, true
	}
	return "", false
}

// appendTo fills in a resolved template. It appends at most MaxID+1 bytes, so that a key of a megabyte costs nothing.
// missing is the part that the record lacks.
func (t template) appendTo(dst []byte, rec *record) (out []byte, missing *part) {
	end := len(dst) + MaxID + 1
	for i := range t {
		p := &t[i]
		switch p.kind {
		case keyPart:
			if rec.key == nil {
				return dst, p
			}
			dst = append(dst, rec.key[:min(len(rec.key), end-len(dst))]...)
		case headerPart:
			v, ok := rec.header(p.text)
			if !ok {
				return dst, p
			}
			dst = append(dst, v[:min(len(v), end-len(dst))]...)
		default:
			dst = append(dst, p.text[:min(len(p.text), end-len(dst))]...)
		}
	}
	return dst, nil
}

// record is the part of a Kafka record that a template may use. Its headers are fetched at most once.
type record struct {
	key     []byte
	headers func() []Header
	fetched []Header
}

func (r *record) header(name string) (value []byte, ok bool) {
	if r.headers != nil {
		r.fetched, r.headers = r.headers(), nil
	}
	for i := range slices.Backward(r.fetched) {
		if r.fetched[i].Key == name {
			return r.fetched[i].Value, true
		}
	}
	return nil, false
}

// clip shortens a text for a message.
func clip[T string | []byte](s T) string {
	const most = 64
	if len(s) > most {
		return string(s[:most]) + "..."
	}
	return string(s)
}
