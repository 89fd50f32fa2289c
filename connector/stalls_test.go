package connector

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// lines keeps what is logged.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) count(s string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), s)
}

// The proxies are gone: the watchdog says so in the log, on /readyz and as a metric, and says once when it is over.
func TestWatchdogTellsOfAStallAndOfItsEnd(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	for _, p := range e.proxies {
		p.Kill()
	}
	e.produce("orders", 0, 0, 10, 0)
	c := e.config("queue")
	c.Delivery.Watchdog = 300 * time.Millisecond
	log := new(lines)
	r := e.startLogging(c, slog.New(slog.NewTextHandler(log, nil)))
	p := r.part("orders", 0, func(p PartitionStatus) bool { return p.StuckCode == "endpoint" })
	if p.Stuck < c.Delivery.Watchdog || p.Lag != 10 {
		t.Errorf("status = %+v, want stuck for at least %v with a lag of 10", p, c.Delivery.Watchdog)
	}
	base := "http://" + r.b.AdminAddr()
	if code, body := get(t, base+"/readyz?strict=1"); code != 503 || !strings.Contains(body, "no_proxy, holds back 1 partition (orders/0), no progress for") {
		t.Errorf("/readyz = %d %s, want 503 and the partition", code, body)
	}
	if _, body := get(t, base+"/metrics"); !strings.Contains(body, `inlong_bridge_partition_stuck{partition="0",reason="endpoint",topic="orders"} 1`) ||
		strings.Contains(body, `inlong_bridge_partition_stuck{partition="1"`) {
		t.Errorf("/metrics does not have partition 0, and only it, as stuck")
	}
	for _, p := range e.proxies {
		if err := p.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	e.waitCommitted("orders", 0, 10)
	r.part("orders", 0, func(p PartitionStatus) bool { return p.StuckCode == "" })
	eventually(t, 10*time.Second, func() error {
		// On the way out of it the reason may be another for a moment, the queue's, and that is news too.
		if begun, ended := log.count(`make no progress" code=no_proxy`), log.count("make progress again"); begun != 1 || ended != 1 {
			return fmt.Errorf("the stall was logged %d times and its end %d times, want once each", begun, ended)
		}
		return nil
	})
}

// A client whose fetches bring nothing knows of no lag; the log's end does.
func TestWatchdogFindsAClientThatFetchesNothing(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	c := e.config("queue")
	c.Delivery.Watchdog = 400 * time.Millisecond
	r := e.start(c)
	r.part("orders", 0, func(p PartitionStatus) bool { return p.Lag == 0 })
	var over atomic.Bool
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	e.kafka.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if over.Load() {
			return nil, nil, false
		}
		e.kafka.KeepControl()
		select { // or the client asks all the time
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		return resp, nil, true
	})
	defer over.Store(true)
	e.produce("orders", 0, 0, 7, 0)
	p := r.part("orders", 0, func(p PartitionStatus) bool { return p.StuckCode != "" })
	if p.StuckCode != "broker" || p.Lag != 7 {
		t.Errorf("status = %+v, want stuck because of the broker, with a lag of 7", p)
	}
	over.Store(true)
	cancel()
	e.waitCommitted("orders", 0, 7)
}
