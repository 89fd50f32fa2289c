package sdk

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"inlong-bridge/sdk/finality"
)

// A refusal that is for good, as the code of the answer says, is believed when two different proxies gave it for the
// same pack, or all that are on the list: one that was set up wrongly, or whose memory is damaged, refuses everything
// while the others take it.
//
// What happens then is WithRefusedRetry's: without it the pack is given up as Refused; with it the pack is held, because
// the fault may be at the proxies all the same.

// WithRefusedRetry keeps a pack that proxies refuse for good, as Held, and tries it again at a pause that grows from
// shortest to longest (doubled each time, with jitter). Its bytes stay in the budget and count for its stream. Of all
// held packs of the sender one is tried at a time, alone on its connection, through each connected proxy in turn, and
// the pause grows after each such turn. The first to be tried is the oldest; when it is refused again, the packs of
// other streams have their turns before it has the next, so that one that is never taken does not stand before those
// that would be. When one is taken, all are Released: they go out as usual, and those that are refused again are Held
// again. Without this option, the default, such a pack is Refused.
func WithRefusedRetry(shortest, longest time.Duration) Option {
	return optionFunc(func(o *options) { o.refusedMin, o.refusedMax, o.refusedRetry = shortest, longest, true })
}

// refusals is what proxies said of one pack for good.
type refusals struct {
	by      []*endpoint // that refused it; while it is tried again: that were tried in this turn
	last    *AckError
	held    bool          // its pieces were told Held, and not Released
	trying  bool          // it is the one that is tried
	turns   int           // it had
	bounces int           // times it waited for another proxy than those that refused it
	giveUp  time.Duration // trying: the turn ends when no connection took it before
}

// trying reports whether the pack is held and tried again just now.
func (p *pack) trying() bool { return p.refusals != nil && p.refusals.trying }

// held are the packs that proxies refuse for good and that are kept. Guarded by Sender.mu.
type held struct {
	bounced []*pack // refused by one proxy, while no other is connected: not believed yet
	packs   []*pack // by age, without the one that is tried
	trying  *pack
	codes   map[int]int // packs by the code of their last refusal, the one that is tried included
	pauses  int         // turns in a row that ended without success
	next    time.Duration
	since   time.Duration // when the first one was held
	asked   int           // index in packs from which tokens are asked next whether they forgot
	asking  bool
	nextAsk time.Duration
}

// refusedByLocked notes that a proxy refused a waiting pack for good, and reports whether that is to be believed.
// Under mu.
func (s *Sender) refusedByLocked(p *pack, ep *endpoint, err *AckError) (believed bool) {
	if p.refusals == nil {
		p.refusals = new(refusals)
	}
	r := p.refusals
	r.last = err
	if !slices.Contains(r.by, ep) {
		r.by = append(r.by, ep)
	}
	return len(r.by) > 1 || !slices.ContainsFunc(p.st.proxies.endpoints, func(e *endpoint) bool { return !slices.Contains(r.by, e) })
}

// elsewhereLocked reports whether a proxy is connected that has not refused the pack. Under mu.
func (p *pack) elsewhereLocked() bool {
	return slices.ContainsFunc(p.st.proxies.endpoints, func(e *endpoint) bool {
		return len(e.conns) > 0 && !slices.Contains(p.refusals.by, e)
	})
}

// avoidsLocked reports whether the pack must not go to a proxy because that one has refused it for good. Under mu.
func (p *pack) avoidsLocked(ep *endpoint) bool {
	return p.refusals != nil && slices.Contains(p.refusals.by, ep) && (p.refusals.trying || p.elsewhereLocked())
}

// bounceLocked has a pack that one proxy refused wait for another one. Where none is connected it is taken out of its
// queue, so that nobody waits behind it, and the same proxies are tried again after a pause. Under mu.
func (s *Sender) bounceLocked(p *pack, now time.Duration) {
	if p.suspect || p.elsewhereLocked() {
		s.enqueueLocked(p)
		return
	}
	p.notBefore = now + s.o.backoff().pause(p.refusals.bounces)
	p.refusals.bounces++
	s.held.bounced = append(s.held.bounced, p)
}

// returnBouncedLocked puts those back that another proxy may take, or whose pause is over. Under mu.
func (s *Sender) returnBouncedLocked(now time.Duration) {
	s.held.bounced = slices.DeleteFunc(s.held.bounced, func(p *pack) bool {
		switch {
		case p.state != packWaiting: // seen meanwhile, or given up
			return true
		case now < p.notBefore && !p.elsewhereLocked():
			return false
		}
		s.enqueueLocked(p)
		return true
	})
}

// refusedForGoodLocked ends a waiting pack whose refusal is believed: as Refused, or by holding it. Under mu.
func (s *Sender) refusedForGoodLocked(p *pack, now time.Duration) {
	r := p.refusals
	for _, ep := range r.by {
		p.st.agreedLocked(ep)
	}
	if !s.o.refusedRetry {
		s.refuseLocked(p, Result{Outcome: Refused, Endpoint: r.last.Endpoint, Err: r.last})
		return
	}
	h := &s.held
	if h.codes == nil {
		h.codes = make(map[int]int)
	}
	if len(h.packs) == 0 && h.trying == nil {
		h.since, h.pauses = now, 0
		h.next = now + s.refusedBackoff().pause(0)
	}
	if h.codes[r.last.Code] == 0 {
		s.o.logger.Warn("proxies refuse packs for good; they are kept, and one is tried again at growing pauses", "stream", p.st.text,
			"endpoint", r.last.Endpoint, "records", p.count, "err", r.last)
	}
	h.codes[r.last.Code]++
	p.st.kept++
	r.held = true
	s.toHeldLocked(p)
	s.tellTokensLocked(p, Result{Outcome: Held, Endpoint: r.last.Endpoint, Err: r.last})
}

func (s *Sender) refusedBackoff() backoff {
	return backoff{min: s.o.refusedMin, max: s.o.refusedMax, random: s.o.backoff().random}
}

// toHeldLocked puts a waiting pack among those that are held. Under mu.
func (s *Sender) toHeldLocked(p *pack) {
	p.suspect, p.damaged, p.avoid = false, false, 0
	s.setStateLocked(p, packHeld)
	h := &s.held
	i, _ := slices.BinarySearchFunc(h.packs, p, func(a, b *pack) int { return cmp.Compare(a.seq, b.seq) })
	h.packs = slices.Insert(h.packs, i, p)
}

// tellTokensLocked tells the tokens of a pack's pieces what does not concern the callbacks of single messages, which have
// one call. Under mu.
func (s *Sender) tellTokensLocked(p *pack, r Result) {
	if p.tokens > 0 {
		s.notify.post(event{pieces: p.pieces, result: r})
	}
}

// tryHeldLocked begins the next turn when its pause is over, and ends the one under way when no connection takes the pack.
// Under mu.
func (s *Sender) tryHeldLocked(now time.Duration) {
	h := &s.held
	if p := h.trying; p != nil {
		if p.state == packWaiting && (now >= p.refusals.giveUp || s.flushed) {
			s.endTurnLocked(p, now)
		}
		return
	}
	if len(h.packs) == 0 || now < h.next || s.flushed || s.stopped {
		return
	}
	p := s.nextHeldLocked()
	if p == nil { // none of their proxies is connected
		h.next = now + time.Second
		return
	}
	i := slices.Index(h.packs, p)
	h.packs = slices.Delete(h.packs, i, i+1)
	h.trying = p
	r := p.refusals
	r.by, r.trying = r.by[:0], true
	r.turns++
	p.st.keptTurns++
	s.setStateLocked(p, packWaiting)
	s.tryOnLocked(p, now)
}

// nextHeldLocked is the pack that is tried next: of the stream that had the fewest turns the one that had the fewest,
// and of those the oldest. Under mu.
func (s *Sender) nextHeldLocked() (best *pack) {
	for _, p := range s.held.packs {
		if best != nil && cmp.Or(cmp.Compare(p.st.keptTurns, best.st.keptTurns), cmp.Compare(p.refusals.turns, best.refusals.turns)) >= 0 {
			continue
		}
		if slices.ContainsFunc(p.st.proxies.endpoints, func(e *endpoint) bool { return len(e.conns) > 0 }) {
			best = p
		}
	}
	return best
}

// tryOnLocked has the pack that is tried go to the next proxy, alone. Under mu.
func (s *Sender) tryOnLocked(p *pack, now time.Duration) {
	p.suspect, p.notBefore = true, 0
	p.refusals.giveUp = now + s.o.finality.AckTimeout
	s.enqueueLocked(p)
}

// triedLocked notes that a proxy did not take the pack that is tried, for whatever reason. Under mu.
func (s *Sender) triedLocked(p *pack, ep *endpoint, now time.Duration) {
	r := p.refusals
	if !slices.Contains(r.by, ep) {
		r.by = append(r.by, ep)
	}
	if p.elsewhereLocked() && !s.flushed {
		s.tryOnLocked(p, now)
		return
	}
	s.endTurnLocked(p, now)
}

// endTurnLocked ends the turn of a waiting pack: no proxy took it. Under mu.
func (s *Sender) endTurnLocked(p *pack, now time.Duration) {
	h := &s.held
	s.suspects = slices.DeleteFunc(s.suspects, func(q *pack) bool { return q == p })
	p.unreserveLocked()
	p.refusals.trying, h.trying = false, nil
	s.toHeldLocked(p)
	h.pauses++
	h.next = now + s.refusedBackoff().pause(h.pauses)
}

// takenLocked: a proxy took the pack that was tried, so what was refused may be taken now. All that is held goes out
// again as usual. Under mu.
func (s *Sender) takenLocked(p *pack, now time.Duration) {
	h := &s.held
	s.releaseHeldLocked(p)
	s.o.logger.Info("a proxy takes a pack that was refused for good before; what was held is sent again", "stream", p.st.text,
		"endpoint", p.endpoint.addr, "packs", len(h.packs)+1, "after", (now - h.since).Round(time.Second).String())
	released := h.packs
	h.packs = nil
	for _, q := range released {
		s.setStateLocked(q, packWaiting)
		s.releaseHeldLocked(q)
		s.enqueueLocked(q)
	}
}

// releaseHeldLocked ends a pack's being held, if it is, and tells its pieces. It is not in held.packs any more, and is put
// somewhere by the caller. Under mu.
func (s *Sender) releaseHeldLocked(p *pack) {
	r := p.refusals
	if r == nil {
		return
	}
	if s.held.trying == p {
		s.held.trying = nil
	}
	p.refusals = nil
	if !r.held {
		return
	}
	s.unholdLocked(p, r)
	result := Result{Outcome: Released}
	if p.endpoint != nil {
		result.Endpoint = p.endpoint.addr
	}
	s.tellTokensLocked(p, result)
}

// unholdLocked takes a pack out of the books of what is held. Under mu.
func (s *Sender) unholdLocked(p *pack, r *refusals) {
	if s.held.codes[r.last.Code]--; s.held.codes[r.last.Code] == 0 {
		delete(s.held.codes, r.last.Code)
	}
	if p.st.kept--; p.st.kept == 0 {
		p.st.keptTurns = 0
	}
}

// unlistHeldLocked takes a pack out of the list of those that are held, if it is in it. Under mu.
func (s *Sender) unlistHeldLocked(p *pack) {
	if p.state != packHeld {
		return
	}
	if i := slices.Index(s.held.packs, p); i >= 0 {
		s.held.packs = slices.Delete(s.held.packs, i, i+1)
	}
}

// closedWhileHeld is the last word on the pieces of a pack that Close found held.
func (r *refusals) closedWhileHeld() Result {
	return Result{Outcome: Refused, Endpoint: r.last.Endpoint, Err: fmt.Errorf("%w before a proxy took the pack: %w", ErrClosed, r.last)}
}

var errHeld = errors.New("proxies refuse them")

// askHeldLocked lets the notifier ask the tokens of some held packs whether anybody still wants them: a piece that moved
// to another process, say, is sent by that one. Under mu.
func (s *Sender) askHeldLocked(now time.Duration) {
	h := &s.held
	if len(h.packs) == 0 || h.asking || now < h.nextAsk {
		return
	}
	h.asking, h.nextAsk = true, now+forgetEvery
	if h.asked >= len(h.packs) {
		h.asked = 0
	}
	asked := slices.Clone(h.packs[h.asked:min(h.asked+forgetBatch, len(h.packs))])
	h.asked += len(asked)
	lists := make([][]piece, len(asked))
	for i, p := range asked {
		lists[i] = p.pieces
	}
	s.notify.post(event{ask: func() { s.forgetHeld(asked, lists) }})
}

// forgetHeld runs on the notifier's goroutine.
func (s *Sender) forgetHeld(asked []*pack, lists [][]piece) {
	gone := make([]bool, len(asked))
	for i, pieces := range lists {
		gone[i] = len(pieces) > 0 && !slices.ContainsFunc(pieces, piece.single) && s.notify.forgotten(pieces)
	}
	s.mu.Lock()
	s.held.asking = false
	for i, p := range asked {
		if gone[i] && p.state == packHeld {
			s.m.Drop(finality.Pack(p.seq), s.now())
			s.unlistHeldLocked(p)
			s.unholdLocked(p, p.refusals)
			p.pieces, p.refusals = nil, nil
			s.doneLocked(p, event{})
		}
	}
	todo := s.progressLocked()
	s.mu.Unlock()
	todo.perform()
}

// single reports whether a piece is a message with a callback: whoever gave it waits for its one call.
func (pc piece) single() bool {
	switch pc.token.(type) {
	case callback, *callbacks:
		return true
	}
	return false
}

// heldStallLocked says why what is held of a stream is. Under mu.
func (s *Sender) heldStallLocked(st *Stream) string {
	n := count(int(st.kept), "pack")
	if p := s.held.trying; p != nil && p.st == st {
		return n + " refused: " + p.refusals.last.Error()
	}
	for _, p := range s.held.packs {
		if p.st == st {
			return n + " refused: " + p.refusals.last.Error()
		}
	}
	return n + " refused"
}
