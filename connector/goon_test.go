package connector

import (
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/observe"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
)

// fetchOf is what a poll returned of orders/0, in as many fetches as there are lists.
func fetchOf(lists ...[]*kgo.Record) (fs kgo.Fetches) {
	for _, recs := range lists {
		fs = append(fs, kgo.Fetch{Topics: []kgo.FetchTopic{{Topic: "orders", Partitions: []kgo.FetchPartition{{Partition: 0, HighWatermark: 30, Records: recs}}}}})
	}
	return fs
}

// 1. records are fetched ahead  2. their partition stops before them  3. the reason ends  4. the poll loop hands them over. Those
// between the stop and them come first.
func TestPartitionThatGoesOnTakesNothingThatWasFetchedBeforeItStopped(t *testing.T) {
	for _, tt := range []struct {
		name string
		cuts []int // of what the poll loop has in hand
	}{{"in one fetch", []int{20, 30}}, {"in two fetches of one poll", []int{20, 25, 30}}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := newEnv(t, withPartitions(1))
			r := e.start(e.config("settle"))
			e.produce("orders", 0, 0, 10, 0)
			e.waitCommitted("orders", 0, 10)
			p := r.b.lookup(part.ID{Topic: "orders", Num: 0})
			p.gate.Add(reason.New(part.Key(p.id, reason.AtEnd), time.Now(), "the test holds it"), true) // so that kgo fetches nothing yet
			stop := part.Stop(p.id, reason.TooLarge, 10, "a record fits into no frame")
			p.stop(stop)
			e.produce("orders", 0, 10, 20, 0)
			var inHand [][]*kgo.Record
			for i, from := range tt.cuts[:len(tt.cuts)-1] {
				var recs []*kgo.Record
				for n := from; n < tt.cuts[i+1]; n++ {
					recs = append(recs, &kgo.Record{Topic: "orders", Offset: int64(n), Value: []byte(payload("orders", 0, n)), Timestamp: time.Unix(1_700_000_000+int64(n), 0)})
				}
				inHand = append(inHand, recs)
			}
			sp := &splitter{pack: int(r.b.cfg.Pack.Bytes.N), suspect: r.b.suspect(), origin: r.b.origin}
			if err := r.b.fetched(fetchOf(inHand...), sp); err != nil || p.expects() != 10 {
				t.Fatalf("position = %d, err = %v; a partition that has stopped takes nothing", p.expects(), err)
			}
			if !r.b.goOn(p, stop.Key) {
				t.Fatal("does not go on")
			}
			if err := r.b.fetched(fetchOf(inHand...), sp); err != nil || p.expects() != 10 {
				t.Errorf("position = %d, err = %v; want 10: offsets 10 to 19 were not fetched yet", p.expects(), err)
			}
			p.gate.Drop(part.Key(p.id, reason.AtEnd))
			e.waitCommitted("orders", 0, 30)
			e.expectAll(30, 0)
			if n := r.b.counters.goneOn.snapshot()[string(reason.TooLarge)]; n != 1 || p.rewind {
				t.Errorf("gone on %d times, rewind = %v", n, p.rewind)
			}
		})
	}
}

// watchedPartition returns a bridge without clients, and its only partition.
func watchedPartition(t *testing.T, f gate.Fetcher) (*Bridge, *partition) {
	t.Helper()
	b := bridgeOf(t, 0)
	b.log = slog.New(slog.DiscardHandler)
	b.observer = observe.New(observed{b}, &b.board, observe.Config{}, b.log)
	var gs gate.Gates
	if f != nil {
		gs.Attach(f)
	}
	p := newPartition(part.ID{Topic: "t", Num: 0}, &topic{name: "t"}, testRouter(t, false), 0, b, gs.New("t", 0), &b.held, b.log)
	gs.Begin(p.gate)
	b.put(p)
	return b, p
}

func TestNothingGoesOnFromAReasonThatStays(t *testing.T) {
	b, p := watchedPartition(t, nil)
	stop := part.Stop(p.id, reason.Gap, 0, "offsets are gone")
	p.stop(stop)
	if b.goOn(p, stop.Key) || p.rewind || p.stopped() == nil {
		t.Errorf("a gap ended by itself, or what comes next is dropped: rewind = %v", p.rewind)
	}
	if b.goOn(p, streamKey("g", "s", reason.Refused)) || p.rewind {
		t.Error("went on from a reason that it does not have")
	}
	p.detach()
	if b.goOn(p, stop.Key) {
		t.Error("went on after its assignment ended")
	}
}

// The stall detection names the stream to which the oldest piece goes. The partition has not stopped for it, and does not go on from it.
func TestStreamThatTheStallDetectionNamedIsNoStopToGoOnFrom(t *testing.T) {
	b, p := watchedPartition(t, nil)
	s := &fakeSender{room: -1}
	p.take(s, split(), recs(0, 4))
	k := streamKey("g", "a", reason.Refused)
	p.gate.Stall([]gate.Entry{{Key: k, Behind: time.Now()}})
	p.take(s, split(), recs(4, 4))
	if got := p.expects(); got != 8 || len(s.order) != 8 {
		t.Errorf("position = %d with %d records sent, want 8 and 8: it is behind, and has not stopped", got, len(s.order))
	}
	b.refusalsOver()
	if p.rewind || b.counters.goneOn.snapshot()[string(reason.Refused)] != 0 || p.gate.Condition().Get(k) == nil {
		t.Error("went on from what the stall detection named")
	}
}

// 1. records up to one without a stream wait for room  2. more is fetched  3. they are sent, and the partition stops. It goes on at the record
// without a stream, not at what was fetched in 2.
func TestNothingIsParkedBehindARecordThatStopsThePartition(t *testing.T) {
	for name, err := range map[string]error{"budget": sdk.ErrBufferFull, "stream": sdk.ErrStreamFull} {
		tab := table(t, "- {topics: [t], group: g, stream: '{header:s}', unmatched: skip}\n")
		rt, rerr := route.NewRouter(tab.ForTopic("t"), route.NewTable(func(string, string) (*sdk.Stream, error) { return new(sdk.Stream), nil }, 1))
		if rerr != nil {
			t.Fatal(rerr)
		}
		ev := new(fakeEvents)
		p := testPartition(t, ev)
		p.router = rt
		full := &fakeSender{err: err}
		var first, second []*kgo.Record
		for i := range 20 {
			x := rec(int64(i), "a", 0, fmt.Sprint(i))
			if i == 5 {
				x = rec(5, "b", 0, "5") // one stream too many
			}
			if i < 10 {
				first = append(first, x)
			} else {
				second = append(second, x)
			}
		}
		p.take(full, split(), first)
		p.take(full, split(), second)
		room := &fakeSender{room: -1}
		p.unpark(room)
		if s := p.stopped(); s == nil || s.Code != reason.TooManyStreams || s.Own.Offset != 5 {
			t.Fatalf("%s: stop = %+v, want %s at offset 5", name, s, reason.TooManyStreams)
		}
		if p.expects() != 5 || len(room.order) != 5 {
			t.Errorf("%s: goes on at %d with %v sent, want at 5 with what lies before", name, p.expects(), room.order)
		}
		if chunks, _ := p.waiting(); chunks != 0 || p.held.bytes.Load() != 0 {
			t.Errorf("%s: %d chunks wait, %d bytes are held back", name, chunks, p.held.bytes.Load())
		}
	}
}

// The half of a chunk that was sent has pieces: the partition goes on behind the chunk, whose rest is sent first.
func TestChunkThatIsHalfSentIsKeptWhileItsPartitionIsStopped(t *testing.T) {
	p := testPartition(t, new(fakeEvents))
	s := &fakeSender{room: 3, err: sdk.ErrStreamFull}
	p.take(s, split(), recs(0, 8))
	p.take(s, split(), recs(8, 8))
	stop := part.Stop(p.id, reason.Deleted, -1, "deleted")
	p.stop(stop)
	s.room = -1
	for range 3 { // as often as there is news of room
		p.unpark(s)
	}
	if chunks, _ := p.waiting(); chunks != 1 || p.expects() != 8 || len(s.order) != 3 {
		t.Errorf("%d chunks wait, goes on at %d, %d sent; want the half chunk, 8 and 3", chunks, p.expects(), len(s.order))
	}
	p.gate.Drop(stop.Key)
	p.unpark(s)
	p.take(s, split(), recs(8, 8))
	s.settle(sdk.Final)
	if p.wm.Checkpoint() != 16 || len(s.order) != 16 {
		t.Errorf("checkpoint = %d with %d sent, want all 16 once", p.wm.Checkpoint(), len(s.order))
	}
}

func TestRefusedPiecesStopOnceAndAreCountedBack(t *testing.T) {
	_, p := watchedPartition(t, nil)
	ev := new(fakeEvents)
	p.events = ev
	s := &fakeSender{room: -1, pack: 1}
	p.take(s, split(), recs(0, 6)) // streams a and b in turn
	refused := sdk.Result{Outcome: sdk.Held, Endpoint: "p:1", Err: &sdk.AckError{Code: 112}}
	for pc, f := range s.taken {
		f.token.Settled(pc, refused)
	}
	a, b := streamKey("g", "a", reason.Refused), streamKey("g", "b", reason.Refused)
	if p.refusals(a) != 3 || p.refusals(b) != 3 || p.gate.Stranded() != 6 || len(ev.halts) != 2 || p.stopped() == nil || p.unfinished() != 0 {
		t.Errorf("%d and %d refused, %d stranded, told %d times; want 3, 3, 6 and once per stream", p.refusals(a), p.refusals(b), p.gate.Stranded(), len(ev.halts))
	}
	for pc, f := range s.taken {
		f.token.Settled(pc, sdk.Result{Outcome: sdk.Released})
	}
	if p.refusals(a)+p.refusals(b)+p.gate.Stranded()+len(p.refused) != 0 || p.stopped() == nil {
		t.Errorf("%d and %d refused, %d stranded; want none, and the watch loop has it go on", p.refusals(a), p.refusals(b), p.gate.Stranded())
	}
	p.wm.Revoke()
	for pc, f := range s.taken { // late news of an assignment that is over
		f.token.Settled(pc, refused)
	}
	if len(p.refused) != 0 || p.gate.Stranded() != 0 {
		t.Error("a revoked assignment counts refusals")
	}
}

// The gap is booked behind what was fetched before it, which is not sent yet.
func TestGapIsNotBookedOverRecordsThatWaitForRoom(t *testing.T) {
	p := testPartition(t, new(fakeEvents))
	s := &fakeSender{err: sdk.ErrBufferFull}
	p.take(s, split(), recs(0, 4))
	if p.loseBefore(10) || p.expects() != 4 {
		t.Error("booked while records wait")
	}
	if wm := p.wm.Checkpoint(); wm != 0 {
		t.Errorf("checkpoint = %d, want 0: nothing was sent", wm)
	}
	s.room = -1
	p.unpark(s)
	if !p.loseBefore(10) || p.expects() != 10 {
		t.Errorf("position = %d, want 10", p.expects())
	}
	if wm := p.wm.Checkpoint(); wm != 0 {
		t.Errorf("checkpoint = %d, want 0: nothing is final", wm)
	}
	s.settle(sdk.Final)
	if l := p.wm.Ledger(); l.Checkpoint != 10 || l.Final != 4 || l.Lost != 6 {
		t.Errorf("ledger = %+v, want 4 final and 6 lost up to 10", l)
	}
}

// pausing calls back when a partition is paused.
type pausing struct{ paused func() }

func (f pausing) PauseFetchPartitions(map[string][]int32) map[string][]int32 {
	f.paused()
	return nil
}
func (pausing) ResumeFetchPartitions(map[string][]int32) {}

// 1. a fault was tried, and nothing was heard of it for a while  2. it comes again  3. at the same time the watch loop takes it for over.
// Whoever is last, a partition that is paused for a fault is tried again.
func TestFaultThatComesAgainWhileItIsTakenForOverIsTriedAgain(t *testing.T) {
	var p *partition
	b, p := watchedPartition(t, pausing{func() { p.trying.Store(nil) }}) // the watch loop, as the gate closes
	for range 2 {
		b.fault(p, io.ErrUnexpectedEOF, false)
		if e := p.gate.Condition().Find(reason.Fault); e == nil || !e.Closes || p.trying.Load() == nil {
			t.Fatalf("fault = %+v, to be tried: %v; it is paused for ever", e, p.trying.Load())
		}
		p.gate.Try(part.Key(p.id, reason.Fault))
	}
}

// 1. whoever looks at what is parked finds nothing to do  2. the partition is closed because it holds too many pieces  3. the first notes
// that there is nothing to do. It has to be looked at all the same, or nobody opens it.
func TestPartitionThatHoldsTooManyPiecesIsLookedAt(t *testing.T) {
	b, p := watchedPartition(t, nil)
	b.cfg.Delivery.MaxUnfinal = 2
	holdOne(p)
	holdOne(p)
	p.mu.Lock() // 1
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.pieceShare(p, time.Now()) // 2
	}()
	eventually(t, 10*time.Second, func() error {
		if p.gate.Condition().Get(p.shareKey) == nil {
			return fmt.Errorf("not closed")
		}
		return nil
	})
	for range 50 { // time for one that does not wait for its turn
		if p.waits.Load() {
			break
		}
		time.Sleep(time.Millisecond)
	}
	p.waits.Store(false) // 3
	p.mu.Unlock()
	<-done
	if !p.waits.Load() {
		t.Error("closed, and nobody looks at it again")
	}
}
