package engine

import (
	"slices"
	"testing"
	"time"

	"inlong-bridge/sdk/finality"
)

// refuseEach has both proxies of a rig refuse a pack that is in flight.
func (r *rig) refuseEach(p *Pack, code int) {
	r.t.Helper()
	for range 2 {
		if p.State() != Waiting && p.State() != InFlight {
			return
		}
		r.waitSent(p)
		r.refuse(p, code)
	}
}

// Exactly the one record is given up: the others of its pack are taken, in packs that travel alone.
func TestRefusedPackIsCutDownToTheRecord(t *testing.T) {
	r := newRig(t, 2, finality.Ack, func(c *Config) { c.HoldRefused = true })
	r.judge = func(p *Pack) Verdict {
		if p.Records > 1 {
			return cutIt
		}
		return GiveUp
	}
	var halves []*Pack
	r.seal = func(p *Pack) { halves = append(halves, p) }
	bad := r.sent(16) // its first record is refused
	records := int32(1)
	for bad.Records > 1 {
		r.refuseEach(bad, 104)
		r.want(bad, Done)
		other := halves[1]
		r.waitSent(other)
		if !halves[0].isolated || !other.isolated {
			t.Errorf("a half of %d records does not travel alone", other.Records)
		}
		r.ack(other)
		records += other.Records
		bad, halves = halves[0], nil
	}
	r.refuseEach(bad, 104)
	if f := r.took(PackRefused, PackHeld); len(f) != 1 || f[0].Pack != bad || f[0].Cause != ByProxies || f[0].Err == nil || bad.Sends() != 2 {
		t.Errorf("%+v, sent %d times; want the one record given up after two proxies refused it", f, bad.Sends())
	}
	if n := r.e.Known(); n != 0 || records != 16 || r.streams[0].Counts().Cut != 4 {
		t.Errorf("%d packs left, %d records, %d packs cut; want 0, 16 and 4", n, records, r.streams[0].Counts().Cut)
	}
}

// Whatever a proxy may take later is never asked about.
func TestNotYetCodesAreNeverJudged(t *testing.T) {
	for _, code := range RetryableCodes() {
		if LookUp(code).Class == Damaged {
			continue
		}
		r := newRig(t, 2, finality.Ack, func(c *Config) { c.HoldRefused = true })
		r.judge = func(*Pack) Verdict { return GiveUp }
		p := r.sent(3)
		for range 20 {
			r.waitSent(p)
			r.refuse(p, code)
		}
		if n := len(r.took(Judge, PackRefused, PackHeld)); n != 0 || p.State() == Done {
			t.Errorf("code %d: asked %d times, the pack is %v; want it tried again without a question", code, n, p.State())
		}
	}
}

// A pack that is taken back is remembered in mode queue: a copy of it may lie there.
func TestTakenBackPackThatIsSeenIsFinal(t *testing.T) {
	for _, seen := range []bool{true, false} {
		r := newRig(t, 2, finality.Queue, func(c *Config) { c.HoldRefused = true })
		r.judge = func(*Pack) Verdict { return TakeBack }
		p := r.sent(3)
		r.refuseEach(p, 104)
		if r.want(p, Lost); seen {
			r.e.Seen(p.seq, r.now)
			r.progress()
		} else if !r.e.Forget(p, r.now) {
			t.Error("it cannot be forgotten")
		}
		r.progress()
		r.want(p, Done)
		want := []Kind{PackTakenBack}
		if seen {
			want = append(want, PackFinal)
		}
		if got := r.news[p]; !slices.Equal(got, want) || r.e.Known() != 0 {
			t.Errorf("seen %v: told %v, %d packs known; want %v and none", seen, got, r.e.Known(), want)
		}
		if !r.e.ForgetStream(r.streams[0]) && !seen {
			t.Error("package finality remembers the pack")
		}
	}
}

func TestTakenBackPackEndsWhereNoNewsCanCome(t *testing.T) {
	r := newRig(t, 2, finality.Settle, nil)
	r.judge = func(*Pack) Verdict { return TakeBack }
	p := r.sent(3)
	r.refuseEach(p, 104)
	r.want(p, Done)
	if got := r.news[p]; !slices.Equal(got, []Kind{PackTakenBack}) {
		t.Errorf("told %v", got)
	}
}

// 1. the owner is asked  2. the pack is seen in the queue  3. the owner answers
func TestPackThatIsSeenWhileItIsJudgedIsFinal(t *testing.T) {
	for _, v := range []Verdict{Keep, TakeBack, GiveUp} {
		r := newRig(t, 2, finality.Queue, func(c *Config) { c.HoldRefused = true })
		r.judge = func(*Pack) Verdict { return later }
		p, next := r.sent(3), r.sent(3)
		r.refuseEach(p, 104)
		r.refuseEach(next, 104)
		r.e.Seen(p.seq, r.now)
		r.progress()
		r.want(p, Done)
		r.e.Judged(p, v, r.now)
		r.progress()
		if got := r.news[p]; !slices.Equal(got, []Kind{PackFinal}) {
			t.Errorf("%v: told %v, want final alone", v, got)
		}
		if asked := r.took(Judge); len(asked) != 2 || asked[1].Pack != next {
			t.Errorf("%v: asked %d times, want about the next pack too, at once", v, len(asked))
		}
	}
}

// A single record that ends connections is given up as before. A pack that cannot be cut is the owner's.
func TestPackThatEndsConnectionsAndCannotBeCutIsTakenBack(t *testing.T) {
	r := newRig(t, 2, finality.Queue, nil)
	r.parts = false
	p := r.sent(5)
	for range 3 {
		r.kill(p)
	}
	if n := len(r.took(Cut)); n != 1 {
		t.Fatalf("asked %d times", n)
	}
	r.e.Judged(p, TakeBack, r.now)
	r.progress()
	f := r.took(PackTakenBack)
	if r.want(p, Lost); len(f) != 1 || f[0].Cause != ByIsolation || f[0].Times != 2 {
		t.Errorf("%+v", f)
	}
	r.e.Seen(p.seq, r.now) // it had been stored before the connection ended
	r.progress()
	r.want(p, Done)
}

// Proxies refuse everything: one pack of the stream is cut at a time, the smallest first, and all once one is acked.
func TestOneRefusedPackOfAStreamIsCutAtATime(t *testing.T) {
	r := newRig(t, 2, finality.Ack, func(c *Config) { c.HoldRefused = true })
	asked := 0
	r.judge = func(p *Pack) Verdict { asked++; return TakeBack }
	big, other := r.sent(8), r.sent(8)
	r.refuseEach(big, 104)
	r.refuseEach(other, 104)
	if r.want(other, Waiting); asked != 1 {
		t.Fatalf("asked about %d packs, want the first alone", asked)
	}
	if s := r.e.Stall(r.streams[0], r.now); s.Kind != StallCut || s.Err == nil {
		t.Errorf("the stream stalls as %v", s.Kind)
	}
	half := r.sent(4)
	r.refuseEach(half, 104)
	if r.want(half, Done); asked != 2 {
		t.Fatalf("asked about %d packs, want the half too", asked)
	}
	r.wait(cutPause / 2)
	r.want(other, Waiting)
	r.ack(r.sent(1))
	r.wait(100 * time.Millisecond)
	if r.want(other, Done); asked != 3 {
		t.Errorf("asked about %d packs, want the other one once the stream's packs are taken", asked)
	}
	last := r.sent(8)
	r.refuseEach(last, 104)
	r.want(last, Waiting)
	r.wait(cutPause)
	r.want(last, Done)
}

// A suspect of the owner's travels alone from its first copy on.
func TestPackThatComesAloneTravelsAlone(t *testing.T) {
	r := newRig(t, 1, finality.Queue, nil)
	st := &Stream{Ref: 1}
	r.e.AddStream(st, 1, r.list)
	p := &Pack{Records: 2, Followed: true, Alone: true}
	r.e.Sealed(p, st)
	r.e.Encoded(p, 100)
	r.progress()
	r.want(p, Waiting) // its stream is not watched
	first := r.sent(1)
	r.e.Watched(st)
	r.progress()
	r.want(p, Waiting)
	r.ack(first)
	r.wait(100 * time.Millisecond)
	r.waitSent(p)
	next := r.send(1)
	if r.want(next, Waiting); p.conn.inFlight != 1 {
		t.Errorf("%d packs on the connection", p.conn.inFlight)
	}
	r.ack(p)
	r.waitSent(next)
}

// The owner is about to close: it asks for nothing more, and what may be held does not keep it waiting.
func TestFlushHoldsRefusedPacksWithoutAQuestion(t *testing.T) {
	r := newRig(t, 2, finality.Ack, func(c *Config) { c.HoldRefused = true })
	r.judge = func(*Pack) Verdict { return TakeBack }
	first, second := r.sent(3), r.sent(3)
	r.refuseEach(first, 104)
	r.refuseEach(second, 104)
	r.want(second, Waiting) // for its turn
	third := r.sent(3)
	r.e.Flush()
	r.progress()
	r.want(second, Held)
	r.took()
	r.refuseEach(third, 104)
	if r.want(third, Held); len(r.took(Judge)) != 0 || !r.e.Idle() {
		t.Error("asked after Flush, or the owner waits for what is held")
	}
}

// 1. the owner is asked  2. it begins to close  3. it wants the records back, and has nobody to hand them to
func TestNothingIsTakenBackAfterFlush(t *testing.T) {
	r := newRig(t, 2, finality.Ack, func(c *Config) { c.HoldRefused = true })
	r.judge, r.parts = func(*Pack) Verdict { return later }, false
	refused, deadly := r.sent(3), r.sent(3)
	r.refuseEach(refused, 104)
	for len(r.took(Cut)) == 0 {
		r.kill(deadly)
	}
	r.e.Flush()
	for _, p := range []*Pack{refused, deadly} {
		r.e.Judged(p, TakeBack, r.now)
	}
	r.progress()
	r.want(refused, Held)
	r.waitSent(deadly)
	r.ack(deadly)
	if n := len(r.took(PackTakenBack)); n != 0 || !r.e.Idle() {
		t.Errorf("%d packs taken back, idle %v", n, r.e.Idle())
	}
}
