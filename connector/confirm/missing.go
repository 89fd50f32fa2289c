package confirm

import (
	"slices"
	"time"
)

// StreamTopic is a topic in which the packs of a stream are looked for.
type StreamTopic struct {
	Cluster, Topic string
	Missing        bool // it does not exist there
}

// Topics implements [Reader].
func (e *Engine) Topics(group, stream string) []StreamTopic {
	e.mu.Lock()
	routes, members := e.roster.Routes(group, stream), e.roster.Members()
	e.mu.Unlock()
	var out []StreamTopic
	for _, c := range members {
		for _, at := range routes {
			name := c.Topic(at.Named, at.Group, at.Stream)
			out = append(out, StreamTopic{c.Name(), name, e.pos.Lacks(c.Name(), name)})
		}
	}
	slices.SortFunc(out, func(a, b StreamTopic) int {
		return comparePlaces(Place{Cluster: a.Cluster, Topic: a.Topic}, Place{Cluster: b.Cluster, Topic: b.Topic})
	})
	return out
}

// missingTeller tells a sink which streams have no topic in any cluster. It belongs to one goroutine.
type missingTeller struct {
	told           map[streamKey]bool
	names          topicNames[Cluster]
	changes, noted uint64    // as they were when it looked last
	next           time.Time // it does not look before
}

func newMissingTeller() *missingTeller {
	return &missingTeller{told: map[streamKey]bool{}, names: topicNames[Cluster]{}}
}

// tell looks only when something has changed, and for at most a tenth of the time while thousands of streams come in:
// the clusters have it called once a second anyway.
func (m *missingTeller) tell(e *Engine, sink Sink) {
	began := time.Now()
	if began.Before(m.next) {
		return
	}
	defer func() { m.next = time.Now().Add(10 * time.Since(began)) }()
	e.telling.Lock()
	defer e.telling.Unlock()
	changes := e.pos.Changes()
	e.mu.Lock()
	if changes == m.changes && e.roster.changes == m.noted {
		e.mu.Unlock()
		return
	}
	m.changes, m.noted = changes, e.roster.changes
	for of := range e.dropped {
		delete(m.told, of) // should it be watched again, its topic begins as there
	}
	clear(e.dropped)
	m.names.prune(e.roster)
	lacking := m.names.lacking(e.roster, e.pos)
	e.mu.Unlock()
	for of, now := range lacking {
		if now == m.told[of] {
			continue
		}
		if now {
			m.told[of] = true
		} else {
			delete(m.told, of)
		}
		sink.TopicMissing(of.group, of.stream, now)
	}
}
