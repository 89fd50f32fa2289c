package replay

import (
	"testing"

	"inlong-bridge/connector/checkpoint"
)

func TestNeighbouringLossesAreReadOnce(t *testing.T) {
	at := func(first, last int64) *task {
		return &task{origin: checkpoint.Origin{First: first, Last: last}, from: first}
	}
	tasks := []*task{at(100, 120), at(0, 10), at(5, 30), at(31, 40), at(10_000, 10_010)}
	rd, rest := planReading(tasks)
	if rd.first != 0 || rd.last != 120 || len(rd.tasks) != 4 || len(rest) != 1 || rest[0].from != 10_000 {
		t.Errorf("planReading = [%d, %d] with %d tasks, %d left; want [0, 120] with 4, 1 left", rd.first, rd.last, len(rd.tasks), len(rest))
	}
}
