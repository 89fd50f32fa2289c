package connector

import (
	"errors"
	"strings"
	"testing"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
)

func TestQueueDelayIsCountedFromTheAckUntilThePackIsSeen(t *testing.T) {
	q := newQueueDelay()
	h := q.hooks()
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
	count, sum, upTo := q.read()
	if count != 2 || sum < 100.69 || sum > 100.71 || upTo[0.5] != 0 || upTo[1] != 1 || upTo[80] != 1 {
		t.Errorf("read = %d packs, %v s, %v; want two, of 0.7 s and 100 s", count, sum, upTo)
	}
	if len(q.acked) != 0 {
		t.Errorf("%d packs are remembered after all have ended", len(q.acked))
	}
}

func TestQueueDelayIsShownInQueueModeOnly(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withProxy(dptest.WithQueueDelay(600*time.Millisecond)))
	e.produce("orders", 0, 0, 10, 0)
	r := e.start(e.config("queue"))
	e.waitCommitted("orders", 0, 10)
	eventually(t, 5*time.Second, func() error { // the piece is told before its pack
		_, body := get(t, "http://"+r.b.AdminAddr()+"/metrics")
		if !strings.Contains(body, "inlong_bridge_queue_delay_seconds_count ") || strings.Contains(body, "inlong_bridge_queue_delay_seconds_count 0") {
			return errors.New("/metrics counts no pack that was seen")
		}
		return nil
	})
	count, sum, upTo := r.b.delay.read()
	if count == 0 || upTo[0.25] != 0 || sum < 0.5*float64(count) {
		t.Errorf("%d packs took %v s, %d of them at most 0.25 s; want about 0.6 s each", count, sum, upTo[0.25])
	}
	if err := r.drain(); err != nil {
		t.Fatal(err)
	}
	other := newEnv(t)
	if s := other.start(other.config("ack")); s.b.delay != nil {
		t.Error("the delay of a queue that is not read is measured")
	}
}
