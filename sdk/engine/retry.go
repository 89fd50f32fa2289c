package engine

import (
	"slices"
	"time"
)

// sendAgain lets a pack wait again whose connection ended before it answered. Its bytes and its name stay. oldest says
// that it was the oldest unanswered pack of that connection.
func (e *Engine) sendAgain(p *Pack, oldest bool, why string, now time.Duration) {
	c, taken := p.conn, p.taken
	p.maybe = p.maybe || taken
	e.unhand(p)
	e.setState(p, Waiting)
	if p.probed() {
		e.probeEnded(p, c, taken && c.answers, now)
		return
	}
	if taken && !c.answers {
		// 1. a load balancer without proxies accepts a connection  2. it gets packs  3. it closes the connection
		// That says nothing about the packs. On the next connection there a heartbeat is answered before.
		e.enqueue(p)
		return
	}
	if taken && e.tryFailed(p, c.endpoint, nil, why) {
		return
	}
	e.blame(p, c, oldest, taken, now)
}

// tryFailed counts a try of a waiting pack that failed, and gives the pack up when it was the last one that
// Config.RetryLimit allows. err says why, or if that is nil ep and why.
func (e *Engine) tryFailed(p *Pack, ep *Endpoint, err error, why string) (gaveUp bool) {
	p.fails++
	if e.cfg.RetryLimit == NoRetryLimit || p.fails <= e.cfg.RetryLimit {
		return false
	}
	e.refuse(p, Effect{Cause: ByRetries, Endpoint: ep, Err: err, Reason: why, Times: p.fails})
	return true
}

// triesFailed counts a failed dial to ep, as err or why says, as a try of every pack that waits for a proxy while none at
// all is connected. Packs that are not encoded yet are still in other hands.
func (e *Engine) triesFailed(ep *Endpoint, err error, why string) {
	if e.cfg.RetryLimit == NoRetryLimit {
		return
	}
	waiting := slices.Clone(e.isolated)
	for _, st := range e.streams {
		for l := range lanes {
			if ln := st.line(l); ln != nil {
				for p := ln.head; p != nil; p = p.next {
					waiting = append(waiting, p)
				}
			}
		}
	}
	for _, p := range waiting {
		if p.state == Waiting && !p.probed() && p.encoded && p.stream.list.unreachable(ep) {
			e.tryFailed(p, ep, err, why)
		}
	}
}
