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
				r.m.Beat(d.Incarnation, r.now)
				r.m.Answered(d.Incarnation, r.now)
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

// A barrier shows what lay in the queue when it began. What was suspected later may have come in between.
func TestBarrierLosesNothingThatWasSuspectedAfterItBegan(t *testing.T) {
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
func TestBarrierLosesNothingOfAZombieThatWasSuspectedAfterItBegan(t *testing.T) {
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
	r.m.incs[2].closing = true // keeps it from being heard for its heartbeats
	for asked == 0 {
		asked = r.hold(second)
	}
	r.m.incs[2].closing = false
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

func (r *rig) ackOf(s Stream, p Pack, inc Incarnation) {
	r.m.Written(p, s, inc, 100, r.now)
	r.m.Acked(p, inc, r.now)
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
	r.m.AddEndpoint(2, 0)
	r.m.Opened(2, 2, 0)
	vanishes := func(p Pack, inc Incarnation) {
		r.ackOf(1, p, inc)
		r.ackOf(2, p+1, inc)
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
