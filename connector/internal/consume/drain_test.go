package consume

import (
	"testing"
	"time"

	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
)

// A chunk that is half sent stays behind a reason that may end. A drain does not wait for it.
func TestDrainDoesNotWaitForWhatIsParkedBehindAStop(t *testing.T) {
	c := consumerOf(t, 0)
	p, s := anAssignment(t), &assigntest.Sender{Room: 3, Err: sdk.ErrBufferFull}
	c.Put(p)
	p.Take(s, cutting(), assigntest.Records(0, 10))
	s.Settle(sdk.Final)
	if open, _ := c.table.UnfinishedWork(); open == 0 {
		t.Error("nothing is open while a chunk is half sent and waits for room")
	}
	p.Gate().Refer(assign.StreamKey("g", "a", reason.Refused), time.Now(), true)
	p.Offer(s)
	if open, stuck := c.table.UnfinishedWork(); open != 0 || stuck == 0 {
		t.Errorf("%d open and %d stuck behind a stop, want none open", open, stuck)
	}
}
