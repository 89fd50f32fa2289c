package sdk

import (
	"slices"
	"time"

	"inlong-bridge/sdk/engine"
)

// Lost and held packs are kept because somebody may want news of them. Their tokens are asked about that once in a
// while, so many packs at a time.
const (
	forgetEvery = time.Second
	forgetBatch = 256
)

// forgetting is the packs whose tokens are asked whether they forgot them. Guarded by Sender.mu.
type forgetting struct {
	lost           []*pack // in the order in which they are asked
	asking         bool    // about some of them
	nextAsk        time.Duration
	askedHeld      int // index among the held packs from which they are asked next
	askingHeld     bool
	nextAskForHeld time.Duration
}

// askForgottenLocked lets the notifier ask the tokens of some lost packs whether news of them still matters.
// Under mu.
func (s *Sender) askForgottenLocked(now time.Duration) {
	f := &s.forgetting
	if len(f.lost) == 0 || f.asking || now < f.nextAsk {
		return
	}
	f.asking, f.nextAsk = true, now+forgetEvery
	n := min(len(f.lost), forgetBatch)
	asked := make([]*pack, 0, n)
	for _, p := range f.lost[:n] {
		if p.life.State() == engine.Lost {
			asked = append(asked, p)
		}
	}
	f.lost = f.lost[n:]
	lists := piecesOf(asked)
	s.notify.post(event{ask: func() { s.forgetLost(asked, lists) }})
}

func piecesOf(packs []*pack) [][]piece {
	lists := make([][]piece, len(packs))
	for i, p := range packs {
		lists[i] = p.pieces
	}
	return lists
}

// forgetLost runs on the notifier's goroutine.
func (s *Sender) forgetLost(asked []*pack, lists [][]piece) {
	gone := make([]bool, len(asked))
	for i, pieces := range lists {
		gone[i] = s.notify.forgotten(pieces)
	}
	s.mu.Lock()
	now := s.now()
	for i, p := range asked {
		switch {
		case p.life.State() != engine.Lost: // seen meanwhile
		case gone[i]:
			s.e.Forget(&p.life, now)
			p.pieces = nil
			s.lossEndedLocked(p, false, now)
			s.packs.drop(p.life.Ref)
		default:
			s.forgetting.lost = append(s.forgetting.lost, p)
		}
	}
	s.forgetting.asking = false
	todo := s.progressLocked()
	s.mu.Unlock()
	todo.perform()
}

// askHeldLocked lets the notifier ask the tokens of some held packs whether anybody still wants them: a piece that moved
// to another process, say, is sent by that one. Under mu.
func (s *Sender) askHeldLocked(now time.Duration) {
	f, held := &s.forgetting, s.e.HeldPacks()
	if len(held) == 0 || f.askingHeld || now < f.nextAskForHeld {
		return
	}
	f.askingHeld, f.nextAskForHeld = true, now+forgetEvery
	if f.askedHeld >= len(held) {
		f.askedHeld = 0
	}
	var asked []*pack
	next := min(f.askedHeld+forgetBatch, len(held))
	for _, h := range held[f.askedHeld:next] {
		// Whoever gave a callback waits for its call.
		if p := s.packs.at(h.Ref); len(p.pieces) > 0 && len(p.calls) == 0 && !slices.ContainsFunc(p.pieces, piece.single) {
			asked = append(asked, p)
		}
	}
	f.askedHeld = next
	lists := piecesOf(asked)
	s.notify.post(event{ask: func() { s.forgetHeld(asked, lists) }})
}

// forgetHeld runs on the notifier's goroutine.
func (s *Sender) forgetHeld(asked []*pack, lists [][]piece) {
	gone := make([]bool, len(asked))
	for i, pieces := range lists {
		gone[i] = s.notify.forgotten(pieces)
	}
	s.mu.Lock()
	s.forgetting.askingHeld = false
	now := s.now()
	for i, p := range asked {
		if gone[i] && p.life.State() == engine.Held {
			s.e.Forget(&p.life, now)
			p.pieces = nil
			s.endLocked(p, event{})
		}
	}
	todo := s.progressLocked()
	s.mu.Unlock()
	todo.perform()
}

// single reports whether a piece is a message with callbacks, which waits for its last call as well.
func (pc piece) single() bool {
	_, ok := pc.token.(*callbacks)
	return ok
}
