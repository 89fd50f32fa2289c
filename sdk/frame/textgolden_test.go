package frame_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"testing"

	"inlong-bridge/sdk/frame"
)

// readGoldenText returns the frames of types 3 and 5.
func readGoldenText(t testing.TB) []golden {
	t.Helper()
	all := append(readGolden(t, "*-t3-*.txt"), readGolden(t, "*-t5-*.txt")...)
	if len(all) != 36 {
		t.Fatalf("%d golden text packs, want 36", len(all))
	}
	return all
}

func TestEveryGoldenFrameIsChecked(t *testing.T) {
	if n := len(readGolden(t, "*.txt")); n != 60 {
		t.Errorf("%d golden frames, want 60", n)
	}
	if n := len(readGolden(t, "*-t7-*.txt")) + len(readGoldenText(t)) + len(readGolden(t, "*-t8-*.txt")); n != 60 {
		t.Errorf("%d golden frames of types 3, 5, 7 and 8, want all 60", n)
	}
}

func TestJavaSDKTextPacksDecodeAndEncodeToTheSameBytes(t *testing.T) {
	for _, g := range readGoldenText(t) {
		t.Run(g.name, func(t *testing.T) {
			p, err := frame.DecodeTextPack(g.wire)
			if err != nil {
				t.Fatal(err)
			}
			for field, got := range map[string]uint64{
				"type_byte": uint64(p.Type | p.Flags), "bodyLen": uint64(len(p.Body)), "attrLen": uint64(len(p.Attr)),
			} {
				if want := number(t, g.fields[field]); got != want {
					t.Errorf("%s = %d, want %d", field, got, want)
				}
			}
			if got := string(p.Attr); got != g.fields["attr"] {
				t.Errorf("attr = %q, want %q", got, g.fields["attr"])
			}
			again, err := p.AppendTo([]byte("before"))
			if err != nil || !bytes.Equal(again, append([]byte("before"), g.wire...)) {
				t.Errorf("encoded again: %x, %v, want %x", again, err, g.wire)
			}

			content, err := p.Content(1 << 20)
			if err != nil {
				t.Fatal(err)
			}
			if want := unhex(t, g.fields["body_uncompressed_hex"]); !bytes.Equal(content, want) {
				t.Errorf("content = %x, want %x", content, want)
			}
			items, err := p.Items(1 << 20)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := dataOf(items), g.textRecords(); !equalItems(got, want) {
				t.Errorf("records = %q, want %q", got, want)
			}

			// Made from nothing but values, the frame is the Java SDK's up to what the compressors chose.
			attr, compress := strings.CutSuffix(string(p.Attr), "&cp=snappy")
			if compress != p.Compressed() {
				t.Errorf("Compressed = %v of %q", p.Compressed(), p.Attr)
			}
			own := frame.TextPack{Type: p.Type, Attr: []byte(attr)}
			made, err := frame.AppendTextPack([]byte("before"), &own, content, compress)
			if bytes.HasSuffix(content, []byte("\n")) && p.Type == frame.TypeAckService {
				if err == nil {
					t.Errorf("a line feed that DataProxy cuts off was encoded")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			made = bytes.TrimPrefix(made, []byte("before"))
			if !compress && !bytes.Equal(made, g.wire) {
				t.Errorf("AppendTextPack = %x, want %x", made, g.wire)
			}
			back, err := frame.DecodeTextPack(made)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(back.Attr, p.Attr) || !bytes.Equal(own.Attr, p.Attr) || !bytes.Equal(back.Body, own.Body) {
				t.Errorf("made again: %+v, want the attributes %q", back, p.Attr)
			}
			if got, err := back.Content(1 << 20); err != nil || !bytes.Equal(got, content) {
				t.Errorf("content of the pack made again = %q, %v", got, err)
			}
		})
	}
}

// textRecords returns what the SDK was asked to send: type 3 joins it by line feeds.
func (g *golden) textRecords() [][]byte {
	kept := slices.DeleteFunc(slices.Clone(g.bodies), func(b []byte) bool { return len(b) == 0 })
	if g.wire[4] == frame.TypeAckService {
		return [][]byte{bytes.Join(kept, []byte("\n"))}
	}
	return kept
}

func dataOf(items []frame.Item) [][]byte {
	var data [][]byte
	for _, item := range items {
		data = append(data, item.Data)
	}
	return data
}

func TestDataProxyTextAnswersDecodeAndEncodeToTheSameBytes(t *testing.T) {
	answered := 0
	for _, g := range readGoldenText(t) {
		if g.ack == nil {
			continue
		}
		answered++
		t.Run(g.name, func(t *testing.T) {
			p, err := frame.DecodeTextPack(g.wire)
			if err != nil {
				t.Fatal(err)
			}
			a, err := frame.DecodeTextAck(g.ack)
			if err != nil {
				t.Fatal(err)
			}
			if a.Type != p.Type || a.Code != 0 || a.Message != nil || string(a.Body) != "2" {
				t.Errorf("ack = %+v, want one of type %d that accepts", a, p.Type)
			}
			want, _ := frame.Attribute(p.Attr, "messageId")
			if id, ok := a.Echoed("messageId"); !ok || !bytes.Equal(id, want) {
				t.Errorf("messageId = %q, want %q", id, want)
			}
			received, ok := a.Echoed("rt")
			if !ok {
				t.Fatalf("no time of arrival in %q", a.Attr)
			}
			echo := slices.Concat([]byte("rt="), received, []byte("&"), p.Attr)
			if got := frame.AppendTextAck(nil, p.Type, []byte("2"), "127.0.0.1", 0, "", echo); !bytes.Equal(got, g.ack) {
				t.Errorf("AppendTextAck = %x, want %x", got, g.ack)
			}
		})
	}
	if answered != 34 {
		t.Errorf("%d answers, want 34 (all but the two with proxySend)", answered)
	}
}

func TestInLongMsgOfTextPacksIsWhatDataProxyPutIntoTheQueue(t *testing.T) {
	same, recompressed := 0, 0
	for _, g := range readGoldenText(t) {
		t.Run(g.name, func(t *testing.T) {
			p, err := frame.DecodeTextPack(g.wire)
			if err != nil {
				t.Fatal(err)
			}
			content, err := p.Content(1 << 20)
			if err != nil {
				t.Fatal(err)
			}
			want, err := frame.DecodeBlockMsg(g.value)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := want.AppendTo([]byte("before")); err != nil || !bytes.Equal(again, append([]byte("before"), g.value...)) {
				t.Errorf("encoded again: %x, %v, want %x", again, err, g.value)
			}
			attr, err := frame.InLongMsgAttr(g.value)
			if err != nil || len(want.Blocks) != 1 || !bytes.Equal(attr, want.Blocks[0].Attr) {
				t.Fatalf("InLongMsgAttr = %q, %v, want the one of %+v", attr, err, want)
			}
			rt, _ := frame.Attribute(attr, "rt")
			received, err := strconv.ParseInt(string(rt), 10, 64)
			if err != nil {
				t.Fatal(err)
			}

			value, err := frame.AppendTextInLongMsg([]byte("before"), &p, content, received, want.Created)
			if err != nil {
				t.Fatal(err)
			}
			value = bytes.TrimPrefix(value, []byte("before"))
			if bytes.Equal(value, g.value) {
				same++
			} else {
				recompressed++
			}
			got, err := frame.DecodeBlockMsg(value)
			if err != nil {
				t.Fatal(err)
			}
			if got.Version != 1 || got.Created != want.Created || len(got.Blocks) != 1 {
				t.Fatalf("message = %+v, want %+v", got, want)
			}
			if !bytes.Equal(got.Blocks[0].Attr, want.Blocks[0].Attr) || got.Blocks[0].Snappy != want.Blocks[0].Snappy {
				t.Errorf("block = %q %v, want %q %v", got.Blocks[0].Attr, got.Blocks[0].Snappy, want.Blocks[0].Attr, want.Blocks[0].Snappy)
			}
			gotItems, err := got.Items(1 << 20)
			if err != nil {
				t.Fatal(err)
			}
			wantItems, err := want.Items(1 << 20)
			if err != nil || !equalItems(dataOf(gotItems), dataOf(wantItems)) {
				t.Errorf("records = %q, want %q (%v)", dataOf(gotItems), dataOf(wantItems), err)
			}

			o, err := frame.OpenInLongMsg(g.value, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			dt, _ := frame.Attribute(p.Attr, "dt")
			cnt, _ := frame.Attribute(p.Attr, "cnt")
			if strconv.FormatInt(o.DataMillis, 10) != string(dt) || strconv.Itoa(o.Count) != string(cnt) || !equalItems(o.Records, dataOf(wantItems)) {
				t.Errorf("opened = %+v, want dt %s, cnt %s", o, dt, cnt)
			}
		})
	}
	t.Logf("%d values byte for byte, %d compressed otherwise", same, recompressed)
	if same == 0 {
		t.Error("no value is equal byte for byte")
	}
}

func TestWorkedTextFrame(t *testing.T) {
	worked := readWorked(t)
	request, answer := worked["text5"], worked["text5 ack"]
	p, err := frame.DecodeTextPack(request)
	if err != nil {
		t.Fatal(err)
	}
	items, err := p.Items(100)
	if err != nil || p.Type != frame.TypeMultiBody || !equalItems(dataOf(items), [][]byte{[]byte("hello"), []byte("world")}) {
		t.Errorf("pack of type %d with %q, %v", p.Type, dataOf(items), err)
	}
	own := frame.TextPack{Type: frame.TypeMultiBody, Attr: bytes.Clone(p.Attr)}
	if made, err := frame.AppendTextPack(nil, &own, p.Body, true); err != nil || !bytes.Equal(made, request) {
		t.Errorf("AppendTextPack = %x, %v, want %x: too short to be worth compressing", made, err, request)
	}
	a, err := frame.DecodeTextAck(answer)
	if err != nil || a.Code != 0 || string(a.Body) != "2" {
		t.Errorf("ack = %+v, %v", a, err)
	}
	if made := frame.AppendTextAck(nil, p.Type, []byte("2"), "127.0.0.1", 0, "", p.Attr); !bytes.Equal(made, answer) {
		t.Errorf("AppendTextAck = %x, want %x", made, answer)
	}
	if binary.BigEndian.Uint32(request) != uint32(frame.TextOverhead-4+len(p.Body)+len(p.Attr)) {
		t.Error("the length field is not what the constants say")
	}
}
