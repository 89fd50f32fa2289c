package frame_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"inlong-bridge/sdk/frame"
)

const goldenDir = "../../testdata/frames"

// golden is one request of another program with what the real DataProxy made of it.
type golden struct {
	name   string
	fields map[string]string // first value of each key
	bodies [][]byte
	wire   []byte
	ack    []byte // nil when none came
	value  []byte // in Kafka; nil when nothing landed
}

func readGolden(t testing.TB, pattern string) []golden {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(goldenDir, "java-sdk", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden frames match %s (%v)", pattern, err)
	}
	var all []golden
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		g := golden{name: strings.TrimSuffix(filepath.Base(file), ".txt"), fields: map[string]string{}}
		for line := range strings.Lines(string(text)) {
			key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
			if !ok {
				continue
			}
			value = strings.TrimSpace(value)
			if key == "body_hex" {
				g.bodies = append(g.bodies, unhex(t, value))
			} else if _, seen := g.fields[key]; !seen {
				g.fields[key] = value
			}
		}
		g.wire = unhex(t, g.fields["wire_hex"])
		if v := g.fields["ack_hex"]; !strings.HasPrefix(v, "(") {
			g.ack = unhex(t, v)
		}
		if v := g.fields["kafka_value_hex"]; !strings.HasPrefix(v, "(") {
			g.value = unhex(t, v)
		}
		all = append(all, g)
	}
	return all
}

// readWorked returns worked-frames.txt as name -> frame.
func readWorked(t testing.TB) map[string][]byte {
	t.Helper()
	f, err := os.Open(filepath.Join(goldenDir, "worked-frames.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	frames := map[string][]byte{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		head, bytesText, ok := strings.Cut(strings.TrimRight(line, " "), "  00 ")
		if !ok {
			t.Fatalf("worked-frames.txt: cannot read %q", line)
		}
		// The name is followed by the length, right aligned.
		words := strings.Fields(head)
		size, err := strconv.Atoi(words[len(words)-1])
		if err != nil {
			t.Fatalf("worked-frames.txt: %q: %v", line, err)
		}
		b := unhex(t, strings.ReplaceAll("00"+bytesText, " ", ""))
		if len(b) != size {
			t.Fatalf("worked-frames.txt: %q has %d bytes", head, len(b))
		}
		frames[strings.Join(words[:len(words)-1], " ")] = b
	}
	return frames
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatalf("hex %q: %v", s, err)
	}
	return b
}

func number(t *testing.T, s string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(s, 0, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestJavaSDKPacksDecodeAndEncodeToTheSameBytes(t *testing.T) {
	all := readGolden(t, "*-t7-*.txt")
	if len(all) != 23 {
		t.Fatalf("%d golden packs, want 23", len(all))
	}
	for _, g := range all {
		t.Run(g.name, func(t *testing.T) {
			p, err := frame.DecodePack(g.wire)
			if err != nil {
				t.Fatal(err)
			}
			for field, got := range map[string]uint64{
				"groupIdNum": uint64(p.GroupIDNum), "streamIdNum": uint64(p.StreamIDNum), "ext_field": uint64(p.Ext),
				"data_time": uint64(p.DataTime), "cnt": uint64(p.Count), "uniq": uint64(p.Uniq), "bodyLen": uint64(len(p.Body)),
				"type_byte": uint64(frame.TypePack | p.Flags), "attrLen": uint64(len(p.Attr)),
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

			items, err := p.Items(1 << 20)
			if err != nil {
				t.Fatal(err)
			}
			sequence := appendItems(nil, items)
			if want := unhex(t, g.fields["body_uncompressed_hex"]); !bytes.Equal(sequence, want) {
				t.Errorf("records = %x, want %x", sequence, want)
			}
			if want := g.records(); !equalItems(items, want) {
				t.Errorf("records = %q, want %q", items, want)
			}

			// Made from nothing but values, the frame is the Java SDK's up to what the compressors chose.
			own := p
			own.Flags, own.Body = 0, nil
			compress := g.wire[4]&frame.FlagSnappy != 0
			made, err := frame.AppendPack(nil, &own, sequence, compress)
			if err != nil {
				t.Fatal(err)
			}
			if !compress && !bytes.Equal(made, g.wire) {
				t.Errorf("AppendPack = %x, want %x", made, g.wire)
			}
			if got, err := own.Items(1 << 20); err != nil || !equalItems(got, items) {
				t.Errorf("records of the pack made again = %q, %v", got, err)
			}
		})
	}
}

// records returns what the SDK was asked to send, as the items of a frame: it leaves out empty records
// and joins all of them into one item when it is told to separate by line feeds.
func (g *golden) records() [][]byte {
	var kept [][]byte
	for _, b := range g.bodies {
		if len(b) > 0 {
			kept = append(kept, b)
		}
	}
	if g.fields["separateEventByLF"] == "true" {
		return [][]byte{bytes.Join(kept, []byte("\n"))}
	}
	return kept
}

func TestDataProxyAnswersDecodeAndEncodeToTheSameBytes(t *testing.T) {
	refused := 0
	for _, g := range readGolden(t, "*-t7-*.txt") {
		if g.ack == nil {
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			p, err := frame.DecodePack(g.wire)
			if err != nil {
				t.Fatal(err)
			}
			a, err := frame.DecodeAck(g.ack)
			if err != nil {
				t.Fatal(err)
			}
			if a.Uniq != p.Uniq {
				t.Errorf("uniq = %d, want %d", a.Uniq, p.Uniq)
			}
			if landed := g.value != nil; (a.Code == 0) != landed {
				t.Errorf("code = %d, but landed in the queue: %v", a.Code, landed)
			}
			if a.Code != 0 {
				refused++
			}
			message := string(a.MessageWithout(p.Attr))
			if got := frame.AppendAck(nil, a.Uniq, "127.0.0.1", a.Code, message, p.Attr); !bytes.Equal(got, g.ack) {
				t.Errorf("AppendAck = %x, want %x", got, g.ack)
			}
		})
	}
	if refused != 1 {
		t.Errorf("%d of the packs were refused, want 1 (the long ids, which have no topic)", refused)
	}
}

func TestInLongMsgIsWhatDataProxyPutIntoTheQueue(t *testing.T) {
	const received = 1795423685099
	same, recompressed := 0, 0
	for _, g := range readGolden(t, "*-t7-*.txt") {
		if g.value == nil {
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			p, err := frame.DecodePack(g.wire)
			if err != nil {
				t.Fatal(err)
			}
			want, err := frame.DecodeInLongMsg(g.value)
			if err != nil {
				t.Fatal(err)
			}
			value, err := frame.AppendInLongMsg([]byte("before"), &p, received)
			if err != nil {
				t.Fatal(err)
			}
			value = bytes.TrimPrefix(value, []byte("before"))
			if bytes.Equal(value, g.value) {
				same++
			} else {
				recompressed++
				if p.Flags&frame.FlagSnappy != 0 {
					t.Errorf("a body compressed by the sender must stay as it is: %x, want %x", value, g.value)
				}
			}
			got, err := frame.DecodeInLongMsg(value)
			if err != nil {
				t.Fatal(err)
			}
			equalPackButBody(t, got, want)
			gotItems, err := got.Items(1 << 20)
			if err != nil {
				t.Fatal(err)
			}
			wantItems, err := want.Items(1 << 20)
			if err != nil || !equalItems(gotItems, wantItems) {
				t.Errorf("records = %q, want %q (%v)", gotItems, wantItems, err)
			}
			attr, err := frame.InLongMsgAttr(g.value)
			if err != nil || !bytes.Equal(attr, want.Attr) {
				t.Errorf("InLongMsgAttr = %q, %v, want %q", attr, err, want.Attr)
			}
			again, err := frame.AppendInLongMsg(nil, &want, received)
			if err != nil || !bytes.Equal(again, g.value) {
				t.Errorf("a message encoded again = %x, %v, want %x", again, err, g.value)
			}
		})
	}
	t.Logf("%d values byte for byte, %d compressed otherwise", same, recompressed)
}

func TestWorkedFrames(t *testing.T) {
	worked := readWorked(t)
	for name, want := range map[string]struct {
		answer  string
		items   []string
		code    int
		message string
	}{
		"bin7 single":        {answer: "bin7 single ack", items: []string{"hello"}},
		"bin7 pack3 snappy":  {answer: "bin7 pack3 ack", items: []string{"a", "bb", "ccc"}},
		"bin7 unknown group": {answer: "bin7 unknown group ack", items: []string{"hello"}, code: 115, message: "Topic not configured for groupId=(nope), streamId=(s1)"},
	} {
		t.Run(name, func(t *testing.T) {
			request := worked[name]
			p, err := frame.DecodePack(request)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := p.AppendTo(nil); err != nil || !bytes.Equal(again, request) {
				t.Errorf("encoded again: %x, %v, want %x", again, err, request)
			}
			items, err := p.Items(1 << 10)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, item := range items {
				got = append(got, string(item))
			}
			if strings.Join(got, "|") != strings.Join(want.items, "|") {
				t.Errorf("records = %q, want %q", got, want.items)
			}

			answer := worked[want.answer]
			a, err := frame.DecodeAck(answer)
			if err != nil {
				t.Fatal(err)
			}
			if message := string(a.MessageWithout(p.Attr)); a.Uniq != p.Uniq || a.Code != want.code || message != want.message {
				t.Errorf("ack = %d %d %q, want %d %d %q", a.Uniq, a.Code, message, p.Uniq, want.code, want.message)
			}
			if again := frame.AppendAck(nil, a.Uniq, "127.0.0.1", want.code, want.message, p.Attr); !bytes.Equal(again, answer) {
				t.Errorf("AppendAck = %x, want %x", again, answer)
			}
		})
	}
	if got := frame.AppendHeartbeat(nil); !bytes.Equal(got, worked["hb1"]) {
		t.Errorf("AppendHeartbeat = %x, want %x", got, worked["hb1"])
	}
	checkBinHeartbeat(t, worked["hb8"], frame.BinHeartbeat{Time: 1760000000, Version: 1})
}

func TestJavaSDKHeartbeatAndItsAnswer(t *testing.T) {
	g := readGolden(t, "60-t8-heartbeat.txt")[0]
	checkBinHeartbeat(t, g.wire, frame.BinHeartbeat{Time: 0x078a3fa4, Version: 2})
	checkBinHeartbeat(t, g.ack, frame.BinHeartbeat{Time: 0x6b03fdc9, Version: 2, Body: []byte{0xff, 0xff}})
}

func checkBinHeartbeat(t *testing.T, wire []byte, want frame.BinHeartbeat) {
	t.Helper()
	h, err := frame.DecodeBinHeartbeat(wire)
	if err != nil {
		t.Fatal(err)
	}
	if h.Time != want.Time || h.Version != want.Version || !bytes.Equal(h.Body, want.Body) || !bytes.Equal(h.Attr, want.Attr) {
		t.Errorf("heartbeat = %+v, want %+v", h, want)
	}
	if again, err := want.AppendTo(nil); err != nil || !bytes.Equal(again, wire) {
		t.Errorf("encoded again: %x, %v, want %x", again, err, wire)
	}
}

func appendItems(dst []byte, items [][]byte) []byte {
	for _, item := range items {
		dst = frame.AppendItem(dst, item)
	}
	return dst
}

func equalItems(a, b [][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

func equalPackButBody(t *testing.T, got, want frame.Pack) {
	t.Helper()
	if !bytes.Equal(got.Attr, want.Attr) {
		t.Errorf("attr = %q, want %q", got.Attr, want.Attr)
	}
	got.Body, want.Body, got.Attr, want.Attr = nil, nil, nil, nil
	if got.GroupIDNum != want.GroupIDNum || got.StreamIDNum != want.StreamIDNum || got.Ext != want.Ext ||
		got.DataTime != want.DataTime || got.Count != want.Count || got.Uniq != want.Uniq || got.Flags != want.Flags {
		t.Errorf("pack = %+v, want %+v", got, want)
	}
}
