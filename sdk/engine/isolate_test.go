package engine

import (
	"slices"
	"testing"
	"time"

	"inlong-bridge/sdk/finality"
)

// kill waits until p is alone on a connection that has answered something, and ends that connection.
func (r *rig) kill(p *Pack) {
	r.t.Helper()
	r.waitSent(p)
	proxy := r.proxyOf(p)
	r.heard(r.conns[proxy])
	r.end(proxy)
}

func TestOldestUnansweredPackOfAnEndedConnectionTravelsAlone(t *testing.T) {
	r := newRig(t, 1, finality.Ack, nil)
	oldest, other := r.sent(1), r.sent(1)
	r.heard(r.conns[0])
	r.took()
	r.end(0)
	if !oldest.isolated || other.isolated {
		t.Fatalf("isolated %v and %v, want the oldest pack alone", oldest.isolated, other.isolated)
	}
	sends := r.took(Send, Heartbeat)
	if n := len(sends); n != 3 || sends[0].Kind != Heartbeat || sends[1].Kind != Heartbeat || sends[2].Pack != oldest {
		t.Fatalf("%d effects, want the heartbeat of a new connection, and that of the oldest pack and the pack", n)
	}
	r.take()
	r.want(other, Waiting)
	r.ack(oldest)
	r.want(other, InFlight)
}

// 1. a load balancer without proxies accepts a connection  2. it gets packs  3. it closes the connection
func TestConnectionThatNeverAnsweredBlamesNoPack(t *testing.T) {
	r := newRig(t, 1, finality.Ack, func(c *Config) { c.RetryLimit = 0 })
	p := r.sent(2)
	for range 5 {
		r.end(0)
		r.take()
		r.want(p, InFlight)
	}
	if p.isolated || p.ends != 0 || p.fails != 0 {
		t.Errorf("isolated %v after %d connections, %d tries failed; none of them had answered anything", p.isolated, p.ends, p.fails)
	}
}

func TestPackIsCutAfterItEndedConnectionsToTwoProxiesAlone(t *testing.T) {
	r := newRig(t, 2, finality.Ack, nil)
	r.parts = false
	p := r.sent(5)
	r.kill(p) // not alone yet
	for range 2 {
		if len(r.took(Cut)) != 0 {
			t.Fatal("cut too early")
		}
		r.kill(p)
	}
	if got := r.took(Cut); len(got) != 1 || got[0].Pack != p || got[0].Times != 2 {
		t.Fatalf("%d times asked to cut, want once, after 2 connections", len(got))
	}
	first, second := r.part(p)
	r.want(p, Done)
	for _, q := range []*Pack{first, second} {
		if !q.isolated || q.Endpoint() != p.Endpoint() || !q.MaybeDelivered() {
			t.Errorf("a half is isolated %v, may have been delivered %v; want both", q.isolated, q.MaybeDelivered())
		}
	}
	r.progress()
	if first.Records+second.Records != 5 {
		t.Errorf("%d and %d records", first.Records, second.Records)
	}
}

// Halves travel alone too, down to the record, which is given up after poisonTries connections.
func TestRecordThatEndsConnectionsIsGivenUpAndNoOther(t *testing.T) {
	r := newRig(t, 2, finality.Ack, func(c *Config) { c.Retry.Max = time.Second })
	bad := r.send(16) // its first record ends connections
	refused := 0
	for i := 0; r.e.Known() > 0 && i < 5000; i++ {
		for _, p := range r.take() {
			r.heard(p.conn)
			if p != bad {
				r.ack(p)
				continue
			}
			r.end(r.proxyOf(p))
		}
		for _, f := range r.took(PackRefused) {
			if refused++; f.Cause != ByIsolation || f.Times != poisonTries || f.Pack.Records != 1 {
				t.Errorf("refused for %v after %d connections with %d records", f.Cause, f.Times, f.Pack.Records)
			}
			if _, by, _ := f.Pack.EndedBy(); len(by) != 2 {
				t.Errorf("ended by %d proxies, want 2", len(by))
			}
		}
		if bad.State() == Done && refused == 0 { // cut: the half with the first record is bad
			for _, q := range r.e.sortedPacks() {
				if q.state == Waiting || q.state == InFlight {
					bad = q
					break
				}
			}
		}
		r.wait(100 * time.Millisecond)
	}
	if refused != 1 || r.e.Known() != 0 {
		t.Errorf("%d packs refused, %d left, want the one record and none", refused, r.e.Known())
	}
}

func TestPackThatCannotBeCutIsTriedAgainWhole(t *testing.T) {
	r := newRig(t, 2, finality.Ack, nil)
	r.parts = false
	p := r.sent(2)
	for range 3 {
		r.kill(p)
	}
	r.e.NotParted(p, "one piece")
	r.progress()
	if _, _, whole := p.EndedBy(); whole != "one piece" {
		t.Errorf("whole because %q", whole)
	}
	if s := r.e.Stall(r.streams[0], r.now); s.Kind != StallIsolated || s.Pack != p {
		t.Errorf("the stream stalls as %v", s.Kind)
	}
	r.waitSent(p)
	r.ack(p)
	r.want(p, Done)
}

// cutInQueue is a pack that was cut in mode queue.
func cutInQueue(t *testing.T) (r *rig, p, first, second *Pack) {
	t.Helper()
	r = newRig(t, 2, finality.Queue, nil)
	r.parts = false
	p = r.sent(4)
	for range 3 {
		r.kill(p)
	}
	first, second = r.part(p)
	r.progress()
	r.want(p, Split)
	return r, p, first, second
}

// The whole pack had been stored before the connection ended: when it is seen, all of it is final.
func TestWholePackSeenAfterItWasCutEndsItsParts(t *testing.T) {
	r, p, first, second := cutInQueue(t)
	r.waitSent(first)
	r.e.Seen(p.seq, r.now)
	r.progress()
	for _, q := range []*Pack{p, first, second} {
		r.want(q, Done)
	}
	if got := r.news[first]; !slices.Equal(got, []Kind{PackFinal}) || !slices.Equal(r.news[second], []Kind{PackFinal}) || !slices.Equal(r.news[p], []Kind{PackForgotten}) {
		t.Errorf("told %v, %v, and of the whole %v", got, r.news[second], r.news[p])
	}
	if n := r.e.Known(); n != 0 {
		t.Errorf("%d packs still known", n)
	}
}

func TestCutPackIsForgottenWhenItsPartsEnded(t *testing.T) {
	r, p, first, second := cutInQueue(t)
	for _, q := range []*Pack{first, second} {
		r.waitSent(q)
		r.ack(q)
		r.want(p, Split)
		r.e.Seen(q.seq, r.now)
		r.progress()
	}
	r.want(p, Done)
	if n := r.e.Known(); n != 0 {
		t.Errorf("%d packs still known", n)
	}
}

// An isolated pack must not be blamed for a connection that we closed ourselves, nor for one that answered nothing.
func TestConnectionsThatSayNothingAboutThePackDoNotCount(t *testing.T) {
	r := newRig(t, 2, finality.Ack, nil)
	r.parts = false
	p := r.sent(2)
	r.kill(p)
	for range 6 {
		r.waitSent(p)
		c := p.conn
		r.heard(c)
		r.e.GaveUp(c)
		r.end(r.proxyOf(p))
	}
	if n := len(r.took(Cut)); n != 0 || p.alone.ends != 0 {
		t.Errorf("asked %d times to cut, %d connections held against the pack", n, p.alone.ends)
	}
}

// A pack that ends every connection on which it is alone makes no proxy look like a load balancer that cuts connections: the other
// packs go on there.
func TestConnectionsThatASuspectEndsSpeakForNoPause(t *testing.T) {
	r := newRig(t, 1, finality.Settle, nil)
	p := r.sent(1)
	for range 12 {
		r.kill(p)
		if why := r.e.confirm.Endpoint(r.eps[0].id, r.now).Reason; why != finality.OK {
			t.Fatalf("the proxy is left alone (%v) after %d connections that the pack ended", why, p.Ends())
		}
	}
}
