package frame_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"inlong-bridge/sdk/frame"
)

// wrapped returns what DataProxy stores for a body of one type.
func wrapped(t *testing.T, typ uint8, attr string, content []byte) frame.BlockMsg {
	t.Helper()
	p := frame.TextPack{Type: typ, Attr: []byte(attr)}
	value, err := frame.AppendTextInLongMsg(nil, &p, content, 1760000000999, 1760000001000)
	if err != nil {
		t.Fatal(err)
	}
	m, err := frame.DecodeBlockMsg(value)
	if err != nil {
		t.Fatal(err)
	}
	if m.Created != 1760000001000 {
		t.Errorf("created at %d", m.Created)
	}
	return m
}

func TestAttributesInTheQueueAreFilledInAndInTheOrderOfAJavaHashMap(t *testing.T) {
	text, err := os.ReadFile("testdata/hashmap-order.txt")
	if err != nil {
		t.Fatal(err)
	}
	var attr string
	rows := 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if in, ok := strings.CutPrefix(line, "< "); ok {
			attr = in
		}
		want, ok := strings.CutPrefix(line, "> ")
		if !ok {
			continue
		}
		rows++
		p := frame.TextPack{Type: frame.TypeAckService, Attr: []byte(attr)}
		value, err := frame.AppendTextInLongMsg(nil, &p, []byte("x"), 1760000000999, 1)
		if err != nil {
			t.Errorf("%q: %v", attr, err)
			continue
		}
		if o, err := frame.OpenInLongMsg(value, 100); err != nil || string(o.Attr) != want {
			t.Errorf("attributes of\n%q in the queue =\n%q, %v, want\n%q", attr, o.Attr, err, want)
		}
	}
	if rows != 18 {
		t.Errorf("%d rows, want 18", rows)
	}
}

func sortedTokens(s string) string {
	tokens := strings.Split(s, "&")
	slices.Sort(tokens)
	return strings.Join(tokens, "&")
}

func TestTextPacksAreStoredAsDataProxyChangesThem(t *testing.T) {
	five := appendItems(nil, [][]byte{[]byte("hello"), []byte("world")})
	pairs := itemAttr(t, itemAttr(t, nil, "hello", "k=v"), "world", "k=w")
	withTotal := frame.AppendItem(nil, pairs)
	for _, tc := range []struct {
		name    string
		typ     uint8
		attr    string
		content []byte
		want    []string
		cnt     string
	}{
		{"lines", 3, "cnt=2", []byte("a\nb"), []string{"a\nb"}, "2"},
		{"line feed at the end", 3, "", []byte("a\n"), []string{"a"}, "1"},
		{"return and line feed", 2, "", []byte("a\r\n"), []string{"a"}, "1"},
		{"two line feeds", 4, "", []byte("a\n\n"), []string{"a\n"}, "1"},
		{"return alone", 3, "", []byte("a\r"), []string{"a\r"}, "1"},
		{"return and line feed alone", 3, "", []byte("\r\n"), []string{""}, "1"},
		{"not lines", 3, "mt=pb", []byte("a\n"), []string{"a\n"}, "1"},
		{"line feed, not lines", 3, "mt=pb", []byte("\n"), []string{"\n"}, "1"},
		{"records", 5, "cnt=2", five, []string{"hello", "world"}, "1"},
		{"records that end in a line feed", 5, "", frame.AppendItem(nil, []byte("a\n")), []string{"a\n"}, "1"},
		{"an empty record hides the rest", 5, "cnt=9", append(frame.AppendItem(five[:9:9], nil), five...), []string{"hello"}, "1"},
		{"a record too long hides the rest", 5, "", append(five[:9:9], 0, 0, 0, 9, 'x'), []string{"hello"}, "1"},
		{"a negative record hides the rest", 5, "", append(five[:9:9], 0xff, 0, 0, 9, 'x'), []string{"hello"}, "1"},
		{"records with attributes", 6, "cnt=7", pairs, []string{"hello", "world"}, "1"},
		{"records with attributes and their total", 6, "", withTotal, []string{"hello", "world"}, "1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := wrapped(t, tc.typ, tc.attr, tc.content)
			items, err := m.Items(1 << 10)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, item := range items {
				got = append(got, string(item.Data))
			}
			if strings.Join(got, "|") != strings.Join(tc.want, "|") || len(got) != len(tc.want) {
				t.Errorf("records = %q, want %q", got, tc.want)
			}
			if cnt, _ := frame.Attribute(m.Blocks[0].Attr, "cnt"); string(cnt) != tc.cnt {
				t.Errorf("cnt = %s, want %s", cnt, tc.cnt)
			}
			wantVersion := uint8(1)
			if tc.typ == frame.TypeMultiBodyAttr {
				wantVersion = 3
			}
			if m.Version != wantVersion {
				t.Errorf("version %d, want %d", m.Version, wantVersion)
			}
		})
	}
	if m := wrapped(t, 6, "", pairs); m.Count != 2 {
		t.Errorf("two pairs are counted as %d", m.Count)
	}
	if m := wrapped(t, 6, "", []byte{0, 0, 0, 9, 'x'}); len(m.Blocks) != 0 || m.Count != 0 {
		t.Errorf("a type-6 body that reaches over its end is stored as %+v, want nothing", m)
	}
}

func TestTextPacksThatDataProxyDoesNotStore(t *testing.T) {
	five := frame.AppendItem(nil, []byte("hello"))
	for name, tc := range map[string]struct {
		typ     uint8
		attr    string
		content []byte
		want    error
	}{
		"line feed alone":         {3, "", []byte("\n"), frame.ErrCorrupt},
		"no record":               {5, "", []byte{0, 0, 0, 0, 1}, frame.ErrCorrupt},
		"stray bytes":             {5, "", append(bytes.Clone(five), 1, 2, 3), frame.ErrCorrupt},
		"stray bytes alone":       {5, "", []byte{1, 2}, frame.ErrCorrupt},
		"type 6, stray byte":      {6, "", append(bytes.Clone(five), 1), frame.ErrCorrupt},
		"type 6, negative":        {6, "", []byte{0xff, 0, 0, 0}, frame.ErrCorrupt},
		"attribute without =":     {3, "a", []byte("x"), frame.ErrCorrupt},
		"attribute twice":         {3, "a=1&a=2", []byte("x"), frame.ErrCorrupt},
		"attribute with two =":    {3, "a=1=2", []byte("x"), frame.ErrCorrupt},
		"attribute empty":         {3, "a=1&", []byte("x"), frame.ErrCorrupt},
		"attributes over 64 KiB":  {3, "a=" + strings.Repeat("x", 65536), []byte("x"), frame.ErrTooLarge},
		"attributes over in Java": {3, "a=" + strings.Repeat("\x00", 40000), []byte("x"), frame.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			p := frame.TextPack{Type: tc.typ, Attr: []byte(tc.attr)}
			if out, err := frame.AppendTextInLongMsg([]byte("before"), &p, tc.content, 1, 2); !errors.Is(err, tc.want) || string(out) != "before" {
				t.Errorf("AppendTextInLongMsg = %q, %v, want %v", out, err, tc.want)
			}
		})
	}
}

func TestAttributesOfEveryAlphabetComeBack(t *testing.T) {
	attr := "groupId=g1&k=h\u00e9llo \u4e16\u754c \U0001f600 \x00&cnt=1&dt=5&rt=7&rtms=8"
	p := frame.TextPack{Type: frame.TypeAckService, Attr: []byte(attr)}
	value, err := frame.AppendTextInLongMsg(nil, &p, []byte("x"), 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	// As java.io.DataOutputStream writes them: zero in two bytes, the face as two surrogates.
	if !bytes.Contains(value, []byte("\xed\xa0\xbd\xed\xb8\x80 \xc0\x80")) {
		t.Errorf("attributes are not written as Java does: %q", value)
	}
	o, err := frame.OpenInLongMsg(value, 100)
	if err != nil || sortedTokens(string(o.Attr)) != sortedTokens(attr) {
		t.Errorf("opened = %+v, %v, want the attributes %q", o, err, attr)
	}
}

func TestOpenInLongMsgOfEveryVersion(t *testing.T) {
	p := plainPack(2)
	p.Body = appendItems(nil, [][]byte{[]byte("a"), []byte("b")})
	v4, err := frame.AppendInLongMsg(nil, &p, 1)
	if err != nil {
		t.Fatal(err)
	}
	text := func(typ uint8, attr string, content []byte) []byte {
		p := frame.TextPack{Type: typ, Attr: []byte(attr)}
		value, err := frame.AppendTextInLongMsg(nil, &p, content, 1, 2)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	pairs := itemAttr(t, itemAttr(t, nil, "a", "k=v"), "b", "k=w")
	for name, tc := range map[string]struct {
		value   []byte
		version uint8
		millis  int64
		count   int
	}{
		"version 4":         {v4, 4, 1760000000000, 2},
		"version 1, type 5": {text(5, "dt=7&cnt=2", p.Body), 1, 7, 2},
		"version 3":         {text(6, "dt=7&cnt=2", pairs), 3, 7, 2},
	} {
		o, err := frame.OpenInLongMsg(tc.value, 100)
		if err != nil || o.Version != tc.version || o.DataMillis != tc.millis || o.Count != tc.count || !equalItems(o.Records, [][]byte{[]byte("a"), []byte("b")}) {
			t.Errorf("%s: opened = %+v, %v", name, o, err)
		}
		if o, err := frame.OpenInLongMsg(tc.value, 9); !errors.Is(err, frame.ErrTooLarge) || o.Records != nil || o.Attr == nil {
			t.Errorf("%s: above the limit: %+v, %v", name, o, err)
		}
	}
	if o, err := frame.OpenInLongMsg(text(3, "dt=7&cnt=2", []byte("a\nb")), 100); err != nil || o.Count != 2 || !equalItems(o.Records, [][]byte{[]byte("a\nb")}) {
		t.Errorf("type 3: opened = %+v, %v", o, err)
	}
	if o, err := frame.OpenInLongMsg(text(3, "cnt=-5", []byte("a")), 100); err != nil || o.Count != 1 {
		t.Errorf("negative cnt: opened = %+v, %v", o, err)
	}
}

// The bytes are written down as InLong's reader, InLongMsg.java of inlong-common, takes them: nothing writes the versions 0 and 2
// any more.
func TestOpenInLongMsgOfOldVersions(t *testing.T) {
	const block = "\x00\x0bstreamId=s1" + "%s" + "\x00\x00\x00\x0b\x00" + "\x00\x00\x00\x01a" + "\x00\x00\x00\x01b"
	for _, tc := range []struct {
		name, value string
		m           frame.BlockMsg
	}{
		{"version 0", "\x0f\x00" + "\x00\x00\x00\x01" + fmt.Sprintf(block, "") + "\x0f\x00", frame.BlockMsg{}},
		{"version 2", "\x0f\x02" + "\x00\x00\x00\x00\x00\x00\x00\x07" + "\x00\x00\x00\x02" + "\x00\x00\x00\x01" +
			fmt.Sprintf(block, "\x00\x00\x00\x02") + "\x0f\x02", frame.BlockMsg{Version: 2, Created: 7, Count: 2}},
	} {
		o, err := frame.OpenInLongMsg([]byte(tc.value), 100)
		if err != nil || o.Version != tc.m.Version || string(o.Attr) != "streamId=s1" || o.Count != 2 || !equalItems(o.Records, [][]byte{[]byte("a"), []byte("b")}) {
			t.Errorf("%s: opened = %+v, %v", tc.name, o, err)
		}
		m, err := frame.DecodeBlockMsg([]byte(tc.value))
		if err != nil || m.Version != tc.m.Version || m.Created != tc.m.Created || m.Count != tc.m.Count || len(m.Blocks) != 1 || m.Blocks[0].Count != tc.m.Count {
			t.Errorf("%s: read = %+v, %v", tc.name, m, err)
		}
		if again, err := m.AppendTo(nil); err != nil || string(again) != tc.value {
			t.Errorf("%s: encoded again: %q, %v, want %q", tc.name, again, err, tc.value)
		}
		if attr, err := frame.InLongMsgAttr([]byte(tc.value)); err != nil || string(attr) != "streamId=s1" {
			t.Errorf("%s: attributes %q, %v", tc.name, attr, err)
		}
	}
}

func TestOpenInLongMsgTellsTheAttributesOfRecords(t *testing.T) {
	p := plainPack(1)
	p.Ext |= frame.ExtRecordAttrs
	p.Body = itemAttr(t, nil, "a", "k=v")
	v4, err := frame.AppendInLongMsg(nil, &p, 1)
	if err != nil {
		t.Fatal(err)
	}
	six := frame.TextPack{Type: frame.TypeMultiBodyAttr, Attr: []byte(textAttr)}
	v3, err := frame.AppendTextInLongMsg(nil, &six, itemAttr(t, nil, "a", "k=v"), 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range [][]byte{v4, v3} {
		if o, err := frame.OpenInLongMsg(value, 100); err != nil || len(o.Records) != 1 || !equalItems(o.RecordAttrs, [][]byte{[]byte("k=v")}) {
			t.Errorf("version %d: opened = %+v, %v, want the attribute of the record", value[1], o, err)
		}
	}
	p = plainPack(1)
	p.Ext, p.GroupIDNum, p.StreamIDNum = 0, 5, 6
	p.Body = appendItems(nil, [][]byte{[]byte("a")})
	if v4, err = frame.AppendInLongMsg(nil, &p, 1); err != nil {
		t.Fatal(err)
	}
	if o, err := frame.OpenInLongMsg(v4, 100); err != nil || !o.Numeric || o.GroupIDNum != 5 || o.StreamIDNum != 6 || o.RecordAttrs != nil {
		t.Errorf("opened = %+v, %v, want group 5 and stream 6, and no attributes of records", o, err)
	}
}

func TestBlockMsgReadersRefuseOtherValues(t *testing.T) {
	p := frame.TextPack{Type: frame.TypeAckService, Attr: []byte(textAttr)}
	good, err := frame.AppendTextInLongMsg(nil, &p, []byte("hello"), 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	put32 := func(at int, v uint32) func([]byte) []byte {
		return func(b []byte) []byte { binary.BigEndian.PutUint32(b[at:], v); return b }
	}
	set := func(at int, v byte) func([]byte) []byte {
		return func(b []byte) []byte { b[at] = v; return b }
	}
	block := 2 + 8 + 4
	size := block + 2 + len(textAttr)
	for name, tc := range map[string]struct {
		change func([]byte) []byte
		want   error
	}{
		"nothing":            {func([]byte) []byte { return nil }, frame.ErrNotInLongMsg},
		"markers alone":      {func([]byte) []byte { return []byte{0x0f, 1, 0x0f, 1} }, frame.ErrNotInLongMsg},
		"version 0":          {func(b []byte) []byte { b[1], b[len(b)-1] = 0, 0; return b }, frame.ErrLength}, // which has no time
		"version 2":          {func(b []byte) []byte { b[1], b[len(b)-1] = 2, 2; return b }, frame.ErrLength}, // which has counts
		"version 5":          {func(b []byte) []byte { b[1], b[len(b)-1] = 5, 5; return b }, frame.ErrNotInLongMsg},
		"other end":          {set(len(good)-1, 3), frame.ErrNotInLongMsg},
		"more blocks":        {put32(10, 2), frame.ErrLength},
		"very many blocks":   {put32(10, 0xffffffff), frame.ErrLength},
		"no block":           {put32(10, 0), frame.ErrLength},
		"attributes longer":  {set(block, 0xff), frame.ErrLength},
		"attributes shorter": {set(block+1, byte(len(textAttr)-1)), frame.ErrLength},
		"block longer":       {set(size, 1), frame.ErrLength},
		"block negative":     {set(size, 0xff), frame.ErrLength},
		"block empty":        {put32(size, 0), frame.ErrLength},
		"block shorter":      {func(b []byte) []byte { b[size+3]--; return b }, frame.ErrLength},
		"compression":        {set(size+4, 2), frame.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			bad := tc.change(bytes.Clone(good))
			if m, err := frame.DecodeBlockMsg(bad); !errors.Is(err, tc.want) || m.Blocks != nil {
				t.Errorf("DecodeBlockMsg = %+v, %v, want %v", m, err, tc.want)
			}
			if attr, err := frame.InLongMsgAttr(bad); !errors.Is(err, tc.want) || attr != nil {
				t.Errorf("InLongMsgAttr = %q, %v, want %v", attr, err, tc.want)
			}
			if o, err := frame.OpenInLongMsg(bad, 100); !errors.Is(err, tc.want) {
				t.Errorf("OpenInLongMsg = %+v, %v, want %v", o, err, tc.want)
			}
		})
	}
	if _, err := (&frame.BlockMsg{Version: 4}).AppendTo(nil); !errors.Is(err, frame.ErrNotInLongMsg) {
		t.Errorf("version 4 is not made of blocks: %v", err)
	}
	long := frame.BlockMsg{Version: 1, Blocks: []frame.Block{{Attr: make([]byte, 65536)}}}
	if out, err := long.AppendTo([]byte("before")); !errors.Is(err, frame.ErrTooLarge) || string(out) != "before" {
		t.Errorf("long attributes: %q, %v", out, err)
	}
	two := frame.BlockMsg{Version: 1, Blocks: []frame.Block{
		{Attr: []byte("k=1"), Data: frame.AppendItem(nil, []byte("a"))}, {Attr: []byte("k=2"), Data: frame.AppendItem(nil, []byte("b"))}}}
	value, err := two.AppendTo(nil)
	if err != nil {
		t.Fatal(err)
	}
	if o, err := frame.OpenInLongMsg(value, 10); err != nil || string(o.Attr) != "k=1" || !equalItems(o.Records, [][]byte{[]byte("a"), []byte("b")}) {
		t.Errorf("two blocks: %+v, %v", o, err)
	}
	if _, err := frame.OpenInLongMsg(value, 9); !errors.Is(err, frame.ErrTooLarge) {
		t.Errorf("the limit is for all blocks together: %v", err)
	}
}
