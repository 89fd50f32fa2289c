package model

import (
	"errors"

	"inlong-bridge/sdk"
	"inlong-bridge/sdk/engine"
)

// question is what the tokens of a pack are asked, and answer after a while.
type question struct {
	p       *pack
	r       sdk.Result
	refused bool // else it ends connections and is one piece
}

// answerQuestions has tokens answer.
func (s *sender) answerQuestions() {
	asked := s.questions
	s.questions = nil
	for _, q := range asked {
		if s.m.r.IntN(3) == 0 {
			s.questions = append(s.questions, q)
			continue
		}
		s.fed()
		s.answer(q)
		s.progress()
	}
}

func (s *sender) answer(q *question) {
	p := q.p
	if p.State() != engine.Waiting { // it was seen meanwhile
		s.e.Judged(&p.Pack, engine.Keep, s.now())
		return
	}
	v, same := sdk.Keep, true
	for i, pc := range p.pieces {
		answer := pc.token.(sdk.Judge).Judge(pc.id, q.r)
		same = same && (i == 0 || answer == v)
		v = answer
	}
	switch {
	case len(p.pieces) > 1 && (!same || v != sdk.Keep) && p.ordered:
		s.m.w.happened(packBackInOrder)
		s.e.Judged(&p.Pack, engine.TakeBack, s.now())
	case len(p.pieces) > 1 && (!same || v != sdk.Keep):
		s.m.w.happened(packCutRefused)
		s.part(p, s.boundary(p))
	case v == sdk.Keep && !q.refused:
		s.e.NotParted(&p.Pack, "its records share a piece")
	default:
		if v == sdk.GiveUp && q.refused && len(p.records) == 1 {
			s.m.w.happened(recordGivenUp)
		}
		s.e.Judged(&p.Pack, engine.Verdict(v), s.now())
	}
}

// boundary is the beginning of the piece nearest below the middle of a pack, 0 for a pack of one piece.
func (s *sender) boundary(p *pack) (at int) {
	for _, pc := range p.pieces[1:] {
		if at == 0 || pc.from <= len(p.records)/2 {
			at = pc.from
		}
	}
	return at
}

// refusalError is what the sender tells of a pack that is given up or taken back.
func refusalError(f *engine.Effect) error {
	if f.Cause == engine.ByIsolation {
		return new(sdk.PoisonError)
	}
	return errors.New(f.Cause.String())
}
