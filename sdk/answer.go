package sdk

import (
	"strconv"
	"time"

	"inlong-bridge/sdk/finality"
	"inlong-bridge/sdk/frame"
)

// answered deals with one ack. It means something only for a pack that is in flight on this very
// connection and of which the writer took at least the first byte.
func (c *conn) answered(ack *frame.Ack) {
	s := c.s
	s.mu.Lock()
	s.heardLocked(c)
	p := c.table[ack.Uniq]
	if p == nil || !p.taken {
		c.ep.counts.unknownAcks++
		s.mu.Unlock()
		return
	}
	now := s.now()
	if ack.Code == 0 {
		s.acceptedLocked(c, p, now)
	} else {
		s.rejectedLocked(c, p, ack.Code, string(ack.MessageWithout(requestAttr(p.frame))), false, now)
	}
	todo := s.progressLocked()
	s.mu.Unlock()
	todo.perform()
}

// acceptedLocked: the proxy holds the pack; its bytes are not needed any more. Under mu.
func (s *Sender) acceptedLocked(c *conn, p *pack, now time.Duration) {
	ep, st := c.ep, p.st
	if pauses := ep.hold.pauses; ep.tookLocked(p, now, s.o.finality.Timely, s.o.backoff()) {
		s.o.logger.Info("proxy takes packs again", "endpoint", ep.addr, "pauses", pauses)
	}
	switch h := st.holds[ep]; {
	case h == nil:
	case h.trial == p.seq:
		s.o.logger.Info("proxy takes the stream again", "endpoint", ep.addr, "stream", st.text, "pauses", h.pauses)
		st.knownLocked(ep, now, s.o.backoff())
	case h.pauses == 0 && p.sentAt >= h.struck:
		st.endHoldLocked(ep)
	}
	s.unhandLocked(p)
	s.setStateLocked(p, packAcked)
	p.suspect, p.deaths = false, 0
	c.acked++
	c.useful = true
	ep.counts.acked++
	st.counts.acked++
	st.meter.wire.note(now-p.wroteAt, p.count)
	s.tellPackLocked(s.o.hooks.PackAcked, p, now, nil)
	s.unloadLocked(p)
	if p.trying() {
		s.takenLocked(p, now)
	}
	p.refusals = nil
	s.tellTokensLocked(p, Result{Outcome: Acked, Endpoint: ep.addr})
	s.m.Acked(finality.Pack(p.seq), c.epoch, now)
}

// rejectedLocked: the proxy answered with an error code; early says that it had not understood enough to name the
// pack. Under mu.
func (s *Sender) rejectedLocked(c *conn, p *pack, code int, message string, early bool, now time.Duration) {
	ep, st := c.ep, p.st
	ep.countCodeLocked(code)
	s.m.Refused(finality.Pack(p.seq), c.epoch, code == 114, now)
	v := verdictOf(code)
	if early && v.class == refusedForGood {
		v.class = onceMore // a text pack has no magic: this is how damaged bytes show
	}
	err := &AckError{Code: code, Endpoint: ep.addr, Group: st.group, Stream: st.name, Message: message}
	ep.noteLocked(err.Error())
	sentAt, again := p.sentAt, p.damaged
	s.unhandLocked(p)
	s.setStateLocked(p, packWaiting)
	p.suspect, p.killed = false, killings{}
	switch v.class {
	case accepted, elsewhere:
		if !ep.less {
			s.o.logger.Warn("proxy refuses packs", "endpoint", ep.addr, "err", err)
		}
		ep.refusedLocked(p.seq, sentAt, now, err.reason(), s.o.backoff())
	case later, unknownStream:
		h := st.holds[ep]
		if h == nil {
			h = new(hold)
			st.setHoldLocked(ep, h)
		}
		if h.pauses == 0 {
			s.o.logger.Warn("proxy refuses a stream's packs", "endpoint", ep.addr, "stream", st.text, "err", err)
		}
		if h.code = StreamRefused; v.class == unknownStream {
			h.code = StreamUnknown
		}
		h.refuse(p.seq, sentAt, now, err.reason(), s.streamBackoffLocked(st, v.class))
	case onceMore:
		// The bytes on this connection are not what they were. It finishes what it has, and the pack
		// goes out once more, alone, on another one.
		p.damaged, p.avoid, p.suspect = true, c.epoch, true
		if s.drainLocked(c); c.drainBy == 0 {
			c.drainBy = now + drainGrace
		}
	case refusedForGood:
	}
	switch {
	case p.trying():
		s.triedLocked(p, ep, now)
	case v.class == onceMore || v.class == refusedForGood:
		switch believed := s.refusedByLocked(p, ep, err); {
		case believed && (again || v.class == refusedForGood):
			s.refusedForGoodLocked(p, now)
		case s.tryFailedLocked(p, err):
		default:
			if v.class == refusedForGood {
				s.strikeLocked(p, ep, sentAt, now, err.reason())
			}
			s.bounceLocked(p, now)
		}
	case !s.tryFailedLocked(p, err):
		s.enqueueLocked(p)
	}
}

// reason is the error in short, for a status that names the endpoint already.
func (e *AckError) reason() string {
	text := "errCode " + strconv.Itoa(e.Code)
	v := verdictOf(e.Code)
	if v.name != "" {
		text += " (" + v.name + ")"
	}
	if v.hint != "" {
		text += ": " + v.hint
	}
	return text
}

// requestAttr returns the attributes of one of our own frames.
func requestAttr(f []byte) []byte {
	p, err := frame.DecodePack(f)
	if err != nil {
		return nil
	}
	return p.Attr
}

// refuseLocked gives a waiting pack up for good. Under mu.
func (s *Sender) refuseLocked(p *pack, r Result) {
	s.releaseHeldLocked(p)
	s.m.Drop(finality.Pack(p.seq), s.now())
	p.st.counts.refused++
	p.st.meter.recordsRefused += uint64(p.count)
	s.tellPackLocked(s.o.hooks.PackRefused, p, s.now(), r.Err)
	s.o.logger.Error("pack refused for good", "stream", p.st.text, "endpoint", r.Endpoint, "records", p.count, "err", r.Err)
	s.doneLocked(p, event{result: r})
}

// doneLocked ends a pack that nothing more will be heard of, and tells its pieces. Under mu.
func (s *Sender) doneLocked(p *pack, e event) {
	s.unlistHeldLocked(p)
	p.unreserveLocked() // it may be seen while it waits for its connection to be empty
	s.setStateLocked(p, packDone)
	s.ranAheadLocked(p)
	s.unloadLocked(p)
	s.unregisterLocked(p)
	s.partEndedLocked(p)
	if p.renaming {
		p.ended = e
		return
	}
	s.tellEndLocked(p, e)
}

// tellEndLocked tells the pieces of a pack that is done. Under mu.
func (s *Sender) tellEndLocked(p *pack, e event) {
	if len(p.pieces) > 0 {
		e.pieces, e.last = p.pieces, true
		s.notify.post(e)
	} else {
		s.putPieces(p.pieces)
	}
	p.pieces = nil
}

// unloadLocked gives the bytes of a pack back: to the budget at once, to the pool when no writer holds them. Under mu.
func (s *Sender) unloadLocked(p *pack) {
	if !p.released { // once: later its uniq may be another pack's
		p.released = true
		s.refundLocked(p, 0)
		delete(s.uniqs, uint32(p.seq))
	}
	s.releaseLocked(p)
}

// releaseLocked frees the frame once it is not needed and nobody reads it. Under mu.
func (s *Sender) releaseLocked(p *pack) {
	if p.released && p.writers == 0 && p.frame != nil {
		s.bufs.Put(p.frame)
		p.frame = nil
	}
}
