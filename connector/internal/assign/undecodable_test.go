package assign

import (
	"errors"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/source"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest/seeds"
)

// rotten covers [5, 12).
func rotten() *source.Batch {
	return &source.Batch{Base: 5, Next: 12, Codec: "zstd", Why: "no zstd", Raw: []byte("raw"), Time: time.UnixMilli(77)}
}

// moves notes where the client was sent.
type moves map[part.ID]int64

func (m moves) set(offsets map[part.ID]int64) { maps.Copy(m, offsets) }

func TestUndecodableBatchIsBookedAsItsRuleSays(t *testing.T) {
	for name, tt := range map[string]struct {
		onError string
		change  func(b *source.Batch)
		limit   int64
		books   checkpoint.Ledger
		letters int
		stop    string
		at      int64
	}{
		"skip":             {onError: "{undecodable: skip}", books: checkpoint.Ledger{Checkpoint: 12, Final: 5, Skipped: 7}, at: 12},
		"dead letter":      {onError: "{undecodable: dead_letter}", books: checkpoint.Ledger{Checkpoint: 12, Final: 5, Quarantined: 7}, letters: 1, at: 12},
		"stop":             {onError: "{poison: skip}", books: checkpoint.Ledger{Checkpoint: 5, Final: 5}, stop: "offsets 5 to 11", at: -1},
		"end not known":    {onError: "skip", change: func(b *source.Batch) { b.Next = -1 }, books: checkpoint.Ledger{Checkpoint: 5, Final: 5}, stop: "not known for sure", at: -1},
		"aborted":          {onError: "{poison: skip}", change: func(b *source.Batch) { b.Empty = true }, books: checkpoint.Ledger{Checkpoint: 12, Final: 5, Gap: 7}, at: 12},
		"from within":      {onError: "dead_letter", change: func(b *source.Batch) { b.Base = 2 }, books: checkpoint.Ledger{Checkpoint: 12, Final: 5, Quarantined: 7}, letters: 1, at: 12},
		"end of migration": {onError: "dead_letter", limit: 8, books: checkpoint.Ledger{Checkpoint: 8, Final: 5, Quarantined: 3}, letters: 1, at: 8},
	} {
		t.Run(name, func(t *testing.T) {
			ev, a, m := new(fakeEvents), &aside{room: -1}, make(moves)
			p, s, b := keeping(t, ev, a, tt.onError), &assigntest.Sender{Room: -1}, rotten()
			if tt.change != nil {
				tt.change(b)
			}
			if tt.limit > 0 {
				p.Limit = tt.limit
			}
			p.Take(s, split(), odd(5))
			s.Settle(sdk.Final)
			if !p.PassBatch(b, 5, m.set) {
				t.Fatal("nothing was decided")
			}
			if at := p.checkpoint.Checkpoint(); tt.letters > 0 && at != 5 {
				t.Errorf("the checkpoint is %d before the letter is written, want 5", at)
			}
			if len(a.items) != tt.letters {
				t.Fatalf("%d letters, want %d", len(a.items), tt.letters)
			}
			if tt.letters > 0 {
				l, o := a.items[0].Letter, a.items[0].Original
				if l.Reason != "undecodable" || l.Offset != b.Base || l.Last != 11 || string(o.Value) != "raw" || o.Key != nil || o.Headers != nil || o.Timestamp.UnixMilli() != 77 {
					t.Errorf("letter = %+v of %+v", l, o)
				}
			}
			a.done(nil)
			if got := p.checkpoint.Ledger(); got != tt.books {
				t.Errorf("books = %+v, want %+v", got, tt.books)
			}
			if tt.stop != "" && (p.Stopped() == nil || p.Stopped().Code != reason.Undecodable || !strings.Contains(p.Stopped().Own.Text(), tt.stop)) {
				t.Errorf("stopped by %+v, want %q", p.Stopped(), tt.stop)
			}
			if at, moved := m[p.Partition]; moved != (tt.at >= 0) || moved && (at != tt.at || p.Expects() != tt.at || !p.MustRewind()) {
				t.Errorf("the client was sent to %d, the position is %d, what it has in hand is dropped: %v; want %d", at, p.Expects(), p.MustRewind(), tt.at)
			}
		})
	}
}

// Spans begin in order: a batch is not booked while something before it waits.
func TestUndecodableBatchWaitsForWhatLiesBeforeIt(t *testing.T) {
	ev, a, m := new(fakeEvents), &aside{room: -1}, make(moves)
	p, s := keeping(t, ev, a, "skip"), &assigntest.Sender{Room: 2, Err: sdk.ErrBufferFull}
	p.Take(s, split(), odd(5))
	if p.PassBatch(rotten(), 5, m.set) || len(m) > 0 || a.skipped > 0 {
		t.Fatal("it was passed over while three records wait")
	}
	s.Room = -1
	p.Offer(s)
	if p.PassBatch(rotten(), 4, m.set) {
		t.Error("it was passed over at another position")
	}
	if !p.PassBatch(rotten(), 5, m.set) || m[p.Partition] != 12 {
		t.Errorf("the client was sent to %d, want 12", m[p.Partition])
	}
	p.Detach()
	if p.PassBatch(&source.Batch{Base: 12, Next: 14}, 12, m.set) {
		t.Error("it was passed over after the assignment had ended")
	}
}

func TestLetterOfABatchHasRoomAndLimit(t *testing.T) {
	ev, a, m := new(fakeEvents), &aside{room: 0}, make(moves)
	p := keeping(t, ev, a, "dead_letter")
	p.letters.rate.Limit = 1
	p.expect, p.Start = 5, 5
	p.checkpoint.End(p.checkpoint.Begin(5, 5))
	if p.PassBatch(rotten(), 5, m.set) || len(a.items) > 0 {
		t.Fatal("a letter was written without room")
	}
	a.room = -1
	if !p.PassBatch(rotten(), 5, m.set) || len(a.items) != 1 {
		t.Fatal("no letter was written")
	}
	if !p.PassBatch(&source.Batch{Base: 12, Next: 14}, 12, m.set) || len(a.items) != 1 || p.Stopped() == nil || p.Stopped().Code != reason.LetterLimit {
		t.Errorf("%d letters, stopped by %+v; want one, and the limit", len(a.items), p.Stopped())
	}
}

// A letter that fails keeps no bytes: its batch is fetched again, after pauses.
func TestLetterOfABatchIsTriedAgainFromTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ev, a, m := new(fakeEvents), &aside{room: -1}, make(moves)
		p := keeping(t, ev, a, "dead_letter")
		b := rotten()
		b.Base = 0
		p.PassBatch(b, 0, m.set)
		a.done(errors.New("no topic"))
		if len(ev.losses) > 0 || p.LettersLeft() != 1 || p.Stopped() == nil || p.Stopped().Code != reason.LetterTopic {
			t.Fatalf("%d pieces to read again, %d letters left, stopped by %+v", len(ev.losses), p.LettersLeft(), p.Stopped())
		}
		if due := p.BatchesDue(time.Now()); len(due) > 0 {
			t.Error("it is due at once")
		}
		time.Sleep(letterPauses.Max)
		due := p.BatchesDue(time.Now())
		if len(due) != 1 || due[0].First != 0 || due[0].Last != 11 || len(p.BatchesDue(time.Now())) > 0 {
			t.Fatalf("due: %+v, want the batch once", due)
		}
		p.BatchLater(due[0], time.Now())
		time.Sleep(letterPauses.Max)
		if due = p.BatchesDue(time.Now()); len(due) != 1 {
			t.Fatalf("due: %+v, want the batch again", due)
		}
		if again := rotten(); !p.RewriteBatch(due[0], again) || len(a.items) != 1 {
			t.Fatal("it was not written again")
		}
		a.done(errors.New("no topic yet"))
		time.Sleep(letterPauses.Max)
		p.RewriteBatch(p.BatchesDue(time.Now())[0], b)
		a.done(nil)
		if got, want := p.checkpoint.Ledger(), (checkpoint.Ledger{Checkpoint: 12, Quarantined: 12}); got != want || p.LettersLeft() != 0 || p.gate.Stranded() != 0 {
			t.Errorf("books = %+v, %d letters left, %d pieces stranded; want %+v and none", got, p.LettersLeft(), p.gate.Stranded(), want)
		}
	})
}

func TestBatchThatIsGoneBeforeItsLetterIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ev, a, m := new(fakeEvents), &aside{room: -1}, make(moves)
		p := keeping(t, ev, a, "dead_letter")
		p.PassBatch(&source.Batch{Next: 12}, 0, m.set)
		a.done(errors.New("no topic"))
		time.Sleep(letterPauses.Max)
		p.LoseBatch(p.BatchesDue(time.Now())[0])
		if got, want := p.checkpoint.Ledger(), (checkpoint.Ledger{Checkpoint: 12, Lost: 12}); got != want || p.LettersLeft() != 0 {
			t.Errorf("books = %+v, %d letters left; want %+v and none", got, p.LettersLeft(), want)
		}
	})
}

func TestOnlyTheSameBytesConfirmADoubt(t *testing.T) {
	d := new(Doubt)
	for i, tt := range []struct {
		at   int64
		raw  string
		want int
	}{{5, "a", 1}, {5, "a", 2}, {5, "b", 1}, {5, "b", 2}, {6, "b", 1}, {6, "b", 2}} {
		if d = d.Looked(tt.at, []byte(tt.raw)); d.Looks != tt.want {
			t.Errorf("look %d: %d looks showed the same, want %d", i, d.Looks, tt.want)
		}
	}
}

// Records and batches that cannot be read in any order, letters that fail, and packs that are final at any time: the checkpoint never passes a letter that is not
// safe, and in the end each offset is accounted for once.
func TestBooksAddUpWithBatchesThatCannotBeRead(t *testing.T) {
	seeds.Run(t, 200, 100, func(t *testing.T, seed uint64) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 9))
			ev, a, m := new(fakeEvents), &aside{room: -1}, make(moves)
			onError, skips := "{undecodable: skip}", true
			if r.IntN(2) == 0 {
				onError, skips = "{undecodable: dead_letter}", false
			}
			p, s, next := keeping(t, ev, a, onError), &assigntest.Sender{Room: -1}, int64(0)
			p.letters.rate.Limit = 0
			var good, bad int64
			unsafe := make(map[int64]bool) // first offsets of batches whose letters are not safe
			news := func(fail bool) {
				for _, it := range a.items {
					if !fail {
						delete(unsafe, it.Letter.Offset)
					}
				}
				if fail {
					a.done(errors.New("no topic"))
				} else {
					a.done(nil)
				}
			}
			again := func() {
				time.Sleep(letterPauses.Max)
				for _, d := range p.BatchesDue(time.Now()) {
					p.RewriteBatch(d, &source.Batch{Base: d.First, Next: d.Last + 1})
				}
			}
			for range 40 {
				if p.LettersLeft() == 0 && p.Stopped() != nil {
					GoOn([]Ending{{p, part.Key(p.Partition, reason.LetterTopic)}}, m.set)
				}
				switch n := 1 + r.Int64N(20); {
				case p.Stopped() != nil:
					again()
				case r.IntN(2) == 0:
					Rewind([]*Assignment{p}, m.set)
					p.Take(s, split(), assigntest.Records(int(next), int(n)))
					next, good = next+n, good+n
				default:
					if !p.PassBatch(&source.Batch{Base: next, Next: next + n}, next, m.set) {
						t.Fatalf("the batch at %d was not passed over", next)
					}
					if !skips {
						unsafe[next] = true
					}
					next, bad = next+n, bad+n
				}
				switch r.IntN(4) {
				case 0:
					s.Settle(sdk.Final)
				case 1:
					news(true)
				case 2:
					news(false)
				}
				for first := range unsafe {
					if at := p.checkpoint.Checkpoint(); at > first {
						t.Fatalf("the checkpoint is %d, past the letter of offset %d that is not safe", at, first)
					}
				}
			}
			s.Settle(sdk.Final)
			news(false)
			again()
			news(false)
			want := checkpoint.Ledger{Checkpoint: next, Final: good, Quarantined: bad}
			if skips {
				want.Quarantined, want.Skipped = 0, bad
			}
			if got := p.checkpoint.Ledger(); got != want || len(unsafe) > 0 || p.LettersLeft() != 0 {
				t.Errorf("books = %+v, %d letters not safe, %d left; want %+v", got, len(unsafe), p.LettersLeft(), want)
			}
		})
	})
}
