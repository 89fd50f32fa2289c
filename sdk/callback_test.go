package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/finality"
)

// news is what one message was told: a for acked, and the outcome.
type news struct {
	mu   sync.Mutex
	told []string
}

func (n *news) note(what string) func(sdk.Result) {
	return func(r sdk.Result) {
		n.mu.Lock()
		defer n.mu.Unlock()
		if r.Outcome == 0 {
			what += " " + r.Err.Error()
		}
		n.told = append(n.told, what+" "+r.Outcome.String())
	}
}

func (n *news) want(t *testing.T, want ...string) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if !slices.Equal(n.told, want) {
		t.Errorf("told %q, want %q", n.told, want)
	}
}

func (e *env) follow(st *sdk.Stream) *news {
	e.t.Helper()
	n := new(news)
	m := sdk.Message{Stream: st, Time: time.Now(), Payload: e.log.fresh(), Acked: n.note("acked:")}
	if err := e.sender.SendAsync(e.t.Context(), m, n.note("done:")); err != nil {
		e.t.Fatal(err)
	}
	e.sender.Seal()
	return n
}

func TestMessageIsToldItsAckAndThenItsVerdictOnceEach(t *testing.T) {
	t.Run("final", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			e := setup(t, 1, config(finality.Settle, nil))
			n := e.follow(e.stream("s"))
			settle(time.Second)
			n.want(t, "acked: acked")
			settle(20 * time.Second)
			n.want(t, "acked: acked", "done: final")
			e.close(time.Second)
			n.want(t, "acked: acked", "done: final")
		})
	})
	t.Run("lost", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			e := setup(t, 1, config(finality.Settle, nil))
			n := e.follow(e.stream("s"))
			settle(time.Second)
			e.proxies[0].Kill()
			settle(time.Minute)
			n.want(t, "acked: acked", "done: lost")
			if s := e.sender.Status(); s.LostPacks != 0 {
				t.Errorf("%d lost packs are kept that nobody waits for", s.LostPacks)
			}
		})
	})
	t.Run("refused", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			e := setup(t, 1)
			e.proxies[0].Code(109, 1)
			n := e.follow(e.stream("s"))
			settle(time.Second)
			n.want(t, "done: refused")
			e.close(time.Second)
		})
	})
	t.Run("closed between", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			e := setup(t, 1, config(finality.Settle, nil))
			n := e.follow(e.stream("s"))
			settle(time.Second)
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			if err := e.sender.Close(ctx); err == nil {
				t.Error("Close says nothing of a message that is not final")
			}
			n.want(t, "acked: acked", "done: sender is closed none")
			settle(time.Minute)
			n.want(t, "acked: acked", "done: sender is closed none")
		})
	})
	t.Run("lost and seen after all", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			e, _ := setupQueue(t, 1, nil)
			e.proxies[0].StallQueue(true)
			n := e.follow(e.stream("s"))
			settle(time.Second)
			e.proxies[0].ResetConnections()
			for range 60000 { // until the moment of the loss
				if settle(time.Millisecond); e.sender.Status().LostPacks > 0 {
					break
				}
			}
			n.want(t, "acked: acked", "done: lost")
			e.sender.Seen([]uint64{1})
			settle(time.Minute)
			n.want(t, "acked: acked", "done: lost")
			if got := e.sender.Status().Streams[0].PacksFinal; got != 1 {
				t.Errorf("%d packs final, want the one seen after its loss", got)
			}
		})
	})
}

func TestSlowCallbackHoldsBackNewRecordsAndLosesNone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const backlog = 100
		e := setup(t, 1, sdk.WithBacklog(backlog), sdk.WithPack(1<<10, 10, 0))
		st := e.stream("s")
		hold, told := make(chan struct{}), 0
		release := sync.OnceFunc(func() { close(hold) })
		defer release()
		done := func(sdk.Result) { <-hold; told++ }
		taken := 0
		try := func() error {
			err := e.sender.TrySend(sdk.Message{Stream: st, Time: time.Now(), Payload: []byte("x")}, done)
			if err == nil {
				taken++
			}
			return err
		}
		var err error
		for range 100 * backlog {
			if err = try(); err != nil {
				break
			}
			synctest.Wait()
		}
		if !errors.Is(err, sdk.ErrBufferFull) || taken > backlog+20 {
			t.Fatalf("%d taken while a callback hangs, then %v; want about %d and ErrBufferFull", taken, err, backlog)
		}
		if used := e.sender.Status().UsedBytes; used != 0 {
			t.Errorf("%d bytes of the budget taken; the story is about callbacks", used)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if n, err := e.sender.SendBatch(ctx, e.log.batch(st, [][]byte{[]byte("y")})); n != 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("SendBatch = %d, %v, want the end of its context", n, err)
		}
		waiting := make(chan error, 1)
		go func() {
			waiting <- e.sender.SendAsync(context.Background(), sdk.Message{Stream: st, Time: time.Now(), Payload: []byte("z")}, done)
		}()
		synctest.Wait()
		select {
		case err := <-waiting:
			t.Fatalf("SendAsync returned %v while the callback hangs", err)
		default:
		}
		release()
		if err := <-waiting; err != nil {
			t.Errorf("SendAsync once the callbacks go on: %v", err)
		}
		taken++
		select {
		case <-e.sender.Room():
		default:
			t.Error("Room says nothing though the callbacks caught up")
		}
		e.close(time.Second)
		if told != taken {
			t.Errorf("%d callbacks for %d messages", told, taken)
		}
	})
}

func TestCallbacksMaySend(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1, sdk.WithBacklog(8), sdk.WithPack(1<<10, 2, 0))
		st := e.stream("s")
		message := func() sdk.Message {
			return sdk.Message{Stream: st, Time: time.Now(), Payload: e.log.fresh()}
		}
		var mu sync.Mutex
		sent, told, full := 0, 0, 0
		var next func(sdk.Result)
		next = func(sdk.Result) {
			mu.Lock()
			defer mu.Unlock()
			if told++; sent >= 2000 {
				return
			}
			switch err := e.sender.TrySend(message(), next); {
			case err == nil:
				sent++
			case errors.Is(err, sdk.ErrBufferFull):
				full++
			case !errors.Is(err, sdk.ErrClosed):
				t.Errorf("TrySend: %v", err)
			}
		}
		// Several chains, each message sent by the callback of the one before; where there is no room
		// a chain ends, and nothing hangs.
		for range 20 {
			for range 5 {
				if err := e.sender.SendAsync(t.Context(), message(), func(r sdk.Result) {
					for range 3 {
						next(r)
					}
				}); err != nil {
					t.Fatal(err)
				}
			}
			settle(10 * time.Millisecond)
		}
		if sent < 10 {
			t.Errorf("%d messages sent by callbacks, %d found no room", sent, full)
		}
		// One that waits in a callback hangs no longer than its context.
		waited := make(chan error, 2)
		blocking := func(sdk.Result) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			waited <- e.sender.SendAsync(ctx, message(), nil)
		}
		b := e.log.batch(st, [][]byte{e.log.fresh()})
		for range 2 {
			if err := e.sender.SendAsync(t.Context(), message(), blocking); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := e.sender.SendBatch(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		settle(5 * time.Second)
		for range 2 {
			if err := <-waited; err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("SendAsync in a callback: %v", err)
			}
		}
		e.close(time.Second)
		if want := sent + 3*100; told != want {
			t.Errorf("%d callbacks told, want %d", told, want)
		}
	})
}

func TestNoCallbackAfterClose(t *testing.T) {
	for _, mode := range []finality.Mode{finality.Ack, finality.Settle} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e := setup(t, 2, config(mode, nil))
				for _, p := range e.proxies {
					p.AckDelay(20 * time.Millisecond)
				}
				st := e.stream("s")
				var mu sync.Mutex
				closed, told, late := false, make(map[int]int), 0
				const n = 200
				for i := range n {
					m := sdk.Message{Stream: st, Time: time.Now(), Payload: e.log.fresh(), Acked: func(sdk.Result) {
						mu.Lock()
						defer mu.Unlock()
						if closed {
							late++
						}
					}}
					if err := e.sender.SendAsync(t.Context(), m, func(sdk.Result) {
						mu.Lock()
						defer mu.Unlock()
						if told[i]++; closed {
							late++
						}
					}); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Millisecond)
				}
				ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
				defer cancel()
				_ = e.sender.Close(ctx) // some are left, on purpose
				mu.Lock()
				closed = true
				mu.Unlock()
				settle(time.Minute)
				mu.Lock()
				defer mu.Unlock()
				if late > 0 || len(told) != n {
					t.Errorf("%d callbacks after Close, %d of %d messages told", late, len(told), n)
				}
				for i, times := range told {
					if times != 1 {
						t.Errorf("message %d told %d times", i, times)
					}
				}
			})
		})
	}
}
