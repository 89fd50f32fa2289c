package sdk

import (
	"time"

	"inlong-bridge/sdk/finality"
)

// decideLocked carries out what the state machine decided, until it has nothing more to say. Under mu.
func (s *Sender) decideLocked(now time.Duration) {
	for {
		s.decisions = s.m.Decisions(s.decisions[:0])
		if len(s.decisions) == 0 {
			return
		}
		for i := range s.decisions {
			s.carryOutLocked(&s.decisions[i], now)
		}
	}
}

func (s *Sender) carryOutLocked(d *finality.Decision, now time.Duration) {
	switch d.Kind {
	case finality.Resend, finality.Final, finality.Lost:
		p := s.packs[uint64(d.Pack)]
		if p == nil {
			return // given up by Close
		}
		switch d.Kind {
		case finality.Resend:
			s.sendAgainLocked(p, d.Oldest, d.Reason, now)
		case finality.Final:
			if p.state == packSplit {
				s.partsSeenLocked(p, now)
			} else {
				s.finalLocked(p, now)
			}
		default:
			s.loseLocked(p, d.Reason, now)
		}
	case finality.Close:
		if c := s.conns[d.ConnEpoch]; c != nil {
			c.byUs = true
			s.endLocked(c, d.Reason)
		}
	case finality.Heartbeat:
		if c := s.conns[d.ConnEpoch]; c != nil {
			c.beat = true
			c.signal()
		}
	case finality.Barrier:
		s.beginBarrierLocked(now)
	}
}

// sendAgainLocked puts a pack back whose connection ended before it answered. Its bytes and its name stay.
func (s *Sender) sendAgainLocked(p *pack, suspect bool, why string, now time.Duration) {
	if p.taken {
		p.maybe = true
	}
	taken := p.taken
	s.unhandLocked(p)
	s.setStateLocked(p, packWaiting)
	if p.trying() {
		s.heldEndedLocked(p, taken && p.conn.answers, now)
		return
	}
	if taken && !p.conn.answers {
		// 1. a load balancer without proxies accepts a connection  2. it gets packs  3. it closes the connection
		// That says nothing about the packs. On the next connection there a heartbeat is answered before.
		s.enqueueLocked(p)
		return
	}
	if taken && s.tryFailedLocked(p, p.endpoint.failureLocked(why)) {
		return
	}
	// 1. a pack makes every proxy close the connection  2. all that is in flight goes down with it
	// So the oldest unanswered pack is suspected: it travels alone, and if that ends a connection again,
	// it waits longer each time, while the others go on.
	alone := p.suspect && taken
	p.suspect = suspect && taken
	if p.suspect {
		if p.deaths++; p.deaths > 1 {
			p.notBefore = now + s.o.backoff().pause(p.deaths-2)
			s.o.logger.Warn("connections end while the same pack is unanswered", "stream", p.st.text,
				"endpoint", p.endpoint.addr, "times", p.deaths, "records", p.count, "bytes", p.wire)
		}
	}
	if alone {
		if p.killed.diedLocked(p.conn); s.isolateLocked(p) {
			return
		}
	}
	s.enqueueLocked(p)
}

// heldEndedLocked: the connection ended on which a held pack was tried alone. One that ends connections is no longer held,
// but isolated: see split.go. Under mu.
func (s *Sender) heldEndedLocked(p *pack, taken bool, now time.Duration) {
	if taken {
		p.killed.diedLocked(p.conn)
	}
	if len(p.killed.proxies) < 2 {
		s.triedLocked(p, p.endpoint, now)
		return
	}
	s.releaseHeldLocked(p)
	if !s.isolateLocked(p) {
		s.enqueueLocked(p)
	}
}

// finalLocked: whatever its state was, the pack is safe.
func (s *Sender) finalLocked(p *pack, now time.Duration) {
	st := p.st
	st.counts.final++
	st.meter.recordsFinal += uint64(p.count)
	st.meter.total.note(now-p.opened, p.count)
	s.tellPackLocked(s.o.hooks.PackFinal, p, now, nil)
	again := p.state == packLost
	if p.state == packHeld {
		s.unlistHeldLocked(p)
	}
	s.releaseHeldLocked(p)
	switch p.state {
	case packInFlight:
		if p.maybe {
			st.counts.duplicated++ // an earlier copy arrived, and this one goes out
		}
		p.conn.unclear = true // its answer is still to come
		s.unhandLocked(p)
	case packAcked:
		p.conn.acked--
		s.wakeLocked(st) // its share of the window is free
	case packLost:
		st.counts.duplicated++ // it was read and sent anew already
		s.lossEndedLocked(p, true, now)
	case packOpen, packWaiting, packHeld, packSplit, packDone, packStates:
	}
	s.doneLocked(p, event{result: Result{Outcome: Final, Endpoint: p.endpoint.addr}, again: again})
}

// loseLocked: the proxy acked the pack, and its bytes are gone with it. The pack stays known as long as news
// of it matters to anybody.
func (s *Sender) loseLocked(p *pack, why string, now time.Duration) {
	p.st.counts.lost++
	p.st.meter.recordsLost += uint64(p.count)
	p.endpoint.counts.lost++
	p.endpoint.counts.recordsLost += uint64(p.count)
	s.tellPackLocked(s.o.hooks.PackLost, p, now, nil)
	p.conn.acked--
	s.wakeLocked(p.st)
	s.setStateLocked(p, packLost)
	s.lostLocked(p, why, now)
	s.o.logger.Debug("pack lost", "stream", p.st.text, "endpoint", p.endpoint.addr, "records", p.count, "reason", why)
	told := p.pieces
	if p.tokens == 0 {
		s.m.Forget(finality.Pack(p.seq))
		s.doneLocked(p, event{result: Result{Outcome: Lost, Endpoint: p.endpoint.addr}})
		return
	}
	if p.tokens < len(told) {
		p.pieces = make([]piece, 0, p.tokens)
		for _, pc := range told {
			if _, single := pc.token.(callback); !single {
				p.pieces = append(p.pieces, pc)
			}
		}
	}
	s.notify.post(event{pieces: told, result: Result{Outcome: Lost, Endpoint: p.endpoint.addr}})
	s.lostPacks = append(s.lostPacks, p)
}

// Lost packs are asked about once in a while, so many at a time.
const (
	forgetEvery = time.Second
	forgetBatch = 256
)

// askForgottenLocked lets the notifier ask the tokens of some lost packs whether news of them still matters.
// Under mu.
func (s *Sender) askForgottenLocked(now time.Duration) {
	if len(s.lostPacks) == 0 || s.asking || now < s.nextAsk {
		return
	}
	s.asking, s.nextAsk = true, now+forgetEvery
	n := min(len(s.lostPacks), forgetBatch)
	asked := make([]*pack, 0, n)
	lists := make([][]piece, 0, n)
	for _, p := range s.lostPacks[:n] {
		if p.state == packLost {
			asked = append(asked, p)
			lists = append(lists, p.pieces)
		}
	}
	s.lostPacks = s.lostPacks[n:]
	s.notify.post(event{ask: func() { s.forget(asked, lists) }})
}

// forget runs on the notifier's goroutine.
func (s *Sender) forget(asked []*pack, lists [][]piece) {
	gone := make([]bool, len(asked))
	for i, pieces := range lists {
		gone[i] = s.notify.forgotten(pieces)
	}
	s.mu.Lock()
	for i, p := range asked {
		switch {
		case p.state != packLost: // seen meanwhile
		case gone[i]:
			s.m.Forget(finality.Pack(p.seq))
			s.setStateLocked(p, packDone)
			s.unregisterLocked(p)
			p.pieces = nil
			s.lossEndedLocked(p, false, s.now())
			s.partEndedLocked(p)
		default:
			s.lostPacks = append(s.lostPacks, p)
		}
	}
	s.asking = false
	s.mu.Unlock()
}
