package sdk

import (
	"fmt"
	"slices"
)

// tryFailedLocked counts a try of a waiting pack that came to nothing, and gives the pack up when it was the
// last one that WithRetryLimit allows. Under mu.
func (s *Sender) tryFailedLocked(p *pack, why error) (gaveUp bool) {
	p.fails++
	if s.o.retryLimit == NoRetryLimit || p.fails <= s.o.retryLimit {
		return false
	}
	r := Result{Outcome: Refused, Err: &RetryError{Attempts: p.fails, Last: why, maybe: p.maybe}}
	if p.endpoint != nil {
		r.Endpoint = p.endpoint.addr
	}
	s.refuseLocked(p, r)
	return true
}

// dialFailedLocked counts as a try of every pack that waits for a proxy while none at all is connected; so does an
// unproven connection that ended without an answer. Packs
// that are not encoded yet are still in other hands. Under mu.
func (s *Sender) dialFailedLocked(ep *endpoint, why error) {
	if s.o.retryLimit == NoRetryLimit {
		return
	}
	failed := func(packs []*pack) {
		for _, p := range packs {
			if p.state == packWaiting && !p.trying() && p.frame != nil && p.st.proxies.unreachableLocked(ep) {
				s.tryFailedLocked(p, why)
			}
		}
	}
	failed(s.suspects)
	for _, st := range s.streamList {
		if !st.proxies.unreachableLocked(ep) {
			continue
		}
		for i := range st.queues {
			var waiting []*pack
			for p := st.queues[i].head; p != nil; p = p.next {
				waiting = append(waiting, p)
			}
			failed(waiting)
		}
	}
}

// unreachableLocked reports whether ep is on the list and nothing on the list is connected.
func (l *proxyList) unreachableLocked(ep *endpoint) bool {
	return slices.Contains(l.endpoints, ep) &&
		!slices.ContainsFunc(l.endpoints, (*endpoint).upLocked)
}

// failureLocked is the error of a try that ended with its connection.
func (ep *endpoint) failureLocked(why string) error {
	if ep.lastErr != "" {
		why = ep.lastErr
	}
	return fmt.Errorf("proxy %s: %s", ep.addr, why)
}
