package sdk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk/frame"
)

// A message for which room was taken in advance goes into the same pack, with the same account, as one that asks for it.
func TestPrepaidMessagesGoWhereOthersGo(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 2))
			fast, fastStream := paced(t)
			slow, slowStream := paced(t)
			attrs, err := NewPackAttrs(Attr{"env", "prod"})
			if err != nil {
				t.Fatal(err)
			}
			prepaid := 0
			for i := range 6000 {
				m := Message{Time: time.Unix(60*int64(rng.IntN(50)/49), 0), Payload: bytes.Repeat([]byte{byte(i)}, 1+rng.IntN(160))}
				var done func(Result)
				switch rng.IntN(40) {
				case 0:
					m.PackAttrs = attrs
				case 1:
					m.Attrs = []Attr{{"k", "v"}}
				case 2:
					m.Acked = func(Result) {}
				case 3:
					done, m.Meta = func(Result) {}, i
				default:
					if rng.IntN(2) > 0 {
						done = func(Result) {}
					}
				}
				if i == 3000 {
					fastStream.SetPackAttrs(attrs)
					slowStream.SetPackAttrs(attrs)
				}
				m.Stream = fastStream
				if fast.addPrepaid(&m, done) {
					prepaid++
				} else if err := fast.trySendMessage(&m, done); err != nil {
					t.Fatal(err)
				}
				m.Stream = slowStream
				if err := slow.trySendMessage(&m, done); err != nil {
					t.Fatal(err)
				}
				if i%500 == 499 {
					if got, want := accountOf(fast, fastStream), accountOf(slow, slowStream); !maps.Equal(got, want) {
						t.Fatalf("seed %d, message %d: with prepaid room %v, without %v", seed, i, got, want)
					}
				}
			}
			if prepaid < 1000 {
				t.Errorf("seed %d: %d messages had room in advance, want most", seed, prepaid)
			}
		})
	}
}

// accountOf is what a sender keeps of a stream's records.
func accountOf(s *Sender, st *Stream) map[string]string {
	synctest.Wait()
	st.mu.Lock()
	defer st.mu.Unlock()
	out := map[string]string{"sums": fmt.Sprint(st.records, st.recordBytes, st.held.Load(), s.budget.Used(), st.ahead.Bytes())}
	st.open.all(func(p *pack) {
		called := 0
		for _, f := range p.calls {
			if f != nil {
				called++
			}
		}
		out[fmt.Sprint(p.key)] = fmt.Sprint(p.count, p.charge, p.prepaid, len(p.pieces), len(p.calls), called, crc32.ChecksumIEEE(p.buf[frame.PackHeader:]))
	})
	return out
}

func TestRoomInAdvanceLetsNothingThroughAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, st := paced(t)
		m := Message{Stream: st, Time: time.Unix(0, 0), Payload: make([]byte, 100)}
		for range 1000 {
			if err := s.SendAsync(t.Context(), m, nil); err != nil {
				t.Fatal(err)
			}
		}
		if !s.addPrepaid(&m, nil) {
			t.Fatal("no room was taken in advance")
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.SendAsync(ended, m, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("with a context that has ended: %v", err)
		}
		s.end.closing.Store(true)
		if s.addPrepaid(&m, nil) {
			t.Error("a message is taken after Close")
		}
		s.end.closing.Store(false)
		st.mu.Lock()
		st.forgotten = true
		st.mu.Unlock()
		if s.addPrepaid(&m, nil) {
			t.Error("a message is taken by a stream that was forgotten")
		}
		st.mu.Lock()
		st.forgotten = false
		st.mu.Unlock()
	})
}
