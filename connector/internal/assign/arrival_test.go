package assign

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/connector/internal/replay"
	"inlong-bridge/sdk"
)

// mixed is records of two streams by turns, of which each third has an impossible time, each seventh has the
// time at, and the rest have one long ago.
func mixed(from, n int, at time.Time) (out []*kgo.Record) {
	for i := from; i < from+n; i++ {
		r := assigntest.Record(int64(i), []string{"a", "b"}[i%2], 1000, fmt.Sprint(i))
		switch {
		case i%3 == 0:
			r.Timestamp = brokerTime(at.UnixMicro())
		case i%7 == 0:
			r.Timestamp = at
		}
		out = append(out, r)
	}
	return out
}

// 1. records arrive whose times are impossible, and get that minute  2. their packs are lost  3. they are read
// again, minutes later, and some of that is lost once more  4. all is found, each record once.
func TestReadingAgainFindsRecordsWhoseTimeWasReplaced(t *testing.T) {
	for _, pack := range []int{1, 3, 50} {
		synctest.Test(t, func(t *testing.T) {
			const n = 84
			ev := new(fakeEvents)
			p, s := testPartition(t, ev), &assigntest.Sender{Room: -1, Pack: pack}
			all := mixed(0, n, time.Now())
			sp := split()
			p.Take(s, sp, all[:50])
			time.Sleep(3 * time.Minute)
			p.Take(s, sp, all[50:])
			if sp.taken.Replaced.N != 11 || sp.taken.Replaced.First.Offset != 51 {
				t.Errorf("%d times replaced, the first at %+v; want 11 from 51 on", sp.taken.Replaced.N, sp.taken.Replaced.First)
			}
			s.Settle(sdk.Lost)

			for round := range 3 {
				time.Sleep(2 * time.Minute)
				lost := 0
				for _, x := range ev.losses {
					lost += int(x.origin.Records)
				}
				s.Taken, s.Order = nil, nil
				r := replayOf(s, "", false)
				ev.lose(r)
				// In two halves, so that a piece is handed over in parts.
				for begun := true; begun; {
					begin, _, _ := r.Plan(time.Now())
					for _, b := range begin {
						for _, half := range [][]*kgo.Record{all[:n/2], all[n/2:]} {
							if b.Offset <= half[len(half)-1].Offset && r.Fetched(b.Partition, [16]byte{}, 0, half[max(0, b.Offset-half[0].Offset):], time.Now()) == replay.Leave {
								break
							}
						}
					}
					begun = len(begin) > 0
				}
				if found := r.Counts().Records; r.Pending() != 0 || found != uint64(lost) {
					t.Fatalf("round %d: %d of %d records found, %d pieces left", round, found, lost, r.Pending())
				}
				// The first time all that is handed over; then half of it, and at last nothing is lost.
				for i, pc := range slices.Sorted(maps.Keys(s.Taken)) {
					o := sdk.Final
					if round == 0 || round == 1 && i%2 == 0 {
						o = sdk.Lost
					}
					s.Taken[pc].Token.Settled(pc, sdk.Result{Outcome: o})
				}
				if round == 0 && len(s.Order) != n {
					t.Fatalf("%d records handed over again, want each of %d once", len(s.Order), n)
				}
			}
			if l := p.checkpoint.Ledger(); l.Checkpoint != n || l.Final != n {
				t.Errorf("ledger %+v, want all of %d final", l, n)
			}
		})
	}
}

// A pack that holds what it did before, at the time it had before.
func TestTimeOfArrivalIsOneForAFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		p, s := testPartition(t, new(fakeEvents)), &timesOf{}
		var recs []*kgo.Record
		for i := range 10 {
			r := assigntest.Record(int64(i), "a", 0, "x")
			r.Timestamp = brokerTime(began.UnixMicro())
			recs = append(recs, r)
		}
		p.Take(s, &Splitter{Pack: 10, Oversize: 1 << 20, Limit: -1}, recs) // a span for each two
		if want := slices.Repeat([]int64{began.Unix()}, 5); !slices.Equal(s.times, want) {
			t.Errorf("times %v, want %v", s.times, want)
		}
	})
}

type timesOf struct{ times []int64 }

func (s *timesOf) TrySendBatch(b *sdk.Batch) (int, error) {
	s.times = append(s.times, b.Time.Unix())
	b.Packed(0, len(b.Payloads))
	return len(b.Payloads), nil
}

// brokerTime makes a time of a broker's milliseconds as franz-go does: the product wraps.
func brokerTime(millis int64) time.Time { return time.Unix(0, millis*1e6) }
