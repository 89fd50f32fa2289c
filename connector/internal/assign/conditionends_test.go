package assign

import (
	"testing"
	"time"

	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
)

// 1. a migration has fetched up to the end, and the budget is full  2. the partition stops and gives back what is parked  3. it goes
// on. What was given back must be fetched again.
func TestMigrationFetchesAgainWhatAStopGaveBack(t *testing.T) {
	ev := new(fakeEvents)
	p, s := testPartition(t, ev), &assigntest.Sender{Room: 4, Err: sdk.ErrBufferFull}
	p.Limit = 20
	p.Take(s, split(), assigntest.Records(0, 10))
	p.Take(s, &Splitter{Pack: 256 << 10, Oversize: 1 << 20, Limit: 20}, assigntest.Records(10, 10))
	p.ReachedEnd()
	if !p.gate.Condition().Closed() {
		t.Fatal("a partition at its end is fetched")
	}
	k := StreamKey("g", "a", reason.Refused)
	p.gate.Refer(k, p.heard, true)
	p.Offer(s)
	p.gate.Drop(k)
	if at := p.Expects(); at != 10 || p.gate.Condition().Closed() {
		t.Errorf("the partition goes on at %d, closed for %+v; want 10 and to be fetched", at, p.gate.Condition().Entries())
	}
}

// A chunk waits for one stream after the other. The one that has room again is innocent.
func TestOnlyTheStreamThatIsFullIsNamed(t *testing.T) {
	p := testPartition(t, new(fakeEvents))
	s := &assigntest.Sender{Room: 0, Err: sdk.ErrStreamFull}
	p.Take(s, split(), assigntest.Records(0, 1))
	s.Room = 1
	p.Take(s, split(), assigntest.Records(0, 2)[1:]) // the first is taken, and the stream of the second is full
	c := p.gate.Condition()
	if want := StreamKey("g", "b", reason.StreamFull); len(c.Entries()) != 1 || c.Get(want) == nil {
		t.Errorf("conditions = %+v, want only %v", c.Entries(), want)
	}
}

// The detection names a full stream that another partition waits for. That is no reason to look for room.
func TestFullStreamOfAnotherPartitionIsNoWait(t *testing.T) {
	p := testPartition(t, new(fakeEvents))
	k := StreamKey("g", "a", reason.StreamFull)
	p.gate.Stall([]gate.Entry{{Key: k, Behind: p.heard.Add(-time.Hour)}})
	p.RoomAgain(p.heard)
	if p.waits.Load() || p.waitsFor() != "" || p.gate.Condition().Get(k) == nil {
		t.Errorf("waits %v, for %q, conditions %+v; want what was found to stay, and no wait", p.waits.Load(), p.waitsFor(), p.gate.Condition().Entries())
	}
}
