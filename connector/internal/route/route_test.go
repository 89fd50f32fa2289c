package route

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"inlong-bridge/mapping"
	"inlong-bridge/sdk"
	"inlong-bridge/sdk/dptest/seeds"
)

// ticks is for how long a route is not looked up before it is idle.
const ticks = 10

func streamsOf(limit int) *Table {
	return NewTable(func(string, string) (*sdk.Stream, error) { return new(sdk.Stream), nil }, limit)
}

func target(n int) mapping.Target { return mapping.Target{Group: "g", Stream: fmt.Sprint("s", n)} }

func anyStream(*sdk.Stream) bool { return true }

func TestOneStreamTooManyIsRefusedUntilOneIsForgotten(t *testing.T) {
	rs := streamsOf(2)
	for i := range 2 {
		if _, err := rs.get(target(i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := rs.get(target(2)); !errors.Is(err, ErrTooManyStreams) {
		t.Fatalf("the third of two streams: %v, want errTooManyStreams", err)
	}
	if _, err := rs.get(target(1)); err != nil {
		t.Fatalf("a stream in use: %v", err)
	}
	rs.Pass(ticks - 1)
	if gone := rs.ForgetIdle(ticks, nil, anyStream); len(gone) != 0 {
		t.Fatalf("forgotten %v before they were idle long enough", gone)
	}
	_, _ = rs.get(target(1))
	rs.Pass(1)
	if gone := rs.ForgetIdle(ticks, nil, anyStream); len(gone) != 1 || gone[0] != target(0) {
		t.Fatalf("forgotten %v, want the idle one", gone)
	}
	if _, err := rs.get(target(2)); err != nil {
		t.Fatalf("with room again: %v", err)
	}
}

// Forgetting an index and giving it again would make reading again send the wrong records.
func TestIndexOfARouteIsNeverGivenTwice(t *testing.T) {
	seeds.Run(t, 50, 20, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 0))
		rs := streamsOf(5)
		owner := make(map[int32]mapping.Target)
		for range 300 {
			want := target(r.IntN(12))
			if x, err := rs.get(want); err == nil {
				if of, known := owner[x.Index]; known && of != want {
					t.Fatalf("index %d was of %v and is of %v", x.Index, of, want)
				}
				owner[x.Index] = want
				if rs.At(x.Index) != x {
					t.Fatalf("at(%d) is another route", x.Index)
				}
			}
			if r.IntN(3) == 0 {
				rs.Pass(int64(r.IntN(ticks)))
				inUse := map[int32]bool{int32(r.IntN(20)): true}
				for _, g := range rs.ForgetIdle(ticks, inUse, func(*sdk.Stream) bool { return r.IntN(4) > 0 }) {
					if rs.find(g) != nil {
						t.Fatalf("%v was forgotten and is found", g)
					}
				}
				for i := range inUse {
					if of, known := owner[i]; known && rs.At(i) == nil && rs.find(of) != nil && rs.find(of).Index == i {
						t.Fatalf("route %d is in use and was forgotten", i)
					}
				}
			}
		}
	})
}

// The reader of the queue may take long to let go of a stream. Meanwhile the other routes are found and made, and whoever asks for
// the stream itself gets a route that is not forgotten.
func TestOtherRoutesAreFoundWhileAStreamIsForgotten(t *testing.T) {
	for _, forgotten := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			rs := streamsOf(3)
			first, _ := rs.get(target(0))
			rs.Pass(ticks)
			answer, done := make(chan bool), make(chan struct{})
			go func() {
				rs.ForgetIdle(ticks, nil, func(*sdk.Stream) bool { return <-answer })
				close(done)
			}()
			synctest.Wait()
			if _, err := rs.get(target(1)); err != nil || rs.Count() != 2 {
				t.Errorf("another route while a stream is forgotten: %v, count %d; want it among 2", err, rs.Count())
			}
			again := make(chan *Route)
			go func() {
				r, _ := rs.get(target(0))
				again <- r
			}()
			synctest.Wait()
			select {
			case r := <-again:
				t.Errorf("got %+v before it was decided whether the stream is forgotten", r)
			default:
			}
			answer <- forgotten
			<-done
			if r := <-again; (r == first) == forgotten || rs.At(r.Index) != r {
				t.Errorf("forgotten = %v: got index %d after %d, in the table: %v", forgotten, r.Index, first.Index, rs.At(r.Index) == r)
			}
		})
	}
}

// The byte budget has no room for one more stream: that is one stream too many, not a record that no rule wants.
func TestStreamThatTheBudgetHasNoRoomForIsOneTooMany(t *testing.T) {
	opened := 0
	rs := NewTable(func(string, string) (*sdk.Stream, error) {
		if opened == 2 {
			return nil, sdk.ErrTooManyStreams
		}
		opened++
		return new(sdk.Stream), nil
	}, 0)
	for i := range 2 {
		if _, err := rs.get(target(i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := rs.get(target(2)); !errors.Is(err, ErrTooManyStreams) || rs.Room() {
		t.Fatalf("one more: %v, room %v; want errTooManyStreams and no room", err, rs.Room())
	}
	rs.Pass(ticks)
	rs.ForgetIdle(ticks, nil, anyStream)
	opened = 0
	if !rs.Room() {
		t.Error("no room after streams were forgotten")
	}
	if _, err := rs.get(target(2)); err != nil {
		t.Errorf("with room again: %v", err)
	}
}
