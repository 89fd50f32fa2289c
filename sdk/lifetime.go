package sdk

import (
	"context"
	mathrand "math/rand/v2"
	"time"
)

// A connection that reached its lifetime is replaced before it is closed, so that its proxy never stands without one: another
// one is opened beside it, and once something was answered there, the old one takes no new packs and is closed when nothing
// on it is unanswered or acked and not final. The slot goes over to the new connection. If that ends before it answered
// anything, the old one keeps the slot, and it is tried again.

// WithMaxConnLifetime replaces connections that are older than d less up to an eighth at random, for load balancers that cut
// old connections or would never share them out again. The new one is opened first, and the old one is closed once nothing
// is in flight on it, and nothing that was acked there is not final. At least a second. Default: no limit.
func WithMaxConnLifetime(d time.Duration) Option {
	return optionFunc(func(o *options) { o.maxLifetime, o.lifetimeSet = d, true })
}

const minLifetime = time.Second

// renewLater begins to wait for the end of the lifetime of a connection that has a slot.
func (s *Sender) renewLater(ctx context.Context, c *conn, first bool) {
	if s.o.maxLifetime > 0 {
		s.wg.Go(func() { s.renewLoop(ctx, c, first) })
	}
}

// renewLoop opens another connection when c has reached its lifetime, and keeps the slot of that. It ends when c ends first.
func (s *Sender) renewLoop(ctx context.Context, c *conn, first bool) {
	pauses := s.o.backoff() // the old one does the work: there is no hurry
	wait := s.o.maxLifetime - time.Duration(mathrand.Float64()*float64(s.o.maxLifetime)/8)
	for failed := 0; ; failed++ {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-c.stop:
			timer.Stop()
			return
		case <-timer.C:
		}
		wait = pauses.Pause(failed, mathrand.Float64())
		if c.before != nil {
			select {
			case <-c.before.stop:
			default:
				continue // the one before still waits for what it acked: no third one
			}
			c.before = nil
		}
		nc, err := s.dialProxy(ctx, c.ep)
		if err != nil {
			if failed == 0 && ctx.Err() == nil {
				s.o.logger.Warn("a connection has reached its lifetime, and another one cannot be opened; it goes on", "endpoint", c.ep.addr, "err", err)
			}
			continue
		}
		s.mu.Lock()
		if ctx.Err() != nil || c.ended {
			s.mu.Unlock()
			nc.Close() //nolint:errcheck // never used
			return
		}
		// It may lead to a load balancer without a proxy: it has to answer before it takes packs, and c none.
		next := s.connectedLocked(c.ep, nc, true, false, first)
		next.life.Renews = true
		c.next, next.replaces, next.before = next, c, c
		todo := s.progressLocked()
		s.mu.Unlock()
		todo.perform()
		if s.slotLoop(ctx, c.ep, first, next) {
			return
		}
	}
}

// provenLocked has a connection take over the slot of the one that it replaces, and reports whether there is one. Under mu.
func (s *Sender) provenLocked(c *conn) bool {
	old := c.replaces
	if old == nil {
		return false
	}
	c.replaces = nil
	s.e.Retire(&old.life)
	return true
}

// after says who keeps the slot of a connection that ended: its own goroutine (keep), that of the connection that
// replaces it, or that of the one that it was to replace (not mine).
func (s *Sender) after(c *conn) (keep, mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.ended = true
	if next := c.next; next != nil {
		next.replaces = nil
		return false, true
	}
	if old := c.replaces; old != nil {
		old.next, c.replaces = nil, nil
		return false, false
	}
	return true, true
}
