package sdk

import (
	"context"
	"fmt"
)

// Isolation says what groups share.
type Isolation uint8

const (
	// ShareConnections is the default: groups share the connections to a proxy that stands on the lists of
	// several. Each stream has queues of its own in any case.
	ShareConnections Isolation = iota
	// IsolateGroups gives each group connections of its own.
	IsolateGroups
	// IsolateGroupsShareList gives each group connections of its own, and asks the Manager for the list of
	// proxies once per cluster instead of once per group. A group that moves to another cluster is found
	// out by every tenth refresh.
	IsolateGroupsShareList
)

// WithIsolation says what groups share. Windows, rates, pauses and limits belong to connections, so
// isolated groups have their own. Default ShareConnections.
func WithIsolation(i Isolation) Option { return optionFunc(func(o *options) { o.isolation = i }) }

// endpointKey tells endpoints apart: group is empty where groups share them.
type endpointKey struct{ group, addr string }

// AddGroup prepares for sending to a group: it begins to ask for the group's proxies, if nobody did, and
// waits until one of them is connected. Nothing depends on it: Stream begins the same and does not wait.
// When ctx ends first, the preparations go on. A group that was added stays when the last of its streams is forgotten.
func (s *Sender) AddGroup(ctx context.Context, name string) error {
	if err := checkID("groupId", name); err != nil {
		return fmt.Errorf("adding group: %w", err)
	}
	for {
		wait := s.warmer.Next()
		s.mu.Lock()
		if s.end.closing.Load() {
			s.mu.Unlock()
			return ErrClosed
		}
		l := s.proxiesOfLocked(name)
		if g := s.proxies.groups[name]; g != nil {
			g.prepared = true
		}
		reason := s.unconnectedLocked(l, name)
		todo := s.progressLocked()
		s.mu.Unlock()
		todo.perform()
		if reason == "" {
			return nil
		}
		select {
		case <-wait:
		case <-s.ctx.Done():
			return ErrClosed
		case <-ctx.Done():
			s.mu.Lock()
			if reason = s.unconnectedLocked(l, name); reason == "" {
				reason = "a proxy was connected too late"
			}
			s.mu.Unlock()
			return fmt.Errorf("adding group %s: %s: %w", name, reason, context.Cause(ctx))
		}
	}
}

// unconnectedLocked says why no proxy of a list is connected; empty when one is. Under mu.
func (s *Sender) unconnectedLocked(l *proxyList, group string) (reason string) {
	if len(l.life.Endpoints()) == 0 {
		if len(l.addrs) > 0 {
			return "the names of the proxies are being resolved"
		}
		if g := s.proxies.groups[group]; g != nil && g.state.LastErr != "" {
			return "no list of proxies: " + g.state.LastErr
		}
		return "no list of proxies yet"
	}
	reason = "no proxy is connected"
	for _, life := range l.life.Endpoints() {
		if life.Up() {
			return ""
		}
		ep := s.proxies.endpointOfLocked(life)
		if ep.lastErr != "" {
			reason = "no proxy is connected: " + ep.lastErr
		}
	}
	return reason
}
