package dptest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// This file has what every ClusterQueue with real brokers needs: it divides a Put, and waits for the brokers' answers.

// Spread distributes messages round robin over the clusters of a queue. The zero value begins with the first cluster. It
// is safe for concurrent use.
type Spread struct {
	next atomic.Uint64 // cluster of the next message
}

// Put implements Queue.Put: it gives each cluster of q its share of m at the same time, and waits for all clusters. An
// error is a *PutError.
func (s *Spread) Put(ctx context.Context, q ClusterQueue, m []QueueMessage) error {
	n := q.Clusters()
	first := int((s.next.Add(uint64(len(m))) - uint64(len(m))) % uint64(n))
	shares, places := make([][]QueueMessage, n), make([][]int, n)
	for i := range m {
		c := (first + i) % n
		shares[c], places[c] = append(shares[c], m[i]), append(places[c], i)
	}
	errs := make([]error, n)
	var wg sync.WaitGroup
	for c := range n {
		wg.Go(func() { errs[c] = q.PutTo(ctx, c, shares[c]) })
	}
	wg.Wait()
	err := errors.Join(errs...)
	if err == nil {
		return nil
	}
	all := &PutError{Stored: make([]bool, len(m)), Err: err}
	for c := range n {
		var partly *PutError
		errors.As(errs[c], &partly)
		for i, place := range places[c] {
			all.Stored[place] = errs[c] == nil || partly != nil && partly.Stored[i]
		}
	}
	return all
}

// unknownLimit is how long a Put whose context ended waits for the brokers' answers about messages that were already
// sent.
const unknownLimit = 10 * time.Second

// Answers collects the brokers' answers about the messages of one PutTo.
type Answers struct {
	done chan struct{} // closed when all answers are there

	mu     sync.Mutex
	left   int
	stored []bool
	first  error
}

// NewAnswers waits for n answers, one or more.
func NewAnswers(n int) *Answers {
	return &Answers{done: make(chan struct{}), left: n, stored: make([]bool, n)}
}

// Add takes the answer about message i; nil means stored. Each message has one answer.
func (a *Answers) Add(i int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stored[i] = err == nil
	if err != nil && a.first == nil {
		a.first = err
	}
	if a.left--; a.left == 0 {
		close(a.done)
	}
}

// Wait returns nil if every message is stored, and otherwise a *PutError with the first reason. When ctx ends, it still
// waits for messages that were sent, so that the error is right; after 10 s a message without an answer counts as not
// stored.
func (a *Answers) Wait(ctx context.Context) error {
	select {
	case <-a.done:
	case <-ctx.Done():
		timer := time.NewTimer(unknownLimit)
		defer timer.Stop()
		select {
		case <-a.done:
		case <-timer.C:
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	err := a.first
	switch {
	case err != nil:
	case a.left > 0:
		err = fmt.Errorf("%d messages without the brokers' answer", a.left)
	default:
		return nil
	}
	// A late answer still writes to a.stored, so the caller gets a copy.
	return &PutError{Stored: append([]bool(nil), a.stored...), Err: err}
}
