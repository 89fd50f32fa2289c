package connector

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"inlong-bridge/connector/internal/part"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/reason"
	"inlong-bridge/mapping"
	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest/seeds"
)

func streamsOf(limit int) *routes {
	return newRoutes(func(string, string) (*sdk.Stream, error) { return new(sdk.Stream), nil }, limit)
}

func target(n int) mapping.Target { return mapping.Target{Group: "g", Stream: fmt.Sprint("s", n)} }

func anyStream(*sdk.Stream) bool { return true }

func TestOneStreamTooManyIsRefusedUntilOneIsForgotten(t *testing.T) {
	rs := streamsOf(2)
	for i := range 2 {
		if _, err := rs.get(target(i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := rs.get(target(2)); !errors.Is(err, errTooManyStreams) {
		t.Fatalf("the third of two streams: %v, want errTooManyStreams", err)
	}
	if _, err := rs.get(target(1)); err != nil {
		t.Fatalf("a stream in use: %v", err)
	}
	rs.tick.Add(idleTicks - 1)
	if gone := rs.forgetIdle(idleTicks, nil, anyStream); len(gone) != 0 {
		t.Fatalf("forgotten %v before they were idle long enough", gone)
	}
	_, _ = rs.get(target(1))
	rs.tick.Add(1)
	if gone := rs.forgetIdle(idleTicks, nil, anyStream); len(gone) != 1 || gone[0] != target(0) {
		t.Fatalf("forgotten %v, want the idle one", gone)
	}
	if _, err := rs.get(target(2)); err != nil {
		t.Fatalf("with room again: %v", err)
	}
}

// Forgetting an index and giving it again would make reading again send the wrong records.
func TestIndexOfARouteIsNeverGivenTwice(t *testing.T) {
	seeds.Run(t, 50, 20, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 0))
		rs := streamsOf(5)
		owner := make(map[int32]mapping.Target)
		for range 300 {
			want := target(r.IntN(12))
			if x, err := rs.get(want); err == nil {
				if of, known := owner[x.index]; known && of != want {
					t.Fatalf("index %d was of %v and is of %v", x.index, of, want)
				}
				owner[x.index] = want
				if rs.at(x.index) != x {
					t.Fatalf("at(%d) is another route", x.index)
				}
			}
			if r.IntN(3) == 0 {
				rs.tick.Add(int64(r.IntN(idleTicks)))
				inUse := map[int32]bool{int32(r.IntN(20)): true}
				for _, g := range rs.forgetIdle(idleTicks, inUse, func(*sdk.Stream) bool { return r.IntN(4) > 0 }) {
					if rs.find(g) != nil {
						t.Fatalf("%v was forgotten and is found", g)
					}
				}
				for i := range inUse {
					if of, known := owner[i]; known && rs.at(i) == nil && rs.find(of) != nil && rs.find(of).index == i {
						t.Fatalf("route %d is in use and was forgotten", i)
					}
				}
			}
		}
	})
}

// What waits for room, and what may be read again, keeps its route.
func TestRouteThatAPieceOrAParkedRecordNamesIsKept(t *testing.T) {
	rt := routerBy(t, "- {topics: [t], group: g, stream: '{key}'}\n")
	p := newPartition(part.ID{Topic: "t", Num: 0}, &topic{name: "t"}, rt, 0, new(fakeEvents), testGate(part.ID{Topic: "t", Num: 0}), new(heldBack), testLog(t))
	keyedBy := func(at int, key string) []*kgo.Record {
		return []*kgo.Record{{Topic: "t", Offset: int64(at), Key: []byte(key), Value: []byte("v"), Timestamp: time.Unix(6000, 0)}}
	}
	s := &fakeSender{room: 1, err: sdk.ErrStreamFull}
	p.take(s, split(), keyedBy(0, "sent"))
	p.take(s, split(), keyedBy(1, "parked"))
	forget := func() []mapping.Target {
		rt.routes.tick.Add(idleTicks)
		inUse := make(map[int32]bool)
		p.routesInUse(inUse)
		return rt.routes.forgetIdle(idleTicks, inUse, anyStream)
	}
	if gone := forget(); len(gone) != 0 {
		t.Fatalf("forgotten %v, want none: one record is sent and one is parked", gone)
	}
	s.room = -1
	p.unpark(s)
	s.settle(sdk.Final)
	if gone := forget(); len(gone) != 0 {
		t.Fatalf("forgotten %v, want none: what is final is not committed yet", gone)
	}
	p.wm.BeginCommit()
	p.wm.EndCommit(true)
	if gone := forget(); len(gone) != 2 {
		t.Fatalf("forgotten %v, want both once all is committed", gone)
	}
}

// produceByKey appends records to orders whose keys name their streams.
func (e *env) produceByKey(n int, key func(i int) string) {
	e.t.Helper()
	var recs []*kgo.Record
	for i := range n {
		recs = append(recs, &kgo.Record{Topic: "orders", Key: []byte(key(i)), Value: []byte(payload("orders", 0, i))})
	}
	if err := e.cl.ProduceSync(e.t.Context(), recs...).FirstErr(); err != nil {
		e.t.Fatal(err)
	}
}

// A stream per key: the partition stops at the record of one stream too many, and goes on there when an idle one is forgotten.
func TestStreamTooManyStopsItsPartitionUntilThereIsRoom(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	e.routes = "  - {topics: [orders], group: g, stream: '{key}', unmatched: skip}\n"
	c := e.config("settle")
	c.InLong.MaxStreams = 3
	e.tune = func(b *Bridge) { b.lookAgain = 50 * time.Millisecond }
	r := e.start(c)
	e.produceByKey(40, func(i int) string { return fmt.Sprint("k", i/10) })
	p := r.part("orders", 0, func(p PartitionStatus) bool { return p.Stall == string(reason.TooManyStreams) && p.Final == 30 })
	if p.Reason == "" || p.Position != 30 {
		t.Errorf("status = %+v, want stopped before offset 30", p)
	}
	// Two of the three are idle and let go of.
	for _, x := range r.b.routes.all()[:2] {
		r.b.routes.mu.Lock()
		delete(r.b.routes.byTarget, x.target)
		delete(r.b.routes.byIndex, x.index)
		r.b.routes.mu.Unlock()
	}
	e.waitCommitted("orders", 0, 40)
	if got := r.b.counters.goneOn.snapshot()[string(reason.TooManyStreams)]; got != 1 {
		t.Errorf("went on %d times, want once", got)
	}
}
