package engine

import (
	"slices"
	"testing"
	"time"

	"inlong-bridge/sdk/finality"
)

func TestPackQueueKeepsTheOrderOfSeq(t *testing.T) {
	var q packQueue
	for _, seq := range []uint64{5, 6, 9, 7, 3, 8, 4} {
		q.push(&Pack{seq: seq})
	}
	for want := uint64(3); want < 10; want++ {
		if got := q.head.seq; got != want {
			t.Fatalf("front is %d, want %d", got, want)
		}
		q.pop()
	}
	if q.n != 0 || q.tail != nil {
		t.Errorf("%d left", q.n)
	}
}

// 1. a pack is the oldest one unanswered when its connection ends, and waits for another one to be empty, alone
// 2. its first copy is seen in the queue meanwhile  3. the connection must not stay empty for it: it was the only one,
// and nothing was sent any more.
func TestConnectionIsNotKeptEmptyForAPackThatIsFinal(t *testing.T) {
	r := newRig(t, 1, finality.Queue, nil)
	c := r.conns[0]
	p := r.sent(1)
	r.heard(c)
	r.end(0) // p is isolated, and goes out on the next connection
	r.take()
	r.now += time.Second
	r.heard(r.conns[0])
	r.end(0) // and waits for its pause
	other := r.stream()
	busy := r.pack(other, 1)
	r.progress()
	r.take()
	r.want(busy, InFlight)
	r.wait(200 * time.Millisecond)
	if r.conns[0].reserved != p {
		t.Fatal("no connection is kept empty for the pack; the story tells nothing")
	}
	r.e.Seen(p.seq, r.now)
	r.progress()
	if r.conns[0].reserved != nil {
		t.Error("the connection is kept empty for a pack that is final")
	}
	next := r.pack(other, 1)
	r.progress()
	r.want(next, InFlight)
}

// blocked makes n streams, each with a pack that the only proxy does not want now.
func (r *rig) blocked(n int) []*Stream {
	r.t.Helper()
	var streams []*Stream
	for range n {
		st := r.stream()
		p := r.pack(st, 1)
		r.progress()
		r.take()
		r.refuse(p, 108)
		streams = append(streams, st)
	}
	r.e.scanAll = true
	r.progress()
	if got := r.e.runnable[laneResend].blocked.Len(); got != n {
		r.t.Fatalf("%d streams are blocked, want %d", got, n)
	}
	return streams
}

func TestBlockedStreamsAreTriedAFewAtATime(t *testing.T) {
	r := newRig(t, 1, finality.Ack, func(c *Config) { c.Retry.Min, c.Retry.Max = time.Hour, time.Hour })
	r.blocked(100)
	var streams []*Stream // in their order
	for st := r.e.runnable[laneResend].blocked.Front(); st != nil; st = st.line(laneResend).turn.Next() {
		streams = append(streams, st)
	}
	at := func() int { return slices.Index(streams, r.e.runnable[laneResend].blocked.Front()) }
	before := at()
	for i := 1; i <= 50; i++ {
		r.e.Progress(r.now)
		if got, want := at(), (before+i*blockedTries)%len(streams); got != want {
			t.Fatalf("after %d times stream %d is next, want %d: each in turn, %d at a time", i, got, want, blockedTries)
		}
	}
}

func TestStreamThatMayGoAgainGoesAtOnceOrWithTheNextTick(t *testing.T) {
	r := newRig(t, 1, finality.Ack, func(c *Config) { c.Retry.Min, c.Retry.Max = time.Hour, time.Hour })
	streams := r.blocked(100)
	own := r.e.runnable[laneResend].blocked.Back() // something happened to a pack of this stream
	own.breakers = nil
	r.e.unblock(own)
	r.progress()
	if n := r.conns[0].inFlight; n != 1 || own.line(laneResend).n != 0 {
		t.Fatalf("%d packs in flight, want the one of the stream that was unblocked", n)
	}
	for _, st := range streams { // time passed for all
		st.breakers = nil
	}
	r.e.Tick(r.now)
	r.progress()
	if n := r.conns[0].inFlight; n != len(streams) || r.e.runnable[laneResend].blocked.Len()+r.e.runnable[laneResend].ready.Len() != 0 {
		t.Errorf("%d packs in flight, %d streams still in line; want all of %d gone", n, r.e.runnable[laneResend].ready.Len(), len(streams))
	}
}

func TestRepairsGoBeforeResendsAndThoseBeforeNewPacks(t *testing.T) {
	r := newRig(t, 1, finality.Ack, nil)
	resent := r.sent(1)
	r.heard(r.conns[0])
	younger := r.sent(1)
	c := r.conns[0]
	delete(r.out, c)
	r.e.Ended(c, errOver, r.now) // no other connection yet
	r.progress()
	fresh := r.pack(r.streams[0], 1)
	repair := &Pack{Records: 1, Repair: true}
	r.e.Sealed(repair, r.streams[0])
	r.e.Encoded(repair, 100)
	r.progress()
	r.took()
	r.open(0, false)
	var order []*Pack
	for _, f := range r.took(Send) {
		order = append(order, f.Pack)
	}
	if want := []*Pack{resent, repair, younger, fresh}; !slices.Equal(order[:1], want[:1]) {
		t.Errorf("the isolated pack does not go first")
	}
	r.take()
	r.ack(resent)
	for _, f := range r.took(Send) {
		order = append(order, f.Pack)
	}
	if want := []*Pack{resent, repair, younger, fresh}; !slices.Equal(order, want) {
		t.Errorf("%d packs sent in another order than isolated, repair, resend, new", len(order))
	}
}

func TestStreamWhoseQueueIsNotReadSendsNothing(t *testing.T) {
	r := newRig(t, 1, finality.Queue, nil)
	st := &Stream{}
	r.e.AddStream(st, 99, r.list)
	p := r.pack(st, 1)
	r.progress()
	r.want(p, Waiting)
	if s := r.e.Stall(st, r.now); s.Kind != StallUnwatched {
		t.Errorf("it stalls as %v", s.Kind)
	}
	r.e.Watched(st)
	r.progress()
	r.want(p, InFlight)
}

// What waits for a connection's writer could go elsewhere, so there is a bound.
func TestNoMoreThanABoundWaitsForAWriter(t *testing.T) {
	r := newRig(t, 1, finality.Ack, nil)
	for range 20 {
		p := &Pack{Records: 1}
		r.e.Sealed(p, r.streams[0])
		r.e.Encoded(p, 256<<10)
	}
	r.progress()
	if n := len(r.out[r.conns[0]]); n != maxUnwritten/(256<<10) {
		t.Fatalf("%d packs of 256 KiB wait for the writer, want %d", n, maxUnwritten/(256<<10))
	}
	r.take()
	r.progress()
	if n := len(r.out[r.conns[0]]); n != maxUnwritten/(256<<10) {
		t.Errorf("%d more after those were written", n)
	}
}

func TestResendPrefersAnotherProxy(t *testing.T) {
	for range 20 {
		r := newRig(t, 3, finality.Ack, nil)
		p := r.sent(1)
		first := r.proxyOf(p)
		r.refuse(p, 117)
		if r.take(); r.proxyOf(p) == first {
			t.Fatal("the pack goes to the proxy again that just answered that it cannot take anything")
		}
	}
}

// Two are picked at random, and the one with fewer bytes in flight takes the pack.
func TestBusyConnectionGetsLess(t *testing.T) {
	r := newRig(t, 2, finality.Ack, nil)
	for r.conns[0].inFlight == 0 {
		r.sent(1000)
	}
	for _, c := range []*Conn{r.conns[1]} { // answers at once
		for _, p := range c.table {
			r.ack(p)
		}
	}
	for range 10 {
		p := r.sent(1)
		if r.proxyOf(p) != 1 {
			t.Fatal("a pack goes to the connection with more bytes in flight")
		}
		r.ack(p)
	}
}
