package dptest

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"

	"inlong-bridge/sdk/frame"
	"inlong-bridge/sdk/signal"
)

// serverConn is the proxy's end of a connection. One goroutine reads frames and decides in order, a
// second writes the answers in that order, each when it is due.
type serverConn struct {
	proc *process
	conn net.Conn
	br   *bufio.Reader
	buf  []byte // the frame being handled
	deaf bool   // the client did not read its answers; of the reader alone

	gone    chan struct{} // closed when no answer needs to be written any more
	woken   signal.Poke   // the queue has something new
	drained signal.Poke   // backlog became smaller

	mu      sync.Mutex
	queue   []answer
	backlog int // bytes of answers that are due and not written
}

func newServerConn(proc *process, conn net.Conn) *serverConn {
	return &serverConn{
		proc:    proc,
		conn:    conn,
		br:      bufio.NewReaderSize(conn, 64<<10),
		gone:    make(chan struct{}),
		woken:   signal.NewPoke(),
		drained: signal.NewPoke(),
	}
}

// reset makes both directions fail at once.
func (c *serverConn) reset() {
	if l, ok := c.conn.(interface{ SetLinger(sec int) error }); ok {
		_ = l.SetLinger(0)
	}
	_ = c.conn.Close()
}

func (c *serverConn) serve() {
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		c.answerLoop()
	}()
	if !c.readLoop() {
		close(c.gone)
	}
	<-answered
	_ = c.conn.Close()

	p := c.proc.p
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(c.proc.conns, c)
	p.changed.Wake()
}

// readLoop returns true if the answers so far must still be written before the connection ends.
func (c *serverConn) readLoop() (flush bool) {
	for {
		_ = c.conn.SetReadDeadline(time.Now().Add(c.proc.p.opts.idleTimeout))
		b, v := c.next()
		if !c.proc.pass(c.proc.connHeld) {
			return false
		}
		if v.ok() && b == nil { // the other side closed the connection, or was idle
			return false
		}
		if v.ok() {
			v = c.handle(b)
		}
		if c.deaf {
			return false
		}
		switch v.close {
		case "":
		case endQuietly:
			return false
		case endBehindAnswer:
			return true
		default:
			p := c.proc.p
			p.mu.Lock()
			p.stats.Poisoned++
			p.stats.LastPoison = v.close
			p.changed.Wake()
			p.mu.Unlock()
			c.push(answer{last: true})
			return true
		}
	}
}

// Reasons to close a connection that are not the client's fault.
const (
	endQuietly      = "the process ended"
	endBehindAnswer = "closed in the middle of an ack"
)

// next reads one whole frame, length field included. It returns neither a frame nor an outcome at the end of the stream.
func (c *serverConn) next() ([]byte, outcome) {
	var head [4]byte
	if _, err := io.ReadFull(c.br, head[:]); err != nil {
		return nil, outcome{}
	}
	total := int64(int32(binary.BigEndian.Uint32(head[:])))
	if total <= 0 {
		return nil, closing("length field says %d", total)
	}
	if total+4 > int64(c.proc.p.opts.maxFrame) {
		return nil, closing("frame of %d bytes; at most %d are accepted", total+4, c.proc.p.opts.maxFrame)
	}
	n := int(total) + 4
	if cap(c.buf) < n {
		c.buf = make([]byte, n)
	}
	c.buf = c.buf[:n]
	copy(c.buf, head[:])
	if _, err := io.ReadFull(c.br, c.buf[4:]); err != nil {
		return nil, outcome{}
	}
	return c.buf, outcome{}
}

// handle answers one frame. The outcome matters only if it closes the connection.
func (c *serverConn) handle(b []byte) outcome {
	switch typ := b[4] & 0x1f; typ {
	case frame.TypeHeartbeat:
		c.countHeartbeat()
		c.push(answer{bytes: frame.AppendHeartbeat(nil)})
		return outcome{}
	case frame.TypeBinHeartbeat:
		out, ok := answerHeartbeat(nil, b, uint32(time.Now().Unix()))
		if !ok {
			return closing("malformed heartbeat")
		}
		c.countHeartbeat()
		c.push(answer{bytes: out})
		return outcome{}
	case frame.TypePack:
		return c.handlePack(b, describe)
	case frame.TypeCommon, frame.TypeAckService, frame.TypeOriginalReturn, frame.TypeMultiBody, frame.TypeMultiBodyAttr:
		return c.handlePack(b, describeText)
	default:
		return closing("message type %d", typ)
	}
}

func (c *serverConn) countHeartbeat() {
	p := c.proc.p
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Heartbeats++
	p.changed.Wake()
}

// handlePack makes the server's checks in the server's order, stores the pack, and answers.
func (c *serverConn) handlePack(b []byte, describe func([]byte) (request, outcome)) outcome {
	p := c.proc.p
	received := time.Now()
	p.mu.Lock()
	zombie := p.faults.zombie
	p.mu.Unlock()
	if zombie {
		return outcome{}
	}
	r, v := describe(b)
	if v.ok() {
		v = p.admit(&r)
	}
	if !v.ok() {
		return c.refuse(&r, v)
	}
	value, v := r.wrap(received.UnixMilli())
	if !v.ok() {
		return v
	}
	h := &held{group: r.group, stream: r.stream, value: value, records: r.records, received: received, srcIP: hostOf(c.conn.RemoteAddr())}

	p.mu.Lock()
	dropped := p.faults.dropped[r.group+"."+r.stream]
	switch {
	case c.proc.dead:
		p.mu.Unlock()
		return outcome{close: endQuietly}
	case p.faults.zombie:
		p.mu.Unlock()
		return outcome{}
	case !dropped && c.proc.inMemory >= p.opts.memory:
		p.mu.Unlock()
		return c.refuse(&r, refusing(114))
	case dropped:
		p.stats.Dropped++
	default:
		c.proc.store(h)
	}
	p.stats.Packs++
	p.stats.Records += uint64(r.records)
	how := p.ackFaults()
	p.changed.Wake()
	p.mu.Unlock()

	if p.opts.onPack != nil {
		info := PackInfo{
			Group: r.group, Stream: r.stream, Records: r.records,
			Pack: r.pack, Value: value, Received: received, From: c.conn.RemoteAddr().String(),
		}
		if r.typ != frame.TypePack {
			info.Text = &r.text
		}
		p.opts.onPack(info)
	}
	if !r.reply || r.sinkAck || how.swallow {
		return outcome{}
	}
	if how.wrongUniq {
		r.misname()
	}
	a := answer{bytes: r.answer(p.ip, 0, ""), data: true, acked: !how.wrongUniq}
	if how.delay > 0 {
		a.due = received.Add(how.delay)
	}
	switch {
	case how.closeMidAck:
		a.bytes, a.acked, a.last = a.bytes[:len(a.bytes)/2], false, true
		c.push(a)
		return outcome{close: endBehindAnswer}
	case how.outOfOrder:
		a.late = true
		if a.due.IsZero() {
			a.due = received
		}
		a.due = a.due.Add(overtakeLimit)
	}
	c.push(a)
	if how.twice {
		a.acked, a.late = false, false
		c.push(a)
	}
	return outcome{}
}

// refuse answers with an error, or closes the connection.
func (c *serverConn) refuse(r *request, v outcome) outcome {
	if v.close != "" {
		return v
	}
	p := c.proc.p
	p.mu.Lock()
	p.stats.Errors[v.code]++
	delay := p.faults.ackDelay
	p.changed.Wake()
	p.mu.Unlock()
	if !r.reply {
		return outcome{}
	}
	r.early = r.early || foundEarly(v.code)
	a := answer{bytes: r.answer(p.ip, v.code, v.message), data: true}
	if delay > 0 {
		a.due = time.Now().Add(delay)
	}
	c.push(a)
	return outcome{}
}

// foundEarly reports whether the server finds the error before it reads the attributes, so that it cannot echo them.
func foundEarly(code int) bool {
	switch code {
	case 94, 95, 104, 105, 106, 107:
		return true
	}
	return false
}

// admit makes the checks that come after those of the frame and before wrapping: 2, 1, 112, 3, 100, 115, then the codes
// of Code.
func (p *Proxy) admit(r *request) outcome {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.faults.stopped {
		return refusing(2)
	}
	if p.faults.unready {
		return refusing(1)
	}
	if v := r.identify(); !v.ok() {
		return v
	}
	known := p.opts.streams[r.group] || r.stream != "" && (p.opts.streams == nil || p.opts.streams[r.group+"."+r.stream])
	if !known || p.faults.denied[r.group+"."+r.stream] {
		return noTopic(r.group, r.stream)
	}
	asked := Asked{r.group, r.stream, r.attrs[frame.AttrMid], &r.pack}
	code := p.faults.badIn(asked)
	if f := p.opts.answer; f != nil && code == 0 {
		code = f(asked)
	}
	switch code {
	case 0:
	case CloseConnection:
		return closing("a pack at which it was told to")
	default:
		return refusing(code)
	}
	for _, c := range p.faults.codes {
		if p.chance(c.share) {
			if c.code == 115 {
				return noTopic(r.group, r.stream)
			}
			return refusing(c.code)
		}
	}
	return outcome{}
}

// ackManner says how one pack is answered.
type ackManner struct {
	swallow, closeMidAck, twice, wrongUniq, outOfOrder bool
	delay                                              time.Duration
}

// ackFaults decides how the next stored pack is answered. The caller holds mu.
func (p *Proxy) ackFaults() ackManner {
	f := &p.faults
	m := ackManner{delay: f.ackDelay}
	if f.swallow > 0 {
		f.swallow--
		m.swallow = true
		return m
	}
	m.closeMidAck = p.chance(f.closeMidAck)
	m.twice = p.chance(f.duplicateAcks)
	m.wrongUniq = p.chance(f.wrongUniq)
	m.outOfOrder = p.chance(f.outOfOrder)
	return m
}

func hostOf(a net.Addr) string {
	host, _, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return host
}
