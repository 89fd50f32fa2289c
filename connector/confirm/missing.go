package confirm

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// StreamTopic is a topic in which the packs of a stream are looked for.
type StreamTopic struct {
	Cluster, Topic string
	Missing        bool // it does not exist there
}

// streamKey names a stream.
type streamKey struct{ group, stream string }

// Changes counts what may change which topics are missing.
func (p *Positions) Changes() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.changes
}

// Lacks reports whether a watched topic of a cluster does not exist by its newest answer. A topic that is not
// watched there yet is none that is known to be missing.
func (p *Positions) Lacks(cluster, name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.clusters[cluster][name]
	return t != nil && !t.there
}

// Topics implements [Reader].
func (r *reader) Topics(group, stream string) []StreamTopic {
	r.mu.Lock()
	routes := slices.Clone(r.byStream[streamKey{group, stream}])
	clusters := r.clusters
	r.mu.Unlock()
	var out []StreamTopic
	for _, c := range clusters {
		for _, at := range routes {
			name := c.topic(at.named, at.group, at.stream)
			out = append(out, StreamTopic{c.name(), name, r.pos.Lacks(c.name(), name)})
		}
	}
	slices.SortFunc(out, func(a, b StreamTopic) int {
		return comparePlaces(Place{Cluster: a.Cluster, Topic: a.Topic}, Place{Cluster: b.Cluster, Topic: b.Topic})
	})
	return out
}

// noteRouteLocked remembers what is watched in all clusters.
func (r *reader) noteRouteLocked(at route) {
	if r.routes[at] {
		return
	}
	r.routes[at] = true
	of := streamKey{at.group, at.stream}
	r.byStream[of] = append(r.byStream[of], at)
	for _, c := range r.clusters {
		r.uses[use{c.name(), c.topic(at.named, at.group, at.stream)}]++
	}
	r.noted++
}

// missingTeller tells a sink of which streams the topic is missing in every cluster. It belongs to one goroutine.
type missingTeller struct {
	told           map[streamKey]bool
	names          map[nameKey]string // of topics: making one for each route and cluster costs
	changes, noted uint64             // as they were when it looked last
	next           time.Time          // it does not look before
}

type nameKey struct {
	cluster cluster
	at      route
}

func newMissingTeller() *missingTeller {
	return &missingTeller{told: map[streamKey]bool{}, names: map[nameKey]string{}}
}

// tell looks only when something has changed, and a tenth of the time at most while thousands of streams come in:
// clusters have it called once a second anyway.
func (m *missingTeller) tell(r *reader, sink Sink) {
	began := time.Now()
	if began.Before(m.next) {
		return
	}
	defer func() { m.next = time.Now().Add(10 * time.Since(began)) }()
	r.telling.Lock()
	defer r.telling.Unlock()
	changes := r.pos.Changes()
	r.mu.Lock()
	if changes == m.changes && r.noted == m.noted {
		r.mu.Unlock()
		return
	}
	m.changes, m.noted = changes, r.noted
	for of := range r.dropped {
		delete(m.told, of) // should it be watched again, its topic begins as there
	}
	clear(r.dropped)
	maps.DeleteFunc(m.names, func(key nameKey, _ string) bool {
		return !r.routes[key.at] || !slices.Contains(r.clusters, key.cluster)
	})
	clusters := r.clusters
	// A stream may have several topics, since the Manager may give it another one.
	missing := make(map[streamKey]bool)
	there := make(map[streamKey]bool)
	for at := range r.routes {
		of := streamKey{at.group, at.stream}
		missing[of] = true
		for _, c := range clusters {
			if !r.pos.Lacks(c.name(), m.name(c, at)) {
				there[of] = true
			}
		}
	}
	r.mu.Unlock()
	for of := range missing {
		if now := !there[of]; now != m.told[of] {
			if now {
				m.told[of] = true
			} else {
				delete(m.told, of)
			}
			sink.TopicMissing(of.group, of.stream, now)
		}
	}
}

func (m *missingTeller) name(c cluster, at route) string {
	key := nameKey{c, at}
	name, ok := m.names[key]
	if !ok {
		name = strings.Clone(c.topic(at.named, at.group, at.stream))
		m.names[key] = name
	}
	return name
}
