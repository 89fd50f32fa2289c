package connector

import (
	"fmt"
	"testing"
	"time"

	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/reason"
)

func refusedSoon(e *env) { e.tune = func(b *Bridge) { b.refusedPause = 50 * time.Millisecond } }

// One proxy of two refuses everything for a while; the other takes the same packs.
func TestOneProxyThatRefusesStopsNothing(t *testing.T) {
	for _, code := range []int{112, 104} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			t.Parallel()
			e := newEnv(t)
			e.proxies[0].Code(code, 1)
			r := e.start(e.config("queue"))
			e.produce("orders", 0, 0, 300, 0)
			e.produce("orders", 1, 0, 300, 0)
			e.waitCommitted("orders", 0, 300)
			e.waitCommitted("orders", 1, 300)
			if stops := r.b.consumer.Counters.Stops.Snapshot(); len(stops) != 0 {
				t.Errorf("partitions stopped: %v, want none", stops)
			}
			e.expectAll(300, 300)
		})
	}
}

// Both proxies refuse: the partitions stop, name the stream as the reason, and go on by themselves when a proxy takes the oldest pack.
func TestPartitionsThatAreRefusedGoOnWhenAProxyTakesTheOldestPack(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	refusedSoon(e)
	for _, p := range e.proxies {
		p.Code(112, 1)
	}
	r := e.start(e.config("queue"))
	e.produce("orders", 0, 0, 300, 0)
	e.produce("orders", 1, 0, 300, 0)
	for _, num := range []int32{0, 1} {
		p := r.part("orders", num, func(p PartitionStatus) bool { return p.Stopped })
		if p.Stall != string(reason.Refused) || len(p.Conditions) == 0 || p.Conditions[0] != assign.StreamKey("g", "s", reason.Refused) {
			t.Errorf("orders/%d: stopped as %s for %v, want %s of stream g/s", num, p.Stall, p.Conditions, reason.Refused)
		}
	}
	e.produce("orders", 0, 300, 100, 0) // fetched and ignored while it is stopped, or after
	time.Sleep(300 * time.Millisecond)
	if at := e.committed("orders", 0); at > 0 {
		t.Errorf("committed = %d while everything is refused", at)
	}
	if got := r.b.consumer.Counters.GoneOn.Snapshot(); len(got) != 0 {
		t.Errorf("went on %v while everything is refused", got)
	}
	e.proxies[1].Code(112, 0)
	e.waitCommitted("orders", 0, 400)
	e.waitCommitted("orders", 1, 300)
	e.expectAll(400, 300)
	eventually(t, 10*time.Second, func() error {
		if s := r.b.Status(); !s.Ready.Strict {
			return fmt.Errorf("conditions = %+v, want none once a proxy takes the packs", s.Conditions)
		}
		return nil
	})
}

// Stopped and gone on a hundred times: nothing is skipped, nothing is left behind.
func TestRefusalThatComesAndGoesSkipsNothing(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	e.tune = func(b *Bridge) { b.refusedPause = 5 * time.Millisecond }
	r := e.start(e.config("settle"))
	made := 0
	for range 100 {
		for _, p := range e.proxies {
			p.Code(112, 1)
		}
		e.produce("orders", 0, made, 30, 0)
		made += 30
		r.part("orders", 0, func(p PartitionStatus) bool { return p.Stopped })
		for _, p := range e.proxies {
			p.Code(112, 0)
		}
		r.part("orders", 0, func(p PartitionStatus) bool { return !p.Stopped })
	}
	e.waitCommitted("orders", 0, int64(made))
	e.expectAll(made, 0)
	if p := r.b.table.Assigned()[0]; p.Gate().Stranded() != 0 || p.Refused.Total() != 0 || len(p.Gate().Condition().Entries()) != 0 {
		t.Errorf("left behind: %d stranded, %d refused, %+v", p.Gate().Stranded(), p.Refused.Total(), p.Gate().Condition().Entries())
	}
}
