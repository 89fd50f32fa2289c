package sdk_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/finality"
)

// packsOf returns how many packs a proxy got since the last call.
func packsOf(e *env) func(i int) uint64 {
	last := make(map[int]uint64)
	return func(i int) uint64 {
		now := e.proxies[i].Stats().Packs
		n := now - last[i]
		last[i] = now
		return n
	}
}

func TestBusyProxyGetsLess(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 4)
		e.proxies[0].AckDelay(400 * time.Millisecond)
		e.steady(e.stream("s"), 20*time.Second)
		e.close(5 * time.Second)
		e.log.want(sdk.Final, 2000)
		busy := e.proxies[0].Stats().Packs
		if busy == 0 || busy > 300 {
			t.Errorf("the proxy with 400 ms got %d of 2000 packs, want less than its quarter", busy)
		}
		for _, p := range e.proxies[1:] {
			if n := p.Stats().Packs; n < 400 || n > 850 {
				t.Errorf("proxy %s got %d of 2000 packs, want about a third", p.Addr(), n)
			}
		}
	})
}

func TestTheSameSeedChoosesTheSame(t *testing.T) {
	choice := func(seed uint64) (got [5]uint64) {
		bubble(t, func(t *testing.T) {
			e := setup(t, 5, sdk.WithSeed(seed))
			synctest.Wait()
			for range 200 {
				e.send(e.stream("s"), 1)
				synctest.Wait()
			}
			e.close(time.Second)
			for i, p := range e.proxies {
				got[i] = p.Stats().Packs
			}
		})
		return got
	}
	a, again, b := choice(1), choice(1), choice(2)
	if a != again || a == b {
		t.Errorf("seed 1 gives %v and %v, seed 2 %v; want the first two alike only", a, again, b)
	}
	for i, n := range a {
		if n < 20 || n > 60 {
			t.Errorf("idle proxy %d got %d of 200 packs, want about 40", i, n)
		}
	}
}

func TestProxyThatCameBackGetsAGrowingShare(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 2)
		st, packs := e.stream("s"), packsOf(e)
		e.proxies[0].Kill()
		e.steady(st, 5*time.Second)
		if err := e.proxies[0].Restart(); err != nil {
			t.Fatal(err)
		}
		for packs(0) == 0 { // dials pause
			e.steady(st, 10*time.Millisecond)
		}
		e.steady(st, time.Second)
		first := packs(0)
		e.steady(st, 3*time.Second)
		packs(0)
		e.steady(st, time.Second)
		middle := packs(0)
		e.steady(st, 6*time.Second)
		packs(0)
		e.steady(st, 10*time.Second)
		last := packs(0)
		if first < 1 || first > 25 || middle <= first || last < 400 {
			t.Errorf("of 100 packs each it got %d in the first second, %d in the fifth, and %d of 1000 from the tenth on; want a tenth, more, and half", first, middle, last)
		}
		e.close(time.Second)
	})
}

func TestOnlyProxyThatCameBackGetsEverything(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1)
		e.proxies[0].Kill()
		e.send(e.stream("s"), 500)
		settle(time.Second)
		if err := e.proxies[0].Restart(); err != nil {
			t.Fatal(err)
		}
		settle(3 * time.Second)
		e.log.want(sdk.Final, 500)
		e.close(time.Second)
	})
}

// The stages of a proxy that answers 114, and the other codes with the same meaning.
func TestRefusingProxyGetsLessThenNothingThenTrials(t *testing.T) {
	for _, code := range []int{1, 2, 114} {
		bubble(t, func(t *testing.T) {
			e := setup(t, 1, sdk.WithRetry(time.Second, 8*time.Second))
			synctest.Wait()
			p, st, packs := e.proxies[0], e.stream("s"), packsOf(e)
			p.AckDelay(10 * time.Millisecond)
			errors := func() uint64 { return p.Stats().Errors[code] }

			// Less: one refusal leaves one pack in flight at a time, and no pause.
			p.Code(code, 1)
			e.send(st, 1)
			settle(5 * time.Millisecond)
			p.Code(code, 0) // the answer is on its way
			settle(6 * time.Millisecond)
			e.send(st, 5)
			settle(time.Millisecond)
			if s := e.sender.Status(); errors() != 1 || s.Endpoints[0].InFlightPacks != 1 || s.Endpoints[0].State != "connected" {
				t.Errorf("code %d: after one refusal %d packs in flight, %s; want 1, connected", code, s.Endpoints[0].InFlightPacks, s.Endpoints[0].State)
			}
			settle(time.Second)
			e.log.want(sdk.Final, 6)

			// Nothing: refused twice, it pauses, and a growing time lies between the trials.
			p.Code(code, 1)
			before := errors()
			e.send(st, 20)
			settle(500 * time.Millisecond)
			s := e.sender.Status()
			if n := errors() - before; n < 21 || n > 22 || s.Endpoints[0].State != "paused" || s.Endpoints[0].Reason == "" || s.Endpoints[0].InFlightPacks != 0 {
				t.Errorf("code %d: %d refusals, then %+v; want 21 or 22, and a pause with its reason", code, n, s.Endpoints[0])
			}
			before = errors()
			settle(30 * time.Second) // pauses of about 1, 2, 4, 8, 8, 8
			if n := errors() - before; n < 4 || n > 7 {
				t.Errorf("code %d: %d trials in 30 s, want one per growing pause", code, n)
			}

			// A trial that is acked, but late, is no recovery.
			p.Code(code, 0)
			p.AckDelay(3 * time.Second)
			packs(0)
			settle(30 * time.Second)
			if n := packs(0); n < 2 || n > 4 {
				t.Errorf("code %d: %d packs in 30 s though acks come late", code, n)
			}
			// Between the end of a pause and the next tick there is no reason to give.
			for reason, i := "", 0; !strings.Contains(reason, "late"); i++ {
				if i == 100 {
					t.Fatalf("code %d: reason %q, want that acks come late", code, reason)
				}
				settle(10 * time.Millisecond)
				ep := e.sender.Status().Endpoints[0]
				if reason = ep.Reason; ep.State != "paused" && reason != "" {
					t.Errorf("code %d: %s because %q", code, ep.State, reason)
				}
			}
			// While a trial is under way the others are still kept away, and the status says so.
			for i := 0; e.sender.Status().Endpoints[0].InFlightPacks == 0; i++ {
				if i == 10000 {
					t.Fatalf("code %d: no trial in 100 s", code)
				}
				settle(10 * time.Millisecond)
			}
			if ep := e.sender.Status().Endpoints[0]; ep.State != "paused" || !strings.Contains(ep.Reason, "late") {
				t.Errorf("code %d: during a trial %s because %q, want paused because acks come late", code, ep.State, ep.Reason)
			}
			p.AckDelay(10 * time.Millisecond)
			e.close(30 * time.Second)
			e.log.want(sdk.Final, 26)
		})
	}
}

func TestSlowStartOfZeroIsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 2, sdk.WithSlowStart(0), config(finality.Ack, nil))
		packs := packsOf(e)
		e.proxies[0].Kill()
		settle(time.Second)
		if err := e.proxies[0].Restart(); err != nil {
			t.Fatal(err)
		}
		settle(5 * time.Second)
		e.steady(e.stream("s"), 5*time.Second)
		if n := packs(0); n < 180 {
			t.Errorf("it got %d of 500 packs, want about half", n)
		}
		e.close(time.Second)
	})
}
