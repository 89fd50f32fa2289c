package observe

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
)

// logged keeps lines.
type logged struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) lines(with string) (out []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.b.String()) {
		if strings.Contains(line, with) {
			out = append(out, line)
		}
	}
	return out
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func stopOf(code reason.Code, object string) reason.Reason {
	return reason.New(reason.Key{Code: code, Scope: reason.Partition, Object: object}, time.Now(), "it does not go on; hint: look")
}

func logging(src Source, cfg Config) (*Observer, *logged) {
	l := new(logged)
	return New(src, new(reason.Board), cfg, l.logger()), l
}

// 5,000 partitions stop for one cause, at once or over ten minutes: a few lines, that together count each of them.
func TestOneCauseIsAFewLinesHoweverManyPartitionsStop(t *testing.T) {
	for _, over := range []time.Duration{0, 10 * time.Second, 10 * time.Minute} {
		t.Run(over.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, l := logging(&shown{Status{State: "running", Routes: []RouteStatus{{"g", "s"}}}}, Config{})
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				wg.Go(func() { o.Run(ctx) })
				const n = 5000
				for i := range n {
					o.Stopped(stopOf(reason.TooManyStreams, fmt.Sprintf("orders/%d", i)))
					time.Sleep(over / n)
				}
				time.Sleep(time.Minute)
				cancel()
				wg.Wait()
				lines := l.lines("partitions stopped")
				total := 0
				for _, line := range lines {
					total += number(t, line, " partitions=")
					if len(line) > 4<<10 {
						t.Errorf("a line of %d bytes", len(line))
					}
				}
				if total != n || len(lines) == 0 || len(lines) > 40 {
					t.Errorf("%d lines count %d partitions, want a few lines that count %d", len(lines), total, n)
				}
				if !strings.Contains(lines[0], "orders/0 ") || !strings.Contains(lines[0], "code=too_many_streams") || !strings.Contains(lines[0], "hint=look") {
					t.Errorf("line = %s, want the code, the first partitions and the hint", lines[0])
				}
			})
		})
	}
}

func number(t *testing.T, line, after string) (n int) {
	t.Helper()
	_, rest, ok := strings.Cut(line, after)
	if _, err := fmt.Sscanf(rest, "%d", &n); !ok || err != nil {
		t.Fatalf("no number after %q in %s", after, line)
	}
	return n
}

func TestFirstEventOfACauseIsLoggedAtOnceAndEachCodeHasItsLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, l := logging(&shown{Status{State: "running", Routes: []RouteStatus{{"g", "s"}}}}, Config{})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go o.Run(ctx)
		for i := range 100 {
			o.Stopped(stopOf(reason.Gap, fmt.Sprintf("a/%d", i)))
			o.Stopped(stopOf(reason.Poison, fmt.Sprintf("b/%d", i)))
			o.Began(stopOf(reason.Fault, fmt.Sprintf("c/%d", i)))
		}
		time.Sleep(flushPauses.Min + time.Millisecond)
		for _, want := range []string{"code=gap partitions=100", "code=poison partitions=100", "code=fault partitions=100"} {
			if got := l.lines(want); len(got) != 1 {
				t.Errorf("%d lines with %q after a second, want 1", len(got), want)
			}
		}
		time.Sleep(time.Hour) // quiet: the next one is as new as the first
		o.Stopped(stopOf(reason.Gap, "a/7"))
		time.Sleep(flushPauses.Min + time.Millisecond)
		if got := l.lines("code=gap partitions=1 which=a/7"); len(got) != 1 {
			t.Errorf("%d lines of the one that stopped an hour later, want 1 at once", len(got))
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		if len(o.events) != 1 {
			t.Errorf("%d codes are remembered, want the last alone", len(o.events))
		}
	})
}

// A partition that stops and goes on again and again is one partition.
func TestPartitionThatFlapsIsCountedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, l := logging(&shown{}, Config{})
		for range 1000 {
			o.Stopped(stopOf(reason.Refused, "orders/0"))
			time.Sleep(time.Millisecond)
			o.Ended(stopOf(reason.Refused, "orders/0"))
		}
		o.Flush()
		if got := l.lines("partitions=1 "); len(got) != 2 || !strings.Contains(got[0], "stopped") || !strings.Contains(got[1], "go on") {
			t.Errorf("lines = %q, want one that it stopped and one that it goes on", got)
		}
		if o.Flush(); len(l.lines("")) != 2 {
			t.Error("logged again without news")
		}
	})
}

// live is a bridge whose snapshot the test changes.
type live struct {
	mu    sync.Mutex
	s     Status
	found map[uint64][]gate.Entry
}

func (l *live) Snapshot() Status {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.s
}

func (l *live) Stalled(found map[uint64][]gate.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.found = found
}

func (l *live) set(change func(s *Status)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(&l.s)
}

// 2,000 streams stall for one cause: one line when it begins, one when it is over, and none while it comes and goes.
func TestSharedCauseIsOneLineWhenItBeginsAndOneWhenItIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &live{s: Status{State: "running", Routes: []RouteStatus{{"g", "s"}}, Sender: sdk.Status{Endpoints: []sdk.EndpointStatus{{Address: "p", Connections: 1}}}}}
		o, l := logging(src, Config{Watchdog: time.Minute, Overdue: time.Hour})
		var streams []sdk.StreamStatus
		for i := range 2_000 {
			streams = append(streams, sdk.StreamStatus{Group: "g", Stream: fmt.Sprint("s", i), Stall: "the proxies say no; hint: ask them", StallCode: sdk.StreamUnknown})
		}
		look := func(stall bool) {
			src.set(func(s *Status) {
				if s.Sender.Streams = nil; stall {
					s.Sender.Streams = streams
				}
			})
			o.look(time.Now())
			time.Sleep(10 * time.Second)
		}
		look(false)
		for i := range 30 {
			look(i%2 == 0 || i > 4) // it comes and goes at first
		}
		if got := l.lines("records do not move"); len(got) != 1 || !strings.Contains(got[0], "objects=2000") || !strings.Contains(got[0], "code=unknown_stream") || len(got[0]) > 4<<10 {
			t.Errorf("%d lines, want a short one that counts the streams: %.500q", len(got), got)
		}
		if got := l.lines("records move again"); len(got) != 0 {
			t.Errorf("%q while it lasts", got)
		}
		for range 10 {
			look(false)
		}
		if got := l.lines("records move again"); len(got) != 1 || !strings.Contains(got[0], "objects=2000") {
			t.Errorf("%.500q, want one line that it is over", got)
		}
	})
}

// 5,000 partitions stand still for one cause: one line, and one when they go on.
func TestStallOfManyPartitionsIsOneLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &live{s: Status{State: "running", Routes: []RouteStatus{{"g", "s"}}, Sender: sdk.Status{Endpoints: []sdk.EndpointStatus{{Address: "p", Connections: 1}}}}}
		o, l := logging(src, Config{Watchdog: time.Minute, Overdue: time.Hour})
		condition := new(gate.Gates).New("orders", 0).Condition()
		src.set(func(s *Status) {
			for i := range 5000 {
				s.Parts = append(s.Parts, PartitionStatus{Topic: "orders", Partition: int32(i), Assignment: uint64(i + 1), Condition: condition, Behind: 10, Unfinal: 3})
			}
		})
		for range 20 {
			o.look(time.Now())
			time.Sleep(10 * time.Second)
		}
		if got := l.lines("make no progress"); len(got) != 1 || !strings.Contains(got[0], "partitions=5000") || !strings.Contains(got[0], "lag=50000") || len(got[0]) > 4<<10 {
			t.Errorf("%d lines, want a short one that counts all: %.500q", len(got), got)
		}
		if len(src.found) != 5000 || len(src.found[1]) != 1 || src.found[1][0].Own != nil || src.found[1][0].Code != reason.NoAck {
			t.Errorf("found %d, the first %+v, want all with a reference to one shared reason", len(src.found), src.found[1])
		}
		if _, ok := o.board.Get(reason.Key{Code: reason.NoAck, Scope: reason.Process}); !ok {
			t.Error("what they share is not posted")
		}
		src.set(func(s *Status) {
			for i := range s.Parts {
				s.Parts[i].Final++
			}
		})
		o.look(time.Now())
		if got := l.lines("make progress again"); len(got) != 1 || !strings.Contains(got[0], "partitions=5000") {
			t.Errorf("%.500q, want one line that all go on", got)
		}
		if _, ok := o.board.Get(reason.Key{Code: reason.NoAck, Scope: reason.Process}); ok || len(src.found[1]) != 0 {
			t.Error("the reason is still posted, or still found")
		}
		src.set(func(s *Status) { s.State = "draining" })
		src.found = map[uint64][]gate.Entry{1: nil}
		if o.look(time.Now()); src.found != nil {
			t.Error("a drain has a time of its own: nothing is found while it lasts")
		}
	})
}

func TestRecordsThatWaitTooLongAreOverdueAndNotStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := new(gate.Gates).New("orders", 0)
		src := &live{s: Status{State: "running", Routes: []RouteStatus{{"g", "s"}}, Sender: sdk.Status{Endpoints: []sdk.EndpointStatus{{Address: "p", Connections: 1}}},
			Parts: []PartitionStatus{{Topic: "orders", Assignment: 1, Condition: g.Condition(), OldestUnfinal: 90 * time.Second}}}}
		o, _ := logging(src, Config{Watchdog: 2 * time.Minute, Overdue: time.Minute})
		o.look(time.Now())
		g.Stall(src.found[1])
		src.set(func(s *Status) { s.Parts[0].Condition = g.Condition() })
		s := o.Status()
		p := s.Parts[0]
		if len(p.Conditions) != 1 || p.Conditions[0].Code != reason.Overdue || p.StuckCode != "" || p.Stuck != 0 {
			t.Errorf("conditions = %v, stuck = %v (%q), want overdue alone: partition_stuck has no value for it", p.Conditions, p.Stuck, p.StuckCode)
		}
		if e := g.Condition().Behind(); e == nil || !e.Since.Equal(time.Now().Add(-90*time.Second)) {
			t.Errorf("entry = %+v, want it since the oldest record waits", e)
		}
		time.Sleep(30 * time.Second)
		src.set(func(s *Status) { s.Parts[0].OldestUnfinal = 2 * time.Minute })
		o.look(time.Now())
		g.Stall(src.found[1])
		if e := g.Condition().Get(p.Conditions[0]); e == nil || !strings.Contains(e.Own.Sentence, "2m0s") {
			t.Errorf("entry = %+v, want the time that it waits now", e)
		}
	})
}

// /status, /metrics and the stall detection make snapshots at the same time. A proxy that was ill in one and is well in the next does not
// take away the reason that the first found.
func TestSnapshotsMadeAtTheSameTimeDoNotMixTheirReasons(t *testing.T) {
	ill := []sdk.EndpointStatus{{Address: "p", Connections: 1, Code: sdk.EndpointRefuses, Reason: "errCode 114"}}
	well := []sdk.EndpointStatus{{Address: "p", Connections: 1}}
	var n int
	src := &live{s: Status{State: "running", Routes: []RouteStatus{{"g", "s"}}}}
	flip := snapshotFunc(func() Status {
		src.mu.Lock()
		defer src.mu.Unlock()
		s := src.s
		if n++; n%2 == 0 {
			s.Sender.Endpoints = ill
		} else {
			s.Sender.Endpoints = well
		}
		return s
	})
	o, _ := logging(flip, Config{Watchdog: time.Minute, Overdue: time.Hour})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				s := o.Status()
				posted := false
				for _, c := range s.Conditions {
					posted = posted || c.Code == reason.Endpoint
				}
				if is := s.Sender.Endpoints[0].Code == sdk.EndpointRefuses; is != posted {
					t.Errorf("a proxy that refuses: %v, a reason of it: %v", is, posted)
					return
				}
			}
		})
	}
	wg.Wait()
}

// 1. a snapshot finds a proxy ill  2. another finds it well, and takes its reason off the board  3. the first asks the board. So the second
// waits until the first is done.
func TestSnapshotsAreCompletedOneAfterTheOther(t *testing.T) {
	entered := make(chan struct{}, 2)
	var wg sync.WaitGroup
	o, _ := logging(snapshotFunc(func() Status {
		entered <- struct{}{}
		for range 20 {
			if len(entered) == 2 {
				t.Error("two snapshots are completed at once")
				break
			}
			time.Sleep(time.Millisecond)
		}
		<-entered
		return Status{State: "running"}
	}), Config{})
	for range 2 {
		wg.Go(func() { o.Status() })
	}
	wg.Wait()
}

type snapshotFunc func() Status

func (f snapshotFunc) Snapshot() Status              { return f() }
func (snapshotFunc) Stalled(map[uint64][]gate.Entry) {}
