package consume

import (
	"testing"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/reason"
)

// nobody is told nothing.
type nobody struct{}

func (nobody) Moved()                                                        {}
func (nobody) Lost(*assign.Assignment, checkpoint.Piece, checkpoint.Origin)  {}
func (nobody) Halve(*assign.Assignment, checkpoint.Piece, checkpoint.Origin) {}
func (nobody) Stopped(*assign.Assignment, *reason.Reason)                    {}
func (nobody) Freed(*assign.Assignment)                                      {}

// assignmentOf is an assignment of partition num of topic t that nobody owns.
func assignmentOf(num int32, rt *route.Router) *assign.Assignment {
	return assign.New(assign.Spec{Partition: part.ID{Topic: "t", Num: num}, Topic: &assign.Topic{Name: "t"}, Router: rt, Limit: -1}, nobody{}, new(gate.Gates).New("t", num), new(assign.PendingBytes))
}

// anAssignment is one whose records name their stream in a header.
func anAssignment(t *testing.T) *assign.Assignment {
	t.Helper()
	return assignmentOf(0, assigntest.RouterByHeader(t, false))
}

// cutting is a splitter with the limits of a bridge.
func cutting() *assign.Splitter {
	return &assign.Splitter{Pack: 256 << 10, Oversize: 1 << 20, Limit: -1}
}
