package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/finality"
)

// badRecord is what no proxy of setupBad takes.
var badRecord = []byte("the one record that no proxy takes")

// setupBad starts proxies that answer a pack with the bad record with what answer says then.
func setupBad(t *testing.T, n int, answer *atomic.Int32, opts ...sdk.Option) *env {
	t.Helper()
	e := &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1, 2), log: newLedger(t)}
	for i := range n {
		e.addProxy(fmt.Sprintf("dp%d:46801", i+1), dptest.WithAnswer(func(a dptest.Asked) int {
			if slices.ContainsFunc(a.Payloads(), func(b []byte) bool { return string(b) == string(badRecord) }) {
				return int(answer.Load())
			}
			return 0
		})).AckDelay(2 * time.Millisecond)
	}
	e.sender = e.newSender(append([]sdk.Option{sdk.WithProxies(e.addrs()...), sdk.WithRetry(10*time.Millisecond, time.Second)}, opts...)...)
	return e
}

// judge is a ledger that decides about its pieces, and hands over in halves what it took back.
type judge struct {
	*ledger
	e       *env
	st      *sdk.Stream
	say     func(records int) sdk.Verdict
	keeps   bool // what it took back
	mu      sync.Mutex
	asked   []sdk.Result
	records []int // of the pieces that it was asked about
}

func halve(records int) sdk.Verdict {
	if records > 1 {
		return sdk.TakeBack
	}
	return sdk.GiveUp
}

func (j *judge) Judge(piece uint64, r sdk.Result) sdk.Verdict {
	n := len(j.piece(piece))
	j.mu.Lock()
	j.asked, j.records = append(j.asked, r), append(j.records, n)
	j.mu.Unlock()
	return j.say(n)
}

func (j *judge) piece(piece uint64) []string {
	j.ledger.mu.Lock()
	defer j.ledger.mu.Unlock()
	return j.pieces[piece]
}

func (j *judge) Settled(piece uint64, r sdk.Result) {
	j.ledger.Settled(piece, r)
	if r.Outcome != sdk.TakenBack || j.keeps {
		return
	}
	whole := j.piece(piece)
	for _, half := range [][]string{whole[:len(whole)/2], whole[len(whole)/2:]} {
		j.hand(half, true)
	}
}

// hand hands records over in one batch.
func (j *judge) hand(records []string, again bool) {
	var payloads [][]byte
	for _, r := range records {
		payloads = append(payloads, []byte(r))
	}
	b := j.batch(j.st, payloads)
	b.Token, b.Repair, b.Alone = j, again, again
	if n, err := j.e.sender.TrySendBatch(b); n != len(records) || err != nil {
		j.e.t.Errorf("TrySendBatch = %d, %v", n, err)
	}
}

// questions is how often it was asked, about how many records.
func (j *judge) questions() []int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.records)
}

// fresh are n records.
func (j *judge) fresh(n int) (records []string) {
	for range n {
		records = append(records, string(j.ledger.fresh()))
	}
	return records
}

// One record among those of three partitions is refused, or ends connections: that one is given up, with what was said
// of it, and all others arrive.
func TestRefusedPackIsCutDownToTheOneRecord(t *testing.T) {
	for name, answer := range map[string]int{"refused": 104, "damaged": 94, "poison": dptest.CloseConnection} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var says atomic.Int32
				says.Store(int32(answer))
				e := setupBad(t, 2, &says, heldRetry())
				j := &judge{ledger: e.log, e: e, st: e.stream("s"), say: halve}
				records := j.fresh(300)
				records[77] = string(badRecord)
				j.hand(j.fresh(40), false)
				j.hand(records, false)
				if _, err := e.sender.SendBatch(t.Context(), e.log.batch(j.st, [][]byte{e.log.fresh()})); err != nil { // its token is no judge
					t.Fatal(err)
				}
				settle(3 * time.Minute)
				e.log.want(sdk.Final, 340)
				refused := e.log.payloads(sdk.Refused)
				if len(refused) != 1 || refused[0] != string(badRecord) {
					t.Fatalf("%d records refused, want the bad one", len(refused))
				}
				for i, told := range e.log.told {
					if r := told[len(told)-1]; r.Outcome == sdk.Refused {
						ack, byCode := errors.AsType[*sdk.AckError](r.Err)
						poison, byEnd := errors.AsType[*sdk.PoisonError](r.Err)
						if byEnd == byCode || byCode && ack.Code != answer || byEnd && poison.Records != 1 || r.Sends < 2 {
							t.Errorf("piece %d told %+v", i, r)
						}
					}
				}
				asked := j.questions()
				if n := len(asked); n < 8 || n > 14 {
					t.Errorf("asked about pieces of %v records, want about log2 of 300 of them", asked)
				}
				s := e.sender.Status()
				if s.UsedBytes != 0 || s.WaitingPacks+s.UnfinalPacks+s.HeldPacks+s.LostPacks != 0 || s.Streams[0].PacksCut < 8 || s.Streams[0].PacksCut > 12 {
					t.Errorf("left: %+v", s)
				}
				e.close(time.Minute)
				settle(10 * time.Second)
				if got := e.arrived("s"); len(got) != 340 || got[string(badRecord)] != 0 {
					t.Errorf("%d records arrived, want all but the bad one", len(got))
				}
			})
		})
	}
}

// A piece whose token keeps it is held alone: the pieces that shared its pack arrive.
func TestOnlyThePieceThatIsKeptIsHeld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var says atomic.Int32
		says.Store(104)
		e := setupBad(t, 2, &says, heldRetry())
		kept := &judge{ledger: e.log, e: e, st: e.stream("s"), say: func(int) sdk.Verdict { return sdk.Keep }}
		other := &judge{ledger: e.log, e: e, st: e.stream("s"), say: halve}
		other.hand(other.fresh(30), false)
		kept.hand(append(kept.fresh(4), string(badRecord)), false)
		other.hand(other.fresh(20), false)
		settle(5 * time.Second)
		e.log.want(sdk.Final, 50)
		e.log.want(sdk.Held, 5)
		says.Store(0)
		settle(15 * time.Minute)
		e.log.want(sdk.Final, 55)
		e.close(time.Minute)
	})
}

// All tokens keep their pieces: the pack is held whole, as without a judge.
func TestPackOfWhichEveryPieceIsKeptIsHeldWhole(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var says atomic.Int32
		says.Store(104)
		e := setupBad(t, 2, &says, heldRetry())
		j := &judge{ledger: e.log, e: e, st: e.stream("s"), say: func(int) sdk.Verdict { return sdk.Keep }}
		j.hand(j.fresh(30), false)
		j.hand(append(j.fresh(4), string(badRecord)), false)
		settle(5 * time.Second)
		e.log.want(sdk.Held, 35)
		if s := e.sender.Status(); s.HeldPacks != 1 || s.Streams[0].PacksCut != 0 {
			t.Errorf("%d packs held, %d cut; want 1 and 0", s.HeldPacks, s.Streams[0].PacksCut)
		}
		says.Store(0)
		settle(15 * time.Minute)
		e.log.want(sdk.Final, 35)
		e.close(time.Minute)
	})
}

func TestCodesThatMeanNotYetAreNeverJudged(t *testing.T) {
	for _, code := range []int{113, 115, 116, 108, 120, 121, 9999} {
		bubble(t, func(t *testing.T) {
			var says atomic.Int32
			says.Store(int32(code))
			e := setupBad(t, 2, &says, heldRetry())
			j := &judge{ledger: e.log, e: e, st: e.stream("s"), say: halve}
			j.hand(append(j.fresh(4), string(badRecord)), false)
			settle(time.Hour)
			if asked := j.questions(); len(asked) != 0 {
				t.Errorf("code %d: asked %d times", code, len(asked))
			}
			says.Store(0)
			settle(time.Hour)
			e.log.want(sdk.Final, 5)
			e.close(time.Minute)
		})
	}
}

// Nobody can tell whether a pack that was taken back lies in the queue all the same. Its sight makes the piece final.
func TestSightOfATakenBackPackMakesItsPieceFinal(t *testing.T) {
	for _, answer := range []int{104, dptest.CloseConnection} {
		for _, seen := range []bool{true, false} {
			t.Run(fmt.Sprint(answer, seen), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					e, _ := setupQueue(t, 2, nil)
					for _, p := range e.proxies {
						if p.StallQueue(true); answer == 104 {
							p.Code(104, 1)
						} else {
							p.CloseMidAck(1)
						}
					}
					j := &judge{ledger: e.log, e: e, st: e.stream("s"), say: halve, keeps: true}
					j.hand(j.fresh(5), false)
					settle(time.Minute)
					e.log.want(sdk.TakenBack, 5)
					if n := sdk.KnownPacks(e.sender); n != 1 {
						t.Fatalf("%d packs known, want the one that was taken back", n)
					}
					if s := e.sender.Status(); s.UsedBytes != 0 {
						t.Errorf("%d bytes are used", s.UsedBytes)
					}
					if seen {
						e.sender.Seen([]uint64{1})
						settle(time.Second)
						e.log.want(sdk.Final, 5)
					} else {
						e.log.forget()
						settle(10 * time.Second)
					}
					if n := sdk.KnownPacks(e.sender); n != 0 {
						t.Errorf("%d packs are still known", n)
					}
					e.close(time.Second)
				})
			})
		}
	}
}

// The sender is closed while the token is asked: what has no outcome is told so, once.
func TestCloseEndsPacksThatAreJudged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var says atomic.Int32
		says.Store(104)
		e := setupBad(t, 2, &says, heldRetry())
		var once sync.Once
		closed := make(chan error, 1)
		j := &judge{ledger: e.log, e: e, st: e.stream("s"), say: func(int) sdk.Verdict {
			once.Do(func() {
				go func() {
					ctx, cancel := context.WithCancel(context.Background())
					cancel()
					closed <- e.sender.Close(ctx)
				}()
				time.Sleep(time.Second)
			})
			return sdk.TakeBack
		}}
		j.hand(append(j.fresh(2), string(badRecord)), false)
		if err := <-closed; err == nil {
			t.Error("Close says nothing of what was left")
		}
		if told := e.log.told[0]; len(told) != 1 || !errors.Is(told[0].Err, sdk.ErrClosed) {
			t.Errorf("told %v, want ErrClosed once", told)
		}
	})
}

func TestTokenThatPanicsWhenAskedKeepsItsPiece(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var says atomic.Int32
		says.Store(104)
		e := setupBad(t, 2, &says, heldRetry())
		j := &judge{ledger: e.log, e: e, st: e.stream("s"), say: func(int) sdk.Verdict { panic("at once") }}
		j.hand(append(j.fresh(2), string(badRecord)), false)
		settle(time.Second)
		e.log.want(sdk.Held, 3)
		says.Store(0)
		settle(time.Minute)
		e.log.want(sdk.Final, 3)
		e.close(time.Minute)
	})
}

// Proxies refuse everything of a stream: its packs are cut down one after the other, not all at once.
func TestStreamThatIsRefusedWholeIsNoStormOfSmallPacks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var says atomic.Int32
		says.Store(104)
		e := setupBad(t, 2, &says, heldRetry(), config(finality.Ack, nil))
		j := &judge{ledger: e.log, e: e, st: e.stream("s"), say: halve}
		bad := func(n int) (records []string) { return slices.Repeat([]string{string(badRecord)}, n) }
		for range 20 {
			j.hand(bad(64), false)
			e.sender.Seal()
		}
		largest := 0
		for range 1000 {
			settle(time.Millisecond)
			large := 0
			for _, n := range j.questions() {
				if n == 64 {
					large++
				}
			}
			if len(e.log.payloads(sdk.Refused)) == 0 {
				largest = max(largest, large)
			}
		}
		if refused := len(e.log.payloads(sdk.Refused)); largest != 1 || refused == 0 {
			t.Errorf("%d packs were taken back before the first record was given up, %d records since; want 1, and some", largest, refused)
		}
		settle(10 * time.Minute)
		e.log.want(sdk.Refused, 20*64)
		e.close(time.Minute)
	})
}

// What is handed over alone shares no pack with anything.
func TestRecordsThatComeAloneShareNoPack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 2)
		st := e.stream("s")
		for i := range 12 {
			b := e.log.batch(st, [][]byte{e.log.fresh(), e.log.fresh()})
			b.Alone, b.Repair = i%3 > 0, i%3 == 1
			if n, err := e.sender.TrySendBatch(b); n != 2 || err != nil {
				t.Fatalf("TrySendBatch = %d, %v", n, err)
			}
		}
		settle(time.Minute)
		if n := e.proxies[0].Stats().Packs + e.proxies[1].Stats().Packs; n != 9 {
			t.Errorf("%d packs, want 8 that are alone, and one", n)
		}
		e.close(time.Minute)
		e.log.want(sdk.Final, 24)
	})
}
