package consume

import (
	"runtime"
	"testing"
	"time"

	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/connector/reason"
)

func TestLooksAtPartitionsAllocateNothing(t *testing.T) {
	c, now := consumerOf(t, 500), time.Now()
	if n := testing.AllocsPerRun(1000, func() {
		if why := c.roomToPoll(); why != (reason.Key{}) {
			t.Fatal(why)
		}
		c.offerPending()
		for _, p := range c.table.Assigned() {
			p.Oldest(now)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// A table that sorts at each change takes minutes to begin 10,000 partitions, during which nothing is fetched.
func TestManyPartitionsComeAndGoWithoutASortForEach(t *testing.T) {
	const n = 3000
	rt := assigntest.RouterBy(t, assigntest.Ways[0].Rule)
	parts := make([]*assign.Assignment, n)
	for i := range parts {
		parts[i] = assignmentOf(int32(i), rt)
	}
	tb := NewTable()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, p := range parts {
		tb.put(p)
	}
	got := len(tb.Assigned())
	for _, p := range parts {
		tb.Remove(p)
	}
	runtime.ReadMemStats(&after)
	if left := len(tb.Assigned()); got != n || left != 0 {
		t.Fatalf("%d assigned and %d left, want %d and 0", got, left, n)
	}
	if bytes, most := after.TotalAlloc-before.TotalAlloc, uint64(n*2000); bytes > most { // one list for each change is 24 KB on average, twice
		t.Errorf("%d bytes allocated for %d partitions, want %d at most", bytes, n, most)
	}
}
