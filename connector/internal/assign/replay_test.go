package assign

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/replay"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest/seeds"
)

// loss is a lost piece that a partition told of.
type loss struct {
	p      *Assignment
	piece  checkpoint.Piece
	origin checkpoint.Origin
}

// replayOf is a planner that sends to s.
func replayOf(s Sender, origin string, acceptGap bool) *replay.Planner {
	return replay.NewPlanner(replay.Config{Outlet: Outlet{s}, Origin: origin, AcceptGap: acceptGap})
}

// lose hands the lost pieces to a planner and forgets them.
func (f *fakeEvents) lose(r *replay.Planner) {
	for _, x := range f.losses {
		r.Add(x.p, x.piece, x.origin)
	}
	f.losses = nil
}

var orders = part.ID{Topic: "orders", Num: 0}

// lostPieces is a partition of orders whose n records are all lost, and the planner that reads them again.
func lostPieces(t *testing.T, acceptGap bool, n int, id [16]byte) (*replay.Planner, *Assignment, *assigntest.Sender) {
	t.Helper()
	ev, s := new(fakeEvents), &assigntest.Sender{Room: -1}
	p := New(Spec{Partition: orders, Topic: &Topic{Name: "orders", ID: id}, Router: assigntest.RouterByHeader(t, false), Limit: -1}, ev, testGate(orders), new(PendingBytes))
	p.Take(s, split(), assigntest.Records(0, n))
	s.Settle(sdk.Lost)
	s.Taken, s.Order = nil, nil
	r := replayOf(s, "me", acceptGap)
	ev.lose(r)
	return r, p, s
}

// Pieces are lost at random, read again in ranges, lost again, with a sender that refuses at random: in the
// end every record is in a piece that became final, and the ledger closes. Records are only ever taken for
// the piece they were in.
func TestReadingAgainBringsBackExactlyWhatWasLost(t *testing.T) {
	seeds.Run(t, 200, 100, func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 7))
		ev := new(fakeEvents)
		p, s := testPartition(t, ev), &assigntest.Sender{Room: -1, Pack: 1 + rng.IntN(5)}
		log := assigntest.Records(0, 40)
		for i := range log {
			log[i].Offset = int64(i * (1 + int(seed%3))) // holes
			log[i].Timestamp = time.Unix(int64(rng.IntN(2))*60, 0)
		}
		for from := 0; from < len(log); {
			to := min(len(log), from+1+rng.IntN(15))
			p.Take(s, split(), log[from:to])
			from = to
		}
		safe := make(map[string]bool)
		r := replayOf(s, "", false)
		now := time.Unix(7000, 0)
		for round := 0; len(s.Taken) > 0; round++ {
			if round > 500 {
				t.Fatal("it does not end")
			}
			pieces := s.Taken
			s.Taken = nil
			for pc, x := range pieces {
				x.Token.Settled(pc, sdk.Result{Outcome: sdk.Acked})
				if rng.IntN(3) == 0 && round < 50 {
					x.Token.Settled(pc, sdk.Result{Outcome: sdk.Lost})
					if rng.IntN(4) == 0 { // seen after all
						x.Token.Settled(pc, sdk.Result{Outcome: sdk.Final})
						for _, v := range x.Payloads {
							safe[v] = true
						}
					}
					continue
				}
				x.Token.Settled(pc, sdk.Result{Outcome: sdk.Final})
				for _, v := range x.Payloads {
					safe[v] = true
				}
			}
			ev.lose(r)
			for tries := 0; r.Pending() > 0; tries++ {
				if tries > 1000 {
					t.Fatal("reading again does not end")
				}
				s.Room, s.Err = -1, nil
				if rng.IntN(3) == 0 {
					s.Room, s.Err = rng.IntN(4), sdk.ErrBufferFull
				}
				now = now.Add(10 * time.Second) // longer than any pause
				begin, _, _ := r.Plan(now)
				for _, b := range begin {
					at := slices.IndexFunc(log, func(x *kgo.Record) bool { return x.Offset >= b.Offset })
					for next := replay.Continue; next == replay.Continue && at < len(log); {
						to := at + 1 + rng.IntN(len(log)-at) // the fetch may end anywhere
						next = r.Fetched(b.Partition, [16]byte{}, 0, log[at:to], now)
						at = to
					}
				}
			}
			s.Room = -1
		}
		l := p.checkpoint.Ledger()
		end := log[len(log)-1].Offset + 1
		if l.Checkpoint != end || l.Final != 40 || len(safe) != 40 {
			t.Fatalf("seed %d: ledger %+v with %d records safe; want the checkpoint at %d and 40", seed, l, len(safe), end)
		}
	})
}

// 1. pieces are lost  2. they are about to be read again  3. the partition is revoked  4. their records are fetched
func TestReadingAgainEndsWithTheAssignment(t *testing.T) {
	r, p, s := lostPieces(t, false, 2, [16]byte{})
	now := time.Now()
	if begin, _, _ := r.Plan(now); len(begin) != 1 {
		t.Fatalf("begin = %v, want one range", begin)
	}
	p.checkpoint.Revoke()
	if next := r.Fetched(orders, [16]byte{}, 0, assigntest.Records(0, 2), now); next != replay.Leave || len(s.Order) != 0 {
		t.Errorf("Fetched = %v with %v sent, want the partition to be left and nothing sent", next, s.Order)
	}
	r, p, _ = lostPieces(t, false, 2, [16]byte{})
	p.checkpoint.Revoke()
	if begin, _, _ := r.Plan(now); len(begin) != 0 || r.Pending() != 0 {
		t.Errorf("begin = %v with %d pending, want nothing of a revoked assignment", begin, r.Pending())
	}
}

// The log was cut behind a lost piece and grew again with what this group sent.
func TestReadingAgainStopsAtAnOwnPack(t *testing.T) {
	ev := new(fakeEvents)
	p, s := testPartition(t, ev), &assigntest.Sender{Room: -1}
	p.Take(s, split(), []*kgo.Record{assigntest.Record(0, "a", 1, "x")})
	s.Settle(sdk.Lost)
	sent := len(s.Order)
	r := replayOf(s, "me", false)
	ev.lose(r)
	r.Plan(time.Now())
	own := assigntest.Record(0, "a", 1, string(assigntest.Pack(t, "groupId=g&streamId=s&bg=me&mid=i.1")))
	if next := r.Fetched(p.Partition, [16]byte{}, 0, []*kgo.Record{own}, time.Now()); next != replay.Leave || len(s.Order) != sent {
		t.Errorf("Fetched = %v with %d records sent, want the partition to be left and none", next, len(s.Order)-sent)
	}
	if h := p.Stopped(); h == nil || h.Code != reason.Loop {
		t.Errorf("stopped by %+v, want %s", h, reason.Loop)
	}
	if l := p.checkpoint.Ledger(); l.Checkpoint != 0 {
		t.Errorf("ledger = %+v, want nothing passed", l)
	}
}

// The records of a lost piece are gone when their topic was created again; what has their offsets now is
// something else and must not be sent in their place.
func TestReadingAgainTakesNothingOfAnotherTopicOfTheSameName(t *testing.T) {
	r, p, s := lostPieces(t, false, 10, [16]byte{1})
	r.Plan(time.Now())
	r.Fetched(orders, [16]byte{0xFF}, 0, assigntest.Records(0, 10), time.Now())
	if len(s.Taken) > 0 {
		t.Errorf("%v was sent, which is of another topic", s.Taken)
	}
	if h := p.Stopped(); h == nil || h.Code != reason.Recreated {
		t.Errorf("stopped by %+v, want %s", h, reason.Recreated)
	}
}

// Retention took the first half of a lost piece's range before it was read again, and on_gap accepts that. The
// books name those records as lost: they were there, and compaction did not take them.
func TestRecordsGoneFromHalfOfALostRangeAreBookedAsLost(t *testing.T) {
	r, p, s := lostPieces(t, true, 100, [16]byte{})
	now := time.Now()
	r.Plan(now)
	if next := r.Fetched(orders, [16]byte{}, 50, assigntest.Records(50, 70), now); next != replay.AskLog { // shows that the log begins at 50
		t.Fatalf("Fetched = %v, want the log to be asked for", next)
	}
	if gone := r.Gap(orders, part.Extent{Start: 50, End: 120}); len(gone) == 0 || gone[0].To != 49 {
		t.Errorf("gone = %v, want up to 49", gone)
	}
	r.Plan(now)
	r.Fetched(orders, [16]byte{}, 50, assigntest.Records(50, 70), now)
	s.Settle(sdk.Final)
	if l := p.checkpoint.Ledger(); l.Checkpoint != 100 || l.Lost != 50 || l.Final != 50 || l.Gap != 0 {
		t.Errorf("ledger = %+v, want 50 lost and 50 final up to 100", l)
	}
}

func TestReadingAgainThatJumpsTheLogsStartStopsOrContinues(t *testing.T) {
	for _, onGap := range []string{"stop", "continue"} {
		t.Run(onGap, func(t *testing.T) {
			r, p, s := lostPieces(t, onGap == "continue", 100, [16]byte{})
			r.Plan(time.Now())
			if next := r.Fetched(orders, [16]byte{}, 100, assigntest.Records(100, 20), time.Now()); next != replay.AskLog {
				t.Fatalf("Fetched = %v, want the log to be asked for", next)
			}
			r.Gap(orders, part.Extent{Start: 100, End: 120})
			l := p.checkpoint.Ledger()
			switch h := p.Stopped(); {
			case len(s.Taken) > 0:
				t.Errorf("%v was sent for records that are gone", s.Taken)
			case onGap == "continue":
				if l.Lost != 100 || l.Gap != 0 {
					t.Errorf("ledger = %+v, want 100 lost", l)
				}
			case h == nil || h.Code != reason.Gap:
				t.Errorf("stopped by %+v, want %s", h, reason.Gap)
			case l.Checkpoint != 0:
				t.Errorf("ledger = %+v, want nothing passed", l)
			}
		})
	}
}

// A lost piece cannot be read again from a topic that was created in the place of its own: on_gap: continue must not
// book the new topic's offsets.
func TestReadingAgainDoesNotJudgeAnotherTopicsLog(t *testing.T) {
	r, p, _ := lostPieces(t, true, 100, [16]byte{1})
	r.Plan(time.Now())
	r.Gap(orders, part.Extent{Topic: [16]byte{2}, Start: 200, End: 210})
	if h := p.Stopped(); h == nil || h.Code != reason.Recreated || p.checkpoint.Checkpoint() != 0 {
		t.Errorf("stopped as %+v at %d, want recreated, and nothing booked", h, p.checkpoint.Checkpoint())
	}
}

func TestReadingAgainPausesWhileTheSenderIsFull(t *testing.T) {
	r, _, s := lostPieces(t, false, 4, [16]byte{})
	s.Room, s.Err = 0, sdk.ErrBufferFull
	now := time.Unix(7000, 0)
	r.Plan(now)
	if next := r.Fetched(orders, [16]byte{}, 0, assigntest.Records(0, 4), now); next != replay.Leave {
		t.Fatalf("Fetched = %v with a full sender, want the partition to be left", next)
	}
	begin, _, due := r.Plan(now)
	if len(begin) != 0 || !due.After(now) || due.Sub(now) > time.Second {
		t.Fatalf("begin = %v, due in %v; want a short pause", begin, due.Sub(now))
	}
	s.Room = -1
	if begin, _, _ = r.Plan(due); len(begin) != 1 {
		t.Fatalf("begin = %v after the pause, want the range", begin)
	}
	if r.Fetched(orders, [16]byte{}, 0, assigntest.Records(0, 4), due); r.Pending() != 0 || len(s.Order) != 4 {
		t.Errorf("%d pieces left and %v sent, want all of 4 records", r.Pending(), s.Order)
	}
}
