package sdk_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest"
	"inlong-bridge/sdk/dptest/seeds"
	"inlong-bridge/sdk/finality"
)

// refusing is proxies that answer the packs of some streams with codes, and a note of what they were asked.
type refusing struct {
	mu    sync.Mutex
	codes map[string]int // by "proxy stream", or "proxy" for all of its streams
	asked []ask
}

type ask struct {
	proxy  int
	stream string
	mid    string
	at     time.Time
	code   int
}

func (r *refusing) answers(proxy int) dptest.Option {
	return dptest.WithAnswer(func(a dptest.Asked) int {
		r.mu.Lock()
		defer r.mu.Unlock()
		code, ok := r.codes[fmt.Sprintf("%d %s", proxy, a.Stream)]
		if !ok {
			code = r.codes[fmt.Sprint(proxy)]
		}
		r.asked = append(r.asked, ask{proxy, a.Stream, a.Mid, time.Now(), code})
		return code
	})
}

// code has a proxy answer with it; 0 to take everything.
func (r *refusing) code(where string, code int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.codes[where] = code
}

// since returns what was asked from a time on, and forgets what was before.
func (r *refusing) since(at time.Time) []ask {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = slices.DeleteFunc(r.asked, func(a ask) bool { return a.at.Before(at) })
	return slices.Clone(r.asked)
}

// setupRefusing starts n proxies that answer as the returned value says.
func setupRefusing(t *testing.T, n int, opts ...sdk.Option) (*env, *refusing) {
	t.Helper()
	e := &env{t: t, net: new(dptest.Network), queue: dptest.NewMemoryQueue(1, 2), log: newLedger(t)}
	r := &refusing{codes: make(map[string]int)}
	for i := range n {
		e.addProxy(fmt.Sprintf("dp%d:46801", i+1), r.answers(i+1))
	}
	e.sender = e.newSender(append([]sdk.Option{sdk.WithProxies(e.addrs()...)}, opts...)...)
	return e, r
}

const (
	heldFirst   = 10 * time.Second
	heldLongest = 10 * time.Minute
)

func heldRetry() sdk.Option { return sdk.WithRefusedRetry(heldFirst, heldLongest) }

// outcomes are the outcomes that a piece was told.
func (l *ledger) outcomes(piece int) (o []sdk.Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.told[piece] {
		o = append(o, r.Outcome)
	}
	return o
}

// One of two proxies answering a permanent code proves nothing: the other one takes the same packs.
func TestRefusalOfOneProxyOfTwoIsNotBelieved(t *testing.T) {
	for _, code := range []int{112, 104, 94} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e, r := setupRefusing(t, 2)
				st := e.stream("s")
				e.steady(st, time.Second)
				r.code("1", code)
				e.steady(st, 1500*time.Millisecond)
				r.code("1", 0)
				e.steady(st, time.Second)
				e.close(time.Minute)
				e.log.want(sdk.Final, 350)
				e.log.want(sdk.Refused, 0)
			})
		})
	}
}

// A proxy that refuses everything answers faster than those that work, and must not become the favourite for it.
func TestProxyThatRefusesEverythingGetsOneTrialPerPause(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, r := setupRefusing(t, 2)
		r.code("1", 112)
		e.proxies[1].AckDelay(5 * time.Millisecond)
		st := e.stream("s")
		began := time.Now()
		e.steady(st, time.Minute)
		n := 0
		for _, a := range r.since(began) {
			if a.proxy == 1 {
				n++
			}
		}
		if n == 0 || n > 20 {
			t.Errorf("the proxy that refuses everything was asked %d times in a minute, want a trial per growing pause", n)
		}
		r.code("1", 0)
		settle(time.Minute)
		e.steady(st, 30*time.Second)
		if got := e.proxies[0].Stats().Acked; got < 500 {
			t.Errorf("the proxy got %d packs of 3000 after it had recovered", got)
		}
		e.close(time.Minute)
		e.log.want(sdk.Final, 9000)
	})
}

func TestRefusalOfTwoProxiesOrAllThereAreIsForGood(t *testing.T) {
	for _, row := range []struct {
		name    string
		proxies int
		refuse  []string
	}{
		{"all of one", 1, []string{"1"}},
		{"both", 2, []string{"1", "2"}},
		{"all of three", 3, []string{"1", "2", "3"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e, r := setupRefusing(t, row.proxies)
				for _, p := range row.refuse {
					r.code(p, 112)
				}
				began := time.Now()
				e.send(e.stream("s"), 5)
				settle(time.Second)
				e.log.want(sdk.Refused, 5)
				by := make(map[string]map[int]bool)
				for _, a := range r.since(began) {
					if by[a.mid] == nil {
						by[a.mid] = make(map[int]bool)
					}
					by[a.mid][a.proxy] = true
				}
				for mid, proxies := range by {
					if len(proxies) != min(row.proxies, 2) {
						t.Errorf("pack %s was refused by %d proxies, want %d", mid, len(proxies), min(row.proxies, 2))
					}
				}
				e.close(time.Second)
			})
		})
	}
}

// 1. a proxy refuses a pack permanently  2. the other one says "not now"  3. the first one must not get the pack again and
// again meanwhile: it would answer as fast as it is asked.
func TestPackThatOneProxyRefusedWaitsForAnotherThatIsBusy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, r := setupRefusing(t, 2)
		r.code("1", 112)
		r.code("2", 114)
		began := time.Now()
		e.send(e.stream("s"), 1)
		settle(time.Minute)
		asked := map[int]int{}
		for _, a := range r.since(began) {
			asked[a.proxy]++
		}
		if asked[1] > 1 || asked[2] < 2 {
			t.Errorf("the proxy that refused the pack was asked %d times, the one that is busy %d times; want once at most, and again and again", asked[1], asked[2])
		}
		r.code("2", 0)
		settle(time.Minute)
		e.log.want(sdk.Final, 1)
		e.close(time.Second)
	})
}

// The second proxy is on the list and away: the pack waits for its word, is tried again at the first one, and nobody
// waits behind it.
func TestRefusedPackWaitsForAProxyThatIsAwayWithoutHoldingOthersUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, r := setupRefusing(t, 2)
		e.proxies[1].Kill()
		settle(time.Second)
		r.code("1 bad", 112)
		e.send(e.stream("bad"), 1)
		e.steady(e.stream("good"), 10*time.Second)
		settle(time.Second)
		e.log.want(sdk.Final, 1000)
		e.log.want(sdk.Refused, 0)
		if st := e.streamStatus("bad"); st.StallCode != sdk.StreamRefused || !strings.Contains(st.Stall, "112") {
			t.Errorf("stall %q: %q, want %q and the code", st.StallCode, st.Stall, sdk.StreamRefused)
		}
		r.code("1 bad", 0) // it was that proxy's fault
		settle(time.Minute)
		e.log.want(sdk.Final, 1001)

		r.code("1 bad", 112)
		r.code("2 bad", 112)
		e.send(e.stream("bad"), 1)
		settle(time.Minute)
		e.log.want(sdk.Refused, 0)
		if err := e.proxies[1].Restart(); err != nil {
			t.Fatal(err)
		}
		settle(time.Minute)
		e.log.want(sdk.Refused, 1)
		e.close(time.Second)
	})
}

func TestHeldPackIsTriedAgainUntilItIsTaken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, r := setupRefusing(t, 2, heldRetry())
		r.code("1", 112)
		r.code("2", 112)
		st := e.stream("s")
		e.send(st, 5)
		settle(time.Second)
		e.log.want(sdk.Held, 5)
		var ack *sdk.AckError
		if res := e.log.told[0]; len(res) != 1 || res[0].Endpoint == "" || !errors.As(res[0].Err, &ack) || ack.Code != 112 {
			t.Errorf("told %+v, want Held with the proxy and the code", res)
		}
		s := e.sender.Status()
		if s.HeldPacks != 5 || s.WaitingPacks != 0 || s.Streams[0].HeldPacks != 5 || s.Streams[0].HeldBytes == 0 || s.UsedBytes != s.Streams[0].HeldBytes {
			t.Errorf("status %+v: want 5 packs held whose bytes count", s)
		}
		if c, why := s.Streams[0].StallCode, s.Streams[0].Stall; c != sdk.StreamRefused || !strings.Contains(why, "112") {
			t.Errorf("stall %q: %q, want %q and the code", c, why, sdk.StreamRefused)
		}
		began := time.Now()
		settle(time.Hour)
		e.log.want(sdk.Held, 5)
		tried := r.since(began)
		// Each turn goes through both proxies, with one pack; the pauses grow from 10 s to 10 min.
		var turns []time.Time
		for i := 0; i < len(tried); i += 2 {
			if tried[i].mid != tried[i+1].mid || tried[i].proxy == tried[i+1].proxy || tried[i+1].at.Sub(tried[i].at) > time.Second {
				t.Fatalf("turn %d: %+v and %+v; want one pack at both proxies", i/2, tried[i], tried[i+1])
			}
			turns = append(turns, tried[i].at)
		}
		pause := heldFirst
		for i := range turns {
			before := began
			if i > 0 {
				before = turns[i-1]
			}
			if got := turns[i].Sub(before); got < pause*3/4-time.Second || got > pause+2*time.Second {
				t.Errorf("pause %d is %v, want %v or up to a quarter less", i, got, pause)
			}
			pause = min(2*pause, heldLongest)
		}
		if len(turns) < 10 || len(turns) > 16 {
			t.Errorf("%d turns in an hour, want 10 to 16", len(turns))
		}
		if oldest := slices.MinFunc(tried, func(a, b ask) int { return a.at.Compare(b.at) }); !strings.HasSuffix(oldest.mid, ".1") {
			t.Errorf("the first pack that was tried is %s, want the oldest", oldest.mid)
		}

		r.code("2", 0) // one of the two is enough
		settle(heldLongest + time.Minute)
		e.log.want(sdk.Final, 5)
		for i := range 5 {
			if got, want := e.log.outcomes(i), []sdk.Outcome{sdk.Held, sdk.Released, sdk.Acked, sdk.Final}; !slices.Equal(got, want) {
				t.Errorf("piece %d was told %v, want %v", i, got, want)
			}
		}
		if s := e.sender.Status(); s.HeldPacks != 0 || s.UsedBytes != 0 || s.Streams[0].Stall != "" || s.Streams[0].PacksRefused != 0 {
			t.Errorf("status %+v after all was taken", s)
		}

		// The pause begins at its least again.
		r.code("1", 112)
		r.code("2", 112)
		settle(time.Minute)
		e.send(st, 1)
		settle(time.Second)
		e.log.want(sdk.Held, 1)
		r.code("1", 0)
		r.code("2", 0)
		settle(heldFirst + time.Second)
		e.log.want(sdk.Final, 6)
		e.close(time.Second)
	})
}

// 200 streams with one cause do not ask together, and one success lets all of them go.
func TestHeldPacksOfManyStreamsAreTriedOneAtATime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const streams = 200
		e, r := setupRefusing(t, 2, heldRetry())
		r.code("1", 104)
		r.code("2", 104)
		for i := range streams {
			e.send(e.stream(fmt.Sprint("s", i)), 2)
		}
		settle(time.Second)
		e.log.want(sdk.Held, 2*streams)
		began := time.Now()
		settle(30 * time.Minute)
		asked := r.since(began)
		if n := len(asked); n == 0 || n > 2*12 {
			t.Errorf("the proxies were asked %d times in half an hour, want one pack per growing pause", n)
		}
		for i, a := range asked[1:] {
			if b := asked[i]; a.mid != b.mid && a.at.Sub(b.at) < heldFirst/2 {
				t.Errorf("packs %s and %s were tried within %v", b.mid, a.mid, a.at.Sub(b.at))
			}
		}
		r.code("1", 0)
		r.code("2", 0)
		settle(heldLongest + time.Minute)
		e.log.want(sdk.Final, 2*streams)
		e.close(time.Second)
	})
}

// What is never taken does not stand before what would be, and what is refused again is held again.
func TestHeldPackThatIsNeverTakenDoesNotKeepTheOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, r := setupRefusing(t, 2, heldRetry())
		r.code("1", 112)
		r.code("2", 112)
		r.code("1 bad", 104)
		r.code("2 bad", 104)
		e.send(e.stream("bad"), 4) // the oldest
		e.send(e.stream("good"), 3)
		settle(time.Second)
		e.log.want(sdk.Held, 7)
		r.code("1", 0)
		r.code("2", 0)
		settle(5 * heldFirst) // two turns
		e.log.want(sdk.Final, 3)
		e.log.want(sdk.Held, 4)
		if got, want := e.log.outcomes(0), []sdk.Outcome{sdk.Held, sdk.Released, sdk.Held}; !slices.Equal(got, want) {
			t.Errorf("the pack that is refused again was told %v, want %v", got, want)
		}
		e.steady(e.stream("good"), 10*time.Second)
		settle(time.Second)
		e.log.want(sdk.Final, 1003)
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		began := time.Now()
		err := e.sender.Close(ctx)
		if err == nil || !strings.Contains(err.Error(), "4 packs (4 records) not final") {
			t.Errorf("Close = %v, want four packs that are not final", err)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("Close waited %v for a pack that is held", took)
		}
		last := e.log.told[0][len(e.log.told[0])-1]
		var ack *sdk.AckError
		if last.Outcome != sdk.Refused || !errors.Is(last.Err, sdk.ErrClosed) || !errors.As(last.Err, &ack) || ack.Code != 104 {
			t.Errorf("told %+v at Close, want Refused with ErrClosed and the code", last)
		}
	})
}

// A stream that is held takes no more than its share of the budget.
func TestHeldPacksOfOneStreamLeaveRoomForOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, r := setupRefusing(t, 2, heldRetry(), sdk.WithMaxFrame(16<<10), sdk.WithPack(4<<10, 1000, 0), sdk.WithBudget(256<<10, 64<<10), sdk.WithCompression(sdk.None))
		r.code("1 bad", 112)
		r.code("2 bad", 112)
		bad, good := e.stream("bad"), e.stream("good")
		for full := false; !full; {
			b := e.log.batch(bad, [][]byte{make([]byte, 1000)})
			_, err := e.sender.TrySendBatch(b)
			full = errors.Is(err, sdk.ErrStreamFull)
			if err != nil && !full {
				t.Fatalf("TrySendBatch: %v", err)
			}
			settle(10 * time.Millisecond)
		}
		if s := e.sender.Status(); s.HeldPacks == 0 || s.WaitingPacks+s.UnfinalPacks > 3 {
			t.Fatalf("status %+v, want the stream full of held packs", s)
		}
		e.steady(good, time.Minute)
		r.code("1 bad", 0)
		r.code("2 bad", 0)
		settle(heldLongest + time.Minute)
		if s := e.sender.Status(); s.HeldPacks != 0 || s.UsedBytes != 0 {
			t.Errorf("status %+v after the proxies take everything", s)
		}
		e.close(time.Second)
	})
}

// A pack that nobody wants any more, because its partition went to another process, is not sent for ever.
func TestHeldPackThatIsForgottenIsDropped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, r := setupRefusing(t, 1, heldRetry())
		r.code("1", 112)
		st := e.stream("s")
		e.send(st, 600) // more than are asked about at a time
		settle(time.Second)
		// Messages with callbacks: two kinds of them in packs of their own, and one beside a batch.
		var told []sdk.Result
		for i, m := range []sdk.Message{{Payload: []byte("x")}, {Payload: []byte("y"), Meta: 1}, {Payload: []byte("z")}} {
			m.Stream = st
			if i == 2 {
				if _, err := e.sender.SendBatch(t.Context(), e.log.batch(st, [][]byte{e.log.fresh()})); err != nil {
					t.Fatal(err)
				}
			}
			if err := e.sender.SendAsync(t.Context(), m, func(r sdk.Result) { told = append(told, r) }); err != nil {
				t.Fatal(err)
			}
			settle(time.Second)
		}
		e.log.want(sdk.Held, 601)
		e.log.forget()
		settle(10 * time.Second)
		if s := e.sender.Status(); s.HeldPacks < 3 || s.HeldPacks > 4 { // the messages', and perhaps the one that is being tried
			t.Errorf("%d packs are held, want those dropped that nobody wants", s.HeldPacks)
		}
		e.log.want(sdk.Held, 601) // nothing more is told
		r.code("1", 0)
		settle(heldLongest)
		if len(told) != 3 || slices.ContainsFunc(told, func(r sdk.Result) bool { return r.Outcome != sdk.Final }) {
			t.Errorf("the messages were told %+v, want Final alone: each callback has one call", told)
		}
		e.close(time.Second)
	})
}

// A held pack that ends connections when it is tried is isolated, and no longer held.
func TestHeldPackThatEndsConnectionsIsPoison(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, r := setupRefusing(t, 2, heldRetry())
		r.code("1", 112)
		r.code("2", 112)
		e.send(e.stream("s"), 1)
		settle(time.Second)
		e.log.want(sdk.Held, 1)
		for _, p := range e.proxies {
			p.CloseMidAck(1)
		}
		r.code("1", 0)
		r.code("2", 0)
		settle(3 * time.Hour)
		e.log.want(sdk.Refused, 1)
		var poison *sdk.PoisonError
		told := e.log.told[0]
		if got := e.log.outcomes(0); !slices.Equal(got, []sdk.Outcome{sdk.Held, sdk.Released, sdk.Refused}) || !errors.As(told[2].Err, &poison) {
			t.Errorf("told %+v, want held, released, and refused with a PoisonError", told)
		}
		e.close(time.Second)
	})
}

// A turn ends though a proxy that would have to be tried takes nothing: the others have theirs.
func TestTurnOfAHeldPackIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, r := setupRefusing(t, 2, heldRetry(), config(finality.Ack, func(c *finality.Config) { c.AckTimeout = 5 * time.Second }))
		r.code("1 s", 112)
		r.code("2 s", 112)
		e.send(e.stream("s"), 1)
		e.send(e.stream("t"), 1)
		settle(time.Second)
		e.log.want(sdk.Held, 1)
		r.code("2 s", 0)
		e.proxies[1].Code(114, 1) // it pauses longer and longer
		e.steady(e.stream("t"), time.Minute)
		if s := e.sender.Status(); s.HeldPacks != 1 {
			t.Errorf("status %+v, want the pack held while the proxy that would take it takes nothing", s)
		}
		e.proxies[1].Code(114, 0)
		settle(heldLongest)
		e.log.want(sdk.Final, 6002)
		e.close(time.Second)
	})
}

func TestHeldNeedsALegalPause(t *testing.T) {
	for _, p := range [][2]time.Duration{{0, time.Second}, {-1, 0}, {time.Second, time.Millisecond}} {
		_, err := sdk.New(t.Context(), sdk.WithProxies("dp1:46801"), sdk.WithRefusedRetry(p[0], p[1]))
		if err == nil || !strings.Contains(err.Error(), "WithRefusedRetry") {
			t.Errorf("WithRefusedRetry(%v, %v): %v, want an error", p[0], p[1], err)
		}
	}
}

// A stream that nobody knows is asked about with one pack at a time; once it comes into being it is used within a pause.
func TestUnknownStreamIsAskedAboutOneAtATime(t *testing.T) {
	for _, code := range []int{113, 115, 116, 121} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e, r := setupRefusing(t, 3, heldRetry())
				const answer = 10 * time.Second // so that two questions at once would meet
				for p := range 3 {
					r.code(fmt.Sprintf("%d new", p+1), code)
					e.proxies[p].AckDelay(answer)
				}
				synctest.Wait()
				for range 20 {
					e.send(e.stream("new"), 1)
				}
				settle(time.Minute)
				if st := e.streamStatus("new"); st.StallCode != sdk.StreamUnknown || !strings.Contains(st.Stall, fmt.Sprint(code)) {
					t.Errorf("stall %q: %q, want %q and the code", st.StallCode, st.Stall, sdk.StreamUnknown)
				}
				began := time.Now()
				settle(30 * time.Minute)
				for i, asked := 1, r.since(began); i < len(asked); i++ {
					if gap := asked[i].at.Sub(asked[i-1].at); gap < answer {
						t.Errorf("asked again %v after a question that takes %v to be answered", gap, answer)
					}
				}
				began = time.Now()
				settle(2 * time.Hour)
				asked := r.since(began)
				if n := len(asked); n < 3*11 || n > 3*17 {
					t.Errorf("asked %d times in two hours, want once in 7.5 to 10 minutes at each of three proxies", n)
				}
				for _, a := range asked {
					if a.mid != asked[0].mid {
						t.Errorf("asked with %s and with %s, want one pack at a time, the oldest", asked[0].mid, a.mid)
						break
					}
				}
				e.log.want(sdk.Final, 0)
				for p := range 3 {
					r.code(fmt.Sprintf("%d new", p+1), 0)
				}
				settle(heldLongest + time.Minute)
				e.log.want(sdk.Final, 20)
				if st := e.streamStatus("new"); st.Stall != "" {
					t.Errorf("stall %q after the stream came into being", st.Stall)
				}
				e.close(time.Second)
			})
		})
	}
}

// While some proxy knows the stream, those that do not yet are asked at the usual pauses.
func TestProxyThatDoesNotKnowAStreamYetIsAskedSoon(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, r := setupRefusing(t, 2, heldRetry())
		r.code("1 new", 115)
		e.steady(e.stream("new"), 10*time.Minute)
		r.code("1 new", 0)
		e.steady(e.stream("new"), time.Minute)
		if got := e.proxies[0].Stats().Acked; got < 1000 {
			t.Errorf("the proxy that knows the stream since a minute acked %d packs of 6000", got)
		}
		e.close(time.Second)
	})
}

// Whatever proxies say, each Held of a piece has its Released, and in the end all is final.
func TestHeldAndReleasedComeInPairs(t *testing.T) {
	fixed, fresh := schedules()
	var all, played atomic.Int64
	t.Cleanup(func() { // one schedule may refuse nothing
		if played.Load() >= 20 && all.Load() == 0 {
			t.Error("nothing was held in any schedule; the story tells nothing")
		}
	})
	seeds.Run(t, fixed, fresh, func(t *testing.T, seed uint64) {
		t.Parallel()
		bubble(t, func(t *testing.T) { all.Add(int64(heldPairs(t, seed))) })
		played.Add(1)
	})
}

// heldPairs plays one schedule and returns how often a piece was held.
func heldPairs(t *testing.T, seed uint64) (held int) {
	rnd := rand.New(rand.NewPCG(seed, 7))
	mode := finality.Mode(seed % 2) // ack, settle
	e, r := setupRefusing(t, 1+rnd.IntN(3), sdk.WithRefusedRetry(time.Second, 20*time.Second), sdk.WithSeed(seed), config(mode, func(c *finality.Config) {
		c.AckTimeout = 3 * time.Second
	}), sdk.WithConnections(1+rnd.IntN(2)))
	streams := []string{"a", "b", "c"}
	codes := []int{104, 109, 112, 94, 115, 114, 2, 108}
	for range 100 {
		switch p := 1 + rnd.IntN(len(e.proxies)); rnd.IntN(8) {
		case 0:
			e.net.Reset("")
		case 1:
			stream := streams[rnd.IntN(len(streams))]
			for p := range e.proxies {
				r.code(fmt.Sprint(p+1)+" "+stream, 104)
			}
		case 2:
			e.proxies[p-1].CloseMidAck(rnd.Float64() / 3)
		default:
			where := fmt.Sprint(p)
			if rnd.IntN(2) == 0 {
				where += " " + streams[rnd.IntN(len(streams))]
			}
			code := 0
			if rnd.IntN(2) == 0 {
				code = codes[rnd.IntN(len(codes))]
			}
			r.code(where, code)
		}
		e.batch(e.stream(streams[rnd.IntN(len(streams))]), 1+rnd.IntN(4))
		time.Sleep(time.Duration(rnd.IntN(3000)) * time.Millisecond)
	}
	for p := range e.proxies { // whatever came before, now something is held
		r.code(fmt.Sprint(p+1), 0)
		r.code(fmt.Sprint(p+1)+" a", 112)
	}
	e.batch(e.stream("a"), 1)
	settle(10 * time.Second)
	r.mu.Lock()
	clear(r.codes)
	r.mu.Unlock()
	for _, p := range e.proxies {
		p.CloseMidAck(0)
	}
	settle(10 * time.Minute)
	s := e.sender.Status()
	if s.HeldPacks != 0 || s.WaitingPacks != 0 || s.UsedBytes != 0 {
		t.Errorf("status %+v ten minutes after the last refusal", s)
	}
	e.close(time.Minute)
	e.log.mu.Lock()
	defer e.log.mu.Unlock()
	for i, told := range e.log.told {
		open := false
		for _, r := range told {
			switch r.Outcome {
			case sdk.Held:
				if held++; open {
					t.Errorf("piece %d was told Held twice: %v", i, told)
				}
				open = true
			case sdk.Released:
				if !open {
					t.Errorf("piece %d was told Released without Held: %v", i, told)
				}
				open = false
			default:
				if open {
					t.Errorf("piece %d was told %v while it is held: %v", i, r.Outcome, told)
				}
			}
		}
		if open || len(told) == 0 {
			t.Errorf("piece %d was told %v in all", i, told)
		}
	}
	return held
}
