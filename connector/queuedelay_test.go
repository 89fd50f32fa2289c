package connector

import (
	"errors"
	"strings"
	"testing"
	"time"

	"inlong-bridge/sdk/dptest"
)

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
	count, sum, upTo := r.b.delay.Read()
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
