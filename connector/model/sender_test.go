package model

import (
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"inlong-bridge/sdk/backoff"
	"inlong-bridge/sdk/engine"
	"inlong-bridge/sdk/finality"
)

// sender is what is around the engine: it dials, writes and encodes, and carries out effects.
type sender struct {
	m         *member
	e         *engine.Engine
	list      engine.ProxyList
	endpoints []*endpoint // by Ref
	streams   []*engine.Stream
	packs     []*pack // by Ref, nil once the engine is done with them
	conns     []*conn
	connRefs  []*conn // by Ref
	encode    []*pack
	followed  []*pack // lost or held, and somebody may want news of them
}

type endpoint struct {
	engine.Endpoint
	proxy    *proxy
	dial     bool
	next     int  // no dial before this tick
	unproven bool // the last connection ended before anything was answered
	again    bool
}

type pack struct {
	engine.Pack
	route   int32
	records []int
	pieces  []packPiece
	held    bool

	rejectedBy, closedBy map[*proxy]bool // as the world knows
}

// packPiece is the records [from, to) of a pack.
type packPiece struct {
	pieceRef
	from, to int
}

func engineConfig(cfg finality.Config, k knobs, r *rand.Rand) engine.Config {
	return engine.Config{
		Finality: cfg, Retry: backoff.Backoff{Min: cfg.PauseMin, Max: cfg.PauseMax}, RetryLimit: engine.NoRetryLimit,
		HoldRefused: k.keepRefused, HeldRetry: backoff.Backoff{Min: cfg.PauseMin, Max: cfg.PauseMax},
		SlowStart: time.Second, Random: rand.NewPCG(r.Uint64(), 1),
	}
}

func newSender(m *member) *sender {
	w := m.w
	s := &sender{m: m, e: engine.New(engineConfig(m.cfg, w.knobs, m.r))}
	s.e.AddList(&s.list)
	for i, p := range w.proxies {
		ep := &endpoint{proxy: p}
		ep.Ref = int32(i)
		s.e.AddEndpoint(&ep.Endpoint, p.id)
		s.endpoints = append(s.endpoints, ep)
	}
	s.setList(func(*proxy) bool { return true })
	for route := range w.routes {
		st := &engine.Stream{Ref: int32(route)}
		s.e.AddStream(st, finality.Stream(route), &s.list)
		s.streams = append(s.streams, st)
	}
	return s
}

// setList has the Manager name these proxies.
func (s *sender) setList(named func(*proxy) bool) {
	var list []*engine.Endpoint
	for _, ep := range s.endpoints {
		if named(ep.proxy) {
			list = append(list, &ep.Endpoint)
		}
	}
	s.e.SetList(&s.list, list, s.now())
	s.progress()
}

func (s *sender) now() time.Duration { return s.m.w.time() }

// room is what the budget of bytes is for: a sender that cannot send does not take more.
func (s *sender) room() bool { return s.e.States()[engine.Waiting] <= 20 }

func (s *sender) seal(route int32, records []int, pieces []packPiece, repair bool) {
	p := s.newPack(route, records, pieces)
	p.Repair = repair
	s.e.Sealed(&p.Pack, s.streams[route])
	s.fed()
}

func (s *sender) newPack(route int32, records []int, pieces []packPiece) *pack {
	p := &pack{route: route, records: records, pieces: pieces, rejectedBy: make(map[*proxy]bool), closedBy: make(map[*proxy]bool)}
	p.Ref, p.Records, p.Followed, p.OpenedAt = int32(len(s.packs)), int32(len(records)), true, s.now()
	s.packs = append(s.packs, p)
	s.encode = append(s.encode, p)
	return p
}

// fed counts an event that the engine was told.
func (s *sender) fed() { s.m.w.fed++ }

// step dials, encodes, writes, reads and ticks.
func (s *sender) step() {
	w := s.m.w
	for _, ep := range s.endpoints {
		s.connect(ep)
	}
	for _, c := range slices.Clone(s.conns) {
		s.read(c)
	}
	if s.m.reader != nil {
		s.m.readQueue()
	}
	for n := w.r.IntN(8); n > 0 && len(s.encode) > 0; n-- {
		p := s.encode[0]
		s.encode = s.encode[1:]
		s.e.Encoded(&p.Pack, 10*len(p.records))
		s.fed()
	}
	for route, st := range s.streams {
		if st.Known() > 0 && s.m.reader != nil && s.m.reader.watch(int32(route)) {
			s.e.Watched(st)
		}
	}
	s.e.Tick(s.now())
	s.progress()
	for _, c := range s.conns {
		s.write(c)
	}
	if w.now%10 == 0 {
		s.forget()
	}
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
		of := s.m.wrote(c, p)
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
			s.e.Refused(p, r.code, false, errors.New("error code"), s.now())
		default:
			if of := s.m.copies[p.Ref]; of != nil {
				of.heard = true
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
	end := s.e.Ended(&c.Conn, errors.New("closed by the proxy"), s.now())
	ep := s.endpoints[c.Endpoint().Ref]
	if ep.unproven = !end.Answered; !end.Useful {
		ep.next = w.now + 5 + s.m.r.IntN(10)
	}
	s.progress()
}

func (s *sender) queueAnswers(ok bool) { s.e.QueueAnswers(ok, s.now()); s.fed(); s.progress() }
func (s *sender) seen(seq uint64)      { s.e.Seen(seq, s.now()); s.fed(); s.progress() }
func (s *sender) missing(route int32, missing bool) {
	s.e.TopicMissing(s.streams[route], missing, s.now())
	s.fed()
	s.progress()
}

func (s *sender) barrierEnded(begun time.Duration, passed bool) {
	s.fed()
	if passed {
		s.e.BarrierPassed(begun, s.now())
	} else {
		s.e.BarrierFailed(s.now())
	}
	s.progress()
}

// progress ends a change.
func (s *sender) progress() {
	for {
		effects := s.e.Progress(s.now())
		if len(effects) == 0 {
			return
		}
		for i := range effects {
			s.perform(&effects[i])
		}
	}
}

func (s *sender) perform(f *engine.Effect) {
	w := s.m.w
	var p *pack
	if f.Pack != nil {
		p = s.packs[f.Pack.Ref]
	}
	switch f.Kind {
	case engine.Send:
		c := s.connRefs[f.Conn.Ref]
		c.out = append(c.out, p)
	case engine.Heartbeat:
		s.connRefs[f.Conn.Ref].beat = true
	case engine.CloseConn:
		w.logf("member %d closes a connection to proxy %d: %s", s.m.instance, f.Conn.Endpoint().Ref, f.Reason)
		c := s.connRefs[f.Conn.Ref]
		for _, of := range s.m.copies {
			if of.conn == c && w.now < c.proxy.lapsedUntil {
				w.charge(of)
			}
		}
		c.leave(w)
	case engine.Connect:
		s.endpoints[f.Endpoint.Ref].dial = true
	case engine.Disconnect:
		s.endpoints[f.Endpoint.Ref].dial = false
	case engine.Redial:
		s.endpoints[f.Endpoint.Ref].next = 0
	case engine.Barrier:
		s.m.reader.ask(s.now())
	case engine.Cut:
		s.cut(p)
	case engine.PackFinal:
		if f.Again {
			w.happened(packSeenAfterLoss)
		}
		s.m.final(p)
		s.done(p)
	case engine.PackLost:
		w.logf("member %d lost pack %d: %s", s.m.instance, p.Seq(), f.Reason)
		s.m.lost(p)
		s.followed = append(s.followed, p)
	case engine.PackHeld:
		w.logf("member %d holds pack %d", s.m.instance, p.Seq())
		w.happened(packHeld)
		s.m.checkRefused(p, engine.NoCause)
		s.m.hold(p, true)
		s.followed = append(s.followed, p)
	case engine.PackReleased:
		w.happened(packReleased)
		s.m.hold(p, false)
	case engine.PackRefused:
		w.logf("member %d: pack %d is refused: %v", s.m.instance, p.Seq(), f.Cause)
		s.m.checkRefused(p, f.Cause)
		s.m.refused(p, f.Cause)
		s.done(p)
	case engine.PackForgotten:
		s.m.ended(p)
		s.done(p)
	case engine.EndpointRefuses:
		w.happened(proxyThrottled)
	case engine.EndpointTakes:
		w.happened(proxyRecovered)
	case engine.StreamTakes:
		w.happened(streamRecovered)
	case engine.StreamRejects:
		w.happened(streamStruck)
	case engine.PackEndsConns:
		w.happened(packIsolated)
	}
}

// done: nothing more is heard of a pack.
func (s *sender) done(p *pack) {
	s.m.hold(p, false)
	s.packs[p.Ref] = nil
}

// cut makes two packs of one, between two pieces: connector's tokens are not cut inside.
func (s *sender) cut(p *pack) {
	at := 0
	for _, pc := range p.pieces[1:] {
		if at == 0 || pc.from <= len(p.records)/2 {
			at = pc.from
		}
	}
	if at == 0 {
		s.m.w.happened(packNotCut)
		s.e.NotParted(&p.Pack, "its records share a piece")
		return
	}
	s.m.w.happened(packCut)
	i := slices.IndexFunc(p.pieces, func(pc packPiece) bool { return pc.from == at })
	second := slices.Clone(p.pieces[i:])
	for j := range second {
		second[j].from -= at
		second[j].to -= at
	}
	a, b := s.newPack(p.route, p.records[:at], p.pieces[:i]), s.newPack(p.route, p.records[at:], second)
	a.Repair, b.Repair = p.Repair, p.Repair
	s.m.w.logf("member %d cuts pack %d of %d records", s.m.instance, p.Seq(), len(p.records))
	if !s.e.Parted(&p.Pack, &a.Pack, &b.Pack, s.now()) {
		s.m.ended(p)
		s.done(p)
	}
}

// forget drops lost and held packs that nobody waits for any more.
func (s *sender) forget() {
	s.followed = slices.DeleteFunc(s.followed, func(p *pack) bool {
		switch p.State() {
		case engine.Lost, engine.Held:
		default:
			return true
		}
		if slices.ContainsFunc(p.pieces, func(ref packPiece) bool { return !ref.a.Forgotten(ref.piece) }) {
			return false
		}
		if !s.e.Forget(&p.Pack, s.now()) {
			return false
		}
		s.m.ended(p)
		s.done(p)
		return true
	})
}

// idle reports whether nothing is held.
func (s *sender) idle() bool { return s.e.Known() == 0 }
