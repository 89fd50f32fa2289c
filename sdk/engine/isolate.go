package engine

import (
	"slices"
	"time"

	"inlong-bridge/sdk/finality"
)

// A pack that makes proxies close the connection takes down all that is in flight there. So the oldest unanswered pack of
// a connection that ended is isolated: it travels alone, and if that ends a connection again, it waits longer each time,
// while the other packs go on.
//
// Such a pack may hold one record that proxies cannot take among thousands that are fine. So a pack that ended the
// connections on which it was alone, to two proxies, is cut in halves, which travel alone as well, down to the one
// record, which is refused after some more tries.
//
// The halves are packs with names of their own. In mode queue the whole one stays known: it may have been stored before
// the connection ended, and when it is seen, everything that it was cut into is final.

// poisonTries is how many connections a single record must end, of two proxies or more, until it is
// refused: two that are restarted while they have it prove nothing.
const poisonTries = 8

// aloneRecord is what happened to a pack while it travelled alone.
type aloneRecord struct {
	ends      int         // connections that ended
	endpoints []*Endpoint // to these proxies
	whole     string      // why it cannot be cut; empty for no reason
}

// ended notes that a connection ended on which the pack was alone. It counts when the proxy ended it, and had answered
// something before: a heartbeat goes ahead of such a pack. A proxy that accepts connections and closes them whatever
// comes says nothing about the pack.
func (r *aloneRecord) ended(c *Conn) {
	if c.byUs || !c.answers {
		return
	}
	r.ends++
	if !slices.Contains(r.endpoints, c.endpoint) {
		r.endpoints = append(r.endpoints, c.endpoint)
	}
}

// Ends is how many connections in a row ended while the pack was their oldest unanswered one.
func (p *Pack) Ends() int { return p.ends }

// EndedBy says how many connections ended on which the pack was alone, which proxies ended them, and why the pack cannot
// be cut, if so.
func (p *Pack) EndedBy() (times int, by []*Endpoint, whole string) {
	return p.alone.ends, p.alone.endpoints, p.alone.whole
}

// suspected reports whether there is more against the pack than that it was on a connection that ended.
func (p *Pack) suspected() bool { return p.Alone || p.alone.ends > 0 }

// blame lets a pack wait again after its connection ended: alone if it was the oldest unanswered pack there.
func (e *Engine) blame(p *Pack, c *Conn, oldest, taken bool, now time.Duration) {
	wasAlone := p.isolated && taken
	p.isolated = oldest && taken
	if p.isolated {
		if p.ends++; p.ends > 1 {
			p.notBefore = now + e.pause(e.cfg.Retry, p.ends-2)
			e.emit(Effect{Kind: PackEndsConns, Pack: p, Endpoint: p.endpoint, Times: p.ends})
		}
	}
	if wasAlone {
		if p.alone.ended(c); e.isolate(p) {
			return
		}
	}
	e.enqueue(p)
}

// isolate has a waiting pack cut, or gives up a single record, when it has ended enough connections, and reports
// whether it did.
func (e *Engine) isolate(p *Pack) bool {
	r := &p.alone
	switch {
	case len(r.endpoints) < 2 && (r.ends < 2 || len(p.stream.list.endpoints) > 1):
		return false
	case p.Records > 1:
		p.cutting = true
		e.emit(Effect{Kind: Cut, Pack: p, Cause: ByIsolation, Endpoint: p.endpoint, Times: r.ends})
		return true
	case len(r.endpoints) < 2 || r.ends < poisonTries:
		return false
	}
	e.refuse(p, Effect{Cause: ByIsolation, Endpoint: p.endpoint, Times: r.ends})
	return true
}

// NotParted answers Cut: the pack cannot be cut because of why. It is tried again as it is.
func (e *Engine) NotParted(p *Pack, why string) {
	p.alone.whole, p.cutting = why, false
	if p.state == Waiting { // else it was seen, or abandoned, while the owner tried
		e.enqueue(p)
	}
}

// Parted answers Cut or Judge: first and second hold the records of the waiting pack p. The bytes of p are not needed any more.
// It reports whether p stays known: PackForgotten follows then, else this is the end of p.
func (e *Engine) Parted(p, first, second *Pack, now time.Duration) (known bool) {
	if p.state != Waiting {
		panic("bug: pack parted that is " + p.state.String())
	}
	p.cutting, p.refusal = false, nil
	p.stream.trouble().Cut++
	for _, q := range [...]*Pack{first, second} {
		q.stream, q.endpoint, q.maybe, q.isolated = p.stream, p.endpoint, p.maybe, true
		e.register(q)
	}
	if known = e.cfg.Finality.Mode == finality.Queue; known {
		e.setState(p, Split)
		p.named = false
		p.parts, p.unended = [2]*Pack{first, second}, 2
		first.parent, second.parent = p, p
	} else { // no news of the whole can come any more
		e.confirm.Drop(finality.Pack(p.seq), now)
		e.done(p)
	}
	e.enqueue(first)
	e.enqueue(second)
	return known
}

// wholeSeen: a pack that was cut was seen in the queue, so all parts of it are there.
func (e *Engine) wholeSeen(p *Pack, now time.Duration) {
	for _, q := range p.parts {
		switch {
		case q.state == Done:
		case q.state == Waiting && q.sends == 0: // package finality does not know it yet
			e.final(q)
		default:
			e.confirm.Seen(finality.Pack(q.seq), now)
		}
	}
	e.forgetSplit(p)
}

// partEnded notes that nothing more will be heard of a part. When that is so for both, nobody needs to
// know of the whole pack any more.
func (e *Engine) partEnded(q *Pack) {
	p := q.parent
	if p == nil {
		return
	}
	q.parent = nil
	if p.unended--; p.unended == 0 && p.state == Split {
		e.confirm.Drop(finality.Pack(p.seq), 0)
		e.forgetSplit(p)
	}
}

// forgetSplit drops what is known of a pack that was cut.
func (e *Engine) forgetSplit(p *Pack) {
	if p.state != Split {
		return
	}
	p.parts = [2]*Pack{}
	e.unregister(p)
	e.emit(Effect{Kind: PackForgotten, Pack: p})
}
