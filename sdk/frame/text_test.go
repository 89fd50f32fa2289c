package frame_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"inlong-bridge/sdk/frame"
)

const textAttr = "groupId=g1&streamId=s1&dt=1760000000123&cnt=1&rt=7&rtms=8"

func textOf(t testing.TB, typ uint8, attr string, content []byte, compress bool) []byte {
	t.Helper()
	p := frame.TextPack{Type: typ, Attr: []byte(attr)}
	wire, err := frame.AppendTextPack(nil, &p, content, compress)
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

func itemAttr(t testing.TB, dst []byte, data, attr string) []byte {
	t.Helper()
	dst, err := frame.AppendItemAttr(dst, []byte(data), []byte(attr))
	if err != nil {
		t.Fatal(err)
	}
	return dst
}

func TestAppendTextPackCompressesOnlyWhenTheFrameGetsShorter(t *testing.T) {
	items, _ := jsonItems(8 << 10)
	pairs := itemAttr(t, nil, strings.Repeat("x", 500), "k=v")
	for _, tc := range []struct {
		name    string
		typ     uint8
		attr    string
		content []byte
		want    bool
	}{
		{"records", frame.TypeMultiBody, textAttr, items, true},
		{"lines", frame.TypeAckService, textAttr, bytes.Repeat([]byte("line\nx"), 100), true},
		{"records with attributes", frame.TypeMultiBodyAttr, textAttr, pairs, true},
		{"without attributes", frame.TypeAckService, "", bytes.Repeat([]byte("a"), 200), true},
		{"short", frame.TypeAckService, textAttr, []byte("aaaaaaaaaaaa"), false},
		{"random", frame.TypeMultiBody, textAttr, frame.AppendItem(nil, randomBytes(3000)), false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := frame.TextPack{Type: tc.typ, Attr: []byte(tc.attr)}
			room := make([]byte, 6, 6+frame.TextRoom(len(tc.content), len(tc.attr)))
			copy(room, "before")
			out, err := frame.AppendTextPack(room, &p, tc.content, true)
			if err != nil {
				t.Fatal(err)
			}
			if &out[0] != &room[0] {
				t.Error("TextRoom was not enough")
			}
			wire := out[len("before"):]
			if limit := frame.MaxTextSize(len(tc.content), len(tc.attr)); len(wire) > limit {
				t.Errorf("frame of %d bytes, want at most %d", len(wire), limit)
			}
			got, err := frame.DecodeTextPack(wire)
			if err != nil {
				t.Fatal(err)
			}
			if got.Compressed() != tc.want || !bytes.Equal(got.Attr, p.Attr) || !bytes.Equal(got.Body, p.Body) {
				t.Errorf("compressed: %v, want %v; attributes %q, p has %q", got.Compressed(), tc.want, got.Attr, p.Attr)
			}
			content, err := got.Content(1 << 20)
			if err != nil {
				t.Fatal(err)
			}
			if tc.typ == frame.TypeMultiBodyAttr {
				content = content[4:] // the total
			}
			if !bytes.Equal(content, tc.content) {
				t.Errorf("content = %q, want %q", content, tc.content)
			}
		})
	}
}

func TestAppendTextPackRefusesWhatDataProxyChokesOnOrChanges(t *testing.T) {
	hello := frame.AppendItem(nil, []byte("hello"))
	for name, tc := range map[string]struct {
		pack    frame.TextPack
		content []byte
		says    string
		is      error
	}{
		"type 7":                      {frame.TextPack{Type: 7}, hello, "type 7", frame.ErrType},
		"type 1":                      {frame.TextPack{Type: 1}, hello, "type 1", frame.ErrType},
		"flags in the type":           {frame.TextPack{Type: 5, Flags: 1}, hello, "flags", nil},
		"no content":                  {frame.TextPack{Type: 3}, nil, "no records", nil},
		"empty record":                {frame.TextPack{Type: 5}, frame.AppendItem(hello, nil), "record 1", frame.ErrEmptyItem},
		"record that is cut off":      {frame.TextPack{Type: 5}, hello[:8], "record 0", frame.ErrCorrupt},
		"stray bytes":                 {frame.TextPack{Type: 5}, append(bytes.Clone(hello), 0), "record 1", frame.ErrCorrupt},
		"record without attributes":   {frame.TextPack{Type: 6}, hello, "record 0", frame.ErrCorrupt},
		"line feed at the end":        {frame.TextPack{Type: 3}, []byte("a\n"), "mt=pb", nil},
		"line feed alone":             {frame.TextPack{Type: 2}, []byte("\n"), "line feed", nil},
		"non-ASCII attribute":         {frame.TextPack{Type: 3, Attr: []byte("k=caf\u00e9")}, hello, "0xc3", nil},
		"attributes too long":         {frame.TextPack{Type: 3, Attr: make([]byte, frame.MaxAttr)}, hello, "attributes", frame.ErrAttrLength},
		"compression of the caller's": {frame.TextPack{Type: 3, Attr: []byte("cp=snappy")}, hello, "cp", nil},
	} {
		t.Run(name, func(t *testing.T) {
			attr := string(tc.pack.Attr)
			out, err := frame.AppendTextPack([]byte("before"), &tc.pack, tc.content, true)
			if err == nil || !strings.Contains(err.Error(), tc.says) || tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("AppendTextPack says %v; want an error about %q (%v)", err, tc.says, tc.is)
			}
			if string(out) != "before" || string(tc.pack.Attr) != attr || tc.pack.Body != nil {
				t.Errorf("dst is %q and the pack %+v; want both unchanged", out, tc.pack)
			}
		})
	}
	textOf(t, frame.TypeAckService, "mt=pb", []byte("a\n"), false) // is taken
}

func TestDecodeTextPackRefusesWhatDoesNotAddUp(t *testing.T) {
	good := textOf(t, frame.TypeAckService, textAttr, []byte("hello"), false)
	put32 := func(at int, v uint32) func([]byte) []byte {
		return func(b []byte) []byte { binary.BigEndian.PutUint32(b[at:], v); return b }
	}
	for name, tc := range map[string]struct {
		change func([]byte) []byte
		want   error
	}{
		"nothing":             {func([]byte) []byte { return nil }, frame.ErrShort},
		"cut short":           {func(b []byte) []byte { return b[:len(b)-1] }, frame.ErrLength},
		"one byte more":       {func(b []byte) []byte { return append(b, 0) }, frame.ErrLength},
		"extra byte inside":   {func(b []byte) []byte { return put32(0, uint32(len(b)-3))(append(b, 0)) }, frame.ErrLength},
		"header alone":        {func(b []byte) []byte { return put32(0, 5)(b[:9]) }, frame.ErrShort},
		"type 7":              {func(b []byte) []byte { b[4] = 7; return b }, frame.ErrType},
		"type 1":              {func(b []byte) []byte { b[4] = 1; return b }, frame.ErrType},
		"body too long":       {put32(5, 1000), frame.ErrLength},
		"body one too long":   {put32(5, 6), frame.ErrLength},
		"body negative":       {put32(5, 0xffffffff), frame.ErrLength},
		"attributes too long": {put32(14, uint32(len(textAttr)+1)), frame.ErrLength},
		"attributes negative": {put32(14, 0xffffffff), frame.ErrLength},
	} {
		t.Run(name, func(t *testing.T) {
			bad := tc.change(bytes.Clone(good))
			if p, err := frame.DecodeTextPack(bad); !errors.Is(err, tc.want) || p.Body != nil || p.Attr != nil {
				t.Errorf("DecodeTextPack(%x) = %+v, %v, want %v", bad, p, err, tc.want)
			}
			if _, err := frame.DecodeTextAck(bad); !errors.Is(err, tc.want) {
				t.Errorf("DecodeTextAck(%x) says %v, want %v", bad, err, tc.want)
			}
		})
	}
	flagged := bytes.Clone(good)
	flagged[4] |= frame.FlagSnappy
	if p, err := frame.DecodeTextPack(flagged); err != nil || p.Flags != frame.FlagSnappy || p.Compressed() {
		t.Errorf("flags of a text pack mean nothing, but are kept: %+v, %v", p, err)
	}
	if _, err := frame.DecodeTextAck(flagged); !errors.Is(err, frame.ErrType) {
		t.Errorf("an ack has no flags: %v", err)
	}
}

func TestTextItemsOfEachType(t *testing.T) {
	five := appendItems(nil, [][]byte{[]byte("hello"), []byte("world")})
	pairs := itemAttr(t, itemAttr(t, nil, "hello", "k=v"), "world", "k=w")
	six := frame.AppendItem(nil, pairs)
	for name, tc := range map[string]struct {
		pack  frame.TextPack
		limit int
		want  []frame.Item
		err   error
	}{
		"lines are one":            {frame.TextPack{Type: 3, Body: []byte("a\nb\n")}, 100, []frame.Item{{Data: []byte("a\nb\n")}}, nil},
		"type 2":                   {frame.TextPack{Type: 2, Body: []byte("a")}, 100, []frame.Item{{Data: []byte("a")}}, nil},
		"type 4":                   {frame.TextPack{Type: 4, Body: []byte("a")}, 100, []frame.Item{{Data: []byte("a")}}, nil},
		"type 5":                   {frame.TextPack{Type: 5, Body: five}, 18, []frame.Item{{Data: []byte("hello")}, {Data: []byte("world")}}, nil},
		"type 5 above the limit":   {frame.TextPack{Type: 5, Body: five}, 17, nil, frame.ErrTooLarge},
		"type 5 with empty record": {frame.TextPack{Type: 5, Body: frame.AppendItem(bytes.Clone(five), nil)}, 100, nil, frame.ErrEmptyItem},
		"type 5 cut off":           {frame.TextPack{Type: 5, Body: five[:17]}, 100, nil, frame.ErrCorrupt},
		"type 6": {frame.TextPack{Type: 6, Body: six}, 100,
			[]frame.Item{{[]byte("hello"), []byte("k=v")}, {[]byte("world"), []byte("k=w")}}, nil},
		"type 6 in two groups": {frame.TextPack{Type: 6, Body: append(bytes.Clone(six), six...)}, 100,
			[]frame.Item{{[]byte("hello"), []byte("k=v")}, {[]byte("world"), []byte("k=w")}, {[]byte("hello"), []byte("k=v")}, {[]byte("world"), []byte("k=w")}}, nil},
		"type 6 without the total": {frame.TextPack{Type: 6, Body: pairs}, 100,
			[]frame.Item{{[]byte("hello"), []byte("k=v")}, {[]byte("world"), []byte("k=w")}}, nil},
		"type 6 of half a pair": {frame.TextPack{Type: 6, Body: five[:9]}, 100, nil, frame.ErrCorrupt},
		"not snappy":            {frame.TextPack{Type: 3, Body: []byte{9, 0xff}, Attr: []byte("cp=gzip")}, 100, nil, frame.ErrCorrupt},
		"blank compression":     {frame.TextPack{Type: 3, Body: []byte("a"), Attr: []byte("cp= ")}, 100, []frame.Item{{Data: []byte("a")}}, nil},
		"snappy that cannot be": {frame.TextPack{Type: 3, Body: []byte{0xff, 0xff, 0x03, 0}, Attr: []byte("cp=snappy")}, 1 << 20, nil, frame.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := tc.pack.Items(tc.limit)
			if !errors.Is(err, tc.err) || !equalItems(dataOf(got), dataOf(tc.want)) {
				t.Fatalf("Items = %q, %v, want %q, %v", got, err, tc.want, tc.err)
			}
			for i := range got {
				if !bytes.Equal(got[i].Attr, tc.want[i].Attr) {
					t.Errorf("attributes of record %d = %q, want %q", i, got[i].Attr, tc.want[i].Attr)
				}
			}
		})
	}
}

func TestRecordsWithAttributesGoThereAndBack(t *testing.T) {
	if out, err := frame.AppendItemAttr([]byte("before"), nil, []byte("k=v")); !errors.Is(err, frame.ErrEmptyItem) || string(out) != "before" {
		t.Errorf("empty record: %q, %v", out, err)
	}
	if out, err := frame.AppendItemAttr([]byte("before"), []byte("x"), nil); !errors.Is(err, frame.ErrEmptyItem) || string(out) != "before" {
		t.Errorf("no attributes: %q, %v", out, err)
	}
	items := itemAttr(t, itemAttr(t, nil, "hello", "k=v&l=w"), "x", "k=y")
	if len(items) != 2*frame.ItemAttrOverhead+len("hello")+len("k=v&l=w")+len("x")+len("k=y") {
		t.Errorf("%d bytes", len(items))
	}
	for _, compress := range []bool{false, true} {
		p := plainPack(2)
		p.Ext |= frame.ExtRecordAttrs
		wire, err := frame.AppendPack(nil, &p, items, compress)
		if err != nil {
			t.Fatal(err)
		}
		back, err := frame.DecodePack(wire)
		if err != nil {
			t.Fatal(err)
		}
		got, err := back.ItemsAttrs(len(items))
		if err != nil || len(got) != 2 || string(got[0].Data) != "hello" || string(got[0].Attr) != "k=v&l=w" || string(got[1].Data) != "x" || string(got[1].Attr) != "k=y" {
			t.Errorf("records = %q, %v", got, err)
		}
		if _, err := back.ItemsAttrs(len(items) - 1); !errors.Is(err, frame.ErrTooLarge) {
			t.Errorf("one byte less than there are: %v", err)
		}
		if data, err := back.Items(len(items)); err != nil || !equalItems(data, dataOf(got)) {
			t.Errorf("Items = %q, %v", data, err)
		}
	}
	p := frame.Pack{Count: 2, Body: appendItems(nil, [][]byte{[]byte("a"), nil})}
	if got, err := p.ItemsAttrs(100); err != nil || !equalItems(dataOf(got), [][]byte{[]byte("a"), nil}) || got[0].Attr != nil {
		t.Errorf("records without attributes = %q, %v", got, err)
	}
	p.Body = p.Body[:7]
	if _, err := p.ItemsAttrs(100); !errors.Is(err, frame.ErrCorrupt) {
		t.Errorf("cut off: %v", err)
	}
}

func TestTextAckIsReadLikeAnyOther(t *testing.T) {
	const message = "Parse attr (groupId=g1&messageId=5&x) failure"
	request := "groupId=g1&messageId=5&x"
	wire := frame.AppendTextAck([]byte("before"), 5, []byte("2"), "10.0.0.1", 109, message, []byte(request))
	a, err := frame.DecodeTextAck(wire[len("before"):])
	if err != nil || a.Type != 5 || a.Code != 109 || string(a.Body) != "2" || string(a.MessageWithout([]byte(request))) != message {
		t.Errorf("ack = %+v, %v", a, err)
	}
	if id, ok := a.Echoed("messageId"); !ok || string(id) != "5" {
		t.Errorf("messageId = %q, %v", id, ok)
	}
	stamped := "rt=9&rtms=9&" + request
	a, err = frame.DecodeTextAck(frame.AppendTextAck(nil, 3, nil, "10.0.0.1", 114, "full", []byte(stamped)))
	if err != nil || string(a.MessageWithout([]byte(request))) != "full" || len(a.Body) != 0 {
		t.Errorf("ack = %+v, message %q, %v", a, a.MessageWithout([]byte(request)), err)
	}
	a, err = frame.DecodeTextAck(frame.AppendTextAck(nil, 3, []byte("2"), "10.0.0.1", 104, "", nil))
	if err != nil || a.Code != 104 || a.Message != nil {
		t.Errorf("ack = %+v, %v", a, err)
	}
	for _, key := range []string{"messageId", "", "dpI"} {
		if v, ok := a.Echoed(key); ok {
			t.Errorf("Echoed(%q) = %q of an ack that echoes nothing", key, v)
		}
	}
	long := strings.Repeat("k=v&", 30000) + "k=v"
	a, err = frame.DecodeTextAck(frame.AppendTextAck(nil, 3, []byte("2"), "10.0.0.1", 0, "", []byte(long)))
	if err != nil || !strings.HasSuffix(string(a.Attr), long) {
		t.Errorf("attributes of %d bytes, want all %d: %v", len(a.Attr), len(long), err)
	}
}
