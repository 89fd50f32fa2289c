package confirm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

var errJoining = fmt.Errorf("it is about to be read: %w", errNotAsked)

// joinAtOnce is the number of routes that are watched at the same time in a cluster that joins.
const joinAtOnce = 8

// Join has one more cluster read. Everything that is watched is watched there before the first barrier asks
// for it: from since on, where the cluster can tell, else from the ends that are listed now. Packs may lie in it
// already: until it has joined, or Leave gives it up, the queue counts as one that does not answer. After an error it is
// closed. Join and Leave are for one goroutine.
func (e *Engine) Join(ctx context.Context, c Cluster, since time.Time) error {
	if err := e.pos.Add(c.Name()); err != nil {
		c.Close()
		return err
	}
	e.Expect(c.Name())
	if err := e.watchThenAdmit(ctx, c, since); err != nil {
		e.pos.Remove(c.Name())
		c.Close()
		return e.Miss(c.Name(), err)
	}
	return nil
}

func (e *Engine) watchThenAdmit(ctx context.Context, c Cluster, since time.Time) error {
	done := map[Route]bool{}
	for {
		left, err := e.admit(c, done)
		if err != nil || len(left) == 0 {
			return err
		}
		if err := e.watchAll(ctx, c, left, since); err != nil {
			return err
		}
		for _, at := range left {
			done[at] = true
		}
	}
}

// Expect implements [Reader].
func (e *Engine) Expect(name string) {
	e.mu.Lock()
	e.roster.Expect(name)
	e.mu.Unlock()
	e.healthChanged()
}

// Miss notes that a cluster could not join: until it does, or Leave gives it up, the queue counts as one that does not
// answer.
func (e *Engine) Miss(name string, err error) error {
	e.mu.Lock()
	e.roster.Miss(name, err)
	e.mu.Unlock()
	e.healthChanged()
	return fmt.Errorf("joining queue cluster %s: %w", name, err)
}

// admit makes a cluster one of those that are read when all routes are watched in it, and otherwise returns
// those that are not.
func (e *Engine) admit(c Cluster, done map[Route]bool) (left []Route, err error) {
	e.startsMu.Lock()
	defer e.startsMu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.closed(); err != nil {
		return nil, err
	}
	if left = e.roster.Join(c, done); len(left) > 0 {
		return left, nil
	}
	e.pos.Join(c.Name())
	e.dropLocked(e.roster.Unneeded(c, e.pos.Topics(c.Name())))
	if e.begin != nil {
		e.begin(c)
	}
	e.healthChanged()
	return nil, nil
}

func (e *Engine) watchAll(ctx context.Context, c Cluster, routes []Route, since time.Time) error {
	var mu sync.Mutex // guards errs
	var errs []error
	places := make(chan struct{}, joinAtOnce)
	var wg sync.WaitGroup
	for _, at := range routes {
		places <- struct{}{}
		wg.Go(func() {
			defer func() { <-places }()
			if err := c.Watch(ctx, c.Topic(at.Named, at.Group, at.Stream), since); err != nil {
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
func (e *Engine) Leave(name string) bool {
	e.mu.Lock()
	if e.roster.GiveUp(name) {
		e.mu.Unlock()
		e.healthChanged()
		return true
	}
	if e.closed() != nil {
		e.mu.Unlock()
		return false
	}
	c, ok := e.roster.Leave(name)
	if !ok {
		e.mu.Unlock()
		return false
	}
	end := e.ends[c]
	delete(e.ends, c)
	e.mu.Unlock()
	if end != nil {
		end()
	}
	e.pos.Remove(name)
	c.Close()
	e.moved.Wake()
	e.healthChanged()
	return true
}
