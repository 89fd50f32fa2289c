package dptest_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang/snappy"

	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/frame"
)

const textIDs = "groupId=g1&streamId=s1&dt=5&cnt=2&mid=7&rt=8&rtms=9"

// text returns a text frame without any check: what the tests send is often wrong on purpose.
func text(typ uint8, body, attr string) []byte {
	be := binary.BigEndian
	b := be.AppendUint32(nil, uint32(9+len(body)+len(attr)))
	b = append(b, typ)
	b = be.AppendUint32(b, uint32(len(body)))
	b = append(b, body...)
	b = be.AppendUint32(b, uint32(len(attr)))
	return append(b, attr...)
}

func items(records ...string) string {
	var b []byte
	for _, r := range records {
		b = frame.AppendItem(b, []byte(r))
	}
	return string(b)
}

func (c *client) textAck() frame.TextAck {
	c.t.Helper()
	b, err := c.next()
	if err != nil {
		c.t.Fatalf("reading an ack: %v", err)
	}
	a, err := frame.DecodeTextAck(b)
	if err != nil {
		c.t.Fatalf("decoding the ack %x: %v", b, err)
	}
	return a
}

func TestTextPackIsRefusedWithTheServersCodeInTheServersOrder(t *testing.T) {
	good := text(5, items("hello"), textIDs)
	at := 9 + len(items("hello")) // the length of the attributes
	squeezed := string(snappy.Encode(nil, nil))
	rows := []struct {
		name  string
		frame []byte
		fault func(*dptest.Proxy)
		code  int
		early bool // nothing is echoed
	}{
		{name: "zero body", frame: text(3, "", textIDs), code: 105, early: true},
		{name: "negative body", frame: patch(good, 5, 0xff, 0xff, 0xff, 0xff), code: 106, early: true},
		{name: "body longer than the frame", frame: patch(good, 5, 0, 0, 1, 0), code: 104, early: true},
		{name: "body into the attributes' length", frame: patch(good, 8, byte(len(good)-12)), code: 104, early: true},
		{name: "negative attributes", frame: patch(good, at, 0xff), code: 107, early: true},
		{name: "attributes longer than the frame", frame: patch(good, at+3, byte(len(textIDs)+1)), code: 104, early: true},
		{name: "extra byte inside the frame", frame: resize(append(slices.Clone(good), 0)), code: 104, early: true},
		{name: "attribute without =", frame: text(3, "x", textIDs+"&x"), code: 109},
		{name: "attribute twice", frame: text(3, "x", textIDs+"&cnt=1"), code: 109},
		{name: "attributes count before the body", frame: text(5, "x", textIDs+"&x"), code: 109},
		{name: "isAck and syncSend", frame: text(3, "x", textIDs+"&isAck=false&syncSend=true"), code: 150},
		{name: "isAck and proxySend", frame: text(3, "x", textIDs+"&isAck=FALSE&proxySend=True"), code: 151},
		{name: "not snappy", frame: text(3, "hello", textIDs+"&cp=snappy"), code: 96},
		{name: "not snappy by another name", frame: text(5, items("hello"), textIDs+"& cp=gzip"), code: 96},
		{name: "empty snappy block", frame: text(3, squeezed, textIDs+"&cp=snappy"), code: 96},
		{name: "type 5 of a length alone", frame: text(5, items(""), textIDs), code: 123},
		{name: "type 5 of three bytes", frame: text(5, "abc", textIDs), code: 123},
		{name: "type 5 that begins with an empty record", frame: text(5, items("", "hello"), textIDs), code: 123},
		{name: "type 5 that begins with a record too long", frame: text(5, "\x00\x00\x00\x05abcd", textIDs), code: 123},
		{name: "type 5 that begins with a negative length", frame: text(5, "\xff\x00\x00\x00abcd", textIDs), code: 123},
		{name: "group missing", frame: text(3, "x", "streamId=s1&rt=1&rtms=1"), code: 100},
		{name: "no attributes", frame: text(3, "x", ""), code: 100},
		{name: "stream without topic", frame: text(3, "x", "groupId=g1&streamId=other"), code: 115},
		{name: "service stopped", frame: good, fault: func(p *dptest.Proxy) { p.StopService(true) }, code: 2},
		{name: "records count before stopped", frame: text(5, "abc", textIDs), fault: func(p *dptest.Proxy) { p.StopService(true) }, code: 123},
		{name: "stopped counts before an unknown stream", frame: text(3, "x", "groupId=x"), fault: func(p *dptest.Proxy) { p.StopService(true) }, code: 2},
		{name: "no queue yet", frame: good, fault: func(p *dptest.Proxy) { p.Unready(true) }, code: 1},
		{name: "denied stream", frame: good, fault: func(p *dptest.Proxy) { p.DenyStream("g1", "s1", true) }, code: 115},
		{name: "code by hand", frame: good, fault: func(p *dptest.Proxy) { p.Code(114, 1) }, code: 114},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := new(dptest.Network)
				p := dptest.Start(t, dptest.WithNetwork(n), dptest.WithStreams("g1.s1"))
				if row.fault != nil {
					row.fault(p)
				}
				c := dial(t, n, p)
				c.send(row.frame, frame.AppendHeartbeat(nil))
				a := c.textAck()
				if a.Code != row.code || a.Type != row.frame[4] || string(a.Body) != "2" {
					t.Errorf("answered with %+v, want code %d", a, row.code)
				}
				if row.early {
					if bytes.Contains(a.Attr, []byte("groupId")) {
						t.Errorf("attributes are %q, want no echo", a.Attr)
					}
				} else if echo := row.frame[9+binary.BigEndian.Uint32(row.frame[5:])+4:]; !bytes.HasSuffix(a.Attr, echo) {
					t.Errorf("attributes are %q, want %q at the end", a.Attr, echo)
				}
				if b, err := c.next(); err != nil || len(b) != 5 {
					t.Errorf("the heartbeat behind it is answered with %x, %v", b, err)
				}
				if s := p.Stats(); s.Packs != 0 || s.Errors[row.code] != 1 {
					t.Errorf("stats are %+v, want no pack and one error", s)
				}
			})
		})
	}
}

func TestTextPoisonClosesTheConnectionBehindTheAcksBeforeIt(t *testing.T) {
	good := text(5, items("hello"), textIDs)
	rows := []struct {
		name   string
		frame  []byte
		reason string
	}{
		{"shorter than its header", []byte{0, 0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0}, "too short"},
		{"line feed alone, type 2", text(2, "\n", textIDs), "line feed"},
		{"line feed alone, type 3", text(3, "\n", textIDs), "line feed"},
		{"line feed alone, type 4", text(4, "\n", textIDs), "line feed"},
		{"line feed alone, nobody to answer", text(3, "\n", textIDs+"&isAck=false"), "line feed"},
		{"line feed alone, compressed", text(3, string(snappy.Encode(nil, []byte("\n"))), textIDs+"&cp=snappy"), "line feed"},
		{"type 5 with a stray byte", text(5, items("hello")+"x", textIDs), "1 bytes behind"},
		{"type 5 with three stray bytes", text(5, items("hello")+"xyz", textIDs), "3 bytes behind"},
		{"type 6 with a negative length", text(6, "\xff\x00\x00\x00", textIDs), "negative"},
		{"body length at the end of its range", patch(good, 5, 0x7f, 0xff, 0xff, 0xff), "body of 2147483647 bytes"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := new(dptest.Network)
				p := dptest.Start(t, dptest.WithNetwork(n))
				c := dial(t, n, p)
				c.send(good, row.frame, good)
				if a := c.textAck(); a.Code != 0 {
					t.Errorf("the frame before is answered with %+v", a)
				}
				c.ended()
				if s := p.Stats(); s.Packs != 1 || s.Poisoned != 1 || !strings.Contains(s.LastPoison, row.reason) {
					t.Errorf("stats are %+v, want one pack and a reason with %q", s, row.reason)
				}
			})
		})
	}
}

func TestTextPacksAreAckedAndStoredWithTheServersChanges(t *testing.T) {
	var pairs []byte
	for _, r := range []string{"a", "b"} {
		var err error
		if pairs, err = frame.AppendItemAttr(pairs, []byte(r), []byte("k="+r)); err != nil {
			t.Fatal(err)
		}
	}
	many := items(strings.Repeat("x", 300), strings.Repeat("y", 300))
	const now = "946684800000" // the bubble's clock
	rows := []struct {
		name    string
		frame   []byte
		echo    string // "": the attributes as they were sent
		body    string // of the ack
		records []string
		count   int    // by the proxy's numbers
		attrs   string // some that must be in the queue
	}{
		{name: "lines", frame: text(3, "a\nb", textIDs), records: []string{"a\nb"}, count: 2, attrs: "cnt=2&dt=5&rt=8&rtms=9&mid=7"},
		{name: "lines of type 2", frame: text(2, "a\nb", textIDs), records: []string{"a\nb"}, count: 2},
		{name: "line feed at the end", frame: text(3, "a\n", textIDs), records: []string{"a"}, count: 2},
		{name: "return and line feed at the end", frame: text(3, "a\n\r\n", textIDs), records: []string{"a\n"}, count: 2},
		{name: "protobuf keeps its line feed", frame: text(3, "\n", textIDs+"&mt=pb"), records: []string{"\n"}, count: 2},
		{name: "type 4 gets its body back", frame: text(4, "a\n", textIDs), body: "a\n", records: []string{"a"}, count: 2},
		{name: "type 4 gets its body back as it was", frame: text(4, string(snappy.Encode(nil, []byte("a"))), textIDs+"&cp=x"), body: string(snappy.Encode(nil, []byte("a"))), records: []string{"a"}, count: 2},
		{name: "records say cnt=1 in the queue and what they said in the ack", frame: text(5, items("a", "b"), textIDs), records: []string{"a", "b"}, count: 2, attrs: "cnt=1&dt=5"},
		{name: "an empty record takes the rest with it", frame: text(5, items("a", "b", "", "c"), textIDs), records: []string{"a", "b"}, count: 2, attrs: "cnt=1"},
		{name: "a record too long takes the rest with it", frame: text(5, items("a")+"\x00\x00\x00\x09b", textIDs), records: []string{"a"}, count: 1},
		{name: "compressed", frame: text(5, string(snappy.Encode(nil, []byte(many))), textIDs+"&cp=snappy"), records: []string{strings.Repeat("x", 300), strings.Repeat("y", 300)}, count: 2, attrs: "cp=snappy&cnt=1"},
		{name: "flags mean nothing", frame: text(5|frame.FlagSnappy, items("a"), textIDs), records: []string{"a"}, count: 1},
		{name: "records with attributes", frame: text(6, string(pairs), textIDs), records: []string{"a", "b"}, count: 2, attrs: "cnt=1"},
		{name: "type 6 that reaches over its end is acked and gone", frame: text(6, "\x00\x00\x00\x09b", textIDs), records: nil, count: 2},
		{name: "nothing but ids", frame: text(3, "a", "groupId=g1&streamId=s1"), echo: "rt=" + now + "&rtms=" + now + "&groupId=g1&streamId=s1",
			records: []string{"a"}, count: 1, attrs: "cnt=1&dt=" + now + "&rt=" + now + "&rtms=" + now},
		{name: "no time of arrival", frame: text(3, "a", "groupId=g1&streamId=s1&rtms=9"), echo: "rt=" + now + "&groupId=g1&streamId=s1&rtms=9", records: []string{"a"}, count: 1},
		{name: "blank times", frame: text(3, "a", "rt=&rtms= &groupId=g1&streamId=s1"), echo: "rt=" + now + "&rtms=" + now + "&rt=&rtms= &groupId=g1&streamId=s1",
			records: []string{"a"}, count: 1, attrs: "rt=" + now + "&rtms=" + now},
		{name: "no numbers", frame: text(3, "a", "groupId=g1&streamId=s1&dt=x&cnt=y&rt=8&rtms=9"), records: []string{"a"}, count: 1, attrs: "cnt=1&dt=" + now},
		{name: "attributes that are not ASCII", frame: text(3, "a", textIDs+"&k=h\u00e9"), records: []string{"a"}, count: 2, attrs: "k=h\u00e9"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := new(dptest.Network)
				p := dptest.Start(t, dptest.WithNetwork(n), dptest.WithStreams("g1.s1"), dptest.WithQueueDelay(0))
				c := dial(t, n, p)
				c.send(row.frame)
				a := c.textAck()
				echo := row.echo
				if echo == "" {
					echo = string(row.frame[9+binary.BigEndian.Uint32(row.frame[5:])+4:])
				}
				body := row.body
				if body == "" {
					body = "2"
				}
				if a.Type != row.frame[4]&0x1f || string(a.Body) != body || string(a.Attr) != "dpIp=127.0.0.1&"+echo {
					t.Errorf("answered with type %d, body %q, %q; want %q and an echo of %q", a.Type, a.Body, a.Attr, body, echo)
				}
				p.MemoryQueue().WaitFor(t, 1)
				m := p.MemoryQueue().All()[0]
				o, err := frame.OpenInLongMsg(m.Value, 1<<20)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, r := range o.Records {
					got = append(got, string(r))
				}
				if !slices.Equal(got, row.records) || m.Group != "g1" || m.Stream != "s1" {
					t.Errorf("%s.%s holds %q, want %q", m.Group, m.Stream, got, row.records)
				}
				for token := range strings.SplitSeq(row.attrs, "&") {
					key, want, _ := strings.Cut(token, "=")
					if v, _ := frame.Attribute(o.Attr, key); string(v) != want {
						t.Errorf("the queue says %q, want %s", o.Attr, token)
					}
				}
				if records, err := p.MemoryQueue().Records("g1", "s1"); err != nil || len(records) != len(row.records) {
					t.Errorf("Records = %q, %v", records, err)
				}
				synctest.Wait() // an ack is counted after it was written
				if s := p.Stats(); s.Records != uint64(row.count) || s.Acked != 1 {
					t.Errorf("stats are %+v, want %d records", s, row.count)
				}
			})
		})
	}
}

func TestTextPacksThatWantNoAnswerGetNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(dptest.Network)
		p := dptest.Start(t, dptest.WithNetwork(n), dptest.WithStreams("g1.s1"))
		c := dial(t, n, p)
		c.send(
			text(3, "a", textIDs+"&isAck=false"), text(5, items("a"), textIDs+"&proxySend=true"), text(3, "a", textIDs+"&syncSend=true"),
			text(3, "a", "groupId=nope&isAck=false"), text(3, "a", textIDs+"&cp=snappy&isAck=false"), text(5, "abc", textIDs+"&isAck=false"),
		)
		c.silent(10 * time.Second)
		if s := p.Stats(); s.Packs != 3 || s.Queued != 3 || s.Acked != 0 || s.Errors[115] != 1 || s.Errors[96] != 1 || s.Errors[123] != 1 {
			t.Errorf("stats are %+v, want three packs, three refused, none acked", s)
		}
	})
}

func TestTextAttributesTooLongForJavaAreAckedAndStoredAsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(dptest.Network)
		p := dptest.Start(t, dptest.WithNetwork(n), dptest.WithQueueDelay(0))
		c := dial(t, n, p)
		attr := textIDs + "&long=" + strings.Repeat("x", 65536)
		c.send(text(3, "a", attr))
		if a := c.textAck(); a.Code != 0 || !bytes.HasSuffix(a.Attr, []byte(attr)) {
			t.Errorf("answered with code %d and %d bytes of attributes", a.Code, len(a.Attr))
		}
		p.MemoryQueue().WaitFor(t, 1)
		if m := p.MemoryQueue().All()[0]; len(m.Value) != 0 {
			t.Errorf("the queue holds %d bytes, want an empty message", len(m.Value))
		}
	})
}

func TestFaultsOfAcksHoldForTextPacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(dptest.Network)
		p := dptest.Start(t, dptest.WithNetwork(n))
		c := dial(t, n, p)
		p.WrongUniq(1)
		c.send(text(5, items("a"), textIDs))
		if a := c.textAck(); a.Code != 0 || string(a.Attr) != "dpIp=127.0.0.1" {
			t.Errorf("answered with %+v, want an ack nobody knows what for", a)
		}
		p.WrongUniq(0)
		p.DuplicateAcks(1)
		c.send(text(3, "a", textIDs))
		if a, b := c.textAck(), c.textAck(); !bytes.Equal(a.Attr, b.Attr) {
			t.Errorf("answered with %q and %q", a.Attr, b.Attr)
		}
		p.DuplicateAcks(0)
		p.SwallowAck(1)
		c.send(text(3, "a", textIDs), pack(t, 1, ids))
		if a := c.ack(); a.Uniq != 1 {
			t.Errorf("the pack behind a swallowed ack is answered with %+v", a)
		}
		p.Zombie(true)
		c.send(text(3, "a", textIDs))
		c.silent(time.Minute)
		if s := p.Stats(); s.Packs != 4 {
			t.Errorf("stats are %+v, want four packs", s)
		}
	})
}

func TestOnPackSeesTextPacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(dptest.Network)
		var seen []string
		p := dptest.Start(t, dptest.WithNetwork(n), dptest.WithOnPack(func(i dptest.PackInfo) {
			o, err := frame.OpenInLongMsg(i.Value, 1<<20)
			typ := uint8(7)
			if i.Text != nil {
				typ = i.Text.Type
			}
			seen = append(seen, fmt.Sprintf("type %d of %s.%s: %d %q %v", typ, i.Group, i.Stream, i.Records, o.Records, err))
		}))
		c := dial(t, n, p)
		c.send(text(5, items("a", "b"), textIDs), text(3, "a\nb", textIDs))
		c.textAck()
		c.textAck()
		c.send(pack(t, 1, ids))
		c.ack()
		want := []string{
			`type 5 of g1.s1: 2 ["a" "b"] <nil>`, `type 3 of g1.s1: 2 ["a\nb"] <nil>`, `type 7 of g1.s1: 1 ["hello"] <nil>`}
		if !slices.Equal(seen, want) {
			t.Errorf("seen %q, want %q", seen, want)
		}
	})
}

// The Go SDK sends nothing but type 5 and heartbeats in the text layout, and finds its batch by wid and mid.
func TestFramesAsTheGoSDKSendsThemAreAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(dptest.Network)
		p := dptest.Start(t, dptest.WithNetwork(n))
		c := dial(t, n, p)
		c.send(text(1, "", ""))
		if b, err := c.next(); err != nil || !bytes.Equal(b, frame.AppendHeartbeat(nil)) {
			t.Errorf("the heartbeat is answered with %x, %v", b, err)
		}
		body := items(strings.Repeat("a", 200), strings.Repeat("b", 200))
		c.send(text(5, string(snappy.Encode(nil, []byte(body))), "groupId=g1&streamId=s1&dt=5&mid=b-1&sid=b-1&wid=3&cnt=2&cp=snappy"))
		a := c.textAck()
		wid, _ := a.Echoed("wid")
		mid, _ := a.Echoed("mid")
		if a.Code != 0 || string(wid) != "3" || string(mid) != "b-1" {
			t.Errorf("the batch is answered with %+v", a)
		}
	})
}
