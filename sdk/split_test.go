package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/finality"
)

// setupPoison starts proxies that close the connection on frames above 10,000 bytes, and a sender that does
// not know that.
func setupPoison(t *testing.T, n int, opts ...sdk.Option) *env {
	t.Helper()
	e := &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1, 2), log: newLedger(t)}
	for i := range n {
		e.addProxy(fmt.Sprintf("dp%d:46801", i+1), dptest.WithMaxFrame(10000)).AckDelay(5 * time.Millisecond)
	}
	e.sender = e.newSender(append([]sdk.Option{
		sdk.WithProxies(e.addrs()...), sdk.WithCompression(sdk.None), sdk.WithRetry(10*time.Millisecond, time.Second),
	}, opts...)...)
	return e
}

// poison is what no proxy of setupPoison takes.
var poison = make([]byte, 20000)

func TestPoisonRecordIsRefusedAndTheRestOfItsPackArrives(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setupPoison(t, 2)
		st := e.stream("s")
		const n = 500
		told := make([][]sdk.Result, n)
		attrs := []sdk.Attr{{Key: "k", Value: "v"}}
		for i := range n {
			m := sdk.Message{Stream: st, Time: time.Now(), Payload: e.log.fresh(), Attrs: attrs}
			if i == 321 {
				m.Payload = poison
			}
			done := func(r sdk.Result) { told[i] = append(told[i], r) }
			if i%7 == 0 {
				done = nil // a record that nobody asks for
			}
			if err := e.sender.SendAsync(t.Context(), m, done); err != nil {
				t.Fatal(err)
			}
		}
		settle(10 * time.Minute)
		for i, results := range told {
			switch {
			case i%7 == 0:
				continue
			case len(results) != 1:
				t.Errorf("message %d told %v, want one verdict", i, results)
			case i != 321 && results[0].Outcome != sdk.Final:
				t.Errorf("message %d told %v, want final", i, results)
			case i == 321:
				err, ok := errors.AsType[*sdk.PoisonError](results[0].Err)
				if !ok || results[0].Outcome != sdk.Refused || err.Deaths < 8 || len(err.Endpoints) != 2 || !strings.Contains(err.Error(), "dp2:46801") {
					t.Errorf("the poison was told %+v, want a PoisonError with both proxies", results[0])
				}
			}
		}
		s := e.sender.Status()
		if s.UsedBytes != 0 || s.WaitingPacks+s.UnfinalPacks != 0 || s.Streams[0].PacksRefused != 1 {
			t.Errorf("left: %+v", s)
		}
		e.close(time.Second)
		settle(10 * time.Second)
		if got := e.arrived("s"); len(got) != n-1 {
			t.Errorf("%d records arrived, want %d", len(got), n-1)
		}
	})
}

// splitter is a ledger whose pieces can be split.
type splitter struct {
	*ledger
	splits atomic.Int32
	during func()
}

func (s *splitter) Split(piece uint64, n int) (first, second uint64) {
	s.splits.Add(1)
	if s.during != nil {
		s.during()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	whole := s.pieces[piece]
	if n <= 0 || n >= len(whole) {
		s.t.Errorf("piece of %d records split after %d", len(whole), n)
	}
	for i, r := range s.told[piece] { // it may have been held for a while
		if want := []sdk.Outcome{sdk.Held, sdk.Released}[i%2]; r.Outcome != want || i == len(s.told[piece])-1 && want == sdk.Held {
			s.t.Errorf("piece %d was told %v and is split", piece, s.told[piece])
		}
	}
	for _, part := range [][]string{whole[:n], whole[n:]} {
		s.pieces = append(s.pieces, part)
		s.told = append(s.told, nil)
		s.streams = append(s.streams, s.streams[piece])
	}
	s.pieces[piece] = nil
	s.told[piece] = []sdk.Result{{Outcome: sdk.Refused}} // any news of it is an error from here on
	return uint64(len(s.pieces) - 2), uint64(len(s.pieces) - 1)
}

func TestSplitPieceIsToldUnderItsNewNames(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setupPoison(t, 2)
		st := e.stream("s")
		token := &splitter{ledger: e.log}
		send := func(payloads [][]byte) {
			b := e.log.batch(st, payloads)
			b.Token = token
			if n, err := e.sender.SendBatch(t.Context(), b); n != len(payloads) || err != nil {
				t.Fatalf("SendBatch = %d, %v", n, err)
			}
		}
		var payloads [][]byte
		for range 301 {
			payloads = append(payloads, e.log.fresh())
		}
		payloads[77] = poison
		send(payloads)
		send([][]byte{e.log.fresh(), e.log.fresh()}) // in the same pack
		settle(10 * time.Minute)
		e.log.want(sdk.Final, 302)
		if got := e.log.payloads(sdk.Refused); len(got) != 1 || got[0] != string(poison) {
			t.Errorf("%d records refused, want the poison", len(got))
		}
		if token.splits.Load() == 0 || token.splits.Load() > 20 {
			t.Errorf("%d splits, want about log2 of 301", token.splits.Load())
		}
		e.close(time.Second)
	})
}

func TestPackOfOnePieceThatCannotBeSplitStaysWhole(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setupPoison(t, 2)
		st := e.stream("s")
		batch := func(payloads ...[]byte) {
			if n, err := e.sender.SendBatch(t.Context(), e.log.batch(st, payloads)); n != len(payloads) || err != nil {
				t.Fatalf("SendBatch = %d, %v", n, err)
			}
		}
		// One pack of three pieces: cut at their ends, and no further.
		batch(e.log.fresh(), e.log.fresh())
		batch(e.log.fresh(), poison, e.log.fresh())
		batch(e.log.fresh())
		settle(5 * time.Minute)
		e.log.want(sdk.Final, 3)
		e.log.want(sdk.Refused, 0)
		s := e.sender.Status()
		if s.WaitingPacks+s.UnfinalPacks != 1 || !strings.Contains(s.Streams[0].Stall, "3 records") || !strings.Contains(s.Streams[0].Stall, "cannot be cut") {
			t.Errorf("%d packs left, stall %q, want one of 3 records and why it is whole", s.WaitingPacks, s.Streams[0].Stall)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := e.sender.Close(ctx); err == nil || !strings.Contains(err.Error(), "1 pack (3 records)") {
			t.Errorf("Close: %v", err)
		}
	})
}

func TestOneProxyAloneNeverRefusesForAllProxies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setupPoison(t, 1)
		st := e.stream("s")
		var told []sdk.Result
		for i := range 20 {
			m := sdk.Message{Stream: st, Time: time.Now(), Payload: e.log.fresh()}
			if i == 10 {
				m.Payload = poison
			}
			if err := e.sender.SendAsync(t.Context(), m, func(r sdk.Result) { told = append(told, r) }); err != nil {
				t.Fatal(err)
			}
		}
		settle(10 * time.Minute)
		if len(told) != 19 {
			t.Errorf("%d messages told, want all but the one no proxy took", len(told))
		}
		// Another proxy takes it.
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := e.sender.Close(ctx); err == nil || !strings.Contains(err.Error(), "1 pack (1 record)") {
			t.Errorf("Close: %v", err)
		}
	})
}

// A load balancer without anybody behind it accepts and closes. That is no record's fault.
func TestClosingWhateverComesSplitsAndRefusesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		nw := new(dptest.Network)
		var stop []func()
		for _, addr := range []string{"lb1:1", "lb2:1"} {
			l, err := nw.Listen("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan struct{})
			go func() {
				defer close(done)
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					time.Sleep(time.Millisecond)
					_ = c.Close()
				}
			}()
			stop = append(stop, func() { _ = l.Close(); <-done })
		}
		e := &env{t: t, net: nw, queue: dptest.NewMemoryQueue(1, 1), log: newLedger(t)}
		e.sender = e.newSender(sdk.WithProxies("lb1:1", "lb2:1"), sdk.WithRetry(10*time.Millisecond, 100*time.Millisecond))
		e.batch(e.stream("s"), 1)
		settle(10 * time.Minute)
		if s := e.sender.Status(); s.Streams[0].Packs != 1 || s.Streams[0].PacksRefused != 0 || s.Endpoints[0].Reconnects < 100 {
			t.Errorf("%+v, want the one pack, whole, after many connections", s)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := e.sender.Close(ctx); err == nil {
			t.Error("Close says nothing of the pack")
		}
		for _, f := range stop {
			f()
		}
	})
}

// The whole pack had been stored before it was cut: when it is seen, all of it is final, and nothing
// more of it is sent.
func TestQueueWholePackSeenAfterItWasCut(t *testing.T) {
	for _, when := range []string{"after the cut", "while the names are asked for"} {
		t.Run(when, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e, _ := setupQueue(t, 2, nil)
				for _, p := range e.proxies {
					p.StallQueue(true)
					p.CloseMidAck(1)
				}
				token := &splitter{ledger: e.log}
				if when != "after the cut" {
					token.during = func() { e.sender.Seen([]uint64{1}) }
				}
				var payloads [][]byte
				for range 40 {
					payloads = append(payloads, e.log.fresh())
				}
				b := e.log.batch(e.stream("s"), payloads)
				b.Token = token
				if n, err := e.sender.SendBatch(t.Context(), b); n != 40 || err != nil {
					t.Fatalf("SendBatch = %d, %v", n, err)
				}
				for range 600000 {
					if settle(time.Millisecond); token.splits.Load() >= 2 || (token.splits.Load() == 1 && token.during != nil) {
						break
					}
				}
				if token.splits.Load() == 0 {
					t.Fatal("nothing was cut; the story tells nothing")
				}
				e.log.want(sdk.Refused, 0)
				if token.during == nil {
					e.log.want(sdk.Final, 0)
					e.sender.Seen([]uint64{1})
				}
				settle(time.Second)
				e.log.want(sdk.Final, 40)
				s := e.sender.Status()
				if s.UsedBytes != 0 || s.WaitingPacks+s.UnfinalPacks+s.LostPacks != 0 {
					t.Errorf("left after all was seen: %+v", s)
				}
				before := e.proxies[0].Stats().Packs + e.proxies[1].Stats().Packs
				settle(time.Minute)
				if n := e.proxies[0].Stats().Packs + e.proxies[1].Stats().Packs; n != before {
					t.Errorf("%d packs sent after all was final", n-before)
				}
				for _, p := range e.proxies {
					p.StallQueue(false)
				}
				settle(20 * time.Second) // the halves are seen too, and harm nobody
				e.close(time.Second)
			})
		})
	}
}

func TestCutPackIsForgottenWhenItsPartsAre(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, _ := setupQueue(t, 2, nil)
		for _, p := range e.proxies {
			p.CloseMidAck(1)
			p.StallQueue(true)
		}
		token := &splitter{ledger: e.log}
		b := e.log.batch(e.stream("s"), [][]byte{e.log.fresh(), e.log.fresh(), e.log.fresh()})
		b.Token = token
		if _, err := e.sender.SendBatch(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		for range 600000 {
			if settle(time.Millisecond); token.splits.Load() >= 1 {
				break
			}
		}
		for _, p := range e.proxies {
			p.CloseMidAck(0)
		}
		settle(time.Minute)
		e.log.want(sdk.Acked, 3)
		// The proxies die with everything; the parts are lost, and then nobody asks for them any more.
		for _, p := range e.proxies {
			p.Kill()
		}
		settle(2 * time.Minute)
		e.log.want(sdk.Lost, 3)
		e.log.forget()
		settle(10 * time.Second)
		if n := sdk.KnownPacks(e.sender); n != 0 {
			t.Errorf("%d packs are still known", n)
		}
	})
}

func TestCloseEndsPacksThatAreBeingCut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setupPoison(t, 2)
		token := &splitter{ledger: e.log}
		var once sync.Once
		closed := make(chan error, 1)
		token.during = func() {
			once.Do(func() {
				go func() {
					ctx, cancel := context.WithCancel(context.Background())
					cancel()
					closed <- e.sender.Close(ctx)
				}()
				time.Sleep(time.Second)
			})
		}
		b := e.log.batch(e.stream("s"), [][]byte{e.log.fresh(), poison, e.log.fresh()})
		b.Token = token
		if _, err := e.sender.SendBatch(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		if err := <-closed; err == nil || !strings.Contains(err.Error(), "3 records") {
			t.Errorf("Close: %v, want 3 records left", err)
		}
		told := 0
		for i, results := range e.log.told {
			if len(results) > 0 && errors.Is(results[len(results)-1].Err, sdk.ErrClosed) {
				told += len(e.log.pieces[i])
			}
		}
		if told != 3 {
			t.Errorf("ErrClosed was told for %d records, want 3", told)
		}
	})
}

func TestPartsHoldEveryRecordOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setupPoison(t, 2, config(finality.Ack, nil))
		st := e.stream("s")
		var want []string
		for i := range 64 {
			m := sdk.Message{Stream: st, Time: time.Now(), Payload: e.log.fresh()}
			if i == 40 {
				m.Payload = poison
			} else {
				want = append(want, string(m.Payload))
			}
			if err := e.sender.SendAsync(t.Context(), m, nil); err != nil {
				t.Fatal(err)
			}
		}
		settle(10 * time.Minute)
		e.close(time.Second)
		settle(10 * time.Second)
		var got []string
		for payload, n := range e.arrived("s") {
			if got = append(got, payload); n != 1 {
				t.Errorf("%q arrived %d times", payload, n)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%d records arrived, want %d", len(got), len(want))
		}
	})
}
