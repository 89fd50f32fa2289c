package sdk_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/finality"
	"inlong-bridge/sdk/manager"
)

// lists is a Manager: addresses by group, or an error.
type lists struct {
	mu    sync.Mutex
	addrs map[string][]string
	err   error
	asked int

	cluster   func(group string) int
	maxPacket int
	hang      bool
}

func (l *lists) ask(ctx context.Context, group string) (manager.Nodes, error) {
	l.mu.Lock()
	hang := l.hang
	l.asked++
	l.mu.Unlock()
	if hang {
		<-ctx.Done()
		return manager.Nodes{}, ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	n := manager.Nodes{Addresses: l.addrs[group], MaxPacketLength: l.maxPacket}
	if l.cluster != nil {
		n.ClusterID = l.cluster(group)
	}
	return n, l.err
}

// hangs lets questions wait until their context ends.
func (l *lists) hangs(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hang = on
}

// limit sets what the answers say about the longest frame.
func (l *lists) limit(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.maxPacket = n
}

// questions returns how many there were since the last call.
func (l *lists) questions() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.asked
	l.asked = 0
	return n
}

func (l *lists) set(group string, err error, addrs ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addrs[group], l.err = addrs, err
}

// setupManager is setup with a Manager that names the proxies, for group g.
func setupManager(t *testing.T, n int, opts ...sdk.Option) (*env, *lists) {
	t.Helper()
	e := &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1, 1), log: newLedger(t)}
	for i := range n {
		e.addProxy([]string{"dp1:1", "dp2:1", "dp3:1", "dp4:1"}[i])
	}
	l := &lists{addrs: make(map[string][]string)}
	e.sender = e.newSender(append([]sdk.Option{sdk.WithLister(l.ask), sdk.WithRefresh(time.Second)}, opts...)...)
	return e, l
}

func TestNothingGoesOutBeforeTheFirstList(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, l := setupManager(t, 1)
		l.set("g", errors.New("connection refused"))
		e.send(e.stream("s"), 5)
		settle(10 * time.Second)
		s := e.sender.Status()
		if !strings.Contains(s.Streams[0].Stall, "connection refused") || s.WaitingPacks != 5 || !s.Discovery.Stale {
			t.Errorf("status %+v, want 5 packs waiting for a list", s)
		}
		l.set("g", nil, e.addrs()...)
		settle(10 * time.Second)
		e.log.want(sdk.Final, 5)
		if d := e.sender.Status().Discovery; d.Source != "manager" || d.Stale || d.LastError != "" {
			t.Errorf("discovery %+v", d)
		}
		e.close(time.Second)
	})
}

func TestListChangesWhileSendingLoseNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, l := setupManager(t, 4, config(finality.Settle, nil))
		addrs := e.addrs()
		st := e.stream("s")
		for i := range 20 {
			l.set("g", nil, addrs[i%4], addrs[(i+1)%4])
			e.steady(st, time.Second)
		}
		settle(20 * time.Second)
		e.log.want(sdk.Final, 2000) // all settled: no connection was cut that held acked packs
		s := e.sender.Status()
		if s.Streams[0].PacksLost != 0 || s.Streams[0].PacksResent != 0 {
			t.Errorf("%d packs lost, %d sent again, want none", s.Streams[0].PacksLost, s.Streams[0].PacksResent)
		}
		if len(s.Endpoints) != 2 {
			t.Errorf("%d endpoints after the drain, want 2: %+v", len(s.Endpoints), s.Endpoints)
		}
		for _, p := range e.proxies {
			if p.Stats().Acked == 0 {
				t.Errorf("proxy %s got nothing", p.Addr())
			}
		}
		e.close(time.Second)
	})
}

func TestRemovedProxyDrains(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, l := setupManager(t, 2)
		l.set("g", nil, "dp1:1")
		e.proxies[0].AckDelay(5 * time.Second)
		st := e.stream("s")
		e.send(st, 5)
		synctest.Wait()
		l.set("g", nil, "dp2:1")
		settle(2 * time.Second)
		e.send(st, 5)
		synctest.Wait()
		if s := e.sender.Status(); len(s.Endpoints) != 2 || s.Endpoints[0].State != "draining" || s.Endpoints[0].InFlightPacks != 5 {
			t.Errorf("endpoints %+v, want the first one draining 5 packs", s.Endpoints)
		}
		e.log.want(sdk.Final, 5)
		settle(5 * time.Second)
		e.log.want(sdk.Final, 10)
		if s := e.sender.Status(); len(s.Endpoints) != 1 || s.Streams[0].PacksResent != 0 {
			t.Errorf("status %+v, want the first proxy gone and nothing sent again", s)
		}
		e.close(time.Second)
	})
}

func TestEmptyAndFailingAnswersKeepTheList(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, l := setupManager(t, 1)
		l.set("g", nil, "dp1:1")
		e.send(e.stream("s"), 1)
		settle(5 * time.Second)
		l.set("g", nil)
		settle(5 * time.Second)
		if d := e.sender.Status().Discovery; !d.Stale || !strings.Contains(d.LastError, "names no proxy") {
			t.Errorf("discovery %+v, want stale and the reason", d)
		}
		e.send(e.stream("s"), 5)
		e.close(time.Second)
		e.log.want(sdk.Final, 6)
		if n := e.proxies[0].Stats().Accepted; n != 1 {
			t.Errorf("%d connections, want the first one kept", n)
		}
	})
}

func TestGroupsShareConnectionsToTheSameProxy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, l := setupManager(t, 2)
		l.set("g", nil, "dp1:1", "dp2:1")
		l.set("h", nil, "dp2:1")
		other, err := e.sender.Stream("h", "s")
		if err != nil {
			t.Fatal(err)
		}
		e.send(other, 10)
		e.send(e.stream("s"), 10)
		settle(2 * time.Second)
		e.log.want(sdk.Final, 20)
		if n := e.proxies[1].Stats(); n.Accepted != 1 || n.Packs < 10 {
			t.Errorf("%d connections, %d packs at the shared proxy, want 1 and all of group h", n.Accepted, n.Packs)
		}
		l.set("g", nil, "dp1:1")
		settle(3 * time.Second)
		e.send(other, 5)
		e.close(time.Second)
		e.log.want(sdk.Final, 25)
	})
}

func TestSenderStartsFromTheFileWhenTheManagerIsAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dir := t.TempDir()
		e, l := setupManager(t, 1, sdk.WithCacheDir(dir))
		l.set("g", nil, "dp1:1")
		e.send(e.stream("s"), 1)
		settle(time.Second)
		e.close(time.Second)

		l.set("g", errors.New("away"))
		e.sender = e.newSender(sdk.WithLister(l.ask), sdk.WithCacheDir(dir))
		e.send(e.stream("s"), 5)
		settle(10 * time.Second)
		e.log.want(sdk.Final, 6)
		if d := e.sender.Status().Discovery; d.Source != "file" || !d.Stale || d.LastError != "away" {
			t.Errorf("discovery %+v, want the file, stale, and why", d)
		}
		e.close(time.Second)
	})
}

// The same over HTTP, with the Manager's double.
func TestManagerOverHTTP(t *testing.T) {
	p := dptest.Start(t)
	m := dptest.StartManager(t)
	m.SetNodes(p.Addr())
	c, err := manager.New(manager.Config{URLs: []string{m.URL()}, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	s, err := sdk.New(t.Context(), sdk.WithManager(c))
	if err != nil {
		t.Fatal(err)
	}
	st, err := s.Stream("g", "s")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), sdk.Message{Stream: st, Time: time.Now(), Payload: []byte("over HTTP")}); err != nil {
		t.Errorf("Send: %v", err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Errorf("Close: %v", err)
	}
}
