package dptest

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// memConn is one end of a connection of a Network.
type memConn struct {
	network       *Network
	local, remote memAddr
	in, out       *stream
	peer          *memConn
	dialled       bool // this is the end that the Network lists

	mu     sync.Mutex
	abrupt bool // Close resets, as SO_LINGER 0 does
}

// stream is one direction of a connection.
type stream struct {
	mu    sync.Mutex
	moved *sync.Cond // something below changed
	size  int
	buf   []byte // buf[off:] is on the way
	off   int

	end       error // what the reader gets after buf, once set: io.EOF or a reset
	fate      error // what both ends get at once, once set; buf is gone then
	readGone  bool  // the reading end was closed
	writeGone bool  // the writing end was closed
	silent    bool  // bytes vanish
	lost      bool  // some did

	readBy, writeBy       time.Time
	readTimer, writeTimer *time.Timer
}

func newStream(size int) *stream {
	s := &stream{size: size}
	s.moved = sync.NewCond(&s.mu)
	return s
}

func newConnPair(n *Network, client, server memAddr, size int) (dialled, accepted *memConn) {
	up, down := newStream(size), newStream(size)
	dialled = &memConn{network: n, local: client, remote: server, in: down, out: up, dialled: true}
	accepted = &memConn{network: n, local: server, remote: client, in: up, out: down, peer: dialled}
	dialled.peer = accepted
	return dialled, accepted
}

var errReset = os.NewSyscallError("tcp", syscall.ECONNRESET)

// held returns how many bytes are on the way.
func (s *stream) held() int { return len(s.buf) - s.off }

// drop discards the bytes on the way.
func (s *stream) drop() { s.buf, s.off = nil, 0 }

func (s *stream) read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.readGone:
			return 0, net.ErrClosed
		case s.fate != nil:
			return 0, s.fate
		case past(s.readBy):
			return 0, os.ErrDeadlineExceeded
		case len(b) == 0:
			return 0, nil
		case s.held() > 0:
			n := copy(b, s.buf[s.off:])
			if s.off += n; s.off == len(s.buf) {
				s.buf, s.off = s.buf[:0], 0
			}
			s.moved.Broadcast()
			return n, nil
		case s.end != nil:
			return 0, s.end
		}
		s.moved.Wait()
	}
}

func (s *stream) write(b []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.writeGone:
			return n, net.ErrClosed
		case s.fate != nil:
			return n, s.fate
		case past(s.writeBy):
			return n, os.ErrDeadlineExceeded
		case n == len(b):
			return n, nil
		case s.silent:
			s.lost = true
			return len(b), nil
		case s.readGone:
			return n, os.NewSyscallError("write", syscall.EPIPE)
		case s.held() < s.size:
			k := min(len(b)-n, s.size-s.held())
			if s.off > 0 && len(s.buf)+k > cap(s.buf) {
				s.buf, s.off = s.buf[:copy(s.buf, s.buf[s.off:])], 0
			}
			s.buf = append(s.buf, b[n:n+k]...)
			n += k
			s.moved.Broadcast()
			continue
		}
		s.moved.Wait()
	}
}

func past(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

// setDeadline replaces *at, and wakes the waiters when it is reached.
func (s *stream) setDeadline(at *time.Time, timer **time.Timer, t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*at = t
	if *timer != nil {
		(*timer).Stop()
		*timer = nil
	}
	if !t.IsZero() {
		if d := time.Until(t); d > 0 {
			*timer = time.AfterFunc(d, func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.moved.Broadcast()
			})
		}
	}
	s.moved.Broadcast()
}

func (s *stream) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	s.moved.Broadcast()
}

// cut ends the stream for both sides at once.
func (s *stream) cut() {
	s.change(func() {
		s.fate = errReset
		s.drop()
	})
}

func (c *memConn) opError(op string, err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}

func (c *memConn) Read(b []byte) (int, error) {
	n, err := c.in.read(b)
	return n, c.opError("read", err)
}

func (c *memConn) Write(b []byte) (int, error) {
	n, err := c.out.write(b)
	return n, c.opError("write", err)
}

// Close ends the connection as a kernel does: bytes that were written are still delivered, and bytes that were received
// but not read make the end a reset. On a silenced connection the other side notices nothing.
func (c *memConn) Close() error {
	c.mu.Lock()
	abrupt := c.abrupt
	c.mu.Unlock()
	unread := false
	c.in.change(func() {
		unread = c.in.held() > 0
		c.in.readGone = true
		c.in.drop()
		stop(c.in.readTimer)
	})
	silent := false
	c.out.change(func() {
		c.out.writeGone = true
		stop(c.out.writeTimer)
		switch silent = c.out.silent; {
		case silent:
			c.out.lost = true
		case c.out.end == nil && unread:
			c.out.end = errReset
		case c.out.end == nil:
			c.out.end = io.EOF
		}
	})
	switch {
	case silent: // stays listed, so that it can be reset when the silence ends
	case abrupt:
		c.Reset()
	default:
		c.network.forget(c.listed())
	}
	return nil
}

// Reset cuts the connection: both ends fail at once, and bytes on the way are lost.
func (c *memConn) Reset() {
	c.in.cut()
	c.out.cut()
	c.network.forget(c.listed())
}

// listed returns the end under which the network knows the connection.
func (c *memConn) listed() *memConn {
	if c.dialled {
		return c
	}
	return c.peer
}

// SetLinger with 0 seconds makes Close a Reset, as for *net.TCPConn.
func (c *memConn) SetLinger(sec int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.abrupt = sec == 0
	return nil
}

func (c *memConn) silence(on bool) {
	lost := false
	for _, s := range []*stream{c.in, c.out} {
		s.change(func() {
			s.silent = on
			lost = lost || s.lost
		})
	}
	if !on && lost {
		c.Reset()
	}
}

func stop(t *time.Timer) {
	if t != nil {
		t.Stop()
	}
}

func (c *memConn) LocalAddr() net.Addr  { return c.local }
func (c *memConn) RemoteAddr() net.Addr { return c.remote }

func (c *memConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *memConn) SetReadDeadline(t time.Time) error {
	c.in.setDeadline(&c.in.readBy, &c.in.readTimer, t)
	return nil
}

func (c *memConn) SetWriteDeadline(t time.Time) error {
	c.out.setDeadline(&c.out.writeBy, &c.out.writeTimer, t)
	return nil
}
