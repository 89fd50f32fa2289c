package frame_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"inlong-bridge/sdk/frame"
)

// ackOf frames an attribute string as DataProxy would.
func ackOf(uniq uint32, attr string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(9+len(attr)))
	b = append(b, frame.TypePack)
	b = binary.BigEndian.AppendUint32(b, uniq)
	b = binary.BigEndian.AppendUint16(b, uint16(len(attr)))
	b = append(b, attr...)
	return append(b, 0xee, 0x01)
}

func TestAckIsReadFromTheLeftUpToItsSecondToken(t *testing.T) {
	const ip = "dpIp=10.0.0.1"
	for _, tc := range []struct {
		name, attr string
		code       int
		message    string
	}{
		{"accepted", ip + "&groupId=g1&streamId=s1", 0, ""},
		{"accepted, echo empty", ip, 0, ""},
		{"accepted, echo says errCode", ip + "&groupId=g1&errCode=115&errMsg=x", 0, ""},
		{"accepted, echo says errMsg", ip + "&errMsg=x&errCode=115", 0, ""},
		{"accepted, key that begins alike", ip + "&errCodes=7", 0, ""},
		{"code 0", ip + "&errCode=0&groupId=g1", 0, ""},
		{"code 0 with a message", ip + "&errCode=0&errMsg=fine", 0, ""},
		{"no attributes at all", "", 0, ""},
		{"no address", "groupId=g1", 0, ""},
		{"refused, no address", "errCode=114", 114, ""},
		{"refused early, nothing echoed", ip + "&errCode=105", 105, ""},
		{"refused, no message", ip + "&errCode=2&groupId=g1", 2, ""},
		{"refused with a message", ip + "&errCode=115&errMsg=Topic not configured for groupId=(g), streamId=(s)&groupId=g",
			115, "Topic not configured for groupId=(g), streamId=(s)&groupId=g"},
		{"message that repeats a code", ip + "&errCode=109&errMsg=bad attr a=b&errCode=0&c", 109, "bad attr a=b&errCode=0&c"},
		{"message that is not next", ip + "&errCode=1&groupId=g1&errMsg=x", 1, ""},
		{"largest code", ip + "&errCode=2147483647", 2147483647, ""},
		{"negative code", ip + "&errCode=-103", -103, ""},
		{"code that is no number", ip + "&errCode=abc&errMsg=x", frame.CodeUnknown, "x"},
		{"code with a tail", ip + "&errCode=0x&groupId=g", frame.CodeUnknown, ""},
		{"code with a space", ip + "&errCode= 0", frame.CodeUnknown, ""},
		{"no code behind the key", ip + "&errCode=", frame.CodeUnknown, ""},
		{"two equals signs", ip + "&errCode=0=0", frame.CodeUnknown, ""},
		{"code too large", ip + "&errCode=99999999999999999999", frame.CodeUnknown, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a, err := frame.DecodeAck(ackOf(0xffffffff, tc.attr))
			if err != nil {
				t.Fatal(err)
			}
			if a.Uniq != 0xffffffff || a.Code != tc.code || string(a.Message) != tc.message || string(a.Attr) != tc.attr {
				t.Errorf("DecodeAck(%q) = %d, code %d, message %q, want code %d, message %q", tc.attr, a.Uniq, a.Code, a.Message, tc.code, tc.message)
			}
		})
	}
}

func TestDecodeAckRefusesWhatIsNotAnAck(t *testing.T) {
	good := ackOf(7, "dpIp=10.0.0.1")
	set := func(at int, v byte) func([]byte) []byte {
		return func(b []byte) []byte { b[at] = v; return b }
	}
	for name, tc := range map[string]struct {
		change func([]byte) []byte
		want   error
	}{
		"heartbeat":           {func([]byte) []byte { return frame.AppendHeartbeat(nil) }, frame.ErrType},
		"type 5":              {set(4, 5), frame.ErrType},
		"type 8":              {set(4, 8), frame.ErrType},
		"flags":               {set(4, 0x27), frame.ErrType},
		"empty":               {func([]byte) []byte { return nil }, frame.ErrShort},
		"short":               {func([]byte) []byte { return []byte{0, 0, 0, 3, 7, 0, 0} }, frame.ErrShort},
		"cut":                 {func(b []byte) []byte { return b[:len(b)-1] }, frame.ErrLength},
		"attributes too long": {set(10, 14), frame.ErrLength},
		"attributes short":    {set(10, 12), frame.ErrLength},
		"magic":               {set(len(good)-1, 0), frame.ErrMagic},
	} {
		t.Run(name, func(t *testing.T) {
			if a, err := frame.DecodeAck(tc.change(bytes.Clone(good))); !errors.Is(err, tc.want) || a.Uniq != 0 {
				t.Errorf("DecodeAck = %+v, %v, want %v", a, err, tc.want)
			}
		})
	}
}

func TestAckOfLongAttributesIsCutNotTorn(t *testing.T) {
	out := frame.AppendAck(nil, 9, "10.0.0.1", 109, strings.Repeat("m", 40000), bytes.Repeat([]byte("a"), 40000))
	a, err := frame.DecodeAck(out)
	if err != nil || a.Uniq != 9 || a.Code != 109 || len(a.Attr) != 65535 {
		t.Errorf("DecodeAck = uniq %d, code %d, %d bytes of attributes, %v", a.Uniq, a.Code, len(a.Attr), err)
	}
}

func TestMessageWithoutCutsTheEchoOnly(t *testing.T) {
	const request = "groupId=g1&streamId=s1"
	for _, tc := range []struct{ name, message, want string }{
		{"echo as sent", "no topic for groupId=(g1)&" + request, "no topic for groupId=(g1)"},
		{"time of arrival put in front", "no topic&rtms=1760000000123&" + request, "no topic"},
		{"no echo", "no topic", "no topic"},
		{"message that ends alike", "cannot split " + request, "cannot split " + request},
		{"other echo", "no topic&groupId=g2", "no topic&groupId=g2"},
	} {
		a := frame.Ack{Message: []byte(tc.message)}
		if got := string(a.MessageWithout([]byte(request))); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	a := frame.Ack{Message: []byte("x&")}
	if got := string(a.MessageWithout(nil)); got != "x&" {
		t.Errorf("no attributes: %q, want %q", got, "x&")
	}
}

func TestCheckAttribute(t *testing.T) {
	for _, tc := range []struct{ key, value, says string }{
		{"k", "v", ""},
		{"k", "", ""},
		{"_odd.key-2", "a b:c/d", ""},
		{"", "v", "no key"},
		{"k&", "v", "separate"},
		{"k", "a=b", "separate"},
		{"k", "a&b", "separate"},
		{"k", "caf\u00e9", "0xc3"},
		{"k\u00e9", "v", "0xc3"},
		{"k", "a\tb", "0x09"},
		{"k", "a\x7f", "0x7f"},
	} {
		err := frame.CheckAttribute(tc.key, tc.value)
		if (err == nil) != (tc.says == "") || (err != nil && !strings.Contains(err.Error(), tc.says)) {
			t.Errorf("CheckAttribute(%q, %q) = %v, want an error about %q", tc.key, tc.value, err, tc.says)
		}
	}
}

func TestAttributeReturnsTheFirstWholeKey(t *testing.T) {
	attr := []byte("xmid=0&mid&mid=i.1&mid=i.2&empty=&eq=a=b")
	for _, tc := range []struct {
		key, want string
		ok        bool
	}{
		{"mid", "i.1", true}, {"xmid", "0", true}, {"empty", "", true}, {"eq", "a=b", true}, {"id", "", false}, {"none", "", false},
	} {
		if got, ok := frame.Attribute(attr, tc.key); string(got) != tc.want || ok != tc.ok {
			t.Errorf("Attribute(%q) = %q, %v, want %q, %v", tc.key, got, ok, tc.want, tc.ok)
		}
	}
}

func TestParseMidTakesOnlyWhatAppendMidWrites(t *testing.T) {
	for _, tc := range []struct {
		value, instance string
		seq             uint64
		ok              bool
	}{
		{"ABC_-.0", "ABC_-", 0, true},
		{"ABC.ff", "ABC", 255, true},
		{"a.b.1", "a.b", 1, true},
		{"ABC.ffffffffffffffff", "ABC", 1<<64 - 1, true},
		{"ABC.10000000000000000", "", 0, false},
		{"ABC.FF", "", 0, false},
		{"ABC.0f", "", 0, false},
		{"ABC.", "", 0, false},
		{"ABC", "", 0, false},
		{".1", "", 0, false},
		{"ABC.1 ", "", 0, false},
		{"ABC.-1", "", 0, false},
		{"", "", 0, false},
		{"17", "", 0, false},
	} {
		instance, seq, ok := frame.ParseMid([]byte(tc.value))
		if string(instance) != tc.instance || seq != tc.seq || ok != tc.ok {
			t.Errorf("ParseMid(%q) = %q, %d, %v, want %q, %d, %v", tc.value, instance, seq, ok, tc.instance, tc.seq, tc.ok)
		}
		if ok {
			if again := string(frame.AppendMid(nil, tc.instance, tc.seq)); again != tc.value {
				t.Errorf("AppendMid = %q, want %q", again, tc.value)
			}
		}
	}
}
