package connector

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/replay"
	"inlong-bridge/connector/kafkahandler"
	"inlong-bridge/sdk"
)

// mixed is records of two streams by turns, of which each third has an impossible time, each seventh has the
// time at, and the rest have one long ago.
func mixed(from, n int, at time.Time) (out []*kgo.Record) {
	for i := from; i < from+n; i++ {
		r := rec(int64(i), []string{"a", "b"}[i%2], 1000, fmt.Sprint(i))
		switch {
		case i%3 == 0:
			r.Timestamp = clientTime(at.UnixMicro())
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
			p, s := testPartition(t, ev), &fakeSender{room: -1, pack: pack}
			all := mixed(0, n, time.Now())
			sp := split()
			p.take(s, sp, all[:50])
			time.Sleep(3 * time.Minute)
			p.take(s, sp, all[50:])
			if sp.replaced.n != 11 || sp.replaced.first.Offset != 51 {
				t.Errorf("%d times replaced, the first at %+v; want 11 from 51 on", sp.replaced.n, sp.replaced.first)
			}
			s.settle(sdk.Lost)

			for round := range 3 {
				time.Sleep(2 * time.Minute)
				lost := 0
				for _, x := range ev.losses {
					lost += int(x.origin.Records)
				}
				s.taken, s.order = nil, nil
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
				for i, pc := range slices.Sorted(maps.Keys(s.taken)) {
					o := sdk.Final
					if round == 0 || round == 1 && i%2 == 0 {
						o = sdk.Lost
					}
					s.taken[pc].token.Settled(pc, sdk.Result{Outcome: o})
				}
				if round == 0 && len(s.order) != n {
					t.Fatalf("%d records handed over again, want each of %d once", len(s.order), n)
				}
			}
			if l := p.wm.Ledger(); l.Checkpoint != n || l.Final != n {
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
			r := rec(int64(i), "a", 0, "x")
			r.Timestamp = clientTime(began.UnixMicro())
			recs = append(recs, r)
		}
		p.take(s, &splitter{pack: 10, suspect: 1 << 20, limit: -1}, recs) // a span for each two
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

// With a broker and the client's own conversion: microseconds arrive as now, are counted, and are said once.
func TestImpossibleEventTimesArriveAsNowAndAreCounted(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	var log lines
	began := time.Now().Truncate(time.Second)
	micros := time.Date(2025, 6, 1, 12, 0, 0, 0, time.UTC).UnixMicro()
	for part := range int32(2) {
		e.produceAt("orders", part, micros, "late", "later")
		e.produceAt("orders", part, -1, "none")
		e.produceAt("orders", part, 1_700_000_000_000, "well")
	}
	r := e.startLogging(e.config("queue"), slog.New(slog.NewTextHandler(&log, nil)))
	for part := range int32(2) {
		e.waitCommitted("orders", part, 4)
	}
	times := map[string][]int64{}
	err := kafkahandler.ReadAll(t.Context(), []kgo.Opt{kgo.SeedBrokers(e.kafka.ListenAddrs()...)}, []string{queueTopic}, func(p kafkahandler.Pack) error {
		for _, v := range p.Records {
			times[string(v)] = append(times[string(v)], int64(p.Pack.DataTime))
		}
		return p.Err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"late", "later", "none"} {
		for _, at := range times[v] {
			if at < began.Unix() || at > time.Now().Unix() {
				t.Errorf("%s arrived at %d, want the time of arrival, from %d on", v, at, began.Unix())
			}
		}
	}
	if got := times["well"]; len(got) != 2 || got[0] != 1_700_000_000 || got[1] != got[0] {
		t.Errorf("well arrived at %v, want its own time twice", got)
	}
	got := map[string]uint64{}
	each(&r.b.counters.replaced, func(topic string, n uint64) { got[topic] = n })
	if got["orders"] != 6 {
		t.Errorf("replaced %v, want 6 of orders", got)
	}
	if n := log.count("impossible event time"); n != 1 {
		t.Errorf("said %d times, want once", n)
	}
}

// clientTime makes a time of a broker's milliseconds as franz-go does: the product wraps.
func clientTime(millis int64) time.Time { return time.Unix(0, millis*1e6) }
