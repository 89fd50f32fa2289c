package sdk

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// With many streams packs are sealed by their linger, a few records each. While the encoders are busy
// anyway they stay open and grow, but not for ever.
func TestPackStaysOpenWhileTheEncodersAreBusy(t *testing.T) {
	synctest.Test(t, testPackStaysOpen) // time stands still in it: nobody else seals
}

func testPackStaysOpen(t *testing.T) {
	s, err := New(context.Background(), WithProxies("nowhere:1"), WithPack(256<<10, 1000, time.Second),
		WithDial(func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("nowhere") }))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Close(ctx)
	}()
	st, err := s.Stream("g", "s")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.TrySendBatch(&Batch{Stream: st, Time: time.Unix(0, 0), Payloads: [][]byte{[]byte("x")}}); err != nil {
		t.Fatal(err)
	}
	_, opened := s.open.oldest()
	linger := s.o.linger
	if next := s.sealExpired(opened); next != opened+linger {
		t.Errorf("looks again at %v, want %v, when the linger is over", next, opened+linger)
	}
	s.enc.backlog.bytes.Add(busyEncoders + 1)
	for _, after := range []time.Duration{linger, lateLingers*linger - 1} {
		if next := s.sealExpired(opened + after); s.open.len() != 1 || next != opened+after+busyPause {
			t.Errorf("%v after it was opened and with busy encoders: %d packs are open, looks again at %v; want 1, and soon", after, s.open.len(), next)
		}
	}
	s.enc.backlog.bytes.Add(-1)
	if s.sealExpired(opened + linger); s.open.len() != 0 {
		t.Error("the encoders have little to do, and a pack whose linger is over is still open")
	}
	if _, err := s.TrySendBatch(&Batch{Stream: st, Time: time.Unix(0, 0), Payloads: [][]byte{[]byte("x")}}); err != nil {
		t.Fatal(err)
	}
	_, opened = s.open.oldest()
	s.enc.backlog.bytes.Add(1)
	if s.sealExpired(opened + lateLingers*linger); s.open.len() != 0 {
		t.Errorf("a pack is still open after %d lingers", lateLingers)
	}
}
