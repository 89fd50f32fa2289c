package sdk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"inlong-bridge/sdk/finality"
	"inlong-bridge/sdk/frame"
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
	wake chan struct{} // constant; the writer has something to do
	stop chan struct{} // constant; closed when the reader is done

	epoch         finality.ConnEpoch
	out           []*pack // handed over, not yet taken by the writer
	beat          bool    // a heartbeat is to be written
	table         map[uint32]*pack
	inFlight      int
	inFlightBytes int64
	openedAt      time.Duration
	unwritten     int64         // bytes in out and in the write that is under way
	acked         int           // packs acked here and not final
	useful        bool          // something was acked here
	draining      bool          // takes no new pack
	drainBy       time.Duration // when it ends though not all is final; 0 for never
	closing       bool
	byUs          bool   // closed because an answer or a write took too long
	drained       bool   // closed because it had nothing left to do
	answers       bool   // something was answered here
	unproven      bool   // takes no pack before it has answered a heartbeat: the last one there ended without any answer
	unclear       bool   // a pack may be unanswered that is not in table, or there are answers to none
	why           string // why we closed it
	reserved      *pack  // suspect for which it keeps itself empty, or that it carries
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

// connectedLocked begins a connection. Under mu.
//
// Where the last connection ended before anything was answered, nobody knows whether a proxy is there: a load balancer
// without one accepts connections too. A pack sent there would be taken for the culprit, or lie there for long. So the new
// connection is unproven: it sends a heartbeat, and takes packs once that is answered.
func (s *Sender) connectedLocked(ep *endpoint, nc net.Conn, unproven bool) *conn {
	s.lastEpoch++
	c := &conn{
		s: s, ep: ep, nc: nc, epoch: s.lastEpoch, unproven: unproven,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), table: make(map[uint32]*pack),
	}
	s.conns[c.epoch] = c
	if ep.counts.ended > 0 {
		ep.counts.reconnects++
	}
	ep.conns = append(ep.conns, c)
	c.openedAt = s.now()
	s.m.Opened(c.epoch, ep.id, c.openedAt)
	if !unproven {
		s.warmer.wake()
		s.thorough = true
	}
	if unproven || ep.outage.on { // ask for a sign of life
		c.beat = true
		c.signal()
	}
	s.tellConnLocked(s.o.hooks.ConnOpened, c, c.openedAt, "")
	return c
}

// connEnd is how a connection's life went.
type connEnd struct {
	answered bool // something was
	useful   bool // something was acked, or it was well for long
	alone    bool // no other proxy of a list is connected
	err      error
}

// serve runs the connection until it ends.
func (s *Sender) serve(c *conn) (end connEnd) {
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
	s.disconnectedLocked(c, err)
	// What answers for as long as the longest pause is not what pauses are for, even when there was nothing to ack.
	well := c.answers && s.now()-c.openedAt >= s.o.retryMax
	end = connEnd{answered: c.answers, useful: c.useful || well, alone: s.aloneLocked(c.ep), err: c.ep.failureLocked("connection ended")}
	todo := s.progressLocked()
	s.mu.Unlock()
	todo.perform()
	return end
}

// disconnectedLocked ends the connection: the state machine says what becomes of its packs. Under mu.
func (s *Sender) disconnectedLocked(c *conn, err error) {
	c.closing = true
	s.thorough = true // its window is gone, and what it was kept empty for
	delete(s.conns, c.epoch)
	ep := c.ep
	for i, other := range ep.conns {
		if other == c {
			ep.conns = append(ep.conns[:i:i], ep.conns[i+1:]...)
			break
		}
	}
	if c.reserved != nil {
		c.reserved.unreserveLocked()
	}
	ep.counts.ended++
	reason := c.why
	if reason == "" {
		reason = err.Error()
	}
	s.tellConnLocked(s.o.hooks.ConnEnded, c, s.now(), reason)
	if !s.stopped { // else what it carried is left to abandon: Close ended it, no proxy did
		if c.byUs {
			s.m.GivenUp(c.epoch)
		}
		s.m.Ended(c.epoch, s.now())
	}
	switch {
	case s.stopped, c.drained:
		return
	case c.why != "":
		ep.noteLocked("connection closed: " + c.why)
	default:
		ep.noteLocked("connection ended: " + err.Error())
	}
	switch {
	case !c.answers && c.byUs:
		s.failedLocked(ep, EndpointNoAnswer, reason, c.inFlight)
	case !c.answers:
		s.failedLocked(ep, EndpointClosesAtOnce, reason, c.inFlight)
	case c.why != "":
		s.o.logger.Warn("connection to proxy closed", "endpoint", ep.addr, "reason", c.why, "in_flight", c.inFlight, "acked", c.acked)
	default:
		s.o.logger.Warn("connection to proxy ended", "endpoint", ep.addr, "err", err, "in_flight", c.inFlight, "acked", c.acked)
	}
	ep.outage.begin(s.now())
	s.redialLocked(ep)
}

// signal tells the writer that there is something to write.
func (c *conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
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
				c.byUs = c.byUs || errors.Is(err, os.ErrDeadlineExceeded)
				c.s.endLocked(c, err.Error())
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
	gone  int64 // bytes of packs that need not be written any more
}

// takeOut collects what is to be written and reports whether there is anything.
func (c *conn) takeOut(w *batchOfPacks) bool {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	w.packs, w.bufs, w.gone = w.packs[:0], w.bufs[:0], 0
	now := s.now()
	if c.beat { // ahead of the packs: see killings
		c.beat = false
		w.bufs = append(w.bufs, heartbeat)
		s.m.Beat(c.epoch, now)
	}
	for _, p := range c.out {
		if p.conn != c || p.state != packInFlight {
			w.gone += p.wire // seen in the queue before this copy went out
			continue
		}
		p.writers++
		p.taken = true
		if !p.written {
			p.written = true
			p.st.meter.queue.note(now-p.opened, p.count)
		}
		p.wroteAt = now
		s.tellPackLocked(s.o.hooks.PackWritten, p, now, nil)
		w.packs = append(w.packs, p)
		w.bufs = append(w.bufs, p.frame)
	}
	clear(c.out)
	c.out = c.out[:0]
	c.unwritten -= w.gone
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
		c.unwritten -= p.wire
		c.ep.counts.bytes += uint64(p.wire)
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
			c.s.heardLocked(c)
			c.s.m.Answered(c.epoch, c.s.now())
			todo := c.s.progressLocked()
			c.s.mu.Unlock()
			todo.perform()
		default:
			return fmt.Errorf("reading answer: type %d is not an answer", typ)
		}
	}
}
