package sdk_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/finality"
	"inlong-bridge/sdk/frame"
)

// The hazards of other senders that no other test here is about; docs/sender-hazards.md names the test
// of each.

// setupFake is setup with a proxy of which only the answers to packs exist, as answer writes them;
// heartbeats are answered. nil closes the connection.
func setupFake(t *testing.T, answer func(p *frame.Pack) []byte, opts ...sdk.Option) *env {
	t.Helper()
	return setupFakeFrames(t, func(f []byte) []byte {
		p, err := frame.DecodePack(f)
		if err != nil {
			t.Errorf("a frame that cannot be read: %v", err)
		}
		return answer(&p)
	}, opts...)
}

// setupFakeFrames is setupFake for packs of any type; each frame is there during its call alone.
func setupFakeFrames(t *testing.T, answer func(f []byte) []byte, opts ...sdk.Option) *env {
	t.Helper()
	e := &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1, 1), log: newLedger(t)}
	l, err := e.net.Listen("tcp", "fake:1")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	serve := func(c net.Conn) {
		defer c.Close()
		for r := frame.NewReader(c, 1<<20); ; {
			f, err := r.Next()
			if err != nil {
				return
			}
			out := []byte{0, 0, 0, 1, 1}
			if typ, _, _ := frame.Type(f); typ != frame.TypeHeartbeat {
				if out = answer(f); out == nil {
					return
				}
			}
			if _, err := c.Write(out); err != nil {
				return
			}
		}
	}
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		e.net.Reset("")
		wg.Wait()
	})
	e.sender = e.newSender(append([]sdk.Option{
		sdk.WithProxies("fake:1"), sdk.WithRetry(10*time.Millisecond, 50*time.Millisecond),
		config(finality.Ack, func(c *finality.Config) { c.AckTimeout = 2 * time.Second }),
	}, opts...)...)
	return e
}

func ackOf(p *frame.Pack) []byte { return frame.AppendAck(nil, p.Uniq, "10.0.0.1", 0, "", p.Attr) }

func TestOnlyAWholeAckOfThePackIsAnAck(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(p *frame.Pack) []byte
	}{
		{"another uniq", func(p *frame.Pack) []byte { return frame.AppendAck(nil, p.Uniq+100, "10.0.0.1", 0, "", p.Attr) }},
		{"an error code", func(p *frame.Pack) []byte {
			return frame.AppendAck(nil, p.Uniq, "10.0.0.1", 114, "full", p.Attr)
		}},
		{"an error code that is no number", func(p *frame.Pack) []byte {
			return frame.AppendAck(nil, p.Uniq, "10.0.0.1&errCode=none", 0, "", p.Attr)
		}},
		{"a text answer", func(*frame.Pack) []byte { return []byte{0, 0, 0, 9, 3, 0, 0, 0, 0, 0, 0, 0, 0} }},
		{"a type that does not exist", func(*frame.Pack) []byte { return []byte{0, 0, 0, 2, 31, 0} }},
		{"no magic", func(p *frame.Pack) []byte {
			a := ackOf(p)
			a[len(a)-1]++
			return a
		}},
		{"a length of nothing", func(*frame.Pack) []byte { return []byte{0, 0, 0, 0} }},
		{"a negative length", func(*frame.Pack) []byte { return []byte{0xff, 0xff, 0xff, 0xff, 7} }},
		{"a length of a gigabyte", func(*frame.Pack) []byte { return []byte{0x40, 0, 0, 0, 7, 0, 0, 0, 1} }},
		{"a pack", func(p *frame.Pack) []byte {
			f, _ := p.AppendTo(nil)
			return f
		}},
		{"HTTP", func(*frame.Pack) []byte { return []byte("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") }},
		{"a heartbeat's answer", func(*frame.Pack) []byte { return []byte{0, 0, 0, 1, 1} }},
		{"a binary heartbeat's answer that is cut short", func(*frame.Pack) []byte { return []byte{0, 0, 0, 2, 8, 0} }},
		{"half an ack, then the end", func(*frame.Pack) []byte { return nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e := setupFake(t, tt.answer)
				e.send(e.stream("s"), 3)
				settle(20 * time.Second)
				e.log.want(sdk.Final, 0)
				e.log.want(sdk.Acked, 0)
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				if err := e.sender.Close(ctx); err == nil || !strings.Contains(err.Error(), "3 packs (3 records)") {
					t.Errorf("Close: %v, want 3 packs left", err)
				}
			})
		})
	}
}

func TestErrorsBeforeTheAttributesAreMatchedByTheirUniq(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setupFake(t, func(p *frame.Pack) []byte { return frame.AppendAck(nil, p.Uniq, "10.0.0.1", 105, "", nil) })
		e.send(e.stream("s"), 2)
		settle(100 * time.Millisecond) // and not the time-out
		e.log.want(sdk.Refused, 2)
		e.close(time.Second)
	})
}

func TestLargeAnswersAreRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		long := strings.Repeat("k=v&", 15000)
		e := setupFake(t, func(p *frame.Pack) []byte {
			if p.Uniq%2 == 0 {
				return frame.AppendAck(nil, p.Uniq, "10.0.0.1", 109, "attributes "+long, p.Attr)
			}
			return frame.AppendAck(nil, p.Uniq, "10.0.0.1", 0, "", []byte(long))
		})
		e.send(e.stream("s"), 4)
		settle(100 * time.Millisecond)
		e.log.want(sdk.Final, 2)
		e.log.want(sdk.Refused, 2)
		if n := e.sender.Status().Endpoints[0].ConnectionsEnded; n != 0 {
			t.Errorf("%d connections ended over large answers", n)
		}
		e.close(time.Second)
	})
}

func TestIDsThatReadTheSameTogetherShareNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1)
		e.batch(e.streamOfLocked("a", "bc"), 5)
		e.batch(e.streamOfLocked("ab", "c"), 7)
		e.batch(e.streamOfLocked("abc", "."), 1)
		e.close(time.Second)
		settle(10 * time.Second)
		for _, tt := range []struct {
			group, stream string
			want          int
		}{{"a", "bc", 5}, {"ab", "c", 7}, {"abc", ".", 1}} {
			records, err := e.queue.Records(tt.group, tt.stream)
			if err != nil || len(records) != tt.want {
				t.Errorf("%s and %s got %d records, %v, want %d", tt.group, tt.stream, len(records), err, tt.want)
			}
		}
	})
}

func TestRecordsOfAStreamKeepTheirOrderWhenThereIsNoRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var order []uint32
		e := setupFake(t, func(p *frame.Pack) []byte {
			items, err := p.Items(1 << 20)
			if err != nil {
				t.Errorf("reading a pack: %v", err)
			}
			for _, i := range items {
				order = append(order, binary.BigEndian.Uint32(i))
			}
			time.Sleep(time.Millisecond) // so that records come faster than answers, whatever the machine does
			return ackOf(p)
		}, sdk.WithMaxFrame(8<<10), sdk.WithPack(4<<10, 100, 5*time.Millisecond), sdk.WithBudget(32<<10, 8<<10), sdk.WithCompression(sdk.None))
		st := e.stream("s")
		full := 0
		for i := range 3000 {
			payload := append(binary.BigEndian.AppendUint32(nil, uint32(i)), make([]byte, 96)...)
			m := sdk.Message{Stream: st, Time: time.Unix(1e9, 0), Payload: payload}
			if err := e.sender.TrySend(m, nil); err == nil {
				continue
			}
			full++
			if err := e.sender.SendAsync(t.Context(), m, nil); err != nil {
				t.Fatal(err)
			}
		}
		e.close(time.Second)
		if full == 0 {
			t.Error("there was always room; the story tells nothing")
		}
		if len(order) != 3000 || !slices.IsSorted(order) {
			t.Errorf("%d records arrived, in order: %v", len(order), slices.IsSorted(order))
		}
	})
}

func TestEventTimeIsTheMessagesOwn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		times := make(map[uint32]bool)
		e := setupFake(t, func(p *frame.Pack) []byte {
			times[p.DataTime] = true
			return ackOf(p)
		})
		for _, sec := range []int64{1, 1_000_000_000, 2_000_000_000} {
			if err := e.sender.SendAsync(t.Context(), sdk.Message{Stream: e.stream("s"), Time: time.Unix(sec, 999e6), Payload: []byte("x")}, nil); err != nil {
				t.Fatal(err)
			}
		}
		settle(time.Minute) // sent now, not then
		e.close(time.Second)
		if len(times) != 3 || !times[1] || !times[1_000_000_000] || !times[2_000_000_000] {
			t.Errorf("event times %v", times)
		}
	})
}

// A time that nobody gave is no time in 1970, nor the year 1.
func TestMessageWithoutTimeHasTheTimeOfItsHandingOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var times []int64
		e := setupFake(t, func(p *frame.Pack) []byte {
			times = append(times, int64(p.DataTime))
			return ackOf(p)
		})
		settle(90 * time.Second)
		want := []int64{time.Now().Unix()}
		if err := e.sender.SendAsync(t.Context(), sdk.Message{Stream: e.stream("s"), Payload: []byte("x")}, nil); err != nil {
			t.Fatal(err)
		}
		settle(2 * time.Minute)
		want = append(want, time.Now().Unix())
		if n, err := e.sender.TrySendBatch(&sdk.Batch{Stream: e.stream("s"), Payloads: [][]byte{[]byte("y")}}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		settle(time.Minute)
		e.close(time.Second)
		if !slices.Equal(times, want) {
			t.Errorf("event times %v, want %v", times, want)
		}
	})
}

func TestPackNeverHoldsMoreRecordsThanReadersCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var counts []int
		e := setupFake(t, func(p *frame.Pack) []byte {
			items, err := p.Items(1 << 20)
			if err != nil || len(items) != int(p.Count) {
				t.Errorf("%d records in a pack that says %d, %v", len(items), p.Count, err)
			}
			counts = append(counts, int(p.Count))
			return ackOf(p)
		})
		if n, err := e.sender.SendBatch(t.Context(), &sdk.Batch{Stream: e.stream("s"), Time: time.Unix(1e9, 0), Payloads: make([][]byte, 70000)}); n != 70000 || err != nil {
			t.Fatalf("SendBatch = %d, %v", n, err)
		}
		e.close(time.Second)
		total := 0
		for _, n := range counts {
			if total += n; n < 1 || n > 32767 {
				t.Errorf("%d records in a pack", n)
			}
		}
		if total != 70000 {
			t.Errorf("%d records in all, want 70000", total)
		}
	})
}

func TestLargestRecordFitsThoughItDoesNotCompress(t *testing.T) {
	for _, c := range []sdk.Compression{sdk.Auto, sdk.Snappy, sdk.None} {
		bubble(t, func(t *testing.T) {
			e := &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1, 1), log: newLedger(t)}
			p := e.addProxy("dp1:1", dptest.WithMaxFrame(64<<10))
			e.sender = e.newSender(sdk.WithProxies("dp1:1"), sdk.WithMaxFrame(64<<10), sdk.WithPack(64<<10, 100, 0), sdk.WithCompression(c))
			st := e.stream("s")
			random := make([]byte, 64<<10)
			source := rand.NewChaCha8([32]byte{1})
			_, _ = source.Read(random)
			m := sdk.Message{Stream: st, Time: time.Now(), Payload: random}
			err := e.sender.SendAsync(t.Context(), m, nil)
			large := err.(*sdk.TooLargeError) //nolint:errorlint // exactly this one
			m.Payload = random[:large.Limit]
			done := make(chan sdk.Result, 1)
			if err := e.sender.SendAsync(t.Context(), m, func(r sdk.Result) { done <- r }); err != nil {
				t.Fatalf("a record of exactly the limit, %d: %v", large.Limit, err)
			}
			settle(time.Second)
			if r := <-done; r.Outcome != sdk.Final || p.Stats().Poisoned != 0 {
				t.Errorf("compression %d: %v, %d frames too long", c, r, p.Stats().Poisoned)
			}
			e.close(time.Second)
			settle(10 * time.Second)
			if records, err := e.queue.Records("g", "s"); err != nil || len(records) != 1 || !bytes.Equal(records[0], m.Payload) {
				t.Errorf("compression %d: %d records, %v", c, len(records), err)
			}
		})
	}
}

func TestUniqInFlightIsNotGivenAwayAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1)
		e.proxies[0].AckDelay(5 * time.Second)
		st := e.stream("s")
		sdk.SetSeq(e.sender, 41)
		e.send(st, 3) // 42 to 44
		synctest.Wait()
		sdk.SetSeq(e.sender, 1<<32+40) // once around
		e.send(st, 5)                  // 41, and 45 on
		settle(10 * time.Second)
		e.log.want(sdk.Final, 8)
		if n := e.sender.Status().Endpoints[0].UnknownAcks; n != 0 {
			t.Errorf("%d acks found no pack", n)
		}
		if seq := sdk.Seq(e.sender); seq != 1<<32+48 {
			t.Errorf("the last pack is %d, want the three taken numbers left out", seq-1<<32)
		}
		e.close(time.Second)
	})
}

func TestDialIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1, 1), log: newLedger(t)}
		e.addProxy("dp1:1")
		e.net.Silence("dp1:1", true)
		e.sender = e.newSender(sdk.WithProxies("dp1:1"), sdk.WithDialTimeout(3*time.Second))
		e.send(e.stream("s"), 1)
		settle(2 * time.Second)
		if s := e.sender.Status().Endpoints[0]; s.LastError != "" {
			t.Errorf("gave up too soon: %s", s.LastError)
		}
		settle(2 * time.Second)
		if s := e.sender.Status().Endpoints[0]; !strings.Contains(s.LastError, "dialing dp1:1") || s.State != "connecting" {
			t.Errorf("endpoint %+v, want that dialling took too long", s)
		}
		e.net.Silence("dp1:1", false)
		e.close(time.Minute)
		e.log.want(sdk.Final, 1)
	})
}

func TestMessagesWithoutAStreamAreErrors(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1)
		other := setup(t, 0, sdk.WithProxies("elsewhere:1"))
		for _, st := range []*sdk.Stream{nil, other.stream("s")} {
			if err := e.sender.SendAsync(t.Context(), sdk.Message{Stream: st}, nil); err == nil {
				t.Errorf("SendAsync with stream %v: no error", st)
			}
			if n, err := e.sender.TrySendBatch(&sdk.Batch{Stream: st, Payloads: [][]byte{nil}}); n != 0 || err == nil {
				t.Errorf("TrySendBatch with stream %v = %d, %v", st, n, err)
			}
		}
		other.close(time.Second)
		e.close(time.Second)
	})
}

// A connection on which bytes were damaged takes nothing new, but it may not hold the place of the only one
// for ever, because of a pack that never becomes final.
func TestDamagedConnectionDoesNotWaitForEverForWhatItAcked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, _ := setupQueue(t, 1, noSlowStart)
		e.proxies[0].DropStream("g", "dropped", true)
		e.send(e.stream("dropped"), 20)
		settle(time.Second)
		e.proxies[0].Code(94, 1)
		e.send(e.stream("s"), 1)
		settle(time.Second)
		e.proxies[0].Code(94, 0)
		e.send(e.stream("s"), 5)
		settle(time.Minute)
		if got := len(e.arrived("s")); got < 5 {
			t.Errorf("%d records arrived a minute later", got)
		}
		e.log.forget()
		settle(5 * time.Minute)
		e.close(time.Minute)
	})
}

// The page names tests; each of them exists.
func TestPagesNameRealTests(t *testing.T) {
	page, err := os.ReadFile("../docs/sender-hazards.md")
	if err != nil {
		t.Fatal(err)
	}
	have := make(map[string]bool)
	for _, dir := range []string{".", "frame", "internal/choice", "internal/encode", "internal/fill", "internal/lists", "internal/losses", "internal/names", "manager"} {
		files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			source, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllSubmatch(source, -1) {
				have[string(m[1])] = true
			}
		}
	}
	for sdkName, rows := range map[string]int{"C++": 30, "Go": 15, "Java": 12} {
		_, section, _ := strings.Cut(string(page), "\n## "+sdkName+" SDK\n")
		section, _, _ = strings.Cut(section, "\n## ")
		if n := len(regexp.MustCompile(`(?m)^\| \d+ \|`).FindAllString(section, -1)); n != rows {
			t.Errorf("%d hazards of the %s SDK, want %d", n, sdkName, rows)
		}
	}
	for _, text := range []string{string(page), readPage(t)} {
		named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(text, -1)
		if len(named) < 30 {
			t.Errorf("the page names %d tests", len(named))
		}
		for _, m := range named {
			if !have[m[1]] {
				t.Errorf("the page names %s, which does not exist", m[1])
			}
		}
	}
}
