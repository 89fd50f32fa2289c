package confirm

import (
	"context"
	"fmt"
	"time"
)

// question is what is asked of a cluster, whatever kind it is.
type question struct {
	once    func(ctx context.Context) (Listing, error)
	mayPass func(err error) bool  // whether an error may be gone when asked again
	explain func(err error) error // says more of one that stays; nil for nothing
	hint    string                // what to look at when there is no answer
}

// ask asks again for as long as the reader's timeout what may be well soon. fresh is the ticket taken before
// the call.
func (h *health) ask(parent context.Context, fresh Ticket, q question) (Listing, error) {
	ctx, cancel := context.WithTimeout(parent, h.r.timeout)
	defer cancel()
	defer context.AfterFunc(h.r.life, cancel)()
	var last error
	for pause := 50 * time.Millisecond; ctx.Err() == nil; pause = min(2*pause, time.Second) {
		l, err := q.once(ctx)
		if err == nil {
			l.Fresh = fresh
			return l, nil
		}
		if last == nil || ctx.Err() == nil {
			last = err // what was wrong, rather than that time is up
		}
		if !q.mayPass(err) {
			break
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
	switch {
	case h.r.life.Err() != nil:
		return Listing{}, ErrClosed
	case parent.Err() != nil:
		return Listing{}, fmt.Errorf("asking queue cluster %s: %w", h.cluster, context.Cause(parent))
	case last == nil || q.mayPass(last):
		return Listing{}, fmt.Errorf("queue cluster %s has not answered for %v: %w (hint: %s)", h.cluster, h.r.timeout, last, q.hint)
	}
	if q.explain != nil {
		last = q.explain(last)
	}
	return Listing{}, fmt.Errorf("asking queue cluster %s: %w", h.cluster, last)
}

// refresh looks at the cluster once a second, and when kicked, until ctx ends. look reports whether the
// cluster answered.
func (h *health) refresh(ctx context.Context, kick <-chan struct{}, look func(ctx context.Context) bool) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-kick:
		case <-ctx.Done():
			return
		}
		began := time.Now()
		next := refreshEvery
		if look(ctx) {
			// A cluster that has a lot to list is asked less often, one that does not answer is not.
			next = min(max(refreshEvery, 10*time.Since(began)), refreshAtLeast)
		}
		timer.Reset(next)
		h.r.healthChanged() // a fault may be over
	}
}
