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
	opened := s.open.Oldest().opened
	linger := s.o.linger
	if next := s.sealExpired(opened); next != opened+linger {
		t.Errorf("looks again at %v, want %v, when the linger is over", next, opened+linger)
	}
	s.enc.Backlog().Add(busyEncoders + 1)
	for _, after := range []time.Duration{linger, lateLingers*linger - 1} {
		if next := s.sealExpired(opened + after); s.open.Len() != 1 || next != opened+after+busyPause {
			t.Errorf("%v after it was opened and with busy encoders: %d packs are open, looks again at %v; want 1, and soon", after, s.open.Len(), next)
		}
	}
	s.enc.Backlog().Add(-1)
	if s.sealExpired(opened + linger); s.open.Len() != 0 {
		t.Error("the encoders have little to do, and a pack whose linger is over is still open")
	}
	if _, err := s.TrySendBatch(&Batch{Stream: st, Time: time.Unix(0, 0), Payloads: [][]byte{[]byte("x")}}); err != nil {
		t.Fatal(err)
	}
	opened = s.open.Oldest().opened
	s.enc.Backlog().Add(1)
	if s.sealExpired(opened + lateLingers*linger); s.open.Len() != 0 {
		t.Errorf("a pack is still open after %d lingers", lateLingers)
	}
}

// 1. records come to hundreds of streams in turn  2. all packs are full at the same time
func TestFirstPacksOfManyStreamsHaveDifferentSizes(t *testing.T) {
	const limit = 100 << 10
	sizes := make(map[int]int)
	for id := range 64 {
		st := &Stream{number: int32(id)}
		sizes[st.firstLimit(limit, 10)]++
		if got := st.firstLimit(limit, 90<<10); got < 90<<10 || got > limit {
			t.Errorf("stream %d: room for %d bytes, and its first record has %d", id, got, 90<<10)
		}
		if got := st.firstLimit(limit, 200<<10); got > limit {
			t.Errorf("stream %d: its first pack may have %d bytes of %d", id, got, limit)
		}
	}
	if len(sizes) != 8 {
		t.Errorf("sizes %v, want eight different ones", sizes)
	}
}
