package managed

import (
	"context"
	"slices"
	"strings"
	"time"

	"inlong-bridge/connector/confirm"
)

// compareLocked notes which clusters a new answer adds and removes. The answer in force was asked for, or confirmed, at
// before.
func (s *Source) compareLocked(now []Place, before time.Time) {
	was := names(s.now.Clusters)
	named := names(now)
	for name := range named {
		delete(s.left, name)
		if !was[name] {
			s.came[name] = before
		}
	}
	for name := range was {
		if !named[name] {
			s.left[name] = time.Now()
			delete(s.came, name)
		}
	}
	s.news.Poke()
}

func names(places []Place) map[string]bool {
	m := make(map[string]bool, len(places))
	for _, p := range places {
		m[p.Name] = true
	}
	return m
}

// differLocked returns the clusters that the Manager names and that are not read, and those that are read and that it no
// longer names; nothing while it names a queue of another kind.
func (s *Source) differLocked() (joining, leaving []Place) {
	if s.now.Type != s.kind {
		return nil, nil
	}
	read, named := names(s.read), names(s.now.Clusters)
	joining = slices.DeleteFunc(slices.Clone(s.now.Clusters), func(p Place) bool { return read[p.Name] })
	leaving = slices.DeleteFunc(slices.Clone(s.read), func(p Place) bool { return named[p.Name] })
	byName := func(a, b Place) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(leaving, byName) // answers are sorted already
	return joining, leaving
}

// expect lets no barrier pass before all clusters that are named are read, and gives up those that were expected and are no
// longer named.
func (s *Source) expect(r confirm.Reader) {
	s.mu.Lock()
	joining, _ := s.differLocked()
	s.mu.Unlock()
	for _, p := range joining {
		s.away[p.Name] = true
		r.Expect(p.Name)
	}
	wanted := names(joining)
	for name := range s.away {
		if !wanted[name] {
			r.Leave(name)
			delete(s.away, name)
			s.joins.Forget(name)
		}
	}
}

// followClusters has clusters join the reader that were added, and clusters leave it, after a while, that were removed. It
// compares what is named with what is read, so it finds at its next call what changes meanwhile. It reports whether
// it must be called again soon.
func (s *Source) followClusters(ctx context.Context, r confirm.Reader) (again bool) {
	s.expect(r)
	s.mu.Lock()
	joining, leaving := s.differLocked()
	s.mu.Unlock()
	for _, p := range joining {
		again = s.joinCluster(ctx, p) || again
	}
	for _, p := range leaving {
		again = s.leaveCluster(r, p) || again
	}
	return again
}

func (s *Source) joinCluster(ctx context.Context, p Place) (again bool) {
	s.mu.Lock()
	since, ok := s.came[p.Name]
	s.mu.Unlock()
	if !ok {
		since = time.Now()
	}
	s.away[p.Name] = true
	if err := s.join(ctx, p, since.Add(-clocksDiffer)); err != nil {
		if ctx.Err() == nil && s.joins.Begin(p.Name) {
			s.log.Error("new queue cluster cannot be read yet; nothing counts as lost until it can",
				"cluster", p.Name, "at", p.String(), "err", err)
		}
		return true
	}
	s.mu.Lock()
	s.read = append(slices.Clip(s.read), p)
	s.mu.Unlock()
	delete(s.away, p.Name)
	s.joins.Forget(p.Name)
	s.log.Info("reading a new queue cluster that the Manager names", "cluster", p.Name, "at", p.String())
	return false
}

func (s *Source) leaveCluster(r confirm.Reader, p Place) (again bool) {
	s.mu.Lock()
	since, gone := s.left[p.Name]
	s.mu.Unlock()
	if !gone || time.Since(since) < leaveAfter || !r.Leave(p.Name) {
		return true
	}
	s.mu.Lock()
	s.read = slices.DeleteFunc(slices.Clone(s.read), func(read Place) bool { return read.Name == p.Name })
	s.mu.Unlock()
	s.log.Info("stopped reading a queue cluster that the Manager no longer names", "cluster", p.Name)
	return false
}
