package assign

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/reason"
	"inlong-bridge/mapping"
	"inlong-bridge/sdk"
)

// 1. records up to one without a stream wait for room  2. more is fetched  3. they are sent, and the partition stops. It goes on at the record
// without a stream, not at what was fetched in 2.
func TestNothingIsParkedBehindARecordThatStopsThePartition(t *testing.T) {
	for name, err := range map[string]error{"budget": sdk.ErrBufferFull, "stream": sdk.ErrStreamFull} {
		tab := assigntest.Mapping(t, "- {topics: [t], group: g, stream: '{header:s}', unmatched: skip}\n")
		rt, rerr := route.NewRouter(tab.ForTopic("t"), route.NewTable(func(string, string) (*sdk.Stream, error) { return new(sdk.Stream), nil }, 1))
		if rerr != nil {
			t.Fatal(rerr)
		}
		ev := new(fakeEvents)
		p := testPartition(t, ev)
		p.Router = rt
		full := &assigntest.Sender{Err: err}
		var first, second []*kgo.Record
		for i := range 20 {
			x := assigntest.Record(int64(i), "a", 0, fmt.Sprint(i))
			if i == 5 {
				x = assigntest.Record(5, "b", 0, "5") // one stream too many
			}
			if i < 10 {
				first = append(first, x)
			} else {
				second = append(second, x)
			}
		}
		p.Take(full, split(), first)
		p.Take(full, split(), second)
		room := &assigntest.Sender{Room: -1}
		p.Offer(room)
		if s := p.Stopped(); s == nil || s.Code != reason.TooManyStreams || s.Own.Offset != 5 {
			t.Fatalf("%s: stop = %+v, want %s at offset 5", name, s, reason.TooManyStreams)
		}
		if p.Expects() != 5 || len(room.Order) != 5 {
			t.Errorf("%s: goes on at %d with %v sent, want at 5 with what lies before", name, p.Expects(), room.Order)
		}
		if chunks, _ := p.Waiting(); chunks != 0 || p.pending.shared.Bytes.Load() != 0 {
			t.Errorf("%s: %d chunks wait, %d bytes are held back", name, chunks, p.pending.shared.Bytes.Load())
		}
	}
}

// The half of a chunk that was sent has pieces: the partition goes on behind the chunk, whose rest is sent first.
func TestChunkThatIsHalfSentIsKeptWhileItsPartitionIsStopped(t *testing.T) {
	p := testPartition(t, new(fakeEvents))
	s := &assigntest.Sender{Room: 3, Err: sdk.ErrStreamFull}
	p.Take(s, split(), assigntest.Records(0, 8))
	p.Take(s, split(), assigntest.Records(8, 8))
	stop := part.Stop(p.Partition, reason.Deleted, -1, "deleted")
	p.Stop(stop)
	s.Room = -1
	for range 3 { // as often as there is news of room
		p.Offer(s)
	}
	if chunks, _ := p.Waiting(); chunks != 1 || p.Expects() != 8 || len(s.Order) != 3 {
		t.Errorf("%d chunks wait, goes on at %d, %d sent; want the half chunk, 8 and 3", chunks, p.Expects(), len(s.Order))
	}
	p.gate.Drop(stop.Key)
	p.Offer(s)
	p.Take(s, split(), assigntest.Records(8, 8))
	s.Settle(sdk.Final)
	if p.checkpoint.Checkpoint() != 16 || len(s.Order) != 16 {
		t.Errorf("checkpoint = %d with %d sent, want all 16 once", p.checkpoint.Checkpoint(), len(s.Order))
	}
}

// The gap is booked behind what was fetched before it, which is not sent yet.
func TestGapIsNotBookedOverRecordsThatWaitForRoom(t *testing.T) {
	p := testPartition(t, new(fakeEvents))
	s := &assigntest.Sender{Err: sdk.ErrBufferFull}
	p.Take(s, split(), assigntest.Records(0, 4))
	if p.LoseBefore(10) || p.Expects() != 4 {
		t.Error("booked while records wait")
	}
	if wm := p.checkpoint.Checkpoint(); wm != 0 {
		t.Errorf("checkpoint = %d, want 0: nothing was sent", wm)
	}
	s.Room = -1
	p.Offer(s)
	if !p.LoseBefore(10) || p.Expects() != 10 {
		t.Errorf("position = %d, want 10", p.Expects())
	}
	if wm := p.checkpoint.Checkpoint(); wm != 0 {
		t.Errorf("checkpoint = %d, want 0: nothing is final", wm)
	}
	s.Settle(sdk.Final)
	if l := p.checkpoint.Ledger(); l.Checkpoint != 10 || l.Final != 4 || l.Lost != 6 {
		t.Errorf("ledger = %+v, want 4 final and 6 lost up to 10", l)
	}
}

// What waits for room, and what may be read again, keeps its route.
func TestRouteThatAPieceOrAParkedRecordNamesIsKept(t *testing.T) {
	rt := assigntest.RouterBy(t, "- {topics: [t], group: g, stream: '{key}'}\n")
	p := New(Spec{Partition: part.ID{Topic: "t", Num: 0}, Topic: &Topic{Name: "t"}, Router: rt, Start: 0, Limit: -1}, new(fakeEvents), testGate(part.ID{Topic: "t", Num: 0}), new(PendingBytes))
	keyedBy := func(at int, key string) []*kgo.Record {
		return []*kgo.Record{{Topic: "t", Offset: int64(at), Key: []byte(key), Value: []byte("v"), Timestamp: time.Unix(6000, 0)}}
	}
	s := &assigntest.Sender{Room: 1, Err: sdk.ErrStreamFull}
	p.Take(s, split(), keyedBy(0, "sent"))
	p.Take(s, split(), keyedBy(1, "parked"))
	forget := func() []mapping.Target {
		rt.Table().Pass(10)
		inUse := make(map[int32]bool)
		p.RoutesInUse(inUse)
		return rt.Table().ForgetIdle(10, inUse, func(*sdk.Stream) bool { return true })
	}
	if gone := forget(); len(gone) != 0 {
		t.Fatalf("forgotten %v, want none: one record is sent and one is parked", gone)
	}
	s.Room = -1
	p.Offer(s)
	s.Settle(sdk.Final)
	if gone := forget(); len(gone) != 0 {
		t.Fatalf("forgotten %v, want none: what is final is not committed yet", gone)
	}
	p.checkpoint.BeginCommit()
	p.checkpoint.EndCommit(true)
	if gone := forget(); len(gone) != 2 {
		t.Fatalf("forgotten %v, want both once all is committed", gone)
	}
}

// A record that comes from this group stops its partition exactly before it; what policy skips goes nowhere and
// cannot loop.
func TestOwnPackStopsItsPartitionExactlyBeforeIt(t *testing.T) {
	own := string(assigntest.Pack(t, "groupId=g&streamId=s&bg=me&mid=i.1"))
	other := string(assigntest.Pack(t, "groupId=g&streamId=s&bg=you&mid=i.1"))
	ev, s := new(fakeEvents), &assigntest.Sender{Room: -1}
	p := testPartition(t, ev)
	sp := split()
	sp.Origin = "me"
	p.Take(s, sp, []*kgo.Record{
		assigntest.Record(0, "a", 1, "x"), assigntest.Record(1, "", 1, own), assigntest.Record(2, "a", 1, other), assigntest.Record(3, "a", 1, own), assigntest.Record(4, "a", 1, "y"),
	})
	h := p.Stopped()
	if h == nil || h.Code != reason.Loop || h.Own.Offset != 3 || !strings.Contains(h.Own.Sentence, "offset 3 of t/0") {
		t.Errorf("halted by %+v, want %s at offset 3", h, reason.Loop)
	}
	if sp.taken.Packs != 1 {
		t.Errorf("%d packs of others were counted, want 1", sp.taken.Packs)
	}
	s.Settle(sdk.Final)
	if l := p.checkpoint.Ledger(); l.Checkpoint != 3 || l.Final != 2 || l.Skipped != 1 {
		t.Errorf("ledger = %+v, want all before offset 3 final or skipped", l)
	}
}

func TestRefusedPiecesStopOnceAndAreCountedBack(t *testing.T) {
	ev := new(fakeEvents)
	p := testPartition(t, ev)
	s := &assigntest.Sender{Room: -1, Pack: 1}
	p.Take(s, split(), assigntest.Records(0, 6)) // streams a and b in turn
	refused := sdk.Result{Outcome: sdk.Held, Endpoint: "p:1", Err: &sdk.AckError{Code: 112}}
	for pc, f := range s.Taken {
		f.Token.Settled(pc, refused)
	}
	a, b := StreamKey("g", "a", reason.Refused), StreamKey("g", "b", reason.Refused)
	if p.Refused.Of(a) != 3 || p.Refused.Of(b) != 3 || p.Gate().Stranded() != 6 || len(ev.halts) != 2 || p.Stopped() == nil || p.Unfinished() != 0 {
		t.Errorf("%d and %d refused, %d stranded, told %d times; want 3, 3, 6 and once per stream", p.Refused.Of(a), p.Refused.Of(b), p.Gate().Stranded(), len(ev.halts))
	}
	for pc, f := range s.Taken {
		f.Token.Settled(pc, sdk.Result{Outcome: sdk.Released})
	}
	if p.Refused.Of(a)+p.Refused.Of(b)+p.Gate().Stranded()+len(p.Refused.pieces) != 0 || p.Stopped() == nil {
		t.Errorf("%d and %d refused, %d stranded; want none, and the watch loop has it go on", p.Refused.Of(a), p.Refused.Of(b), p.Gate().Stranded())
	}
	p.Checkpoint().Revoke()
	for pc, f := range s.Taken { // late news of an assignment that is over
		f.Token.Settled(pc, refused)
	}
	if len(p.Refused.pieces) != 0 || p.Gate().Stranded() != 0 {
		t.Error("a revoked assignment counts refusals")
	}
}

// 1. a pack is lost and read again  2. every proxy refuses the new pack, and the sender keeps it  3. the first pack is seen after all, and its
// offsets are committed  4. the sender finds that nobody wants news of the new pack, and drops it. Nobody says that it is released.
func TestRefusedPieceThatIsForgottenIsNotRefusedAnyMore(t *testing.T) {
	ev := new(fakeEvents)
	p := testPartition(t, ev)
	s := &assigntest.Sender{Room: -1}
	p.Take(s, split(), []*kgo.Record{assigntest.Record(0, "a", 1, "x"), assigntest.Record(1, "a", 1, "y")})
	s.Settle(sdk.Lost)
	if len(ev.losses) != 1 {
		t.Fatalf("%d pieces are lost, want 1", len(ev.losses))
	}
	lost := ev.losses[0]
	again := p.Checkpoint().Replace(lost.piece, lost.origin)
	p.Checkpoint().Replaced(lost.piece, 0, checkpoint.Gap)
	p.Settled(uint64(again), sdk.Result{Outcome: sdk.Held, Endpoint: "p:1", Err: &sdk.AckError{Code: 112}})
	a := StreamKey("g", "a", reason.Refused)
	if p.Forgotten(uint64(again)) || p.Refused.Of(a) != 1 || p.Gate().Stranded() != 1 {
		t.Fatalf("%d refused, %d stranded; want the piece that was read again", p.Refused.Of(a), p.Gate().Stranded())
	}
	p.Settled(uint64(lost.piece), sdk.Result{Outcome: sdk.Final})
	if _, ok := p.Checkpoint().BeginCommit(); !ok {
		t.Fatal("nothing to commit once the first pack was seen")
	}
	p.Checkpoint().EndCommit(true)
	if !p.Forgotten(uint64(again)) {
		t.Fatal("news of the pack that is kept is still wanted")
	}
	if p.Refused.Of(a) != 0 || p.Refused.Total() != 0 || p.Gate().Stranded() != 0 {
		t.Errorf("%d of %d refused, %d stranded; want none: the partition would never go on", p.Refused.Of(a), p.Refused.Total(), p.Gate().Stranded())
	}
}

// 1. whoever looks at what is parked finds nothing to do  2. the partition is closed because it holds too many pieces  3. the first notes
// that there is nothing to do. It has to be looked at all the same, or nobody opens it.
func TestPartitionThatHoldsTooManyPiecesIsLookedAt(t *testing.T) {
	p := testPartition(t, new(fakeEvents))
	holdPiece(p)
	holdPiece(p)
	p.mu.Lock() // 1
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Share(0, 2, time.Now()) // 2
	}()
	for deadline := time.Now().Add(10 * time.Second); p.gate.Condition().Get(p.shareKey) == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not closed")
		}
	}
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

// holdPiece adds a span of one piece.
func holdPiece(p *Assignment) checkpoint.Piece {
	at := p.Checkpoint().Position()
	s := p.Checkpoint().Begin(at, at+1)
	pc := p.Checkpoint().Add(s, checkpoint.Origin{First: at, Last: at, Records: 1})
	p.Checkpoint().End(s)
	return pc
}
