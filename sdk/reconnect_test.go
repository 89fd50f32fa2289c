package sdk_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
)

// balancer is a load balancer at one address: it accepts every connection, and ends it when there is no proxy behind.
type balancer struct {
	net    *dptest.Network
	behind string
	wait   time.Duration // how long it looks for a proxy before it gives up

	wg sync.WaitGroup // its goroutines

	mu       sync.Mutex
	up       bool
	accepted int
}

func (e *env) balancer(addr, behind string) *balancer {
	e.t.Helper()
	l, err := e.net.Listen("tcp", addr)
	if err != nil {
		e.t.Fatal(err)
	}
	b := &balancer{net: e.net, behind: behind}
	e.t.Cleanup(func() { // after the sender's
		_ = l.Close()
		b.wg.Wait()
	})
	b.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			b.wg.Go(func() { b.serve(c) })
		}
	})
	return b
}

func (b *balancer) serve(c net.Conn) {
	b.mu.Lock()
	b.accepted++
	up := b.up
	b.mu.Unlock()
	defer c.Close()
	if !up {
		time.Sleep(b.wait)
		return
	}
	p, err := b.net.DialContext(context.Background(), "tcp", b.behind)
	if err != nil {
		return
	}
	b.wg.Go(func() {
		defer p.Close()
		_, _ = io.Copy(p, c) // until one side ends
	})
	_, _ = io.Copy(c, p)
}

func (b *balancer) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.accepted
}

func (b *balancer) set(up bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.up = up
}

// logLines keeps the lines of a sender.
type logLines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// lines are those with text, without their time.
func (l *logLines) lines(text string) (lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.b.String()) {
		if strings.Contains(line, text) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

// logged is the option that lets l have all lines.
func logged(l *logLines) sdk.Option {
	return sdk.WithLogger(slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})))
}

// delivered lets time pass until n records are final, and returns how much that was.
func (e *env) delivered(n int) time.Duration {
	e.t.Helper()
	begun := time.Now()
	for synctest.Wait(); len(e.log.payloads(sdk.Final)) < n; settle(10 * time.Millisecond) {
		if time.Since(begun) > time.Hour {
			e.t.Fatalf("%d of %d records final after an hour: %+v", len(e.log.payloads(sdk.Final)), n, e.sender.Status())
		}
	}
	return time.Since(begun)
}

// It took 15 to 23 s of the 30 that a pause could be.
func TestProxyThatIsBackIsUsedWithinTwoSeconds(t *testing.T) {
	for _, away := range []time.Duration{time.Second, 20 * time.Second, 2 * time.Minute, time.Hour} {
		bubble(t, func(t *testing.T) {
			e := setup(t, 1)
			e.send(e.stream("s"), 1)
			synctest.Wait()
			e.proxies[0].Kill()
			e.send(e.stream("s"), 3)
			settle(away)
			if err := e.proxies[0].Restart(); err != nil {
				t.Fatal(err)
			}
			took := e.delivered(4)
			t.Logf("away for %v, used after %v", away, took)
			if took > 2*time.Second {
				t.Errorf("away for %v, used %v after it was back, want 2 s at most", away, took)
			}
			e.close(time.Minute)
		})
	}
}

// 1. one proxy of two is away, and its next dial is a second away  2. it is back  3. the other one dies
// Nobody waits for that second.
func TestAllProxiesAreDialledAtOnceWhenNoneIsConnected(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var failed atomic.Int64
		e := &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1, 2), log: newLedger(t)}
		e.addProxy("dp1:1")
		e.addProxy("dp2:1")
		e.sender = e.newSender(sdk.WithProxies(e.addrs()...), sdk.WithDial(func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := e.net.DialContext(ctx, network, addr)
			if err != nil && addr == "dp1:1" {
				failed.Add(1)
			}
			return c, err
		}))
		synctest.Wait()
		e.proxies[0].Kill()
		settle(time.Minute)
		for n := failed.Load(); failed.Load() == n; {
			settle(time.Millisecond)
		}
		if err := e.proxies[0].Restart(); err != nil {
			t.Fatal(err)
		}
		e.proxies[1].Kill()
		e.send(e.stream("s"), 3)
		if took := e.delivered(3); took > 20*time.Millisecond {
			t.Errorf("the proxy that was back was used after %v, want at once", took)
		}
		e.close(time.Minute)
	})
}

// A load balancer without proxies behind accepts connections and ends them. It was given packs each time, and those
// were suspected one after the other: each waited longer and longer, up to half a minute on top of the pause. Here nothing
// may be held against a pack: one try that counted would end it.
func TestNoPackIsBlamedForABalancerWithoutProxies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1, 2), log: newLedger(t)}
		e.addProxy("dp1:1")
		b := e.balancer("lb:1", "nowhere:1")
		b.wait = 500 * time.Millisecond
		l := new(logLines)
		e.sender = e.newSender(sdk.WithProxies("lb:1", "dp1:1"), sdk.WithRetryLimit(0), sdk.WithSlowStart(0), logged(l))
		for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); settle(100 * time.Millisecond) {
			e.send(e.stream("s"), 1)
		}
		e.log.want(sdk.Refused, 0)
		s := e.sender.Status()
		for _, ep := range s.Endpoints {
			if ep.Address == "lb:1" && (ep.Code != sdk.EndpointClosesAtOnce || ep.State != "connecting" || ep.Connections != 0 || ep.Reason == "") {
				t.Errorf("status of the load balancer: %+v", ep)
			}
		}
		if st := s.Streams[0]; st.PacksResent == 0 || st.PacksResent > 10 || st.Stall != "" {
			t.Errorf("%d packs were sent again, stall %q; want those alone that the first connection had", st.PacksResent, st.Stall)
		}
		if got := l.lines("the same pack is unanswered"); len(got) != 0 {
			t.Errorf("a pack was suspected: %q", got)
		}
		// Pauses double from 0.1 s to 30 s.
		if n := b.count(); n < 20 || n > 40 {
			t.Errorf("the load balancer got %d connections in 10 minutes, want growing pauses", n)
		}
		e.close(time.Minute)
		e.log.want(sdk.Final, 6000)
	})
}

// It took 41 s, of which the pack itself was held back for up to 30.
func TestBalancerThatHasAProxyAgainIsNoticed(t *testing.T) {
	for _, away := range []time.Duration{10 * time.Second, 30 * time.Second, time.Minute, 10 * time.Minute} {
		bubble(t, func(t *testing.T) {
			e := &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1, 2), log: newLedger(t)}
			e.addProxy("dp1:1")
			b := e.balancer("lb:1", "dp1:1")
			e.sender = e.newSender(sdk.WithProxies("lb:1"))
			synctest.Wait()
			e.send(e.stream("s"), 3)
			settle(away)
			if st := e.sender.Status().Streams[0]; st.StallCode != sdk.StreamNoProxy || !strings.Contains(st.Stall, "no proxy is connected: connection ") {
				t.Errorf("the stream stalls because %s: %q, want no_proxy and how connections end", st.StallCode, st.Stall)
			}
			b.set(true)
			took := e.delivered(3)
			t.Logf("away for %v, noticed after %v", away, took)
			if took > 5100*time.Millisecond {
				t.Errorf("away for %v, noticed after %v, want 5 s at most", away, took)
			}
			e.close(time.Minute)
		})
	}
}

// A proxy that accepts connections and says nothing is left at the ack time-out, as one whose process stands still; from
// then on it gets no packs before it answers.
func TestProxyThatAnswersNothingGetsNoPacks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 2)
		synctest.Wait()
		e.proxies[0].Freeze(true)
		e.net.Reset("dp1:46801")
		settle(time.Minute)
		if ep := e.sender.Status().Endpoints[0]; ep.Code != sdk.EndpointNoAnswer || ep.State != "connecting" {
			t.Errorf("status of the frozen proxy: %+v", ep)
		}
		e.send(e.stream("s"), 200)
		if took := e.delivered(200); took > time.Second {
			t.Errorf("delivered after %v, want at once, through the other proxy", took)
		}
		e.proxies[0].Freeze(false)
		settle(time.Minute)
		if ep := e.sender.Status().Endpoints[0]; ep.State != "connected" || ep.Code != sdk.EndpointOK {
			t.Errorf("status of the proxy that answers again: %+v", ep)
		}
		e.close(time.Minute)
	})
}

// Connections that are cut while nothing is sent are no reason for longer and longer pauses.
func TestIdleConnectionThatIsCutIsOpenedAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1)
		for range 20 {
			settle(2 * time.Minute)
			e.proxies[0].ResetConnections()
		}
		e.send(e.stream("s"), 1)
		if took := e.delivered(1); took > 200*time.Millisecond {
			t.Errorf("delivered after %v, want at once", took)
		}
		e.close(time.Minute)
	})
}
