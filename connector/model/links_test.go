package model

import (
	"errors"
	"fmt"
	"slices"

	"inlong-bridge/sdk/engine"
)

// The network between a bridge and the proxies: it dials, writes and reads as fast as it likes, and tells the engine.

// conn is one connection as both ends see it.
type conn struct {
	engine.Conn
	proxy   *proxy
	s       *sender
	out     []*pack   // handed to the writer
	writing *writing  // what it is about
	beat    bool      // it writes a heartbeat next
	up      []upFrame // to the proxy
	down    []reply   // to the bridge
	endedAt int       // the proxy's side ended at this tick, 0 while it lives
	left    bool      // the bridge closed its side, at this tick
	leftAt  int
}

type writing struct {
	p  *pack
	at int // whole after this tick
}

func (c *conn) send(w *world, f upFrame) {
	if c.endedAt == 0 {
		c.up = append(c.up, f)
	}
}

type endpoint struct {
	engine.Endpoint
	proxy    *proxy
	dial     bool
	next     int  // no dial before this tick
	unproven bool // the last connection ended before anything was answered
	again    bool
}

func (s *sender) connect(ep *endpoint) {
	w := s.m.w
	if !ep.dial || ep.next > w.now || len(ep.Conns()) >= w.knobs.conns || s.m.r.IntN(3) > 0 {
		return
	}
	s.fed()
	first := len(ep.Conns()) == 0
	if !ep.proxy.up {
		ep.next = w.now + 5 + s.m.r.IntN(10)
		s.e.DialFailed(&ep.Endpoint, errors.New("connection refused"), first, s.now())
		return
	}
	c := &conn{proxy: ep.proxy, s: s}
	c.Ref = int32(len(s.connRefs))
	s.connRefs, s.conns = append(s.connRefs, c), append(s.conns, c)
	ep.proxy.conns = append(ep.proxy.conns, c)
	if ep.unproven {
		w.happened(connUnproven)
	}
	s.e.Opened(&c.Conn, &ep.Endpoint, ep.unproven, ep.again, first, s.now())
	ep.again = true
}

// write lets the writer of a connection work: a frame may take longer than a tick, and a proxy that stands still
// leaves the socket full.
func (s *sender) write(c *conn) {
	w := s.m.w
	if c.left {
		return
	}
	if c.beat {
		c.beat = false
		s.e.Beat(&c.Conn, s.now())
		s.fed()
		c.send(w, upFrame{at: w.now})
	}
	for n := 8 + s.m.r.IntN(16); n > 0 && len(c.up) < 12; n-- {
		if c.writing != nil {
			if c.writing.at > w.now {
				return
			}
			s.e.Wrote(&c.Conn, &c.writing.p.Pack)
			s.fed()
			c.writing = nil
		}
		if len(c.out) == 0 {
			return
		}
		p := c.out[0]
		c.out = c.out[1:]
		s.fed()
		if !s.e.Take(&c.Conn, &p.Pack, s.now()) {
			w.happened(packNotTaken)
			continue
		}
		of := s.wrote(c, p)
		at := w.now + s.m.r.IntN(12)/11
		c.writing = &writing{p, at}
		c.send(w, upFrame{of, at})
	}
}

// read takes answers and the end of a connection, each with its time.
func (s *sender) read(c *conn) {
	w := s.m.w
	for len(c.down) > 0 && c.down[0].at < w.now && !c.left {
		r := c.down[0]
		c.down = c.down[1:]
		s.fed()
		s.e.Heard(&c.Conn, s.now())
		p := c.Find(uint32(r.pack))
		switch {
		case r.heartbeat:
			s.e.BeatAnswered(&c.Conn, s.now())
		case p == nil:
			w.happened(answerUnknown)
			s.e.UnknownAnswer(&c.Conn, false)
		case r.code != 0:
			if of := s.copies[p.Ref]; of != nil {
				of.refused, of.p.alone = true, false
			}
			s.e.Refused(p, r.code, false, errors.New("error code"), s.now())
		default:
			if of := s.copies[p.Ref]; of != nil {
				of.heard, of.p.alone = true, false
			}
			s.e.Acked(p, s.now())
		}
		s.progress()
	}
	if c.endedAt > 0 && len(c.down) == 0 && w.now > c.endedAt || c.left && c.leftAt < w.now {
		s.ended(c)
	}
}

func (s *sender) ended(c *conn) {
	w := s.m.w
	s.conns = slices.DeleteFunc(s.conns, func(x *conn) bool { return x == c })
	c.leave(w)
	s.fed()
	unanswered := s.unanswered(c)
	end := s.e.Ended(&c.Conn, errors.New("closed by the proxy"), s.now())
	for i, of := range unanswered {
		of.p.alone = i == 0 && end.Answered && !of.p.held
	}
	for _, p := range c.out { // nothing of them went out
		p.alone = false
	}
	ep := s.endpoints[c.Endpoint().Ref]
	if ep.unproven = !end.Answered; !end.Useful {
		ep.next = w.now + 5 + s.m.r.IntN(10)
	}
	s.progress()
}

// wrote notes a copy of a pack on its way.
func (s *sender) wrote(c *conn, p *pack) *sent {
	s.written++
	of := &sent{packName: packName{s.m.instance, p.Seq()}, m: s.m, p: p, route: p.route, records: p.records, conn: c, at: s.m.w.now, order: s.written}
	owes := s.owes(c)
	s.copies[p.Ref], s.bySeq[p.Seq()] = of, p
	s.checkAlone(of)
	s.checkOneStream(of)
	for whole := p.whole; whole != nil; whole = whole.whole {
		if whole.wasSeen {
			panic(breach{fmt.Sprintf("pack %d is sent, a part of pack %d, which was seen", p.Seq(), whole.Seq())})
		}
	}
	if c.proxy.faults > 0 || c.proxy.shadowed > s.m.w.now || owes {
		s.m.w.charge(of)
	}
	return of
}

// unanswered returns the copies that were written to a connection and not answered, the oldest first.
func (s *sender) unanswered(c *conn) (out []*sent) {
	for _, of := range s.copies {
		if of.conn == c && !of.heard && !of.refused {
			out = append(out, of)
		}
	}
	slices.SortFunc(out, func(a, b *sent) int { return a.order - b.order })
	return out
}

// owes reports whether the proxy owes c an answer since the time of a fault that has ended. Found in settle: 1. a proxy
// stands still and a pack waits for its answer; 2. it goes on one tick before ack_timeout is over, takes in all it was
// sent, and its answers are on their way; 3. in this tick more packs are written to the connection, which the proxy
// stores; 4. ack_timeout ends the connection before the answers are there, and the packs of step 3 are sent again. The
// fault caused those copies too, though it had ended when they were written.
func (s *sender) owes(c *conn) bool {
	for _, of := range s.copies {
		if of.conn == c && !of.heard && of.at <= c.proxy.faultEnded {
			return true
		}
	}
	return false
}
