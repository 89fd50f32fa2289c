package confirm

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// errNotAsked says that a topic or a cluster was added while the clusters were asked: ask again.
var errNotAsked = errors.New("it is watched only since the question")

// errCutOff says that a log ends before the offset that a barrier waits for: nothing will ever be read there.
var errCutOff = errors.New("the log was cut off after the barrier had begun")

// AskAgain reports whether the answers to a barrier's question, or to that of Update, did not serve, and asking again may help.
func AskAgain(err error) bool {
	return errors.Is(err, errNotAsked) || errors.Is(err, errBehind) || errors.Is(err, errCutOff)
}

// Barrier is the set of offsets that the reader must pass.
type Barrier struct {
	targets []target
	joins   uint64 // number of clusters that had joined when it began
}

type target struct {
	Place
	made uint64 // of the topic
	end  Offset
}

// Begin begins a barrier from the answers of all clusters, each asked with the ticket since or a later one, about
// all topics that are watched there. Partitions that are new in the answers take part from their beginning; starts says
// where to read.
func (p *Positions) Begin(since Ticket, said map[string]Listing) (b *Barrier, starts []Start, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	clusters := p.joinedLocked()
	for _, cluster := range clusters {
		l, ok := said[cluster]
		if !ok {
			return nil, nil, fmt.Errorf("beginning barrier: cluster %s has not answered: %w", cluster, errNotAsked)
		}
		if l.Fresh < since {
			return nil, nil, fmt.Errorf("beginning barrier: the answer of cluster %s is older than the barrier", cluster)
		}
		for name := range p.clusters[cluster] {
			if _, ok := l.Topics[name]; !ok {
				return nil, nil, fmt.Errorf("beginning barrier: %w: topic %s of cluster %s", errNotAsked, name, cluster)
			}
		}
	}
	b = &Barrier{joins: p.joins}
	var errs []error
	for _, cluster := range clusters {
		s, err := p.updateAll(cluster, said[cluster])
		starts = append(starts, s...)
		errs = append(errs, err)
		for name, t := range p.clusters[cluster] {
			l := said[cluster].Topics[name]
			for n := range t.parts {
				// A later question was answered first, by a broker that knew more: this answer is behind.
				if _, ok := l.Partitions[n]; !ok && said[cluster].Fresh < t.fresh {
					errs = append(errs, fmt.Errorf("beginning barrier: %w: %s is missing", errBehind, Place{cluster, name, n}))
				}
			}
			if !l.Exists {
				continue
			}
			if OtherTopic(t.id, l.ID) {
				errs = append(errs, fmt.Errorf("beginning barrier: topic %s of cluster %s was re-created meanwhile", name, cluster))
			}
			for n, bounds := range l.Partitions {
				if _, ok := t.parts[n]; !ok { // a later question was answered first, by a broker that knew less
					errs = append(errs, fmt.Errorf("beginning barrier: %w: it does not have %s", errBehind, Place{cluster, name, n}))
					continue
				}
				b.targets = append(b.targets, target{Place{cluster, name, n}, t.made, bounds.End})
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, starts, err
	}
	return b, starts, nil
}

// joinedLocked returns the clusters that a barrier is over.
func (p *Positions) joinedLocked() []string {
	all := slices.Sorted(maps.Keys(p.clusters))
	return slices.DeleteFunc(all, func(c string) bool { return p.coming[c] })
}

// Passed reports whether everything that the barrier stands for was reported. It is an error when that can
// never be known, because a topic was re-created, a log was cut off, or a cluster joined or was removed meanwhile: begin another barrier.
func (p *Positions) Passed(b *Barrier) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if b.joins != p.joins {
		return false, fmt.Errorf("waiting for barrier: a cluster joined meanwhile: %w", errNotAsked)
	}
	left := b.targets[:0]
	for _, g := range b.targets {
		t, x := p.find(g.Place)
		topics, read := p.clusters[g.Cluster]
		if now, watched := topics[g.Topic]; read && (!watched || now.fixed > g.made) {
			continue // dropped, and perhaps watched again: see Drop
		}
		if x == nil || t.made != g.made {
			what := "was re-created"
			if !read {
				what = "is not read any more: the cluster was removed"
			}
			return false, fmt.Errorf("waiting for barrier: topic %s of cluster %s %s meanwhile", g.Topic, g.Cluster, what)
		}
		if t.there && x.end.Before(g.end) {
			return false, fmt.Errorf("waiting for barrier: %w: %s", errCutOff, g.Place)
		}
		if x.next.Before(g.end) {
			left = append(left, g)
		}
	}
	b.targets = left // what is passed stays passed
	return len(left) == 0, nil
}
