package sdk

import (
	"testing"
)

// aside puts n streams aside, each with a pack that its proxy does not want now.
func aside(t *testing.T, d *dispatching, n int) []*Stream {
	t.Helper()
	s := d.s
	streams := streamsOf(t, s, n)
	for _, st := range streams {
		s.mu.Lock()
		h := new(hold)
		h.refuse(0, 0, s.now(), "not now", s.o.backoff())
		st.setHoldLocked(d.c.ep, h)
		s.mu.Unlock()
		d.ready(st, 512)
	}
	s.mu.Lock()
	s.thorough = true
	todo := s.progressLocked()
	s.mu.Unlock()
	todo.perform()
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := s.turns[classNew].aside.n; got != n {
		t.Fatalf("%d streams stand aside, want %d", got, n)
	}
	return streams
}

func TestStreamsThatWaitAreTriedAFewAtATime(t *testing.T) {
	s := stagedSender(t)
	d := &dispatching{s: s, c: connect(t, s)}
	streams := aside(t, d, 1000)
	s.mu.Lock()
	defer s.mu.Unlock()
	first := func() *Stream { return s.turns[classNew].aside.head.st }
	at := func(st *Stream) int {
		for i, x := range streams {
			if x == st {
				return i
			}
		}
		return -1
	}
	before := at(first())
	for i := 1; i <= 500; i++ {
		s.dispatchLocked(s.now())
		if got, want := at(first()), (before+i*asideTries)%len(streams); got != want {
			t.Fatalf("after %d times stream %d is next, want %d: each in turn, %d at a time", i, got, want, asideTries)
		}
	}
}

func TestStreamThatMayGoAgainGoesAtOnceOrWithTheNextTick(t *testing.T) {
	s := stagedSender(t)
	d := &dispatching{s: s, c: connect(t, s)}
	streams := aside(t, d, 1000)
	s.mu.Lock()
	defer s.mu.Unlock()

	own := streams[700] // something happened to a pack of its own
	delete(own.holds, d.c.ep)
	s.wakeLocked(own)
	s.dispatchLocked(s.now())
	if d.c.inFlight != 1 || own.queues[classNew].len() != 0 {
		t.Fatalf("%d packs in flight, want the one of the stream that was woken", d.c.inFlight)
	}
	for _, st := range streams { // time passed for all
		delete(st.holds, d.c.ep)
	}
	s.thorough = true
	s.dispatchLocked(s.now())
	if d.c.inFlight != len(streams) || s.turns[classNew].aside.n+s.turns[classNew].ready.n != 0 {
		t.Errorf("%d packs in flight, %d streams still in line; want all of %d gone", d.c.inFlight, s.turns[classNew].ready.n, len(streams))
	}
}
