package engine

import (
	"math"
	"slices"
	"testing"
	"time"

	"inlong-bridge/sdk/backoff"
	"inlong-bridge/sdk/finality"
)

// noJitter is a source whose numbers take nothing off pauses.
type noJitter struct{}

func (noJitter) Uint64() uint64 { return 0 }

func TestBreakerGrowsOncePerRoundAndAdmitsOneTrial(t *testing.T) {
	cfg := testConfig(finality.Ack)
	cfg.Random, cfg.Retry = noJitter{}, backoff.Backoff{Min: time.Second, Max: time.Minute}
	e := New(cfg)
	var b breaker
	if b.state(0) != Closed || b.blocks(0) {
		t.Fatal("blocks before any refusal")
	}
	for pack := range uint64(100) { // all in flight when the first is refused
		b.refuse(e, pack+1, 0, 10*time.Second, "full", cfg.Retry)
	}
	if b.pauses != 1 || b.state(10*time.Second) != Open || b.state(11*time.Second) != HalfOpen {
		t.Errorf("after a hundred refusals of one round: %+v, want one pause of a second", b)
	}
	b.trial = 200
	if b.state(12*time.Second) != Trial || !b.blocks(12*time.Second) {
		t.Error("a second pack may go while the trial is in flight")
	}
	b.refuse(e, 200, 11*time.Second, 12*time.Second, "full", cfg.Retry)
	if b.pauses != 2 || b.state(14*time.Second) != HalfOpen || b.state(13*time.Second) != Open {
		t.Errorf("after a refused trial: %+v, want a pause of two seconds", b)
	}
}

// A proxy that says "not now" gets one pack at a time, then none, then one per pause, and everything again once one was
// acked in time.
func TestRefusingProxyIsThrottledThenPausedThenTried(t *testing.T) {
	r := newRig(t, 1, finality.Ack, func(c *Config) { c.Retry.Min = time.Second })
	first := r.sent(1)
	r.refuse(first, 114) // goes out again at once, alone
	second := r.send(1)
	if r.take(); first.State() != InFlight || second.State() != Waiting {
		t.Fatalf("after one refusal the packs are %v and %v, want one at a time", first.State(), second.State())
	}
	r.now += time.Millisecond
	r.refuse(first, 114)
	if s := r.e.EndpointState(r.eps[0], r.now); s.Breaker != Open || len(r.out) != 0 {
		t.Fatalf("after two refusals the breaker is %v, with %d packs sent", s.Breaker, len(r.out))
	}
	r.wait(700 * time.Millisecond)
	if n := len(r.take()); n != 0 {
		t.Errorf("%d packs sent during the pause", n)
	}
	r.wait(400 * time.Millisecond)
	trial := r.take()
	if s := r.e.EndpointState(r.eps[0], r.now); len(trial) != 1 || s.Breaker != Trial {
		t.Fatalf("%d packs sent after the pause, breaker %v, want one as the trial", len(trial), s.Breaker)
	}
	r.took()
	r.ack(trial[0])
	if got := r.took(EndpointTakes); len(got) != 1 || got[0].Times != 1 {
		t.Errorf("told %v, want that the proxy takes packs again after one pause", got)
	}
	if s := r.e.EndpointState(r.eps[0], r.now); s.Breaker != Closed || second.State() != InFlight {
		t.Errorf("after the trial the breaker is %v, the other pack %v", s.Breaker, second.State())
	}
}

func TestTrialThatIsAckedLateIsNoRecovery(t *testing.T) {
	r := newRig(t, 1, finality.Ack, func(c *Config) { c.Retry.Min = time.Second })
	p := r.sent(1)
	r.refuse(p, 114)
	r.take()
	r.now += time.Millisecond
	r.refuse(p, 114)
	r.waitSent(p)
	r.wait(3 * time.Second)
	r.ack(p)
	s := r.e.EndpointState(r.eps[0], r.now)
	if s.Breaker != Open || !s.AcksLate || s.BreakerReason != "acks come late" || len(r.took(EndpointTakes)) != 0 {
		t.Errorf("after a late trial: %v, late %v, %q", s.Breaker, s.AcksLate, s.BreakerReason)
	}
}

// Packs that were in flight when a proxy said "not now" for the first time say nothing new.
func TestRefusalsOfOneRoundOnlyThrottle(t *testing.T) {
	r := newRig(t, 1, finality.Ack, nil)
	packs := []*Pack{r.sent(1), r.sent(1), r.sent(1)}
	r.now += time.Millisecond
	for _, p := range packs {
		r.refuse(p, 114)
	}
	if s := r.e.EndpointState(r.eps[0], r.now); s.Breaker != Closed {
		t.Errorf("the breaker is %v after three refusals of one round, want closed", s.Breaker)
	}
}

// A stream that one proxy does not take goes to the others, and to that one with one pack per pause.
func TestStreamThatAProxyRefusesIsTriedThereOnePackAtATime(t *testing.T) {
	r := newRig(t, 2, finality.Ack, nil)
	p := r.sent(1)
	bad := r.proxyOf(p)
	r.refuse(p, 108)
	for range 20 {
		q := r.sent(1)
		if r.proxyOf(q) == bad {
			t.Fatal("a pack goes to the proxy that refuses the stream, during its pause")
		}
		r.ack(q)
	}
	r.wait(200 * time.Millisecond)
	r.take()
	trials := 0
	for range 30 { // none of them answered
		if r.proxyOf(r.sent(1)) == bad {
			trials++
		}
	}
	if trials != 1 {
		t.Errorf("%d packs sent to the proxy after its pause, want one as the trial", trials)
	}
	other := r.stream()
	toBad := 0
	for range 30 {
		q := r.pack(other, 1)
		r.progress()
		if r.proxyOf(q) == bad {
			toBad++
		}
	}
	if toBad == 0 {
		t.Error("another stream does not go to the proxy")
	}
}

// While no connected proxy knows a stream, pauses grow as long as those of held packs may.
func TestPausesOfAnUnknownStreamGrowOnWhileNoProxyKnowsIt(t *testing.T) {
	r := newRig(t, 1, finality.Ack, func(c *Config) {
		c.HoldRefused, c.Random = true, noJitter{}
		c.Retry.Max, c.HeldRetry.Max = 400*time.Millisecond, time.Hour
	})
	p := r.sent(1)
	var pauses []time.Duration
	for range 6 {
		r.refuse(p, 113)
		pauses = append(pauses, r.streams[0].breakers[r.eps[0]].until-r.now)
		if s := r.e.Stall(r.streams[0], r.now); s.Kind != StallUnknown || s.Endpoint != r.eps[0] {
			t.Errorf("the stream stalls as %v", s.Kind)
		}
		r.waitSent(p)
	}
	const ms = time.Millisecond
	if want := []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms}; !slices.Equal(pauses, want) {
		t.Errorf("pauses %v, want %v", pauses, want)
	}
}

func TestProxyThatCameBackHasAGrowingShare(t *testing.T) {
	ep := new(Endpoint)
	ep.eased(time.Second)
	for _, tt := range []struct {
		at   time.Duration
		want float64
	}{{time.Second, slowStartShare}, {2 * time.Second, slowStartShare}, {6 * time.Second, 0.5}, {10 * time.Second, 0.9}, {11 * time.Second, 1}} {
		if got := ep.share(tt.at, 10*time.Second); math.Abs(got-tt.want) > 1e-9 {
			t.Errorf("%v after it came back the share is %v, want %v", tt.at-time.Second, got, tt.want)
		}
	}
	if ep.growing {
		t.Error("the share still grows when it is whole")
	}
}
