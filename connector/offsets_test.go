package connector

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// What offsets prints of one group lets another one begin where it stands.
func TestOffsetsOfAGroupLetAnotherBeginThere(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(3)) // 2 is empty
	e.produce("orders", 0, 0, 10, 0)
	e.produce("orders", 1, 0, 10, 0)
	if err := Offsets(t.Context(), e.config("queue"), Deps{Log: testLog(t)}, "bridge", io.Discard); err == nil || !strings.Contains(err.Error(), "no committed offset") {
		t.Errorf("offsets of a group without commits: %v, want that it has none", err)
	}
	e.commitFor("orders", 0, 6)
	var out strings.Builder
	if err := Offsets(t.Context(), e.config("queue"), Deps{Log: testLog(t)}, "bridge", &out); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "# orders/1: no committed offset; its log holds offsets 0 to 10\n") {
		t.Errorf("offsets says nothing of the partition without a commit:\n%s", &out)
	}
	c := e.startingAt(strings.Split(out.String(), "\n")...)
	if got := len(c.Kafka.StartOffsets.Entries); got != 2 {
		t.Errorf("%d lines, want those of partition 0 and of the empty one:\n%s", got, &out)
	}
	c.Kafka.Group = "another"
	r := e.start(c)
	r.mustStop("orders", 1, "no line")
	eventually(t, 20*time.Second, func() error {
		if got := e.arrived(); len(got) != 4 {
			return fmt.Errorf("%d records arrived, want the 4 that the first group had not read", len(got))
		}
		return nil
	})
}
