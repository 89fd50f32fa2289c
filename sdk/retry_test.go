package sdk_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/finality"
)

// async hands one message over and returns where its results go.
func (e *env) async(st *sdk.Stream, payload string) *[]sdk.Result {
	e.t.Helper()
	var told []sdk.Result
	m := sdk.Message{Stream: st, Time: time.Now(), Payload: []byte(payload)}
	if err := e.sender.SendAsync(e.t.Context(), m, func(r sdk.Result) { told = append(told, r) }); err != nil {
		e.t.Fatalf("SendAsync: %v", err)
	}
	e.sender.Seal()
	return &told
}

// gaveUp wants exactly one result, a RetryError, and returns it.
func gaveUp(t *testing.T, told []sdk.Result) *sdk.RetryError {
	t.Helper()
	var e *sdk.RetryError
	if len(told) != 1 || told[0].Outcome != sdk.Refused || !errors.As(told[0].Err, &e) {
		t.Fatalf("told %+v, want one refusal with a RetryError", told)
	}
	return e
}

func TestRetryLimitReachesTheCallback(t *testing.T) {
	t.Run("refusals", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			e := setup(t, 2, sdk.WithRetryLimit(3))
			for _, p := range e.proxies {
				p.Code(115, 1)
			}
			told := e.async(e.stream("s"), "x")
			settle(time.Minute)
			err := gaveUp(t, *told)
			var ack *sdk.AckError
			if err.Attempts != 4 || !errors.As(err, &ack) || ack.Code != 115 || err.MaybeDelivered() {
				t.Errorf("gave up with %+v, want 4 attempts, the last one answered 115", err)
			}
			e.close(time.Second)
		})
	})
	t.Run("connections that end", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			e := setup(t, 1, sdk.WithRetryLimit(1))
			e.proxies[0].CloseMidAck(1)
			told := e.async(e.stream("s"), "x")
			settle(time.Minute)
			if err := gaveUp(t, *told); err.Attempts != 2 || !err.MaybeDelivered() || !strings.Contains(err.Error(), "connection ended") {
				t.Errorf("gave up with %v, want 2 attempts and perhaps delivered", err)
			}
			e.close(time.Second)
		})
	})
	t.Run("answers that do not come", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			e := setup(t, 1, sdk.WithRetryLimit(0), config(finality.Ack, func(c *finality.Config) { c.AckTimeout = time.Second }))
			synctest.Wait()
			e.proxies[0].Freeze(true)
			told := e.async(e.stream("s"), "x")
			settle(5 * time.Second)
			if err := gaveUp(t, *told); err.Attempts != 1 || !err.MaybeDelivered() {
				t.Errorf("gave up with %v, want 1 attempt", err)
			}
			e.proxies[0].Freeze(false)
			e.close(time.Second)
		})
	})
	t.Run("nothing to connect to", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			e := setup(t, 2, sdk.WithRetryLimit(4), sdk.WithConnections(3))
			for _, p := range e.proxies {
				p.Kill()
			}
			settle(time.Millisecond)
			told := e.async(e.stream("s"), "x")
			settle(time.Minute)
			if err := gaveUp(t, *told); err.Attempts != 5 || err.MaybeDelivered() || !strings.Contains(err.Error(), "dialing") {
				t.Errorf("gave up with %v, want 5 dials", err)
			}
			e.close(time.Second)
		})
	})
}

func TestRetryLimitLeavesWhatAnotherProxyTakesAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 2, sdk.WithRetryLimit(2))
		e.proxies[0].Kill()
		e.steady(e.stream("s"), 5*time.Second)
		e.close(time.Second)
		e.log.want(sdk.Final, 500)
	})
}

func TestWithoutARetryLimitNothingIsGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1)
		e.proxies[0].Code(114, 1)
		told := e.async(e.stream("s"), "x")
		settle(24 * time.Hour)
		if len(*told) != 0 {
			t.Fatalf("told %+v after a day of refusals", *told)
		}
		e.proxies[0].Code(114, 0)
		settle(time.Minute)
		if len(*told) != 1 || (*told)[0].Outcome != sdk.Final {
			t.Errorf("told %+v, want final", *told)
		}
		e.close(time.Second)
	})
}

func TestSendReturnsTheRetryError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1, sdk.WithRetryLimit(0))
		e.proxies[0].Code(114, 1)
		err := e.sender.Send(context.Background(), sdk.Message{Stream: e.stream("s"), Time: time.Now(), Payload: []byte("x")})
		if _, ok := errors.AsType[*sdk.RetryError](err); !ok {
			t.Errorf("Send: %v, want a RetryError", err)
		}
	})
}
