package sdk

import (
	"time"

	"inlong-bridge/sdk/internal/fill"
)

// prepayBytes is how much a pack takes in advance when single messages fill it: the budget is shared by
// all cores, and to change it for each message costs more than to copy the message.
const prepayBytes = 32 << 10

// prepaidLocked returns the stream's pack when it has room in the budget already for a message of key, and
// takes that. Under st.mu.
func (s *Sender) prepaidLocked(st *Stream, key *openKey, payload []byte) *pack {
	p, c := st.last, fill.Cost(payload)
	if p == nil || int64(p.prepaid) < c || p.key != *key || !p.fits(len(payload)) || s.end.closing.Load() || s.notify.behind() {
		return nil
	}
	p.prepaid -= int32(c) //nolint:gosec // not more than was prepaid
	return p
}

// prepayLocked takes room in advance for a pack that has grown so large that it will use it, while there is
// plenty. Under st.mu.
func (s *Sender) prepayLocked(p *pack) {
	if p.size() >= prepayBytes && s.budget.Prepay(prepayBytes, &p.st.held) {
		p.prepaid += prepayBytes
	}
}

// encodersBehind reports whether so much waits for the encoders that nothing new may come now. They
// never stand still, so this ends within milliseconds; Budget.CaughtUp says when.
func (s *Sender) encodersBehind() bool {
	f := s.enc.Backlog()
	return s.budget.Beyond(f) && !s.end.closing.Load() && s.budget.WantPace(f)
}

// streamAhead reports whether a call that may wait should do so, because much of the stream is sealed and
// not handed to a connection yet. When nothing was handed over for a while, there is no pace to keep
// and records may pile up as far as the budget goes.
func (s *Sender) streamAhead(st *Stream) bool {
	return st != nil && st.s == s && s.budget.Beyond(&st.ahead) && !s.end.closing.Load() &&
		s.budget.WantPace(&st.ahead) && s.now()-st.ahead.Moved() < tick
}

// heldBack is the error for new records of a stream of which enough waits for a connection already (WithAhead), nil for
// none. It is that of a full stream only where other streams are better off.
func (s *Sender) heldBack(st *Stream) error {
	if s.o.ahead == 0 || s.budget.Ahead() <= fill.FreeAhead || s.end.closing.Load() {
		return nil
	}
	held, all := s.budget.Held(&st.ahead, int64(s.o.packBytes), s.now())
	if !held {
		return nil
	}
	err := ErrStreamFull
	if all {
		err = ErrBufferFull
	}
	st.mu.Lock()
	st.turnedAwayLocked(err)
	st.mu.Unlock()
	return err
}

// goesAheadLocked counts a sealed pack. Repairs keep nobody waiting. Under mu.
func (s *Sender) goesAheadLocked(p *pack) {
	if !p.key.repair {
		p.ahead = int32(p.size()) //nolint:gosec // less than a frame may have
		s.budget.GoAhead(&p.st.ahead, int64(p.ahead))
	}
}

// handedOverLocked ends that when a connection takes the pack, ranAheadLocked when the pack is done before. Under mu.
func (s *Sender) handedOverLocked(p *pack, now time.Duration) {
	s.leavesWireLocked(p, now)
	s.budget.Sent(&p.st.ahead, int64(p.ahead), now)
	p.ahead = 0
}

func (s *Sender) ranAheadLocked(p *pack, now time.Duration) {
	s.leavesWireLocked(p, now)
	s.budget.Ended(&p.st.ahead, int64(p.ahead), now)
	p.ahead = 0
}

// leavesWireLocked: an encoded pack does not wait for a connection any more. Under mu.
func (s *Sender) leavesWireLocked(p *pack, now time.Duration) {
	if p.onWire {
		p.onWire = false
		p.st.wire.Add(-int64(p.ahead), now)
	}
}
