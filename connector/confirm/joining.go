package confirm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

var errJoining = fmt.Errorf("it is about to be read: %w", errNotAsked)

// joinAtOnce is how many routes are watched at the same time in a cluster that joins.
const joinAtOnce = 8

// join has one more cluster read. Everything that is watched is watched there before the first barrier asks
// for it, from since on where the cluster can tell, else from the ends that are listed now. Packs may lie in it
// already: until it has joined, or left, the queue counts as one that does not answer. It and Leave are for one
// goroutine.
func (r *reader) join(ctx context.Context, c cluster, since time.Time) error {
	if err := r.pos.Add(c.name()); err != nil {
		c.close()
		return err
	}
	r.Expect(c.name())
	if err := r.watchThenAdmit(ctx, c, since); err != nil {
		r.pos.Remove(c.name())
		c.close()
		return r.Miss(c.name(), err)
	}
	return nil
}

func (r *reader) watchThenAdmit(ctx context.Context, c cluster, since time.Time) error {
	done := map[route]bool{}
	for {
		left, err := r.admit(c, done)
		if err != nil || len(left) == 0 {
			return err
		}
		if err := r.watchAll(ctx, c, left, since); err != nil {
			return err
		}
		for _, at := range left {
			done[at] = true
		}
	}
}

// Expect implements [Reader].
func (r *reader) Expect(name string) {
	r.mu.Lock()
	if r.missing[name] == nil && r.index(name) < 0 { // else what went wrong the time before is told
		r.missing[name] = errJoining
	}
	r.mu.Unlock()
	r.healthChanged()
}

// index is that of a cluster among those that are read, or -1. Under mu.
func (r *reader) index(name string) int {
	return slices.IndexFunc(r.clusters, func(c cluster) bool { return c.name() == name })
}

// Miss remembers that a cluster could not join: until it does, or Leave gives it up, the queue counts as one that
// does not answer.
func (r *reader) Miss(name string, err error) error {
	r.mu.Lock()
	r.missing[name] = err
	r.mu.Unlock()
	r.healthChanged()
	return fmt.Errorf("joining queue cluster %s: %w", name, err)
}

// admit makes a cluster one of those that are read when all routes are watched in it, and otherwise returns
// those that are not.
func (r *reader) admit(c cluster, done map[route]bool) (left []route, err error) {
	r.startsMu.Lock()
	defer r.startsMu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.closed(); err != nil {
		return nil, err
	}
	for at := range r.routes {
		if !done[at] {
			left = append(left, at)
		}
	}
	if len(left) > 0 {
		return left, nil
	}
	r.pos.Join(c.name())
	delete(r.missing, c.name())
	r.clusters = append(slices.Clip(r.clusters), c)
	for at := range r.routes {
		r.uses[use{c.name(), c.topic(at.named, at.group, at.stream)}]++
	}
	for _, topic := range r.pos.Topics(c.name()) { // of streams that were unwatched meanwhile
		r.dropUnusedLocked(c, topic)
	}
	if r.begin != nil {
		r.begin(c)
	}
	r.healthChanged()
	return nil, nil
}

func (r *reader) watchAll(ctx context.Context, c cluster, routes []route, since time.Time) error {
	var mu sync.Mutex // guards errs
	var errs []error
	places := make(chan struct{}, joinAtOnce)
	var wg sync.WaitGroup
	for _, at := range routes {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			if err := c.watch(ctx, c.topic(at.named, at.group, at.stream), since); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
		mu.Lock()
		failed := len(errs) > 0
		mu.Unlock()
		if failed {
			break // a cluster that does not answer is not asked a thousand times
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Leave ends the reading of a cluster, or the waiting for one that could not join: nothing waits for it any more.
// It reports whether there was one of that name; the only one stays. What is in it and was not seen counts as
// lost in time.
func (r *reader) Leave(name string) bool {
	r.mu.Lock()
	if _, ok := r.missing[name]; ok {
		delete(r.missing, name)
		r.mu.Unlock()
		r.healthChanged()
		return true
	}
	i := r.index(name)
	if i < 0 || len(r.clusters) == 1 || r.closed() != nil {
		r.mu.Unlock()
		return false
	}
	c := r.clusters[i]
	r.clusters = slices.Delete(slices.Clone(r.clusters), i, i+1)
	end := r.ends[c]
	delete(r.ends, c)
	maps.DeleteFunc(r.uses, func(u use, _ int) bool { return u.cluster == name })
	r.mu.Unlock()
	if end != nil {
		end()
	}
	r.pos.Remove(name)
	c.close()
	r.moved.happened()
	r.healthChanged()
	return true
}
