package consume

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/config"
	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/observe"
	"inlong-bridge/connector/reason"
)

// The stages of a record's way through the connector one by one: what each costs, and that it allocates
// nothing per record.

// consumerOf is a consumer with so many partitions and nothing else.
func consumerOf(tb testing.TB, n int) *Consumer {
	tb.Helper()
	cfg := &config.Config{}
	cfg.Delivery.MaxUnfinal = 500_000
	board, log := new(reason.Board), slog.New(slog.DiscardHandler)
	c := New(Deps{
		Settings: cfg, Log: log, Soft: context.Background(), Life: context.Background(), Table: NewTable(),
		Board: board, Causes: observe.New(nothing{}, board, observe.Config{}, log), Loops: new(observe.Loops),
	})
	rt := assigntest.RouterBy(tb, assigntest.Ways[0].Rule)
	for i := range n {
		c.Put(assignmentOf(int32(i), rt))
	}
	return c
}

// nothing is what an observer sees of a consumer alone.
type nothing struct{}

func (nothing) Snapshot() observe.Status        { return observe.Status{} }
func (nothing) Stalled(map[uint64][]gate.Entry) {}

// BenchmarkRoomToPoll is what is asked before each poll.
func BenchmarkRoomToPoll(b *testing.B) {
	for _, n := range []int{1, 500} {
		b.Run(fmt.Sprint(n, " partitions"), func(b *testing.B) {
			c := consumerOf(b, n)
			b.ReportAllocs()
			for b.Loop() {
				if why := c.roomToPoll(); why != (reason.Key{}) {
					b.Fatal(why)
				}
			}
		})
	}
}

// BenchmarkUnparkAll is what each news of room costs when nothing is parked.
func BenchmarkUnparkAll(b *testing.B) {
	for _, n := range []int{1, 500} {
		b.Run(fmt.Sprint(n, " partitions"), func(b *testing.B) {
			c := consumerOf(b, n)
			b.ReportAllocs()
			for b.Loop() {
				c.offerPending()
			}
			if c.turn != 0 {
				b.Fatalf("%d times partitions were looked at, though none waits", c.turn)
			}
		})
	}
}

// holdOne adds a span of one piece.
func holdOne(p *assign.Assignment) checkpoint.Piece {
	at := p.Checkpoint().Position()
	s := p.Checkpoint().Begin(at, at+1)
	pc := p.Checkpoint().Add(s, checkpoint.Origin{First: at, Last: at, Records: 1})
	p.Checkpoint().End(s)
	return pc
}

func TestUnfinalOfAllPartitionsHoldsFetching(t *testing.T) {
	c := consumerOf(t, 3)
	c.cfg.Delivery.MaxUnfinal = 4
	parts := c.table.Assigned()
	first := holdOne(parts[0])
	for _, p := range parts {
		holdOne(p)
	}
	want := func(when string, why reason.Key) {
		t.Helper()
		if got := c.roomToPoll(); got != why {
			t.Errorf("%s: roomToPoll = %v, want %v", when, got, why)
		}
	}
	want("4 of 4 are not final", unfinalKey)
	parts[0].Checkpoint().Final(first)
	parts[0].Checkpoint().Final(first)
	want("one became final, twice told, and is not committed", unfinalKey)
	parts[0].Checkpoint().BeginCommit()
	parts[0].Checkpoint().EndCommit(true)
	want("it is committed", reason.Key{})
	holdOne(parts[0])
	want("4 again", unfinalKey)
	parts[2].Checkpoint().Revoke()
	parts[2].Checkpoint().Revoke()
	want("one was revoked with its partition", reason.Key{})
	if got := c.table.Unfinal.Load(); got != 3 {
		t.Errorf("%d pieces not final, want 3", got)
	}
}
