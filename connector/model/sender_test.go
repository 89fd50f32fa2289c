package model

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"time"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/backoff"
	"inlong-bridge/sdk/engine"
	"inlong-bridge/sdk/finality"
)

// sender is what is around the engine: it dials, writes and encodes, and carries out effects.
type sender struct {
	m         *member
	e         *engine.Engine
	list      engine.ProxyList
	endpoints []*endpoint      // by Ref
	streams   []*engine.Stream // by route
	live      []int            // packs by route
	watched   []bool           // by route: the engine was told
	ids       finality.Stream  // of streams so far
	packs     []*pack          // by Ref, nil once the engine is done with them
	conns     []*conn
	connRefs  []*conn // by Ref
	encode    []*pack
	bySeq     map[uint64]*pack // that were written
	filling   []*filling
	copies    map[int32]*sent // by Ref: the copy of each pack that was written last, until the engine is done with the pack
	written   int             // copies so far
	numbers   uint64          // of packs that were filled
	followed  []*pack         // lost, held or taken back, and somebody may want news of them
	questions []*question     // to tokens
}

type pack struct {
	engine.Pack
	route   int32
	records []int
	pieces  []packPiece
	held    bool
	back    bool  // it was taken back
	whole   *pack // it is a part of
	ordered bool  // it must not be cut: a lane has one pack at a time
	wasSeen bool

	// As the world knows.
	rejectedBy, closedBy map[*proxy]bool
	alone                bool // the last connection ended while it was the oldest unanswered pack there
}

// packPiece is the records [from, to) of a pack.
type packPiece struct {
	token    sdk.Token
	id       uint64
	from, to int
}

// filling is a pack that is being filled: of one stream and minute, from whatever partition.
type filling struct {
	route   int32
	minute  int64
	repair  bool
	number  uint64 // see sdk.Batch.OnePack
	ordered bool
	apart   bool // of one batch alone
	limit   int  // records
	closes  int  // no later than in this tick
	records []int
	pieces  []packPiece
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
	s := &sender{m: m, e: engine.New(engineConfig(m.cfg, w.knobs, m.r)), bySeq: make(map[uint64]*pack), copies: make(map[int32]*sent)}
	s.e.AddList(&s.list)
	for i, p := range w.proxies {
		ep := &endpoint{proxy: p}
		ep.Ref = int32(i)
		s.e.AddEndpoint(&ep.Endpoint, p.id)
		s.endpoints = append(s.endpoints, ep)
	}
	s.setList(func(*proxy) bool { return true })
	s.streams, s.live, s.watched = make([]*engine.Stream, w.routes), make([]int, w.routes), make([]bool, w.routes)
	for route := range w.routes {
		s.addStream(route)
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
func (s *sender) room() bool { return s.e.States()[engine.Waiting] < s.m.w.knobs.room }

// TrySendBatch implements assign.Sender: it fills packs.
func (s *sender) TrySendBatch(b *sdk.Batch) (n int, err error) {
	w, minute := s.m.w, b.Time.Unix()/60
	n = len(b.Payloads)
	switch {
	case !b.Repair && !s.room():
		return 0, sdk.ErrBufferFull
	case s.m.r.IntN(8) == 0:
		if n = s.m.r.IntN(n + 1); n < len(b.Payloads) {
			w.happened(senderFull)
			err = []error{sdk.ErrBufferFull, sdk.ErrStreamFull}[s.m.r.IntN(2)]
		}
	}
	for from := 0; from < n; {
		route := s.m.streams[b.Stream]
		i := slices.IndexFunc(s.filling, func(f *filling) bool {
			return !b.Alone && f.route == route && f.minute == minute && f.repair == b.Repair
		})
		if one := b.OnePack; one != nil && (*one != 0 || from > 0) && (i < 0 || s.filling[i].number != *one) {
			return from, sdk.ErrPackFull
		}
		if i < 0 {
			i = len(s.filling)
			s.numbers++
			s.filling = append(s.filling, &filling{
				number: s.numbers, ordered: b.OnePack != nil,
				route: route, minute: minute, repair: b.Repair, apart: b.Alone, limit: 1 + s.m.r.IntN(10), closes: w.now + s.m.r.IntN(3),
			})
		}
		f := s.filling[i]
		if b.OnePack != nil {
			*b.OnePack = f.number
		}
		to := min(n, from+f.limit-len(f.records))
		at := len(f.records)
		for _, v := range b.Payloads[from:to] {
			f.records = append(f.records, int(binary.BigEndian.Uint64(v)))
		}
		f.pieces = append(f.pieces, packPiece{b.Token, b.Packed(from, to), at, len(f.records)})
		if from = to; len(f.records) == f.limit || b.Alone {
			s.filling = slices.Delete(s.filling, i, i+1)
			s.seal(f)
		}
	}
	return n, err
}

func (s *sender) seal(f *filling) {
	p := s.newPack(f.route, f.records, f.pieces)
	p.Repair, p.Alone, p.alone, p.ordered = f.repair, f.apart, f.apart, f.ordered
	s.e.Sealed(&p.Pack, s.streams[f.route])
	s.fed()
}

func (s *sender) newPack(route int32, records []int, pieces []packPiece) *pack {
	p := &pack{route: route, records: records, pieces: pieces, rejectedBy: make(map[*proxy]bool), closedBy: make(map[*proxy]bool)}
	p.Ref, p.Records, p.Followed, p.OpenedAt = int32(len(s.packs)), int32(len(records)), true, s.now()
	s.packs = append(s.packs, p)
	s.live[route]++
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
		s.m.reader.step()
	}
	s.answerQuestions()
	s.filling = slices.DeleteFunc(s.filling, func(f *filling) bool {
		if f.closes <= w.now {
			s.seal(f)
		}
		return f.closes <= w.now
	})
	for n := w.r.IntN(8); n > 0 && len(s.encode) > 0; n-- {
		p := s.encode[0]
		s.encode = s.encode[1:]
		s.e.Encoded(&p.Pack, 10*len(p.records))
		s.fed()
	}
	for route, st := range s.streams {
		if s.live[route] > 0 && s.m.reader != nil && !s.watched[route] && s.m.reader.watch(int32(route)) {
			s.watched[route] = true
			s.fed()
			s.e.Watched(st)
		}
	}
	s.e.Tick(s.now())
	s.progress()
	for _, c := range s.conns {
		s.write(c)
	}
	if w.now%10 == 0 {
		if err := s.e.Check(); err != nil {
			panic(breach{"the engine: " + err.Error()})
		}
		s.forget()
		s.forgetStreams()
	}
}

func (s *sender) queueAnswers(ok bool) { s.e.QueueAnswers(ok, s.now()); s.fed(); s.progress() }
func (s *sender) seen(seq uint64) {
	if p := s.bySeq[seq]; p != nil {
		if p.wasSeen = true; p.State() == engine.Split {
			s.m.w.happened(packSeenAfterCut)
		}
	}
	s.e.Seen(seq, s.now())
	s.fed()
	s.progress()
}

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

// repairsUnseen is how many packs were sent again and not seen.
func (s *sender) repairsUnseen() int {
	n := s.e.Repairs()
	return n.Pending()
}

// forgetStreams forgets streams that are idle, and has them come again under another number.
func (s *sender) forgetStreams() {
	for route, st := range s.streams {
		if s.live[route] == 0 && s.m.r.IntN(10) == 0 && s.e.ForgetStream(st) {
			s.m.w.happened(streamForgotten)
			if s.m.reader != nil {
				s.m.reader.unwatch(int32(route))
			}
			s.addStream(route)
		}
	}
}

// addStream makes a stream of a route known.
func (s *sender) addStream(route int) {
	s.ids++
	s.watched[route] = false
	s.streams[route] = &engine.Stream{Ref: int32(route)}
	s.e.AddStream(s.streams[route], s.ids, &s.list)
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
		for _, of := range s.copies {
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
	case engine.Judge:
		s.checkRefused(p, engine.ByProxies)
		s.questions = append(s.questions, &question{p, sdk.Result{Outcome: sdk.Refused, Err: f.Err}, true})
	case engine.PackAcked:
		s.tell(p, sdk.Acked, nil)
	case engine.PackFinal:
		switch {
		case f.Again && p.back:
			w.happened(takenBackSeen)
		case f.Again:
			w.happened(packSeenAfterLoss)
		}
		w.finals++
		s.copyEnded(p)
		s.tell(p, sdk.Final, nil)
		s.done(p)
	case engine.PackLost:
		w.logf("member %d lost pack %d: %s", s.m.instance, p.Seq(), f.Reason)
		w.happened(packLost)
		s.copyEnded(p)
		s.tell(p, sdk.Lost, nil)
		s.followed = append(s.followed, p)
	case engine.PackHeld:
		w.logf("member %d holds pack %d", s.m.instance, p.Seq())
		w.happened(packHeld)
		s.checkRefused(p, engine.NoCause)
		p.held = true
		s.tell(p, sdk.Held, f.Err)
		s.followed = append(s.followed, p)
	case engine.PackReleased:
		w.happened(packReleased)
		p.held = false
		s.tell(p, sdk.Released, nil)
	case engine.PackRefused:
		w.logf("member %d: pack %d is refused: %v", s.m.instance, p.Seq(), f.Cause)
		s.checkRefused(p, f.Cause)
		w.happened(packGivenUp)
		s.copyEnded(p)
		s.tell(p, sdk.Refused, refusalError(f))
		s.done(p)
	case engine.PackTakenBack:
		w.logf("member %d takes pack %d of %d records back: %v", s.m.instance, p.Seq(), len(p.records), f.Cause)
		s.copyEnded(p)
		if p.back = true; p.State() == engine.Lost {
			s.followed = append(s.followed, p)
		} else {
			defer s.done(p)
		}
		s.tell(p, sdk.TakenBack, refusalError(f))
	case engine.PackForgotten:
		s.copyEnded(p)
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

// tell tells the tokens of a pack's pieces.
func (s *sender) tell(p *pack, o sdk.Outcome, err error) {
	for _, pc := range p.pieces {
		pc.token.Settled(pc.id, sdk.Result{Outcome: o, Err: err})
	}
}

// copyEnded: no copy of a pack that is on its way matters any more.
func (s *sender) copyEnded(p *pack) {
	if of := s.copies[p.Ref]; of != nil {
		of.ended = true
		delete(s.copies, p.Ref)
	}
}

// crash ends the connections with the process.
func (s *sender) crash() {
	for _, c := range s.conns {
		c.leave(s.m.w)
	}
	for _, of := range s.copies {
		of.ended = true
	}
	clear(s.copies)
}

// done: nothing more is heard of a pack.
func (s *sender) done(p *pack) {
	s.packs[p.Ref] = nil
	delete(s.bySeq, p.Seq())
	s.live[p.route]--
}

// cut makes two packs of one, between two pieces: connector's tokens are not cut inside.
func (s *sender) cut(p *pack) {
	at := s.boundary(p)
	if at == 0 {
		s.questions = append(s.questions, &question{p, sdk.Result{Outcome: sdk.Refused, Err: new(sdk.PoisonError)}, false})
		return
	}
	if p.ordered {
		s.m.w.happened(packBackInOrder)
		s.e.Judged(&p.Pack, engine.TakeBack, s.now())
		return
	}
	s.m.w.happened(packCut)
	s.part(p, at)
}

// part makes two packs of one, at the beginning of a piece.
func (s *sender) part(p *pack, at int) {
	i := slices.IndexFunc(p.pieces, func(pc packPiece) bool { return pc.from == at })
	second := slices.Clone(p.pieces[i:])
	for j := range second {
		second[j].from -= at
		second[j].to -= at
	}
	a, b := s.newPack(p.route, p.records[:at], p.pieces[:i]), s.newPack(p.route, p.records[at:], second)
	a.Repair, b.Repair, a.whole, b.whole = p.Repair, p.Repair, p, p
	s.m.w.logf("member %d cuts pack %d of %d records", s.m.instance, p.Seq(), len(p.records))
	if !s.e.Parted(&p.Pack, &a.Pack, &b.Pack, s.now()) {
		s.copyEnded(p)
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
		if slices.ContainsFunc(p.pieces, func(ref packPiece) bool { return !ref.token.Forgotten(ref.id) }) {
			return false
		}
		if !s.e.Forget(&p.Pack, s.now()) {
			return false
		}
		s.copyEnded(p)
		s.done(p)
		return true
	})
}

// idle reports whether nothing is held.
func (s *sender) idle() bool { return s.e.Known() == 0 }
