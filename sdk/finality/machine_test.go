package finality

import (
	"testing"
	"time"
)

const second = time.Second

// rig drives a machine by hand. Its time only moves through wait.
type rig struct {
	t   *testing.T
	m   *Machine
	now time.Duration
	ds  []Decision
}

func newRig(t *testing.T, mode Mode, change func(*Config)) *rig {
	t.Helper()
	cfg := DefaultConfig(mode)
	if change != nil {
		change(&cfg)
	}
	r := &rig{t: t, m: New(cfg)}
	r.m.AddEndpoint(1, 0)
	r.m.Tick(0)
	return r
}

func (r *rig) collect() {
	for _, d := range r.m.Decisions(nil) {
		r.ds = append(r.ds, d)
		switch d.Kind {
		case Heartbeat:
			r.m.Beat(d.ConnEpoch, r.now)
		case Barrier:
			// Passed at once unless a test takes it in hand.
			r.m.BarrierPassed(r.now, r.now)
			r.collect()
		}
	}
}

// wait lets time pass in steps of 100 ms. With healthy, the heartbeats of these connections are
// answered at once.
func (r *rig) wait(d time.Duration, healthy ...ConnEpoch) {
	for end := r.now + d; r.now < end; {
		r.now += 100 * time.Millisecond
		r.m.Tick(r.now)
		r.collect()
		for _, epoch := range healthy {
			for i := len(r.m.conns[epoch].beats); i > 0; i-- {
				r.m.Answered(epoch, r.now)
			}
		}
		r.collect()
	}
}

func (r *rig) write(p Pack, epoch ConnEpoch) { r.m.Written(p, 1, epoch, 100, r.now) }

func (r *rig) ack(p Pack, epoch ConnEpoch) {
	r.write(p, epoch)
	r.m.Acked(p, epoch, r.now)
	r.collect()
}

// started ends the slow start of a stream, through the first connection; what was decided meanwhile is forgotten.
func (r *rig) started(s Stream) {
	const first = 1 << 40
	r.m.Written(first, s, 1, 100, r.now)
	r.m.Acked(first, 1, r.now)
	r.m.Seen(first, r.now)
	r.m.Decisions(nil)
}

// got returns the packs decided to be of a kind so far, and when the last of them was.
func (r *rig) got(k Kind) []Pack {
	var out []Pack
	for _, d := range r.ds {
		if d.Kind == k {
			out = append(out, d.Pack)
		}
	}
	return out
}

func (r *rig) want(k Kind, packs ...Pack) {
	r.t.Helper()
	got := r.got(k)
	if len(got) != len(packs) {
		r.t.Fatalf("at %v: decisions of kind %d for packs %v, want %v", r.now, k, got, packs)
	}
	for i := range got {
		if got[i] != packs[i] {
			r.t.Fatalf("at %v: decisions of kind %d for packs %v, want %v", r.now, k, got, packs)
		}
	}
}

func TestAckModeIsFinalAtTheAck(t *testing.T) {
	r := newRig(t, Ack, nil)
	r.m.Opened(1, 1, 0)
	r.write(1, 1)
	r.collect()
	r.want(Final)
	r.m.Acked(1, 1, r.now)
	r.collect()
	r.want(Final, 1)
}

func TestLateAckOfAnEndedConnectionIsIgnored(t *testing.T) {
	r := newRig(t, Ack, nil)
	r.m.Opened(1, 1, 0)
	r.write(1, 1)
	r.m.Ended(1, r.now)
	r.m.Acked(1, 1, r.now)
	r.collect()
	r.want(Final)
	r.want(Resend, 1)
}

func TestBrokenConnectionSendsAgainInOrderWithTheOldestMarked(t *testing.T) {
	r := newRig(t, Queue, nil)
	r.m.Opened(1, 1, 0)
	for p := Pack(1); p <= 3; p++ {
		r.write(p, 1)
	}
	r.m.Acked(1, 1, r.now)
	r.m.Ended(1, r.now)
	r.collect()
	r.want(Resend, 2, 3)
	if !r.ds[0].Oldest || r.ds[1].Oldest {
		t.Fatalf("oldest: %+v, want only the oldest unanswered pack", r.ds)
	}
}

func TestSilenceClosesTheConnection(t *testing.T) {
	r := newRig(t, Ack, nil)
	r.m.Opened(1, 1, 0)
	r.write(1, 1)
	r.wait(14 * second)
	if n := len(r.got(Close)); n != 0 {
		t.Fatalf("%d connections closed before ack_timeout", n)
	}
	r.wait(2 * second)
	if n := len(r.got(Close)); n != 1 {
		t.Fatalf("%d Close decisions after ack_timeout, want 1", n)
	}
}

func TestUnansweredHeartbeatClosesAnIdleConnection(t *testing.T) {
	r := newRig(t, Queue, nil)
	r.m.Opened(1, 1, 0)
	r.wait(44 * second)
	if n := len(r.got(Close)); n != 0 {
		t.Fatalf("%d connections closed early", n)
	}
	r.wait(2 * second)
	if b, c := len(r.got(Heartbeat)), len(r.got(Close)); b != 1 || c != 1 {
		t.Fatalf("%d heartbeats and %d closes, want one of each", b, c)
	}
}

func TestStoppedProcessDoesNotTakeUnreadAnswersForSilence(t *testing.T) {
	r := newRig(t, Ack, nil)
	r.m.Opened(1, 1, 0)
	r.write(1, 1)
	r.now += time.Minute // this process was stopped
	r.m.Tick(r.now)
	r.collect()
	if n := len(r.got(Close)); n != 0 {
		t.Fatal("connection closed before the answers that had come were read")
	}
	r.wait(3 * second)
	if n := len(r.got(Close)); n != 1 {
		t.Fatalf("%d Close decisions, want 1", n)
	}
}

// Settle.

func TestSettledAfterHealthyLifeOnly(t *testing.T) {
	r := newRig(t, Settle, nil)
	r.m.Opened(1, 1, 0)
	r.ack(1, 1)
	r.wait(9*second, 1)
	r.want(Final)
	r.wait(3*second, 1)
	r.want(Final, 1)
}

func TestSilenceSettlesNothing(t *testing.T) {
	r := newRig(t, Settle, func(c *Config) { c.AckTimeout = time.Hour })
	r.m.Opened(1, 1, 0)
	r.ack(1, 1)
	r.wait(time.Minute) // nothing is answered
	r.want(Final)
	// All the late answers come at once.
	for range r.m.conns[1].beats {
		r.m.Answered(1, r.now)
	}
	r.collect()
	r.want(Final)
}

// TestLateAnswersSettleNothing: the proxy answers every heartbeat, but always later than is timely.
func TestLateAnswersSettleNothing(t *testing.T) {
	r := newRig(t, Settle, nil)
	r.m.Opened(1, 1, 0)
	r.ack(1, 1)
	for range 300 {
		r.wait(100 * time.Millisecond)
		for len(r.m.conns[1].beats) > 0 && r.now-r.m.conns[1].beats[0] >= 2500*time.Millisecond {
			r.m.Answered(1, r.now)
		}
	}
	r.collect()
	r.want(Final)
}

// TestStoppedProxySettlesNothing: the proxy was stopped for 12 s and then answered. The gap between its
// timely answers is not life.
func TestStoppedProxySettlesNothing(t *testing.T) {
	r := newRig(t, Settle, nil)
	r.m.Opened(1, 1, 0)
	r.ack(1, 1)
	r.wait(2*second, 1)
	r.wait(12 * second)
	r.wait(2*second, 1)
	r.want(Final)
}

// TestOwnStopSettlesNothing: this process was stopped, so nobody looked at the connection meanwhile.
func TestOwnStopSettlesNothing(t *testing.T) {
	r := newRig(t, Settle, nil)
	r.m.Opened(1, 1, 0)
	r.ack(1, 1)
	r.wait(2*second, 1)
	r.now += 12 * second
	r.wait(2*second, 1)
	r.want(Final)
}

// TestHeartbeatsOfAZombieSettleNothing: a proxy without heap answers heartbeats while data acks stop.
func TestHeartbeatsOfAZombieSettleNothing(t *testing.T) {
	r := newRig(t, Settle, nil)
	r.m.Opened(1, 1, 0)
	r.ack(1, 1)
	r.write(2, 1) // never acked
	r.wait(14*second, 1)
	r.want(Final)
	r.wait(2*second, 1)
	r.m.Ended(1, r.now) // the Close decision, carried out
	r.collect()
	r.want(Lost, 1)
	r.want(Resend, 2)
}

func TestChannelFullStopsTheClockUntilADataPackIsAckedInTime(t *testing.T) {
	r := newRig(t, Settle, nil)
	r.m.Opened(1, 1, 0)
	r.ack(1, 1)
	r.write(2, 1)
	r.m.Refused(2, 1, true, r.now)
	r.wait(9*second, 1)
	r.want(Final)
	r.ack(3, 1) // in time: the clock runs again
	r.wait(9*second, 1)
	r.want(Final)
	r.wait(3*second, 1)
	r.want(Final, 1, 3)
}

func TestFullProxyThatGetsNoDataDoesNotKeepItsPacksForEver(t *testing.T) {
	r := newRig(t, Settle, nil)
	r.m.Opened(1, 1, 0)
	r.ack(1, 1)
	r.write(2, 1)
	r.m.Refused(2, 1, true, r.now)
	r.wait(39*second, 1)
	r.want(Final)
	r.want(Lost)
	r.wait(2*second, 1)
	r.want(Final)
	r.want(Lost, 1)
}

// TestFullProxyThatIsTriedKeepsItsPacks: a memory that stays full for long is no end of a process, and what
// it acked before is not sent again.
func TestFullProxyThatIsTriedKeepsItsPacks(t *testing.T) {
	r := newRig(t, Settle, nil)
	r.m.Opened(1, 1, 0)
	r.ack(1, 1)
	for p := Pack(2); p < 6; p++ {
		r.write(p, 1)
		r.m.Refused(p, 1, true, r.now)
		r.wait(30*second, 1)
	}
	r.want(Lost)
	r.ack(6, 1)
	r.wait(12*second, 1)
	r.want(Lost)
	r.want(Final, 1, 6)
}

func TestConnectionThatEndsLosesWhatHadNotSettled(t *testing.T) {
	r := newRig(t, Settle, nil)
	r.m.Opened(1, 1, 0)
	r.ack(1, 1)
	r.wait(12*second, 1)
	r.ack(2, 1)
	r.wait(5*second, 1)
	r.m.Ended(1, r.now)
	r.collect()
	r.want(Final, 1)
	r.want(Lost, 2)
}

func TestSlowAcksShrinkWhatMayBeInFlightDownToOnePack(t *testing.T) {
	r := newRig(t, Settle, nil)
	r.m.Opened(1, 1, 0)
	for p := Pack(1); p < 40; p++ {
		r.write(p, 1)
		r.wait(600*time.Millisecond, 1)
		r.m.Acked(p, 1, r.now)
	}
	if got := r.m.Admit(1, 1, 100, r.now); got != OK {
		t.Fatalf("with nothing in flight: %q, want a pack to be admitted", got)
	}
	r.write(40, 1)
	if got := r.m.Admit(1, 1, 100, r.now); got != InFlightFull {
		t.Fatalf("with one slow pack in flight: %q, want %q", got, InFlightFull)
	}
	for p := Pack(40); p < 60; p++ { // timely again
		r.m.Acked(p, 1, r.now)
		r.write(p+1, 1)
	}
	if got := r.m.Admit(1, 1, 100, r.now); got != OK {
		t.Fatalf("after timely acks: %q, want more than one pack in flight", got)
	}
}

func TestProxyWhoseConnectionsNeverSettleIsLeftAloneWithGrowingPauses(t *testing.T) {
	r := newRig(t, Settle, nil)
	var pauses []time.Duration
	for i := ConnEpoch(1); i <= 8; i++ {
		r.m.Opened(i, 1, r.now)
		begin := r.now
		for r.m.Admit(i, 1, 100, r.now) == EndpointPaused {
			r.wait(100 * time.Millisecond)
		}
		pauses = append(pauses, r.now-begin)
		r.ack(Pack(i), i)
		r.m.Ended(i, r.now)
		r.collect()
	}
	want := []time.Duration{0, 0, 0, 0, 0, 1 * second, 2 * second, 4 * second}
	for i := range want {
		if pauses[i] != want[i] {
			t.Fatalf("pauses %v, want %v", pauses, want)
		}
	}
}

// Queue.

func queueRig(t *testing.T, change func(*Config)) *rig {
	r := newRig(t, Queue, change)
	r.m.QueueAnswers(true, 0)
	r.m.Opened(1, 1, 0)
	return r
}

func TestOnlyWhatWasSeenIsFinal(t *testing.T) {
	r := queueRig(t, nil)
	r.ack(1, 1)
	r.wait(20*second, 1)
	r.want(Final)
	r.m.Seen(1, r.now)
	r.collect()
	r.want(Final, 1)
}

func TestSeenBeforeTheAckIsFinal(t *testing.T) {
	r := queueRig(t, nil)
	r.write(1, 1)
	r.m.Seen(1, r.now)
	r.m.Acked(1, 1, r.now)
	r.collect()
	r.want(Final, 1)
	if open, lost := r.m.Open(); open != 0 || lost != 0 {
		t.Fatalf("%d open, %d lost packs after all is final", open, lost)
	}
}

// TestWhatASilentProxyAckedIsWaitedForUntilItIsHeard: 1. the proxy stops; 2. its connection is closed at the
// ack time-out; 3. long after loss_grace it goes on and delivers what it had acked. Nothing is sent again.
func TestWhatASilentProxyAckedIsWaitedForUntilItIsHeard(t *testing.T) {
	r := queueRig(t, nil)
	r.ack(1, 1)
	r.ack(2, 1)
	r.write(3, 1)
	r.wait(16 * second)
	r.want(Close, 0)
	r.m.Ended(1, r.now)
	r.m.Opened(2, 1, r.now) // the kernel takes connections for a process that stands still
	r.wait(14 * second)     // less than another ack time-out, more than loss_grace
	r.want(Lost)
	r.m.Seen(1, r.now)
	r.write(3, 2)
	r.m.Acked(3, 2, r.now) // heard again
	r.wait(9 * second)
	r.want(Lost)
	r.wait(2 * second)
	r.want(Lost, 2) // it runs and has had loss_grace: what it does not show now is not with it
}

// TestSilentProxyIsGivenPatience: a host that lost its power is never heard again.
func TestSilentProxyIsGivenPatience(t *testing.T) {
	r := queueRig(t, nil)
	r.ack(1, 1)
	r.m.GivenUp(1) // a write took too long
	r.m.Ended(1, r.now)
	r.wait(59 * second)
	r.want(Lost)
	r.wait(2 * second)
	r.want(Lost, 1)
}

func TestLostPackSeenAfterAllIsFinal(t *testing.T) {
	r := queueRig(t, nil)
	r.ack(1, 1)
	r.m.Ended(1, r.now)
	r.wait(11 * second)
	r.want(Lost, 1)
	r.m.Seen(1, r.now)
	r.collect()
	r.want(Final, 1)
}

func TestForgottenPackIsForgotten(t *testing.T) {
	r := queueRig(t, nil)
	r.ack(1, 1)
	r.m.Ended(1, r.now)
	r.wait(11 * second)
	r.m.Forget(1)
	r.m.Seen(1, r.now)
	r.collect()
	r.want(Final)
	if open, lost := r.m.Open(); open != 0 || lost != 0 {
		t.Fatalf("%d open, %d lost packs after Forget", open, lost)
	}
}

func TestLossWaitsForABarrierBegunAfterTheGrace(t *testing.T) {
	r := queueRig(t, nil)
	r.ack(1, 1)
	r.m.Ended(1, r.now)
	begun := r.now
	for range 200 { // barriers of the grace time keep failing
		r.now += 100 * time.Millisecond
		r.m.Tick(r.now)
		for _, d := range r.m.Decisions(nil) {
			if d.Kind == Barrier {
				begun = r.now
				r.m.BarrierFailed(r.now)
			}
			if d.Kind == Lost {
				t.Fatalf("lost at %v without a barrier", r.now)
			}
		}
	}
	if begun < 10*second {
		t.Fatalf("barrier wanted at %v, before loss_grace was over", begun)
	}
	r.m.BarrierPassed(5*second, r.now) // begun too early
	r.collect()
	r.want(Lost)
	r.m.BarrierPassed(begun+second, r.now)
	r.collect()
	r.want(Lost, 1)
}

func TestNothingIsLostWhileTheQueueDoesNotAnswer(t *testing.T) {
	r := queueRig(t, nil)
	r.ack(1, 1)
	r.ack(2, 1)
	r.m.Ended(1, r.now)
	r.m.Opened(2, 1, r.now)
	r.ack(3, 2)
	r.m.QueueAnswers(false, r.now)
	r.wait(10*time.Minute, 2)
	r.want(Lost)
	r.m.QueueAnswers(true, r.now)
	r.wait(9*second, 2)
	r.want(Lost)
	r.wait(2*second, 2)
	r.want(Lost, 1, 2)
}

func TestWindowEndsWithItsConnection(t *testing.T) {
	r := queueRig(t, func(c *Config) { c.WindowPacks = 4 })
	r.started(1)
	for p := Pack(1); p <= 4; p++ {
		r.ack(p, 1)
	}
	if got := r.m.Admit(1, 1, 100, r.now); got != WindowFull {
		t.Fatalf("full window: %q, want %q", got, WindowFull)
	}
	r.m.Ended(1, r.now)
	r.m.Opened(2, 1, r.now)
	for p := Pack(5); p <= 8; p++ {
		if got := r.m.Admit(2, 1, 100, r.now); got != OK {
			t.Fatalf("pack %d on the new connection: %q, want a whole window", p, got)
		}
		r.ack(p, 2)
	}
}

func TestOneStreamLeavesRoomInTheWindow(t *testing.T) {
	r := queueRig(t, func(c *Config) { c.WindowPacks = 8 })
	r.started(1)
	r.m.Written(100, 2, 1, 100, r.now) // a second stream exists
	n := 0
	for p := Pack(1); r.m.Admit(1, 1, 100, r.now) == OK; p++ {
		r.write(p, 1)
		n++
	}
	if n != 4 {
		t.Fatalf("one stream took %d of 8 places, want as much as it leaves free", n)
	}
	if got := r.m.Admit(1, 1, 100, r.now); got != ShareFull {
		t.Fatalf("refusal %q, want %q", got, ShareFull)
	}
	if got := r.m.Admit(1, 2, 100, r.now); got != OK {
		t.Fatalf("the other stream: %q, want room", got)
	}
}

func TestOvertakenPackIsLostAfterPatience(t *testing.T) {
	r := queueRig(t, nil)
	r.m.AddEndpoint(2, 0) // or the stream would stall, having vanished on every proxy
	r.ack(1, 1)
	r.ack(2, 1)
	r.m.Seen(2, r.now)
	r.wait(59*second, 1)
	r.want(Lost)
	r.wait(2*second, 1)
	r.want(Lost, 1)
}

func TestStreamThatVanishesOnEveryProxyStallsAloneAndIsTriedAgain(t *testing.T) {
	r := queueRig(t, func(c *Config) { c.WindowPacks = 4 })
	r.started(1)
	r.ack(1, 1) // of stream 1, dropped
	r.ack(2, 1)
	r.m.Written(3, 2, 1, 100, r.now)
	r.m.Acked(3, 1, r.now)
	r.m.Seen(3, r.now)
	r.wait(61*second, 1)
	r.want(Lost, 1, 2)
	if got := r.m.Stalled(1, r.now); got != StreamStalled {
		t.Fatalf("stream 1: %q, want %q", got, StreamStalled)
	}
	if got := r.m.Stalled(2, r.now); got != OK {
		t.Fatalf("stream 2: %q, want it to go on", got)
	}
	r.wait(2*second, 1)
	if got := r.m.Admit(1, 1, 100, r.now); got != OK {
		t.Fatalf("trial: %q, want one pack to be admitted", got)
	}
	r.ack(4, 1)
	if got := r.m.Admit(1, 1, 100, r.now); got != StreamStalled {
		t.Fatalf("after the trial: %q, want %q", got, StreamStalled)
	}
	r.m.Seen(4, r.now)
	if got := r.m.Admit(1, 1, 100, r.now); got != OK {
		t.Fatalf("after the trial was seen: %q, want the stream to go on", got)
	}
}

func TestProbeGivesUpOldestPacksOneByOneWithGrowingPauses(t *testing.T) {
	r := queueRig(t, nil)
	r.started(1)
	for p := Pack(1); p <= 5; p++ {
		r.ack(p, 1)
	}
	var at []time.Duration
	for n := 0; n < 4; {
		r.wait(100*time.Millisecond, 1)
		if len(r.got(Lost)) > n {
			n = len(r.got(Lost))
			at = append(at, r.now)
		}
		if r.now > 3*time.Minute {
			t.Fatalf("lost %v after 3 min, want one after patience and then more", r.got(Lost))
		}
	}
	r.want(Lost, 1, 2, 3, 4)
	if d1, d2 := at[2]-at[1], at[3]-at[2]; d2 <= d1 {
		t.Fatalf("lost at %v, want growing pauses", at)
	}
}

func TestZombieLosesAllAndBecomesHalfOpen(t *testing.T) {
	r := queueRig(t, nil)
	r.started(1)
	r.m.AddEndpoint(2, 0)
	r.m.Opened(2, 2, r.now)
	for p := Pack(1); p <= 3; p++ {
		r.ack(p, 1) // never seen
	}
	r.ack(4, 2)
	r.m.Seen(4, r.now)
	r.wait(61*second, 1, 2)
	r.want(Lost, 1, 2, 3)
	if got := r.m.Endpoint(1, r.now).Reason; got != EndpointZombie {
		t.Fatalf("endpoint: %q, want %q", got, EndpointZombie)
	}
	r.wait(2*second, 1, 2)
	if got := r.m.Admit(1, 1, 100, r.now); got != OK {
		t.Fatalf("trial: %q, want one pack to be admitted", got)
	}
	r.ack(5, 1)
	if got := r.m.Admit(1, 1, 100, r.now); got != EndpointZombie {
		t.Fatalf("after the trial: %q, want %q", got, EndpointZombie)
	}
	r.m.Seen(5, r.now)
	if got := r.m.Admit(1, 1, 100, r.now); got != OK {
		t.Fatalf("after the trial was seen: %q, want the proxy to be full again", got)
	}
}

func TestSingleProxyIsNeverAZombie(t *testing.T) {
	r := queueRig(t, nil)
	r.started(1)
	for p := Pack(1); p <= 10; p++ {
		r.ack(p, 1)
	}
	r.wait(65*second, 1)
	if n := len(r.got(Lost)); n == 0 || n > 3 {
		t.Fatalf("%d of 10 packs lost, want probes only: a slow queue looks the same", n)
	}
	if got := r.m.Endpoint(1, r.now).Reason; got != OK {
		t.Fatalf("endpoint: %q, want none", got)
	}
}

func TestProxyRateSpreadsBytesOverTime(t *testing.T) {
	r := newRig(t, Ack, func(c *Config) { c.Rate = 1000 })
	r.m.Opened(1, 1, 0)
	sent := 0
	for p := Pack(1); r.now < 10*second; {
		for r.m.Admit(1, 1, 100, r.now) == OK {
			r.ack(p, 1)
			p++
			sent += 100
		}
		r.wait(100 * time.Millisecond)
	}
	if sent < 9500 || sent > 10800 {
		t.Fatalf("%d bytes in 10 s at 1000 bytes/s", sent)
	}
}
