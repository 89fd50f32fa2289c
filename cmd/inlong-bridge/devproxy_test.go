package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/frame"
)

const waitLimit = 30 * time.Second

// startDevproxy runs devproxy in this process until the test ends, and returns the addresses it printed.
func startDevproxy(t *testing.T, args ...string) (out *lines, addrs []string, stop func() int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	stdout, stderr := &lines{}, &lines{}
	done := make(chan int, 1)
	go func() { done <- run(ctx, ctx, append([]string{"devproxy"}, args...), stdout, stderr) }()
	stop = func() int { cancel(); code := <-done; done <- code; return code }
	t.Cleanup(func() { stop() })
	report := stdout
	if slices.Contains(args, "-") {
		report = stderr
	}
	text := report.waitFor(t, func(s string) bool {
		return strings.Contains(s, "manager  http://") || strings.Contains(stderr.String(), "inlong-bridge: ")
	})
	for _, m := range regexp.MustCompile(`proxy +(\S+)`).FindAllStringSubmatch(text, -1) {
		addrs = append(addrs, m[1])
	}
	return stdout, addrs, stop
}

// send sends one pack and returns the ack.
func send(t *testing.T, addr, group, stream string, records ...[]byte) frame.Ack {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(waitLimit)); err != nil {
		t.Fatal(err)
	}
	var items []byte
	for _, r := range records {
		items = frame.AppendItem(items, r)
	}
	text, err := frame.AppendPack(nil, &frame.Pack{
		Ext: frame.ExtStringIDs, DataTime: 1760000000, Count: uint16(len(records)), Uniq: 7,
		Attr: []byte("groupId=" + group + "&streamId=" + stream + "&mid=m.1"),
	}, items, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(text); err != nil {
		t.Fatal(err)
	}
	reply, err := frame.NewReader(bufio.NewReader(conn), 1<<20).Next()
	if err != nil {
		t.Fatal(err)
	}
	ack, err := frame.DecodeAck(reply)
	if err != nil {
		t.Fatal(err)
	}
	return ack
}

// outLine is what a reader of --out sees.
type outLine struct {
	Time          time.Time
	Group, Stream string
	DT            int64
	Cnt           int
	Attrs         map[string]string
	Records       []map[string]string
}

func decodeLine(t *testing.T, text string) outLine {
	t.Helper()
	var l outLine
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	return l
}

func TestDevproxyWritesPacksThatReachTheQueue(t *testing.T) {
	out, addrs, stop := startDevproxy(t, "--listen", "127.0.0.1:0", "--manager", "127.0.0.1:0", "--queue-delay", "1ms", "--out", "-")
	binary := []byte{0xff, 0, 1}
	if ack := send(t, addrs[0], "g", "s", []byte("<héllo>\n"), binary, nil); ack.Uniq != 7 || ack.Code != 0 {
		t.Fatalf("ack = %+v", ack)
	}
	text := out.waitFor(t, func(s string) bool { return strings.HasSuffix(s, "\n") })
	l := decodeLine(t, text)
	if l.Group != "g" || l.Stream != "s" || l.DT != 1760000000000 || l.Cnt != 3 || l.Attrs["mid"] != "m.1" || l.Time.IsZero() {
		t.Errorf("line %+v", l)
	}
	if len(l.Records) != 3 || l.Records[0]["text"] != "<héllo>\n" || l.Records[1]["base64"] != base64.StdEncoding.EncodeToString(binary) {
		t.Errorf("records %v", l.Records)
	}
	if v, ok := l.Records[2]["text"]; !ok || v != "" {
		t.Errorf("the empty record is %v", l.Records[2])
	}
	if !strings.Contains(text, "<héllo>") {
		t.Errorf("characters are escaped without need: %s", text)
	}
	if code := stop(); code != exitClean {
		t.Errorf("exit %d, want 0", code)
	}
}

// What a proxy has acked and not put into its queue dies with it, so it must not stand in the output.
func TestDevproxyOutHoldsOnlyWhatSurvives(t *testing.T) {
	file := filepath.Join(t.TempDir(), "out")
	_, addrs, stop := startDevproxy(t, "--listen", "127.0.0.1:0", "--manager", "127.0.0.1:0", "--queue-delay", "1h", "--out", file)
	if ack := send(t, addrs[0], "g", "s", []byte("x")); ack.Code != 0 {
		t.Fatalf("ack = %+v", ack)
	}
	stop()
	if text, err := os.ReadFile(file); err != nil || len(text) != 0 {
		t.Errorf("the output has %q, error %v, want nothing", text, err)
	}
	_, addrs, stop = startDevproxy(t, "--listen", "127.0.0.1:0", "--manager", "127.0.0.1:0", "--queue-delay", "1h", "--out", file, "--out-at", "ack")
	send(t, addrs[0], "g", "s", []byte("x"))
	stop()
	text, err := os.ReadFile(file)
	if err != nil || decodeLine(t, string(text)).Records[0]["text"] != "x" {
		t.Errorf("--out-at ack: the output has %q, error %v", text, err)
	}
}

func TestDevproxyFaultSwitches(t *testing.T) {
	_, addrs, _ := startDevproxy(t, "--listen", "127.0.0.1:0", "--proxies", "2", "--manager", "127.0.0.1:0",
		"--error-code", "114:1", "--group-stream", "g.s")
	if len(addrs) != 2 || addrs[0] == addrs[1] {
		t.Fatalf("addresses %q, want two", addrs)
	}
	if ack := send(t, addrs[1], "g", "s", []byte("x")); ack.Code != 114 {
		t.Errorf("ack = %+v, want 114", ack)
	}
	_, addrs, _ = startDevproxy(t, "--listen", "127.0.0.1:0", "--manager", "127.0.0.1:0", "--group-stream", "g.s")
	if ack := send(t, addrs[0], "g", "other", []byte("x")); ack.Code != 115 {
		t.Errorf("ack = %+v, want 115", ack)
	}
}

func TestDevproxyKillsAndRestarts(t *testing.T) {
	out, addrs, _ := startDevproxy(t, "--listen", "127.0.0.1:0", "--manager", "127.0.0.1:0", "--kill-every", "50ms")
	out.waitFor(t, func(s string) bool { return strings.Contains(s, "started  "+addrs[0]) })
}

func TestPortInUseIsOneSentence(t *testing.T) {
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().String()
	for flag, want := range map[string]string{
		"--listen":  "starting proxy on " + taken + ": the port is in use; hint: choose another one with --listen, port 0 takes a free one\n",
		"--manager": "starting Manager on " + taken + ": the port is in use; hint: choose another one with --manager, port 0 takes a free one\n",
	} {
		args := []string{"devproxy", "--listen", "127.0.0.1:0", flag, taken}
		if code, _, stderr := invoke(t, args...); code != exitFailure || stderr != "inlong-bridge: "+want {
			t.Errorf("%s: exit %d, stderr %q, want 1, %q", flag, code, stderr, want)
		}
	}
}

func TestUnreachableQueueIsSaidAtTheStart(t *testing.T) {
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	code, _, stderr := invoke(t, "devproxy", "--queue", "kafka://"+nobody)
	if code != exitFailure || !strings.Contains(stderr, "connecting to the queue at "+nobody) || strings.Count(stderr, "\n") != 1 {
		t.Errorf("exit %d, stderr %q", code, stderr)
	}
}

func TestUnwritableOutIsSaidAtTheStart(t *testing.T) {
	code, _, stderr := invoke(t, "devproxy", "--out", filepath.Join(t.TempDir(), "no", "such", "dir"))
	if code != exitFailure || !strings.Contains(stderr, "hint: choose a file that can be written") {
		t.Errorf("exit %d, stderr %q", code, stderr)
	}
}

// A Put that stored only some of its messages is tried again with the rest: each is written once.
func TestOutFollowsAPartlyStoredPut(t *testing.T) {
	message := func(text string) dptest.QueueMessage {
		p := frame.Pack{Ext: frame.ExtStringIDs, Count: 1, Attr: []byte("groupId=g&streamId=s"), Body: frame.AppendItem(nil, []byte(text))}
		value, err := frame.AppendInLongMsg(nil, &p, 1)
		if err != nil {
			t.Fatal(err)
		}
		return dptest.QueueMessage{Group: "g", Stream: "s", Value: value}
	}
	var out lines
	next := dptest.QueueFunc(func(context.Context, []dptest.QueueMessage) error {
		return &dptest.PutError{Stored: []bool{true, false}, Err: errors.New("half")}
	})
	q := &outQueue{next: next, out: &packWriter{w: &out}, broken: func(err error) { t.Error(err) }}
	var partly *dptest.PutError
	if err := q.Put(t.Context(), []dptest.QueueMessage{message("one"), message("two")}); !errors.As(err, &partly) {
		t.Errorf("Put = %v, want the queue's own error", err)
	}
	if text := out.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, `"one"`) {
		t.Errorf("written: %q, want the first message only", text)
	}
}

// Text packs are written with their records, and a pack that cannot be opened does not end devproxy: a
// DataProxy acks it as well.
func TestOutHoldsTextPacksAndSaysWhatItCannotOpen(t *testing.T) {
	text := frame.TextPack{Type: frame.TypeMultiBody, Attr: []byte("groupId=g&streamId=s&dt=1760000000123&cnt=2")}
	records := frame.AppendItem(frame.AppendItem(nil, []byte("one")), []byte("two"))
	value, err := frame.AppendTextInLongMsg(nil, &text, records, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	broken := frame.Pack{Ext: frame.ExtStringIDs, Count: 3, Flags: frame.FlagSnappy, Attr: []byte("mid=x.1"), Body: []byte{9, 0xff}}
	brokenValue, err := frame.AppendInLongMsg(nil, &broken, 1)
	if err != nil {
		t.Fatal(err)
	}
	var out lines
	q := &outQueue{out: &packWriter{w: &out}, broken: func(err error) { t.Error(err) }}
	if err := q.Put(t.Context(), []dptest.QueueMessage{{Value: value}, {Value: brokenValue}, {Value: nil}}); err != nil {
		t.Fatal(err)
	}
	got := strings.Split(out.String(), "\n")
	for i, want := range []string{
		`"dt":1760000000123,"cnt":2,`, `"cnt":3,"attrs":{"mid":"x.1"`, `"records":[],"error":`,
	} {
		if !strings.Contains(got[i], want) {
			t.Errorf("line %d is %s, want %s", i, got[i], want)
		}
	}
	if !strings.Contains(got[0], `"records":[{"text":"one"},{"text":"two"}]}`) || !strings.Contains(got[1], `"error":"`) {
		t.Errorf("lines are %q", got)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestUnwritableOutEndsDevproxy(t *testing.T) {
	ended := make(chan error, 1)
	q := &outQueue{out: &packWriter{w: brokenWriter{}}, broken: func(err error) { ended <- err }}
	p := frame.Pack{Ext: frame.ExtStringIDs, Count: 1, Attr: []byte("groupId=g&streamId=s"), Body: frame.AppendItem(nil, []byte("x"))}
	value, err := frame.AppendInLongMsg(nil, &p, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Put(t.Context(), []dptest.QueueMessage{{Group: "g", Stream: "s", Value: value}}); err == nil {
		t.Error("Put says that it stored the message")
	}
	if err := <-ended; !strings.Contains(err.Error(), "disk full") {
		t.Errorf("ended with %v", err)
	}
}
