package sdk_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/frame"
)

// seenPack is what a proxy stored.
type seenPack struct {
	ext     uint16
	attr    string // without mid, rtms and the ids
	records []string
}

// setupSeen is setup with a proxy that keeps what it stored.
func setupSeen(t *testing.T, opts ...sdk.Option) (*env, func() []seenPack) {
	t.Helper()
	e := &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1, 1), log: newLedger(t)}
	var mu sync.Mutex
	var seen []seenPack
	e.addProxy("dp1:46801", dptest.WithOnPack(func(p dptest.PackInfo) {
		s := seenPack{ext: p.Pack.Ext}
		for token := range strings.SplitSeq(string(p.Pack.Attr), "&") {
			switch key, _, _ := strings.Cut(token, "="); key {
			case "groupId", "streamId", "rtms", "mid":
			default:
				s.attr = strings.TrimPrefix(s.attr+"&"+token, "&")
			}
		}
		items, err := p.Pack.ItemsAttrs(1 << 20)
		if err != nil || len(items) != int(p.Pack.Count) {
			t.Errorf("a pack of %d records holds %d, %v", p.Pack.Count, len(items), err)
		}
		for _, item := range items {
			s.records = append(s.records, fmt.Sprintf("%s[%s]", item.Data, item.Attr))
		}
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, s)
	}))
	e.sender = e.newSender(append([]sdk.Option{sdk.WithProxies("dp1:46801")}, opts...)...)
	return e, func() []seenPack {
		e.close(time.Second)
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
}

func packAttrs(t *testing.T, attrs ...sdk.Attr) *sdk.PackAttrs {
	t.Helper()
	a, err := sdk.NewPackAttrs(attrs...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAttributesOfRecordsArriveWithTheirRecords(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, seen := setupSeen(t)
		st := e.stream("s")
		b := &sdk.Batch{
			Stream: st, Time: time.Now(), Payloads: [][]byte{[]byte("a"), []byte("b"), []byte("c")},
			Attrs: [][]sdk.Attr{{{Key: "k", Value: "1"}, {Key: "l", Value: ""}}, nil, {{Key: "k", Value: "3"}}},
		}
		if n, err := e.sender.TrySendBatch(b); n != 3 || err != nil {
			t.Fatalf("TrySendBatch = %d, %v", n, err)
		}
		m := sdk.Message{Stream: st, Time: b.Time, Payload: []byte("d"), Attrs: []sdk.Attr{{Key: "k", Value: "4"}}}
		if err := e.sender.SendAsync(t.Context(), m, nil); err != nil {
			t.Fatal(err)
		}
		if err := e.sender.SendAsync(t.Context(), sdk.Message{Stream: st, Time: b.Time, Payload: []byte("plain")}, nil); err != nil {
			t.Fatal(err)
		}
		got := seen()
		want := map[string]uint16{
			"a[k=1&l=] b[_=] c[k=3] d[k=4]": frame.ExtStringIDs | frame.ExtRecordAttrs,
			"plain[]":                       frame.ExtStringIDs, // records with and without never share a pack
		}
		have := make(map[string]uint16)
		for _, p := range got {
			have[strings.Join(p.records, " ")] = p.ext
		}
		if !maps.Equal(have, want) {
			t.Errorf("stored %v, want %v", have, want)
		}
	})
}

func TestEmptyRecordsCannotHaveAttributes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, seen := setupSeen(t)
		st := e.stream("s")
		one := []sdk.Attr{{Key: "k", Value: "1"}}
		m := sdk.Message{Stream: st, Time: time.Now(), Attrs: one}
		if err := e.sender.SendAsync(t.Context(), m, nil); !errors.Is(err, sdk.ErrEmptyRecord) {
			t.Errorf("SendAsync: %v, want ErrEmptyRecord", err)
		}
		b := &sdk.Batch{Stream: st, Time: time.Now(), Payloads: [][]byte{[]byte("a"), nil, []byte("c")}, Attrs: [][]sdk.Attr{one, nil, one}}
		if n, err := e.sender.SendBatch(t.Context(), b); n != 1 || !errors.Is(err, sdk.ErrEmptyRecord) || !strings.Contains(err.Error(), "record 1") {
			t.Errorf("SendBatch = %d, %v, want 1 and ErrEmptyRecord for record 1", n, err)
		}
		b.Attrs = b.Attrs[:2]
		if n, err := e.sender.TrySendBatch(b); n != 0 || err == nil {
			t.Errorf("TrySendBatch with attributes of fewer records = %d, %v", n, err)
		}
		if got := seen(); len(got) != 1 || len(got[0].records) != 1 {
			t.Errorf("stored %v, want the one good record", got)
		}
	})
}

func TestRecordsWithAttributesKeepTheLimits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, seen := setupSeen(t, sdk.WithMaxFrame(8<<10), sdk.WithPack(4<<10, 100, 20*time.Millisecond), sdk.WithBudget(64<<10, 16<<10))
		st := e.stream("s")
		attrs := []sdk.Attr{{Key: "k", Value: strings.Repeat("v", 1000)}}
		big := sdk.Message{Stream: st, Time: time.Now(), Payload: make([]byte, 7500), Attrs: attrs}
		err := e.sender.SendAsync(t.Context(), big, nil)
		if e, ok := errors.AsType[*sdk.TooLargeError](err); !ok || e.Size != 7500+1002+4 || e.Limit < 7500 || e.Limit > 8<<10 {
			t.Errorf("SendAsync: %v, want a TooLargeError with both lengths", err)
		}
		// The proxy closes the connection on a frame above its limit, the default here; the checks are
		// that the packs hold no more than 4 KiB and that the budget comes back.
		b := &sdk.Batch{Stream: st, Time: time.Now(), Token: nobody{}}
		for range 100 {
			b.Payloads = append(b.Payloads, make([]byte, 500))
			b.Attrs = append(b.Attrs, attrs)
		}
		if n, err := e.sender.SendBatch(t.Context(), b); n != 100 || err != nil {
			t.Fatalf("SendBatch = %d, %v", n, err)
		}
		records := 0
		for _, p := range seen() {
			if records += len(p.records); len(p.records) > 2 {
				t.Errorf("%d records of 1510 bytes in a pack of 4 KiB", len(p.records))
			}
		}
		if records != 100 {
			t.Errorf("%d records stored, want 100", records)
		}
		if used := e.sender.Status().UsedBytes; used != 0 {
			t.Errorf("%d bytes of the budget are still taken", used)
		}
	})
}

func TestAttributesOfPacks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, seen := setupSeen(t, sdk.WithPackAttrs(packAttrs(t, sdk.Attr{Key: "of", Value: "sender"})))
		at := time.Now()
		send := func(st *sdk.Stream, text string, own *sdk.PackAttrs) {
			m := sdk.Message{Stream: st, Time: at, Payload: []byte(text), PackAttrs: own}
			if err := e.sender.SendAsync(t.Context(), m, nil); err != nil {
				t.Fatal(err)
			}
		}
		st := e.stream("s")
		own := packAttrs(t, sdk.AuditVersion(7), sdk.Attr{Key: "of", Value: "message"})
		send(st, "1", nil)
		send(st, "2", own)
		send(st, "3", nil)
		send(st, "4", packAttrs(t, sdk.AuditVersion(7), sdk.Attr{Key: "of", Value: "message"}))
		other := e.stream("t")
		other.SetPackAttrs(packAttrs(t, sdk.AuditVersion(9)))
		send(other, "5", nil)
		b := &sdk.Batch{Stream: other, Time: at, Payloads: [][]byte{[]byte("6")}, PackAttrs: own}
		if n, err := e.sender.TrySendBatch(b); n != 1 || err != nil {
			t.Fatalf("TrySendBatch = %d, %v", n, err)
		}
		got := make(map[string]string)
		for _, p := range seen() {
			got[strings.Join(p.records, "")] = p.attr
		}
		want := map[string]string{
			"1[]3[]": "of=sender", "2[]4[]": "auditVersion=7&of=message", "5[]": "auditVersion=9", "6[]": "auditVersion=7&of=message",
		}
		if !maps.Equal(got, want) {
			t.Errorf("stored %v, want %v", got, want)
		}
	})
}

func TestAttributesAreChecked(t *testing.T) {
	for _, tt := range []struct {
		name  string
		attrs []sdk.Attr
		ok    bool
	}{
		{"plain", []sdk.Attr{{"a", "1"}, {"b", ""}}, true},
		{"audit version", []sdk.Attr{sdk.AuditVersion(-1)}, true},
		{"audit version that is no number", []sdk.Attr{{"auditVersion", "one"}}, false},
		{"no key", []sdk.Attr{{"", "1"}}, false},
		{"separator in key", []sdk.Attr{{"a&b", "1"}}, false},
		{"separator in value", []sdk.Attr{{"a", "b=c"}}, false},
		{"not ASCII", []sdk.Attr{{"a", "ü"}}, false},
		{"line break", []sdk.Attr{{"a", "b\nc"}}, false},
		{"space at the end", []sdk.Attr{{"a", "b "}}, false},
		{"twice", []sdk.Attr{{"a", "1"}, {"a", "2"}}, false},
		{"too long", []sdk.Attr{{"a", strings.Repeat("x", 800)}}, false},
	} {
		if _, err := sdk.NewPackAttrs(tt.attrs...); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	for _, key := range []string{
		"mid", "bg", "groupId", "streamId", "rtms", "rt", "dt", "cnt", "cp", "errCode", "errMsg", "dpIp", "node1ip", "node2ip",
		"rtime1", "rtime2", "isAck", "proxySend", "syncSend", "partitionKey", "mt", "sid", "wid", "uniq",
	} {
		_, err := sdk.NewPackAttrs(sdk.Attr{Key: key, Value: "1"})
		if e, ok := errors.AsType[*sdk.AttributeError](err); !ok || e.Key != key {
			t.Errorf("%s: %v, want an AttributeError", key, err)
		}
	}
}

func TestAttributeOfRecordMayNotRepeatOneOfItsPack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, seen := setupSeen(t)
		m := sdk.Message{
			Stream: e.stream("s"), Time: time.Now(), Payload: []byte("x"),
			Attrs: []sdk.Attr{{Key: "k", Value: "1"}}, PackAttrs: packAttrs(t, sdk.Attr{Key: "k", Value: "2"}),
		}
		if _, ok := errors.AsType[*sdk.AttributeError](e.sender.SendAsync(t.Context(), m, nil)); !ok {
			t.Error("an attribute of the record that its pack has too was taken")
		}
		if got := seen(); len(got) != 0 {
			t.Errorf("stored %v", got)
		}
	})
}

// The attributes that the C++ SDK gives each record with extend_field 0x1 can be given here, and arrive.
func TestAttributesOfTheCppSDKArrive(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, seen := setupSeen(t)
		at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.FixedZone("CST", 8*3600))
		m := sdk.Message{Stream: e.stream("s"), Time: at, Payload: []byte("x"), Attrs: sdk.ReportAttrs(at, "10.0.0.7")}
		if err := e.sender.SendAsync(t.Context(), m, nil); err != nil {
			t.Fatal(err)
		}
		got := seen()
		if len(got) != 1 || got[0].ext&1 == 0 || len(got[0].records) != 1 || got[0].records[0] != "x[__addcol1__reptime=20260304050607&__addcol2__ip=10.0.0.7]" {
			t.Errorf("arrived: %+v", got)
		}
	})
}
