package sdk_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/finality"
)

// connected are the proxies that have connections.
func (e *env) connected() (addrs []string) {
	for _, p := range e.proxies {
		if p.Stats().Connections > 0 {
			addrs = append(addrs, p.Addr())
		}
	}
	return addrs
}

// proxy returns the proxy with this address.
func (e *env) proxy(addr string) *dptest.Proxy {
	return e.proxies[slices.IndexFunc(e.proxies, func(p *dptest.Proxy) bool { return p.Addr() == addr })]
}

func TestOnlySoManyProxiesAreConnected(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 10, sdk.WithMaxProxies(3), sdk.WithConnections(2))
		e.steady(e.stream("s"), time.Second)
		used := e.connected()
		if len(used) != 3 {
			t.Errorf("connected to %q, want three", used)
		}
		for _, addr := range used {
			if s := e.proxy(addr).Stats(); s.Connections != 2 || s.Packs == 0 {
				t.Errorf("%s has %d connections and got %d packs, want 2 and some", addr, s.Connections, s.Packs)
			}
		}
		if n := len(e.sender.Status().Endpoints); n != 3 {
			t.Errorf("the status names %d proxies", n)
		}
		e.close(time.Second)
		e.log.want(sdk.Final, 100)
		settle(time.Second)

		others := false
		for seed := range uint64(5) {
			s := e.newSender(sdk.WithProxies(e.addrs()...), sdk.WithMaxProxies(3), sdk.WithSeed(seed+100))
			settle(time.Second)
			now := e.connected()
			if len(now) != 3 {
				t.Errorf("another sender is connected to %q", now)
			}
			others = others || !slices.Equal(now, used)
			if err := s.Close(t.Context()); err != nil {
				t.Error(err)
			}
			settle(time.Second)
		}
		if !others {
			t.Error("six senders chose the same proxies")
		}
	})
}

// 1. a proxy that is used dies  2. for a while the others do its work  3. one of the reserve takes its place  4. it comes back
// 5. some minutes later it has its place again, and the other one is left without a loss
func TestProxyThatFailsForLongIsReplacedAndHasItsPlaceBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 6, sdk.WithMaxProxies(2), config(finality.Settle, nil))
		st := e.stream("s")
		e.steady(st, time.Second)
		before := e.connected()
		if len(before) != 2 {
			t.Fatalf("connected to %q", before)
		}
		settle(20 * time.Second) // all is final
		e.proxy(before[0]).Kill()
		e.steady(st, 25*time.Second)
		if now := e.connected(); !slices.Equal(now, before[1:]) {
			t.Errorf("25 s later connected to %q, want %q alone: a restart takes as long", now, before[1])
		}
		e.steady(st, 40*time.Second)
		replaced := e.connected()
		if len(replaced) != 2 || !slices.Contains(replaced, before[1]) {
			t.Fatalf("a minute later connected to %q, want %q and another one", replaced, before[1])
		}
		if err := e.proxy(before[0]).Restart(); err != nil {
			t.Fatal(err)
		}
		settle(3 * time.Minute)
		if now := e.connected(); !slices.Equal(now, replaced) {
			t.Errorf("connected to %q, want %q still", now, replaced)
		}
		e.steady(st, 4*time.Minute)
		settle(30 * time.Second)
		if now := e.connected(); !slices.Equal(now, before) {
			t.Errorf("at last connected to %q, want %q as at first", now, before)
		}
		e.close(time.Minute)
		e.log.want(sdk.Final, e.log.next)
		if n := len(e.log.payloads(sdk.Lost)); n != 0 {
			t.Errorf("%d records lost", n)
		}
	})
}

func TestLastProxyThatFailsIsReplacedWithinSeconds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 3, sdk.WithMaxProxies(1))
		st := e.stream("s")
		e.send(st, 1)
		settle(time.Second)
		e.proxy(e.connected()[0]).Kill()
		e.send(st, 10)
		settle(8 * time.Second)
		e.log.want(sdk.Final, 11)
		// And with nobody left it tries one after another, without end and without a loss.
		for _, p := range e.proxies {
			p.Kill()
		}
		e.send(st, 10)
		settle(10 * time.Minute)
		e.log.want(sdk.Final, 11)
		if err := e.proxies[1].Restart(); err != nil {
			t.Fatal(err)
		}
		settle(2 * time.Minute)
		e.log.want(sdk.Final, 21)
		e.close(time.Second)
	})
}

// A proxy that accepts connections and refuses everything, or answers nothing, is as good as none.
func TestProxyThatRefusesForLongIsReplaced(t *testing.T) {
	for name, fault := range map[string]func(p *dptest.Proxy){
		"refuses": func(p *dptest.Proxy) { p.Code(114, 1) },
		"frozen":  func(p *dptest.Proxy) { p.Freeze(true) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e := setup(t, 4, sdk.WithMaxProxies(2))
				st := e.stream("s")
				e.steady(st, time.Second)
				used := e.connected()
				bad := e.proxy(used[0])
				fault(bad)
				e.steady(st, 3*time.Minute)
				if now := e.connected(); slices.Contains(now, bad.Addr()) && name == "refuses" || len(e.sender.Status().Endpoints) < 2 {
					t.Errorf("still connected to %q", now)
				}
				third := 0
				for _, p := range e.proxies {
					if !slices.Contains(used, p.Addr()) && p.Stats().Packs > 0 {
						third++
					}
				}
				if third != 1 {
					t.Errorf("%d proxies of the reserve got packs, want one", third)
				}
				e.close(time.Minute)
				e.log.want(sdk.Final, e.log.next)
			})
		})
	}
}

// A list that changes moves no more connections than it must, and a proxy that leaves it finishes what it has.
func TestChosenProxiesFollowTheList(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1, 2), log: newLedger(t)}
		for i := range 12 {
			e.addProxy(fmt.Sprintf("dp%d:46801", i))
		}
		names := &lists{addrs: map[string][]string{"g": e.addrs(), "other": e.addrs()}}
		e.sender = e.newSender(sdk.WithLister(names.ask), sdk.WithRefresh(10*time.Second), sdk.WithMaxProxies(3), config(finality.Settle, nil))
		st := e.stream("s")
		if err := e.sender.AddGroup(t.Context(), "other"); err != nil {
			t.Fatal(err)
		}
		e.steady(st, 5*time.Second)
		used := e.connected()
		if len(used) != 3 {
			t.Fatalf("two groups with one list are connected to %q, want three", used)
		}
		left := slices.DeleteFunc(e.addrs(), func(a string) bool { return a == used[1] })
		names.set("g", nil, left...)
		names.set("other", nil, left...)
		e.steady(st, 15*time.Second)
		settle(20 * time.Second)
		now := e.connected()
		if len(now) != 3 || slices.Contains(now, used[1]) || !slices.Contains(now, used[0]) || !slices.Contains(now, used[2]) {
			t.Errorf("connected to %q after %s left, before to %q", now, used[1], used)
		}
		for _, addr := range []string{used[0], used[2]} {
			if s := e.proxy(addr).Stats(); s.Accepted != 1 {
				t.Errorf("%s had %d connections, want the first one still", addr, s.Accepted)
			}
		}
		names.set("g", nil, used[:2]...) // fewer than may be used
		names.set("other", nil, used[:2]...)
		e.steady(st, 15*time.Second)
		settle(20 * time.Second)
		if now := e.connected(); !slices.Equal(now, used[:2]) {
			t.Errorf("connected to %q, want %q", now, used[:2])
		}
		e.close(time.Minute)
		e.log.want(sdk.Final, e.log.next)
		if s := e.sender.Status().Streams[0]; s.PacksResent != 0 {
			t.Errorf("%d packs were sent again", s.PacksResent)
		}
	})
}

func TestIsolatedGroupsChooseForThemselves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 20, sdk.WithMaxProxies(2), sdk.WithIsolation(sdk.IsolateGroups))
		for i := range 5 {
			if err := e.sender.AddGroup(t.Context(), fmt.Sprintf("g%d", i)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		n := 0
		for _, p := range e.proxies {
			n += p.Stats().Connections
		}
		if used := e.connected(); n != 10 || len(used) < 5 {
			t.Errorf("%d connections to %d proxies, want 10 spread over more than a few", n, len(used))
		}
		e.close(time.Second)
	})
}

func TestLimitsOfProxiesAndLifetimesAreChecked(t *testing.T) {
	for want, opt := range map[string]sdk.Option{
		"WithMaxProxies: 0 is below 1":         sdk.WithMaxProxies(0),
		"WithMaxConnLifetime: 0s is below 1s":  sdk.WithMaxConnLifetime(0),
		"WithMaxConnLifetime: -1s is below 1s": sdk.WithMaxConnLifetime(-time.Second),
	} {
		if _, err := sdk.New(t.Context(), sdk.WithProxies("a:1"), opt); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
