package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"inlong-bridge/sdk/frame"
)

const (
	sinkBuffer  = 1 << 20
	sinkMaxBody = 1 << 20
	verifyEvery = 64 // packs; of these the records are counted, of the others the header's count is taken
)

// sink is the least that a proxy does: it parses every frame, counts, and acks at once or after a
// delay. It costs the machine little, so that what is measured is the sender.
type sink struct {
	ln    net.Listener
	delay time.Duration
	hears hears
	conns sync.WaitGroup

	mu     sync.Mutex
	open   map[net.Conn]struct{}
	closed bool
	report sinkReport
	err    error // the first thing that was not as it should be
}

// hears is who is told of each pack beside the count; each may be nil.
type hears struct {
	marks   *marks
	queue   *queueWriter
	latency *latencies
}

// sinkReport is what has arrived.
type sinkReport struct {
	Packs     int64 `json:"packs"`
	Records   int64 `json:"records"`
	WireBytes int64 `json:"wire_bytes"`
}

// startSink listens on a free port of the loopback interface. The caller closes it.
func startSink(ctx context.Context, delay time.Duration, h hears) (*sink, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting sink: %w", err)
	}
	k := &sink{ln: ln, delay: delay, hears: h, open: make(map[net.Conn]struct{})}
	k.conns.Go(k.accept)
	return k, nil
}

func (k *sink) addr() string { return k.ln.Addr().String() }

// close ends all connections and says what has arrived, and what was wrong with it.
func (k *sink) close() (sinkReport, error) {
	k.mu.Lock()
	k.closed = true
	err := k.ln.Close()
	for nc := range k.open {
		nc.Close() //nolint:errcheck // its reader ends, which is all that matters
	}
	k.mu.Unlock()
	k.conns.Wait()
	return k.report, errors.Join(k.err, err)
}

func (k *sink) accept() {
	for {
		nc, err := k.ln.Accept()
		if err != nil {
			return // closed
		}
		k.mu.Lock()
		if k.closed {
			nc.Close() //nolint:errcheck // nobody uses it
		} else {
			k.open[nc] = struct{}{}
			k.conns.Go(func() { k.serve(nc) })
		}
		k.mu.Unlock()
	}
}

func (k *sink) serve(nc net.Conn) {
	c := &sinkConn{nc: nc, hears: k.hears}
	err := c.run(k.delay)
	nc.Close() //nolint:errcheck // only read from
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.open, nc)
	k.report.Packs += c.report.Packs
	k.report.Records += c.report.Records
	k.report.WireBytes += c.report.WireBytes
	if k.err == nil && err != nil && !k.closed {
		k.err = fmt.Errorf("sink: %w", err)
	}
}

// sinkConn is one connection.
type sinkConn struct {
	nc     net.Conn
	hears  hears
	report sinkReport
	acks   []byte
}

// run reads until the connection ends; an error says that bytes were not as they should be. It takes
// as much as there is at once, and one write for the acks of all frames in it.
func (c *sinkConn) run(delay time.Duration) error {
	answer := func(acks []byte) error {
		_, err := c.nc.Write(acks)
		return err
	}
	if delay > 0 {
		late := newLateWriter(c.nc, delay)
		defer late.close()
		answer = late.write
	}
	buf := make([]byte, sinkBuffer)
	n := 0
	for {
		got, err := c.nc.Read(buf[n:])
		n += got
		used, parseErr := c.parse(buf[:n])
		if parseErr != nil {
			return parseErr
		}
		n = copy(buf, buf[used:n])
		if len(c.acks) > 0 {
			if err := answer(c.acks); err != nil {
				return nil // as below
			}
			c.acks = c.acks[:0]
		}
		if err != nil {
			return nil // the connection is over; what is missing shows in the count
		}
		if n == len(buf) {
			return fmt.Errorf("reading: a frame is longer than %d bytes", len(buf))
		}
	}
}

// parse takes the whole frames at the beginning of b, appends their answers to acks, and returns how
// many bytes they are.
func (c *sinkConn) parse(b []byte) (used int, err error) {
	for len(b)-used > 4 {
		size := 4 + int(binary.BigEndian.Uint32(b[used:]))
		if size > len(b)-used {
			break
		}
		f := b[used : used+size]
		typ, _, err := frame.Type(f)
		switch {
		case err != nil:
			return used, fmt.Errorf("reading frame: %w", err)
		case typ == frame.TypeHeartbeat:
			c.acks = frame.AppendHeartbeat(c.acks)
		default:
			if err := c.pack(f); err != nil {
				return used, err
			}
		}
		used += size
	}
	return used, nil
}

func (c *sinkConn) pack(f []byte) error {
	p, err := frame.DecodePack(f)
	if err != nil {
		return fmt.Errorf("reading pack %d: %w", c.report.Packs, err)
	}
	if c.report.Packs%verifyEvery == 0 {
		items, err := p.Items(sinkMaxBody)
		if err != nil {
			return fmt.Errorf("reading pack %d: %w", c.report.Packs, err)
		}
		if len(items) != int(p.Count) {
			return fmt.Errorf("reading pack %d: %d records where its header says %d", c.report.Packs, len(items), p.Count)
		}
	}
	c.report.Packs++
	c.report.Records += int64(p.Count)
	c.report.WireBytes += int64(len(f))
	if m := c.hears.marks; m != nil {
		m.add(int64(p.Count))
	}
	if q := c.hears.queue; q != nil {
		q.put(f)
	}
	if l := c.hears.latency; l != nil {
		if err := l.note(&p); err != nil {
			return err
		}
	}
	c.acks = frame.AppendAck(c.acks, p.Uniq, "127.0.0.1", 0, "", p.Attr)
	return nil
}

// lateWriter writes everything a time after it was handed over: the delay, and at most lateGroup more. What is due
// by then goes out together; waking up for each ack would cost the sender's cores more than the acks.
type lateWriter struct {
	nc    net.Conn
	delay time.Duration
	queue chan lateWrite
	ended chan struct{}
}

const lateGroup = time.Millisecond

type lateWrite struct {
	due  time.Time
	acks []byte
}

func newLateWriter(nc net.Conn, delay time.Duration) *lateWriter {
	w := &lateWriter{nc: nc, delay: delay, queue: make(chan lateWrite, 4096), ended: make(chan struct{})}
	go w.loop()
	return w
}

// write hands over a copy. A full queue makes the sender wait, as a proxy's would.
func (w *lateWriter) write(acks []byte) error {
	w.queue <- lateWrite{time.Now().Add(w.delay), append([]byte(nil), acks...)}
	return nil
}

// close writes out what is left and waits for it.
func (w *lateWriter) close() {
	close(w.queue)
	<-w.ended
}

func (w *lateWriter) loop() {
	defer close(w.ended)
	var together []byte
	var err error // the reader hears of it too; here the queue is only emptied from then on
	for next, ok := <-w.queue; ok; next, ok = <-w.queue {
		for more := true; more; {
			if err == nil {
				<-time.After(time.Until(next.due) + lateGroup)
			}
			together = together[:0]
			for now := time.Now(); more && (err != nil || !next.due.After(now)); {
				together = append(together, next.acks...)
				select {
				case next, more = <-w.queue:
				default:
					more = false
				}
			}
			if err == nil {
				_, err = w.nc.Write(together)
			}
		}
	}
}
