package trail

import (
	"fmt"
	"testing"

	"inlong-bridge/connector/lineage"
	"inlong-bridge/connector/resume"
	"inlong-bridge/sdk"
)

// batches are batches of n records in turn from some partitions, every step-th offset of each.
func batches(partitions, n int, step int64) []*Origins {
	list := make([]*Origins, partitions)
	for p := range list {
		o := &Origins{Source: lineage.SourceOf(lineage.ClusterOf("c"), resume.TopicID{1}, "t", int32(p)), Committed: 1000, Offsets: make([]int64, n)}
		for i := range o.Offsets {
			o.Offsets[i] = 5000 + int64(i)*step
		}
		list[p] = o
	}
	return list
}

// pack notes batches in turn until the pack has so many records, and returns the text.
func pack(tb testing.TB, t *Trails, list []*Origins, records int, dst []byte) []byte {
	n := t.Begin(lineage.MaxChars)
	for i := 0; records > 0; i++ {
		o := list[i%len(list)]
		if got := n.Add(o, 0, len(o.Offsets)); got != len(o.Offsets) {
			tb.Fatalf("batch %d: %d of %d records", i, got, len(o.Offsets))
		}
		for k := range o.Offsets {
			o.Offsets[k] += o.Offsets[len(o.Offsets)-1] - o.Offsets[0] + 1
		}
		records -= len(o.Offsets)
	}
	return n.AppendTo(dst[:0])
}

func TestNotesOfAPackAllocateNothing(t *testing.T) {
	if raceOn {
		t.Skip("sync.Pool drops at random under -race")
	}
	trails, list, dst := New(false), batches(8, 32, 1), make([]byte, 0, lineage.MaxChars)
	if n := testing.AllocsPerRun(200, func() { dst = pack(t, trails, list, 1024, dst) }); n > 0.1 {
		t.Errorf("%v allocations for a pack of 1,024 records, want 0", n)
	}
}

func TestTrailsOfRequeuedRecordsSaySo(t *testing.T) {
	for _, requeued := range []bool{false, true} {
		trails := New(requeued)
		for range 3 { // the notes are used again
			src := string(pack(t, trails, batches(2, 3, 2), 6, nil))
			l, err := lineage.Decode(src, 6)
			if err != nil || l.Requeued != requeued {
				t.Fatalf("%v, %v, want requeued %v", l, err, requeued)
			}
			half, err := sdk.Trails(trails).Cut(src, 6, 3, 6)
			if err != nil {
				t.Fatal(err)
			}
			if l, err = lineage.Decode(half, 3); err != nil || l.Requeued != requeued {
				t.Fatalf("half %v, %v, want requeued %v", l, err, requeued)
			}
		}
	}
}

// BenchmarkNotes is what lineage costs: compare its ns/record with what a record costs the bridge in all.
func BenchmarkNotes(b *testing.B) {
	for _, c := range []struct {
		name          string
		partitions, n int
		step          int64
		records       int
	}{
		{"one partition, packs of 1 KiB records", 1, 254, 1, 254},
		{"8 partitions in turn", 8, 32, 1, 254},
		{"a record in eight", 1, 32, 8, 254},
		{"1,000 streams by key, a record of each of 8 partitions", 8, 1, 1000, 8},
	} {
		b.Run(c.name, func(b *testing.B) {
			trails, list, dst := New(false), batches(c.partitions, c.n, c.step), make([]byte, 0, lineage.MaxChars)
			b.ReportAllocs()
			records := 0
			for b.Loop() {
				dst = pack(b, trails, list, c.records, dst)
				records += c.records
			}
			if len(dst) == 0 || len(dst) > lineage.MaxChars {
				b.Fatal(fmt.Sprint("characters: ", len(dst)))
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(records), "ns/record")
			b.ReportMetric(float64(len(dst)), "chars/pack")
		})
	}
}
