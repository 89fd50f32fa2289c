package sdk

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"inlong-bridge/sdk/internal/names"
)

// ResolveFunc returns the addresses of a host.
type ResolveFunc func(ctx context.Context, host string) ([]netip.Addr, error)

// WithResolver replaces the resolution of proxies' names; nil leaves names to the dial function as they are. Default: the
// system's resolver, or nil where WithDial is given. Of a name with addresses of both families those of IPv4 are
// used, unless nothing is reached by IPv4 from here.
func WithResolver(resolve ResolveFunc) Option {
	return optionFunc(func(o *options) { o.resolve, o.resolveGiven = resolve, true })
}

// targetsLocked returns what the addresses of a list stand for now, and begins to resolve the names among them. A
// name of which nothing is known yet stands for nothing: an answer, or none, comes within the dial time-out. Under mu.
func (s *Sender) targetsLocked(addrs []string) []names.Target {
	d := &s.proxies
	if d.names == nil {
		return names.AsGiven(addrs)
	}
	targets, fresh := d.names.Targets(addrs)
	if fresh && !d.resolving && !s.end.stopped {
		d.resolving = true
		s.wg.Go(s.resolveLoop)
	}
	if fresh {
		d.resolveWake.Poke()
	}
	return targets
}

// resolveLoop asks for the addresses of names until the sender stops: of new ones at once, of all as often as the
// Manager is asked.
func (s *Sender) resolveLoop() {
	names.Loop(s.ctx, s.proxies.resolveWake, func() time.Duration { return refreshPause(s.o.refresh) }, s.resolveNames)
}

// resolveNames asks for the addresses of all names, or only of those that nobody has asked for yet.
func (s *Sender) resolveNames(all bool) {
	s.mu.Lock()
	used := make(map[string]bool)
	s.proxies.eachListLocked(func(l *proxyList) {
		for _, addr := range l.addrs {
			used[addr] = true
		}
	})
	questions := s.proxies.names.Questions(func(addr string) bool { return used[addr] }, all)
	s.mu.Unlock()

	names.Ask(s.ctx, questions, names.Resolve(s.o.resolve), s.o.dialTimeout)
	if s.ctx.Err() != nil {
		return // answers that were cut off say nothing
	}

	s.mu.Lock()
	changed := make(map[string]bool)
	for _, q := range questions {
		changed[q.Addr] = s.proxies.names.Answered(q, s.proxies.connectedLocked)
	}
	if !s.end.stopped {
		s.proxies.eachListLocked(func(l *proxyList) {
			if slices.ContainsFunc(l.addrs, func(addr string) bool { return changed[addr] }) {
				s.applyLocked(l, l.addrs)
			}
		})
	}
	s.warmer.Wake()
	todo := s.progressLocked()
	s.mu.Unlock()
	todo.perform()
}

// connectedLocked reports whether a proxy has a connection. Under Sender.mu.
func (d *directory) connectedLocked(label string) bool {
	for _, ep := range d.endpointList {
		if ep.addr == label && ep.life.Up() {
			return true
		}
	}
	return false
}
