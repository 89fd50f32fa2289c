package sdk

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"inlong-bridge/sdk/frame"
	"inlong-bridge/sdk/internal/encode"
)

// loneSender has a proxy that is never reached, and packs that are never sealed by time.
func loneSender(b *testing.B) (*Sender, *Stream) {
	b.Helper()
	s, err := New(context.Background(), WithProxies("nowhere:1"), WithPack(256<<10, frame.MaxCount, time.Second), WithRetry(time.Hour, time.Hour),
		WithDial(func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("nowhere") }))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Close(ctx)
	})
	st, err := s.Stream("g", "s")
	if err != nil {
		b.Fatal(err)
	}
	return s, st
}

// BenchmarkAppend is what a record of 100 bytes costs until it lies in a pack.
func BenchmarkAppend(b *testing.B) {
	s, st := loneSender(b)
	record := bytes.Repeat([]byte("x"), 100)
	b.SetBytes(int64(len(record)))
	b.ReportAllocs()
	p := &pack{filling: filling{st: st, limit: 256<<10 - 1<<10, buf: s.packBuffer(256<<10 - 1<<10)}}
	total := 0
	for b.Loop() {
		if !p.fits(len(record)) {
			total += p.count
			p.buf, p.count = p.buf[:frame.PackHeader], 0
		}
		p.add(record, &s.bufs)
	}
	s.bufs.Put(p.buf)
	if total+p.count == 0 {
		b.Fatal("nothing was appended")
	}
}

// BenchmarkEncode is what a full pack costs to become a frame.
func BenchmarkEncode(b *testing.B) {
	s, st := loneSender(b)
	for _, compress := range []bool{true, false} {
		name := map[bool]string{true: "snappy", false: "none"}[compress]
		b.Run(name, func(b *testing.B) {
			p := &pack{filling: filling{st: st, rtms: time.Now().UnixMilli(), compress: compress, buf: s.packBuffer(256 << 10)}}
			for i := range 250 {
				p.add(bytes.Repeat([]byte{byte(i), 'a', byte(i * 7), 'b'}, 256), &s.bufs)
			}
			var w encode.Workspace
			kept := slices.Clone(p.buf)
			b.SetBytes(int64(p.size()))
			b.ReportAllocs()
			for b.Loop() {
				f, err := s.encode(p, &w)
				if err != nil {
					b.Fatal(err)
				}
				s.bufs.Put(f)
				if p.buf == nil {
					p.buf = append(s.bufs.Get(256<<10), kept...)
				}
			}
		})
	}
}

// BenchmarkAckPath is one pack through hand, ack, verdict and notice, without a network.
func BenchmarkAckPath(b *testing.B) {
	s, st := loneSender(b)
	c := connect(b, s)
	b.ReportAllocs()
	acked := 0
	for b.Loop() {
		s.mu.Lock()
		p := &pack{
			filling:   filling{st: st, count: 1},
			outgoing:  outgoing{frame: s.bufs.Get(512)},
			followers: followers{calls: append(s.calls.get(), func(Result) {})},
		}
		s.e.Sealed(s.enterLocked(p), &st.life)
		s.e.Encoded(&p.life, 300)
		todo := s.progressLocked()
		if len(c.out) != 1 || !s.e.Take(&c.life, &p.life, s.now()) {
			b.Fatal("the pack was not handed to the connection")
		}
		s.e.Wrote(&c.life, &p.life)
		c.out = c.out[:0]
		s.mu.Unlock()
		todo.perform()
		c.answered(&frame.Ack{Uniq: uint32(p.life.Seq())})
		acked++
	}
	s.mu.Lock()
	if got := st.life.Counts().Final; got != uint64(acked) {
		b.Errorf("%d packs final, want %d", got, acked)
	}
	s.mu.Unlock()
}
