package dptest_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/frame"
)

const goldenDir = "../../testdata/frames"

// golden is what another program sent and what the real DataProxy made of it.
type golden struct {
	name             string
	wire, ack, value []byte // ack and value are nil when none came
}

func readGolden(t *testing.T, pattern string) []golden {
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
		g := golden{name: strings.TrimSuffix(filepath.Base(file), ".txt")}
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
			to := map[string]*[]byte{"wire_hex": &g.wire, "ack_hex": &g.ack, "kafka_value_hex": &g.value}[key]
			if to != nil && !strings.HasPrefix(value, "(") {
				*to = unhex(t, value)
			}
		}
		all = append(all, g)
	}
	return all
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatalf("hex %.40q: %v", s, err)
	}
	return b
}

// client speaks bytes to a proxy.
type client struct {
	t *testing.T
	net.Conn
}

func dial(t *testing.T, n *dptest.Network, p *dptest.Proxy) *client {
	t.Helper()
	conn, err := n.DialContext(t.Context(), "tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &client{t, conn}
}

func (c *client) send(frames ...[]byte) {
	c.t.Helper()
	if _, err := c.Write(slices.Concat(frames...)); err != nil {
		c.t.Fatalf("writing: %v", err)
	}
}

// next reads one frame; the error is that of the connection.
func (c *client) next() ([]byte, error) {
	_ = c.SetReadDeadline(time.Now().Add(time.Hour))
	head := make([]byte, 4)
	if _, err := io.ReadFull(c.Conn, head); err != nil {
		return nil, err
	}
	b := make([]byte, 4+binary.BigEndian.Uint32(head))
	copy(b, head)
	_, err := io.ReadFull(c.Conn, b[4:])
	return b, err
}

func (c *client) ack() frame.Ack {
	c.t.Helper()
	b, err := c.next()
	if err != nil {
		c.t.Fatalf("reading an ack: %v", err)
	}
	a, err := frame.DecodeAck(b)
	if err != nil {
		c.t.Fatalf("decoding the ack %x: %v", b, err)
	}
	return a
}

// silent fails the test if anything comes within d, the end of the connection included.
func (c *client) silent(d time.Duration) {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(d))
	var b [64]byte
	if n, err := c.Read(b[:]); n > 0 || !isTimeout(err) {
		c.t.Fatalf("within %v came %x, %v; want nothing", d, b[:n], err)
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// ended fails the test unless the connection ends without another byte.
func (c *client) ended() {
	c.t.Helper()
	if b, err := c.next(); err == nil || isTimeout(err) {
		c.t.Fatalf("got %x, %v; want the end of the connection", b, err)
	}
}

func TestProxyAnswersAndStoresTheGoldenFramesAsTheRealServer(t *testing.T) {
	all := readGolden(t, "*.txt")
	if len(all) != 60 {
		t.Fatalf("%d golden frames, want 60", len(all))
	}
	for _, g := range all {
		t.Run(g.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				isText := g.wire[4] <= frame.TypeMultiBodyAttr
				if isText { // the real server wrote down when it was
					time.Sleep(time.Until(arrival(t, g.value)))
				}
				n := new(dptest.Network)
				p := dptest.Start(t, dptest.WithNetwork(n), dptest.WithStreams("g1.s1"), dptest.WithQueueDelay(0))
				c := dial(t, n, p)
				c.send(g.wire)
				if g.ack == nil {
					c.silent(time.Minute)
				} else {
					got, err := c.next()
					if err != nil {
						t.Fatal(err)
					}
					if got[4] == frame.TypeBinHeartbeat { // its clock is not ours
						copy(got[5:9], g.ack[5:9])
					}
					if !bytes.Equal(got, g.ack) {
						t.Errorf("ack is\n%x, the real server's\n%x", got, g.ack)
					}
				}
				synctest.Wait()
				all := p.MemoryQueue().All()
				if g.value == nil {
					if len(all) != 0 {
						t.Fatalf("%d messages in the queue, the real server put none", len(all))
					}
					return
				}
				if len(all) != 1 {
					t.Fatalf("%d messages in the queue, want 1", len(all))
				}
				if isText { // and when it wrapped the pack, a little later
					copy(all[0].Value[2:10], g.value[2:10])
				}
				if !bytes.Equal(all[0].Value, g.value) {
					same(t, all[0].Value, g.value)
				}
			})
		})
	}
}

// arrival is the time of arrival in the attributes of a text pack in the queue.
func arrival(t *testing.T, value []byte) time.Time {
	t.Helper()
	attr, err := frame.InLongMsgAttr(value)
	if err != nil {
		t.Fatal(err)
	}
	rt, _ := frame.Attribute(attr, "rt")
	millis, err := strconv.ParseInt(string(rt), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.UnixMilli(millis)
}

// same compares two InLongMsgs that differ in how snappy cut their bodies.
func same(t *testing.T, got, want []byte) {
	t.Helper()
	mine, err := frame.OpenInLongMsg(got, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := frame.OpenInLongMsg(want, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(mine.Records, theirs.Records, bytes.Equal) {
		t.Errorf("records are %q, the real server's %q", mine.Records, theirs.Records)
	}
	if !bytes.Equal(mine.Attr, theirs.Attr) || mine.Version != theirs.Version {
		t.Errorf("version %d with attributes %q, the real server's %d with %q", mine.Version, mine.Attr, theirs.Version, theirs.Attr)
	}
	if mine.Version != 4 {
		if !bytes.Equal(got[:10], want[:10]) {
			t.Errorf("the message begins with %x, the real server's with %x", got[:10], want[:10])
		}
		return
	}
	g, err := frame.DecodeInLongMsg(got)
	if err != nil {
		t.Fatal(err)
	}
	w, err := frame.DecodeInLongMsg(want)
	if err != nil {
		t.Fatal(err)
	}
	if g.Count != w.Count || g.Uniq != w.Uniq || g.DataTime != w.DataTime || g.Ext != w.Ext || g.Flags != w.Flags {
		t.Errorf("header is %+v, the real server's %+v", g, w)
	}
}

func TestProxyAnswersTheWorkedFrames(t *testing.T) {
	worked := map[string][]byte{}
	text, err := os.ReadFile(filepath.Join(goldenDir, "worked-frames.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		name, b, ok := strings.Cut(strings.TrimSpace(line), "  00 ")
		if !ok {
			t.Fatalf("cannot read %q", line)
		}
		words := strings.Fields(name)
		worked[strings.Join(words[:len(words)-1], " ")] = unhex(t, "00"+strings.ReplaceAll(b, " ", ""))
	}
	synctest.Test(t, func(t *testing.T) {
		n := new(dptest.Network)
		p := dptest.Start(t, dptest.WithNetwork(n), dptest.WithStreams("g1.s1"))
		c := dial(t, n, p)
		for _, row := range []struct{ request, reply string }{
			{"bin7 single", "bin7 single ack"},
			{"bin7 pack3 snappy", "bin7 pack3 ack"},
			{"text5", "text5 ack"},
			{"hb1", "hb1"},
			{"bin7 unknown group", "bin7 unknown group ack"},
		} {
			c.send(worked[row.request])
			got, err := c.next()
			if err != nil {
				t.Fatalf("%s: %v", row.request, err)
			}
			if want := worked[row.reply]; len(want) == 0 || !bytes.Equal(got, want) {
				t.Errorf("%s is answered with\n%x, want\n%x", row.request, got, want)
			}
		}
		c.send(worked["hb8"])
		got, err := c.next()
		if err != nil {
			t.Fatal(err)
		}
		h, err := frame.DecodeBinHeartbeat(got)
		if err != nil || h.Time != uint32(time.Now().Unix()) || h.Version != 1 || !bytes.Equal(h.Body, []byte{0xff, 0xff}) {
			t.Errorf("hb8 is answered with %+v, %v", h, err)
		}
	})
}

func dialTCP(t *testing.T, addr string) *client {
	t.Helper()
	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &client{t, conn}
}
