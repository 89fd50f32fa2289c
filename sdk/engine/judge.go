package engine

import (
	"cmp"
	"slices"
	"time"

	"inlong-bridge/sdk/finality"
)

// A pack whose permanent refusal is believed, or that ends connections and cannot be cut, is judged: Judge and Cut ask the
// owner, who keeps it, cuts it, takes its records back to hand them over in smaller packs, or gives it up.
//
// 1. proxies refuse everything of a stream  2. each of its packs is cut down  3. each record travels in a pack of its own. So
// while no pack of the stream is acked, one refused pack is cut at a time, down to the record: only one with fewer records than
// the one before is judged. The others wait for their turn, the smallest first.

// Verdict is what an owner says of a pack.
type Verdict uint8

const (
	Keep     Verdict = iota // as if nobody had been asked: held or given up as Config.HoldRefused says
	TakeBack                // the owner has its records, and hands them over again
	GiveUp
)

func (v Verdict) String() string {
	switch v {
	case Keep:
		return "keep"
	case TakeBack:
		return "take back"
	case GiveUp:
		return "give up"
	}
	return "unknown"
}

// cutPause is how long a refused pack waits for the one before it, of which nothing is heard any more: it was acked in
// parts by then, or lies with the owner.
const cutPause = 15 * time.Second

// refusedTurn says which refused pack of a stream may be judged.
type refusedTurn struct {
	records int32         // of the pack that was judged last; 0: any may be
	until   time.Duration // any may be from then on
}

// mayJudge reports whether it is the pack's turn.
func (t *refusedTurn) mayJudge(p *Pack, now time.Duration) bool {
	return t.records == 0 || p.Records < t.records || now >= t.until
}

// judge asks the owner about a waiting pack whose refusal is believed, if it is its turn, and reports whether it was. After Flush
// nothing can be handed over again: what may be held is held.
func (e *Engine) judge(p *Pack, now time.Duration) bool {
	if e.flushed && e.cfg.HoldRefused {
		e.keep(p, now)
		return true
	}
	t := &p.stream.trouble().turn
	if !t.mayJudge(p, now) {
		return false
	}
	t.records, t.until = p.Records, now+cutPause
	p.cutting = true
	e.emit(Effect{Kind: Judge, Pack: p, Cause: ByProxies, Endpoint: p.endpoint, Err: p.refusal.last})
	return true
}

// anyTurn lets any refused pack of a stream be judged.
func (e *Engine) anyTurn(st *Stream) {
	if t := st.troubles; t != nil && t.turn.records > 0 {
		t.turn.records = 0
		e.refused.look = true
	}
}

// takeTurns asks about the refused packs whose turn it is.
func (e *Engine) takeTurns(now time.Duration) {
	h := &e.refused
	if !h.look {
		return
	}
	h.look = false
	slices.SortFunc(h.turns, func(a, b *Pack) int { return cmp.Or(cmp.Compare(a.Records, b.Records), bySeq(a, b)) })
	h.turns = slices.DeleteFunc(h.turns, func(p *Pack) bool { return p.state != Waiting || e.judge(p, now) }) // else it was seen meanwhile
}

// Judged answers Judge, or Cut for a pack that is neither cut nor kept.
func (e *Engine) Judged(p *Pack, v Verdict, now time.Duration) {
	p.cutting = false
	if v != TakeBack || p.state != Waiting {
		e.anyTurn(p.stream)
	}
	if p.state != Waiting {
		return // it was seen, or abandoned, while the owner was asked
	}
	f := Effect{Cause: ByIsolation, Endpoint: p.endpoint, Times: p.alone.ends}
	if r := p.refusal; r != nil && r.believed {
		f = Effect{Cause: ByProxies, Endpoint: p.endpoint, Err: r.last}
	}
	switch {
	case v == TakeBack && !e.flushed:
		e.takeBack(p, f)
	case v == TakeBack && f.Cause == ByIsolation: // it is too late for its records to be handed over again
		e.enqueue(p)
	case v != GiveUp && e.cfg.HoldRefused:
		e.keep(p, now)
	default:
		e.refuse(p, f)
	}
}

// takeBack ends a waiting pack whose records the owner has. In mode queue it stays known, as a lost one does: a copy may have
// been stored before its connection ended.
func (e *Engine) takeBack(p *Pack, f Effect) {
	p.stream.trouble().Cut++
	p.refusal, p.isolated, p.named = nil, false, false
	if p.Followed && e.cfg.Finality.Mode == finality.Queue {
		e.setState(p, Lost)
	} else {
		e.confirm.Drop(finality.Pack(p.seq), 0)
		e.done(p)
	}
	f.Kind, f.Pack = PackTakenBack, p
	e.emit(f)
}
