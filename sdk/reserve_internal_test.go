package sdk

import (
	"testing"
)

// 1. a pack is the oldest one unanswered when its connection ends, and waits for another one to be empty, alone
// 2. its first copy is seen in the queue meanwhile  3. the connection must not stay empty for it: it was the only one,
// and nothing was sent any more.
func TestConnectionIsNotKeptEmptyForAPackThatIsFinal(t *testing.T) {
	s := stagedSender(t)
	c := connect(t, s)
	d := &dispatching{s: s, c: c}
	st := streamsOf(t, s, 2)
	d.ready(st[0], 512)
	s.mu.Lock()
	s.dispatchLocked(s.now())
	if c.inFlight != 1 {
		t.Fatalf("%d packs in flight, want 1", c.inFlight)
	}
	s.mu.Unlock()

	d.ready(st[1], 512)
	s.mu.Lock()
	defer s.mu.Unlock()
	p := st[1].queues[classNew].front()
	st[1].queues[classNew].pop()
	p.suspect, p.endpoint = true, c.ep
	s.enqueueLocked(p)
	s.dispatchLocked(s.now())
	if c.reserved != p {
		t.Fatal("no connection is kept empty for the pack; the story tells nothing")
	}
	s.finalLocked(p, s.now())
	if c.reserved != nil {
		t.Error("the connection is kept empty for a pack that is final")
	}
}
