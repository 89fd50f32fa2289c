package assign

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/sdk/dptest/seeds"
)

// Whatever is fetched, each record is in exactly one group of its route and minute, in order, every chunk
// follows the one before, and a record above the suspect size is alone in its chunk.
func TestSplitKeepsEveryRecordInOrder(t *testing.T) {
	seeds.Run(t, 200, 100, func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 2))
		s := &Splitter{router: assigntest.RouterByHeader(t, false), Pack: 100, Oversize: 20, Limit: -1}
		var recs []*kgo.Record
		type want struct {
			stream string
			minute int32
		}
		wants := make(map[int64]want)
		skipped, offset := int64(0), rng.Int64N(100)
		for range 1 + rng.IntN(60) {
			offset += 1 + rng.Int64N(3)
			stream := []string{"a", "b", "c", ""}[rng.IntN(4)]
			if rng.IntN(3) == 0 {
				stream = fmt.Sprint("n", rng.IntN(20))
			}
			value := "x"
			if rng.IntN(10) == 0 {
				value = "much longer than the suspect size"
			}
			r := assigntest.Record(offset, stream, rng.Int64N(3), value)
			recs = append(recs, r)
			if stream == "" {
				skipped++
			} else {
				wants[offset] = want{stream, int32(r.Timestamp.Unix() / 60)}
			}
		}
		chunks, used := s.split(recs)
		if used != len(recs) {
			t.Fatalf("used %d of %d records", used, len(recs))
		}
		if s.taken.Skipped != skipped {
			t.Fatalf("%d skipped in all, want %d", s.taken.Skipped, skipped)
		}
		next := int64(-1)
		for _, c := range chunks {
			if c.first < next || c.next < c.first {
				t.Fatalf("chunk [%d, %d) after %d", c.first, c.next, next)
			}
			next = c.next
			skipped -= c.skipped
			for _, g := range c.groups {
				last := int64(-1)
				for i, o := range g.offsets {
					w, ok := wants[o]
					if !ok || w.stream != g.route.Target.Stream || w.minute != g.minute || o <= last || o < c.first || o >= c.next {
						t.Fatalf("offset %d of group %s minute %d in [%d, %d): want %+v once and in order", o, g.route.Target, g.minute, c.first, c.next, w)
					}
					if len(g.payloads[i]) > 20 && c.records != 1 {
						t.Fatalf("suspect at %d is in a chunk of %d records", o, c.records)
					}
					delete(wants, o)
					last = o
				}
			}
		}
		if len(wants) != 0 || skipped != 0 || next != offset+1 {
			t.Fatalf("left over %v, %d skipped, end %d; want nothing and end %d", wants, skipped, next, offset+1)
		}
	})
}

func TestSplitEndsBeforeWhatCannotBeRouted(t *testing.T) {
	s := &Splitter{router: assigntest.RouterByHeader(t, true), Pack: 100, Oversize: 100, Limit: -1}
	chunks, used := s.split([]*kgo.Record{assigntest.Record(5, "a", 0, "x"), assigntest.Record(6, "a", 0, "x"), assigntest.Record(7, "", 0, "x"), assigntest.Record(8, "a", 0, "x")})
	if used != 2 || len(chunks) != 1 || chunks[0].next != 7 || chunks[0].stop == nil || chunks[0].stop.Offset != 7 {
		t.Fatalf("split = %+v, used %d; want one chunk that ends at 7 and halts there", chunks[0], used)
	}
}

func TestSplitEndsAtTheLimit(t *testing.T) {
	for _, tt := range []struct {
		name        string
		recs        []*kgo.Record
		first, next int64
		records     int
	}{
		{"inside", []*kgo.Record{assigntest.Record(5, "a", 0, "x"), assigntest.Record(9, "a", 0, "x"), assigntest.Record(11, "a", 0, "x")}, 5, 10, 2},
		{"a hole up to it", []*kgo.Record{assigntest.Record(15, "a", 0, "x")}, 10, 10, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &Splitter{router: assigntest.RouterByHeader(t, false), Pack: 100, Oversize: 100, Limit: 10}
			chunks, _ := s.split(tt.recs)
			if len(chunks) != 1 || chunks[0].first != tt.first || chunks[0].next != tt.next || chunks[0].records != tt.records {
				t.Errorf("split = %+v, want [%d, %d) with %d records", chunks[0], tt.first, tt.next, tt.records)
			}
		})
	}
}

// One fetch may bring records from before and from after the end of a migration.
func TestSplitEndsExactlyAtTheLimit(t *testing.T) {
	s := split()
	s.router, s.Limit = assigntest.RouterByHeader(t, false), 5
	chunks, used := s.split(assigntest.Records(0, 10))
	sent := 0
	for _, c := range chunks {
		for _, g := range c.groups {
			sent += len(g.payloads)
		}
	}
	if last := chunks[len(chunks)-1]; used != 5 || sent != 5 || last.next != 5 {
		t.Errorf("%d records used, %d to be sent, the last chunk ends at %d; want 5, 5 and 5", used, sent, last.next)
	}
}
