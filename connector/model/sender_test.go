package model

import (
	"slices"
	"time"

	"inlong-bridge/sdk/finality"
)

// sender is the thinnest glue around the rules of delivery: it does what sdk does.
type sender struct {
	*member
	m         *finality.Machine
	nextPack  finality.Pack
	nextEpoch finality.ConnEpoch
	packs     map[finality.Pack]*packInfo
	repairs   []finality.Pack // waiting, before all others
	resends   []finality.Pack
	waiting   []finality.Pack
	conns     []*conn
}

type packInfo struct {
	id      finality.Pack
	route   int32
	records []int
	pieces  []pieceRef
	written bool
	conn    *conn
	lost    bool
}

func newSender(m *member) *sender {
	s := &sender{member: m, m: finality.New(m.cfg), packs: make(map[finality.Pack]*packInfo)}
	for _, p := range m.w.proxies {
		s.m.AddEndpoint(p.id, m.w.time())
	}
	return s
}

func (s *sender) room() bool { return len(s.waiting) <= 20 }

func (s *sender) seal(route int32, records []int, pieces []pieceRef, repair bool) {
	s.nextPack++
	s.packs[s.nextPack] = &packInfo{id: s.nextPack, route: route, records: records, pieces: pieces}
	if repair {
		s.repairs = append(s.repairs, s.nextPack)
	} else {
		s.waiting = append(s.waiting, s.nextPack)
	}
}

func (s *sender) connect() {
	for _, p := range s.w.proxies {
		n := 0
		for _, c := range s.conns {
			if c.proxy == p {
				n++
			}
		}
		if !p.up || n >= s.w.knobs.conns || s.r.IntN(3) > 0 {
			continue
		}
		s.nextEpoch++
		c := &conn{epoch: s.nextEpoch, proxy: p, m: s.member}
		p.conns = append(p.conns, c)
		s.conns = append(s.conns, c)
		s.m.Opened(c.epoch, p.id, s.w.time())
	}
}

func (s *sender) answer(c *conn, r reply) {
	info := s.packs[r.pack]
	switch {
	case r.heartbeat:
		s.m.Answered(c.epoch, s.w.time())
	case r.code != 0:
		if info != nil && info.written && info.conn == c {
			info.written = false
			s.m.Refused(r.pack, c.epoch, r.code == 114, s.w.time())
			s.resends = append(s.resends, r.pack)
		}
	default:
		s.m.Acked(r.pack, c.epoch, s.w.time())
	}
	s.carryOut()
}

func (s *sender) ended(c *conn) {
	s.conns = slices.DeleteFunc(s.conns, func(x *conn) bool { return x == c })
	c.leave(s.w)
	s.m.Ended(c.epoch, s.w.time())
	s.carryOut()
}

func (s *sender) queueAnswers(ok bool) { s.m.QueueAnswers(ok, s.w.time()); s.carryOut() }
func (s *sender) seen(p finality.Pack) {
	if info := s.packs[p]; info != nil && info.lost {
		s.w.happened(packSeenAfterLoss)
	}
	s.m.Seen(p, s.w.time())
	s.carryOut()
}
func (s *sender) missing(route int32, missing bool) {
	s.m.Missing(finality.Stream(route), missing, s.w.time())
	s.carryOut()
}

func (s *sender) tick() {
	s.m.Tick(s.w.time())
	s.carryOut()
	if s.w.now%10 != 0 {
		return
	}
	for id, info := range s.packs { // lost packs that nobody waits for any more
		if info.lost && !slices.ContainsFunc(info.pieces, func(ref pieceRef) bool { return !ref.a.Forgotten(ref.piece) }) {
			s.m.Forget(id)
			delete(s.packs, id)
		}
	}
}

func (s *sender) carryOut() {
	for {
		ds := s.m.Decisions(nil)
		if len(ds) == 0 {
			return
		}
		for _, d := range ds {
			s.w.events++
			s.decide(d)
		}
	}
}

func (s *sender) decide(d finality.Decision) {
	info := s.packs[d.Pack]
	switch d.Kind {
	case finality.Resend:
		info.written = false
		if s.w.now < info.conn.proxy.lapsedUntil {
			s.w.charge(s.copies[d.Pack])
		}
		s.resends = append(s.resends, d.Pack)
	case finality.Final:
		delete(s.packs, d.Pack)
		notIt := func(id finality.Pack) bool { return id == d.Pack }
		s.repairs = slices.DeleteFunc(s.repairs, notIt)
		s.resends = slices.DeleteFunc(s.resends, notIt)
		s.final(d.Pack, info.pieces)
	case finality.Lost:
		s.w.logf("member %d lost pack %d: %s", s.instance, d.Pack, d.Reason)
		info.lost = true
		s.lost(d.Pack, info.pieces)
	case finality.Close:
		for _, c := range slices.Clone(s.conns) {
			if c.epoch == d.ConnEpoch {
				s.ended(c)
			}
		}
	case finality.Heartbeat:
		for _, c := range s.conns {
			if c.epoch == d.ConnEpoch {
				if c.endedAt == 0 {
					c.up = append(c.up, upFrame{at: s.w.now})
				}
				s.m.Beat(c.epoch, s.w.time())
			}
		}
	case finality.Barrier:
		s.reader.ask(s.w.time())
	}
}

// dispatch writes what the machine admits; a pack of a stream that stalls does not block the others.
func (s *sender) dispatch() {
	for _, q := range []*[]finality.Pack{&s.repairs, &s.resends, &s.waiting} {
		*q = slices.DeleteFunc(*q, func(id finality.Pack) bool { return s.write(s.packs[id]) })
	}
}

func (s *sender) write(info *packInfo) bool {
	if info == nil {
		return true
	}
	if s.reader != nil && !s.reader.watch(info.route) {
		return false
	}
	for _, i := range s.r.Perm(len(s.conns)) {
		c, size := s.conns[i], 10*len(info.records)
		if s.m.Admit(c.epoch, finality.Stream(info.route), size, s.w.time()) != finality.OK {
			continue
		}
		s.m.Written(info.id, finality.Stream(info.route), c.epoch, size, s.w.time())
		info.written, info.conn = true, c
		s.wrote(c, info.id, info.route, info.records)
		return true
	}
	return false
}

func (s *sender) barrierEnded(begun time.Duration, passed bool) {
	if passed {
		s.m.BarrierPassed(begun, s.w.time())
	} else {
		s.m.BarrierFailed(s.w.time())
	}
	s.carryOut()
}

// idle reports whether nothing is held.
func (s *sender) idle() (what string, ok bool) {
	open, lost := s.m.Open()
	if open != 0 || lost != 0 || len(s.packs) != 0 {
		return "packs", false
	}
	return "", true
}
