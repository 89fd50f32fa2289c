package engine

import (
	"errors"
	"testing"
	"time"

	"inlong-bridge/sdk/finality"
)

func TestRetryLimitCountsRefusals(t *testing.T) {
	r := newRig(t, 2, finality.Ack, func(c *Config) { c.RetryLimit = 3 })
	p := r.sent(1)
	for tries := 1; ; tries++ {
		r.refuse(p, 115)
		if got := r.took(PackRefused); len(got) > 0 {
			if f := got[0]; tries != 4 || f.Cause != ByRetries || f.Times != 4 || f.Err == nil || p.MaybeDelivered() {
				t.Errorf("given up after %d tries: %+v", tries, f)
			}
			break
		}
		r.waitSent(p)
	}
	r.want(p, Done)
}

func TestRetryLimitCountsConnectionsThatEnd(t *testing.T) {
	r := newRig(t, 1, finality.Ack, func(c *Config) { c.RetryLimit = 1 })
	p, untaken := r.sent(1), r.send(1)
	for range 2 {
		r.waitSent(p)
		r.heard(r.conns[0])
		r.end(0)
	}
	if f := r.took(PackRefused); len(f) != 1 || f[0].Pack != p || f[0].Cause != ByRetries || f[0].Err != nil || f[0].Endpoint != r.eps[0] || f[0].Reason == "" || !p.MaybeDelivered() {
		t.Errorf("given up: %+v, want the pack that was written, perhaps delivered", f)
	}
	if untaken.State() == Done {
		t.Error("a pack is given up of which nothing was written")
	}
}

// A dial that fails is a try of what waits, but only while no proxy of the list is connected.
func TestRetryLimitCountsDialsWhileNoProxyIsConnected(t *testing.T) {
	r := newRig(t, 2, finality.Ack, func(c *Config) { c.RetryLimit = 2 })
	refused := errors.New("connection refused")
	for i, c := range r.conns {
		r.e.Ended(c, errOver, r.now)
		r.progress()
		if i == 0 {
			for range 10 {
				r.e.DialFailed(r.eps[0], refused, true, r.now)
			}
		}
	}
	p := r.send(1)
	unencoded := &Pack{Records: 1}
	r.e.Sealed(unencoded, r.streams[0])
	for i := 1; p.State() == Waiting; i++ {
		r.e.DialFailed(r.eps[0], refused, true, r.now)
		r.e.DialFailed(r.eps[0], refused, false, r.now) // another connection to the same proxy
		r.progress()
		if (p.State() != Waiting) != (i == 3) {
			t.Fatalf("after %d dials the pack is %v, want it given up with the third", i, p.State())
		}
	}
	if f := r.took(PackRefused); len(f) != 1 || !errors.Is(f[0].Err, refused) || p.MaybeDelivered() {
		t.Errorf("given up: %+v", f)
	}
	r.want(unencoded, Waiting)
}

func TestWithoutARetryLimitNothingIsGivenUp(t *testing.T) {
	r := newRig(t, 1, finality.Ack, nil)
	p := r.sent(1)
	for range 100 {
		r.refuse(p, 117)
		r.waitSent(p)
	}
	r.ack(p)
	r.want(p, Done)
}

// What was handed to a connection and not written when it ended counts as no try, and is not "perhaps delivered".
func TestUnwrittenPackOfAnEndedConnectionGoesOutAsBefore(t *testing.T) {
	r := newRig(t, 1, finality.Ack, func(c *Config) { c.RetryLimit = 0 })
	p := r.send(1)
	r.heard(r.conns[0])
	r.end(0)
	r.take()
	r.want(p, InFlight)
	if p.MaybeDelivered() || p.Fails() != 0 || p.isolated {
		t.Errorf("perhaps delivered %v, %d tries failed, isolated %v", p.MaybeDelivered(), p.Fails(), p.isolated)
	}
}

// A connection that we opened after one that never answered takes nothing before it has answered.
func TestUnprovenConnectionTakesPacksOnceItAnswered(t *testing.T) {
	r := newRig(t, 1, finality.Ack, nil)
	r.e.Ended(r.conns[0], errOver, r.now)
	r.progress()
	r.took()
	c := r.open(0, true)
	if got := r.took(Heartbeat); len(got) != 1 || got[0].Conn != c {
		t.Errorf("%d heartbeats, want one", len(got))
	}
	p := r.send(1)
	r.want(p, Waiting)
	if r.eps[0].Up() {
		t.Error("the proxy counts as connected")
	}
	r.heard(c)
	r.progress()
	r.want(p, InFlight)
	if got := r.took(ConnReady, EndpointBack); len(got) != 2 {
		t.Errorf("told %v", got)
	}
}

func TestDamagedPackGoesOnceMoreOnAnotherConnectionAndThenIsRefused(t *testing.T) {
	r := newRig(t, 2, finality.Ack, nil)
	p := r.sent(1)
	c := p.conn
	r.refuse(p, 95)
	if !c.draining || !p.isolated {
		t.Fatalf("the connection drains %v, the pack travels alone %v; want both", c.draining, p.isolated)
	}
	r.waitSent(p)
	if p.conn == c || p.Endpoint() == c.endpoint {
		t.Fatal("the pack goes out on the connection that damages bytes, or to the same proxy")
	}
	r.refuse(p, 95)
	if f := r.took(PackRefused); len(f) != 1 || f[0].Cause != ByProxies {
		t.Errorf("%+v", f)
	}
}

func TestDrainedConnectionIsClosedWhenNothingIsLeft(t *testing.T) {
	r := newRig(t, 2, finality.Queue, nil)
	p := r.sent(1)
	i := r.proxyOf(p)
	r.took()
	r.e.SetList(r.list, []*Endpoint{r.eps[1-i]}, r.now)
	r.progress()
	if got := r.took(Disconnect, CloseConn); len(got) != 1 || got[0].Kind != Disconnect {
		t.Fatalf("%v, want no close while a pack is in flight", got)
	}
	r.ack(p)
	if got := r.took(CloseConn); len(got) != 0 {
		t.Fatal("closed while a pack is acked and not final")
	}
	r.e.Seen(p.seq, r.now)
	r.progress()
	if got := r.took(CloseConn); len(got) != 1 || got[0].Conn != r.conns[i] || !got[0].Conn.Drained() {
		t.Errorf("%v, want the connection closed", got)
	}
	q := r.sent(1)
	if r.proxyOf(q) == i {
		t.Error("a pack goes to a proxy that left the list")
	}
}

// Another connection takes the place of an old one: that takes no new packs, and is closed once all that it has is final.
func TestRetiredConnectionIsClosedWhenAllOfItIsFinal(t *testing.T) {
	r := newRig(t, 1, finality.Queue, nil)
	old := r.conns[0]
	acked, flying := r.sent(1), r.sent(1)
	r.ack(acked)
	r.now += time.Second
	next := &Conn{Renews: true}
	r.e.Opened(next, r.eps[0], true, false, true, r.now)
	r.progress()
	if p := r.sent(1); p.conn != old {
		t.Error("a pack goes to a connection that answered nothing yet")
	} else {
		r.ack(p)
		r.e.Seen(p.seq, r.now)
	}
	r.heard(next)
	r.e.Retire(old)
	r.progress()
	if r.eps[0].growing {
		t.Error("a proxy whose connection is renewed counts as one that came back")
	}
	for range 5 {
		if p := r.sent(1); p.conn != next {
			t.Error("a new pack goes to the old connection")
		}
	}
	r.ack(flying)
	r.e.Seen(flying.seq, r.now)
	r.progress()
	if got := r.took(CloseConn); len(got) != 0 {
		t.Error("closed while a pack is acked and not final")
	}
	r.e.Seen(acked.seq, r.now)
	r.progress()
	if got := r.took(CloseConn); len(got) != 1 || got[0].Conn != old || !old.Drained() {
		t.Errorf("%v, want the old connection closed", got)
	}
}

// 1. one proxy cannot be dialled  2. the other one has as much to write as it may, so a pack waits for it
// The dials that fail say nothing about that pack.
func TestFailedDialsAreNoTriesWhileAnotherProxyIsConnected(t *testing.T) {
	r := newRig(t, 2, finality.Ack, func(c *Config) { c.RetryLimit = 0 })
	c := r.conns[0]
	r.e.Ended(c, errOver, r.now)
	r.progress()
	r.send(maxUnwritten/100 + 1) // a record has 100 bytes here
	waits := r.send(1)
	r.want(waits, Waiting)
	for range 3 {
		r.e.DialFailed(r.eps[0], errOver, true, r.now)
		r.progress()
	}
	r.want(waits, Waiting)
	r.take()
	r.progress()
	r.want(waits, InFlight)
	r.take()
	r.ack(waits)
	r.want(waits, Done)
}
