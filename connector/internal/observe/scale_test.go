package observe

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
)

// many is a bridge with a lot of partitions and streams, all of which stall.
type many struct{ s Status }

func (m *many) Snapshot() Status {
	s := m.s
	s.Parts = append([]PartitionStatus(nil), m.s.Parts...)
	return s
}

func (*many) Stalled(map[uint64][]gate.Entry) {}

func manyOf(partitions, streams int) *many {
	m := &many{Status{State: "running", Sender: sdk.Status{Endpoints: []sdk.EndpointStatus{{Address: "a", Connections: 1}}}}}
	for i := range streams {
		name := fmt.Sprint("s", i)
		m.s.Routes = append(m.s.Routes, RouteStatus{"g", name})
		m.s.Sender.Streams = append(m.s.Sender.Streams, sdk.StreamStatus{Group: "g", Stream: name, Stall: "errCode 115", StallCode: sdk.StreamUnknown})
	}
	var gates gate.Gates
	for i := range partitions {
		g := gates.New("orders", int32(i))
		m.s.Parts = append(m.s.Parts, PartitionStatus{Topic: "orders", Partition: int32(i), Assignment: uint64(i + 1), Behind: 5, Unfinal: 1,
			Condition: g.Condition(), Oldest: &m.s.Routes[i%streams]})
	}
	return m
}

// BenchmarkReadyz is what a probe costs.
func BenchmarkReadyz(b *testing.B) {
	o := New(manyOf(5000, 10000), new(reason.Board), Config{Watchdog: time.Minute, Overdue: time.Hour}, slog.New(slog.DiscardHandler))
	b.ReportAllocs()
	for b.Loop() {
		o.Status()
	}
}

// BenchmarkLook is what a look for partitions costs that make no progress.
func BenchmarkLook(b *testing.B) {
	o := New(manyOf(5000, 10000), new(reason.Board), Config{Watchdog: time.Nanosecond, Overdue: time.Hour}, slog.New(slog.DiscardHandler))
	b.ReportAllocs()
	for b.Loop() {
		o.look(time.Now())
	}
}

// What follows from a snapshot is replaced by whoever takes the next one, at the same time or not.
func TestStallWithoutAReasonIsLookedAtAgain(t *testing.T) {
	w := stalls{after: time.Minute}
	now := time.Unix(1_700_000_000, 0)
	parts := []PartitionStatus{{Topic: "orders", Assignment: 1, Behind: 5, Condition: new(gate.Gates).New("orders", 0).Condition()}}
	none := func(*PartitionStatus) ([]gate.Entry, string) { return nil, "" }
	w.look(now, parts, none)
	if found := w.look(now.Add(2*time.Minute), parts, none); len(found) != 0 {
		t.Errorf("found %+v without a reason", found)
	}
}

func TestPartitionThatStopsMakesNoProgressAgain(t *testing.T) {
	k := watch()
	k.part.Behind = 5
	k.pass(2 * time.Minute)
	g := new(gate.Gates).New("orders", 0)
	g.Add(reason.New(reason.Key{Code: reason.Gap, Scope: reason.Partition, Object: "orders/0"}, k.now, "gone"), true)
	k.part.Condition, k.part.Behind = g.Condition(), 0
	if _, logged := k.pass(time.Minute); logged != 0 {
		t.Errorf("logged %d times of a partition that stopped, want nothing more", logged)
	}
}

// Reasons of a look must not outlast the looks: a drain ends them.
func TestDrainEndsTheReasonsThatALookFound(t *testing.T) {
	m := manyOf(1, 1)
	m.s.Sender.Streams[0].Stall = ""
	var board reason.Board
	o := New(m, &board, Config{Watchdog: time.Nanosecond, Overdue: time.Hour}, slog.New(slog.DiscardHandler))
	now := time.Now()
	o.look(now)
	o.look(now.Add(time.Second))
	k := reason.Key{Code: reason.NoAck, Scope: reason.Process}
	if _, ok := board.Get(k); !ok {
		t.Fatalf("posted %+v, want %v", board.Snapshot(), k)
	}
	m.s.State = "draining"
	o.look(now.Add(2 * time.Second))
	if r, ok := board.Get(k); ok {
		t.Errorf("%+v is still posted in a drain", r)
	}
}

// A reason that the label of partition_stuck has no value for makes no series.
func TestOverdueIsNoValueOfTheLabelOfStuck(t *testing.T) {
	g := new(gate.Gates).New("orders", 0)
	now := time.Now()
	r := reason.New(reason.Key{Code: reason.Overdue, Scope: reason.Partition, Object: "orders/0"}, now, "late")
	g.Stall([]gate.Entry{{Key: r.Key, Own: &r, Behind: now}})
	s := Status{Parts: []PartitionStatus{{Topic: "orders", Condition: g.Condition()}}}
	assemble(&s, nil, now.Add(time.Minute))
	if p := s.Parts[0]; p.Stuck != 0 || p.StuckCode != "" || len(p.Conditions) != 1 {
		t.Errorf("stuck %v as %q, conditions %v; want only the condition", p.Stuck, p.StuckCode, p.Conditions)
	}
}
