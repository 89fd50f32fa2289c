package confirm

// Unwatch implements [Reader].
func (r *reader) Unwatch(group, stream string) {
	r.telling.Lock() // what is said of the stream's topic has been said when this returns
	defer r.telling.Unlock()
	r.startsMu.Lock()
	defer r.startsMu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	of := streamKey{group, stream}
	for _, at := range r.byStream[of] {
		delete(r.routes, at)
		for _, c := range r.clusters {
			topic := c.topic(at.named, at.group, at.stream)
			r.uses[use{c.name(), topic}]--
			r.dropUnusedLocked(c, topic)
		}
	}
	delete(r.byStream, of)
	if r.begin != nil { // else nobody was told which topics are missing
		r.dropped[of] = true
	}
	r.noted++
}

// dropUnusedLocked ends the reading of a topic that no stream uses. A stream that is about to be watched uses its topic:
// 1. Watch fixes the positions of the topic  2. the last other stream that uses it is unwatched  3. Watch returns, and
// nobody would read the topic. startsMu is held too.
func (r *reader) dropUnusedLocked(c cluster, topic string) {
	at := use{c.name(), topic}
	if r.uses[at] > 0 {
		return
	}
	delete(r.uses, at)
	for w := range r.coming {
		if c.topic(w.named, w.group, w.stream) == topic {
			return
		}
	}
	if ends := r.pos.Drop(c.name(), topic); len(ends) > 0 {
		c.start(ends)
	}
}
