package sdk

import (
	"errors"
	"fmt"
	"time"

	"inlong-bridge/sdk/engine"
	"inlong-bridge/sdk/internal/losses"
)

// afterUnlock is what a change of state leaves to be done. Whoever changed the state does it after letting go of mu,
// because it may take time. The usual value is empty and costs nothing.
type afterUnlock struct {
	closing []*conn       // connections to be closed
	idle    chan struct{} // to be closed: after Close sealed everything, nothing is pending any more

	abandoned, records int // packs without an outcome, and their records
}

// perform does it. No lock is held.
func (a afterUnlock) perform() {
	for _, c := range a.closing {
		c.nc.Close() //nolint:errcheck // its reader reports why the connection ended
	}
	if a.idle != nil {
		close(a.idle)
	}
}

// progressLocked is called at the end of every change under mu. It takes the engine's effects and carries them out, and
// returns what the caller has to perform once it has let go of mu. Carrying out an effect may be a new event, so the
// engine is asked again then. Under mu.
func (s *Sender) progressLocked() (todo afterUnlock) {
	for again := true; again; {
		again = false
		now := s.now()
		effects := s.e.Progress(now)
		for i := range effects {
			again = s.performLocked(&effects[i], now, &todo) || again
		}
	}
	if !s.end.idleTold && s.e.Idle() {
		s.end.idleTold = true
		todo.idle = s.end.idle
	}
	return todo
}

// performLocked carries out one effect, and reports whether that was an event for the engine. All that happens here,
// under mu, does not wait and has to keep the order of effects: signals to writers, news for the notifier, lines of the
// log. What may take time is left to todo. Under mu.
func (s *Sender) performLocked(f *engine.Effect, now time.Duration, todo *afterUnlock) (event bool) {
	switch f.Kind {
	case engine.Send:
		s.sendLocked(s.packs.at(f.Pack.Ref), s.conns.at(f.Conn.Ref), now)
	case engine.Heartbeat:
		c := s.conns.at(f.Conn.Ref)
		c.beat = true
		c.wake.Poke()
	case engine.CloseConn:
		todo.closing = append(todo.closing, s.conns.at(f.Conn.Ref))
	case engine.Connect:
		s.connectLocked(s.proxies.endpointOfLocked(f.Endpoint))
	case engine.Disconnect:
		if leave := s.proxies.endpointOfLocked(f.Endpoint).leave; leave != nil {
			leave()
		}
	case engine.Redial:
		s.proxies.endpointOfLocked(f.Endpoint).redial.Wake()
	case engine.Barrier:
		s.beginBarrierLocked(now)
	case engine.Cut:
		return s.cutLocked(f, now)
	case engine.Judge:
		return s.judgeLocked(f, now)

	case engine.PackAcked:
		s.packAckedLocked(s.packs.at(f.Pack.Ref), now)
	case engine.PackFinal:
		s.packFinalLocked(s.packs.at(f.Pack.Ref), now)
	case engine.PackLost:
		s.packLostLocked(s.packs.at(f.Pack.Ref), f.Reason, now)
	case engine.PackHeld:
		s.tellTokensLocked(s.packs.at(f.Pack.Ref), Result{Outcome: Held, Endpoint: s.proxies.addrOfLocked(f.Endpoint), Err: f.Err})
	case engine.PackReleased:
		s.tellTokensLocked(s.packs.at(f.Pack.Ref), Result{Outcome: Released, Endpoint: s.proxies.addrOfLocked(f.Endpoint)})
	case engine.PackRefused:
		s.packRefusedLocked(s.packs.at(f.Pack.Ref), f, now)
	case engine.PackTakenBack:
		s.packTakenBackLocked(s.packs.at(f.Pack.Ref), f, now)
	case engine.PackAbandoned:
		s.packAbandonedLocked(s.packs.at(f.Pack.Ref), f, now, todo)
	case engine.PackForgotten:
		s.packs.drop(f.Pack.Ref)

	case engine.ConnReady:
		s.warmer.Wake()
		return s.provenLocked(s.conns.at(f.Conn.Ref))
	case engine.ConnEnded:
		s.connEndedLocked(f, now)
	case engine.ConnLost, engine.EndpointFails, engine.EndpointBack, engine.EndpointRefuses, engine.EndpointTakes,
		engine.StreamRefuses, engine.StreamTakes, engine.StreamRejects, engine.PackEndsConns, engine.HoldingBegins, engine.HoldingEnds:
		s.logLocked(f)
	}
	return false
}

// logLocked writes what only the log is told. Under mu.
func (s *Sender) logLocked(f *engine.Effect) {
	log, addr := s.o.logger, s.proxies.addrOfLocked(f.Endpoint)
	switch f.Kind {
	case engine.ConnLost:
		if f.Reason != "" {
			log.Warn("connection to proxy closed", "endpoint", addr, "reason", f.Reason, "in_flight", f.Packs, "acked", f.Acked)
		} else {
			log.Warn("connection to proxy ended", "endpoint", addr, "err", f.Err, "in_flight", f.Packs, "acked", f.Acked)
		}
	case engine.EndpointFails:
		about := []any{"endpoint", addr, "err", f.Reason, "attempts", f.Times, "for", f.For.Round(time.Millisecond).String(), "in_flight", f.Packs}
		switch f.Failure {
		case engine.ClosesAtOnce:
			log.Warn("proxy ends connections before it answers anything", about...)
		case engine.NoAnswer:
			log.Warn("proxy is connected and does not answer", about...)
		case engine.NotConnected, engine.NoFailure:
			log.Warn("connecting to proxy fails", about...)
		}
	case engine.EndpointBack:
		log.Info("connected to proxy again", "endpoint", addr, "attempts", f.Times, "after", f.For.Round(time.Millisecond).String())
	case engine.EndpointRefuses:
		log.Warn("proxy refuses packs", "endpoint", addr, "err", f.Err)
	case engine.EndpointTakes:
		log.Info("proxy takes packs again", "endpoint", addr, "pauses", f.Times)
	case engine.StreamRefuses:
		log.Warn("proxy refuses a stream's packs", "endpoint", addr, "stream", s.streamOfLocked(f.Stream).text, "err", f.Err)
	case engine.StreamTakes:
		log.Info("proxy takes the stream again", "endpoint", addr, "stream", s.streamOfLocked(f.Stream).text, "pauses", f.Times)
	case engine.StreamRejects:
		log.Warn("one proxy rejects a stream's packs permanently", "endpoint", addr, "stream", s.streamOfLocked(f.Stream).text, "reason", f.Reason)
	case engine.PackEndsConns:
		log.Warn("connections end while the same pack is unanswered", "stream", s.streamOfLocked(f.Pack.Stream()).text,
			"endpoint", addr, "times", f.Times, "records", int(f.Pack.Records), "bytes", f.Pack.Wire())
	case engine.HoldingBegins:
		log.Warn("proxies reject packs permanently; they are kept, and one is tried again at growing pauses", "stream", s.streamOfLocked(f.Pack.Stream()).text,
			"endpoint", addr, "records", int(f.Pack.Records), "err", f.Err)
	case engine.HoldingEnds:
		log.Info("a proxy takes a pack that was rejected permanently before; what was held is sent again", "stream", s.streamOfLocked(f.Pack.Stream()).text,
			"endpoint", addr, "packs", f.Packs, "after", f.For.Round(time.Second).String())
	default:
		panic("bug: no line for the effect " + f.Kind.String())
	}
}

// streamOfLocked is the stream that the engine refers to. Under mu.
func (s *Sender) streamOfLocked(st *engine.Stream) *Stream { return s.streamList[st.Ref] }

// sendLocked gives a pack to a connection's writer. Under mu.
func (s *Sender) sendLocked(p *pack, c *conn, now time.Duration) {
	s.handedOverLocked(p, now)
	c.out = append(c.out, p)
	c.wake.Poke()
}

// packAckedLocked: the proxy holds the pack; its bytes are not needed any more. Under mu.
func (s *Sender) packAckedLocked(p *pack, now time.Duration) {
	at, _ := p.life.WroteAt()
	p.st.meter.wire.note(now-at, p.count)
	s.tellPackLocked(s.o.hooks.PackAcked, p, now, nil)
	s.unloadLocked(p)
	s.tellTokensLocked(p, Result{Outcome: Acked, Endpoint: s.proxies.addrOfLocked(p.life.Endpoint())})
}

// packFinalLocked: whatever its state was, the pack is safe. Under mu.
func (s *Sender) packFinalLocked(p *pack, now time.Duration) {
	p.st.meter.total.note(now-p.opened, p.count)
	s.tellPackLocked(s.o.hooks.PackFinal, p, now, nil)
	s.lossEndedLocked(p, true, now)
	s.endLocked(p, event{result: Result{Outcome: Final, Endpoint: s.proxies.addrOfLocked(p.life.Endpoint())}})
}

// noteLossLocked counts a pack that the proxy at addr has lost. Under mu.
func (s *Sender) noteLossLocked(p *pack, addr, why string, now time.Duration) {
	proxy := losses.Proxy{ID: -1, Addr: addr}
	if ep := p.life.Endpoint(); ep != nil {
		proxy.ID = ep.Ref
	}
	waits := len(p.pieces) > 0
	if e := s.losses.Note(proxy, why, p.count, waits, now); waits {
		p.loss = e
	}
}

// lossEndedLocked notes that nothing more is expected of a pack, if it was lost. Under mu.
func (s *Sender) lossEndedLocked(p *pack, seen bool, now time.Duration) {
	if p.loss != nil {
		p.loss.Ended(s.o.logger, seen, now)
		p.loss = nil
	}
}

// packLostLocked: the proxy acked the pack, and its bytes are gone with it. The pack stays known as long as news
// of it matters to anybody. Under mu.
func (s *Sender) packLostLocked(p *pack, why string, now time.Duration) {
	addr := s.proxies.addrOfLocked(p.life.Endpoint())
	s.tellPackLocked(s.o.hooks.PackLost, p, now, nil)
	s.noteLossLocked(p, addr, why, now)
	s.o.logger.Debug("pack lost", "stream", p.st.text, "endpoint", addr, "records", p.count, "reason", why)
	lost := event{result: Result{Outcome: Lost, Endpoint: addr}}
	if !p.life.Followed {
		s.endLocked(p, lost)
		return
	}
	lost.pieces, lost.calls, p.calls = p.pieces, p.calls, nil
	s.notify.post(lost)
	s.forgetting.lost = append(s.forgetting.lost, p)
}

// packRefusedLocked gives a pack up. Under mu.
func (s *Sender) packRefusedLocked(p *pack, f *engine.Effect, now time.Duration) {
	r := s.refusalLocked(p, f)
	s.tellPackLocked(s.o.hooks.PackRefused, p, now, r.Err)
	s.o.logger.Error("pack rejected permanently", "stream", p.st.text, "endpoint", r.Endpoint, "records", p.count, "err", r.Err)
	s.endLocked(p, event{result: r})
}

// refusalLocked is what is told of a pack that is given up, taken back, or asked about. Under mu.
func (s *Sender) refusalLocked(p *pack, f *engine.Effect) Result {
	r := Result{Outcome: Refused, Endpoint: s.proxies.addrOfLocked(p.life.Endpoint()), Err: f.Err, Sends: p.life.Sends()}
	switch f.Cause {
	case engine.ByRetries:
		e := &RetryError{Attempts: f.Times, Last: f.Err, maybe: p.life.MaybeDelivered()}
		if e.Last == nil {
			e.Last = s.proxies.endpointOfLocked(f.Endpoint).failureLocked(f.Reason)
		}
		r.Err = e
	case engine.ByIsolation:
		_, by, _ := p.life.EndedBy()
		e := &PoisonError{Group: p.st.Group(), Stream: p.st.Name(), Records: p.count, Deaths: f.Times, Last: s.proxies.endpointOfLocked(f.Endpoint).lastErr}
		for _, ep := range by {
			e.Endpoints = append(e.Endpoints, s.proxies.addrOfLocked(ep))
		}
		r.Err = e
	case engine.ByEncoder:
		r.Endpoint = ""
	case engine.ByProxies, engine.NoCause:
	}
	return r
}

// packAbandonedLocked tells ErrClosed for a pack without an outcome. Under mu.
func (s *Sender) packAbandonedLocked(p *pack, f *engine.Effect, now time.Duration, todo *afterUnlock) {
	s.freeBuffers(p) // it may wait for the name of a piece
	r := Result{Err: ErrClosed, Endpoint: s.proxies.addrOfLocked(f.Endpoint)}
	if f.Again {
		p.pieces = nil // they have been told
	} else {
		s.tellPackLocked(s.o.hooks.PackGivenUp, p, now, ErrClosed)
		todo.abandoned++
		todo.records += p.count
	}
	if f.Err != nil { // the last word on the pieces of a held pack
		if ack, ok := errors.AsType[*AckError](f.Err); ok {
			r.Endpoint = ack.Endpoint
		}
		r.Outcome, r.Err = Refused, fmt.Errorf("%w before a proxy took the pack: %w", ErrClosed, f.Err)
	}
	s.endLocked(p, event{result: r})
}

// tellTokensLocked tells the tokens of a pack's pieces what does not concern the callbacks of single messages, which have
// one call. Under mu.
func (s *Sender) tellTokensLocked(p *pack, r Result) {
	if len(p.pieces) > 0 {
		s.notify.post(event{pieces: p.pieces, result: r})
	}
}

// endLocked ends a pack that nothing more will be heard of, and tells its pieces. Under mu.
func (s *Sender) endLocked(p *pack, e event) {
	s.packs.drop(p.life.Ref)
	s.ranAheadLocked(p, s.now())
	s.unloadLocked(p)
	if p.naming {
		ended := e // not e: it would be allocated for every pack
		p.ended = &ended
		return
	}
	s.tellEndLocked(p, e)
}

// tellEndLocked tells the pieces and callbacks of a pack that is done. Under mu.
func (s *Sender) tellEndLocked(p *pack, e event) {
	if len(p.pieces)+len(p.calls) > 0 {
		e.pieces, e.calls, e.last = p.pieces, p.calls, true
		s.notify.post(e)
	} else {
		s.pieces.put(p.pieces)
	}
	p.pieces, p.calls = nil, nil
}

// unloadLocked gives the bytes of a pack back: to the budget at once, to the pool when no writer holds them. Under mu.
func (s *Sender) unloadLocked(p *pack) {
	if !p.released {
		p.released = true
		s.refundLocked(p, 0)
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
