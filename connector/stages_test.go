package connector

import (
	"fmt"
	"testing"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/config"
	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
)

// The stages of a record's way through the connector one by one: what each costs, and that it allocates
// nothing per record.

// bridgeOf is a bridge with so many partitions and nothing else.
func bridgeOf(tb testing.TB, n int) *Bridge {
	tb.Helper()
	b := &Bridge{cfg: &config.Config{}, parts: make(map[part.ID]*assign.Assignment)}
	b.cfg.Delivery.MaxUnfinal = 500_000
	rt := assigntest.RouterBy(tb, assigntest.Ways[0].Rule)
	for i := range n {
		b.put(assignmentOf(int32(i), rt))
	}
	return b
}

// BenchmarkRoomToPoll is what is asked before each poll.
func BenchmarkRoomToPoll(b *testing.B) {
	for _, n := range []int{1, 500} {
		b.Run(fmt.Sprint(n, " partitions"), func(b *testing.B) {
			br := bridgeOf(b, n)
			b.ReportAllocs()
			for b.Loop() {
				if why := br.roomToPoll(); why != (reason.Key{}) {
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
			br := bridgeOf(b, n)
			b.ReportAllocs()
			for b.Loop() {
				br.offerPending()
			}
			if br.turn != b.N {
				b.Fatalf("%d turns, want %d", br.turn, b.N)
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
	b := bridgeOf(t, 3)
	b.cfg.Delivery.MaxUnfinal = 4
	parts := b.assigned()
	first := holdOne(parts[0])
	for _, p := range parts {
		holdOne(p)
	}
	want := func(when string, why reason.Key) {
		t.Helper()
		if got := b.roomToPoll(); got != why {
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
	if got := b.unfinal.Load(); got != 3 {
		t.Errorf("%d pieces not final, want 3", got)
	}
}
