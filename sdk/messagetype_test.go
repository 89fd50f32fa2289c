package sdk_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/finality"
	"inlong-bridge/sdk/frame"
)

// textPack is what a proxy stored of a pack of type 3 or 5.
type textPack struct {
	typ     uint8
	attr    string // up to mid, and behind it
	records []string
}

// textRecords reads the records of a text pack as those do who know what its type means.
func textRecords(p *frame.TextPack) ([]string, error) {
	items, err := p.Items(1 << 20)
	if err != nil {
		return nil, err
	}
	var records []string
	for _, i := range items {
		if p.Type == frame.TypeAckService {
			records = append(records, strings.Split(string(i.Data), "\n")...)
		} else {
			records = append(records, string(i.Data))
		}
	}
	return records, nil
}

// setupText is setup with a proxy that keeps what it stored, and wants nothing but text packs.
func setupText(t *testing.T, opts ...sdk.Option) (*env, func() []textPack) {
	t.Helper()
	e := &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1, 1), log: newLedger(t)}
	var mu sync.Mutex
	var seen []textPack
	e.addProxy("dp1:46801", dptest.WithOnPack(func(p dptest.PackInfo) {
		if p.Text == nil {
			t.Error("a pack that is not text")
			return
		}
		records, err := textRecords(p.Text)
		if err != nil {
			t.Errorf("a proxy stored what cannot be read: %v", err)
		}
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, textPack{p.Text.Type, string(p.Text.Attr), records})
	}))
	e.sender = e.newSender(append([]sdk.Option{sdk.WithProxies("dp1:46801"), sdk.WithInstance("me")}, opts...)...)
	return e, func() []textPack {
		e.close(time.Second)
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
}

// eachText runs a story for both text types.
func eachText(t *testing.T, story func(t *testing.T, typ sdk.MessageType)) {
	t.Helper()
	for _, typ := range []sdk.MessageType{sdk.Type3, sdk.Type5} {
		t.Run(fmt.Sprintf("type %d", typ), func(t *testing.T) {
			bubble(t, func(t *testing.T) { story(t, typ) })
		})
	}
}

func TestTextPacksCarryRecordsTimeAndCount(t *testing.T) {
	eachText(t, func(t *testing.T, typ sdk.MessageType) {
		e, seen := setupText(t, sdk.WithMessageType(typ))
		st := e.stream("s")
		at := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
		b := &sdk.Batch{
			Stream: st, Time: at, Payloads: [][]byte{[]byte("a"), []byte("b \r"), []byte("ü\x00\xff"), []byte(" ")},
			PackAttrs: packAttrs(t, sdk.AuditVersion(7)),
		}
		if n, err := e.sender.TrySendBatch(b); n != 4 || err != nil {
			t.Fatalf("TrySendBatch = %d, %v", n, err)
		}
		if err := e.sender.SendAsync(t.Context(), sdk.Message{Stream: st, Time: at, Payload: []byte("alone")}, nil); err != nil {
			t.Fatal(err)
		}
		got := seen()
		slices.SortFunc(got, func(a, b textPack) int { return len(b.records) - len(a.records) })
		for i := range got {
			// DataProxy puts the time of arrival in front.
			got[i].attr = regexp.MustCompile(`^rt=\d+&(.*&rtms=)\d+(&mid=me\.)\d+`).ReplaceAllString(got[i].attr, "${1}T${2}N")
		}
		want := []textPack{
			{uint8(typ), "groupId=g&streamId=s&rtms=T&mid=me.N&dt=1767323045678&cnt=4&auditVersion=7", []string{"a", "b \r", "ü\x00\xff", " "}},
			{uint8(typ), "groupId=g&streamId=s&rtms=T&mid=me.N&dt=1767323045678&cnt=1", []string{"alone"}},
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("stored %q, want %q", got, want)
		}
	})
}

// The very bytes, put together here by hand.
func TestTextFramesToTheByte(t *testing.T) {
	eachText(t, func(t *testing.T, typ sdk.MessageType) {
		frames := make(chan []byte, 1)
		e := setupFakeFrames(t, func(f []byte) []byte {
			frames <- bytes.Clone(f)
			return textAck(f)
		}, sdk.WithMessageType(typ), sdk.WithInstance("me"))
		b := &sdk.Batch{Stream: e.stream("s"), Time: time.UnixMilli(1760000000123), Payloads: [][]byte{[]byte("hello"), []byte("world!")}}
		if n, err := e.sender.TrySendBatch(b); n != 2 || err != nil {
			t.Fatalf("TrySendBatch = %d, %v", n, err)
		}
		e.close(time.Second)
		body := "hello\nworld!"
		if typ == sdk.Type5 {
			body = "\x00\x00\x00\x05hello\x00\x00\x00\x06world!"
		}
		// The bubble's time is the report time.
		attr := "groupId=g&streamId=s&rtms=" + strconv.FormatInt(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), 10) +
			"&mid=me.1&dt=1760000000123&cnt=2"
		want := fmt.Appendf(nil, "\x00\x00\x00%c%c\x00\x00\x00%c%s\x00\x00\x00%c%s", 9+len(body)+len(attr), typ, len(body), body, len(attr), attr)
		got := <-frames
		if !bytes.Equal(got, want) {
			t.Errorf("frame\n%q, want\n%q", got, want)
		}
	})
}

// The bodies are, byte for byte, what InLong's Java SDK makes of the same records.
func TestTextBodiesAreThoseOfTheJavaSDK(t *testing.T) {
	files, err := filepath.Glob("../testdata/frames/java-sdk/*-t[35]-*.txt")
	if err != nil || len(files) != 36 {
		t.Fatalf("%d golden text packs, %v, want 36", len(files), err)
	}
	sent, refused := 0, 0
	for _, file := range files {
		fields, bodies := readFrame(t, file)
		typ := sdk.MessageType(fields["msgType"][0] - '0')
		if n := len(bodies); fields["body_count"] != strconv.Itoa(n) {
			t.Fatalf("%s: %d bodies, want %s", file, n, fields["body_count"])
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				want := unhex(t, fields["body_uncompressed_hex"])
				var got []byte
				e := setupFakeFrames(t, func(f []byte) []byte {
					p, err := frame.DecodeTextPack(f)
					if err != nil {
						t.Errorf("a frame that cannot be read: %v", err)
					}
					if dt, _ := frame.Attribute(p.Attr, "dt"); string(dt) != fields["dtMs"] {
						t.Errorf("dt = %q, want %s", dt, fields["dtMs"])
					}
					content, err := p.Content(1 << 20)
					if err != nil {
						t.Errorf("a body that cannot be read: %v", err)
					}
					got = append(got, content...)
					return textAck(f)
				}, sdk.WithMessageType(typ))
				millis, err := strconv.ParseInt(fields["dtMs"], 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				b := &sdk.Batch{Stream: e.stream("s"), Time: time.UnixMilli(millis), Payloads: bodies}
				n, err := e.sender.TrySendBatch(b)
				e.close(time.Second)
				if _, unfit := errors.AsType[*sdk.MessageTypeError](err); unfit {
					refused++
					if r := bodies[n]; len(r) > 0 && (typ == sdk.Type5 || !bytes.Contains(r, []byte("\n"))) {
						t.Errorf("%q was refused: %v", r, err)
					}
					return
				}
				sent++
				if n != len(bodies) || err != nil {
					t.Errorf("TrySendBatch = %d, %v, want %d", n, err, len(bodies))
				}
				if !bytes.Equal(got, want) {
					t.Errorf("body %x, want %x", got, want)
				}
			})
		})
	}
	if sent != 32 || refused != 4 { // two empty records, two line feeds in type 3
		t.Errorf("%d bodies compared and %d refused, want 32 and 4", sent, refused)
	}
}

// readFrame reads a captured frame's fields, and the records it was made of.
func readFrame(t *testing.T, file string) (fields map[string]string, bodies [][]byte) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	fields = make(map[string]string)
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		if value = strings.TrimPrefix(value, " "); key == "body_hex" {
			bodies = append(bodies, unhex(t, value))
		}
		fields[key] = value
	}
	return fields, bodies
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// textAck is a DataProxy's answer that accepts.
func textAck(f []byte) []byte { return textAnswer(f, 0, "", true) }

func textAnswer(f []byte, code int, message string, echo bool) []byte {
	p, err := frame.DecodeTextPack(f)
	if err != nil {
		panic(err)
	}
	if !echo {
		p.Attr = nil
	}
	return frame.AppendTextAck(nil, p.Type, []byte("2"), "10.0.0.1", code, message, p.Attr)
}

func TestTextTypesRefuseWhatTheyCannotCarry(t *testing.T) {
	eachText(t, func(t *testing.T, typ sdk.MessageType) {
		e, seen := setupText(t, sdk.WithMessageType(typ))
		st, now := e.stream("s"), time.Now()
		attrs := []sdk.Attr{{Key: "k", Value: "v"}}
		lineFeed := typ == sdk.Type3
		for _, tt := range []struct {
			name    string
			payload string
			attrs   []sdk.Attr
			refused bool
		}{
			{"nothing", "", nil, true},
			{"a line feed", "\n", nil, lineFeed},
			{"a line feed at the end", "x\n", nil, lineFeed},
			{"a line feed inside", "x\ny", nil, lineFeed},
			{"a carriage return", "x\r", nil, false},
			{"attributes", "x", attrs, true},
			{"attributes and nothing", "", attrs, true},
		} {
			check := func(call string, err error) {
				t.Helper()
				var unfit *sdk.MessageTypeError
				if got := errors.As(err, &unfit); got != tt.refused || (got && unfit.Type != typ) || (!got && err != nil) {
					t.Errorf("%s with %s: %v, refused should be %v", call, tt.name, err, tt.refused)
				}
			}
			m := sdk.Message{Stream: st, Time: now, Payload: []byte(tt.payload), Attrs: tt.attrs}
			check("SendAsync", e.sender.SendAsync(t.Context(), m, func(r sdk.Result) {
				if tt.refused || r.Outcome != sdk.Final {
					t.Errorf("%s: told %v", tt.name, r)
				}
			}))
			// What comes before is taken, what comes behind is not.
			b := &sdk.Batch{Stream: st, Time: now, Payloads: [][]byte{[]byte("before"), []byte(tt.payload), []byte("behind")}}
			taken := 1
			if tt.attrs != nil {
				b.Attrs, taken = [][]sdk.Attr{nil, tt.attrs, nil}, 0 // none of the batch can be
			}
			if !tt.refused {
				taken = 3
			}
			n, err := e.sender.SendBatch(t.Context(), b)
			check("SendBatch", err)
			if n != taken {
				t.Errorf("SendBatch with %s took %d, want %d (%v)", tt.name, n, taken, err)
			}
			if err != nil && taken == 1 && !strings.Contains(err.Error(), "record 1: ") {
				t.Errorf("SendBatch with %s: %v, want the record named", tt.name, err)
			}
		}
		for _, p := range seen() {
			for _, r := range p.records {
				if r == "" {
					t.Errorf("an empty record among %q", p.records)
				}
			}
		}
		e.close(time.Second)
	})
}

func TestMessageTypeIsChecked(t *testing.T) {
	for _, typ := range []sdk.MessageType{0, 1, 2, 4, 6, 8, 255} {
		if _, err := sdk.New(t.Context(), sdk.WithProxies("dp:1"), sdk.WithMessageType(typ)); err == nil || !strings.Contains(err.Error(), "WithMessageType") {
			t.Errorf("type %d: %v", typ, err)
		}
	}
}

// An answer to a text pack has no number: what it echoes tells which pack it is for, and nothing else does.
func TestOnlyTheEchoOfATextPackIsItsAck(t *testing.T) {
	renamed := func(f []byte, from, to string) []byte {
		p, err := frame.DecodeTextPack(f)
		if err != nil {
			panic(err)
		}
		return frame.AppendTextAck(nil, p.Type, nil, "10.0.0.1", 0, "", bytes.Replace(p.Attr, []byte(from), []byte(to), 1))
	}
	for _, tt := range []struct {
		name   string
		answer func(f []byte) []byte
	}{
		{"no echo", func(f []byte) []byte { return textAnswer(f, 0, "", false) }},
		{"another instance", func(f []byte) []byte { return renamed(f, "mid=me.", "mid=you.") }},
		{"another pack", func(f []byte) []byte { return renamed(f, "mid=me.", "mid=me.9") }},
		{"the same low bits", func(f []byte) []byte { return renamed(f, "mid=me.", "mid=me.10000000") }},
		{"no name", func(f []byte) []byte { return renamed(f, "mid=me.", "mid=") }},
		{"an error code", func(f []byte) []byte { return textAnswer(f, 114, "full", true) }},
		{"an error code without an echo", func(f []byte) []byte { return textAnswer(f, 2, "", false) }},
		{"another text type", func(f []byte) []byte {
			a := textAck(f)
			a[4] ^= frame.TypeAckService ^ frame.TypeMultiBody
			return a
		}},
		{"an ack of type 7", func([]byte) []byte { return frame.AppendAck(nil, 1, "10.0.0.1", 0, "", nil) }},
		{"the pack itself", func(f []byte) []byte { return f }},
		{"a heartbeat's answer", func([]byte) []byte { return []byte{0, 0, 0, 1, 1} }},
		{"half an ack, then the end", func([]byte) []byte { return nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachText(t, func(t *testing.T, typ sdk.MessageType) {
				e := setupFakeFrames(t, tt.answer, sdk.WithMessageType(typ), sdk.WithInstance("me"))
				e.send(e.stream("s"), 3)
				settle(20 * time.Second)
				e.log.want(sdk.Final, 0)
				e.log.want(sdk.Acked, 0)
				e.log.want(sdk.Refused, 0)
			})
		})
	}
}

// Bytes are damaged on the way: DataProxy finds the lengths wrong before it has read who is meant. The pack
// goes out once more, and is refused permanently when that is answered in the same way; the others arrive.
func TestTextErrorWithoutAnEchoIsFoundAlone(t *testing.T) {
	eachText(t, func(t *testing.T, typ sdk.MessageType) {
		var mu sync.Mutex
		refusals := 0
		e := setupFakeFrames(t, func(f []byte) []byte {
			mu.Lock()
			defer mu.Unlock()
			if bytes.Contains(f, []byte("record 5 of")) {
				refusals++
				return textAnswer(f, 104, "", false)
			}
			return textAck(f)
		}, sdk.WithMessageType(typ), sdk.WithCompression(sdk.None))
		e.send(e.stream("s"), 20)
		settle(time.Minute)
		e.log.want(sdk.Final, 19)
		e.log.want(sdk.Refused, 1)
		for _, told := range e.log.told {
			last := told[len(told)-1]
			var ack *sdk.AckError
			if last.Outcome == sdk.Refused && (!errors.As(last.Err, &ack) || ack.Code != 104) {
				t.Errorf("refused with %v, want code 104", last.Err)
			}
		}
		mu.Lock()
		if refusals < 2 || refusals > 4 {
			t.Errorf("the damaged pack was sent %d times", refusals)
		}
		mu.Unlock()
		e.close(time.Second)
	})
}

func TestTextPackOnceDamagedArrives(t *testing.T) {
	eachText(t, func(t *testing.T, typ sdk.MessageType) {
		damaged := false
		e := setupFakeFrames(t, func(f []byte) []byte {
			if !damaged {
				damaged = true
				return textAnswer(f, 106, "", false)
			}
			return textAck(f)
		}, sdk.WithMessageType(typ))
		e.send(e.stream("s"), 5)
		settle(10 * time.Second)
		e.log.want(sdk.Final, 5)
		e.close(time.Second)
	})
}

func TestTextErrorsAreTold(t *testing.T) {
	eachText(t, func(t *testing.T, typ sdk.MessageType) {
		e := setupFakeFrames(t, func(f []byte) []byte { return textAnswer(f, 96, "no & snappy=block", true) }, sdk.WithMessageType(typ))
		err := e.sender.Send(t.Context(), sdk.Message{Stream: e.stream("s"), Time: time.Now(), Payload: []byte("x")})
		var ack *sdk.AckError
		if !errors.As(err, &ack) || ack.Code != 96 || ack.Message != "no & snappy=block" || ack.Group != "g" || ack.Stream != "s" {
			t.Errorf("Send: %v, want code 96 with its message", err)
		}
		e.close(time.Second)
	})
}

// One record among many ends every connection: text packs are cut as others are.
func TestPoisonRecordInTextPacksIsRefusedAlone(t *testing.T) {
	eachText(t, func(t *testing.T, typ sdk.MessageType) {
		e := &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1, 1), log: newLedger(t)}
		for i := range 2 {
			e.addProxy(fmt.Sprintf("dp%d:46801", i+1), dptest.WithMaxFrame(4<<10))
		}
		e.sender = e.newSender(sdk.WithProxies(e.addrs()...), sdk.WithMessageType(typ), sdk.WithCompression(sdk.None), sdk.WithRetry(10*time.Millisecond, 100*time.Millisecond))
		payloads := make([][]byte, 40)
		for i := range payloads {
			payloads[i] = e.log.fresh()
		}
		payloads[17] = append(e.log.fresh(), bytes.Repeat([]byte("x"), 5<<10)...) // longer than these proxies take
		b := e.log.batch(e.stream("s"), payloads)
		b.Token = &splitter{ledger: e.log}
		if n, err := e.sender.SendBatch(t.Context(), b); n != 40 || err != nil {
			t.Fatalf("SendBatch = %d, %v", n, err)
		}
		settle(10 * time.Minute)
		e.log.want(sdk.Final, 39)
		e.log.want(sdk.Refused, 1)
		e.close(time.Second)
	})
}

// The name of a pack is in the queue in these forms too.
func TestTextPacksAreSeenInTheQueue(t *testing.T) {
	eachText(t, func(t *testing.T, typ sdk.MessageType) {
		e, _ := setupQueue(t, 2, nil, sdk.WithMessageType(typ))
		e.send(e.stream("s"), 20)
		settle(10 * time.Second)
		e.log.want(sdk.Final, 20)
		for _, m := range e.queue.All() {
			if o, err := frame.OpenInLongMsg(m.Value, 1<<20); err != nil || o.Version != 1 {
				t.Errorf("a message of version %d, %v, want 1", o.Version, err)
			}
		}
		e.close(time.Second)
	})
}

func TestTextFramesKeepTheLargestSize(t *testing.T) {
	eachText(t, func(t *testing.T, typ sdk.MessageType) {
		const most = 8 << 10
		largest := 0
		e := setupFakeFrames(t, func(f []byte) []byte {
			largest = max(largest, len(f))
			return textAck(f)
		}, sdk.WithMessageType(typ), sdk.WithMaxFrame(most), sdk.WithPack(most, 1000, 20*time.Millisecond), config(finality.Ack, nil))
		st := e.stream("s")
		rnd := rand.New(rand.NewPCG(1, 1))
		noise := func(n int) []byte {
			p := make([]byte, n)
			for i := range p {
				p[i] = byte(' ' + rnd.IntN(200)) // no line feed, and hardly anything to compress
			}
			return p
		}
		_, err := e.sender.SendBatch(t.Context(), &sdk.Batch{Stream: st, Time: time.Now(), Payloads: [][]byte{noise(most)}})
		var tooLarge *sdk.TooLargeError
		if !errors.As(err, &tooLarge) {
			t.Fatalf("a record as long as a frame: %v", err)
		}
		var payloads [][]byte
		for i := range 400 {
			payloads = append(payloads, noise(1+i*i%300))
		}
		payloads = append(payloads, noise(tooLarge.Limit))
		if n, err := e.sender.SendBatch(t.Context(), &sdk.Batch{Stream: st, Time: time.Now(), Payloads: payloads}); n != len(payloads) || err != nil {
			t.Fatalf("SendBatch = %d, %v", n, err)
		}
		e.close(time.Minute)
		if largest > most || largest < most*3/4 {
			t.Errorf("the largest frame has %d bytes of %d", largest, most)
		}
	})
}

// 1. a pack is seen in the queue before its answer came  2. the next one goes out  3. an error comes that names
// none. It may be about the first: nothing is concluded about the second but that it has to go out again.
func TestTextErrorWithoutAnEchoMayBeAboutAPackThatWasSeen(t *testing.T) {
	eachText(t, func(t *testing.T, typ sdk.MessageType) {
		var mu sync.Mutex
		got := 0
		r := &reader{queue: dptest.NewMemoryQueue(1, 1), at: make(map[[2]int]int64), instance: "me"}
		e := setupFakeFrames(t, func(f []byte) []byte {
			mu.Lock()
			defer mu.Unlock()
			switch got++; got {
			case 1:
				return []byte{} // later
			case 2:
				return slices.Concat(textAnswer(f, 104, "", false), textAck(f))
			}
			return textAck(f)
		}, sdk.WithMessageType(typ), sdk.WithInstance("me"), sdk.WithConfirmer(r), config(finality.Queue, nil))
		r.seen = e.sender.Seen
		e.sender.QueueAnswers(true)
		st := e.stream("s")
		settle(10 * time.Millisecond)
		e.send(st, 1)
		settle(10 * time.Millisecond)
		e.sender.Seen([]uint64{1})
		settle(10 * time.Millisecond)
		e.log.want(sdk.Final, 1)
		e.send(st, 1)
		settle(time.Second)
		ep := e.sender.Status().Endpoints[0]
		if ep.AckErrors[104] != 0 || ep.ConnectionsEnded != 1 || !strings.Contains(ep.LastError, "names no pack") {
			t.Errorf("%+v, want the connection ended, and the error held against no pack", ep)
		}
		e.log.want(sdk.Acked, 1) // on the second connection
		e.sender.Seen([]uint64{2})
		e.close(time.Second)
		e.log.want(sdk.Final, 2)
	})
}
