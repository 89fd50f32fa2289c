package engine

import (
	"slices"
	"testing"
	"time"

	"inlong-bridge/sdk/finality"
)

func TestPermanentRefusalNeedsTwoProxies(t *testing.T) {
	r := newRig(t, 3, finality.Ack, nil)
	p := r.sent(1)
	first := r.proxyOf(p)
	r.refuse(p, 109)
	r.want(p, Waiting.next(p))
	r.waitSent(p)
	if r.proxyOf(p) == first {
		t.Fatal("the pack goes to the proxy again that refused it, though others are connected")
	}
	r.refuse(p, 109)
	if f := r.took(PackRefused); len(f) != 1 || f[0].Cause != ByProxies || f[0].Err == nil {
		t.Errorf("%+v", f)
	}
}

// next is Waiting or InFlight: dispatch may have been quicker.
func (s State) next(p *Pack) State {
	if p.state == InFlight {
		return InFlight
	}
	return s
}

func TestOnlyProxyOfAListIsBelieved(t *testing.T) {
	r := newRig(t, 1, finality.Ack, nil)
	p := r.sent(1)
	r.refuse(p, 109)
	r.want(p, Done)
}

// The only proxy that is connected of two refuses: it is not believed, nobody waits behind the pack, and the same proxy
// is tried again after a pause.
func TestOneProxyOfTwoIsNotBelievedWhileTheOtherIsAway(t *testing.T) {
	r := newRig(t, 2, finality.Ack, nil)
	r.e.Ended(r.conns[1], errOver, r.now)
	r.progress()
	p := r.sent(1)
	r.refuse(p, 109)
	r.want(p, Waiting)
	if s := r.e.Stall(r.streams[0], r.now); s.Kind != StallOneProxy || s.Err == nil {
		t.Errorf("the stream stalls as %v", s.Kind)
	}
	next := r.sent(1)
	r.ack(next)
	r.waitSent(p)
	r.refuse(p, 109)
	r.want(p, Waiting)
	r.open(1, false)
	r.waitSent(p)
	if r.proxyOf(p) != 1 {
		t.Error("the pack does not go to the other proxy when that is connected")
	}
	r.ack(p)
	r.want(p, Done)
}

// heldRig has so many packs that both proxies refused, each of a stream of its own or all of one.
func heldRig(t *testing.T, packs int, oneStream bool) (*rig, []*Pack) {
	t.Helper()
	r := newRig(t, 2, finality.Ack, func(c *Config) { c.HoldRefused = true })
	var held []*Pack
	for i := range packs {
		st := r.streams[0]
		if i > 0 && !oneStream {
			st = r.stream()
		}
		p := r.pack(st, 1)
		r.progress()
		for p.State() != Held {
			r.waitSent(p)
			r.refuse(p, 109)
		}
		held = append(held, p)
	}
	return r, held
}

func TestHeldPackIsProbedThroughEachProxyAtGrowingPauses(t *testing.T) {
	r, held := heldRig(t, 1, true)
	p := held[0]
	if got := r.news[p]; !slices.Equal(got, []Kind{PackHeld}) || len(r.took(HoldingBegins)) != 1 {
		t.Fatalf("told %v, want held once", got)
	}
	var began []time.Duration
	for range 4 {
		r.waitSent(p)
		began = append(began, r.now)
		first := r.proxyOf(p)
		if !p.isolated {
			t.Error("a probe does not travel alone")
		}
		r.refuse(p, 109)
		r.waitSent(p)
		if r.proxyOf(p) == first {
			t.Fatal("the probe goes to the same proxy twice")
		}
		r.refuse(p, 109)
		r.want(p, Held)
	}
	for i := 2; i < len(began); i++ {
		if before, now := began[i-1]-began[i-2], began[i]-began[i-1]; now <= before {
			t.Errorf("probes at %v, want growing pauses", began)
		}
	}
	if got := r.news[p]; len(got) != 1 {
		t.Errorf("told %v, want held once", got)
	}
}

func TestOneHeldPackIsProbedAtATimeAndAllAreReleasedTogether(t *testing.T) {
	r, held := heldRig(t, 5, false)
	for !slices.ContainsFunc(held, func(p *Pack) bool { return p.State() == InFlight }) {
		r.wait(100 * time.Millisecond)
	}
	r.take()
	probed := 0
	var probe *Pack
	for _, p := range held {
		if p.State() == InFlight {
			probed++
			probe = p
		}
	}
	if probed != 1 {
		t.Fatalf("%d held packs are tried at once, want 1", probed)
	}
	r.took()
	r.ack(probe)
	if f := r.took(HoldingEnds); len(f) != 1 || f[0].Packs != 5 {
		t.Errorf("%+v, want that 5 packs go out", f)
	}
	for _, p := range held {
		if got := r.news[p]; len(got) < 2 || got[0] != PackHeld || got[1] != PackReleased {
			t.Errorf("told %v, want held and released", got)
		}
		if p != probe {
			r.waitSent(p)
			r.ack(p)
		}
		r.want(p, Done)
	}
	if r.streams[0].Held() != 0 || len(r.e.refused.codes) != 0 {
		t.Error("the books of what is held are not empty")
	}
}

// A pack that is never taken does not stand before those of other streams.
func TestStreamsTakeTurnsWithProbes(t *testing.T) {
	r, held := heldRig(t, 3, false)
	var order []int
	for len(order) < 6 {
		for !slices.ContainsFunc(held, func(p *Pack) bool { return p.State() == InFlight }) {
			r.wait(100 * time.Millisecond)
		}
		i := slices.IndexFunc(held, func(p *Pack) bool { return p.State() == InFlight })
		order = append(order, i)
		for held[i].State() != Held {
			r.waitSent(held[i])
			r.refuse(held[i], 109)
		}
	}
	if !slices.Equal(order, []int{0, 1, 2, 0, 1, 2}) {
		t.Errorf("probed in the order %v, want each stream in turn", order)
	}
}

func TestHeldPackThatIsSeenIsReleasedAndFinal(t *testing.T) {
	r := newRig(t, 2, finality.Queue, func(c *Config) { c.HoldRefused = true })
	p := r.sent(1)
	r.refuse(p, 109)
	r.waitSent(p)
	r.refuse(p, 109)
	r.want(p, Held)
	r.e.Seen(p.seq, r.now)
	r.progress()
	r.want(p, Done)
	if got := r.news[p]; !slices.Equal(got, []Kind{PackHeld, PackReleased, PackFinal}) {
		t.Errorf("told %v", got)
	}
}

func TestHeldPackOfWhichNobodyWantsNewsIsForgotten(t *testing.T) {
	r, held := heldRig(t, 2, true)
	if got := r.e.HeldPacks(); len(got) != 2 || !r.e.Forget(got[0], r.now) {
		t.Fatalf("%d held packs", len(got))
	}
	r.progress()
	r.want(held[0], Done)
	if r.e.Forget(held[0], r.now) {
		t.Error("forgotten twice")
	}
	if n := r.streams[0].Held(); n != 1 {
		t.Errorf("%d packs held, want 1", n)
	}
}

func TestFlushEndsTheProbeUnderWayAndBeginsNone(t *testing.T) {
	r, held := heldRig(t, 2, true)
	r.waitSent(held[0])
	r.e.Flush()
	if r.progress(); r.e.Idle() {
		t.Error("idle while a probe is in flight")
	}
	r.refuse(held[0], 109)
	r.want(held[0], Held)
	if !r.e.Idle() {
		t.Error("held packs keep the owner from closing")
	}
	r.wait(time.Minute)
	r.want(held[0], Held)
}

// 1. a held pack is probed  2. that ends connections to two proxies, on which it was alone  3. it is no longer held, but cut
func TestProbeThatEndsConnectionsIsIsolatedInstead(t *testing.T) {
	r := newRig(t, 2, finality.Ack, func(c *Config) { c.HoldRefused = true })
	r.parts = false
	p := r.sent(2)
	for p.State() != Held {
		r.refuse(p, 109)
		if p.State() != Held {
			r.waitSent(p)
		}
	}
	for len(r.took(Cut)) == 0 {
		r.kill(p)
	}
	if got := r.news[p]; !slices.Equal(got, []Kind{PackHeld, PackReleased}) {
		t.Errorf("told %v", got)
	}
	if r.e.refused.probing != nil || r.streams[0].Held() != 0 {
		t.Error("it is still in the books of what is held")
	}
}

func TestProxyThatRefusesAStreamsPacksAloneIsAvoidedForAPause(t *testing.T) {
	r := newRig(t, 2, finality.Ack, nil)
	bad := -1
	for rejects := 0; rejects == 0; rejects = len(r.took(StreamRejects)) {
		r.now += time.Millisecond
		p := r.sent(1)
		if bad < 0 {
			bad = r.proxyOf(p)
		}
		if r.proxyOf(p) == bad {
			r.refuse(p, 109)
			r.waitSent(p)
		} else if p.State() == InFlight {
			r.e.Progress(r.now)
			continue
		}
		r.e.Progress(r.now)
	}
	if b := r.streams[0].breakers[r.eps[bad]]; b.state(r.now) != Open {
		t.Errorf("the breaker of the stream there is %v after two refusals, want open", b.state(r.now))
	}
}

// 1. a proxy turns into a zombie, and gets one pack per pause  2. every pack is offered to the other proxy first, which
// rejects it  3. the copy that the zombie stores is the only one there can be, so it shows that the proxy lives
func TestRejectedCopyDoesNotHideThatAZombieLives(t *testing.T) {
	r := newRig(t, 2, finality.Queue, nil)
	zombie := func() bool { return r.e.EndpointState(r.eps[0], r.now).Confirm.Reason == finality.EndpointZombie }
	seen := func(p *Pack) {
		r.e.Seen(p.seq, r.now)
		r.progress()
	}
	silent := 0
	for i := 0; i < 100 && !zombie(); i++ {
		p := r.sent(1)
		r.ack(p)
		if r.proxyOf(p) == 1 || i < 10 { // the first ones end the slow start
			seen(p)
		} else {
			silent++
		}
		r.wait(3 * time.Second)
		if r.barrier {
			r.barrier = false
			r.e.BarrierPassed(r.now, r.now)
			r.progress()
		}
	}
	if !zombie() || silent == 0 {
		t.Fatal("no proxy turned into a zombie; the story tells nothing")
	}
	for range 100 {
		p := r.sent(1)
		if r.proxyOf(p) != 1 {
			r.ack(p) // the trial of the pause, which is not seen
			continue
		}
		r.refuse(p, 104)
		r.waitSent(p)
		if r.proxyOf(p) != 0 {
			t.Fatal("the pack was not offered to the other proxy")
		}
		r.ack(p)
		seen(p)
		break
	}
	if zombie() {
		t.Error("a pack that only the zombie can have stored was seen, and it still counts as one")
	}
}
