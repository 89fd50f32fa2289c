package sdk

import (
	"fmt"
	"slices"
	"time"

	"inlong-bridge/sdk/engine"
)

// Packs that proxies do not take are decided by the tokens of their pieces; engine/judge.go says when they are asked.

// Judge is a Token that decides about what proxies do not take. Without it, what is refused permanently is given up, or held
// with WithRefusedRetry, and a pack that ends connections and cannot be cut is tried again.
type Judge interface {
	Token
	// Judge is asked about a piece after two proxies, or all there are, refused its pack permanently, or ended their
	// connections when it came and it holds nothing but this piece, and more than one record. r has the error. The answer
	// decides only where it holds for the whole pack. Otherwise the pack is cut between its pieces, and its parts are
	// tried again, alone, through two proxies each. Judge is called as Settled is, and may be asked more than once.
	Judge(piece uint64, r Result) Verdict
}

// Verdict is what a Judge says.
type Verdict uint8

const (
	Keep     Verdict = Verdict(engine.Keep)     // as if the token were no Judge
	TakeBack Verdict = Verdict(engine.TakeBack) // the token hands the records over again, in smaller pieces: TakenBack follows
	GiveUp   Verdict = Verdict(engine.GiveUp)   // Refused follows
)

func (v Verdict) String() string { return engine.Verdict(v).String() }

// judgeLocked asks the tokens about a pack whose refusal is believed, and reports whether the engine was told already what
// comes of it. Under mu.
func (s *Sender) judgeLocked(f *engine.Effect, now time.Duration) (told bool) {
	p := s.packs.at(f.Pack.Ref)
	if p.life.State() != engine.Waiting || !slices.ContainsFunc(p.pieces, piece.isJudged) {
		s.e.Judged(&p.life, engine.Keep, now)
		return true
	}
	s.askJudgesLocked(p, f, func(v Verdict, whole bool, now time.Duration) {
		if !whole && isOrdered(p) {
			v = TakeBack
		} else if !whole {
			if n, _ := p.boundary(); n > 0 && s.partLocked(p, n, 0, now) == nil {
				return
			}
			v = Keep
		}
		s.e.Judged(&p.life, engine.Verdict(v), now)
	})
	return false
}

// judgeWholeLocked asks the token about a pack that ends connections and holds nothing but one piece. Under mu.
func (s *Sender) judgeWholeLocked(p *pack, f *engine.Effect) (told bool) {
	const why = "its records share a piece that cannot be cut"
	if !p.pieces[0].isJudged() {
		s.e.NotParted(&p.life, why)
		return true
	}
	s.askJudgesLocked(p, f, func(v Verdict, _ bool, now time.Duration) {
		if v == Keep {
			s.e.NotParted(&p.life, why)
			return
		}
		s.e.Judged(&p.life, engine.Verdict(v), now)
	})
	return false
}

// askJudgesLocked asks the tokens of a pack's pieces without a lock, and calls answered under mu: with the verdict, and whether
// it holds for the whole pack. Under mu.
func (s *Sender) askJudgesLocked(p *pack, f *engine.Effect, answered func(v Verdict, whole bool, now time.Duration)) {
	pieces, r := p.pieces, s.refusalLocked(p, f)
	s.notify.post(event{ask: func() {
		verdicts := make([]Verdict, len(pieces))
		for i, pc := range pieces {
			verdicts[i] = s.askJudge(pc, r)
		}
		s.mu.Lock()
		switch now := s.now(); {
		case p.life.State() != engine.Waiting: // it was seen meanwhile, or the sender is closed
			s.e.Judged(&p.life, engine.Keep, now)
		case !slices.ContainsFunc(verdicts, func(v Verdict) bool { return v != Keep }):
			answered(Keep, true, now)
		default:
			answered(verdicts[0], len(pieces) == 1 && int(pieces[0].to-pieces[0].from) == p.count, now)
		}
		todo := s.progressLocked()
		s.mu.Unlock()
		todo.perform()
	}})
}

// askJudge asks a token about its piece. One that panics keeps it, and so does one that is no Judge.
func (s *Sender) askJudge(pc piece, r Result) (v Verdict) {
	defer func() {
		if r := recover(); r != nil {
			s.o.logger.Error("token panicked when asked about a piece that proxies do not take", "panic", fmt.Sprint(r))
		}
	}()
	if j, ok := pc.token.(Judge); ok {
		v = j.Judge(pc.id, r)
	}
	return v
}

// isJudged reports whether the piece's token is a Judge.
func (pc piece) isJudged() bool {
	_, ok := pc.token.(Judge)
	return ok
}

// packTakenBackLocked: the token hands the records over again. In mode queue the pack stays known as long as news of it
// matters to anybody. Under mu.
func (s *Sender) packTakenBackLocked(p *pack, f *engine.Effect, now time.Duration) {
	r := s.refusalLocked(p, f)
	r.Outcome = TakenBack
	s.o.logger.Warn("a pack that proxies do not take is handed over again in smaller ones", "stream", p.st.text, "endpoint", r.Endpoint,
		"records", p.count, "err", r.Err)
	if p.life.State() != engine.Lost {
		s.endLocked(p, event{result: r})
		return
	}
	s.ranAheadLocked(p, now)
	s.unloadLocked(p)
	s.notify.post(event{pieces: p.pieces, result: r})
	s.forgetting.lost = append(s.forgetting.lost, p)
}
