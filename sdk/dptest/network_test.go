package dptest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"inlong-bridge/sdk/dptest"
)

// pair returns both ends of a connection.
func pair(t *testing.T, n *dptest.Network) (client, server net.Conn) {
	t.Helper()
	l, err := n.Listen("tcp", "")
	if err != nil {
		t.Fatal(err)
	}
	client, err = n.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _, _ = client.Close(), server.Close(), l.Close() })
	return client, server
}

func inBubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

func TestNetwork(t *testing.T) {
	inBubble(t, "carries bytes unchanged through a small buffer, both ways at once", func(t *testing.T) {
		a, b := pair(t, &dptest.Network{Buffer: 7})
		want := bytes.Repeat([]byte("0123456789abcdef"), 1000)
		for _, c := range [][2]net.Conn{{a, b}, {b, a}} {
			go func() {
				if _, err := c[0].Write(want); err != nil {
					t.Error(err)
				}
			}()
		}
		for _, c := range []net.Conn{a, b} {
			got := make([]byte, len(want))
			if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("read %d bytes, %v, equal: %v", len(got), err, bytes.Equal(got, want))
			}
		}
	})
	inBubble(t, "takes a buffer of bytes without a reader and then blocks", func(t *testing.T) {
		a, b := pair(t, new(dptest.Network))
		if _, err := a.Write(make([]byte, dptest.DefaultBuffer)); err != nil {
			t.Fatal(err)
		}
		_ = a.SetWriteDeadline(time.Now().Add(time.Second))
		start := time.Now()
		n, err := a.Write([]byte{1})
		if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("Write = %d, %v after %v", n, err, time.Since(start))
		}
		_ = a.SetWriteDeadline(time.Time{})
		go func() { _, _ = io.CopyN(io.Discard, b, 10) }()
		if n, err := a.Write(make([]byte, 10)); n != 10 || err != nil {
			t.Errorf("Write = %d, %v after the reader made room", n, err)
		}
	})
	inBubble(t, "ends a read at its deadline and goes on after it", func(t *testing.T) {
		a, b := pair(t, new(dptest.Network))
		start := time.Now()
		_ = b.SetReadDeadline(start.Add(time.Hour))
		time.AfterFunc(time.Minute, func() { _ = b.SetReadDeadline(start.Add(2 * time.Minute)) })
		var buf [1]byte
		_, err := b.Read(buf[:])
		var ne net.Error
		if !errors.As(err, &ne) || !ne.Timeout() || time.Since(start) != 2*time.Minute {
			t.Errorf("Read ended with %v after %v", err, time.Since(start))
		}
		_ = b.SetReadDeadline(time.Time{})
		_, _ = a.Write([]byte{7})
		if n, err := b.Read(buf[:]); n != 1 || err != nil || buf[0] != 7 {
			t.Errorf("Read = %d, %v", n, err)
		}
	})
	inBubble(t, "delivers what was written before a close", func(t *testing.T) {
		a, b := pair(t, new(dptest.Network))
		_, _ = a.Write([]byte("bye"))
		_ = a.Close()
		if got, err := io.ReadAll(b); string(got) != "bye" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("writing to a closed end: %v", err)
		}
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("reading from the closed end: %v", err)
		}
	})
	inBubble(t, "resets when bytes were not read at the close", func(t *testing.T) {
		a, b := pair(t, new(dptest.Network))
		_, _ = b.Write([]byte("unread"))
		_, _ = a.Write([]byte("last"))
		_ = a.Close()
		got, err := io.ReadAll(b)
		if string(got) != "last" || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read %q, %v", got, err)
		}
	})
	inBubble(t, "Reset fails both ends at once and loses what was on the way", func(t *testing.T) {
		n := new(dptest.Network)
		a, b := pair(t, n)
		_, _ = a.Write([]byte("lost"))
		blocked := make(chan error, 1)
		go func() { _, err := a.Read(make([]byte, 1)); blocked <- err }()
		synctest.Wait()
		n.Reset(b.LocalAddr().String())
		if err := <-blocked; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the blocked read ended with %v", err)
		}
		if k, err := b.Read(make([]byte, 10)); k != 0 || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Read = %d, %v", k, err)
		}
		if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("Write: %v", err)
		}
		if n.Connections("") != 0 {
			t.Errorf("%d connections are left", n.Connections(""))
		}
	})
	inBubble(t, "Silence swallows bytes and ends, and resets what lost some", func(t *testing.T) {
		n := new(dptest.Network)
		a, b := pair(t, n)
		addr := b.LocalAddr().String()
		n.Silence(addr, true)
		if k, err := a.Write(make([]byte, 1<<20)); k != 1<<20 || err != nil {
			t.Errorf("Write = %d, %v", k, err)
		}
		_ = b.SetReadDeadline(time.Now().Add(time.Hour))
		if k, err := b.Read(make([]byte, 1)); k != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read = %d, %v", k, err)
		}
		// The server dies and its end is not heard of either.
		_ = b.(interface{ SetLinger(int) error }).SetLinger(0)
		_ = b.Close()
		_ = a.SetReadDeadline(time.Now().Add(time.Hour))
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read of the other end: %v", err)
		}
		if _, err := a.Write([]byte("x")); err != nil {
			t.Errorf("Write to a silent address: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := n.DialContext(ctx, "tcp", addr); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("dialling a silent address: %v", err)
		}
		_ = a.SetReadDeadline(time.Time{})
		n.Silence(addr, false)
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("after the silence the read ends with %v", err)
		}
		if n.Connections("") != 0 {
			t.Errorf("%d connections are left", n.Connections(""))
		}
	})
	inBubble(t, "a silence in which nothing was said does no harm", func(t *testing.T) {
		n := new(dptest.Network)
		a, b := pair(t, n)
		n.Silence(b.LocalAddr().String(), true)
		n.Silence(b.LocalAddr().String(), false)
		_, _ = a.Write([]byte{1})
		if k, err := b.Read(make([]byte, 1)); k != 1 || err != nil {
			t.Errorf("Read = %d, %v", k, err)
		}
	})
	inBubble(t, "refuses where nobody listens, and an address in use", func(t *testing.T) {
		n := new(dptest.Network)
		if _, err := n.DialContext(t.Context(), "tcp", "10.0.0.1:80"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dial: %v", err)
		}
		l, err := n.Listen("tcp", "10.0.0.1:80")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.Listen("tcp", "10.0.0.1:80"); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("second listen: %v", err)
		}
		waiting, err := n.DialContext(t.Context(), "tcp", "10.0.0.1:80")
		if err != nil {
			t.Fatal(err)
		}
		_ = l.Close()
		if _, err := waiting.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("a connection nobody accepted ends with %v", err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: %v", err)
		}
		if l, err = n.Listen("tcp", "10.0.0.1:80"); err != nil {
			t.Errorf("listening again: %v", err)
		}
		_ = l.Close()
	})
}
