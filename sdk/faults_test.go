package sdk_test

import (
	"errors"
	"strconv"
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

// steady sends a pack every 10 ms for d.
func (e *env) steady(st *sdk.Stream, d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		e.send(st, 1)
	}
}

func TestErrorAckIsNeverSuccess(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1)
		e.proxies[0].Code(109, 1)
		e.send(e.stream("s"), 3)
		settle(time.Second)
		e.log.want(sdk.Final, 0)
		e.log.want(sdk.Refused, 3)
		var ack *sdk.AckError
		if r := e.log.told[0][0]; !errors.As(r.Err, &ack) || ack.Code != 109 || ack.Endpoint != "dp1:46801" || ack.Group != "g" || ack.Stream != "s" {
			t.Errorf("told %+v, want an AckError with code 109", r)
		}
		if got := e.sender.Status().Streams[0].PacksRefused; got != 3 {
			t.Errorf("%d packs refused, want 3", got)
		}
		e.close(time.Second)
	})
}

func TestDamagedPackGoesOnceMoreOnANewConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1)
		e.proxies[0].Code(94, 1)
		e.send(e.stream("s"), 1)
		settle(10 * time.Second)
		e.log.want(sdk.Refused, 1)
		if s := e.proxies[0].Stats(); s.Errors[94] != 2 || s.Accepted < 2 {
			t.Errorf("%d answers 94 over %d connections, want 2 over 2", s.Errors[94], s.Accepted)
		}
		e.proxies[0].Code(94, 0)
		e.send(e.stream("s"), 5)
		e.close(10 * time.Second)
		e.log.want(sdk.Final, 5)
	})
}

func TestKilledProxyDeliversElsewhere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 2)
		for _, p := range e.proxies {
			p.AckDelay(50 * time.Millisecond)
		}
		st := e.stream("s")
		e.steady(st, 1500*time.Millisecond)
		packs, _ := e.proxies[0].Kill()
		if packs == 0 {
			t.Fatal("nothing was in the killed proxy's memory; the story tells nothing")
		}
		e.steady(st, time.Second)
		e.close(5 * time.Second)
		e.log.want(sdk.Final, 250)
		status := e.sender.Status()
		if got := status.Streams[0].PacksResent; got == 0 {
			t.Error("no pack was in flight when the proxy died; the story tells nothing")
		}
		if got := e.proxies[1].Stats().Acked; got < 100 {
			t.Errorf("the other proxy acked %d packs", got)
		}
	})
}

func TestProxyThatComesBackIsUsedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1)
		st := e.stream("s")
		e.send(st, 10)
		synctest.Wait()
		e.proxies[0].Kill()
		e.send(st, 10)
		settle(2 * time.Second)
		s := e.sender.Status()
		if s.Endpoints[0].State != "connecting" || s.WaitingPacks != 10 || !strings.Contains(s.Streams[0].Stall, "no proxy is connected") {
			t.Errorf("status while the proxy is away: %+v", s)
		}
		if err := e.proxies[0].Restart(); err != nil {
			t.Fatal(err)
		}
		e.close(time.Minute)
		e.log.want(sdk.Final, 20)
	})
}

func TestFrozenProxyIsLeftAtTheAckTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 2)
		st := e.stream("s")
		e.send(st, 10)
		synctest.Wait()
		e.proxies[0].Freeze(true)
		e.send(st, 20)
		settle(14 * time.Second)
		if got := len(e.log.payloads(sdk.Final)); got == 30 {
			t.Fatal("nothing went to the frozen proxy; the story tells nothing")
		}
		settle(3 * time.Second)
		e.log.want(sdk.Final, 30)
		if got := e.sender.Status().Endpoints[0].LastError; !strings.Contains(got, "no answer within the ack time-out") {
			t.Errorf("last error of the frozen proxy is %q, want the time-out", got)
		}
		e.proxies[0].Freeze(false)
		e.close(time.Second)
	})
}

func TestDeniedStreamStallsAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 2)
		for _, p := range e.proxies {
			p.DenyStream("g", "new", true)
		}
		e.send(e.stream("new"), 50)
		e.send(e.stream("old"), 50)
		settle(100 * time.Millisecond)
		e.log.want(sdk.Final, 50)
		settle(time.Minute)
		for _, s := range e.sender.Status().Streams {
			switch {
			case s.Stream == "new" && !strings.Contains(s.Stall, "115"):
				t.Errorf("stall of the denied stream is %q, want its code", s.Stall)
			case s.Stream == "old" && s.Stall != "":
				t.Errorf("the other stream stalls: %s", s.Stall)
			}
		}
		// Pauses grow: a minute of refusals is a few trials at each proxy beside the first fifty.
		if n := e.proxies[0].Stats().Errors[115] + e.proxies[1].Stats().Errors[115]; n > 130 {
			t.Errorf("%d refusals in a minute", n)
		}
		e.proxies[1].DenyStream("g", "new", false)
		settle(time.Minute)
		e.log.want(sdk.Final, 100)
		e.close(time.Second)
	})
}

// Many streams that the proxies do not know slow the one that they know in nothing, and all go on once
// they are known.
func TestManyDeniedStreamsStallAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const denied = 300
		e := setup(t, 2)
		name := func(i int) string { return "new" + strconv.Itoa(i) }
		deny := func(yes bool) {
			for _, p := range e.proxies {
				for i := range denied {
					p.DenyStream("g", name(i), yes)
				}
			}
		}
		deny(true)
		for i := range denied {
			e.send(e.stream(name(i)), 1)
		}
		settle(time.Minute)
		e.log.want(sdk.Final, 0)
		for range 100 {
			e.send(e.stream("old"), 1)
			settle(time.Second)
		}
		e.log.want(sdk.Final, 100)
		deny(false)
		settle(time.Minute)
		e.log.want(sdk.Final, 100+denied)
		e.close(time.Second)
	})
}

func TestStreamGoesToTheProxyThatKnowsIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 2)
		e.proxies[0].DenyStream("g", "s", true)
		e.steady(e.stream("s"), 10*time.Second)
		e.close(time.Second)
		e.log.want(sdk.Final, 1000)
		if n := e.proxies[0].Stats().Errors[115]; n == 0 || n > 20 {
			t.Errorf("the proxy that does not know the stream was asked %d times in 10 s", n)
		}
	})
}

func TestFullProxyBacksOffWithAReason(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 2)
		e.proxies[0].Code(114, 1)
		e.steady(e.stream("s"), 10*time.Second)
		s := e.sender.Status().Endpoints[0]
		if s.State != "paused" || !strings.Contains(s.Reason, "114") {
			t.Errorf("state %s, reason %q, want paused and 114", s.State, s.Reason)
		}
		if n := s.AckErrors[114]; n == 0 || n > 20 {
			t.Errorf("the full proxy was asked %d times in 10 s", n)
		}
		e.proxies[0].Code(114, 0)
		settle(30 * time.Second)
		e.steady(e.stream("s"), 20*time.Second)
		if got := e.proxies[0].Stats().Acked; got < 600 {
			t.Errorf("the proxy got %d of 2000 packs after it had recovered", got)
		}
		e.close(time.Second)
		e.log.want(sdk.Final, 3000)
	})
}

func TestFullProxyGetsOneTrialPerPause(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1)
		synctest.Wait()
		e.proxies[0].Code(114, 1)
		e.proxies[0].AckDelay(time.Millisecond)
		e.send(e.stream("s"), 50)
		settle(20 * time.Second) // pauses of 0.1, 0.2, 0.4 ... s, a quarter less at most
		if n := e.proxies[0].Stats().Errors[114]; n < 50+6 || n > 50+10 {
			t.Errorf("the full proxy was asked %d times, want 50 and then once per pause", n)
		}
		e.proxies[0].Code(114, 0)
		e.close(time.Minute)
		e.log.want(sdk.Final, 50)
	})
}

func TestUnansweredPackGoesToAnotherProxyFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1, 1), log: newLedger(t)}
		for _, addr := range []string{"dp1:1", "dp2:1"} {
			var mu sync.Mutex
			mids := make(map[string]bool)
			e.addProxy(addr, dptest.WithOnPack(func(p dptest.PackInfo) {
				mu.Lock()
				defer mu.Unlock()
				mid, _ := frame.Attribute(p.Pack.Attr, frame.AttrMid)
				if mids[string(mid)] {
					t.Errorf("proxy %s got pack %s twice", addr, mid)
				}
				mids[string(mid)] = true
			}))
		}
		e.sender = e.newSender(sdk.WithProxies(e.addrs()...), sdk.WithConnections(3),
			config(finality.Ack, func(c *finality.Config) { c.AckTimeout = time.Second }))
		for range 20 {
			synctest.Wait()
			e.proxies[0].SwallowAck(1)
			e.send(e.stream("s"), 8)
			settle(3 * time.Second)
		}
		e.log.want(sdk.Final, 160)
		if n := e.sender.Status().Streams[0].PacksResent; n < 15 {
			t.Errorf("%d packs sent again, want one in each of 20 rounds", n)
		}
		e.close(time.Second)
	})
}

func TestStoppedServiceIsLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 2)
		e.steady(e.stream("s"), time.Second)
		e.proxies[1].StopService(true)
		e.steady(e.stream("s"), time.Second)
		e.close(time.Second)
		e.log.want(sdk.Final, 200)
	})
}

func TestStrayAcksAreHarmless(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 2, config(finality.Ack, func(c *finality.Config) { c.AckTimeout = time.Second }))
		for _, p := range e.proxies {
			p.DuplicateAcks(0.3)
			p.WrongUniq(0.05)
			p.AcksOutOfOrder(0.3)
		}
		e.steady(e.stream("s"), 5*time.Second)
		for _, p := range e.proxies {
			p.WrongUniq(0)
		}
		e.close(time.Minute)
		e.log.want(sdk.Final, 500)
		settle(10 * time.Second)
		if got := len(e.arrived("s")); got != 500 {
			t.Errorf("%d records arrived, want 500", got)
		}
	})
}

func TestSwallowedAckIsSentAgainAsADuplicate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 2)
		e.proxies[0].SwallowAck(1)
		e.proxies[1].SwallowAck(1)
		e.send(e.stream("s"), 5)
		settle(40 * time.Second)
		e.log.want(sdk.Final, 5)
		e.close(time.Second)
		settle(10 * time.Second)
		dup := 0
		for _, n := range e.arrived("s") {
			dup += n - 1
		}
		if resent := e.sender.Status().Streams[0].PacksResent; dup == 0 || uint64(dup) > resent {
			t.Errorf("%d duplicates, %d packs sent again", dup, resent)
		}
	})
}

func TestIdleConnectionsAreKeptByHeartbeats(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 2, sdk.WithConnections(2))
		settle(10 * time.Minute)
		for _, p := range e.proxies {
			if s := p.Stats(); s.Accepted != 2 || s.Heartbeats < 30 {
				t.Errorf("%d connections and %d heartbeats in 10 minutes, want 2 and about 40", s.Accepted, s.Heartbeats)
			}
		}
		e.send(e.stream("s"), 5)
		e.close(time.Second)
		e.log.want(sdk.Final, 5)
	})
}

func TestOldWriteDeadlineHarmsNoLaterWrite(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1, sdk.WithWriteTimeout(time.Second))
		e.send(e.stream("s"), 3)
		settle(5 * time.Minute)
		e.send(e.stream("s"), 3)
		e.close(time.Second)
		e.log.want(sdk.Final, 6)
		if n := e.proxies[0].Stats().Accepted; n != 1 {
			t.Errorf("%d connections, want one all the time", n)
		}
	})
}

func TestProxyThatDoesNotReadIsLeftAtTheWriteTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 2, sdk.WithWriteTimeout(time.Second), sdk.WithCompression(sdk.None))
		synctest.Wait()
		e.proxies[0].Freeze(true)
		big := make([]byte, 400<<10)
		for range 20 {
			m := sdk.Message{Stream: e.stream("s"), Time: time.Now(), Payload: big}
			if err := e.sender.SendAsync(t.Context(), m, nil); err != nil {
				t.Fatal(err)
			}
		}
		settle(5 * time.Second)
		s := e.sender.Status()
		if s.UnfinalPacks+s.WaitingPacks != 0 || !strings.Contains(s.Endpoints[0].LastError, "writing") {
			t.Errorf("status %+v, want all acked by the other proxy and a write that failed", s)
		}
		e.close(time.Second)
	})
}

func TestSilencedNetworkIsFoundOutByHeartbeats(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 2)
		settle(time.Second)
		e.net.Silence(e.proxies[0].Addr(), true)
		settle(50 * time.Second) // a heartbeat after 30 s, its time-out 15 s later
		if s := e.sender.Status().Endpoints[0]; s.State != "connecting" || s.Connections != 0 {
			t.Errorf("half-open proxy is %s with %d connections, want connecting", s.State, s.Connections)
		}
		e.send(e.stream("s"), 5)
		settle(time.Second)
		e.log.want(sdk.Final, 5)
		e.net.Silence(e.proxies[0].Addr(), false)
		e.close(time.Second)
	})
}

func TestSuspectTravelsAloneAndTheOthersGoOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1, 2), log: newLedger(t)}
		// Frames above the servers' limit: they close the connection without a word.
		for _, addr := range []string{"dp1:46801", "dp2:46801"} {
			e.addProxy(addr, dptest.WithMaxFrame(10000)).AckDelay(5 * time.Millisecond)
		}
		e.sender = e.newSender(sdk.WithProxies(e.addrs()...), sdk.WithCompression(sdk.None))
		st := e.stream("s")
		e.steady(st, 100*time.Millisecond)
		if err := e.sender.SendAsync(t.Context(), sdk.Message{Stream: st, Time: time.Now(), Payload: make([]byte, 20000)}, nil); err != nil {
			t.Fatal(err)
		}
		e.sender.Seal()
		e.steady(st, 30*time.Second)
		settle(time.Second)
		e.log.want(sdk.Final, 3010)
		s := e.sender.Status()
		if s.WaitingPacks != 0 || s.Streams[0].PacksRefused != 1 {
			t.Errorf("%d packs waiting, %d refused, want the one that ends connections given up", s.WaitingPacks, s.Streams[0].PacksRefused)
		}
		if n := e.proxies[0].Stats().Poisoned + e.proxies[1].Stats().Poisoned; n < 8 || n > 10 {
			t.Errorf("the pack ended %d connections, want 8 that it was alone on, and the first", n)
		}
		e.close(time.Second)
	})
}

func TestSettleLosesWhatAKilledProxyAckedLately(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1, config(finality.Settle, nil))
		st := e.stream("s")
		e.steady(st, 15*time.Second)
		synctest.Wait()
		before := len(e.log.payloads(sdk.Final))
		if before == 0 || before > 600 {
			t.Errorf("%d of 1500 records final after 15 s, want those of the first 5 s", before)
		}
		e.proxies[0].Kill()
		synctest.Wait()
		e.log.want(sdk.Lost, 1500-before)
		s := e.sender.Status()
		if s.LostPacks != 1500-before || s.UsedBytes != 0 {
			t.Errorf("status %+v, want %d lost packs and no bytes", s, 1500-before)
		}
		e.log.forget()
		settle(10 * time.Second)
		if n := e.sender.Status().LostPacks; n != 0 {
			t.Errorf("%d lost packs are still known after all were forgotten", n)
		}
		e.close(time.Second)
	})
}

func TestSettleMakesAllFinalInTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 2, config(finality.Settle, nil))
		e.steady(e.stream("s"), time.Second)
		settle(15 * time.Second)
		e.log.want(sdk.Final, 100)
		e.close(time.Second)
	})
}
