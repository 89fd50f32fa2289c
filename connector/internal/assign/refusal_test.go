package assign

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/connector/internal/replay"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest/seeds"
)

var (
	byCode = sdk.Result{Outcome: sdk.Refused, Endpoint: "p:1", Err: &sdk.AckError{Code: 112}}
	byEnds = sdk.Result{Outcome: sdk.Refused, Endpoint: "p:1", Err: &sdk.PoisonError{Deaths: 8}}
)

// withPolicy is a partition of t whose rule says what becomes of records that fail.
func withPolicy(t *testing.T, ev *fakeEvents, onError string) *Assignment {
	t.Helper()
	p := testPartition(t, ev)
	p.Topic = &Topic{Name: "t", Mapping: assigntest.Mapping(t, "- {topics: [t], group: g, stream: s, on_error: "+onError+"}\n").ForTopic("t")}
	return p
}

// A refused piece is kept where the policy is to stop. Else, and where proxies end connections, it is cut down to the record.
func TestPolicyDecidesAboutPiecesThatProxiesDoNotTake(t *testing.T) {
	for _, c := range []struct {
		onError   string
		records   int
		r         sdk.Result
		want      sdk.Verdict
		forgotten bool
	}{
		{"stop", 3, byCode, sdk.Keep, false},
		{"stop", 1, byCode, sdk.Keep, false},
		{"stop", 3, byEnds, sdk.TakeBack, false},
		{"{poison: skip}", 3, byCode, sdk.Keep, false},
		{"{refused: skip}", 3, byCode, sdk.TakeBack, false},
		{"{refused: skip}", 1, byCode, sdk.GiveUp, false},
		{"{refused: skip}", 3, byEnds, sdk.TakeBack, false},
		{"stop", 3, byCode, sdk.GiveUp, true},
	} {
		p := withPolicy(t, new(fakeEvents), c.onError)
		pc := p.checkpoint.Add(p.checkpoint.Begin(0, int64(c.records)), checkpoint.Origin{Last: int64(c.records) - 1, Records: int32(c.records)})
		if c.forgotten {
			p.checkpoint.Revoke()
		}
		if got := p.Judge(uint64(pc), c.r); got != c.want {
			t.Errorf("%s, %d records, %v, forgotten %v: %v, want %v", c.onError, c.records, c.r.Err, c.forgotten, got, c.want)
		}
	}
}

// Some records end connections, whatever pack they come in. Their piece is read again in halves until each is alone; every
// other record is final, and the stop names the first one that was found.
func TestPiecesAreHalvedDownToTheRecordsThatEndConnections(t *testing.T) {
	seeds.Run(t, 60, 30, func(t *testing.T, seed uint64) {
		rng := rand.New(rand.NewPCG(seed, 9))
		n := 1 + rng.IntN(200)
		bad := make(map[string]bool)
		for range 1 + rng.IntN(3) {
			bad[fmt.Sprint(rng.IntN(n))] = true
		}
		ev, s := new(fakeEvents), &assigntest.Sender{Room: -1}
		p := withPolicy(t, ev, "stop")
		log := assigntest.Records(0, n)
		for i := range log {
			log[i].Offset = int64(i * (1 + int(seed%3))) // holes
		}
		p.Take(s, split(), log)
		r := replayOf(s, "", false)
		rounds, alone := 0, 0
		for now := time.Unix(7000, 0); len(s.Taken) > 0 && rounds < 50; rounds++ {
			taken := s.Taken
			s.Taken = nil
			for pc, f := range taken {
				isBad := slices.ContainsFunc(f.Payloads, func(v string) bool { return bad[v] })
				switch {
				case !isBad:
					f.Token.Settled(pc, sdk.Result{Outcome: sdk.Final})
				case len(f.Payloads) == 1: // the sender asks nobody about a single record that ends connections
					alone++
					f.Token.Settled(pc, byEnds)
				case f.Token.(sdk.Judge).Judge(pc, byEnds) != sdk.TakeBack:
					t.Fatalf("a piece of %d records is not taken back", len(f.Payloads))
				default:
					was := byEnds
					was.Outcome = sdk.TakenBack
					f.Token.Settled(pc, was)
				}
			}
			for _, x := range ev.halved {
				r.Halve(x.p, x.piece, x.origin)
			}
			ev.halved = nil
			for range 100 {
				begin, _, _ := r.Plan(now)
				for _, b := range begin {
					i := slices.IndexFunc(log, func(x *kgo.Record) bool { return x.Offset >= b.Offset })
					for i < len(log) && r.Fetched(b.Partition, [16]byte{}, 0, log[i:min(i+7, len(log))], now) == replay.Continue {
						i += 7
					}
				}
				now = now.Add(time.Second)
			}
			if r.Pending() != 0 {
				t.Fatal("pieces are not handed over again")
			}
		}
		most := bits.Len(uint(n)) + 2
		if rounds > most || alone != len(bad) {
			t.Errorf("%d records: %d rounds, %d records alone; want at most %d, and %d", n, rounds, alone, most, len(bad))
		}
		h := p.Stopped()
		if h == nil || h.Code != reason.Poison || !bad[fmt.Sprint(h.Own.Offset/(1+int64(seed%3)))] {
			t.Fatalf("stopped by %+v, want %s at a record that ends connections", h, reason.Poison)
		}
		if open := p.checkpoint.Unfinal(); open == 0 || p.Unfinished() != 0 {
			t.Errorf("%d pieces open, %d may become final; want some, and none", open, p.Unfinished())
		}
	})
}

// 1. a piece is taken back, and read again  2. its old pack is seen in the queue: it had been stored before the connection ended  3. proxies
// refuse what was read again
func TestTakenBackPieceThatIsSeenIsFinal(t *testing.T) {
	ev, s := new(fakeEvents), &assigntest.Sender{Room: -1}
	p := withPolicy(t, ev, "{refused: skip}")
	p.Take(s, split(), assigntest.Records(0, 1)) // is not final yet
	s.Taken = nil
	p.Take(s, split(), assigntest.Records(1, 1))
	for pc, f := range s.Taken {
		f.Token.Settled(pc, sdk.Result{Outcome: sdk.TakenBack, Err: byCode.Err})
		f.Token.Settled(pc, sdk.Result{Outcome: sdk.TakenBack, Err: byCode.Err})
	}
	if len(ev.halved) != 1 || p.checkpoint.Unfinal() != 2 {
		t.Fatalf("%d pieces to be halved, %d open; want 1 and 2", len(ev.halved), p.checkpoint.Unfinal())
	}
	again := p.checkpoint.Replace(ev.halved[0].piece, ev.halved[0].origin)
	if v := p.Judge(uint64(again), byCode); v != sdk.GiveUp || again == 0 {
		t.Errorf("piece %d is judged %v", again, v)
	}
	for pc, f := range s.Taken {
		f.Token.Settled(pc, sdk.Result{Outcome: sdk.Final})
	}
	p.Settled(uint64(again), byCode)
	if p.checkpoint.Unfinal() != 1 || p.checkpoint.Wanted(ev.halved[0].piece) || p.Stopped() != nil {
		t.Errorf("%d pieces open, stopped by %v; want 1, and nothing read again", p.checkpoint.Unfinal(), p.Stopped())
	}
}

// Pieces that are halved and pieces that were lost take turns: neither waits for all of the other kind.
func TestHalvedAndLostPiecesTakeTurns(t *testing.T) {
	ev, s := new(fakeEvents), &assigntest.Sender{Room: -1}
	p := testPartition(t, ev)
	log := make(map[int64][]*kgo.Record)
	for at := int64(0); at < 12_000; at += 2000 { // far apart, so that each is a range of its own
		log[at] = []*kgo.Record{assigntest.Record(at, "a", 0, fmt.Sprint(at)), assigntest.Record(at+1, "a", 0, fmt.Sprint(at+1))}
		p.Take(s, split(), log[at])
	}
	r := replayOf(s, "", false)
	s.Settle(sdk.Lost)
	for _, x := range ev.losses {
		if x.origin.First >= 8000 {
			r.Halve(x.p, x.piece, x.origin)
		} else {
			r.Add(x.p, x.piece, x.origin)
		}
	}
	s.Order, s.Taken = nil, nil
	for range 6 {
		begin, _, _ := r.Plan(time.Unix(7000, 0))
		for _, b := range begin {
			r.Fetched(b.Partition, [16]byte{}, 0, log[b.Offset], time.Unix(7000, 0))
		}
	}
	want := []string{"8000", "8001", "0", "1", "10000", "10001", "2000", "2001", "4000", "4001", "6000", "6001"}
	if r.Pending() != 0 || !slices.Equal(s.Order, want) || len(s.Taken) != 8 {
		t.Errorf("handed over %v in %d pieces, %d left; want %v in 8", s.Order, len(s.Taken), r.Pending(), want)
	}
}
