package connector

import (
	"testing"
	"time"

	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
)

// 1. a migration has fetched up to the end, and the budget is full  2. the partition stops and gives back what is parked  3. it goes
// on. What was given back must be fetched again.
func TestMigrationFetchesAgainWhatAStopGaveBack(t *testing.T) {
	ev := new(fakeEvents)
	p, s := testPartition(t, ev), &fakeSender{room: 4, err: sdk.ErrBufferFull}
	p.limit = 20
	p.take(s, split(), recs(0, 10))
	p.take(s, &splitter{pack: 256 << 10, suspect: 1 << 20, limit: 20}, recs(10, 10))
	p.reachedEnd()
	if !p.gate.Condition().Closed() {
		t.Fatal("a partition at its end is fetched")
	}
	k := streamKey("g", "a", reason.Refused)
	p.gate.Refer(k, p.heard, true)
	p.unpark(s)
	p.gate.Drop(k)
	if at := p.expects(); at != 10 || p.gate.Condition().Closed() {
		t.Errorf("the partition goes on at %d, closed for %+v; want 10 and to be fetched", at, p.gate.Condition().Entries())
	}
}

// A chunk waits for one stream after the other. The one that has room again is innocent.
func TestOnlyTheStreamThatIsFullIsNamed(t *testing.T) {
	p := testPartition(t, new(fakeEvents))
	s := &fakeSender{room: 0, err: sdk.ErrStreamFull}
	p.take(s, split(), recs(0, 1))
	s.room = 1
	p.take(s, split(), recs(0, 2)[1:]) // the first is taken, and the stream of the second is full
	c := p.gate.Condition()
	if want := streamKey("g", "b", reason.StreamFull); len(c.Entries()) != 1 || c.Get(want) == nil {
		t.Errorf("conditions = %+v, want only %v", c.Entries(), want)
	}
}

// The detection names a full stream that another partition waits for. That is no reason to look for room.
func TestFullStreamOfAnotherPartitionIsNoWait(t *testing.T) {
	p := testPartition(t, new(fakeEvents))
	k := streamKey("g", "a", reason.StreamFull)
	p.gate.Stall([]gate.Entry{{Key: k, Behind: p.heard.Add(-time.Hour)}})
	p.roomAgain(p.heard)
	if p.waits.Load() || p.waitsFor() != "" || p.gate.Condition().Get(k) == nil {
		t.Errorf("waits %v, for %q, conditions %+v; want what was found to stay, and no wait", p.waits.Load(), p.waitsFor(), p.gate.Condition().Entries())
	}
}

// A chunk that is half sent stays behind a reason that may end. A drain does not wait for it.
func TestDrainDoesNotWaitForWhatIsParkedBehindAStop(t *testing.T) {
	b := bridgeOf(t, 0)
	p, s := testPartition(t, new(fakeEvents)), &fakeSender{room: 3, err: sdk.ErrBufferFull}
	b.put(p)
	p.take(s, split(), recs(0, 10))
	s.settle(sdk.Final)
	if open, _ := b.unfinishedWork(); open == 0 {
		t.Error("nothing is open while a chunk is half sent and waits for room")
	}
	p.gate.Refer(streamKey("g", "a", reason.Refused), p.heard, true)
	p.unpark(s)
	if open, stuck := b.unfinishedWork(); open != 0 || stuck == 0 {
		t.Errorf("%d open and %d stuck behind a stop, want none open", open, stuck)
	}
}
