package dptest_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/frame"
)

// pack returns the frame of one record with the given attributes; mend may change it before it is encoded.
func pack(t *testing.T, uniq uint32, attr string, mend ...func(*frame.Pack)) []byte {
	t.Helper()
	p := frame.Pack{
		Ext: frame.ExtStringIDs, DataTime: 1760000000, Count: 1, Uniq: uniq,
		Body: frame.AppendItem(nil, []byte("hello")), Attr: []byte(attr),
	}
	for _, f := range mend {
		f(&p)
	}
	return raw(p)
}

// raw encodes p without any check: what the tests send is often wrong on purpose.
func raw(p frame.Pack) []byte {
	be := binary.BigEndian
	b := be.AppendUint32(nil, uint32(25+len(p.Body)+len(p.Attr)))
	b = append(b, 7|p.Flags)
	b = be.AppendUint16(b, p.GroupIDNum)
	b = be.AppendUint16(b, p.StreamIDNum)
	b = be.AppendUint16(b, p.Ext)
	b = be.AppendUint32(b, p.DataTime)
	b = be.AppendUint16(b, p.Count)
	b = be.AppendUint32(b, p.Uniq)
	b = be.AppendUint32(b, uint32(len(p.Body)))
	b = append(b, p.Body...)
	b = be.AppendUint16(b, uint16(len(p.Attr)))
	b = append(b, p.Attr...)
	return be.AppendUint16(b, 0xEE01)
}

const ids = "groupId=g1&streamId=s1&rtms=1760000000123"

// patch changes one byte counted from the front, or from the end when negative.
func patch(b []byte, at int, to ...byte) []byte {
	b = slices.Clone(b)
	if at < 0 {
		at += len(b)
	}
	copy(b[at:], to)
	return b
}

// resize sets the length field to what the frame has.
func resize(b []byte) []byte {
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

func TestPoisonClosesTheConnectionBehindTheAcksBeforeIt(t *testing.T) {
	good := func(uniq uint32) []byte { return pack(t, uniq, ids) }
	bigBody := func(size int) []byte {
		return pack(t, 9, ids, func(p *frame.Pack) { p.Body = make([]byte, size-29-len(ids)) })
	}
	rows := []struct {
		name   string
		frame  []byte
		reason string
	}{
		{"one byte more than the largest frame", bigBody(1001), "1001 bytes"},
		{"length zero", []byte{0, 0, 0, 0}, "length field says 0"},
		{"negative length", []byte{0xff, 0xff, 0xff, 0xff, 7}, "length field says -1"},
		{"unknown type", []byte{0, 0, 0, 1, 0x1f}, "message type 31"},
		{"type 0", []byte{0, 0, 0, 2, 0, 1}, "message type 0"},
		{"pack shorter than its header", append([]byte{0, 0, 0, 24, 7}, make([]byte, 23)...), "too short"},
		{"body longer than the frame", patch(good(9), 21, 0, 0, 1, 0), "body of 256 bytes"},
		{"negative body", patch(good(9), 21, 0xff, 0xff, 0xff, 0xfe), "body of -2 bytes"},
		{"attributes longer than the frame", patch(good(9), 34, 0x10, 0), "attributes of 4096 bytes"},
		{"extra bytes inside the frame", resize(append(good(9), 0, 0)), "left over"},
		{"attribute that is not ASCII", pack(t, 9, ids+"&k=\xc3\xa9"), "not ASCII"},
		{"heartbeat of type 8 too short", append([]byte{0, 0, 0, 13, 8}, make([]byte, 12)...), "malformed heartbeat"},
		{"heartbeat of type 8 with bad magic", append([]byte{0, 0, 0, 14, 8}, make([]byte, 13)...), "malformed heartbeat"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := new(dptest.Network)
				p := dptest.Start(t, dptest.WithNetwork(n), dptest.WithMaxFrame(1000))
				c := dial(t, n, p)
				c.send(good(1), row.frame, good(2))
				if a := c.ack(); a.Uniq != 1 || a.Code != 0 {
					t.Errorf("the frame before is answered with %+v", a)
				}
				c.ended()
				s := p.Stats()
				if s.Packs != 1 || s.Poisoned != 1 || !strings.Contains(s.LastPoison, row.reason) {
					t.Errorf("stats are %+v, want one pack and a reason with %q", s, row.reason)
				}
			})
		})
	}
	t.Run("the largest frame is taken", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			n := new(dptest.Network)
			p := dptest.Start(t, dptest.WithNetwork(n), dptest.WithMaxFrame(1000))
			c := dial(t, n, p)
			c.send(bigBody(1000))
			if a := c.ack(); a.Uniq != 9 || a.Code != 0 {
				t.Errorf("it is answered with %+v", a)
			}
		})
	})
}

func TestEveryReachableCodeIsAnsweredAndTheConnectionStays(t *testing.T) {
	ext := func(bits uint16) func(*frame.Pack) { return func(p *frame.Pack) { p.Ext = bits } }
	rows := []struct {
		name  string
		frame []byte
		fault func(*dptest.Proxy)
		code  int
		early bool // nothing is echoed
	}{
		{name: "bad magic", frame: patch(pack(t, 5, ids), -1, 2), code: 94, early: true},
		{name: "zero body", frame: pack(t, 5, ids, func(p *frame.Pack) { p.Body = nil }), code: 105, early: true},
		{name: "negative attribute length", frame: patch(pack(t, 5, ids), 34, 0x80, 0), code: 107, early: true},
		{name: "no attributes", frame: pack(t, 5, ""), code: 100},
		{name: "group missing", frame: pack(t, 5, "streamId=s1"), code: 100},
		{name: "group blank", frame: pack(t, 5, "groupId= &streamId=s1"), code: 100},
		{name: "numeric ids without a number", frame: pack(t, 5, ids, ext(0)), code: 100},
		{name: "numeric ids", frame: pack(t, 5, ids, ext(0), func(p *frame.Pack) { p.GroupIDNum = 4 }), code: 3},
		{name: "attribute without =", frame: pack(t, 5, ids+"&x"), code: 109},
		{name: "attribute with two =", frame: pack(t, 5, ids+"&x=1=2"), code: 109},
		{name: "attribute twice", frame: pack(t, 5, ids+"&groupId=g1"), code: 109},
		{name: "trailing &", frame: pack(t, 5, ids+"&"), code: 109},
		{name: "file check", frame: pack(t, 5, ids, ext(0x000c)), code: 112},
		{name: "index", frame: pack(t, 5, ids, ext(0x0014)), code: 112},
		{name: "stream without topic", frame: pack(t, 5, "groupId=g1&streamId=other"), code: 115},
		{name: "stream blank", frame: pack(t, 5, "groupId=g1"), code: 115},
		{name: "isAck and syncSend", frame: pack(t, 5, ids+"&isAck=false&syncSend=true"), code: 150},
		{name: "isAck and proxySend", frame: pack(t, 5, ids+"&isAck=false&proxySend=true"), code: 151},
		{name: "service stopped", frame: pack(t, 5, ids), fault: func(p *dptest.Proxy) { p.StopService(true) }, code: 2},
		{name: "no queue yet", frame: pack(t, 5, ids), fault: func(p *dptest.Proxy) { p.Unready(true) }, code: 1},
		{name: "stopped counts before an unknown stream", frame: pack(t, 5, "groupId=x"), fault: func(p *dptest.Proxy) { p.StopService(true) }, code: 2},
		{name: "bad magic counts before stopped", frame: patch(pack(t, 5, ids), -1, 2), fault: func(p *dptest.Proxy) { p.StopService(true) }, code: 94, early: true},
		{name: "denied stream", frame: pack(t, 5, ids), fault: func(p *dptest.Proxy) { p.DenyStream("g1", "s1", true) }, code: 115},
		{name: "code by hand", frame: pack(t, 5, ids), fault: func(p *dptest.Proxy) { p.Code(114, 1) }, code: 114},
		{name: "code nobody knows", frame: pack(t, 5, ids), fault: func(p *dptest.Proxy) { p.Code(777, 1) }, code: 777},
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
				a := c.ack()
				if a.Uniq != 5 || a.Code != row.code {
					t.Errorf("answered with %+v, want code %d", a, row.code)
				}
				echo := row.frame[36 : len(row.frame)-2]
				if row.early && bytes.Contains(a.Attr, []byte("streamId")) || !row.early && !bytes.HasSuffix(a.Attr, echo) {
					t.Errorf("attributes are %q", a.Attr)
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

func TestEarlyErrorsEchoNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(dptest.Network)
		p := dptest.Start(t, dptest.WithNetwork(n))
		c := dial(t, n, p)
		c.send(pack(t, 5, ids, func(p *frame.Pack) { p.Body = nil }), pack(t, 6, "streamId=s1"))
		if a := c.ack(); a.Code != 105 || bytes.Contains(a.Attr, []byte("groupId")) {
			t.Errorf("the zero body is answered with %d %q", a.Code, a.Attr)
		}
		if a := c.ack(); a.Code != 100 || !bytes.HasSuffix(a.Attr, []byte("&streamId=s1")) {
			t.Errorf("the missing group is answered with %d %q", a.Code, a.Attr)
		}
	})
}

func TestIsAckFalseIsStoredAndNeverAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(dptest.Network)
		p := dptest.Start(t, dptest.WithNetwork(n), dptest.WithStreams("g1.s1"))
		c := dial(t, n, p)
		c.send(pack(t, 1, ids+"&isAck=false"), pack(t, 2, "groupId=nope&isAck=false"), pack(t, 3, ids+"&proxySend=true"))
		c.silent(10 * time.Second)
		if s := p.Stats(); s.Packs != 2 || s.Queued != 2 || s.Errors[115] != 1 || s.Acked != 0 {
			t.Errorf("stats are %+v, want two packs, one refused, none acked", s)
		}
	})
}

func TestMissingReportTimeIsPutInFrontInAckAndQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(dptest.Network)
		p := dptest.Start(t, dptest.WithNetwork(n), dptest.WithQueueDelay(0))
		c := dial(t, n, p)
		c.send(pack(t, 1, "groupId=g1&streamId=s1&mid=abc.1", func(p *frame.Pack) { p.Count = 0 }))
		want := "rtms=946684800000&groupId=g1&streamId=s1&mid=abc.1" // the bubble's clock
		if a := c.ack(); string(a.Attr) != "dpIp=127.0.0.1&"+want {
			t.Errorf("ack says %q", a.Attr)
		}
		p.MemoryQueue().WaitFor(t, 1)
		m := p.MemoryQueue().Read(0, 0, 0)[0]
		attr, err := frame.InLongMsgAttr(m.Value)
		if err != nil || string(attr) != want {
			t.Errorf("queue says %q, %v", attr, err)
		}
		wantHeaders := []dptest.Header{
			{Key: "rt", Value: "946684800000"}, {Key: "st", Value: "946684800000"}, {Key: "msgEnType", Value: "2"},
			{Key: "version", Value: "2"}, {Key: "srcIp", Value: "127.0.0.1"}, {Key: "dpIp", Value: "127.0.0.1"},
		}
		if !slices.Equal(m.Headers, wantHeaders) {
			t.Errorf("headers are %v", m.Headers)
		}
		if s := p.Stats(); s.Records != 1 {
			t.Errorf("a count of 0 gives %d records, want 1", s.Records)
		}
	})
}

func TestGroupWithoutStreamIsTakenWhenTheGroupHasATopic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := new(dptest.Network)
		p := dptest.Start(t, dptest.WithNetwork(n), dptest.WithStreams("g1"))
		c := dial(t, n, p)
		c.send(pack(t, 1, "groupId=g1"), pack(t, 2, "groupId=g1&streamId=any"), pack(t, 3, "groupId=g2&streamId=any"))
		for _, want := range []int{0, 0, 115} {
			if a := c.ack(); a.Code != want {
				t.Errorf("pack %d: code %d, want %d", a.Uniq, a.Code, want)
			}
		}
	})
}

func FuzzProxyNeverAnswersTwiceAndNeverPanics(f *testing.F) {
	t := new(testing.T) // pack wants one
	f.Add(pack(t, 1, ids))
	f.Add(resize(append(pack(t, 1, ids), 0)))
	f.Add(patch(pack(t, 1, ids), 21, 0xff, 0xff, 0xff, 0xf0))
	f.Add(text(3, "hello\n", textIDs))
	f.Add(text(5, items("hello", "", "world"), textIDs+"&cp="))
	f.Add(text(5, items("hello")+"xyz", textIDs))
	f.Add(text(6, items("hello", "k=v"), "groupId=g1&isAck=false"))
	f.Add([]byte{0, 0, 0, 14, 8, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xee, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 5 || len(b) > 4096 {
			return
		}
		resize(b)
		synctest.Test(t, func(t *testing.T) {
			n := new(dptest.Network)
			p := dptest.Start(t, dptest.WithNetwork(n), dptest.WithQueueDelay(0))
			c := dial(t, n, p)
			c.send(b)
			synctest.Wait()
			s := p.Stats()
			answers := uint64(0)
			for _, n := range s.Errors {
				answers += n
			}
			if got := s.Packs + s.Heartbeats + s.Poisoned + answers; got != 1 {
				t.Fatalf("one frame became %d things: %+v", got, s)
			}
			if s.Packs != s.Queued || int(s.Queued) != p.MemoryQueue().Len() {
				t.Fatalf("a stored pack is not in the queue: %+v", s)
			}
		})
	})
}
