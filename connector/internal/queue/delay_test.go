package queue

import (
	"testing"
	"time"

	"inlong-bridge/sdk"
)

func TestQueueDelayIsCountedFromTheAckUntilThePackIsSeen(t *testing.T) {
	q := NewDelay()
	h := q.Hooks()
	at := func(seq uint64, age time.Duration) sdk.PackEvent { return sdk.PackEvent{Seq: seq, Age: age} }
	h.PackAcked(at(1, time.Second))
	h.PackAcked(at(2, 2*time.Second))
	h.PackFinal(at(1, 1700*time.Millisecond)) // 0.7 s
	h.PackFinal(at(2, 102*time.Second))       // 100 s
	h.PackFinal(at(3, time.Second))           // seen before its ack
	h.PackAcked(at(4, time.Second))
	h.PackLost(at(4, 20*time.Second))
	h.PackFinal(at(4, 30*time.Second)) // seen after all
	h.PackAcked(at(5, time.Second))
	h.PackGivenUp(at(5, time.Second))
	count, sum, upTo := q.Read()
	if count != 2 || sum < 100.69 || sum > 100.71 || upTo[0.5] != 0 || upTo[1] != 1 || upTo[80] != 1 {
		t.Errorf("read = %d packs, %v s, %v; want two, of 0.7 s and 100 s", count, sum, upTo)
	}
	if len(q.acked) != 0 {
		t.Errorf("%d packs are remembered after all have ended", len(q.acked))
	}
}
