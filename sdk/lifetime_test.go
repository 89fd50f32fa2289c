package sdk_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/finality"
)

// ends collects how connections ended.
type ends struct {
	mu   sync.Mutex
	all  []sdk.ConnEvent
	most int // connections open at the same time
	open int
}

func (e *ends) hooks() sdk.Option {
	return sdk.WithHooks(sdk.Hooks{
		ConnOpened: func(sdk.ConnEvent) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.open++
			e.most = max(e.most, e.open)
		},
		ConnEnded: func(c sdk.ConnEvent) {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.open--
			e.all = append(e.all, c)
		},
	})
}

func (e *ends) list() []sdk.ConnEvent {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.all
}

// Under load a connection is never without packs, so another one is opened first; nothing waits, and nothing is sent again.
func TestConnectionsAreReplacedAtTheirLifetimeWithoutAGap(t *testing.T) {
	for _, mode := range []finality.Mode{finality.Ack, finality.Settle} {
		t.Run(mode.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var ended ends
				e := setup(t, 1, sdk.WithMaxConnLifetime(20*time.Second), ended.hooks(), config(mode, nil))
				e.proxies[0].AckDelay(5 * time.Millisecond)
				st := e.stream("s")
				for range 300 {
					e.steady(st, 500*time.Millisecond)
					if s := e.sender.Status(); s.Endpoints[0].Connections == 0 || s.WaitingPacks > 5 {
						t.Fatalf("%d connections, %d packs waiting", s.Endpoints[0].Connections, s.WaitingPacks)
					}
				}
				list := ended.list()
				if n := len(list); n < 5 || n > 9 {
					t.Errorf("%d connections ended in 150 s, want one in 17.5 to 20 s, and those that still settle", n)
				}
				for _, c := range list {
					if c.Reason != "drained" || c.Unanswered != 0 || c.Acked != 0 || c.Lived < 17500*time.Millisecond || c.Lived > 35*time.Second {
						t.Errorf("a connection ended with %d packs in flight and %d acked after %v: %s", c.Unanswered, c.Acked, c.Lived, c.Reason)
					}
				}
				if ended.most != 2 {
					t.Errorf("%d connections at a time, want two", ended.most)
				}
				e.close(time.Minute)
				e.log.want(sdk.Final, e.log.next)
				if s := e.sender.Status().Streams[0]; s.PacksResent != 0 || s.PacksLost != 0 {
					t.Errorf("%d packs were sent again, %d lost", s.PacksResent, s.PacksLost)
				}
			})
		})
	}
}

// 1. a pack is acked, and not final for long  2. its connection reaches its lifetime, once and again  3. it stays, and no third one
// is opened, until the pack is final
func TestConnectionOutlivesItsLifetimeForWhatIsNotFinal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var ended ends
		e, _ := setupQueue(t, 1, noSlowStart, sdk.WithMaxConnLifetime(2*time.Second), ended.hooks())
		e.proxies[0].StallQueue(true)
		st := e.stream("s")
		e.send(st, 1)
		settle(25 * time.Second)
		if list := ended.list(); len(list) != 0 {
			t.Errorf("connections ended while a pack was acked and not final: %+v", list)
		}
		if ended.most != 2 {
			t.Errorf("%d connections, want the old one and another", ended.most)
		}
		e.proxies[0].StallQueue(false)
		settle(30 * time.Second)
		e.log.want(sdk.Final, 1)
		if list := ended.list(); len(list) < 3 || list[0].Acked != 0 || list[0].Unanswered != 0 || list[0].Reason != "drained" {
			t.Errorf("once it is final: %+v", list)
		}
		e.close(time.Minute)
	})
}

// A load balancer accepts connections though no proxy is behind it any more. The old connection works, and must not be given
// up for one that does not.
func TestConnectionThatAnswersNothingReplacesNone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := 0
		var hole atomic.Bool
		var ended ends
		e := setup(t, 1)
		e.close(time.Second)
		e.sender = e.newSender(sdk.WithProxies(e.addrs()...), sdk.WithMaxConnLifetime(10*time.Second), ended.hooks(),
			sdk.WithDial(func(ctx context.Context, network, addr string) (net.Conn, error) {
				if n++; !hole.Load() {
					return e.net.DialContext(ctx, network, addr)
				}
				here, there := net.Pipe()
				_ = there.Close()
				return here, nil
			}))
		st := e.stream("s")
		e.steady(st, time.Second)
		hole.Store(true)
		first := e.proxies[0].Stats().Accepted
		e.steady(st, 30*time.Second)
		if s := e.proxies[0].Stats(); s.Accepted != first || n < 5 {
			t.Errorf("the proxy accepted %d connections, %d dials", s.Accepted, n)
		}
		hole.Store(false)
		if s := e.sender.Status(); s.Endpoints[0].State != "connected" || s.Streams[0].PacksResent != 0 || s.WaitingPacks > 5 {
			t.Errorf("status %+v", s.Endpoints[0])
		}
		e.steady(st, 3*time.Minute)
		if s := e.proxies[0].Stats(); s.Accepted < first+2 {
			t.Errorf("the proxy accepted %d connections, want another one once they answer", s.Accepted)
		}
		e.close(time.Minute)
		e.log.want(sdk.Final, e.log.next)
	})
}

// The proxy is away when a connection reaches its lifetime, or dies in the middle of a change: there is one connection again.
func TestLifetimeUnderFaultsKeepsOneConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var ended ends
		e := setup(t, 2, sdk.WithMaxConnLifetime(time.Second), ended.hooks(), config(finality.Settle, nil))
		st := e.stream("s")
		for i := range 40 {
			e.steady(st, 700*time.Millisecond)
			switch p := e.proxies[i%2]; i % 4 {
			case 0:
				p.Kill()
				e.steady(st, 300*time.Millisecond)
				if err := p.Restart(); err != nil {
					t.Fatal(err)
				}
			case 1:
				p.ResetConnections()
			case 2:
				p.AckDelay(time.Duration(i) * 50 * time.Millisecond)
			case 3:
				p.CloseConnections()
			}
		}
		for _, p := range e.proxies {
			p.AckDelay(0)
		}
		settle(time.Minute)
		for i, p := range e.proxies {
			if n := p.Stats().Connections; n < 1 || n > 2 {
				t.Errorf("proxy %d has %d connections", i, n)
			}
		}
		for _, c := range ended.list() {
			if c.Reason == "drained" && (c.Unanswered != 0 || c.Acked != 0) {
				t.Errorf("closed at its lifetime with %d packs in flight and %d acked", c.Unanswered, c.Acked)
			}
		}
		e.close(time.Minute)
		if final, lost := len(e.log.payloads(sdk.Final)), len(e.log.payloads(sdk.Lost)); final+lost != e.log.next || final == 0 {
			t.Errorf("%d records final and %d lost of %d", final, lost, e.log.next)
		}
	})
}

// Renewal is no recovery: the proxy's share is not cut.
func TestRenewedProxyKeepsItsShare(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 2, sdk.WithMaxConnLifetime(30*time.Second), sdk.WithSlowStart(20*time.Second))
		st := e.stream("s")
		e.steady(st, 28*time.Second)
		before := e.proxies[0].Stats().Packs
		for _, p := range e.proxies {
			if n := p.Stats().Accepted; n != 1 && n != 2 {
				t.Fatalf("%d connections", n)
			}
		}
		e.steady(st, 12*time.Second) // both are renewed
		got := e.proxies[0].Stats().Packs - before
		if got < 400 || got > 800 {
			t.Errorf("the proxy got %d of 1,200 packs around its renewal, want about half", got)
		}
		e.close(time.Second)
	})
}

func TestLifetimeThatCannotBeRenewedIsSaidOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		log := new(logLines)
		n := 0
		e := setup(t, 1)
		e.close(time.Second)
		e.sender = e.newSender(sdk.WithProxies(e.addrs()...), sdk.WithMaxConnLifetime(5*time.Second), logged(log),
			sdk.WithDial(func(ctx context.Context, network, addr string) (net.Conn, error) {
				if n++; n > 1 {
					return nil, context.DeadlineExceeded
				}
				return e.net.DialContext(ctx, network, addr)
			}))
		e.steady(e.stream("s"), time.Minute)
		if said := log.lines("a connection has reached its lifetime"); len(said) != 1 {
			t.Errorf("the log says it %d times", len(said))
		}
		e.close(time.Second)
		e.log.want(sdk.Final, e.log.next)
	})
}
