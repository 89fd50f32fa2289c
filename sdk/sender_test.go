package sdk_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/finality"
	"inlong-bridge/sdk/frame"
)

func TestDeliversEveryRecordUnchanged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 2)
		st := e.stream("s")
		odd := [][]byte{nil, {}, []byte("\n"), []byte("ends with\n"), {0, 255, 0xEE, 1}, bytes.Repeat([]byte("x"), 300000)}
		if n, err := e.sender.TrySendBatch(&sdk.Batch{Stream: st, Time: time.Now(), Payloads: odd}); n != len(odd) || err != nil {
			t.Fatalf("TrySendBatch = %d, %v, want %d, nil", n, err, len(odd))
		}
		for range 10 {
			e.batch(st, 100)
		}
		e.close(time.Second)
		e.log.want(sdk.Final, 1000)
		settle(10 * time.Second)
		got := e.arrived("s")
		for _, p := range odd {
			if got[string(p)] == 0 {
				t.Errorf("record %.20q did not arrive", p)
			}
		}
		if got[""] != 2 {
			t.Errorf("%d empty records arrived, want 2", got[""])
		}
		if len(got) != 1000+len(odd)-1 {
			t.Errorf("%d different records arrived, want %d", len(got), 1000+len(odd)-1)
		}
	})
}

func TestSendWaitsForTheVerdict(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1)
		e.proxies[0].AckDelay(300 * time.Millisecond)
		start := time.Now()
		if err := e.sender.Send(t.Context(), sdk.Message{Stream: e.stream("s"), Time: start, Payload: []byte("one")}); err != nil {
			t.Fatalf("Send: %v", err)
		}
		if took := time.Since(start); took < 300*time.Millisecond || took > time.Second {
			t.Errorf("Send returned after %v, want linger and ack delay", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		err := e.sender.Send(ctx, sdk.Message{Stream: e.stream("s"), Time: start, Payload: []byte("two")})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Send with a short context: %v, want the deadline", err)
		}
		e.close(time.Second)
	})
}

func TestManyMessagesShareAPackAndEachIsTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1)
		told := make(map[sdk.Outcome]int)
		for range 5000 {
			m := sdk.Message{Stream: e.stream("s"), Time: time.Now(), Payload: []byte("message")}
			if err := e.sender.SendAsync(t.Context(), m, func(r sdk.Result) { told[r.Outcome]++ }); err != nil {
				t.Fatalf("SendAsync: %v", err)
			}
		}
		e.close(time.Second)
		if told[sdk.Final] != 5000 || len(told) != 1 {
			t.Errorf("told %v, want 5000 times final", told)
		}
		if packs := e.proxies[0].Stats().Packs; packs > 2 {
			t.Errorf("%d packs, want 1 or 2", packs)
		}
	})
}

func TestPackNeverMixesMinutesAndKeepsTheLimits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1, 1), log: newLedger(t)}
		mids, uniqs := make(map[string]bool), make(map[uint32]bool)
		minutes := make(map[uint32]int)
		largest, most := 0, 0
		e.addProxy("dp1:46801", dptest.WithOnPack(func(p dptest.PackInfo) {
			mid, _ := frame.Attribute(p.Pack.Attr, frame.AttrMid)
			if mids[string(mid)] || uniqs[p.Pack.Uniq] {
				t.Errorf("mid %s or uniq %d was used twice", mid, p.Pack.Uniq)
			}
			mids[string(mid)], uniqs[p.Pack.Uniq] = true, true
			minutes[p.Pack.DataTime/60] += p.Records
			largest = max(largest, frame.MaxPackSize(len(p.Pack.Body), len(p.Pack.Attr)))
			most = max(most, p.Records)
			if p.Pack.Ext != frame.ExtStringIDs {
				t.Errorf("ext %#x, want %#x", p.Pack.Ext, frame.ExtStringIDs)
			}
		}))
		e.sender = e.newSender(sdk.WithProxies(e.addrs()...), sdk.WithMaxFrame(8<<10), sdk.WithPack(8<<10, 50, time.Second),
			sdk.WithCompression(sdk.None), sdk.WithInstance("i"))
		sdk.SetSeq(e.sender, 1<<32-20) // uniq wraps on the way
		base := time.Date(2026, 1, 1, 12, 0, 59, 0, time.UTC)
		for i := range 3000 {
			m := sdk.Message{Stream: e.stream("s"), Time: base.Add(time.Duration(i%3) * time.Second), Payload: bytes.Repeat([]byte{'x'}, i/1500*(i%5)*1000)}
			if err := e.sender.SendAsync(t.Context(), m, nil); err != nil {
				t.Fatal(err)
			}
		}
		e.close(10 * time.Second)
		minute := uint32(base.Unix() / 60)
		if minutes[minute] != 1000 || minutes[minute+1] != 2000 || len(minutes) != 2 {
			t.Errorf("records by minute %v, want 1000 and 2000", minutes)
		}
		if largest > 8<<10 || largest < 7<<10 {
			t.Errorf("largest frame %d bytes, want close to and not above %d", largest, 8<<10)
		}
		if most != 50 {
			t.Errorf("most records in a pack %d, want 50", most)
		}
	})
}

func TestRecordTooLargeIsAnErrorAndTheOthersGo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1, sdk.WithMaxFrame(64<<10), sdk.WithPack(64<<10, 100, time.Millisecond))
		st := e.stream("s")
		payloads := [][]byte{[]byte("a"), []byte("b"), make([]byte, 64<<10), []byte("c")}
		n, err := e.sender.TrySendBatch(e.log.batch(st, payloads))
		if n != 2 || !errors.Is(err, sdk.ErrTooLarge) {
			t.Errorf("TrySendBatch = %d, %v, want 2, ErrTooLarge", n, err)
		}
		n, err = e.sender.TrySendBatch(e.log.batch(st, payloads[2:]))
		if n != 0 || !errors.Is(err, sdk.ErrTooLarge) {
			t.Errorf("TrySendBatch = %d, %v, want 0, ErrTooLarge", n, err)
		}
		// The largest that fits does, incompressible as it may be.
		fits := 0
		for size := 64 << 10; fits == 0; size-- {
			n, _ := e.sender.TrySendBatch(e.log.batch(st, [][]byte{make([]byte, size)}))
			fits = size * n
		}
		if fits < 64<<10-200 {
			t.Errorf("the largest record that fits has %d bytes, want all but header and attributes of %d", fits, 64<<10)
		}
		e.close(time.Second)
		e.log.want(sdk.Final, 3)
		if p := e.proxies[0].Stats().Poisoned; p != 0 {
			t.Errorf("the proxy closed %d connections: %s", p, e.proxies[0].Stats().LastPoison)
		}
	})
}

func TestStreamHoldsAsMuchAsIsFree(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1, sdk.WithMaxFrame(4<<10), sdk.WithPack(1<<10, 100, time.Millisecond), sdk.WithBudget(40<<10, 8<<10), sdk.WithCompression(sdk.None))
		e.proxies[0].Freeze(true)
		fill := func(st *sdk.Stream, repair bool) (total int, err error) {
			payload := make([]byte, 252) // 256 with its length
			for {
				n, err := e.sender.TrySendBatch(&sdk.Batch{Stream: st, Time: time.Now(), Payloads: [][]byte{payload}, Repair: repair})
				if err != nil {
					return total, err
				}
				total += n * 256
			}
		}
		for _, tt := range []struct {
			stream string
			repair bool
			want   int
			err    error
		}{
			{"a", false, 16 << 10, sdk.ErrStreamFull},
			{"b", false, 8 << 10, sdk.ErrStreamFull},
			{"c", false, 4 << 10, sdk.ErrStreamFull},
			{"a", true, 8 << 10, sdk.ErrBufferFull},
		} {
			got, err := fill(e.stream(tt.stream), tt.repair)
			if got != tt.want || !errors.Is(err, tt.err) {
				t.Errorf("stream %s (repair %v) holds %d, %v, want %d, %v", tt.stream, tt.repair, got, err, tt.want, tt.err)
			}
		}
		select {
		case <-e.sender.Room():
			t.Error("room was announced before there was any")
		default:
		}
		e.proxies[0].Freeze(false)
		select {
		case <-e.sender.Room():
		case <-time.After(time.Minute):
			t.Error("no room was announced after the acks")
		}
		e.close(time.Minute)
		if used := e.sender.Status().UsedBytes; used != 0 {
			t.Errorf("%d bytes used after Close, want 0", used)
		}
	})
}

func TestSendersWaitForRoomAndNobodyIsForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1, sdk.WithMaxFrame(4<<10), sdk.WithPack(1<<10, 100, time.Millisecond), sdk.WithBudget(12<<10, 4<<10))
		e.proxies[0].AckDelay(10 * time.Millisecond)
		done := make(chan error)
		for i := range 8 {
			st := e.stream(string(rune('a' + i)))
			go func() {
				var err error
				for range 50 {
					_, err = e.sender.SendBatch(context.Background(), &sdk.Batch{Stream: st, Time: time.Now(), Payloads: [][]byte{make([]byte, 500), make([]byte, 500)}})
					if err != nil {
						break
					}
				}
				done <- err
			}()
		}
		for range 8 {
			if err := <-done; err != nil {
				t.Errorf("SendBatch: %v", err)
			}
		}
		e.close(time.Minute)
		if got := e.proxies[0].Stats().Records; got != 800 {
			t.Errorf("%d records arrived, want 800", got)
		}
	})
}

func TestCloseSaysWhatWasLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1)
		e.proxies[0].Freeze(true)
		st := e.stream("s")
		e.batch(st, 30)
		e.sender.Seal()
		e.batch(st, 1)
		var told []sdk.Result
		if err := e.sender.SendAsync(t.Context(), sdk.Message{Stream: e.stream("m"), Time: time.Now()}, func(r sdk.Result) { told = append(told, r) }); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		err := e.sender.Close(ctx)
		want := "closing sender: 3 packs (32 records) not final: context deadline exceeded"
		if err == nil || err.Error() != want || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close: %v, want %s", err, want)
		}
		if again := e.sender.Close(context.Background()); again == nil || again.Error() != want {
			t.Errorf("second Close: %v, want the same", again)
		}
		if len(told) != 1 || !errors.Is(told[0].Err, sdk.ErrClosed) {
			t.Errorf("callback got %v, want ErrClosed once", told)
		}
		for i, r := range e.log.told {
			if len(r) != 1 || !errors.Is(r[0].Err, sdk.ErrClosed) {
				t.Errorf("piece %d was told %v, want ErrClosed once", i, r)
			}
		}
		e.log.closed = true
		e.proxies[0].Freeze(false)
		settle(time.Minute)
		if n, err := e.sender.TrySendBatch(e.log.batch(st, [][]byte{nil})); n != 0 || !errors.Is(err, sdk.ErrClosed) {
			t.Errorf("TrySendBatch after Close = %d, %v, want 0, ErrClosed", n, err)
		}
		if _, err := e.sender.Stream("g", "fresh"); !errors.Is(err, sdk.ErrClosed) {
			t.Errorf("Stream after Close: %v, want ErrClosed", err)
		}
	})
}

func TestCloseWhileManySend(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 2)
		stop := make(chan struct{})
		for i := range 4 {
			st := e.stream(string(rune('a' + i)))
			go func() {
				defer func() { stop <- struct{}{} }()
				for {
					b := e.log.batch(st, [][]byte{e.log.fresh(), e.log.fresh()})
					if _, err := e.sender.SendBatch(context.Background(), b); err != nil {
						return
					}
					time.Sleep(time.Millisecond)
				}
			}()
		}
		settle(time.Second)
		e.close(time.Second)
		for range 4 {
			<-stop
		}
		e.log.want(sdk.Final, func() (n int) {
			for _, p := range e.log.pieces {
				n += len(p)
			}
			return n
		}())
	})
}

func TestPanickingCallbackHarmsOnlyItself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1)
		told := 0
		for i := range 10 {
			m := sdk.Message{Stream: e.stream("s"), Time: time.Now()}
			err := e.sender.SendAsync(t.Context(), m, func(sdk.Result) {
				if i == 4 {
					panic("user's own")
				}
				told++
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		e.close(time.Second)
		if told != 9 {
			t.Errorf("%d callbacks told, want 9", told)
		}
	})
}

func TestLingerZeroSealsAtTheEndOfTheCall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1, sdk.WithPack(256<<10, 100, 0))
		synctest.Wait()
		start := time.Now()
		e.batch(e.stream("s"), 10)
		synctest.Wait()
		e.log.want(sdk.Final, 10)
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v, want no time", took)
		}
		e.close(time.Second)
	})
}

func TestPackWaitsForTheNamesOfItsPieces(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1, sdk.WithPack(1000, 100, 20*time.Millisecond))
		st := e.stream("s")
		payloads := make([][]byte, 30) // three packs
		for i := range payloads {
			payloads[i] = bytes.Repeat([]byte{'x'}, 90)
		}
		b := e.log.batch(st, payloads)
		name := b.Packed
		b.Packed = func(from, to int) uint64 {
			time.Sleep(time.Second) // far beyond the linger
			if told := len(e.log.payloads(sdk.Acked)) + len(e.log.payloads(sdk.Final)); told > 0 {
				t.Errorf("%d records were reported before their pieces had names", told)
			}
			// Nothing of the sender is locked meanwhile.
			if n, err := e.sender.TrySendBatch(&sdk.Batch{Stream: st, Time: time.Now(), Payloads: payloads[:1]}); n != 1 || err != nil {
				t.Errorf("TrySendBatch within Packed = %d, %v", n, err)
			}
			return name(from, to)
		}
		if n, err := e.sender.TrySendBatch(b); n != len(payloads) || err != nil {
			t.Errorf("TrySendBatch = %d, %v", n, err)
		}
		e.close(time.Second)
		e.log.want(sdk.Final, 30)
	})
}

func TestTooManyOpenPacksSealTheOldest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1, sdk.WithPack(256<<10, 100, 10*time.Second), sdk.WithMaxOpenPacks(3))
		for i := range 10 {
			e.batch(e.stream(string(rune('a'+i))), 1)
		}
		synctest.Wait()
		e.log.want(sdk.Final, 7)
		if open := e.sender.Status().OpenPacks; open != 3 {
			t.Errorf("%d open packs, want 3", open)
		}
		e.close(time.Second)
	})
}

func TestOptionsAreCheckedTogether(t *testing.T) {
	_, err := sdk.New(t.Context(), sdk.WithProxies("nonsense", "a:1", "a:1"), sdk.WithConnections(0), sdk.WithPack(0, 40000, time.Hour),
		sdk.WithFinality(finality.DefaultConfig(finality.Queue)), sdk.WithInstance("a&b"), sdk.WithRetry(time.Second, time.Millisecond))
	if err == nil {
		t.Fatal("New took it all")
	}
	for _, want := range []string{"WithProxies: \"nonsense\"", "named twice", "WithConnections", "WithPack: pack of 0 bytes", "40000 records", "linger 1h0m0s", "WithConfirmer", "WithInstance", "WithRetry: longest"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not speak of %q: %v", want, err)
		}
	}
	if _, err := sdk.New(t.Context()); err == nil || !strings.Contains(err.Error(), "neither WithProxies nor WithManager") {
		t.Errorf("New without proxies: %v", err)
	}
}

// A program sets options, so that is what an error has to name.
func TestErrorNamesItsOption(t *testing.T) {
	fin := func(change func(*finality.Config)) sdk.Option { return config(finality.Ack, change) }
	for want, opt := range map[string]sdk.Option{
		"WithProxies: \"x\"":               sdk.WithProxies("x"),
		"WithCacheDir without WithManager": sdk.WithCacheDir("/nowhere"),
		"WithRefresh: 0s":                  sdk.WithRefresh(0),
		"WithInstance: ":                   sdk.WithInstance(""),
		"WithFinality: mode queue":         config(finality.Queue, nil),
		"WithFinality: mode 9":             fin(func(c *finality.Config) { c.Mode = 9 }),
		"WithFinality: AckTimeout 0s":      fin(func(c *finality.Config) { c.AckTimeout = 0 }),
		"WithFinality: PauseMax":           fin(func(c *finality.Config) { c.PauseMax = 1 }),
		"WithFinality: Settle -1ns":        fin(func(c *finality.Config) { c.Settle = -1 }),
		"WithFinality: WindowPacks 0":      fin(func(c *finality.Config) { c.WindowPacks = 0 }),
		"WithPack: linger":                 sdk.WithPack(1, 1, time.Hour),
		"WithPack: pack of 0 bytes":        sdk.WithPack(0, 1, 0),
		"WithPack: pack of 0 records":      sdk.WithPack(1, 0, 0),
		"WithCompression: ":                sdk.WithCompression(9),
		"WithMessageType: type 9":          sdk.WithMessageType(9),
		"WithBudget: 1 bytes for repairs":  sdk.WithBudget(1<<30, 1),
		"WithBudget: 1048576 bytes less":   sdk.WithBudget(1<<20, 1<<20),
		"WithConnections: 0":               sdk.WithConnections(0),
		"WithMaxFrame: 1 bytes":            sdk.WithMaxFrame(1),
		"WithMaxOpenPacks: 0":              sdk.WithMaxOpenPacks(0),
		"WithDialTimeout: 0s":              sdk.WithDialTimeout(0),
		"WithWriteTimeout: 0s":             sdk.WithWriteTimeout(0),
		"WithRetry: first retry pause 0s":  sdk.WithRetry(0, 0),
		"WithRetry: longest retry pause":   sdk.WithRetry(2, 1),
		"WithRetryLimit: -2":               sdk.WithRetryLimit(-2),
		"WithRefusedRetry: pauses of 0s":   sdk.WithRefusedRetry(0, 0),
		"WithIsolation: isolation 9":       sdk.WithIsolation(9),
		"WithBacklog: 0":                   sdk.WithBacklog(0),
		"WithSlowStart: -1ns":              sdk.WithSlowStart(-1),
		"WithMetricsLog -1ns":              sdk.WithMetricsLog(-1),
		"WithMetricsLog 1s without":        sdk.WithMetricsLog(time.Second),
		"WithMetricStreams 0 not below 1":  sdk.WithMetricStreams(0),
		"WithDial and WithLogger":          sdk.WithLogger(nil),
	} {
		if s, err := sdk.New(t.Context(), sdk.WithProxies("a:1"), opt); err == nil {
			t.Errorf("%s: New took it", want)
			_ = s.Close(t.Context())
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("want an error that names %q: %v", want, err)
		}
	}
}

func TestStreamIDsAreChecked(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1)
		for _, id := range []string{"", "a&b", "a=b", "grün", " a", "a\n", strings.Repeat("x", 513)} {
			if _, err := e.sender.Stream("g", id); err == nil {
				t.Errorf("stream id %q was taken", id)
			}
			if _, err := e.sender.Stream(id, "s"); err == nil {
				t.Errorf("group id %q was taken", id)
			}
		}
		a, _ := e.sender.Stream("a", "b.c")
		b, _ := e.sender.Stream("a.b", "c")
		if again, _ := e.sender.Stream("a", "b.c"); again != a || a == b {
			t.Error("the same ids give the same handle, others do not")
		}
		e.close(time.Second)
	})
}
