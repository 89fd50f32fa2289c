package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A record is ready at the first sighting of an offset above its own.
func TestSightingsAreJoinedByOffset(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	seen := write("seen", "0 3 100\n1 1 150\n0 5 200\n")
	took, err := joinSightings(write("sent", "0 2 90\n0 3 95\n1 0 149\n0 4 199\n"), seen)
	if want := []time.Duration{10, 105, 1, 1}; err != nil || len(took) != len(want) || took[0] != want[0] || took[1] != want[1] || took[2] != want[2] || took[3] != want[3] {
		t.Errorf("took %v (%v), want %v", took, err, want)
	}
	if _, err := joinSightings(write("more", "0 5 300\n"), seen); err == nil {
		t.Error("a record that was never seen gives no error")
	}
}

func TestRowsThatNeedAKafkaAreSkippedWithoutOne(t *testing.T) {
	filled := func(_, corpus string, change func(*cell)) cell {
		c := cell{spec: brokerSpec{Corpus: corpus}}
		change(&c)
		return c
	}
	for _, r := range kafkaRows("", filled) {
		s := &specials{values: make(map[string][]float64)}
		if err := r.special(t.Context(), nil, 1, s); err != nil {
			t.Fatal(err)
		}
		if o := r.judge(s); o.Met || !strings.Contains(o.text, "SKIPPED") || o.goal == "" {
			t.Errorf("%s: %+v; want SKIPPED, a goal, not met", r.name, o)
		}
	}
	for _, r := range kafkaRows("127.0.0.1:9", filled) {
		if r.judge == nil {
			if r.of.spec.Topic == r.reference.spec.Topic || r.of.spec.Kafka != "127.0.0.1:9" || r.of.spec.Keys != 1000 || r.reference.spec.Keys != 0 {
				t.Errorf("%s: measured on %+v and %+v", r.name, r.of.spec, r.reference.spec)
			}
			continue
		}
		if o := r.judge(&specials{values: map[string][]float64{"bridge p99": {49}, "poll p99": {10}, "start": {11}}}); o.Met {
			t.Errorf("%s: met with %q", r.name, o.text)
		}
	}
}
