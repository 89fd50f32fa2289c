package mapping

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzTemplate: a template that can be read prints as it was written, and filling it in is the same as
// replacing each placeholder, however it is done in two steps.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"a", "{topic}", "{key}-{header:type}", "{app}{1}x", "{", "}", "{}", "{header:}", "a{b{c}", "{header:a:b}", "{0}", "{01}", "é"} {
		f.Add(s, "orders", []byte("k"))
	}
	f.Fuzz(func(t *testing.T, s, topic string, key []byte) {
		parsed, err := parseTemplate(s)
		if err != nil {
			return
		}
		if parsed.String() != s {
			t.Fatalf("parseTemplate(%q) prints as %q", s, parsed)
		}
		const capture = "captured"
		if key == nil {
			key = []byte{}
		}
		var want strings.Builder
		for _, p := range parsed {
			switch p.kind {
			case literalPart:
				want.WriteString(p.text)
			case topicPart:
				want.WriteString(topic)
			case capturePart:
				want.WriteString(capture)
			default:
				want.Write(key)
			}
		}
		resolved := parsed.resolve(topic, func(string) string { return capture })
		rec := record{key: key, headers: func() []Header {
			var hs []Header
			for _, p := range parsed {
				hs = append(hs, Header{p.text, []byte("not this one")}, Header{p.text, key})
			}
			return hs
		}}
		got, missing := resolved.appendTo([]byte("before"), &rec)
		if missing != nil {
			t.Fatalf("%q: nothing is missing, but %v is", s, missing.placeholder())
		}
		got, ok := bytes.CutPrefix(got, []byte("before"))
		if short := want.String()[:min(want.Len(), MaxID+1)]; !ok || string(got) != short {
			t.Fatalf("%q filled in = %q, want %q", s, got, short)
		}
		if id, fixed := resolved.fixed(); fixed && id != want.String() {
			t.Fatalf("%q is fixed as %q, want %q", s, id, want.String())
		}
	})
}
