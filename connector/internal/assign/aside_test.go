package assign

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/deadletter"
	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/connector/internal/byhand"
	"inlong-bridge/connector/internal/letters"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/replay"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/reason"
	"inlong-bridge/connector/startfile"
	"inlong-bridge/mapping"
	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest/seeds"
)

// aside keeps letters until the test says what becomes of them.
type aside struct {
	room    int // letters that it takes, -1 for all
	items   []letters.Item
	skipped int64
	written []int64
}

func (a *aside) Room() bool { return a.room != 0 }
func (a *aside) Write(it letters.Item) {
	a.items = append(a.items, it)
	a.room--
}
func (a *aside) Skipped(_ *Assignment, s Skips) { a.skipped += s.N }
func (a *aside) Lettered(_ *Assignment, _ mapping.Class, offset int64, _ string) {
	a.written = append(a.written, offset)
}

// done gives news of all letters that were taken.
func (a *aside) done(err error) {
	items := a.items
	a.items = nil
	for _, it := range items {
		it.Done(err)
	}
}

// offsets are those of the letters that are under way.
func (a *aside) offsets() (out []int64) {
	for _, it := range a.items {
		out = append(out, it.Original.Offset)
	}
	return out
}

// keeping is a partition of topic t whose rule routes by header "s" and has an on_error.
func keeping(t *testing.T, ev *fakeEvents, a Aside, onError string) *Assignment {
	t.Helper()
	m := assigntest.Mapping(t, "- {topics: [t], group: g, stream: '{header:s}', on_error: "+onError+"}\n").ForTopic("t")
	rt, err := route.NewRouter(m, route.NewTable(func(string, string) (*sdk.Stream, error) { return new(sdk.Stream), nil }, 0))
	if err != nil {
		t.Fatal(err)
	}
	id := part.ID{Topic: "t", Num: 0}
	return New(Spec{
		Partition: id, Topic: &Topic{Name: "t", ID: [16]byte{7}, Mapping: m}, Router: rt, Limit: -1, Cluster: "c", Aside: a, Letters: 100,
	}, ev, testGate(id), new(PendingBytes))
}

// odd is n records of which those at the given offsets have no stream.
func odd(n int, at ...int) []*kgo.Record {
	recs := assigntest.Records(0, n)
	for _, i := range at {
		recs[i].Headers = nil
		recs[i].Key = []byte(fmt.Sprint("k", i))
	}
	return recs
}

func TestUnroutedRecordsAreSkippedByPolicyAndBooked(t *testing.T) {
	ev, a := new(fakeEvents), new(aside)
	p, s := keeping(t, ev, a, "{unrouted: skip}"), &assigntest.Sender{Room: -1}
	p.Take(s, split(), odd(10, 3, 9))
	s.Settle(sdk.Final)
	want := checkpoint.Ledger{Checkpoint: 10, Final: 8, Skipped: 2}
	if got := p.checkpoint.Ledger(); got != want || a.skipped != 2 || len(ev.halts) > 0 {
		t.Errorf("books = %+v, %d told, stops %v; want %+v and 2", got, a.skipped, ev.halts, want)
	}
}

func TestDeadLetterHoldsTheCheckpointUntilItIsWritten(t *testing.T) {
	ev, a := new(fakeEvents), &aside{room: -1}
	p, s := keeping(t, ev, a, "dead_letter"), &assigntest.Sender{Room: -1}
	p.Take(s, split(), odd(10, 3))
	s.Settle(sdk.Final)
	if at := p.checkpoint.Checkpoint(); at != 0 || len(s.Order) != 9 || len(a.items) != 1 {
		t.Fatalf("checkpoint = %d with %d records sent and %d letters under way; want 0, 9 and 1", at, len(s.Order), len(a.items))
	}
	l := a.items[0].Letter
	if l.Reason != "unrouted" || !strings.Contains(l.Sentence, `no header "s"`) || l.Cluster != "c" || l.TopicID != [16]byte{7} || l.Offset != 3 || l.Last != 3 ||
		string(a.items[0].Original.Key) != "k3" {
		t.Errorf("letter = %+v of %+v", l, a.items[0].Original)
	}
	a.done(nil)
	want := checkpoint.Ledger{Checkpoint: 10, Final: 9, Quarantined: 1}
	if got := p.checkpoint.Ledger(); got != want || len(a.written) != 1 {
		t.Errorf("books = %+v with %v written, want %+v", got, a.written, want)
	}
}

// 1. a letter is under way  2. the partition is revoked, and is somebody else's  3. the letter is acknowledged, or fails
func TestLateNewsOfALetterAfterRevokeMovesNothing(t *testing.T) {
	for _, err := range []error{nil, errors.New("no")} {
		ev, a := new(fakeEvents), &aside{room: -1}
		p, s := keeping(t, ev, a, "dead_letter"), &assigntest.Sender{Room: -1}
		p.Take(s, split(), odd(2, 0))
		s.Settle(sdk.Final)
		p.Detach()
		p.End()
		a.done(err)
		if at := p.checkpoint.Checkpoint(); at != 0 || len(ev.losses) > 0 || len(ev.halts) > 0 || p.gate.Stranded() != 0 {
			t.Errorf("news %v: checkpoint = %d, read again %v, stops %v; want nothing moved", err, at, ev.losses, ev.halts)
		}
	}
}

// A letter that cannot be written stops the partition. Its record is read again, at growing pauses, until the letter is safe.
func TestLetterThatFailsStopsThePartitionAndIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ev, a := new(fakeEvents), &aside{room: -1}
		p, s := keeping(t, ev, a, "dead_letter"), &assigntest.Sender{Room: -1}
		log := odd(4, 1)
		p.Take(s, split(), log)
		s.Settle(sdk.Final)
		r := replayOf(s, "", false)
		for try := range 3 {
			a.done(errors.New("there is no topic; hint: create it"))
			h := p.Stopped()
			if h == nil || h.Code != reason.LetterTopic || h.Own.Offset != 1 || !strings.Contains(h.Own.Text(), "create it") || p.Unfinished() != 0 {
				t.Fatalf("try %d: stopped by %+v with %d pieces waited for, want %s at 1, and none", try, h, p.Unfinished(), reason.LetterTopic)
			}
			if p.LettersLeft() != 1 {
				t.Fatalf("try %d: %d letters are left, want 1", try, p.LettersLeft())
			}
			ev.lose(r)
			if begin, _, next := r.Plan(time.Now()); len(begin) != 0 || next.IsZero() {
				t.Fatalf("try %d: begin = %v at once, next at %v; want a pause", try, begin, next)
			}
			time.Sleep(letterPauses.Max)
			begin, _, _ := r.Plan(time.Now())
			if len(begin) != 1 || begin[0].Offset != 1 {
				t.Fatalf("try %d: begin = %v after the pause, want offset 1", try, begin)
			}
			if next := r.Fetched(p.ID(), [16]byte{}, 0, log[1:], time.Now()); next != replay.Leave || len(a.items) != 1 || string(a.items[0].Original.Key) != "k1" {
				t.Fatalf("try %d: %v with %d letters under way; want the record as a letter again", try, next, len(a.items))
			}
		}
		a.done(nil)
		want := checkpoint.Ledger{Checkpoint: 4, Final: 3, Quarantined: 1}
		if got := p.checkpoint.Ledger(); got != want || p.LettersLeft() != 0 || p.gate.Stranded() != 0 || r.Pending() != 0 {
			t.Errorf("books = %+v with %d letters left, %d pieces stranded, %d to read again; want %+v and nothing", got, p.LettersLeft(), p.gate.Stranded(), r.Pending(), want)
		}
	})
}

func TestLettersThatHaveNoRoomWaitAndCloseThePartition(t *testing.T) {
	ev, a := new(fakeEvents), &aside{room: 1}
	p, s := keeping(t, ev, a, "dead_letter"), &assigntest.Sender{Room: -1}
	p.Take(s, split(), odd(5, 0, 1, 2))
	if c := p.gate.Condition(); !c.Closed() || !c.Has(reason.LetterWait) || p.Stopped() != nil || !p.WaitsForRoom() || len(a.items) != 1 {
		t.Fatalf("condition = %+v with %v under way; want the partition closed, not stopped", c.Entries(), a.offsets())
	}
	a.room = -1
	p.Offer(s)
	p.RoomAgain(time.Now().Add(time.Hour))
	a.done(nil)
	s.Settle(sdk.Final)
	want := checkpoint.Ledger{Checkpoint: 5, Final: 2, Quarantined: 3}
	if got := p.checkpoint.Ledger(); got != want || p.gate.Condition().Closed() || p.WaitsForRoom() {
		t.Errorf("books = %+v, condition %+v; want %+v and an open partition", got, p.gate.Condition().Entries(), want)
	}
}

func TestMoreLettersThanTheLimitStopThePartition(t *testing.T) {
	ev, a := new(fakeEvents), &aside{room: -1}
	p, s := keeping(t, ev, a, "dead_letter"), &assigntest.Sender{Room: -1}
	at := make([]int, 150)
	for i := range at {
		at[i] = i
	}
	p.Take(s, split(), odd(200, at...))
	h := p.Stopped()
	if h == nil || h.Code != reason.LetterLimit || h.Own.Offset != 100 || len(a.items) != 100 {
		t.Fatalf("stopped by %+v with %d letters, want %s at offset 100 with 100", h, len(a.items), reason.LetterLimit)
	}
	a.done(nil)
	s.Settle(sdk.Final)
	if at := p.checkpoint.Checkpoint(); at != 0 {
		t.Errorf("checkpoint = %d, past a record that nobody has", at)
	}
}

// The limit of the sender shrank after a record was cut, or after it was sent and lost.
func TestRecordsThatFitNoMoreAreSetAside(t *testing.T) {
	for _, policy := range []string{"skip", "dead_letter"} {
		for _, lost := range []bool{false, true} {
			ev, a := new(fakeEvents), &aside{room: -1}
			p, s := keeping(t, ev, a, policy), &shrinking{Sender: assigntest.Sender{Room: -1}}
			log := assigntest.Records(0, 6)
			r := replayOf(s, "", false)
			s.shrunk = !lost
			p.Take(s, split(), log)
			if lost {
				s.Settle(sdk.Lost)
				s.Taken, s.shrunk = nil, true
				ev.lose(r)
			}
			for range 10 { // read again, then once more as a letter
				begin, _, _ := r.Plan(time.Now().Add(time.Minute))
				for range begin {
					r.Fetched(p.ID(), [16]byte{}, 0, log, time.Now())
				}
				ev.lose(r)
			}
			a.done(nil)
			s.Settle(sdk.Final)
			want := checkpoint.Ledger{Checkpoint: 6, Final: 5, Skipped: 1}
			if policy == "dead_letter" {
				want.Skipped, want.Quarantined = 0, 1
			}
			if got := p.checkpoint.Ledger(); got != want || len(ev.halts) > 0 {
				t.Errorf("%s, lost before: %v: books = %+v, stops %+v; want %+v and none", policy, lost, got, ev.halts, want)
			}
		}
	}
}

// shrinking is a sender that takes the record "2" no more.
type shrinking struct {
	assigntest.Sender
	shrunk bool
}

func (s *shrinking) TrySendBatch(b *sdk.Batch) (int, error) {
	for i, v := range b.Payloads {
		if s.shrunk && string(v) == "2" {
			part := *b
			if part.Payloads = b.Payloads[:i]; i > 0 {
				if _, err := s.Sender.TrySendBatch(&part); err != nil {
					return 0, err
				}
			}
			return i, &sdk.TooLargeError{Size: 1, Limit: 0}
		}
	}
	return s.Sender.TrySendBatch(b)
}

// Records that are odd at random, letters that fail or have no room at random, pieces that are lost: in the end every record is sent or a
// letter or skipped, by identity, and the books say so.
func TestEveryRecordIsAccountedForWhateverFails(t *testing.T) {
	seeds.Run(t, 200, 100, func(t *testing.T, seed uint64) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 5))
			ev, a := new(fakeEvents), &aside{room: -1}
			p, s := keeping(t, ev, a, []string{"skip", "dead_letter"}[rng.IntN(2)]), &assigntest.Sender{Room: -1, Pack: 1 + rng.IntN(5)}
			r := replayOf(s, "", false)
			log := assigntest.Records(0, 60)
			odd := 0
			for i := range log {
				log[i].Offset = int64(i * (1 + int(seed%3)))
				if rng.IntN(5) == 0 {
					log[i].Headers = nil
					odd++
				}
			}
			arrived := make(map[string]bool)
			end := log[len(log)-1].Offset + 1
			for round := 0; p.checkpoint.Checkpoint() < end; round++ {
				if round > 500 {
					t.Fatalf("seed %d: it does not end: %+v, %+v", seed, p.checkpoint.Ledger(), p.gate.Condition().Entries())
				}
				calm := round > 100
				if a.room = -1; !calm && rng.IntN(3) == 0 {
					a.room = rng.IntN(3)
				}
				if at := p.Expects(); p.Stopped() != nil && p.LettersLeft() == 0 {
					GoOn([]Ending{{p, part.Key(p.ID(), reason.LetterTopic)}}, func(map[part.ID]int64) {})
				} else if p.Stopped() == nil && !p.gate.Condition().Closed() {
					if p.MustRewind() {
						Rewind([]*Assignment{p}, func(map[part.ID]int64) {})
						at = p.Expects()
					}
					from := slices.IndexFunc(log, func(x *kgo.Record) bool { return x.Offset >= at })
					if from >= 0 {
						p.Take(s, split(), log[from:min(len(log), from+1+rng.IntN(15))])
					}
				}
				p.Offer(s)
				p.RoomAgain(time.Now())
				pieces := s.Taken
				s.Taken = nil
				for pc, x := range pieces {
					if !calm && rng.IntN(4) == 0 {
						x.Token.Settled(pc, sdk.Result{Outcome: sdk.Lost})
						continue
					}
					for _, v := range x.Payloads {
						arrived[v] = true
					}
					x.Token.Settled(pc, sdk.Result{Outcome: sdk.Final})
				}
				var err error
				if !calm && rng.IntN(3) == 0 {
					err = errors.New("no topic")
				}
				for _, it := range a.items {
					if err == nil {
						arrived[string(deadletter.Encode(it.Original, it.Letter).Value)] = true
					}
				}
				a.done(err)
				ev.lose(r)
				time.Sleep(letterPauses.Max)
				begin, _, _ := r.Plan(time.Now())
				for range begin {
					r.Fetched(p.ID(), [16]byte{}, 0, log, time.Now())
				}
			}
			l := p.checkpoint.Ledger()
			if l.Checkpoint != end || l.Final != int64(len(log)-odd) || l.Skipped+l.Quarantined != int64(odd) ||
				l.Final+l.Skipped+l.Quarantined+l.Gap != end {
				t.Errorf("seed %d: books = %+v with %d odd records of %d up to %d", seed, l, odd, len(log), end)
			}
			if len(arrived)+int(l.Skipped) != len(log) || a.skipped != l.Skipped || len(a.written) != int(l.Quarantined) {
				t.Errorf("seed %d: %d records arrived, %d skipped, %v written; books %+v", seed, len(arrived), a.skipped, a.written, l)
			}
		})
	})
}

// What waits behind a record in its lane goes on when that is passed over, whoever says so.
func TestRecordThatIsPassedOverFreesItsLane(t *testing.T) {
	entry := startfile.Entry{Topic: "t", Offset: 0}
	hand, err := byhand.New(slog.New(slog.DiscardHandler), []byhand.Request{{Entry: entry}})
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]*Assignment{
		"policy": keeping(t, new(fakeEvents), new(aside), "{refused: skip}"),
		"hand":   keeping(t, new(fakeEvents), new(aside), "{poison: skip}"),
	} {
		p.Lanes = 1
		p.checkpoint.KeepOrder(1)
		if name == "hand" {
			p.ByHand = hand.Begin(part.ID{Topic: "t"}, entry.ID, 0, 1)
		}
		span := p.checkpoint.Begin(0, 1)
		pc := p.checkpoint.Add(span, checkpoint.Origin{Records: 1})
		p.checkpoint.End(span)
		if !p.setAside(pc, mapping.ClassRefused, "why", 1) || p.checkpoint.Checkpoint() != 1 || !p.freed.Load() {
			t.Errorf("%s: checkpoint %d, lane freed %v; want 1 and true", name, p.checkpoint.Checkpoint(), p.freed.Load())
		}
	}
}
