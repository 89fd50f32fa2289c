package losses

import (
	"context"
	"log/slog"
	"testing"
	"time"
)

// countedLosses is a log handler that adds up the packs of lines about losses.
type countedLosses struct {
	slog.Handler
	lines, packs int
}

func (c *countedLosses) Enabled(context.Context, slog.Level) bool { return true }
func (c *countedLosses) Handle(_ context.Context, r slog.Record) error {
	if r.Message != "proxy lost packs that it had acked" {
		return nil
	}
	c.lines++
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "packs" {
			c.packs += int(a.Value.Int64())
		}
		return true
	})
	return nil
}

// Losses that never cease are logged after 1 s, and then after twice the time each, up to ten minutes; the next crash an
// hour later is a new event.
func TestLossesWithoutEndAreGatheredForLongerAndLonger(t *testing.T) {
	c := &countedLosses{Handler: slog.DiscardHandler}
	const tick = 100 * time.Millisecond
	var l Log
	log, proxy := slog.New(c), Proxy{Addr: "nowhere:1"}
	now, lost := time.Duration(0), 0
	for ; now < time.Hour; now += tick {
		l.Note(proxy, "a reason", 3, true, now)
		lost++
		l.Tell(log, now, false)
	}
	// 1 + 2 + 4 + ... + 512 s, and 600 s from then on.
	if c.lines < 12 || c.lines > 16 {
		t.Errorf("%d lines for an hour of losses, want 14 or so", c.lines)
	}
	for end := now + time.Hour; now < end; now += tick {
		l.Tell(log, now, false)
	}
	if c.packs != lost {
		t.Errorf("the lines tell of %d packs of %d", c.packs, lost)
	}
	before := c.lines
	l.Note(proxy, "a reason", 3, true, now)
	l.Tell(log, now+windows.Min, false)
	if c.lines != before+1 {
		t.Errorf("a loss an hour later is not logged within %v", windows.Min)
	}
	if len(l.events) != 1 {
		t.Errorf("%d events are remembered, want the last one", len(l.events))
	}
}

func TestProxiesOfOneNameAndReasonsAreEventsOfTheirOwn(t *testing.T) {
	c := &countedLosses{Handler: slog.DiscardHandler}
	log := slog.New(c)
	var l Log
	l.Note(Proxy{1, "a:1"}, "restarted", 1, false, 0)
	l.Note(Proxy{2, "a:1"}, "restarted", 1, false, 0)
	l.Note(Proxy{1, "a:1"}, "vanished", 1, false, 0)
	l.Note(Proxy{1, "a:1"}, "vanished", 1, false, 0)
	if l.Tell(log, windows.Min-1, false); c.lines != 0 {
		t.Errorf("%d lines before the events have gathered", c.lines)
	}
	if l.Tell(log, windows.Min-1, true); c.lines != 3 || c.packs != 4 {
		t.Errorf("%d lines about %d packs, want 3 about 4", c.lines, c.packs)
	}
}
