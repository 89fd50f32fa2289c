package sdk

import (
	"time"

	"inlong-bridge/sdk/finality"
)

// decide carries out what the state machine decided, until it has nothing more to say. Under mu.
func (s *Sender) decide(now time.Duration) {
	for {
		s.decisions = s.m.Decisions(s.decisions[:0])
		if len(s.decisions) == 0 {
			return
		}
		for i := range s.decisions {
			s.carryOut(&s.decisions[i], now)
		}
	}
}

func (s *Sender) carryOut(d *finality.Decision, now time.Duration) {
	switch d.Kind {
	case finality.Resend, finality.Final, finality.Lost:
		p := s.packs[uint64(d.Pack)]
		if p == nil {
			return // given up by Close
		}
		switch d.Kind {
		case finality.Resend:
			s.sendAgain(p, d.Suspect, d.Reason, now)
		case finality.Final:
			if p.state == packSplit {
				s.partsSeen(p, now)
			} else {
				s.final(p, now)
			}
		default:
			s.lose(p, d.Reason, now)
		}
	case finality.Close:
		if c := s.conns[d.Incarnation]; c != nil {
			c.byUs = true
			s.end(c, d.Reason)
		}
	case finality.Heartbeat:
		if c := s.conns[d.Incarnation]; c != nil {
			c.beat = true
			c.signal()
		}
	case finality.Barrier:
		s.beginBarrier(now)
	}
}

// sendAgain puts a pack back whose connection ended before it answered. Its bytes and its name stay.
func (s *Sender) sendAgain(p *pack, suspect bool, why string, now time.Duration) {
	if p.taken {
		p.maybe = true
	}
	taken := p.taken
	s.unhand(p)
	s.setState(p, packWaiting)
	if taken && s.tryFailed(p, p.endpoint.failure(why)) {
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
		if p.killed.died(p.conn); s.isolate(p) {
			return
		}
	}
	s.enqueue(p)
}

// final: whatever its state was, the pack is safe.
func (s *Sender) final(p *pack, now time.Duration) {
	st := p.st
	st.counts.final++
	st.meter.recordsFinal += uint64(p.count)
	st.meter.total.note(now-p.opened, p.count)
	s.tellPack(s.o.hooks.PackFinal, p, now, nil)
	again := p.state == packLost
	switch p.state {
	case packInFlight:
		if p.maybe {
			st.counts.duplicated++ // an earlier copy arrived, and this one goes out
		}
		p.conn.unclear = true // its answer is still to come
		s.unhand(p)
	case packAcked:
		p.conn.acked--
		s.wake(st) // its share of the window is free
	case packLost:
		st.counts.duplicated++ // it was read and sent anew already
	case packOpen, packWaiting, packSplit, packDone, packStates:
	}
	s.done(p, event{result: Result{Outcome: Final, Endpoint: p.endpoint.addr}, again: again})
}

// lose: the proxy acked the pack, and its bytes are gone with it. The pack stays known as long as news
// of it matters to anybody.
func (s *Sender) lose(p *pack, why string, now time.Duration) {
	p.st.counts.lost++
	p.st.meter.recordsLost += uint64(p.count)
	p.endpoint.counts.lost++
	p.endpoint.counts.recordsLost += uint64(p.count)
	s.tellPack(s.o.hooks.PackLost, p, now, nil)
	p.conn.acked--
	s.wake(p.st)
	s.setState(p, packLost)
	s.o.logger.Debug("pack lost", "stream", p.st.text, "endpoint", p.endpoint.addr, "records", p.count, "reason", why)
	told := p.pieces
	if p.tokens == 0 {
		s.m.Forget(finality.Pack(p.seq))
		s.done(p, event{result: Result{Outcome: Lost, Endpoint: p.endpoint.addr}})
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

// askForgotten lets the notifier ask the tokens of some lost packs whether news of them still matters.
// Under mu.
func (s *Sender) askForgotten(now time.Duration) {
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
			s.setState(p, packDone)
			delete(s.packs, p.seq)
			p.pieces = nil
			s.partEnded(p)
		default:
			s.lostPacks = append(s.lostPacks, p)
		}
	}
	s.asking = false
	s.mu.Unlock()
}
