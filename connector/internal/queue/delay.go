package queue

import (
	"sync"
	"time"

	"inlong-bridge/sdk"
)

// delayBounds are the upper bounds of the buckets of Delay, in seconds.
var delayBounds = [...]float64{0.1, 0.25, 0.5, 1, 1.5, 2.5, 5, 10, 20, 40, 80}

// Delay measures how long packs take from the proxy's ack until they are seen in the queue behind the proxy. A
// pack that was seen before its ack, or after it was lost, is not counted. The hooks are called by one goroutine;
// Read may be called by another.
type Delay struct {
	acked map[uint64]time.Duration // age of a pack at its ack, while it is neither final nor lost

	mu      sync.Mutex
	buckets [len(delayBounds) + 1]uint64 // guarded by mu; the last for all above
	sum     float64                      // guarded by mu
}

// NewDelay returns a Delay that has counted nothing.
func NewDelay() *Delay { return &Delay{acked: make(map[uint64]time.Duration)} }

// Hooks are to be given to the sender.
func (q *Delay) Hooks() sdk.Hooks {
	forget := func(e sdk.PackEvent) { delete(q.acked, e.Seq) }
	return sdk.Hooks{
		PackAcked:   func(e sdk.PackEvent) { q.acked[e.Seq] = e.Age },
		PackFinal:   q.final,
		PackLost:    forget,
		PackRefused: forget,
		PackGivenUp: forget,
	}
}

func (q *Delay) final(e sdk.PackEvent) {
	at, ok := q.acked[e.Seq]
	if !ok {
		return
	}
	delete(q.acked, e.Seq)
	took := max(0, e.Age-at).Seconds()
	i := 0
	for i < len(delayBounds) && took > delayBounds[i] {
		i++
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.buckets[i]++
	q.sum += took
}

// Read returns the packs counted, the sum of their delays in seconds, and how many took at most each bound.
func (q *Delay) Read() (count uint64, sum float64, upTo map[float64]uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	upTo = make(map[float64]uint64, len(delayBounds))
	for i, n := range q.buckets {
		count += n
		if i < len(delayBounds) {
			upTo[delayBounds[i]] = count
		}
	}
	return count, q.sum, upTo
}
