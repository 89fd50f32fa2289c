package frame_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"inlong-bridge/sdk/frame"
)

const plainAttr = "groupId=g1&streamId=s1&rtms=1760000000123"

func plainPack(count uint16) frame.Pack {
	return frame.Pack{Ext: frame.ExtStringIDs, DataTime: 1760000000, Count: count, Uniq: 0xfffffff7, Attr: []byte(plainAttr)}
}

// jsonItems returns about size bytes of records as an order system writes them.
func jsonItems(size int) (items []byte, count uint16) {
	rng := rand.New(rand.NewPCG(1, 2))
	for len(items) < size {
		items = frame.AppendItem(items, fmt.Appendf(nil,
			`{"order":%d,"customer":"c-%06d","status":"%s","amount":%d.%02d,"currency":"EUR","created":"2026-03-%02dT%02d:%02d:%02dZ"}`,
			rng.Uint32(), rng.IntN(1e6), []string{"new", "paid", "sent"}[rng.IntN(3)], rng.IntN(1000), rng.IntN(100),
			1+rng.IntN(28), rng.IntN(24), rng.IntN(60), rng.IntN(60)))
		count++
	}
	return items, count
}

func randomBytes(n int) []byte {
	rng := rand.New(rand.NewPCG(3, 4))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func TestAppendPackCompressesBehindWhatIsThere(t *testing.T) {
	items, count := jsonItems(64 << 10)
	p := plainPack(count)
	out, err := frame.AppendPack([]byte("before"), &p, items, true)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(out, []byte("before")) {
		t.Errorf("the slice begins with %q", out[:6])
	}
	wire := out[len("before"):]
	got, err := frame.DecodePack(wire)
	if err != nil {
		t.Fatal(err)
	}
	if p.Flags != frame.FlagSnappy || !bytes.Equal(p.Body, got.Body) || &p.Body[0] != &wire[25] {
		t.Errorf("flags 0x%02x; p.Body must be the frame's own %d bytes, has %d", p.Flags, len(got.Body), len(p.Body))
	}
	if len(got.Body) >= len(items)/2 {
		t.Errorf("%d bytes of JSON became %d", len(items), len(got.Body))
	}
	back, err := got.Items(len(items))
	if err != nil || !bytes.Equal(appendItems(nil, back), items) || len(back) != int(count) {
		t.Errorf("%d records of %d came back, %v", len(back), count, err)
	}
}

func TestAppendPackSendsIncompressibleBodyPlainAndNeverAboveMaxPackSize(t *testing.T) {
	for _, size := range []int{0, 1, 2, 7, 100, 4000, 65536, 300000} {
		for _, compressible := range []bool{false, true} {
			record := randomBytes(size)
			if compressible {
				record = bytes.Repeat([]byte("x"), size)
			}
			items := frame.AppendItem(nil, record)
			p := plainPack(1)
			p.Flags = frame.FlagSnappy // left over from an earlier use
			out, err := frame.AppendPack(nil, &p, items, true)
			if err != nil {
				t.Fatal(err)
			}
			if limit := frame.MaxPackSize(len(items), len(p.Attr)); len(out) > limit {
				t.Errorf("record of %d bytes: frame of %d, want at most %d", size, len(out), limit)
			}
			if !compressible && (p.Flags != 0 || !bytes.Equal(p.Body, items)) {
				t.Errorf("random record of %d bytes: flags 0x%02x, body of %d bytes for %d", size, p.Flags, len(p.Body), len(items))
			}
			if compressible && size >= 100 && p.Flags != frame.FlagSnappy {
				t.Errorf("repeated record of %d bytes was sent plain", size)
			}
			got, err := frame.DecodePack(out)
			if err != nil {
				t.Fatal(err)
			}
			if back, err := got.Items(len(items)); err != nil || len(back) != 1 || !bytes.Equal(back[0], record) {
				t.Errorf("record of %d bytes came back as %d records, %v", size, len(back), err)
			}
		}
	}
}

func TestAppendPackRefusesWhatDataProxyChokesOn(t *testing.T) {
	one := frame.AppendItem(nil, []byte("hello"))
	for name, tc := range map[string]struct {
		change func(*frame.Pack)
		items  []byte
		says   string
	}{
		"no records":          {func(*frame.Pack) {}, nil, "no records"},
		"count 0":             {func(p *frame.Pack) { p.Count = 0 }, one, "0 records"},
		"count above 32767":   {func(p *frame.Pack) { p.Count = frame.MaxCount + 1 }, one, "32768 records"},
		"long attributes":     {func(p *frame.Pack) { p.Attr = make([]byte, frame.MaxAttr+1) }, one, "attributes"},
		"non-ASCII attribute": {func(p *frame.Pack) { p.Attr = []byte("k=caf\u00e9") }, one, "0xc3"},
		"control character":   {func(p *frame.Pack) { p.Attr = []byte("k=a\nb") }, one, "0x0a"},
		"flags in the type":   {func(p *frame.Pack) { p.Flags = 0x21 }, one, "flags"},
	} {
		t.Run(name, func(t *testing.T) {
			p := plainPack(1)
			tc.change(&p)
			out, err := frame.AppendPack([]byte("before"), &p, tc.items, true)
			if err == nil || !strings.Contains(err.Error(), tc.says) || string(out) != "before" {
				t.Errorf("AppendPack = %q, %v; want an error about %q and dst unchanged", out, err, tc.says)
			}
		})
	}
}

func TestDecodePackRefusesWhatDoesNotAddUp(t *testing.T) {
	p := plainPack(1)
	good, err := frame.AppendPack(nil, &p, frame.AppendItem(nil, []byte("hello")), false)
	if err != nil {
		t.Fatal(err)
	}
	put32 := func(at int, v uint32) func([]byte) []byte {
		return func(b []byte) []byte { binary.BigEndian.PutUint32(b[at:], v); return b }
	}
	longer := func(by int) func([]byte) []byte { // extra bytes that the length field counts
		return func(b []byte) []byte {
			b = append(b, make([]byte, by)...)
			return put32(0, uint32(len(b)-4))(b)
		}
	}
	attrLen := len(good) - 2 - len(plainAttr) - 2
	for name, tc := range map[string]struct {
		change   func([]byte) []byte
		want     error
		withUniq bool // DataProxy answers, and the answer needs it
	}{
		"nothing":             {func([]byte) []byte { return nil }, frame.ErrShort, false},
		"length alone":        {func(b []byte) []byte { return b[:4] }, frame.ErrShort, false},
		"cut short":           {func(b []byte) []byte { return b[:len(b)-1] }, frame.ErrLength, false},
		"one byte more":       {func(b []byte) []byte { return append(b, 0) }, frame.ErrLength, false},
		"extra bytes inside":  {longer(3), frame.ErrLength, false},
		"header alone":        {func(b []byte) []byte { return put32(0, 21)(b[:25]) }, frame.ErrShort, false},
		"heartbeat":           {func(b []byte) []byte { b[4] = 8; return b }, frame.ErrType, false},
		"body too long":       {put32(21, 1000), frame.ErrLength, false},
		"body negative":       {put32(21, 0xffffffff), frame.ErrLength, false},
		"attributes too long": {func(b []byte) []byte { b[attrLen+1]++; return b }, frame.ErrLength, false},
		"attributes negative": {func(b []byte) []byte { b[attrLen] = 0x80; return b }, frame.ErrAttrLength, true},
		"wrong magic":         {func(b []byte) []byte { b[len(b)-1] = 2; return b }, frame.ErrMagic, true},
	} {
		t.Run(name, func(t *testing.T) {
			bad := tc.change(bytes.Clone(good))
			got, err := frame.DecodePack(bad)
			if !errors.Is(err, tc.want) {
				t.Errorf("DecodePack(%x) = %v, want %v", bad, err, tc.want)
			}
			if hasUniq := got.Uniq == p.Uniq; hasUniq != tc.withUniq {
				t.Errorf("uniq = %#x, want it to be set: %v", got.Uniq, tc.withUniq)
			}
		})
	}
}

func TestItemsRefusesBodiesThatAreNotRecords(t *testing.T) {
	hello := frame.AppendItem(nil, []byte("hello"))
	withAttr := frame.AppendItem(bytes.Clone(hello), []byte("k=v"))
	for name, tc := range map[string]struct {
		pack  frame.Pack
		limit int
		want  error
	}{
		"above the limit":            {frame.Pack{Body: hello}, 8, frame.ErrTooLarge},
		"stray byte":                 {frame.Pack{Body: append(bytes.Clone(hello), 0)}, 100, frame.ErrCorrupt},
		"record longer than body":    {frame.Pack{Body: []byte{0, 0, 0, 2, 'a'}}, 100, frame.ErrCorrupt},
		"negative length":            {frame.Pack{Body: []byte{0xff, 0xff, 0xff, 0xff, 'a'}}, 100, frame.ErrCorrupt},
		"not snappy":                 {frame.Pack{Flags: frame.FlagSnappy, Body: []byte{9, 0xff, 0xff}}, 100, frame.ErrCorrupt},
		"snappy above the limit":     {frame.Pack{Flags: frame.FlagSnappy, Body: []byte{0xff, 0xff, 0x03, 0}}, 65534, frame.ErrTooLarge},
		"snappy that cannot be that": {frame.Pack{Flags: frame.FlagSnappy, Body: []byte{0xff, 0xff, 0x03, 0}}, 1 << 20, frame.ErrCorrupt},
		"record without attributes":  {frame.Pack{Ext: frame.ExtRecordAttrs, Body: hello}, 100, frame.ErrCorrupt},
		"empty attributes":           {frame.Pack{Ext: frame.ExtRecordAttrs, Body: frame.AppendItem(bytes.Clone(hello), nil)}, 100, frame.ErrCorrupt},
		"empty record with attributes": {frame.Pack{Ext: frame.ExtRecordAttrs,
			Body: frame.AppendItem(frame.AppendItem(nil, nil), []byte("k=v"))}, 100, frame.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			if items, err := tc.pack.Items(tc.limit); !errors.Is(err, tc.want) || items != nil {
				t.Errorf("Items = %q, %v, want %v", items, err, tc.want)
			}
		})
	}
	p := frame.Pack{Ext: frame.ExtRecordAttrs, Count: 2, Body: append(bytes.Clone(withAttr), withAttr...)}
	if items, err := p.Items(100); err != nil || !equalItems(items, [][]byte{[]byte("hello"), []byte("hello")}) {
		t.Errorf("records with attributes = %q, %v", items, err)
	}
	p = frame.Pack{Count: 3, Body: appendItems(nil, [][]byte{nil, []byte("x"), nil})}
	if items, err := p.Items(100); err != nil || !equalItems(items, [][]byte{nil, []byte("x"), nil}) {
		t.Errorf("empty records = %q, %v", items, err)
	}
}

func TestInLongMsgSaysWhenItArrivedOnlyIfTheSenderDidNot(t *testing.T) {
	for _, tc := range []struct{ attr, want string }{
		{"groupId=g1&streamId=s1", "rtms=1760000000999&groupId=g1&streamId=s1"},
		{"groupId=g1&rtms=&streamId=s1", "rtms=1760000000999&groupId=g1&rtms=&streamId=s1"},
		{"xrtms=1&groupId=g1", "rtms=1760000000999&xrtms=1&groupId=g1"},
		{"groupId=g1&rtms=7", "groupId=g1&rtms=7"},
		{"", "rtms=1760000000999"},
	} {
		p := plainPack(1)
		p.Attr, p.Body = []byte(tc.attr), frame.AppendItem(nil, []byte("hello"))
		value, err := frame.AppendInLongMsg(nil, &p, 1760000000999)
		if err != nil {
			t.Fatal(err)
		}
		if attr, err := frame.InLongMsgAttr(value); err != nil || string(attr) != tc.want {
			t.Errorf("attributes of %q in the queue = %q, %v, want %q", tc.attr, attr, err, tc.want)
		}
		if string(p.Attr) != tc.attr || p.Flags != 0 {
			t.Errorf("the pack was changed: %q, flags %#x", p.Attr, p.Flags)
		}
	}
}

func TestInLongMsgReadersRefuseOtherValues(t *testing.T) {
	p := plainPack(1)
	p.Body = frame.AppendItem(nil, []byte("hello"))
	good, err := frame.AppendInLongMsg(nil, &p, 0)
	if err != nil {
		t.Fatal(err)
	}
	set := func(at int, v byte) func([]byte) []byte {
		return func(b []byte) []byte { b[at] = v; return b }
	}
	for name, tc := range map[string]struct {
		change func([]byte) []byte
		want   error
	}{
		"nothing":             {func([]byte) []byte { return nil }, frame.ErrNotInLongMsg},
		"markers that touch":  {func(b []byte) []byte { return b[:3] }, frame.ErrNotInLongMsg},
		"markers alone":       {func([]byte) []byte { return []byte{0x0f, 4, 0x0f, 4} }, nil},
		"version 1":           {set(1, 1), frame.ErrNotInLongMsg},
		"other end":           {set(len(good)-1, 1), frame.ErrNotInLongMsg},
		"cut short":           {func(b []byte) []byte { return append(b[:40], 0x0f, 4) }, frame.ErrLength},
		"length field":        {set(5, 1), frame.ErrLength},
		"body length":         {set(2+24, 0xf0), frame.ErrLength},
		"body length at once": {set(2+21, 0xf0), frame.ErrLength},
		"magic":               {set(len(good)-3, 0), frame.ErrMagic},
		"type":                {set(2+4, 0x25), nil},
	} {
		t.Run(name, func(t *testing.T) {
			bad := tc.change(bytes.Clone(good))
			attr, err := frame.InLongMsgAttr(bad)
			if err == nil || (tc.want != nil && !errors.Is(err, tc.want)) {
				t.Errorf("InLongMsgAttr = %q, %v, want %v", attr, err, tc.want)
			}
			if p, err := frame.DecodeInLongMsg(bad); err == nil || (tc.want != nil && !errors.Is(err, tc.want)) {
				t.Errorf("DecodeInLongMsg = %+v, %v, want %v", p, err, tc.want)
			}
		})
	}
}

func TestEncodingAllocatesNothingIntoEnoughRoom(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	items, count := jsonItems(32 << 10)
	p := plainPack(count)
	dst := make([]byte, 0, frame.Room(len(items), len(p.Attr)+64))
	ack := frame.AppendAck(nil, 7, "127.0.0.1", 115, "Topic not configured", p.Attr)
	value, err := frame.AppendInLongMsg(nil, &frame.Pack{Body: items, Attr: p.Attr}, 0)
	if err != nil {
		t.Fatal(err)
	}
	mid := frame.AppendMid(nil, "ABCDEFGHIJKLMNOPQRSTUV", 0x1234)
	attr := make([]byte, 0, 256)
	hb := frame.BinHeartbeat{Time: 1, Version: 1}
	textWire := textOf(t, frame.TypeMultiBody, textAttr, items, true)
	textRoom := make([]byte, 0, frame.TextRoom(len(items), len(textAttr)))
	textPack := frame.TextPack{Type: frame.TypeMultiBody, Attr: []byte(textAttr)}
	textAck := frame.AppendTextAck(nil, 5, []byte("2"), "127.0.0.1", 0, "", textPack.Attr)
	stored, err := frame.AppendTextInLongMsg(nil, &textPack, items, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	for name, run := range map[string]func() bool{
		"AppendPack compressed": func() bool { out, err := frame.AppendPack(dst, &p, items, true); return err == nil && len(out) > 0 },
		"AppendPack plain":      func() bool { out, err := frame.AppendPack(dst, &p, items, false); return err == nil && len(out) > 0 },
		"Pack.AppendTo":         func() bool { out, err := p.AppendTo(dst); return err == nil && len(out) > 0 },
		"AppendItem":            func() bool { return len(frame.AppendItem(dst, items[:100])) == 104 },
		"AppendAck":             func() bool { return len(frame.AppendAck(dst, 7, "127.0.0.1", 115, "no", p.Attr)) > 0 },
		"BinHeartbeat.AppendTo": func() bool { out, err := hb.AppendTo(dst); return err == nil && len(out) > 0 },
		"attributes and mid": func() bool {
			a := frame.AppendAttr(attr, "groupId", "g1")
			a = frame.AppendAttr(a, frame.AttrMid, "")
			return len(frame.AppendMid(a, "ABCDEFGHIJKLMNOPQRSTUV", 42)) > 0
		},
		"DecodePack":                   func() bool { _, err := frame.DecodePack(value[2 : len(value)-2]); return err == nil },
		"DecodeAck":                    func() bool { a, err := frame.DecodeAck(ack); return err == nil && a.Code == 115 },
		"InLongMsgAttr":                func() bool { a, err := frame.InLongMsgAttr(value); return err == nil && len(a) > 0 },
		"InLongMsgAttr of a text pack": func() bool { a, err := frame.InLongMsgAttr(stored); return err == nil && len(a) > 0 },
		"AppendTextPack": func() bool {
			p := textPack
			out, err := frame.AppendTextPack(textRoom, &p, items, true)
			return err == nil && len(out) > 0
		},
		"AppendItemAttr": func() bool {
			out, err := frame.AppendItemAttr(dst, items[:100], p.Attr)
			return err == nil && len(out) == 108+len(p.Attr)
		},
		"DecodeTextPack": func() bool { _, err := frame.DecodeTextPack(textWire); return err == nil },
		"DecodeTextAck": func() bool {
			a, err := frame.DecodeTextAck(textAck)
			id, ok := a.Echoed("rt")
			return err == nil && ok && len(id) > 0
		},
		"InLongMsgAttr of another message": func() bool {
			_, err := frame.InLongMsgAttr(items)
			return errors.Is(err, frame.ErrNotInLongMsg)
		},
		"Attribute": func() bool { v, ok := frame.Attribute(p.Attr, "rtms"); return ok && len(v) > 0 },
		"ParseMid":  func() bool { _, seq, ok := frame.ParseMid(mid); return ok && seq == 0x1234 },
	} {
		t.Run(name, func(t *testing.T) {
			if got := testing.AllocsPerRun(100, func() {
				if !run() {
					t.Fatal("wrong result")
				}
			}); got != 0 {
				t.Errorf("%v allocations, want 0", got)
			}
		})
	}
}
