package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/frame"
	"inlong-bridge/sdk/manager"
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
		return strings.Contains(s, "manager  http") || strings.Contains(stderr.String(), "inlong-bridge: ")
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

// A pack of type 3 is one text of many lines; /stats counts the lines, and so does the output.
func TestOutShowsTheLinesOfType3(t *testing.T) {
	line := func(body, cnt string) outLine {
		text := frame.TextPack{Type: frame.TypeAckService, Attr: []byte("groupId=g&streamId=s&dt=1760000000123&cnt=" + cnt)}
		value, err := frame.AppendTextInLongMsg(nil, &text, []byte(body), 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		var out lines
		if err := (&packWriter{w: &out}).write("g", "s", value); err != nil {
			t.Fatal(err)
		}
		return decodeLine(t, out.String())
	}
	texts := func(l outLine) (all []string) {
		for _, r := range l.Records {
			all = append(all, r["text"])
		}
		return all
	}
	if l := line("one\ntwo\nthree", "3"); l.Cnt != 3 || !slices.Equal(texts(l), []string{"one", "two", "three"}) {
		t.Errorf("three lines are %d: %q", l.Cnt, texts(l))
	}
	if l := line("one\ntwo", "1"); l.Cnt != 1 || !slices.Equal(texts(l), []string{"one\ntwo"}) {
		t.Errorf("a record with a line feed is %d: %q", l.Cnt, texts(l))
	}
}

// 1. a topic cannot be written to  2. packs are acked all the same  3. nothing arrives: the developer has to be told why
func TestDevproxySaysWhenItsQueueRefusesPacks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said []string
		refuses := true
		next := dptest.QueueFunc(func(_ context.Context, m []dptest.QueueMessage) error {
			if !refuses {
				return nil
			}
			stored := make([]bool, len(m))
			for i := range m {
				stored[i] = m[i].Stream != "bad"
			}
			return &dptest.PutError{Stored: stored, Err: errors.New("no such topic")}
		})
		q := saying(next, func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) })
		put := func() {
			_ = q.Put(t.Context(), []dptest.QueueMessage{{Group: "g", Stream: "good"}, {Group: "g", Stream: "bad"}})
		}
		put()
		put()
		if len(said) != 1 || !strings.Contains(said[0], "refuses packs of g.bad (1 so far; they are tried again): ") || !strings.Contains(said[0], "no such topic") {
			t.Errorf("said %q, want the refusal once", said)
		}
		time.Sleep(sayAgainAfter)
		put()
		refuses = false
		put()
		put()
		if len(said) != 3 || !strings.Contains(said[1], "(3 so far") || said[2] != "queue    takes packs of g.bad again, after it refused 3" {
			t.Errorf("said %q", said)
		}
	})
}

// A queue whose clusters the proxies choose stays one.
func TestSayingKeepsTheClustersOfAQueue(t *testing.T) {
	q, ok := saying(dptest.NewMemoryQueue(2, 1), func(string, ...any) {}).(dptest.ClusterQueue)
	if !ok || q.Clusters() != 2 {
		t.Fatal("the clusters are gone")
	}
	if err := q.PutTo(t.Context(), 1, []dptest.QueueMessage{{Group: "g", Stream: "s", Value: []byte("x")}}); err != nil {
		t.Error(err)
	}
	if _, ok := saying(dptest.Discard, nil).(dptest.ClusterQueue); ok {
		t.Error("a queue without clusters has some")
	}
}

// managerOf is a client of the Manager whose URL devproxy printed.
func managerOf(t *testing.T, stdout *lines, cfg manager.Config) *manager.Client {
	t.Helper()
	url := regexp.MustCompile(`manager +(\S+)`).FindStringSubmatch(stdout.String())
	if url == nil {
		t.Fatal("no Manager was printed: ", stdout.String())
	}
	cfg.URLs, cfg.Timeout = []string{url[1]}, waitLimit
	m, err := manager.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestDevproxysManagerAnswersAsTheRealOne(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	out, addrs, _ := startDevproxy(t, "--listen", "127.0.0.1:0", "--manager", "127.0.0.1:0", "--manager-auth", "admin:inlong", "--manager-https", ca,
		"--group-stream", "shop.orders", "--group-stream", "logs", "--group-cluster", "logs=2")
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatal("the certificate cannot be read")
	}
	key := func() (string, error) { return "inlong", nil }
	m := managerOf(t, out, manager.Config{SecretID: "admin", SecretKey: key, TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}})
	for group, cluster := range map[string]int{"shop": 1, "logs": 2} {
		if n, err := m.NodeList(t.Context(), group); err != nil || !slices.Equal(n.Addresses, addrs) || n.ClusterID != cluster {
			t.Errorf("%s: %+v, %v, want %q of cluster %d", group, n, err, addrs, cluster)
		}
	}
	if _, err := m.NodeList(t.Context(), "unknown"); !errors.Is(err, manager.ErrRefused) {
		t.Errorf("an unknown group: %v, want the Manager's refusal", err)
	}
	if _, err := m.NodeList(t.Context(), "shop/orders"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("a group with a slash: %v, want 404", err)
	}
	stranger := managerOf(t, out, manager.Config{TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}})
	if _, err := stranger.NodeList(t.Context(), "shop"); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("without credentials: %v, want 403", err)
	}
	if _, err := managerOf(t, out, manager.Config{}).NodeList(t.Context(), "shop"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without the certificate's authority: %v", err)
	}
	if text := out.String(); !strings.Contains(text, "proxy    "+addrs[0]+" over TCP") || !strings.Contains(text, "manager  https://") {
		t.Errorf("printed: %s", text)
	}
}

func TestDevproxysManagerFlagsAreChecked(t *testing.T) {
	for want, args := range map[string][]string{
		"--manager-auth: want id:key": {"--manager-auth", "admin"},
		`--group-cluster "shop"`:      {"--group-cluster", "shop"},
		`--group-cluster "shop=0"`:    {"--group-cluster", "shop=0"},
	} {
		if code, _, stderr := invoke(t, append([]string{"devproxy"}, args...)...); code != exitUsage || !strings.Contains(stderr, want) || strings.Contains(stderr, "admin") {
			t.Errorf("%q: exit %d, %q, want %q", args, code, stderr, want)
		}
	}
	code, _, stderr := invoke(t, "devproxy", "--listen", "127.0.0.1:0", "--manager", "127.0.0.1:0", "--manager-https", filepath.Join(t.TempDir(), "no", "such"))
	if code != exitFailure || !strings.Contains(stderr, "hint: choose a file that can be written") {
		t.Errorf("exit %d, %q", code, stderr)
	}
}
