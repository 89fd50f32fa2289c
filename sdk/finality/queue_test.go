package finality

import (
	"testing"
	"time"
)

// 1. pack 1 goes to proxy 1, whose connection ends, and then to proxy 2  2. pack 1 is seen: from either copy
// 3. packs 10 and 11, which proxy 2 took before, are not seen. Pack 1 does not show that proxy 2 overtook them.
func TestPackWrittenTwiceSpeaksForNoProxy(t *testing.T) {
	r := queueRig(t, nil)
	r.m.AddEndpoint(2, 0)
	r.m.Opened(2, 2, 0)
	r.ack(10, 2)
	r.ack(11, 2)
	r.write(1, 1)
	r.m.Ended(1, r.now)
	r.collect()
	r.want(Resend, 1)
	r.ack(1, 2)
	r.m.Seen(1, r.now)
	r.wait(time.Minute+500*time.Millisecond, 2)
	r.want(Lost, 10) // the probe alone; overtaken packs are lost together
}

// A process that was stopped for an hour has not waited for an hour: the packs may lie in the queue unread.
func TestStoppedProcessHasNotWaitedForTheQueue(t *testing.T) {
	r := queueRig(t, nil)
	r.ack(1, 1)
	r.now += time.Hour
	r.m.Tick(r.now)
	r.collect()
	r.want(Lost)
	r.wait(50*second, 1)
	r.want(Lost)
	r.wait(10*second, 1)
	r.want(Lost, 1)
}

// hold is wait with barriers that stay under way, and answers to every heartbeat. It returns when the last
// barrier was asked for.
func (r *rig) hold(d time.Duration) (asked time.Duration) {
	for end := r.now + d; r.now < end; {
		r.now += 100 * time.Millisecond
		r.m.Tick(r.now)
		for _, d := range r.m.Decisions(nil) {
			r.ds = append(r.ds, d)
			switch d.Kind {
			case Heartbeat:
				r.m.Beat(d.ConnEpoch, r.now)
				r.m.Answered(d.ConnEpoch, r.now)
			case Barrier:
				asked = r.now
			}
		}
	}
	return asked
}

func (r *rig) passed(begun time.Duration) {
	r.m.BarrierPassed(begun, r.now)
	r.ds = append(r.ds, r.m.Decisions(nil)...)
}

// A barrier shows what lay in the queue when it began. What became overdue later may have come in between.
func TestBarrierLosesNothingThatWasOverdueAfterItBegan(t *testing.T) {
	r := queueRig(t, nil)
	r.ack(1, 1)
	asked := r.hold(61 * second)
	if asked < time.Minute {
		t.Fatalf("a barrier was asked for at %v, before patience was over", asked)
	}
	r.passed(asked - second)
	r.want(Lost)
	r.passed(asked)
	r.want(Lost, 1)
}

// The same for all that a proxy acked of which nothing is seen.
func TestBarrierLosesNothingOfAZombieThatWasOverdueAfterItBegan(t *testing.T) {
	r := queueRig(t, nil)
	r.m.AddEndpoint(2, 0)
	r.m.Opened(2, 2, 0)
	r.ack(1, 1)
	r.ack(2, 1)
	r.ack(3, 2)
	r.m.Seen(3, r.now)
	asked := r.hold(61 * second)
	r.passed(asked - second)
	r.want(Lost)
	r.passed(asked)
	r.want(Lost, 1, 2)
}

// 1. a barrier begins  2. the queue ceases to answer and answers again  3. the barrier passes. Nobody knows what
// the cluster told before it went away, so it counts for nothing.
func TestBarrierFromBeforeAnOutageLosesNothing(t *testing.T) {
	r := queueRig(t, nil)
	r.ack(1, 1)
	asked := r.hold(61 * second)
	r.m.QueueAnswers(false, r.now)
	r.hold(second)
	r.m.QueueAnswers(true, r.now)
	r.passed(asked)
	r.want(Lost)
	r.passed(r.hold(second))
	r.want(Lost, 1)
}

func TestBarrierThatFailedIsAskedForAgainAfterAPause(t *testing.T) {
	r := queueRig(t, nil)
	r.ack(1, 1)
	r.hold(61 * second)
	r.m.BarrierFailed(r.now)
	failed := r.now
	if asked := r.hold(900 * time.Millisecond); asked != 0 {
		t.Errorf("another barrier was asked for %v after one failed, want a pause of a second", asked-failed)
	}
	if asked := r.hold(300 * time.Millisecond); asked == 0 {
		t.Error("no barrier was asked for after the pause")
	}
}

// 1. a silent proxy has had patience, and a barrier begins  2. it is heard again: it stood still, and goes on with
// what it had acked  3. the barrier passes. What it acked is given loss_grace from step 2.
func TestProxyThatIsHeardWhileABarrierIsUnderWayIsGivenGrace(t *testing.T) {
	r := queueRig(t, nil)
	r.ack(1, 1)
	r.m.GivenUp(1)
	r.m.Ended(1, r.now)
	r.m.Opened(2, 1, r.now)
	asked := r.hold(29 * second)
	r.m.conns[2].closing = true // keeps it from being heard for its heartbeats
	for asked == 0 {
		asked = r.hold(second)
	}
	r.m.conns[2].closing = false
	r.write(2, 2)
	r.m.Acked(2, 2, r.now)
	r.passed(asked)
	r.want(Lost)
	r.passed(r.hold(11 * second))
	r.want(Lost, 1)
}

// Of a zombie that is half-open only a pack sent after that shows that it lives: an older one may have been on its
// way since before it became one.
func TestZombieIsOpenedOnlyByAPackSentAfterIt(t *testing.T) {
	r := queueRig(t, nil)
	r.m.AddEndpoint(2, 0)
	r.m.Opened(2, 2, 0)
	r.ack(1, 1)
	r.ack(2, 2)
	r.m.Seen(2, r.now)
	r.wait(61*second, 1, 2)
	r.want(Lost, 1)
	zombie := func() bool { return r.m.Endpoint(1, r.now).Reason == EndpointZombie }
	if !zombie() {
		t.Fatal("the proxy of which nothing is seen is not half-open")
	}
	r.m.Seen(1, r.now)
	if !zombie() {
		t.Error("a pack from before opened the proxy")
	}
	r.ack(3, 1)
	r.m.Seen(3, r.now)
	if zombie() {
		t.Error("the trial was seen, and the proxy is still half-open")
	}
}

// 1. a pack goes to proxy 2 first, which refuses it permanently, so it was not stored  2. it is written again through the
// zombie, and seen. It can only be the zombie's copy, so the zombie lives. A pack whose first copy may have been stored
// still speaks for nobody.
func TestZombieIsOpenedByAPackThatAnotherProxyRejected(t *testing.T) {
	for name, rejected := range map[string]bool{"rejected": true, "refused for now": false} {
		t.Run(name, func(t *testing.T) {
			r := queueRig(t, nil)
			r.m.AddEndpoint(2, 0)
			r.m.Opened(2, 2, 0)
			r.ack(1, 1)
			r.ack(2, 2)
			r.m.Seen(2, r.now)
			r.wait(61*second, 1, 2)
			r.want(Lost, 1)
			r.write(3, 2)
			r.m.Refused(3, 2, false, r.now)
			if rejected {
				r.m.NotStored(3)
			}
			r.ack(3, 1)
			r.m.Seen(3, r.now)
			if zombie := r.m.Endpoint(1, r.now).Reason == EndpointZombie; zombie == rejected {
				t.Errorf("half-open: %v, want %v", zombie, !rejected)
			}
		})
	}
}

func (r *rig) ackOf(s Stream, p Pack, epoch ConnEpoch) {
	r.m.Written(p, s, epoch, 100, r.now)
	r.m.Acked(p, epoch, r.now)
	r.collect()
}

func TestStalledStreamLeavesTheWindow(t *testing.T) {
	r := queueRig(t, func(c *Config) { c.WindowPacks = 3 })
	r.started(1)
	r.ackOf(1, 1, 1)
	r.ackOf(2, 2, 1)
	r.m.Seen(2, r.now)
	r.wait(40*second, 1)
	r.ackOf(1, 5, 1)
	r.ackOf(1, 6, 1)
	r.wait(21*second, 1)
	r.want(Lost, 1)
	if r.m.Stalled(1, r.now) != StreamStalled {
		t.Fatal("the stream does not stall; the story tells nothing")
	}
	r.ackOf(2, 7, 1)
	if got := r.m.Admit(1, 2, 100, r.now); got != OK {
		t.Errorf("another stream is refused: %s; packs 5 and 6 of the stalled one fill the window", got)
	}
}

// 1. a pack of the stream vanishes behind proxy 1  2. another of it is seen: the queue has the stream  3. one
// vanishes behind proxy 2. That is not "behind all there are".
func TestStreamThatWasSeenMeanwhileDoesNotStall(t *testing.T) {
	r := queueRig(t, nil)
	r.started(1)
	r.m.AddEndpoint(2, 0)
	r.m.Opened(2, 2, 0)
	vanishes := func(p Pack, epoch ConnEpoch) {
		r.ackOf(1, p, epoch)
		r.ackOf(2, p+1, epoch)
		r.m.Seen(p+1, r.now)
		r.wait(61*second, 1, 2)
	}
	vanishes(1, 1)
	r.want(Lost, 1)
	r.ackOf(1, 3, 1)
	r.m.Seen(3, r.now)
	vanishes(4, 2)
	r.want(Lost, 1, 4)
	if r.m.Stalled(1, r.now) != OK {
		t.Error("the stream stalls though it was seen between its losses")
	}
}

// The pause between probes grows while nothing is seen, and begins small again after something was.
func TestProbesBeginAgainAfterSomethingWasSeen(t *testing.T) {
	r := queueRig(t, nil)
	r.started(1)
	for p := Pack(1); p <= 4; p++ {
		r.ack(p, 1)
	}
	r.wait(64*second, 1)
	r.want(Lost, 1, 2, 3) // at 60, 61 and 63 s
	r.ack(10, 1)
	r.m.Seen(10, r.now)
	r.ack(20, 1)
	r.ack(21, 1)
	r.wait(62*second, 1)
	r.want(Lost, 1, 2, 3, 4, 20, 21) // 21 one second after 20
}

func TestSilenceIsThatOfTheOldestHeartbeatAlsoWhenPacksFollow(t *testing.T) {
	r := newRig(t, Ack, nil)
	r.m.Opened(1, 1, 0)
	r.wait(40 * second) // the heartbeat of 30 s is not answered
	r.write(1, 1)
	r.wait(6 * second)
	if n := len(r.got(Close)); n != 1 {
		t.Errorf("%d Close decisions 15 s after the heartbeat, want 1", n)
	}
}

func TestRefusedPackLeavesTheWindow(t *testing.T) {
	r := queueRig(t, func(c *Config) { c.WindowPacks = 1 })
	r.write(1, 1)
	r.m.Refused(1, 1, false, r.now)
	r.write(2, 1)
	r.m.Seen(2, r.now)
	if n := r.m.conns[1].window; n != (share{}) {
		t.Errorf("the window holds %+v, want nothing", n)
	}
}

// TestWhatASilentProxyAckedIsWaitedForUntilItIsHeard says why. An answer of any kind shows that the process runs.
func TestSilentProxyIsHeardByAnyAnswer(t *testing.T) {
	for name, answer := range map[string]func(*rig){
		"ack":       func(r *rig) { r.m.Acked(3, 2, r.now) },
		"refusal":   func(r *rig) { r.m.Refused(3, 2, false, r.now) },
		"heartbeat": func(r *rig) { r.m.Beat(2, r.now); r.m.Answered(2, r.now) },
	} {
		t.Run(name, func(t *testing.T) {
			r := queueRig(t, func(c *Config) { c.AckTimeout = time.Hour })
			r.ack(1, 1)
			r.m.GivenUp(1)
			r.m.Ended(1, r.now)
			r.m.Opened(2, 1, r.now)
			r.wait(20 * second)
			r.write(3, 2)
			answer(r)
			r.wait(9 * second)
			r.want(Lost)
			r.wait(2 * second)
			r.want(Lost, 1)
		})
	}
}

func TestConnectionThatIsGivenUpTakesNoMorePacks(t *testing.T) {
	r := queueRig(t, nil)
	r.m.GivenUp(1)
	if got := r.m.Admit(1, 1, 100, r.now); got != ConnGone {
		t.Errorf("a connection that is about to be closed: %q, want %q", got, ConnGone)
	}
}

// A pack is waited for from its ack on, not from the last tick before it.
func TestPatienceCountsFromTheAck(t *testing.T) {
	r := queueRig(t, nil)
	r.started(1)
	r.now += 2900 * time.Millisecond // without a tick
	r.ack(1, 1)
	r.wait(58*second, 1)
	r.want(Lost)
	r.wait(2*second, 1)
	r.want(Lost, 1)
}

func TestStreamThatVanishesBehindOneProxyOfTwoDoesNotStall(t *testing.T) {
	r := queueRig(t, nil)
	r.started(1)
	r.m.AddEndpoint(2, 0)
	r.ackOf(1, 1, 1)
	r.ackOf(2, 2, 1)
	r.m.Seen(2, r.now)
	r.wait(61*second, 1)
	r.want(Lost, 1)
	if got := r.m.Stalled(1, r.now); got != OK {
		t.Errorf("stream 1: %q after one proxy of two", got)
	}
}

func TestStreamThatIsSeenStallsNoLonger(t *testing.T) {
	r := queueRig(t, nil)
	r.started(1)
	r.ackOf(1, 1, 1)
	r.ackOf(2, 2, 1)
	r.m.Seen(2, r.now)
	r.wait(63*second, 1)
	r.ackOf(1, 3, 1) // the trial
	r.m.Seen(3, r.now)
	if got := r.m.Stalled(1, r.now); got != OK {
		t.Errorf("stream 1: %q after its trial was seen", got)
	}
}

// A pack overtaken a moment ago may be behind in another partition of the queue: it has patience as any other.
func TestOvertakenPackIsGivenPatience(t *testing.T) {
	r := queueRig(t, nil)
	r.started(1)
	r.ack(1, 1)
	r.wait(50*second, 1)
	r.ack(2, 1)
	r.ack(3, 1)
	r.m.Seen(3, r.now)
	r.wait(11*second, 1)
	r.want(Lost, 1)
}

// Eight connections in a row on which nothing was sent, as those of a proxy that is the last choice.
func TestIdleConnectionsCauseNoPause(t *testing.T) {
	r := newRig(t, Settle, nil)
	for i := ConnEpoch(1); i <= 8; i++ {
		r.m.Opened(i, 1, r.now)
		if got := r.m.Admit(i, 1, 100, r.now); got != OK {
			t.Fatalf("connection %d: %q", i, got)
		}
		r.m.Ended(i, r.now)
	}
}

// A data pack that is acked late does not show that a full proxy has room again.
func TestLateAckDoesNotEndTheWaitForAFullProxy(t *testing.T) {
	r := newRig(t, Settle, nil)
	r.m.Opened(1, 1, 0)
	r.ack(1, 1)
	r.write(2, 1)
	r.m.Refused(2, 1, true, r.now)
	r.write(3, 1)
	r.wait(5*second, 1)
	r.m.Acked(3, 1, r.now) // late
	r.wait(20*second, 1)
	r.want(Final)
}
