package sdk_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/finality"
)

// keep hands over a message whose Meta is its own payload, and returns what comes back of it.
func (e *env) keep(ctx context.Context, st *sdk.Stream) *[]sdk.Result {
	e.t.Helper()
	told := new([]sdk.Result)
	payload := e.log.fresh()
	m := sdk.Message{Stream: st, Payload: payload, Meta: string(payload)}
	if err := e.sender.SendAsync(ctx, m, func(r sdk.Result) { *told = append(*told, r) }); err != nil {
		e.t.Fatal(err)
	}
	e.sender.Seal()
	return told
}

// Whoever must keep what was refused, lost or not sent gets back what it said of each message.
func TestMetaComesBackWhateverBecomesOfAMessage(t *testing.T) {
	want := func(t *testing.T, told *[]sdk.Result, outcome sdk.Outcome, err error) {
		t.Helper()
		if len(*told) != 1 || (*told)[0].Outcome != outcome || (err != nil && !errors.Is((*told)[0].Err, err)) {
			t.Fatalf("told %v, want %v, %v once", *told, outcome, err)
		}
		if text, _ := (*told)[0].Meta.(string); text != "record 1 of a test, long enough to be worth something" {
			t.Errorf("Meta is %v", (*told)[0].Meta)
		}
	}
	t.Run("final", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			e := setup(t, 1)
			told := e.keep(t.Context(), e.stream("s"))
			e.close(time.Second)
			want(t, told, sdk.Final, nil)
		})
	})
	t.Run("refused", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			e := setup(t, 1)
			e.proxies[0].Code(109, 1)
			told := e.keep(t.Context(), e.stream("s"))
			settle(time.Second)
			want(t, told, sdk.Refused, nil)
		})
	})
	t.Run("given up", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			e := setup(t, 1, sdk.WithRetryLimit(1))
			e.proxies[0].Kill()
			told := e.keep(t.Context(), e.stream("s"))
			settle(time.Minute)
			want(t, told, sdk.Refused, nil)
		})
	})
	t.Run("lost", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			e := setup(t, 1, config(finality.Settle, nil))
			told := e.keep(t.Context(), e.stream("s"))
			settle(time.Second)
			e.proxies[0].Kill()
			settle(time.Minute)
			want(t, told, sdk.Lost, nil)
		})
	})
	t.Run("closed", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			e := setup(t, 1)
			e.proxies[0].Freeze(true)
			told := e.keep(t.Context(), e.stream("s"))
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := e.sender.Close(ctx); err == nil {
				t.Error("Close says nothing of a message that is not sent")
			}
			want(t, told, 0, sdk.ErrClosed)
		})
	})
	t.Run("acked, then final", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			e := setup(t, 1)
			var told []any
			note := func(r sdk.Result) { told = append(told, r.Outcome, r.Meta) }
			m := sdk.Message{Stream: e.stream("s"), Payload: []byte("x"), Meta: 7, Acked: note}
			if err := e.sender.SendAsync(t.Context(), m, note); err != nil {
				t.Fatal(err)
			}
			e.close(time.Second)
			if !slices.Equal(told, []any{sdk.Acked, 7, sdk.Final, 7}) {
				t.Errorf("told %v", told)
			}
		})
	})
}

// 1. a program is told to end  2. it cancels its context  3. a loop of it hands over another record, for which there is room
func TestContextThatHasEndedSendsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1)
		st := e.stream("s")
		because := errors.New("the program ends")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(because)
		called := func(r sdk.Result) { t.Errorf("told %v", r) }
		if err := e.sender.Send(ctx, sdk.Message{Stream: st, Payload: []byte("a")}); !errors.Is(err, because) {
			t.Errorf("Send: %v", err)
		}
		if err := e.sender.SendAsync(ctx, sdk.Message{Stream: st, Payload: []byte("b")}, called); !errors.Is(err, because) {
			t.Errorf("SendAsync: %v", err)
		}
		if n, err := e.sender.SendBatch(ctx, e.log.batch(st, [][]byte{[]byte("c"), []byte("d")})); n != 0 || !errors.Is(err, because) {
			t.Errorf("SendBatch = %d, %v", n, err)
		}
		settle(time.Minute)
		e.close(time.Second)
		if got := e.arrived("s"); len(got) != 0 {
			t.Errorf("arrived: %v", got)
		}
		if s := e.proxies[0].Stats(); s.Packs != 0 {
			t.Errorf("the proxy got %d packs", s.Packs)
		}
	})
}

func TestUnboundStreamTellsItsIDsAndIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1)
		st, err := sdk.UnboundStream("shop", "orders")
		if err != nil || st.Group() != "shop" || st.Name() != "orders" || st.String() != "shop.orders" {
			t.Fatalf("UnboundStream = %v, %v", st, err)
		}
		if _, err := sdk.UnboundStream("shop", "a&b"); err == nil {
			t.Error("an id that cannot be sent was taken")
		}
		if err := e.sender.TrySend(sdk.Message{Stream: st, Payload: []byte("x")}, nil); err == nil {
			t.Error("a sender took a message to a stream that is not its own")
		}
		if n, err := e.sender.SendBatch(t.Context(), &sdk.Batch{Stream: st, Payloads: [][]byte{[]byte("x")}}); n != 0 || err == nil {
			t.Errorf("SendBatch = %d, %v", n, err)
		}
		if err := e.sender.SendAsync(t.Context(), sdk.Message{Stream: st, Payload: []byte("x")}, nil); err == nil {
			t.Error("SendAsync took a message to a stream that is not the sender's")
		}
	})
}
