package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/manager"
)

func (e *env) streamOfLocked(group, name string) *sdk.Stream {
	e.t.Helper()
	st, err := e.sender.Stream(group, name)
	if err != nil {
		e.t.Fatal(err)
	}
	return st
}

func TestAddGroupWaitsForAConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, l := setupManager(t, 1)
		l.set("g", errors.New("connection refused"))
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		err := e.sender.AddGroup(ctx, "g")
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("AddGroup without a Manager: %v, want the reason and the deadline", err)
		}
		e.proxies[0].Kill()
		l.set("g", nil, "dp1:1")
		added := make(chan error, 1)
		go func() { added <- e.sender.AddGroup(t.Context(), "g") }()
		settle(5 * time.Second)
		select {
		case err := <-added:
			t.Errorf("AddGroup returned %v while no proxy was connected", err)
		default:
		}
		if err := e.proxies[0].Restart(); err != nil {
			t.Fatal(err)
		}
		settle(30 * time.Second)
		if err := <-added; err != nil {
			t.Errorf("AddGroup: %v", err)
		}
		if err := e.sender.AddGroup(t.Context(), "g"); err != nil {
			t.Errorf("AddGroup of a group that is there: %v", err)
		}
		asked := l.questions()
		e.send(e.stream("s"), 1)
		synctest.Wait() // no time passes: list and connection were there
		e.log.want(sdk.Final, 1)
		if n := l.questions(); n != 0 {
			t.Errorf("%d questions by the first message after %d, want none", n, asked)
		}
		if _, ok := errors.AsType[*sdk.InvalidIDError](e.sender.AddGroup(t.Context(), "")); !ok {
			t.Error("AddGroup of an empty id: want an InvalidIDError")
		}
		e.close(time.Second)
		if err := e.sender.AddGroup(t.Context(), "g"); !errors.Is(err, sdk.ErrClosed) {
			t.Errorf("AddGroup after Close: %v, want ErrClosed", err)
		}
	})
}

func TestIsolatedGroupsHaveTheirOwnConnections(t *testing.T) {
	for _, tt := range []struct {
		isolation sdk.Isolation
		want      uint64
	}{{sdk.ShareConnections, 1}, {sdk.IsolateGroups, 3}, {sdk.IsolateGroupsShareList, 3}} {
		t.Run(fmt.Sprint(tt.isolation), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e := setup(t, 1, sdk.WithIsolation(tt.isolation))
				for _, g := range []string{"a", "b", "c"} {
					e.send(e.streamOfLocked(g, "s"), 10)
				}
				settle(time.Second)
				e.log.want(sdk.Final, 30)
				if n := e.proxies[0].Stats().Accepted; n != tt.want {
					t.Errorf("%d connections for 3 groups, want %d", n, tt.want)
				}
				s := e.sender.Status()
				if len(s.Endpoints) != 1 || uint64(s.Endpoints[0].Connections) != tt.want || s.Endpoints[0].PacksAcked != 30 {
					t.Errorf("endpoints %+v, want one row with %d connections and 30 packs", s.Endpoints, tt.want)
				}
				e.close(time.Second)
			})
		})
	}
}

func TestOneIsolatedGroupBlocksNoOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1, sdk.WithIsolation(sdk.IsolateGroups), sdk.WithPack(1<<10, 1, 0))
		e.net.Buffer = 512
		a, b := e.streamOfLocked("a", "s"), e.streamOfLocked("b", "s")
		if err := errors.Join(e.sender.AddGroup(t.Context(), "a"), e.sender.AddGroup(t.Context(), "b")); err != nil {
			t.Fatal(err)
		}
		// 114 to group a pauses its own connections only.
		e.proxies[0].Code(114, 1)
		e.send(a, 1)
		settle(50 * time.Millisecond)
		e.proxies[0].Code(114, 0)
		e.send(b, 5)
		synctest.Wait()
		e.log.want(sdk.Final, 5)
		e.close(time.Minute)
		e.log.want(sdk.Final, 6)
	})
}

func TestGroupsOfAClusterShareTheList(t *testing.T) {
	questions := func(t *testing.T, isolation sdk.Isolation, cluster int) (n int) {
		bubble(t, func(t *testing.T) {
			e, l := setupManager(t, 2, sdk.WithIsolation(isolation), sdk.WithRefresh(time.Minute))
			moved := ""
			l.cluster = func(group string) int {
				if group == moved {
					return cluster + 1
				}
				return cluster
			}
			const groups = 10
			for i := range groups {
				g := fmt.Sprint("g", i)
				l.set(g, nil, "dp1:1")
				e.streamOfLocked(g, "s")
				settle(time.Second)
			}
			l.questions()
			settle(5 * time.Minute)
			n = l.questions()
			// What one group learns, all do.
			for i := range groups {
				l.set(fmt.Sprint("g", i), nil, "dp2:1")
			}
			settle(3 * time.Minute)
			if s := e.sender.Status(); len(s.Endpoints) != 1 || s.Endpoints[0].Address != "dp2:1" {
				t.Errorf("endpoints %+v, want the new one only", s.Endpoints)
			}
			// A group that moves alone is found out, if late.
			l.set("g7", nil, "dp1:1")
			l.mu.Lock()
			moved = "g7"
			l.mu.Unlock()
			settle(12 * time.Minute)
			if e.sender.Status().Endpoints[0].Address != "dp1:1" {
				t.Error("a group that got other proxies kept the shared list")
			}
			e.close(time.Second)
		})
		return n
	}
	own, shared := questions(t, sdk.IsolateGroups, 1), questions(t, sdk.IsolateGroupsShareList, 1)
	if own < 50 || shared > 20 {
		t.Errorf("%d questions in 5 minutes for 10 groups with lists of their own, %d with one for the cluster; want 50 or more, and 20 at most", own, shared)
	}
	if n := questions(t, sdk.IsolateGroupsShareList, 0); n < 50 {
		t.Errorf("%d questions in 5 minutes of groups whose cluster is not known, want 50 or more", n)
	}
}

func TestMaxPacketLengthOfTheManagerIsKept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1, 1), log: newLedger(t)}
		p := e.addProxy("dp1:1", dptest.WithMaxFrame(8<<10))
		l := &lists{addrs: map[string][]string{"g": {"dp1:1"}}, maxPacket: 8 << 10}
		e.sender = e.newSender(sdk.WithLister(l.ask), sdk.WithRefresh(time.Second), sdk.WithCompression(sdk.None), sdk.WithMaxFrame(64<<10), sdk.WithPack(64<<10, 1000, 50*time.Millisecond))
		st := e.stream("s")
		if err := e.sender.AddGroup(t.Context(), "g"); err != nil {
			t.Fatal(err)
		}
		var payloads [][]byte
		for range 100 {
			payloads = append(payloads, append(e.log.fresh(), make([]byte, 900)...))
		}
		if n, err := e.sender.SendBatch(t.Context(), e.log.batch(st, payloads)); n != 100 || err != nil {
			t.Fatalf("SendBatch = %d, %v", n, err)
		}
		settle(time.Second)
		e.log.want(sdk.Final, 100)
		if n := p.Stats().Poisoned; n != 0 {
			t.Errorf("%d frames were longer than the Manager says", n)
		}
		m := sdk.Message{Stream: st, Time: time.Now(), Payload: make([]byte, 8<<10)}
		if err, ok := errors.AsType[*sdk.TooLargeError](e.sender.SendAsync(t.Context(), m, nil)); !ok || err.Limit >= 8<<10 {
			t.Errorf("a record longer than the Manager says: %v", err)
		}

		// What was taken under the old limit stays taken, though it is longer than the new one.
		m.Payload = make([]byte, 6<<10)
		taken := 0
		if err := e.sender.SendAsync(t.Context(), m, func(r sdk.Result) {
			if r.Outcome == sdk.Final {
				taken++
			}
		}); err != nil {
			t.Fatal(err)
		}
		l.limit(5 << 10)
		settle(2 * time.Second)
		if taken != 1 {
			t.Error("a record that was open when the limit shrank is not final")
		}
		if _, ok := errors.AsType[*sdk.TooLargeError](e.sender.SendAsync(t.Context(), m, nil)); !ok {
			t.Error("the new limit is not kept")
		}
		// Nonsense and silence mean our own limit, and a larger one does too.
		for _, n := range []int{100, 0, 1 << 20} {
			l.limit(n)
			settle(2 * time.Second)
			m.Payload = make([]byte, 65<<10)
			if err, ok := errors.AsType[*sdk.TooLargeError](e.sender.SendAsync(t.Context(), m, nil)); !ok || err.Limit < 60<<10 || err.Limit > 64<<10 {
				t.Errorf("limit %d of the Manager: %v, want our own, 64 KiB", n, err)
			}
		}
		e.close(time.Second)
	})
}

// The next Manager is asked when one is away, and the list of proxies is followed there.
func TestDiscoveryGoesOnAtTheNextManager(t *testing.T) {
	p := dptest.Start(t)
	first, second := dptest.StartManager(t), dptest.StartManager(t)
	first.SetNodes(p.Addr())
	second.SetNodes(p.Addr())
	c, err := manager.New(manager.Config{URLs: []string{first.URL(), second.URL()}, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	s, err := sdk.New(t.Context(), sdk.WithManager(c), sdk.WithRefresh(10*time.Millisecond), sdk.WithRetry(time.Millisecond, 10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.AddGroup(t.Context(), "g"); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	other := dptest.Start(t)
	second.SetNodes(other.Addr())
	st, err := s.Stream("g", "s")
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); other.Stats().Packs == 0; {
		if err := s.Send(t.Context(), sdk.Message{Stream: st, Time: time.Now(), Payload: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("the second Manager's list is not followed: %+v", s.Status().Discovery)
		}
	}
	if err := s.Close(t.Context()); err != nil {
		t.Errorf("Close: %v", err)
	}
}
