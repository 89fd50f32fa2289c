package pulsar

import (
	"errors"
	"sync"
)

// questions are asked of the brokers beside each other, atOnce at most.
type questions struct {
	places chan struct{}
	wg     sync.WaitGroup

	mu   sync.Mutex
	errs []error
}

func newQuestions() *questions { return &questions{places: make(chan struct{}, atOnce)} }

// ask begins a question. Its answer is what f keeps of it.
func (q *questions) ask(f func() error) {
	q.wg.Go(func() {
		q.places <- struct{}{}
		defer func() { <-q.places }()
		if err := f(); err != nil {
			q.mu.Lock()
			defer q.mu.Unlock()
			q.errs = append(q.errs, err)
		}
	})
}

// wait returns what failed, once all that were asked are answered. More may be asked after it; their failures are told by the next wait.
func (q *questions) wait() error {
	q.wg.Wait()
	err := errors.Join(q.errs...)
	q.errs = nil
	return err
}
