package sdk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"inlong-bridge/sdk/engine"
	"inlong-bridge/sdk/frame"
	"inlong-bridge/sdk/signal"
)

// maxAnswer is the largest frame a proxy may answer with: attributes reach up to 64 KiB, and error 109
// repeats them.
const maxAnswer = 256 << 10

// conn is one connection to a proxy, from when it opened until it ended. Its slot's goroutine reads, a second one
// writes; everything without a comment is guarded by Sender.mu.
type conn struct {
	s    *Sender       // constant
	ep   *endpoint     // constant
	nc   net.Conn      // constant; safe for concurrent use
	wake signal.Poke   // constant; the writer has something to do
	stop chan struct{} // constant; closed when the reader is done

	life engine.Conn // what the engine knows of it
	out  []*pack     // handed over, not yet taken by the writer
	beat bool        // a heartbeat is to be written

	// With WithMaxConnLifetime; see lifetime.go.
	before   *conn // whose place it takes, until that has ended; only its renewLoop looks at it
	replaces *conn // whose place it takes, until it has the place
	next     *conn // that was opened to take its place
	ended    bool
}

// dialProxy opens a connection within the dial time-out.
func (s *Sender) dialProxy(ctx context.Context, ep *endpoint) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.dialTimeout)
	defer cancel()
	nc, err := s.o.dial(ctx, "tcp", ep.dial)
	if err != nil {
		return nil, fmt.Errorf("dialing %s: %w", ep.addr, err)
	}
	return nc, nil
}

// connectedLocked begins a connection; engine.Opened says what unproven, again and first mean. Under mu.
func (s *Sender) connectedLocked(ep *endpoint, nc net.Conn, unproven, again, first bool) *conn {
	c := &conn{s: s, ep: ep, nc: nc, wake: signal.NewPoke(), stop: make(chan struct{})}
	c.life.Ref = s.conns.put(c)
	s.e.Opened(&c.life, &ep.life, unproven, again, first, s.now())
	s.tellConnLocked(s.o.hooks.ConnOpened, c, 0, 0, c.life.OpenedAt(), "")
	return c
}

// serve runs the connection until it ends.
func (s *Sender) serve(c *conn) (end engine.ConnEnd) {
	written := make(chan struct{})
	s.wg.Go(func() {
		defer close(written)
		c.writeLoop()
	})
	err := c.readLoop()
	c.nc.Close() //nolint:errcheck // the reader's error is the one that tells
	close(c.stop)
	// Once the writer has returned nothing reads the buffers of the packs that were in flight.
	<-written

	s.mu.Lock()
	now := s.now()
	end = s.e.Ended(&c.life, err, now)
	// What answers for as long as the longest pause is not what pauses are for, even when there was nothing to ack.
	end.Useful = end.Useful || (end.Answered && now-c.life.OpenedAt() >= s.o.retryMax)
	todo := s.progressLocked()
	s.mu.Unlock()
	todo.perform()
	return end
}

// connEndedLocked tells that a connection ended. Under mu.
func (s *Sender) connEndedLocked(f *engine.Effect, now time.Duration) {
	c := s.conns.at(f.Conn.Ref)
	s.conns.drop(f.Conn.Ref)
	s.tellConnLocked(s.o.hooks.ConnEnded, c, f.Packs, f.Acked, now, cmp.Or(f.Reason, f.Err.Error()))
	switch {
	case s.e.Stopped(), f.Conn.Drained():
	case f.Reason != "":
		c.ep.noteLocked("connection closed: " + f.Reason)
	default:
		c.ep.noteLocked("connection ended: " + f.Err.Error())
	}
}

// writeLoop writes what dispatch hands over, as much as there is in one go.
func (c *conn) writeLoop() {
	var w batchOfPacks
	for {
		select {
		case <-c.stop:
			return
		case <-c.wake:
		}
		for c.takeOut(&w) {
			err := c.write(&w)
			c.giveBack(&w)
			if errors.Is(err, net.ErrClosed) {
				return // we closed it: why is known already
			}
			if err != nil {
				c.s.mu.Lock()
				c.s.e.WriteFailed(&c.life, errors.Is(err, os.ErrDeadlineExceeded), err.Error())
				todo := c.s.progressLocked()
				c.s.mu.Unlock()
				todo.perform()
				return
			}
		}
	}
}

// batchOfPacks is what one write carries.
type batchOfPacks struct {
	packs []*pack
	bufs  [][]byte
}

// takeOut collects what is to be written and reports whether there is anything.
func (c *conn) takeOut(w *batchOfPacks) bool {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	w.packs, w.bufs = w.packs[:0], w.bufs[:0]
	now := s.now()
	if c.beat { // ahead of the packs: an isolated one is blamed only if something was answered before
		c.beat = false
		w.bufs = append(w.bufs, heartbeat)
		s.e.Beat(&c.life, now)
	}
	for _, p := range c.out {
		_, again := p.life.WroteAt()
		if !s.e.Take(&c.life, &p.life, now) {
			continue
		}
		p.writers++
		if !again {
			p.st.meter.queue.note(now-p.opened, p.count)
		}
		s.tellPackLocked(s.o.hooks.PackWritten, p, now, nil)
		w.packs = append(w.packs, p)
		w.bufs = append(w.bufs, p.frame)
	}
	clear(c.out)
	c.out = c.out[:0]
	return len(w.bufs) > 0
}

var heartbeat = frame.AppendHeartbeat(nil)

// write has a deadline of its own, and leaves none behind that could hit a later write.
func (c *conn) write(w *batchOfPacks) error {
	if err := c.nc.SetWriteDeadline(time.Now().Add(c.s.o.writeTimeout)); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	bufs := net.Buffers(w.bufs)
	if _, err := bufs.WriteTo(c.nc); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	if err := c.nc.SetWriteDeadline(time.Time{}); err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}

// giveBack lets go of the buffers: a pack that was acked or seen meanwhile has waited for this.
func (c *conn) giveBack(w *batchOfPacks) {
	s := c.s
	s.mu.Lock()
	for i, p := range w.packs {
		s.e.Wrote(&c.life, &p.life)
		p.writers--
		s.releaseLocked(p)
		w.packs[i] = nil
	}
	clear(w.bufs[:cap(w.bufs)])
	todo := s.progressLocked()
	s.mu.Unlock()
	todo.perform()
}

// readLoop matches answers until the connection ends.
func (c *conn) readLoop() error {
	r := frame.NewReader(c.nc, maxAnswer)
	for {
		f, err := r.Next()
		if err != nil {
			if errors.Is(err, io.EOF) {
				return errors.New("closed by the proxy")
			}
			return fmt.Errorf("reading: %w", err)
		}
		typ, _, err := frame.Type(f)
		if err != nil {
			return fmt.Errorf("reading answer: %w", err)
		}
		switch {
		case typ == frame.TypePack && c.s.o.messageType == Type7:
			ack, err := frame.DecodeAck(f)
			if err != nil {
				return fmt.Errorf("reading answer: %w", err)
			}
			c.answered(&ack)
		case MessageType(typ) == c.s.o.messageType:
			if err := c.answeredText(f); err != nil {
				return fmt.Errorf("reading answer: %w", err)
			}
		case typ == frame.TypeHeartbeat, typ == frame.TypeBinHeartbeat:
			c.s.mu.Lock()
			now := c.s.now()
			c.s.e.Heard(&c.life, now)
			c.s.e.BeatAnswered(&c.life, now)
			todo := c.s.progressLocked()
			c.s.mu.Unlock()
			todo.perform()
		default:
			return fmt.Errorf("reading answer: type %d is not an answer", typ)
		}
	}
}
