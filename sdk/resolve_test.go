package sdk_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/finality"
)

// names is a resolver: addresses by host.
type names struct {
	mu    sync.Mutex
	hosts map[string][]string
	asked int
}

func (n *names) set(host string, addrs ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts == nil {
		n.hosts = make(map[string][]string)
	}
	n.hosts[host] = addrs
}

func (n *names) resolve(_ context.Context, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	if n.hosts[host] == nil {
		return nil, errors.New("no such host")
	}
	var addrs []netip.Addr
	for _, a := range n.hosts[host] {
		addrs = append(addrs, netip.MustParseAddr(a))
	}
	return addrs, nil
}

// setupNames has proxies at 10.0.0.1:1 to 10.0.0.n:1 and a sender to the name dp:1.
func setupNames(t *testing.T, n int, r *names, opts ...sdk.Option) *env {
	t.Helper()
	e := &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1, 2), log: newLedger(t)}
	for i := range n {
		e.addProxy(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 1).String())
	}
	e.sender = e.newSender(append([]sdk.Option{sdk.WithProxies("dp:1"), sdk.WithResolver(r.resolve)}, opts...)...)
	synctest.Wait()
	return e
}

// addresses of the endpoints in the state.
func (e *env) addresses(state string) (addrs []string) {
	for _, ep := range e.sender.Status().Endpoints {
		if ep.State == state {
			addrs = append(addrs, ep.Address)
		}
	}
	return addrs
}

func (e *env) wantAddresses(state string, want ...string) {
	e.t.Helper()
	if got := e.addresses(state); !slices.Equal(got, want) {
		e.t.Errorf("%s: %q, want %q", state, got, want)
	}
}

func TestNameWithSeveralAddressesIsSeveralProxies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := new(names)
		r.set("dp", "10.0.0.2", "10.0.0.1", "10.0.0.3")
		e := setupNames(t, 3, r)
		e.wantAddresses("connected", "dp:1 (10.0.0.1)", "dp:1 (10.0.0.2)", "dp:1 (10.0.0.3)")
		e.steady(e.stream("s"), 10*time.Second)
		for i, p := range e.proxies {
			if got := p.Stats().Acked; got < 200 {
				t.Errorf("proxy %d got %d of 1000 packs, want about a third", i, got)
			}
		}
		e.proxies[1].Kill()
		e.send(e.stream("s"), 100)
		if took := e.delivered(1100); took > time.Second {
			t.Errorf("with one address away delivered after %v, want at once", took)
		}
		e.wantAddresses("connecting", "dp:1 (10.0.0.2)")
		e.close(time.Minute)
	})
}

// A list is kept as names say now: what comes is used, what goes away finishes what it has, and nothing is lost.
func TestAddressesOfANameAreFollowed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := new(names)
		r.set("dp", "10.0.0.1", "10.0.0.2")
		e := setupNames(t, 3, r, sdk.WithRefresh(time.Minute), config(finality.Settle, nil))
		done := make(chan bool)
		go func() {
			defer close(done)
			for end := time.Now().Add(12 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
				e.send(e.stream("s"), 1)
			}
		}()
		settle(10 * time.Second)
		r.set("dp", "10.0.0.2", "10.0.0.3")
		settle(time.Minute)
		e.wantAddresses("connected", "dp:1 (10.0.0.1)", "dp:1 (10.0.0.2)", "dp:1 (10.0.0.3)") // some servers name a few of many
		settle(3 * time.Minute)
		e.wantAddresses("connected", "dp:1 (10.0.0.2)", "dp:1 (10.0.0.3)")
		if n := e.net.Connections("10.0.0.1:1"); n != 0 {
			t.Errorf("%d connections to an address that is not the name's any more", n)
		}
		r.set("dp") // no answer with addresses changes anything
		settle(2 * time.Minute)
		e.wantAddresses("connected", "dp:1 (10.0.0.2)", "dp:1 (10.0.0.3)")
		r.set("dp", "10.0.0.3")
		settle(4 * time.Minute)
		e.wantAddresses("connected", "dp:1 (10.0.0.3)")
		<-done
		e.close(time.Minute)
		e.log.want(sdk.Final, 7200)
		if st := e.sender.Status().Streams[0]; st.PacksLost != 0 || st.PacksResent != 0 {
			t.Errorf("%d packs lost, %d sent again, want none", st.PacksLost, st.PacksResent)
		}
	})
}

// An address that is gone, and is not connected either, is not dialled for ever.
func TestAddressThatIsGoneAndAwayIsLeftAtTheNextAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := new(names)
		r.set("dp", "10.0.0.1", "10.0.0.2")
		e := setupNames(t, 2, r)
		e.proxies[0].Kill()
		r.set("dp", "10.0.0.2")
		settle(time.Minute)
		e.wantAddresses("connected", "dp:1 (10.0.0.2)")
		e.wantAddresses("connecting")
		e.close(time.Minute)
	})
}

// The endpoint of a name with one address is called as ever, and its address may change.
func TestNameWithOneAddressIsDialledAsItIs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := new(names)
		r.set("dp", "10.0.0.1")
		e := &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1, 2), log: newLedger(t)}
		e.addProxy("dp:1")
		e.addProxy("10.0.0.9:1")
		e.sender = e.newSender(sdk.WithProxies("dp:1", "10.0.0.9:1"), sdk.WithResolver(r.resolve))
		synctest.Wait()
		e.wantAddresses("connected", "10.0.0.9:1", "dp:1")
		r.set("dp", "10.0.0.2")
		settle(10 * time.Minute)
		if s := e.proxies[0].Stats(); s.Accepted != 1 {
			t.Errorf("%d connections, want the first one to go on", s.Accepted)
		}
		if r.asked < 8 || r.asked > 16 {
			t.Errorf("asked %d times in ten minutes, want once a minute or so", r.asked)
		}
		e.close(time.Minute)
	})
}

// Without an answer the name goes to the dial function, whose error says what is wrong.
func TestNameThatIsNotResolvedIsDialled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, l := new(names), new(logLines)
		e := setupNames(t, 2, r, logged(l))
		settle(5 * time.Minute)
		e.wantAddresses("connecting", "dp:1")
		if got := l.lines("resolving the name of a proxy fails"); len(got) != 1 || !strings.Contains(got[0], "no such host") {
			t.Errorf("logged %q, want one line with the reason", got)
		}
		e.send(e.stream("s"), 5)
		r.set("dp", "10.0.0.1", "10.0.0.2")
		if took := e.delivered(5); took > 75*time.Second {
			t.Errorf("delivered %v after the name was there, want a refresh at most", took)
		}
		e.wantAddresses("connected", "dp:1 (10.0.0.1)", "dp:1 (10.0.0.2)")
		e.close(time.Minute)
	})
}

func TestNamesOfTheManagerAreResolvedToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := new(names)
		r.set("dp", "10.0.0.1", "10.0.0.2")
		m := &lists{addrs: map[string][]string{"g": {"dp:1", "10.0.0.3:1"}}}
		e := &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1, 2), log: newLedger(t)}
		for _, addr := range []string{"10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"} {
			e.addProxy(addr)
		}
		e.sender = e.newSender(sdk.WithLister(m.ask), sdk.WithResolver(r.resolve))
		e.send(e.stream("s"), 50)
		e.delivered(50)
		e.wantAddresses("connected", "10.0.0.3:1", "dp:1 (10.0.0.1)", "dp:1 (10.0.0.2)")
		e.close(time.Minute)
	})
}
