package sdk

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk/frame"
)

// paced is a sender that reaches nobody, to be run in a bubble.
func paced(t *testing.T) (*Sender, *Stream) {
	t.Helper()
	s, err := New(t.Context(), WithProxies("nowhere:1"),
		WithDial(func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("nowhere") }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Close(ctx) // nothing is ever acked
	})
	st, err := s.Stream("g", "s")
	if err != nil {
		t.Fatal(err)
	}
	return s, st
}

func TestNewRecordsWaitForEncodersThatAreBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, st := paced(t)
		late := s.budget.MaxAhead() + 1
		s.enc.Backlog().Add(late)
		one := &Batch{Stream: st, Time: time.Now(), Payloads: [][]byte{[]byte("x")}}
		if n, err := s.TrySendBatch(one); n != 0 || !errors.Is(err, ErrBufferFull) {
			t.Errorf("TrySendBatch = %d, %v, want 0, ErrBufferFull", n, err)
		}
		if err := s.TrySend(Message{Stream: st, Time: time.Now()}, nil); !errors.Is(err, ErrBufferFull) {
			t.Errorf("TrySend: %v, want ErrBufferFull", err)
		}
		repair := *one
		repair.Repair = true
		if n, err := s.TrySendBatch(&repair); n != 1 || err != nil {
			t.Errorf("TrySendBatch of a repair = %d, %v, want 1, nil", n, err)
		}
		went := make(chan error, 2)
		go func() { _, err := s.SendBatch(t.Context(), one); went <- err }()
		go func() { went <- s.SendAsync(t.Context(), Message{Stream: st, Time: time.Now()}, nil) }()
		time.Sleep(5 * tick) // waking at a tick changes nothing
		synctest.Wait()
		select {
		case err := <-went:
			t.Errorf("a call went on while the encoders were behind: %v", err)
		case <-s.Room():
		}
		if s.budget.Went(s.enc.Backlog(), 1); len(s.Room()) != 0 {
			t.Error("one byte less is enough to wake everybody")
		}
		s.budget.Went(s.enc.Backlog(), late-1)
		synctest.Wait()
		for range 2 {
			select {
			case err := <-went:
				if err != nil {
					t.Errorf("after the wait: %v", err)
				}
			default:
				t.Error("a call still waits when the encoders have caught up")
			}
		}
		select {
		case <-s.Room():
		default:
			t.Error("Room says nothing when the encoders have caught up")
		}
	})
}

func TestStreamThatMovesKeepsThePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, st := paced(t)
		moves := func() {
			s.mu.Lock()
			st.ahead.Move(0, s.now())
			s.mu.Unlock()
		}
		p := &pack{filling: filling{st: st, buf: make([]byte, frame.PackHeader+s.budget.MaxAhead()+1)}}
		s.mu.Lock()
		s.goesAheadLocked(p)
		s.mu.Unlock()
		moves()
		went := make(chan error)
		send := func() {
			err := s.SendAsync(t.Context(), Message{Stream: st, Time: time.Now()}, nil)
			if err == nil {
				_, err = s.SendBatch(t.Context(), &Batch{Stream: st, Time: time.Now(), Payloads: [][]byte{nil}})
			}
			went <- err
		}
		go send()
		for range 10 {
			time.Sleep(tick / 2)
			moves()
		}
		select {
		case err := <-went:
			t.Errorf("a call did not wait although its stream is ahead and moves: %v", err)
		default:
		}
		// Those who do not wait are not kept, nor are repairs, nor other streams.
		one := Batch{Stream: st, Time: time.Now(), Payloads: [][]byte{nil}}
		if n, err := s.TrySendBatch(&one); n != 1 || err != nil {
			t.Errorf("TrySendBatch = %d, %v, want 1, nil", n, err)
		}
		repair := one
		repair.Repair = true
		if n, err := s.SendBatch(t.Context(), &repair); n != 1 || err != nil {
			t.Errorf("SendBatch of a repair = %d, %v, want 1, nil", n, err)
		}
		// Nothing moves any more: this is not about the pace, and the budget has room.
		start := time.Now()
		if err := <-went; err != nil || time.Since(start) > 2*tick {
			t.Errorf("a call to a stream that stands still waited %v: %v", time.Since(start), err)
		}
		moves()
		go send()
		synctest.Wait()
		s.mu.Lock()
		s.ranAheadLocked(p, s.now())
		s.ranAheadLocked(p, s.now()) // once only
		s.mu.Unlock()
		synctest.Wait()
		select {
		case err := <-went:
			if err != nil {
				t.Errorf("after the wait: %v", err)
			}
		default:
			t.Error("a call still waits when its stream has caught up")
			if err := <-went; err != nil {
				t.Error(err)
			}
		}
	})
}
