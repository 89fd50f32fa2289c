package sdk

import (
	"context"
	mathrand "math/rand/v2"
	"time"

	"inlong-bridge/sdk/backoff"
	"inlong-bridge/sdk/internal/lists"
	"inlong-bridge/sdk/manager"
)

// group is one InLong group whose proxies the Manager names. Guarded by Sender.mu.
type group struct {
	name     string
	number   int    // in the order of first use
	streams  int    // that are known
	prepared bool   // by AddGroup: it stays when it has no streams
	folded   bool   // constant; has no numbers of its own in metrics
	end      func() // ends the questions to the Manager; nil without any
	list     proxyList
	state    lists.State
}

// proxiesOfLocked returns the list of proxies for a group and, the first time, begins to ask for it. Under mu.
func (s *Sender) proxiesOfLocked(name string) *proxyList {
	if s.proxies.static != nil {
		return s.proxies.static
	}
	g := s.proxies.groups[name]
	if g == nil {
		g = &group{name: name, number: s.openings.groups, state: lists.State{Source: "manager"}, folded: s.openings.ownGroups >= s.o.metricStreams}
		s.openings.groups++
		if !g.folded {
			s.openings.ownGroups++
		}
		s.proxies.groups[name] = g
		s.e.AddList(&g.list.life)
		if s.o.isolation != ShareConnections {
			g.list.owner = name
		}
		if len(s.o.proxies) > 0 {
			g.state.Static(s.start)
			s.applyLocked(&g.list, s.o.proxies)
			return &g.list
		}
		if s.proxies.store != nil {
			if n, age, ok := s.proxies.store.Load(name); ok {
				g.state.FromFile(time.Now().Add(-age))
				s.useLocked(g, n)
			}
		}
		if !s.end.stopped {
			ctx, end := context.WithCancel(s.ctx)
			g.end = end
			s.wg.Go(func() {
				defer end()
				s.discoverLoop(ctx, g)
			})
		}
	}
	return &g.list
}

// discoverLoop asks for the group's proxies until ctx ends: the sender stops, or the group is forgotten. An answer without
// proxies is none.
func (s *Sender) discoverLoop(ctx context.Context, g *group) {
	wait := s.o.backoff()
	failures := 0
	for {
		s.mu.Lock()
		n, shared := s.proxies.clusters.Shared(&g.state, time.Now())
		s.mu.Unlock()
		var err error
		if !shared {
			n, err = s.askManager(ctx, g.name)
		}
		if ctx.Err() != nil {
			return
		}
		var pause time.Duration
		if err != nil {
			pause = min(wait.Pause(failures, mathrand.Float64()), s.o.refresh)
			failures++
		} else {
			failures = 0
			pause = refreshPause(s.o.refresh)
		}
		s.learn(g, n, err, shared)
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// refreshPause is how long until something is asked again that is asked every d: up to a quarter less.
func refreshPause(d time.Duration) time.Duration {
	return backoff.Backoff{Min: d, Max: d}.Pause(0, mathrand.Float64())
}

func (s *Sender) askManager(ctx context.Context, name string) (manager.Nodes, error) {
	ctx, cancel := context.WithTimeout(ctx, managerTimeout)
	defer cancel()
	n, err := s.o.manager.NodeList(ctx, name)
	if err == nil && len(n.Addresses) == 0 {
		err = errNoProxies
	}
	return n, err
}

// useLocked takes over a list. Under mu.
func (s *Sender) useLocked(g *group, n manager.Nodes) {
	s.applyLocked(&g.list, n.Addresses)
	most := n.MaxPacketLength
	if most > 0 && most < minMaxFrame {
		s.o.logger.Warn("the Manager's maxPacketLength is not used", "group", g.name, "bytes", most, "least", minMaxFrame)
		most = 0
	}
	if was := g.list.maxFrame.Swap(int64(most)); was != int64(most) && most > 0 && most < s.o.maxFrame {
		s.o.logger.Info("frames keep to the Manager's maxPacketLength", "group", g.name, "bytes", most)
	}
}

// managerTimeout bounds one question, over all Managers.
const managerTimeout = time.Minute

// learn takes over an answer of the Manager, or notes that there was none: the old list stays in force.
func (s *Sender) learn(g *group, n manager.Nodes, err error, shared bool) {
	s.mu.Lock()
	if s.end.stopped || s.proxies.groups[g.name] != g { // it was forgotten meanwhile
		s.mu.Unlock()
		return
	}
	if err != nil {
		if g.state.Failed(err) {
			s.o.logger.Warn("asking the Manager for proxies fails", "group", g.name, "err", err, "have_list", g.state.Known)
		}
		s.mu.Unlock()
		return
	}
	now := time.Now()
	if g.state.Learned(now) {
		s.o.logger.Info("the Manager answers again", "group", g.name)
	}
	if !shared {
		s.proxies.clusters.Told(&g.state, n, now)
	}
	s.useLocked(g, n)
	s.warmer.Wake()
	todo := s.progressLocked()
	s.mu.Unlock()
	todo.perform()
	if s.proxies.store == nil {
		return
	}
	if err := s.proxies.store.Save(g.name, n); err != nil {
		s.o.logger.Warn("keeping the list of proxies on disk fails", "group", g.name, "err", err)
	}
}
