package sdk_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
)

// oneBatch is a batch of n records of size bytes that go into the pack of number.
func (e *env) oneBatch(st *sdk.Stream, n, size int, number *uint64) *sdk.Batch {
	payloads := make([][]byte, n)
	for i := range payloads {
		payloads[i] = append([]byte(nil), e.log.fresh()...)
		payloads[i] = append(payloads[i], bytes.Repeat([]byte{32}, max(0, size-len(payloads[i])))...)
	}
	b := e.log.batch(st, payloads)
	b.OnePack = number
	return b
}

func TestBatchOfOnePackEndsWithThePack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1, sdk.WithPack(1000, 100, 20*time.Millisecond))
		st := e.stream("s")
		number := uint64(0)
		b := e.oneBatch(st, 30, 90, &number)
		n, err := e.sender.TrySendBatch(b)
		if n == 0 || n > 11 || !errors.Is(err, sdk.ErrPackFull) || number == 0 {
			t.Fatalf("TrySendBatch = %d, %v with number %d; want the records of one pack of 1,000 bytes", n, err, number)
		}
		if used := e.sender.Status().UsedBytes; used > 1000 {
			t.Errorf("%d bytes of the budget are used, want what was taken of the rest back", used)
		}
		b.Payloads = b.Payloads[n:]
		if more, err := e.sender.TrySendBatch(b); more != 0 || !errors.Is(err, sdk.ErrPackFull) {
			t.Errorf("TrySendBatch = %d, %v after the pack was full", more, err)
		}
		number = 0
		if more, err := e.sender.TrySendBatch(b); more != n || !errors.Is(err, sdk.ErrPackFull) {
			t.Errorf("TrySendBatch = %d, %v, want another pack of %d", more, err, n)
		}
		e.close(time.Second)
		if s := e.sender.Status(); s.UsedBytes != 0 || s.Streams[0].PacksFinal != 2 {
			t.Errorf("%d bytes are used and %d packs are final, want none and two", s.UsedBytes, s.Streams[0].PacksFinal)
		}
	})
}

func TestBatchesJoinTheOnePackWhileItIsOpen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := setup(t, 1, sdk.WithPack(1000, 100, 20*time.Millisecond))
		st := e.stream("s")
		number, other := uint64(0), uint64(0)
		send := func(at *uint64, n, want int) {
			t.Helper()
			b := e.oneBatch(st, n, 90, at)
			if got, err := e.sender.TrySendBatch(b); got != want || (err == nil) != (want == n) || err != nil && !errors.Is(err, sdk.ErrPackFull) {
				t.Errorf("TrySendBatch = %d, %v, want %d of %d records", got, err, want, n)
			}
		}
		send(&number, 2, 2)
		time.Sleep(10 * time.Millisecond)
		send(&number, 2, 2)
		if send(&other, 2, 2); other != number {
			t.Errorf("a small batch gets pack %d, want the open one %d", other, number)
		}
		old := number
		number = 0
		if send(&number, 8, 8); number == old {
			t.Error("a batch that would not fit into the open pack is cut short by it")
		}
		send(&other, 1, 0) // sealed by then
		time.Sleep(30 * time.Millisecond)
		send(&number, 1, 0)
		e.close(time.Second)
		if s := e.sender.Status(); s.Streams[0].PacksFinal != 2 {
			t.Errorf("%d packs are final, want 2", s.Streams[0].PacksFinal)
		}
	})
}

// What fits into one pack is what the sender says it took, for every size of records and packs, and nothing of the budget is kept.
func TestOnePackHoldsExactlyWhatWasTaken(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 30 {
		bubble(t, func(t *testing.T) {
			e := setup(t, 1, sdk.WithPack(500+rng.IntN(3000), 1+rng.IntN(40), time.Duration(rng.IntN(3))*time.Millisecond),
				sdk.WithTrails(&numbered{t: t, chars: 1 + 2*rng.IntN(6)}))
			trails := rng.IntN(2) == 0
			st := e.stream("s")
			taken, packs := 0, make(map[uint64]bool)
			for range 20 {
				number := uint64(0)
				for range 1 + rng.IntN(3) {
					b := e.oneBatch(st, 1+rng.IntN(30), rng.IntN(400), &number)
					if b.Repair = rng.IntN(4) == 0; trails { // a trail that is full ends the pack, too
						b.Trail = make([]int, len(b.Payloads))
					}
					before := number
					n, err := e.sender.TrySendBatch(b)
					if err != nil && !errors.Is(err, sdk.ErrPackFull) || err == nil && n != len(b.Payloads) || before > 0 && before != number {
						t.Fatalf("TrySendBatch = %d of %d, %v, in pack %d after %d", n, len(b.Payloads), err, number, before)
					}
					if taken += n; number > 0 {
						packs[number] = true
					}
				}
				if rng.IntN(3) == 0 {
					synctest.Wait()
					time.Sleep(time.Millisecond)
				}
			}
			e.close(time.Second)
			settle(10 * time.Second)
			s := e.sender.Status()
			if got := len(e.arrived("s")); got != taken || s.UsedBytes != 0 || s.Streams[0].PacksFinal != uint64(len(packs)) {
				t.Errorf("%d records arrived of %d taken, in %d packs of %d, %d bytes are used", got, taken, s.Streams[0].PacksFinal, len(packs), s.UsedBytes)
			}
		})
	}
}

// 1. a pack holds records a, b of one sequence, in two pieces  2. proxies do not take it, because of b  3. it is cut, and its halves are
// under way at the same time  4. a's half is lost, b's is not. So the pack is not cut: both pieces are taken back.
func TestPackThatKeepsAnOrderIsTakenBackWhole(t *testing.T) {
	for name, answer := range map[string]int32{"refused": 104, "poison": dptest.CloseConnection} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var says atomic.Int32
				says.Store(answer)
				e := setupBad(t, 2, &says, heldRetry())
				// The first piece alone would be kept.
				j := &judge{ledger: e.log, e: e, st: e.stream("s"), keeps: true, say: func(n int) sdk.Verdict {
					if n == 2 {
						return sdk.Keep
					}
					return sdk.TakeBack
				}}
				number := uint64(0)
				for _, records := range [][]string{j.fresh(2), append(j.fresh(2), string(badRecord))} {
					var payloads [][]byte
					for _, r := range records {
						payloads = append(payloads, []byte(r))
					}
					b := j.batch(j.st, payloads)
					b.Token, b.OnePack = j, &number
					if n, err := e.sender.TrySendBatch(b); n != len(records) || err != nil {
						t.Fatalf("TrySendBatch = %d, %v", n, err)
					}
				}
				settle(3 * time.Minute)
				if back := e.log.payloads(sdk.TakenBack); len(back) != 5 {
					t.Errorf("%d records are taken back, want all 5 of the pack", len(back))
				}
				if got := e.arrived("s"); len(got) != 0 {
					t.Errorf("%d records arrived, want none: the pack is not cut", len(got))
				}
				e.close(time.Second)
			})
		})
	}
}
