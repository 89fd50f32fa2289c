package confirm

import (
	"maps"
	"slices"
	"strings"
)

// Member is a cluster as far as a [Roster] needs to know it.
type Member interface {
	Name() string
	// Topic names the topic that holds the packs of a stream; named is the name that the reader's TopicOf gave, "" without one.
	Topic(named, group, stream string) string
}

type member interface {
	comparable
	Member
}

// Route is a stream that is watched, and the name that TopicOf gave its topic.
type Route struct{ Group, Stream, Named string }

// streamKey names a stream.
type streamKey struct{ group, stream string }

// use is a topic of a cluster.
type use struct{ cluster, topic string }

// Roster knows which clusters are read, which clusters have yet to join, which streams are watched, and therefore which
// topics of which clusters are needed. It does no I/O and has no lock.
type Roster[C member] struct {
	members  []C                   // replaced, never changed in place
	missing  map[string]error      // clusters that belong to the queue and have not joined, and why
	routes   map[Route]bool        // watched in all members
	byStream map[streamKey][]Route // the same
	coming   map[Route]int         // calls of Watch that are under way
	uses     map[use]int           // number of routes that lead to a topic
	changes  uint64                // of routes
}

// NewRoster returns the roster of clusters that are read from the start. Nothing is watched yet.
func NewRoster[C member](members ...C) *Roster[C] {
	return &Roster[C]{
		members: members, missing: make(map[string]error), routes: make(map[Route]bool),
		byStream: make(map[streamKey][]Route), coming: make(map[Route]int), uses: make(map[use]int),
	}
}

// Members returns the clusters that are read. The slice does not change.
func (r *Roster[C]) Members() []C { return r.members }

func (r *Roster[C]) index(name string) int {
	return slices.IndexFunc(r.members, func(c C) bool { return c.Name() == name })
}

// Expect says that a cluster is going to join. An earlier reason why it could not stays.
func (r *Roster[C]) Expect(name string) {
	if r.missing[name] == nil && r.index(name) < 0 {
		r.missing[name] = errJoining
	}
}

// Miss notes why a cluster could not join.
func (r *Roster[C]) Miss(name string, err error) { r.missing[name] = err }

// Missing returns a cluster that has yet to join, and why; err is nil when there is none.
func (r *Roster[C]) Missing() (name string, err error) {
	for name, err := range r.missing {
		return name, err
	}
	return "", nil
}

// AllMissing returns every cluster that has yet to join, and why.
func (r *Roster[C]) AllMissing() map[string]error { return maps.Clone(r.missing) }

// Coming notes that a call of Watch is under way: its topic is needed from now on.
func (r *Roster[C]) Coming(at Route) { r.coming[at]++ }

// Came ends what Coming began.
func (r *Roster[C]) Came(at Route) {
	if r.coming[at]--; r.coming[at] == 0 {
		delete(r.coming, at)
	}
}

// Watch notes that a route is watched in all members.
func (r *Roster[C]) Watch(at Route) {
	if r.routes[at] {
		return
	}
	r.routes[at] = true
	of := streamKey{at.Group, at.Stream}
	r.byStream[of] = append(r.byStream[of], at)
	for _, c := range r.members {
		r.uses[r.use(c, at)]++
	}
	r.changes++
}

func (r *Roster[C]) use(c C, at Route) use {
	return use{c.Name(), c.Topic(at.Named, at.Group, at.Stream)}
}

// Unneeded is a topic of a member that no stream uses any more.
type Unneeded[C member] struct {
	Member C
	Topic  string
}

// Unwatch forgets a stream and returns the topics that are not needed any more.
func (r *Roster[C]) Unwatch(group, stream string) (out []Unneeded[C]) {
	of := streamKey{group, stream}
	for _, at := range r.byStream[of] {
		delete(r.routes, at)
		for _, c := range r.members {
			u := r.use(c, at)
			r.uses[u]--
			if !r.needs(c, u) {
				out = append(out, Unneeded[C]{c, u.topic})
			}
		}
	}
	delete(r.byStream, of)
	r.changes++
	return out
}

// needs reports whether a stream uses a topic, and forgets the topic otherwise. A stream that is about to be watched
// uses its topic too:
// 1. Watch fixes the positions of the topic  2. the last other stream of the topic is unwatched  3. Watch returns. If the
// topic had been dropped in step 2, nobody would read it.
func (r *Roster[C]) needs(c C, u use) bool {
	if r.uses[u] > 0 {
		return true
	}
	delete(r.uses, u)
	for at := range r.coming {
		if r.use(c, at) == u {
			return true
		}
	}
	return false
}

// Join makes a cluster a member when every route that is watched is done, and otherwise returns the routes that are left
// to watch there.
func (r *Roster[C]) Join(c C, done map[Route]bool) (left []Route) {
	for at := range r.routes {
		if !done[at] {
			left = append(left, at)
		}
	}
	if len(left) > 0 {
		return left
	}
	delete(r.missing, c.Name())
	r.members = append(slices.Clip(r.members), c)
	for at := range r.routes {
		r.uses[r.use(c, at)]++
	}
	return nil
}

// Unneeded returns those of a member's topics that no stream uses: streams may be unwatched while a cluster joins.
func (r *Roster[C]) Unneeded(c C, topics []string) (out []Unneeded[C]) {
	for _, topic := range topics {
		if !r.needs(c, use{c.Name(), topic}) {
			out = append(out, Unneeded[C]{c, topic})
		}
	}
	return out
}

// GiveUp ends the waiting for a cluster that has yet to join. It reports whether there was one of that name.
func (r *Roster[C]) GiveUp(name string) bool {
	_, ok := r.missing[name]
	delete(r.missing, name)
	return ok
}

// Leave removes a member. The only member stays, and ok is false.
func (r *Roster[C]) Leave(name string) (c C, ok bool) {
	i := r.index(name)
	if i < 0 || len(r.members) == 1 {
		return c, false
	}
	c = r.members[i]
	r.members = slices.Delete(slices.Clone(r.members), i, i+1)
	maps.DeleteFunc(r.uses, func(u use, _ int) bool { return u.cluster == name })
	return c, true
}

// Routes returns the routes of a stream: several when its topic changed.
func (r *Roster[C]) Routes(group, stream string) []Route {
	return slices.Clone(r.byStream[streamKey{group, stream}])
}

// topicNames keeps the names of topics: making one for each route and cluster costs.
type topicNames[C member] map[nameKey[C]]string

type nameKey[C member] struct {
	member C
	at     Route
}

func (n topicNames[C]) of(c C, at Route) string {
	key := nameKey[C]{c, at}
	name, ok := n[key]
	if !ok {
		name = strings.Clone(c.Topic(at.Named, at.Group, at.Stream))
		n[key] = name
	}
	return name
}

// prune forgets the names of what is not watched, or not read, any more.
func (n topicNames[C]) prune(r *Roster[C]) {
	maps.DeleteFunc(n, func(key nameKey[C], _ string) bool {
		return !r.routes[key.at] || !slices.Contains(r.members, key.member)
	})
}

// lacking returns the streams whose topics are missing in every member.
func (n topicNames[C]) lacking(r *Roster[C], p *Positions) map[streamKey]bool {
	lacking := make(map[streamKey]bool)
	for of, routes := range r.byStream {
		lacking[of] = n.allMissing(r, p, routes)
	}
	return lacking
}

// allMissing reports whether every topic of a stream is missing in every member: the Manager may have given it several.
func (n topicNames[C]) allMissing(r *Roster[C], p *Positions, routes []Route) bool {
	for _, at := range routes {
		for _, c := range r.members {
			if !p.Lacks(c.Name(), n.of(c, at)) {
				return false
			}
		}
	}
	return true
}
