package sdk

import (
	"time"

	"inlong-bridge/sdk/internal/encode"
)

// openedLocked notes a fresh open pack. Under its stream's lock.
func (s *Sender) openedLocked(p *pack) {
	if s.open.Add(&p.inOpen, p) && s.o.linger > 0 {
		s.clockWake.Poke() // no pack was open, so the clock did not look for one
	}
}

// sealLocked ends the filling of an open pack and puts it into its stream's queue. Under its stream's lock.
func (s *Sender) sealLocked(p *pack) {
	st := p.st
	p.sealed = true
	s.open.Remove(&p.inOpen)
	st.open.remove(p)
	if st.last == p {
		st.last = nil
	}
	if back := int64(p.prepaid); back > 0 {
		p.prepaid = 0
		s.budget.Refund(back, false, &st.held)
	}
	st.lastSize = int32(p.size())

	s.mu.Lock()
	s.e.Sealed(s.enterLocked(p), &st.life)
	p.rtms = time.Now().UnixMilli()
	switch s.o.compression {
	case Auto:
		p.compress = st.tryAuto.Next(p.size())
		// While connections are the limit, packs wait anyway: they may take the encoder longer, and hold more, because a
		// longer block shrinks further. On the wire they stay within the size of a pack.
		if st.wire == nil && st.ahead.Bytes() > 0 {
			st.wire = new(encode.Wire)
		}
		p.better = p.compress && st.wire.Limits(s.now())
		st.double = p.better && st.tryAuto.Halves()
	case Snappy:
		p.compress = true
	case None:
	}
	s.goesAheadLocked(p)
	s.watchStreamLocked(st)
	if s.o.hooks.PackSealed != nil {
		s.tellPackLocked(s.o.hooks.PackSealed, p, s.now(), nil)
	}
	s.mu.Unlock()

	if p.pins == 0 {
		s.enc.Push(p, p.size())
	}
}

// sealForTrailLocked seals a pack whose trail is full. Under its stream's lock.
func (s *Sender) sealForTrailLocked(p *pack) {
	p.st.trailFull++
	s.sealLocked(p)
}

// sealWithoutLingerLocked seals what was just filled when there is no linger. Under st.mu.
func (s *Sender) sealWithoutLingerLocked(st *Stream) {
	if s.o.linger > 0 {
		return
	}
	st.open.all(func(p *pack) {
		if p.pins == 0 {
			s.sealLocked(p)
		}
	})
}

// sealIfOpen seals a pack unless somebody else did.
func (s *Sender) sealIfOpen(p *pack) {
	p.st.mu.Lock()
	defer p.st.mu.Unlock()
	if !p.sealed {
		s.sealLocked(p)
	}
}

// sealBeyondLimit seals the oldest open packs while there are too many.
func (s *Sender) sealBeyondLimit() {
	for s.open.Len() > s.o.maxOpen {
		if p := s.open.Oldest(); p != nil {
			s.sealIfOpen(p)
		}
	}
}

// While the encoders have this much to do, a pack whose linger is over stays open: sealed, it would only
// wait for them, and open it still grows. With many streams that decides how large packs are at full
// speed. It ends at lateLingers times the linger, so that streams with little are not forgotten behind
// those with much.
const (
	busyEncoders = 512 << 10
	lateLingers  = 8
	busyPause    = time.Millisecond // until the encoders are looked at again
)

// sealExpired seals the packs whose linger is over and returns when to look again; 0 for never.
func (s *Sender) sealExpired(now time.Duration) (next time.Duration) {
	for {
		p := s.open.Oldest()
		switch {
		case p == nil || s.o.linger == 0:
			return 0
		case now < p.opened+s.o.linger:
			return p.opened + s.o.linger
		case now < p.opened+lateLingers*s.o.linger && s.enc.Backlog().Bytes() > busyEncoders:
			return now + busyPause
		}
		s.sealIfOpen(p)
	}
}

// Seal closes all open packs now instead of at their linger.
func (s *Sender) Seal() {
	for {
		p := s.open.Oldest()
		if p == nil {
			return
		}
		s.sealIfOpen(p)
	}
}
