package assign

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/connector/internal/replay"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest/seeds"
)

// packer is a sender that fills packs as sdk.Sender does, and says what becomes of them when it is told to.
type packer struct {
	limit func() int // records of the next pack
	err   func() (room int, err error)
	last  uint64
	packs []*testPack // not final
	queue []string    // records, in the order in which they arrived there
	safe  map[string]bool
}

type testPack struct {
	number  uint64
	stream  *sdk.Stream
	minute  int64
	repair  bool
	limit   int
	sealed  bool
	stored  bool
	records []string
	pieces  []testPiece
}

type testPiece struct {
	token sdk.Token
	id    uint64
}

func newPacker(limit int) *packer { return &packer{limit: func() int { return limit }} }

func (s *packer) TrySendBatch(b *sdk.Batch) (n int, err error) {
	room := len(b.Payloads)
	if s.err != nil && !b.Repair {
		if most, why := s.err(); most < room {
			room, err = most, why
		}
	}
	if i := slices.IndexFunc(b.Payloads[:room], func(v []byte) bool { return strings.HasSuffix(string(v), "huge") }); i >= 0 {
		room, err = i, sdk.ErrTooLarge
	}
	for n < room {
		i := slices.IndexFunc(s.packs, func(p *testPack) bool {
			return !p.sealed && !b.Alone && p.stream == b.Stream && p.minute == b.Time.Unix()/60 && p.repair == b.Repair
		})
		if b.OnePack != nil && *b.OnePack != 0 && (i < 0 || s.packs[i].number != *b.OnePack) {
			return n, sdk.ErrPackFull
		}
		if i < 0 {
			s.last++
			i = len(s.packs)
			s.packs = append(s.packs, &testPack{number: s.last, stream: b.Stream, minute: b.Time.Unix() / 60, repair: b.Repair, limit: s.limit()})
		}
		p := s.packs[i]
		if b.OnePack != nil {
			*b.OnePack = p.number
		}
		to := min(room, n+p.limit-len(p.records))
		for _, v := range b.Payloads[n:to] {
			p.records = append(p.records, string(v))
		}
		p.pieces = append(p.pieces, testPiece{b.Token, b.Packed(n, to)})
		n, p.sealed = to, len(p.records) == p.limit || b.Alone && to == room
	}
	return n, err
}

// seal closes all open packs.
func (s *packer) seal() {
	for _, p := range s.packs {
		p.sealed = true
	}
}

// store puts a copy of a pack into the queue.
func (s *packer) store(p *testPack) {
	p.sealed, p.stored = true, true
	s.queue = append(s.queue, p.records...)
}

func (s *packer) tell(p *testPack, o sdk.Outcome) {
	p.sealed = true
	for _, pc := range p.pieces {
		pc.token.Settled(pc.id, sdk.Result{Outcome: o})
	}
}

// final says that a pack was seen, and forgets it.
func (s *packer) final(p *testPack) {
	if !p.stored {
		s.store(p)
	}
	s.tell(p, sdk.Final)
	s.isSafe(p)
	s.packs = slices.DeleteFunc(s.packs, func(q *testPack) bool { return q == p })
}

func (s *packer) isSafe(p *testPack) {
	if s.safe == nil {
		s.safe = make(map[string]bool)
	}
	for _, v := range p.records {
		s.safe[v] = true
	}
}

func (s *packer) sent() (all [][]string) {
	for _, p := range s.packs {
		all = append(all, p.records)
	}
	return all
}

func inOrder(t *testing.T, ev *fakeEvents, lanes int) (*Assignment, *Splitter) {
	t.Helper()
	p := New(Spec{Partition: orders, Topic: &Topic{Name: "orders"}, Router: assigntest.RouterByHeader(t, false), Limit: -1, Lanes: lanes, Ahead: 1 << 20}, ev, testGate(orders), new(PendingBytes))
	sp := split()
	sp.Lanes = lanes
	return p, sp
}

func withKey(offset int64, key, stream string, minute int64) *kgo.Record {
	r := assigntest.Record(offset, stream, minute, fmt.Sprintf("%s %d", key, offset))
	if key != "" {
		r.Key = []byte(key)
	}
	return r
}

func run(from, n int, key string) (out []*kgo.Record) {
	for i := range n {
		out = append(out, withKey(int64(from+i), key, "a", 0))
	}
	return out
}

func wantSent(t *testing.T, s *packer, want ...int) {
	t.Helper()
	var sizes []int
	for _, p := range s.sent() {
		sizes = append(sizes, len(p))
	}
	if !slices.Equal(sizes, want) {
		t.Fatalf("packs that are not final have %v records, want %v", sizes, want)
	}
}

func TestNextPackOfThePartitionWaitsUntilTheOneBeforeIsFinal(t *testing.T) {
	p, sp := inOrder(t, new(fakeEvents), 1)
	s := newPacker(5)
	p.Take(s, sp, run(0, 12, "k"))
	wantSent(t, s, 5)
	s.tell(s.packs[0], sdk.Acked)
	p.Offer(s)
	wantSent(t, s, 5)
	s.final(s.packs[0])
	p.OfferFreed(s)
	wantSent(t, s, 5)
	s.final(s.packs[0])
	p.OfferFreed(s)
	wantSent(t, s, 2)
	p.Take(s, sp, run(12, 2, "k")) // the pack is open still
	wantSent(t, s, 4)
	s.seal()
	p.Take(s, sp, run(14, 1, "k"))
	p.Take(s, sp, run(15, 1, "k"))
	wantSent(t, s, 4)
	if chunks, _ := p.Waiting(); chunks != 1 {
		t.Errorf("%d chunks wait, want what is fetched in the meantime in one", chunks)
	}
	s.final(s.packs[0])
	p.OfferFreed(s)
	wantSent(t, s, 2)
	s.final(s.packs[0])
	if got := p.checkpoint.Checkpoint(); got != 16 {
		t.Errorf("the checkpoint is at %d, want 16", got)
	}
}

func TestRecordsOfAnotherStreamOrMinuteWaitToo(t *testing.T) {
	p, sp := inOrder(t, new(fakeEvents), 1)
	s := newPacker(5)
	p.Take(s, sp, []*kgo.Record{withKey(0, "", "a", 0), withKey(1, "", "b", 0), withKey(2, "", "a", 0), withKey(3, "", "a", 1)})
	for i := range 4 {
		if s.seal(); len(s.packs) != 1 || len(s.packs[0].records) != 1 || s.packs[0].records[0] != fmt.Sprint(" ", i) {
			t.Fatalf("sent %q, want record %d alone", s.sent(), i)
		}
		s.final(s.packs[0])
		p.OfferFreed(s)
	}
}

func TestKeysGoOnWhileAnotherKeyWaits(t *testing.T) {
	p, sp := inOrder(t, new(fakeEvents), route.KeyLanes)
	s := newPacker(100)
	p.Take(s, sp, run(0, 3, "hot"))
	s.seal()
	p.Take(s, sp, append(run(3, 2, "hot"), run(5, 2, "cold")...))
	wantSent(t, s, 3, 2)
	s.seal()
	p.Take(s, sp, append(run(7, 1, "cold"), run(8, 1, "other")...))
	wantSent(t, s, 3, 2, 1)
	s.seal()
	s.final(s.packs[1])
	p.OfferFreed(s)
	wantSent(t, s, 3, 1, 1) // the next of cold, not of hot
	s.final(s.packs[0])
	p.OfferFreed(s)
	s.final(s.packs[0])
	p.OfferFreed(s)
	for len(s.packs) > 0 {
		s.final(s.packs[0])
	}
	if got := p.checkpoint.Checkpoint(); got != 9 {
		t.Errorf("the checkpoint is at %d, want 9", got)
	}
}

// readAgain plays the planner against a log until it asks for nothing more.
func readAgain(r *replay.Planner, log []*kgo.Record, now time.Time) {
	for range 100 {
		begin, _, _ := r.Plan(now)
		if len(begin) == 0 {
			return
		}
		for _, b := range begin {
			at := slices.IndexFunc(log, func(x *kgo.Record) bool { return x.Offset >= b.Offset })
			for next := replay.Continue; next == replay.Continue && at < len(log); at++ {
				next = r.Fetched(b.Partition, [16]byte{}, 0, log[at:at+1], now)
			}
		}
	}
}

func TestLostPackIsReadAgainBeforeTheNext(t *testing.T) {
	ev := new(fakeEvents)
	p, sp := inOrder(t, ev, 1)
	s := newPacker(4)
	log := run(0, 6, "k")
	r := replayOf(s, "", false)
	p.Take(s, sp, log[:2])
	p.Take(s, sp, log[2:])
	wantSent(t, s, 4)
	lost := s.packs[0]
	s.tell(lost, sdk.Lost)
	s.packs = nil
	ev.lose(r)
	p.OfferFreed(s)
	wantSent(t, s)
	// The pack held two pieces, and the first falls apart.
	s.limit = func() int { return 1 }
	for i := range 4 {
		readAgain(r, log, time.Unix(int64(7000+10*i), 0))
		p.OfferFreed(s)
		if len(s.packs) != 1 || s.packs[0].records[0] != fmt.Sprint("k ", i) {
			t.Fatalf("sent %q, want record %d alone", s.sent(), i)
		}
		s.final(s.packs[0])
	}
	s.limit = func() int { return 4 }
	p.OfferFreed(s)
	wantSent(t, s, 2)
}

func TestFullStreamHoldsItsLaneBackInLaterChunks(t *testing.T) {
	p, sp := inOrder(t, new(fakeEvents), 1)
	s := newPacker(5)
	full := true
	s.err = func() (int, error) {
		if full {
			full = false
			return 0, sdk.ErrStreamFull
		}
		return 100, nil
	}
	p.Take(s, sp, []*kgo.Record{withKey(0, "", "a", 0), withKey(1, "", "b", 0)})
	wantSent(t, s)
	p.Offer(s)
	wantSent(t, s, 1)
}

// What waits for its turn closes the partition while it is much, and holds nobody else up once it does not move.
func TestWhatWaitsForItsTurnIsBounded(t *testing.T) {
	p, sp := inOrder(t, new(fakeEvents), 1)
	p.Ahead = 100
	s := newPacker(1)
	p.Take(s, sp, run(0, 40, "k"))
	if e := p.gate.Condition().Get(p.orderKey); e == nil || !e.Closes {
		t.Fatalf("the condition is %+v, want %s to close the partition", p.gate.Condition().Entries(), reason.Order)
	}
	if n := p.pending.shared.Bytes.Load(); n != 0 {
		t.Errorf("%d bytes count as waiting for the budget, want none", n)
	}
	before := p.pending.shared.InOrder.Load()
	if before < 100 {
		t.Errorf("%d bytes count as waiting for their turn, want what is pending", before)
	}
	for range 35 {
		s.final(s.packs[0])
		p.OfferFreed(s)
	}
	if now := p.pending.shared.InOrder.Load(); now >= before/4 {
		t.Errorf("%d bytes count as waiting, of %d before most were taken", now, before)
	}
	p.RoomAgain(time.Now().Add(time.Second))
	if p.gate.Condition().Get(p.orderKey) != nil {
		t.Error("the partition stays closed with little pending")
	}
	p.lanes.moved = time.Now().Add(-stillAfter)
	p.Offer(s)
	if n := p.pending.shared.InOrder.Load(); n != 0 {
		t.Errorf("%d bytes of a partition that does not move are counted, want none", n)
	}
	p.Detach()
	if n := p.pending.shared.Waiting.Load(); n != 0 {
		t.Errorf("%d assignments wait, want none", n)
	}
}

// Whatever happens to packs, the first copies of a lane's records arrive in the queue in order, all become final, and no two packs
// of a lane are under way at a time.
func TestFirstCopiesArriveInOrder(t *testing.T) {
	for _, lanes := range []int{1, route.KeyLanes} {
		t.Run(fmt.Sprint(lanes), func(t *testing.T) {
			seeds.Run(t, 150, 150, func(t *testing.T, seed uint64) { playOrder(t, rand.New(rand.NewPCG(seed, 11)), lanes) })
		})
	}
}

func playOrder(t *testing.T, rng *rand.Rand, lanes int) {
	ev, letters := new(fakeEvents), &aside{room: -1}
	p, sp := inOrder(t, ev, lanes)
	keeps := rng.IntN(3) == 0
	if keeps {
		was := p.Spec
		p = keeping(t, ev, letters, "dead_letter")
		was.Topic, was.Router, was.Aside, was.Letters, was.Cluster = p.Topic, p.Router, letters, 1000, "c"
		p = New(was, ev, testGate(orders), new(PendingBytes))
	}
	p.Ahead = int64(rng.IntN(500))
	sp.Pack = 20 + rng.IntN(300)
	s := newPacker(0)
	s.limit = func() int { return 1 + rng.IntN(6) }
	s.err = func() (int, error) {
		if rng.IntN(4) > 0 {
			return 1000, nil
		}
		return rng.IntN(3), []error{sdk.ErrBufferFull, sdk.ErrStreamFull}[rng.IntN(2)]
	}
	var log []*kgo.Record
	keys, streams, minute := 1+rng.IntN(5), 1+rng.IntN(3), int64(0)
	for offset := int64(0); len(log) < 60; offset += int64(1 + rng.IntN(3)/2) {
		if rng.IntN(10) == 0 {
			minute++
		}
		rec := withKey(offset, []string{"", "a", "b", "c", "d"}[rng.IntN(keys)], []string{"a", "b", ""}[rng.IntN(streams)], minute+int64(rng.IntN(8)/7))
		if keeps && rng.IntN(20) == 0 {
			rec.Value = append(rec.Value, " huge"...)
		}
		log = append(log, rec)
	}
	r := replayOf(s, "", false)
	var late []*testPack // lost, and perhaps in a proxy's memory still
	now, at := time.Unix(7000, 0), 0
	for step := 0; at < len(log) || len(s.packs) > 0 || r.Pending() > 0 || len(p.pending.chunks) > 0 || len(letters.items) > 0; step++ {
		if step > 5000 {
			t.Fatalf("it does not end: %d of %d fetched, %d packs, %d lost pieces, %d chunks, %+v", at, len(log), len(s.packs), r.Pending(), len(p.pending.chunks), p.gate.Condition().Entries())
		}
		now = now.Add(time.Second)
		switch rng.IntN(8) {
		case 0:
			if to := min(len(log), at+1+rng.IntN(15)); at < to && !p.gate.Condition().Closed() {
				p.Take(s, sp, log[at:to])
				at = to
			}
		case 1:
			p.OfferFreed(s)
			p.Offer(s)
			p.RoomAgain(time.Now().Add(time.Hour))
		case 2:
			s.seal()
			if letters.done(nil); rng.IntN(3) == 0 {
				letters.room = rng.IntN(4) - 1
			}
		case 3, 4:
			if len(s.packs) > 0 {
				s.final(s.packs[rng.IntN(len(s.packs))])
			}
		case 5:
			if len(s.packs) == 0 || step > 1000 {
				continue
			}
			x := s.packs[rng.IntN(len(s.packs))]
			if rng.IntN(3) == 0 {
				s.store(x) // and not seen
			}
			s.tell(x, []sdk.Outcome{sdk.Lost, sdk.Lost, sdk.TakenBack}[rng.IntN(3)])
			s.packs = slices.DeleteFunc(s.packs, func(q *testPack) bool { return q == x })
			late = append(late, x)
			for _, x := range ev.halved {
				r.Halve(x.p, x.piece, x.origin)
			}
			ev.halved = nil
		case 6:
			if len(late) > 0 && rng.IntN(3) == 0 { // seen after all
				x := late[rng.IntN(len(late))]
				s.store(x)
				s.tell(x, sdk.Final)
				s.isSafe(x)
			}
		case 7:
			readAgain(r, log, now)
		}
		ev.lose(r) // records that are set aside, too
		s.checkUnderWay(t, lanes)
	}
	wantOrder(t, s.queue, lanes)
	want := 0
	for _, rec := range log {
		if len(rec.Headers) > 0 || keeps {
			want++
		}
	}
	l := p.checkpoint.Ledger()
	if l.Final+l.Quarantined != int64(want) || l.Checkpoint != log[len(log)-1].Offset+1 {
		t.Fatalf("%d of %d records are final, the checkpoint is at %d of %d", l.Final, want, l.Checkpoint, log[len(log)-1].Offset+1)
	}
}

// checkUnderWay looks for two packs under way that hold records of one lane which are not final.
func (s *packer) checkUnderWay(t *testing.T, lanes int) {
	t.Helper()
	in := make(map[uint8]*testPack)
	for _, x := range s.packs {
		for _, v := range x.records {
			if s.safe[v] {
				continue
			}
			key := []byte(v[:strings.IndexByte(v, ' ')])
			if len(key) == 0 {
				key = nil
			}
			lane := route.Lane(key, lanes)
			if other := in[lane]; other != nil && other != x {
				t.Fatalf("two packs of lane %d are under way: %q and %q", lane, other.records, x.records)
			}
			in[lane] = x
		}
	}
}

// wantOrder looks at the first copy of each record in the queue.
func wantOrder(t *testing.T, queue []string, lanes int) {
	t.Helper()
	seen, newest := make(map[string]bool), make(map[string]int64)
	for i, v := range queue {
		if seen[v] {
			continue
		}
		seen[v] = true
		key, text, _ := strings.Cut(v, " ")
		offset, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if lanes == 1 {
			key = ""
		}
		if last, some := newest[key]; some && offset < last {
			t.Fatalf("the first copy of %q arrives behind that of offset %d: %q", v, last, queue[:i+1])
		}
		newest[key] = offset
	}
}

// 1. records of a key wait in the first chunk  2. while the second chunk is offered, the pack before them becomes final  3. the key's
// records of the second chunk may not go first.
func TestLaneThatIsFreedWhileChunksAreOfferedIsNotOvertaken(t *testing.T) {
	p, sp := inOrder(t, new(fakeEvents), route.KeyLanes)
	s := newPacker(100)
	p.Take(s, sp, run(0, 2, "hot"))
	s.seal()
	p.Take(s, sp, []*kgo.Record{withKey(2, "hot", "a", 0), withKey(3, "cold", "a", 0)})
	s.seal()
	p.Take(s, sp, []*kgo.Record{withKey(4, "cold", "a", 1), withKey(5, "hot", "a", 1)})
	wantSent(t, s, 2, 1)
	s.final(s.packs[1])
	s.err = func() (int, error) { // cold 4 is being handed over
		if len(s.packs) > 0 && s.packs[0].records[0] == "hot 0" {
			s.final(s.packs[0])
		}
		return 100, nil
	}
	p.OfferFreed(s)
	if sent := fmt.Sprint(s.sent()); sent != "[[cold 4]]" {
		t.Fatalf("sent %s, want cold 4 alone", sent)
	}
	p.OfferFreed(s)
	if sent := fmt.Sprint(s.sent()); sent != "[[cold 4] [hot 2]]" {
		t.Fatalf("sent %s, want hot 2 next", sent)
	}
}

// A record that fits into no frame stops the partition once all before it are taken, and not sooner.
func TestRecordThatIsTooLargeStopsTheLaneInItsTurn(t *testing.T) {
	for _, lanes := range []int{1, route.KeyLanes} {
		p, sp := inOrder(t, new(fakeEvents), lanes)
		sp.Oversize = 50
		s := newPacker(3)
		huge := withKey(5, "k", "a", 0)
		huge.Value = append(make([]byte, 60), "huge"...)
		p.Take(s, sp, append(run(0, 5, "k"), huge))
		wantSent(t, s, 3)
		if p.Stopped() != nil {
			t.Fatalf("stopped with records before the large one pending: %+v", p.Stopped())
		}
		s.final(s.packs[0])
		p.OfferFreed(s)
		wantSent(t, s, 2)
		s.final(s.packs[0])
		p.OfferFreed(s)
		if h := p.Stopped(); h == nil || h.Code != reason.TooLarge || p.checkpoint.Checkpoint() != 5 {
			t.Errorf("%d lanes: stopped by %+v at %d, want %s at 5", lanes, h, p.checkpoint.Checkpoint(), reason.TooLarge)
		}
		// In a pass that takes all before it too.
		p, sp = inOrder(t, new(fakeEvents), lanes)
		sp.Oversize = 50
		p.Take(newPacker(100), sp, append(run(0, 5, "other"), huge))
		if h := p.Stopped(); h == nil || h.Code != reason.TooLarge {
			t.Errorf("%d lanes: stopped by %+v, want %s", lanes, h, reason.TooLarge)
		}
	}
}
