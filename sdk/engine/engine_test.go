package engine

import (
	"fmt"
	"testing"
	"time"

	"inlong-bridge/sdk/finality"
)

func TestEveryStateAndEffectHasANameOfItsOwn(t *testing.T) {
	check := func(what string, n int, name func(i int) fmt.Stringer) {
		seen := make(map[string]bool)
		for i := range n {
			s := name(i).String()
			if s == "" || s == "unknown" || seen[s] {
				t.Errorf("%s %d is called %q", what, i, s)
			}
			seen[s] = true
		}
		if s := name(n).String(); s != "unknown" {
			t.Errorf("%s %d does not exist and is called %q", what, n, s)
		}
	}
	check("state", int(numStates), func(i int) fmt.Stringer { return State(i) })
	check("effect", kinds, func(i int) fmt.Stringer { return Kind(i) })
	check("cause", int(ByEncoder)+1, func(i int) fmt.Stringer { return Cause(i) })
	check("failure", int(NoAnswer)+1, func(i int) fmt.Stringer { return Failure(i) })
	check("ack class", int(Rejected)+1, func(i int) fmt.Stringer { return AckClass(i) })
	check("state of a breaker", int(Trial)+1, func(i int) fmt.Stringer { return BreakerState(i) })
	check("offer", int(offerFull)+1, func(i int) fmt.Stringer { return offer(i) })
}

// The low half of a Seq is the number on the wire: an answer to an older pack must not be taken for one to a younger.
func TestNumberOfAPackThatMayBeAnsweredIsNotGivenTwice(t *testing.T) {
	r := newRig(t, 1, finality.Ack, nil)
	old := r.sent(1)
	r.e.SetLastSeq(1<<32 + old.Seq() - 1)
	young := r.sent(1)
	if uint32(young.Seq()) == uint32(old.Seq()) {
		t.Fatalf("packs %d and %d have the same number on the wire, and both are unanswered", old.Seq(), young.Seq())
	}
	r.ack(old)
	r.ack(young)
	r.e.SetLastSeq(2<<32 + old.Seq() - 1)
	if p := r.sent(1); uint32(p.Seq()) != uint32(old.Seq()) {
		t.Errorf("pack %d: the number of a pack that was answered is not used again", p.Seq())
	}
}

func TestAfterStopEveryPackGetsItsLastNewsOnce(t *testing.T) {
	r := newRig(t, 2, finality.Queue, func(c *Config) { c.HoldRefused = true })
	held := r.sent(1)
	r.refuse(held, 109)
	r.waitSent(held)
	r.refuse(held, 109)
	r.want(held, Held)
	inFlight := r.sent(1)
	acked := r.sent(1)
	r.ack(acked)
	waiting := &Pack{Records: 1}
	r.e.Sealed(waiting, r.streams[0])
	r.took()
	r.e.Flush()
	r.e.Stop("closing")
	r.progress()
	if n := len(r.took(CloseConn)); n != 2 {
		t.Errorf("%d connections closed, want 2", n)
	}
	for _, c := range r.conns {
		r.e.Ended(c, errOver, r.now)
	}
	r.progress()
	if got := r.took(ConnEnded, ConnLost, EndpointFails, Send); len(got) != 2 {
		t.Errorf("%d effects, want two ends and nothing held against a proxy", len(got))
	}
	r.e.Abandon()
	r.progress()
	news := r.took(PackAbandoned)
	if len(news) != 4 || r.e.Known() != 0 {
		t.Fatalf("%d packs abandoned, %d still known, want 4 and 0", len(news), r.e.Known())
	}
	for _, f := range news {
		if (f.Err != nil) != (f.Pack == held) || f.Again {
			t.Errorf("pack %d: error %v, told lost before %v", f.Pack.Seq(), f.Err, f.Again)
		}
	}
	for _, p := range []*Pack{held, inFlight, acked, waiting} {
		r.want(p, Done)
	}
}

// An answer without a name can only be for the one pack that was written, if there is no other that it may be for.
func TestAnswerWithoutANameIsForTheOnlyWrittenPack(t *testing.T) {
	r := newRig(t, 1, finality.Ack, nil)
	c := r.conns[0]
	if c.Only() != nil {
		t.Error("nothing is in flight")
	}
	p := r.sent(1)
	r.send(1) // not written
	if c.Only() != p {
		t.Error("the one that was written is not found")
	}
	r.take()
	if c.Only() != nil {
		t.Error("one of two is chosen")
	}
	r.ack(p)
	r.e.UnknownAnswer(c, true)
	if c.Only() != nil {
		t.Error("one is chosen although an answer came to none")
	}
	if got := r.e.EndpointState(r.eps[0], r.now).Counts.UnknownAcks; got != 1 {
		t.Errorf("%d unknown answers counted, want 1", got)
	}
}

func TestStreamIsForgottenOnlyWhenNoPackOfItIsKnown(t *testing.T) {
	r := newRig(t, 1, finality.Queue, nil)
	st := r.stream()
	p := r.pack(st, 1)
	r.progress()
	r.take()
	if r.e.ForgetStream(st) {
		t.Fatal("forgotten while a pack of it is in flight")
	}
	r.ack(p)
	if r.e.ForgetStream(st) {
		t.Fatal("forgotten while a pack of it is acked and not final")
	}
	r.e.Seen(p.seq, r.now)
	r.progress()
	if !r.e.ForgetStream(st) || len(r.e.streams) != 1 || r.e.ConfirmStreams() != 0 {
		t.Errorf("not forgotten: %d streams left, %d in package finality", len(r.e.streams), r.e.ConfirmStreams())
	}
	other := r.stream()
	q := r.pack(other, 1)
	r.progress()
	r.want(q, InFlight)
}

// A write that took too long ends the connection, and says nothing about its packs.
func TestWriteThatTookTooLongIsHeldAgainstNobody(t *testing.T) {
	r := newRig(t, 2, finality.Ack, nil)
	p := r.sent(2)
	r.heard(p.conn)
	r.e.WriteFailed(p.conn, true, "write: i/o timeout")
	r.progress()
	if got := r.took(CloseConn); len(got) != 1 || got[0].Reason != "write: i/o timeout" {
		t.Fatalf("%v, want the connection closed", got)
	}
	r.end(r.proxyOf(p))
	if got := r.took(ConnEnded); len(got) != 1 || got[0].Packs != 1 {
		t.Errorf("%d connections ended", len(got))
	}
	r.wait(time.Second)
	r.waitSent(p)
	if times, _, _ := p.EndedBy(); times != 0 {
		t.Errorf("%d connections are held against the pack", times)
	}
}
