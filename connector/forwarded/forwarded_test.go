package forwarded_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"inlong-bridge/connector/forwarded"
	"inlong-bridge/sdk"
	"inlong-bridge/sdk/frame"
)

var all = forwarded.Fields{Key: true, Headers: true, Timestamp: true, Origin: true}

// text joins attributes as the sender does.
func text(attrs []sdk.Attr) []byte {
	var out []byte
	for _, a := range attrs {
		out = frame.AppendAttr(out, a.Key, a.Value)
	}
	return out
}

func origin() forwarded.Origin {
	return forwarded.Origin{Cluster: "WIMEoYZb", Topic: "orders.eu", TopicID: [16]byte{1, 2, 0xff}, Partition: 3, Offset: 1 << 40}
}

func TestFormsAreAsDocumented(t *testing.T) {
	many := []forwarded.Header{
		{Name: "trace", Value: []byte("a b")}, {Name: "größe", Value: []byte("ü&=|%+#!")}, {Name: "trace", Value: []byte{}}, {Name: "trace", Value: nil},
		{Name: "", Value: []byte("\x00\xff")}, {Name: "content-type", Value: []byte("application/json")},
	}
	for _, tt := range []struct {
		name     string
		r        forwarded.Record
		f        forwarded.Fields
		attrs    string
		envelope string
	}{
		{
			"everything", forwarded.Record{Key: []byte("k\n1"), Headers: many[:1], Timestamp: 1760000000123, Origin: origin(), Value: []byte(`a "b"`)}, all,
			"k.key=k%0A1&k.ts=1760000000123&k.at=WIMEoYZb/orders.eu/AQL_AAAAAAAAAAAAAAAAAA/3/1099511627776&h.trace=a%20b",
			`{"key":"k\n1","headers":[{"name":"trace","value":"a b"}],"timestamp":1760000000123,` +
				`"origin":{"cluster":"WIMEoYZb","topic":"orders.eu","topic_id":"AQL_AAAAAAAAAAAAAAAAAA","partition":3,"offset":1099511627776},"value":"a \"b\""}`,
		},
		{
			"headers", forwarded.Record{Headers: many}, forwarded.Fields{Headers: true},
			"h.trace=a%20b&h.gr%C3%B6%C3%9Fe=%C3%BC%26%3D%7C%25%2B%23%21&h.trace#2=&h.trace#3=!&h.=%00%FF&h.content-type=application/json",
			`{"headers":[{"name":"trace","value":"a b"},{"name":"größe","value":"ü&=|%+#!"},{"name":"trace","value":""},{"name":"trace","value":null},` +
				`{"name":"","value_base64":"AP8="},{"name":"content-type","value":"application/json"}],"value":null}`,
		},
		{"no key", forwarded.Record{Timestamp: forwarded.NoTimestamp, Value: []byte{}}, all, "", `{"key":null,"headers":[],"timestamp":null,"origin":null,"value":""}`},
		{"empty key", forwarded.Record{Key: []byte{}}, forwarded.Fields{Key: true}, "k.key=", `{"key":"","value":null}`},
		{"key in bytes", forwarded.Record{Key: []byte("\xc3(")}, forwarded.Fields{Key: true}, "k.key=%C3%28", `{"key_base64":"wyg=","value":null}`},
		{
			"no topic id", forwarded.Record{Origin: forwarded.Origin{Topic: "t"}}, forwarded.Fields{Origin: true}, "k.at=/t/-/0/0",
			`{"origin":{"cluster":"","topic":"t","topic_id":null,"partition":0,"offset":0},"value":null}`,
		},
		{"nothing named", forwarded.Record{Key: []byte("k"), Headers: many, Timestamp: 1, Value: []byte("\u2028\u2029\x7f\x01")}, forwarded.Fields{}, "", `{"value":"\u2028\u2029\u007F\u0001"}`},
	} {
		attrs, err := tt.r.Attrs(tt.f)
		if got := string(text(attrs)); got != tt.attrs || err != nil {
			t.Errorf("%s: attributes\n%s, %v; want\n%s", tt.name, got, err, tt.attrs)
		}
		if got, err := tt.r.AppendEnvelope([]byte("x"), tt.f); string(got) != "x"+tt.envelope || err != nil {
			t.Errorf("%s: envelope\n%s, %v; want\nx%s", tt.name, got, err, tt.envelope)
		}
	}
}

// records makes any record whose headers fit, or nearly.
func anyRecord(rng *rand.Rand) forwarded.Record {
	words := []string{"", "a", "trace", "größe", "a#2", "!", "%41", "x=y&z", "\x00\xff\xc3", "\u2028", "k.key", strings.Repeat("long ", 100)}
	word := func() []byte {
		switch rng.IntN(4) {
		case 0:
			return nil
		case 1:
			b := make([]byte, rng.IntN(20))
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
			return b
		}
		return []byte(words[rng.IntN(len(words))])
	}
	r := forwarded.Record{Key: word(), Value: word(), Timestamp: int64(rng.Uint64()) >> rng.IntN(64)}
	for range rng.IntN(40) {
		r.Headers = append(r.Headers, forwarded.Header{Name: string(word()), Value: word()})
	}
	if rng.IntN(3) > 0 {
		r.Origin = forwarded.Origin{Cluster: "WIMEoYZb", Topic: "t", Partition: rng.Int32(), Offset: rng.Int64()}
		if rng.IntN(2) == 0 {
			r.Origin.TopicID[rng.IntN(16)] = 1
		}
	}
	return r
}

// only returns what f names of r, as a reader gets it.
func only(r forwarded.Record, f forwarded.Fields) forwarded.Record {
	if !f.Key {
		r.Key = nil
	}
	if !f.Headers {
		r.Headers = nil
	}
	if !f.Timestamp {
		r.Timestamp = forwarded.NoTimestamp
	}
	if !f.Origin {
		r.Origin = forwarded.Origin{}
	}
	return r
}

// checkRoundTrip fails unless both forms of r come back as they were, or r is refused for its headers alone.
func checkRoundTrip(t *testing.T, r forwarded.Record, f forwarded.Fields) {
	t.Helper()
	want := only(r, f)
	body, err := r.AppendEnvelope(nil, f)
	if tooLarge := (*forwarded.HeadersTooLargeError)(nil); errors.As(err, &tooLarge) && f.Headers && tooLarge.Size > forwarded.MaxHeaders {
		body = nil
	} else if err != nil {
		t.Fatalf("envelope of %+v: %v", r, err)
	}
	if body != nil {
		if !json.Valid(body) || bytes.ContainsAny(body, "\n\r") {
			t.Fatalf("%q is no JSON on one line", body)
		}
		if got, err := forwarded.FromEnvelope(body); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("FromEnvelope(%s) = %+v, %v, want %+v", body, got, err, want)
		}
	}
	attrs, err := r.Attrs(f)
	if tooLarge := (*forwarded.HeadersTooLargeError)(nil); errors.As(err, &tooLarge) && f.Headers && tooLarge.Size > forwarded.MaxHeaders {
		return
	} else if err != nil {
		t.Fatalf("attributes of %+v: %v", r, err)
	}
	headers := 0
	for i, a := range attrs {
		if err := frame.CheckAttribute(a.Key, a.Value); err != nil || !forwarded.Reserved(a.Key) || strings.ContainsAny(a.Key+a.Value, " |\\\"'+") {
			t.Fatalf("attribute %q = %q: %v", a.Key, a.Value, err)
		}
		for _, b := range attrs[:i] {
			if a.Key == b.Key {
				t.Fatalf("attribute %q comes twice", a.Key)
			}
		}
		if strings.HasPrefix(a.Key, "h.") {
			headers += len("&") + len(a.Key) + len("=") + len(a.Value)
		}
		if other, err := url.PathUnescape(a.Value); err != nil || a.Key == forwarded.AttrKey && other != string(r.Key) {
			t.Fatalf("an ordinary decoder reads %q as %q, %v", a.Value, other, err)
		}
	}
	if headers > forwarded.MaxHeaders {
		t.Fatalf("the headers take %d bytes", headers)
	}
	want.Value = nil
	if got, err := forwarded.FromAttrs(text(attrs)); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("FromAttrs(%q) = %+v, %v, want %+v", text(attrs), got, err, want)
	}
}

func TestWhatTravelsComesBackAsItWas(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		f := forwarded.Fields{Key: rng.IntN(4) > 0, Headers: rng.IntN(4) > 0, Timestamp: rng.IntN(4) > 0, Origin: rng.IntN(4) > 0}
		checkRoundTrip(t, anyRecord(rng), f)
	}
}

// The bound is on what is written, so a byte that is escaped counts three times; and nothing large is built to find out.
func TestHeadersBeyondTheLimitAreRefused(t *testing.T) {
	headers := func(n int, value string) forwarded.Record {
		r := forwarded.Record{Timestamp: forwarded.NoTimestamp}
		for range n {
			r.Headers = append(r.Headers, forwarded.Header{Name: "n", Value: []byte(value)})
		}
		return r
	}
	for _, tt := range []struct {
		name            string
		r               forwarded.Record
		attrs, envelope bool
	}{
		{"just fit as attributes", headers(1, strings.Repeat("x", forwarded.MaxHeaders-len("&h.n="))), true, false},
		{"one byte more", headers(1, strings.Repeat("x", forwarded.MaxHeaders-len("&h.n=")+1)), false, false},
		{"just fit as JSON", headers(1, strings.Repeat("x", forwarded.MaxHeaders-len(`[{"name":"n","value":""}]`))), true, true},
		{"escapes", headers(1, strings.Repeat("ü", 700)), false, true},
		{"a thousand", headers(1000, ""), false, false},
		{"a million, which must cost nothing", headers(1_000_000, ""), false, false},
		{"a megabyte", headers(1, strings.Repeat("x", 1<<20)), false, false},
	} {
		var tooLarge *forwarded.HeadersTooLargeError
		if _, err := tt.r.Attrs(all); (err == nil) != tt.attrs || err != nil && !errors.As(err, &tooLarge) {
			t.Errorf("%s: attributes: %v", tt.name, err)
		}
		if _, err := tt.r.AppendEnvelope(nil, all); (err == nil) != tt.envelope || err != nil && !errors.As(err, &tooLarge) {
			t.Errorf("%s: envelope: %v", tt.name, err)
		}
		if _, err := tt.r.Attrs(forwarded.Fields{Key: true}); err != nil {
			t.Errorf("%s: headers that do not travel do not count: %v", tt.name, err)
		}
	}
}

func TestMistakesAreRefused(t *testing.T) {
	for _, attr := range []string{
		"k.key=%4", "k.key=%", "k.key=%xy", "k.key=a&k.key=b", "k.ts=soon", "k.ts=1&k.ts=2", "k.at=a/b/c/1/2", "k.at=a/b/-/1", "k.at=a/b/-/1/x", "k.at=a/b/-/99999999999/1",
		"k.at=%/b/-/1/1", "h.a#1=x", "h.a#x=x", "h.a#2=x", "h.a=x&h.a=y", "h.%=x", "h.a=%",
	} {
		if r, err := forwarded.FromAttrs([]byte(attr)); err == nil {
			t.Errorf("FromAttrs(%q) = %+v, want an error", attr, r)
		}
	}
	for _, body := range []string{
		"", "x", `{"key":1}`, `{"key":"a","key_base64":"YQ=="}`, `{"value":"a","value_base64":"YQ=="}`, `{"headers":[{"value":"x"}]}`,
		`{"headers":[{"name":"a","value":"x","value_base64":"YQ=="}]}`, `{"origin":{"topic_id":"x"}}`, `{"value":"a"}{}`, `{"value_base64":"?"}`,
	} {
		if r, err := forwarded.FromEnvelope([]byte(body)); err == nil {
			t.Errorf("FromEnvelope(%q) = %+v, want an error", body, r)
		}
	}
	for _, attr := range []string{"", "_=", "env=prod&k.other=1", "m.k.key=1"} { // not the bridge's
		if r, err := forwarded.FromAttrs([]byte(attr)); err != nil || !reflect.DeepEqual(r, forwarded.Record{Timestamp: forwarded.NoTimestamp}) {
			t.Errorf("FromAttrs(%q) = %+v, %v, want nothing", attr, r, err)
		}
	}
}

// FuzzRoundTrip: whatever a record has, what is written of it is read back as it was.
func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte("key"), "trace", []byte("a"), "trace", []byte(nil), int64(1), int64(2), []byte("value"), uint8(15))
	f.Add([]byte{}, "", []byte{}, "#2", []byte("!"), int64(-1), int64(0), []byte("\xff"), uint8(3))
	f.Fuzz(func(t *testing.T, key []byte, name1 string, value1 []byte, name2 string, value2 []byte, ts, offset int64, value []byte, fields uint8) {
		r := forwarded.Record{Key: key, Timestamp: ts, Value: value, Headers: []forwarded.Header{{Name: name1, Value: value1}, {Name: name2, Value: value2}, {Name: name1, Value: key}}}
		r.Origin = forwarded.Origin{Cluster: "c", Topic: "t", Partition: int32(ts), Offset: offset}
		if len(value) >= 16 {
			r.Origin.TopicID = [16]byte(value)
		}
		checkRoundTrip(t, r, forwarded.Fields{Key: fields&1 > 0, Headers: fields&2 > 0, Timestamp: fields&4 > 0, Origin: fields&8 > 0})
	})
}

// FuzzFromAttrs: what can be read is written again as something that reads the same.
func FuzzFromAttrs(f *testing.F) {
	f.Add([]byte("k.key=k%0A1&k.ts=17&k.at=WIMEoYZb/orders/AQL_AAAAAAAAAAAAAAAAAA/3/10&h.trace=a%20b&h.trace#2=!"))
	f.Add([]byte("k.at=//-/0/0&h.="))
	f.Fuzz(func(t *testing.T, attr []byte) {
		r, err := forwarded.FromAttrs(attr)
		if err != nil {
			return
		}
		attrs, err := r.Attrs(all)
		if err != nil {
			return // larger than the bridge writes
		}
		if again, err := forwarded.FromAttrs(text(attrs)); err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("%q reads as %+v; written again it is %q and reads as %+v, %v", attr, r, text(attrs), again, err)
		}
	})
}

// FuzzFromEnvelope: what can be read is written again as something that reads the same.
func FuzzFromEnvelope(f *testing.F) {
	f.Add([]byte(`{"key":"k\n1","headers":[{"name":"trace","value":"a b"},{"name_base64":"/w==","value_base64":"AP8="}],"timestamp":17,` +
		`"origin":{"cluster":"WIMEoYZb","topic":"orders.eu","topic_id":"AQL_AAAAAAAAAAAAAAAAAA","partition":3,"offset":10},"value":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := forwarded.FromEnvelope(body)
		if err != nil {
			return
		}
		again, err := r.AppendEnvelope(nil, all)
		if err != nil {
			return // larger than the bridge writes
		}
		if got, err := forwarded.FromEnvelope(again); err != nil || !reflect.DeepEqual(got, r) {
			t.Fatalf("%q reads as %+v; written again it is %q and reads as %+v, %v", body, r, again, got, err)
		}
	})
}

func BenchmarkForms(b *testing.B) {
	r := forwarded.Record{
		Key: []byte("customer-4711"), Timestamp: 1760000000123, Origin: origin(), Value: bytes.Repeat([]byte(`{"order":1}`), 90),
		Headers: []forwarded.Header{{Name: "trace", Value: []byte("0af7651916cd43dd")}, {Name: "content-type", Value: []byte("application/json")}},
	}
	b.Run("attributes", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(r.Value)))
		for b.Loop() {
			if attrs, err := r.Attrs(all); len(attrs) != 5 || err != nil {
				b.Fatal(attrs, err)
			}
		}
	})
	b.Run("envelope", func(b *testing.B) {
		b.ReportAllocs()
		b.SetBytes(int64(len(r.Value)))
		for b.Loop() {
			if body, err := r.AppendEnvelope(nil, all); len(body) < len(r.Value) || err != nil {
				b.Fatal(len(body), err)
			}
		}
	})
}
