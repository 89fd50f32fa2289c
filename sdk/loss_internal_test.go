package sdk

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

func lostPack(st *Stream) *pack {
	return &pack{filling: filling{st: st, count: 3}, followers: followers{tokens: 1}}
}

// Losses that never cease are logged after 1 s, and then after twice the time each, up to ten minutes; the next crash an
// hour later is a new event.
func TestLossesWithoutEndAreGatheredForLongerAndLonger(t *testing.T) {
	c := &countedLosses{Handler: slog.DiscardHandler}
	s := stagedSender(t, WithLogger(slog.New(c)))
	st := streamsOf(t, s, 1)[0]
	s.mu.Lock()
	defer s.mu.Unlock()
	now, lost := time.Duration(0), 0
	for ; now < time.Hour; now += tick {
		s.losses.noteLocked(lostPack(st), "nowhere:1", "a reason", now)
		lost++
		s.losses.tellLocked(s.o.logger, now, false)
	}
	// 1 + 2 + 4 + ... + 512 s, and 600 s from then on.
	if c.lines < 12 || c.lines > 16 {
		t.Errorf("%d lines for an hour of losses, want 14 or so", c.lines)
	}
	for end := now + time.Hour; now < end; now += tick {
		s.losses.tellLocked(s.o.logger, now, false)
	}
	if c.packs != lost {
		t.Errorf("the lines tell of %d packs of %d", c.packs, lost)
	}
	before := c.lines
	s.losses.noteLocked(lostPack(st), "nowhere:1", "a reason", now)
	s.losses.tellLocked(s.o.logger, now+lossWindows.Min, false)
	if c.lines != before+1 {
		t.Errorf("a loss an hour later is not logged within %v", lossWindows.Min)
	}
	if len(s.losses) != 1 {
		t.Errorf("%d events are remembered, want the last one", len(s.losses))
	}
}
