package frame_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"inlong-bridge/sdk/frame"
)

// growth bounds what a decoder may hand out per byte of its input: a snappy block grows 22 times at
// most, and an empty record of four bytes needs a slice header of 24.
const growth = 22 + 22*24/4

func addGolden(f *testing.F, field func(golden) []byte) {
	for _, g := range readGolden(f, "*-t*.txt") {
		if b := field(g); b != nil {
			f.Add(b)
		}
	}
}

// checkItems reads p's records and checks that they are p's body again.
func checkItems(t *testing.T, p *frame.Pack) {
	const limit = 1 << 20
	items, err := p.Items(limit)
	if err != nil {
		if items != nil {
			t.Errorf("records beside an error: %q, %v", items, err)
		}
		return
	}
	total := 24 * cap(items)
	for _, item := range items {
		total += len(item)
	}
	if total > growth*len(p.Body) {
		t.Errorf("%d bytes for a body of %d", total, len(p.Body))
	}
	if p.Ext&frame.ExtRecordAttrs != 0 || len(items) == 0 {
		return
	}
	sequence := appendItems(nil, items)
	if p.Flags&frame.FlagSnappy == 0 && !bytes.Equal(sequence, p.Body) {
		t.Errorf("records made again = %x, want %x", sequence, p.Body)
	}
	if len(sequence) > limit {
		t.Errorf("%d bytes of records, limit %d", len(sequence), limit)
	}
	again := frame.Pack{Count: 1}
	if _, err := frame.AppendPack(nil, &again, sequence, true); err != nil {
		t.Fatal(err)
	}
	if got, err := again.Items(len(sequence)); err != nil || !equalItems(got, items) {
		t.Errorf("records packed again = %q, %v, want %q", got, err, items)
	}
}

func FuzzDecodePack(f *testing.F) {
	addGolden(f, func(g golden) []byte { return g.wire })
	for _, b := range readWorked(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		p, err := frame.DecodePack(wire)
		if err != nil {
			if p.Body != nil || p.Attr != nil {
				t.Errorf("contents beside an error: %+v, %v", p, err)
			}
			return
		}
		again, err := p.AppendTo(nil)
		if err != nil || !bytes.Equal(again, wire) {
			t.Errorf("encoded again: %x, %v, want %x", again, err, wire)
		}
		checkItems(t, &p)
		items, err := p.Items(1 << 20)
		withAttrs, errAttrs := p.ItemsAttrs(1 << 20)
		if (err == nil) != (errAttrs == nil) || !equalItems(items, dataOf(withAttrs)) {
			t.Errorf("Items = %q, %v, but ItemsAttrs = %q, %v", items, err, withAttrs, errAttrs)
		}
	})
}

func FuzzAppendPack(f *testing.F) {
	f.Add(uint16(0), uint16(4), uint32(1760000000), uint16(1), uint32(7), uint8(0), []byte("hello"), []byte(plainAttr), true)
	f.Add(uint16(9), uint16(0x24), uint32(0), uint16(32767), uint32(0xffffffff), uint8(0x40), bytes.Repeat([]byte("ab"), 500), []byte{}, true)
	f.Fuzz(func(t *testing.T, id, ext uint16, dataTime uint32, count uint16, uniq uint32, flags uint8, record, attr []byte, compress bool) {
		p := frame.Pack{GroupIDNum: id, StreamIDNum: ^id, Ext: ext, DataTime: dataTime, Count: count, Uniq: uniq, Flags: flags, Attr: attr, Better: uniq%2 == 0}
		items := appendItems(nil, [][]byte{record, nil, record})
		wire, err := frame.AppendPack(nil, &p, items, compress)
		if err != nil {
			if wire != nil {
				t.Errorf("a frame beside an error: %x, %v", wire, err)
			}
			return
		}
		if limit := frame.MaxPackSize(len(items), len(attr)); len(wire) > limit {
			t.Errorf("frame of %d bytes, want at most %d", len(wire), limit)
		}
		got, err := frame.DecodePack(wire)
		if err != nil {
			t.Fatal(err)
		}
		equalPackButBody(t, got, p)
		if !bytes.Equal(got.Body, p.Body) {
			t.Errorf("body = %x, want %x", got.Body, p.Body)
		}
		if got.Ext&frame.ExtRecordAttrs == 0 {
			if back, err := got.Items(len(items)); err != nil || !bytes.Equal(appendItems(nil, back), items) {
				t.Errorf("records = %q, %v", back, err)
			}
		}
	})
}

func FuzzDecodeAck(f *testing.F) {
	addGolden(f, func(g golden) []byte { return g.ack })
	for _, b := range readWorked(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		a, err := frame.DecodeAck(wire)
		if err != nil {
			return
		}
		if again := ackOf(a.Uniq, string(a.Attr)); !bytes.Equal(again, wire) {
			t.Errorf("framed again: %x, want %x", again, wire)
		}
		if a.Code == 0 && a.Message != nil {
			t.Errorf("accepted with a message: %q", a.Message)
		}
		// Without an errCode in its first two tokens, and only then, an ack accepts silently.
		tokens := bytes.SplitN(a.Attr, []byte("&"), 3)
		refusable := bytes.HasPrefix(tokens[0], []byte("errCode=")) ||
			len(tokens) > 1 && bytes.HasPrefix(tokens[0], []byte("dpIp=")) && bytes.HasPrefix(tokens[1], []byte("errCode="))
		if a.Code != 0 && !refusable {
			t.Errorf("code %d read from %q", a.Code, a.Attr)
		}
		// What is echoed cannot change the outcome.
		message, echo := string(a.Message), a.Attr
		again, err := frame.DecodeAck(frame.AppendAck(nil, a.Uniq, "10.0.0.1", a.Code, message, echo))
		if err != nil || again.Uniq != a.Uniq || len(wire) < 30000 && again.Code != a.Code {
			t.Errorf("made again: %+v, %v, want uniq %d and code %d", again, err, a.Uniq, a.Code)
		}
		if len(wire) < 30000 && a.Code != 0 && !bytes.HasPrefix(again.Message, a.Message) {
			t.Errorf("message = %q, want %q in front", again.Message, a.Message)
		}
	})
}

func FuzzDecodeBinHeartbeat(f *testing.F) {
	f.Add(readWorked(f)["hb8"])
	addGolden(f, func(g golden) []byte {
		if g.wire[4] != frame.TypeBinHeartbeat {
			return nil
		}
		return g.ack
	})
	f.Fuzz(func(t *testing.T, wire []byte) {
		h, err := frame.DecodeBinHeartbeat(wire)
		if err != nil {
			return
		}
		again, err := h.AppendTo(nil)
		if err != nil || len(again) != len(wire) || again[4] != wire[4]&0x1f {
			t.Fatalf("encoded again: %x, %v, want %x", again, err, wire)
		}
		again[4] = wire[4] // the flags mean nothing in a heartbeat, and are not kept
		if !bytes.Equal(again, wire) {
			t.Errorf("encoded again: %x, want %x", again, wire)
		}
	})
}

func FuzzDecodeInLongMsg(f *testing.F) {
	addGolden(f, func(g golden) []byte { return g.value })
	f.Fuzz(func(t *testing.T, value []byte) {
		p, err := frame.DecodeInLongMsg(value)
		attr, attrErr := frame.InLongMsgAttr(value)
		isV4 := len(value) < 2 || value[1] == 4
		if isV4 && ((err == nil) != (attrErr == nil) || !bytes.Equal(attr, p.Attr)) {
			t.Errorf("InLongMsgAttr = %q, %v, but DecodeInLongMsg = %q, %v", attr, attrErr, p.Attr, err)
		}
		if err != nil {
			return
		}
		checkItems(t, &p)
		again, err := frame.AppendInLongMsg(nil, &p, 1)
		if err != nil {
			if len(p.Attr) < frame.MaxAttr-8 {
				t.Error(err)
			}
			return
		}
		back, err := frame.DecodeInLongMsg(again)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasSuffix(back.Attr, p.Attr) || back.Flags&frame.FlagSnappy == 0 || back.Uniq != p.Uniq || back.Count != p.Count {
			t.Errorf("made again: %+v, want %+v", back, p)
		}
		third, err := frame.AppendInLongMsg(nil, &back, 2)
		if err == nil && len(back.Attr) == len(p.Attr) && p.Flags&frame.FlagSnappy != 0 && !bytes.Equal(third, value) {
			t.Errorf("a whole message was changed: %x, want %x", third, value)
		}
	})
}

func FuzzDecodeTextPack(f *testing.F) {
	addGolden(f, func(g golden) []byte { return g.wire })
	f.Add(readWorked(f)["text5"])
	f.Add(textOf(f, frame.TypeMultiBodyAttr, textAttr, itemAttr(f, nil, "hello", "k=v"), false))
	f.Fuzz(func(t *testing.T, wire []byte) {
		p, err := frame.DecodeTextPack(wire)
		if err != nil {
			if p.Body != nil || p.Attr != nil {
				t.Errorf("contents beside an error: %+v, %v", p, err)
			}
			return
		}
		again, err := p.AppendTo(nil)
		if err != nil || !bytes.Equal(again, wire) {
			t.Errorf("encoded again: %x, %v, want %x", again, err, wire)
		}
		const limit = 1 << 20
		content, err := p.Content(limit)
		if err != nil {
			return
		}
		if len(content) > limit || len(content) > 22*len(p.Body)+22 {
			t.Errorf("%d bytes for a body of %d", len(content), len(p.Body))
		}
		items, err := p.Items(limit)
		if err == nil {
			total := 0
			for _, item := range items {
				total += len(item.Data) + len(item.Attr)
			}
			// An item of 48 bytes needs five at least, and the slice may be grown to more than twice of what it holds.
			if total > len(content) || 48*cap(items) > 48*(8+3*len(content)/5) {
				t.Errorf("%d records of %d bytes in %d, for %d bytes", len(items), total, cap(items), len(content))
			}
		}
		// What is encoded comes back; and DataProxy stores records of it, since the encoder refuses the rest.
		attr := p.Attr
		if _, ok := frame.Attribute(attr, "cp"); ok {
			attr = nil
		}
		own := frame.TextPack{Type: p.Type, Attr: attr}
		made, err := frame.AppendTextPack(nil, &own, content, true)
		if err != nil {
			return
		}
		back, err := frame.DecodeTextPack(made)
		if err != nil {
			t.Fatal(err)
		}
		got, err := back.Items(limit + 4)
		if err != nil {
			t.Fatal(err)
		}
		if p.Type != frame.TypeMultiBodyAttr && !equalItems(dataOf(got), dataOf(items)) {
			t.Errorf("records encoded again = %q, want %q", dataOf(got), dataOf(items))
		}
		full, err := back.Content(limit + 4)
		if err != nil {
			t.Fatal(err)
		}
		value, err := frame.AppendTextInLongMsg(nil, &back, full, 1, 2)
		if err != nil {
			return // attributes that are no key=value
		}
		o, err := frame.OpenInLongMsg(value, 2*limit)
		if err != nil || !equalItems(o.Records, dataOf(got)) {
			t.Errorf("records in the queue = %q, %v, want %q", o.Records, err, dataOf(got))
		}
	})
}

func FuzzDecodeTextAck(f *testing.F) {
	addGolden(f, func(g golden) []byte { return g.ack })
	f.Add(readWorked(f)["text5 ack"])
	f.Add(frame.AppendTextAck(nil, 5, []byte("2"), "10.0.0.1", 109, "bad a=b&c", []byte("a=b&c")))
	f.Fuzz(func(t *testing.T, wire []byte) {
		a, err := frame.DecodeTextAck(wire)
		if err != nil {
			return
		}
		p := frame.TextPack{Type: a.Type, Body: a.Body, Attr: a.Attr}
		if again, err := p.AppendTo(nil); err != nil || !bytes.Equal(again, wire) {
			t.Errorf("framed again: %x, %v, want %x", again, err, wire)
		}
		a.Echoed("messageId") // must bear anything
		message, echo := string(a.Message), a.Attr
		again, err := frame.DecodeTextAck(frame.AppendTextAck(nil, a.Type, a.Body, "10.0.0.1", a.Code, message, echo))
		if err != nil || again.Code != a.Code || again.Type != a.Type || !bytes.Equal(again.Body, a.Body) {
			t.Errorf("made again: %+v, %v, want %+v", again, err, a)
		}
		if a.Code != 0 && !bytes.HasPrefix(again.Message, a.Message) {
			t.Errorf("message = %q, want %q in front", again.Message, a.Message)
		}
	})
}

func FuzzDecodeBlockMsg(f *testing.F) {
	addGolden(f, func(g golden) []byte { return g.value })
	six := frame.TextPack{Type: frame.TypeMultiBodyAttr, Attr: []byte(textAttr)}
	value, err := frame.AppendTextInLongMsg(nil, &six, itemAttr(f, nil, "hello", "k=v"), 1, 2)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(value)
	for _, version := range []uint8{0, 2} {
		m := frame.BlockMsg{Version: version, Count: 1, Blocks: []frame.Block{{Attr: []byte("a=b"), Count: 1, Data: frame.AppendItem(nil, []byte("x"))}}}
		if value, err = m.AppendTo(nil); err != nil {
			f.Fatal(err)
		}
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value []byte) {
		m, err := frame.DecodeBlockMsg(value)
		attr, attrErr := frame.InLongMsgAttr(value)
		isV4 := len(value) >= 2 && value[1] == 4
		if !isV4 && (err == nil) != (attrErr == nil) {
			t.Errorf("InLongMsgAttr says %v, but DecodeBlockMsg %v", attrErr, err)
		}
		o, openErr := frame.OpenInLongMsg(value, 1<<20)
		if err != nil {
			if m.Blocks != nil || !isV4 && openErr == nil {
				t.Errorf("contents beside an error: %+v, %v, %v", m, err, openErr)
			}
			return
		}
		if 64*cap(m.Blocks) > 64*len(value)/7 {
			t.Errorf("room for %d blocks in %d bytes", cap(m.Blocks), len(value))
		}
		if len(m.Blocks) > 0 && !bytes.Equal(attr, m.Blocks[0].Attr) {
			t.Errorf("InLongMsgAttr = %q, want %q", attr, m.Blocks[0].Attr)
		}
		if again, err := m.AppendTo(nil); err != nil || !bytes.Equal(again, value) {
			t.Errorf("encoded again: %x, %v, want %x", again, err, value)
		}
		items, err := m.Items(1 << 20)
		if (err == nil) != (openErr == nil) || err == nil && !equalItems(o.Records, dataOf(items)) {
			t.Errorf("opened = %+v, %v, want %q, %v", o, openErr, dataOf(items), err)
		}
		total := 0
		for _, item := range items {
			total += len(item.Data) + len(item.Attr)
		}
		if total > 1<<20 {
			t.Errorf("%d bytes of records above the limit", total)
		}
	})
}

func FuzzItemAttr(f *testing.F) {
	f.Add([]byte("hello"), []byte("k=v"), []byte("x"), []byte("k=w"))
	f.Add([]byte{}, []byte("k=v"), []byte("x"), []byte{})
	f.Fuzz(func(t *testing.T, data1, attr1, data2, attr2 []byte) {
		body, err1 := frame.AppendItemAttr(nil, data1, attr1)
		body, err2 := frame.AppendItemAttr(body, data2, attr2)
		if (err1 != nil) != (len(data1) == 0 || len(attr1) == 0) || (err2 != nil) != (len(data2) == 0 || len(attr2) == 0) {
			t.Fatalf("errors are %v, %v", err1, err2)
		}
		var want []frame.Item
		if err1 == nil {
			want = append(want, frame.Item{Data: data1, Attr: attr1})
		}
		if err2 == nil {
			want = append(want, frame.Item{Data: data2, Attr: attr2})
		}
		p := frame.Pack{Ext: frame.ExtRecordAttrs, Count: 2, Body: body}
		got, err := p.ItemsAttrs(len(body))
		if err != nil || len(got) != len(want) {
			t.Fatalf("records = %q, %v, want %q", got, err, want)
		}
		for i := range got {
			if !bytes.Equal(got[i].Data, want[i].Data) || !bytes.Equal(got[i].Attr, want[i].Attr) {
				t.Errorf("record %d = %q, want %q", i, got[i], want[i])
			}
		}
	})
}

func FuzzReader(f *testing.F) {
	worked := readWorked(f)
	f.Add(append(append([]byte{}, worked["bin7 single ack"]...), worked["hb1"]...), 200)
	f.Add([]byte{0, 0, 0, 0}, 100)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 1}, 1<<30)
	f.Fuzz(func(t *testing.T, stream []byte, limit int) {
		whole, wholeErr := readAll(frame.NewReader(bytes.NewReader(stream), limit))
		parts, partsErr := readAll(frame.NewReader(iotest.OneByteReader(bytes.NewReader(stream)), limit))
		if !equalItems(whole, parts) || wholeErr.Error() != partsErr.Error() {
			t.Errorf("read at once: %x, %v; byte by byte: %x, %v", whole, wholeErr, parts, partsErr)
		}
		var joined []byte
		for _, b := range whole {
			if len(b) > limit || int(binary.BigEndian.Uint32(b)) != len(b)-4 || len(b) < 5 {
				t.Errorf("frame %x, limit %d", b, limit)
			}
			joined = append(joined, b...)
		}
		if !bytes.HasPrefix(stream, joined) || errors.Is(wholeErr, io.EOF) != (len(joined) == len(stream)) {
			t.Errorf("frames %x of stream %x, %v", joined, stream, wholeErr)
		}
	})
}

func readAll(r *frame.Reader) (frames [][]byte, err error) {
	for {
		b, err := r.Next()
		if err != nil {
			return frames, err
		}
		frames = append(frames, bytes.Clone(b))
	}
}

func FuzzParseMid(f *testing.F) {
	f.Add([]byte("ABCDEFGHIJKLMNOPQRSTUV.1f"), uint64(31))
	f.Add([]byte("x.0"), uint64(0))
	f.Add([]byte("x.00"), uint64(1<<64-1))
	f.Fuzz(func(t *testing.T, value []byte, seq uint64) {
		if instance, seq, ok := frame.ParseMid(value); ok {
			if again := frame.AppendMid(nil, string(instance), seq); !bytes.Equal(again, value) {
				t.Errorf("AppendMid = %q, want %q", again, value)
			}
		}
		if len(value) == 0 {
			return
		}
		made := frame.AppendMid(nil, string(value), seq)
		instance, got, ok := frame.ParseMid(made)
		if !ok || got != seq || !bytes.Equal(instance, value) {
			t.Errorf("ParseMid(%q) = %q, %d, %v, want %q, %d", made, instance, got, ok, value, seq)
		}
	})
}

func FuzzAttribute(f *testing.F) {
	f.Add("groupId", "g1", "streamId", "")
	f.Add("k", "a b", "", "v")
	f.Add("mid", "ABC.1", "mid", "ABC.2")
	f.Fuzz(func(t *testing.T, key1, value1, key2, value2 string) {
		if frame.CheckAttribute(key1, value1) != nil || frame.CheckAttribute(key2, value2) != nil {
			frame.Attribute([]byte(value1), key1) // must bear anything
			return
		}
		attr := frame.AppendAttr(frame.AppendAttr(nil, key1, value1), key2, value2)
		if key1 == key2 {
			value2 = value1 // the first one counts
		}
		for _, want := range [][2]string{{key1, value1}, {key2, value2}} {
			if got, ok := frame.Attribute(attr, want[0]); !ok || string(got) != want[1] {
				t.Errorf("Attribute(%q, %q) = %q, %v, want %q", attr, want[0], got, ok, want[1])
			}
		}
		p := frame.Pack{Count: 1, Attr: attr}
		if len(attr) <= frame.MaxAttr {
			if _, err := frame.AppendPack(nil, &p, []byte{0, 0, 0, 0}, false); err != nil {
				t.Errorf("checked attributes %q refused: %v", attr, err)
			}
		}
	})
}
