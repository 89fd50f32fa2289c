package confirm

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

const (
	refreshEvery   = time.Second
	refreshAtLeast = 10 * time.Second
	faultLasts     = 3 * time.Second // a fault of reading that is not found again for so long is over
)

// health is what is known of one cluster, whatever kind it is: whether it answers, and what was counted.
type health struct {
	r       *reader
	cluster string

	mu       sync.Mutex
	asked    bool // somebody got an answer, or none
	up       bool
	lastOK   time.Time
	lastErr  error
	downAt   time.Time
	fault    error // of reading
	faultEnd time.Time

	messages, mine, foreign, unreadable, missed atomic.Uint64
	passed                                      atomic.Uint64 // batches that cannot be read
}

func newHealth(r *reader, cluster string) *health { return &health{r: r, cluster: cluster} }

func (h *health) name() string { return h.cluster }

// blames reports whether an error says something about the cluster: not when the caller gave up.
func (h *health) blames(ctx context.Context) bool {
	return ctx.Err() == nil && h.r.life.Err() == nil
}

// answered takes in how a question went that was asked at began.
func (h *health) answered(err error, began time.Time) {
	h.mu.Lock()
	was := h.up
	switch {
	case err == nil:
		h.up, h.lastOK = true, time.Now()
	case h.lastOK.Before(began): // or another question went well meanwhile
		h.up = false
	}
	if err != nil {
		h.lastErr = err
	}
	up, first, downAt := h.up, !h.asked, h.downAt
	h.asked = true
	if !up && (was || first) {
		h.downAt = time.Now()
	}
	h.mu.Unlock()
	switch {
	case !up && (was || first):
		h.r.log.Warn("queue cluster does not answer", "cluster", h.cluster, "err", err)
	case up && !was && !first:
		h.r.log.Info("queue cluster answers again", "cluster", h.cluster, "after", time.Since(downAt).Round(time.Millisecond))
	}
	if up != was {
		h.r.healthChanged()
	}
}

// setFault says that the cluster cannot be read: for a while, since nothing says when it can again but that
// the fault is not found again.
func (h *health) setFault(lasts time.Duration, err error) {
	h.mu.Lock()
	fresh := time.Now().After(h.faultEnd)
	h.fault, h.faultEnd = err, time.Now().Add(lasts)
	h.mu.Unlock()
	if fresh {
		h.r.log.Warn("queue cluster cannot be read", "cluster", h.cluster, "err", err)
	}
	h.r.healthChanged()
}

// answers says whether the cluster answers, and if not why.
func (h *health) answers() (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Now().Before(h.faultEnd) {
		return false, h.fault
	}
	if !h.asked {
		return false, errors.New("it was not asked yet")
	}
	return h.up, h.lastErr
}

// began tells of partitions that are read from where nobody expected it.
func (h *health) began(starts []Start) {
	for _, s := range starts {
		if s.Why != Fixed && s.Why != Resumed && s.Why != PassedOver && s.Why != Unwatched { // who passes over says so
			h.missed.Add(uint64(s.Missed))
			h.r.log.Warn("queue partition is read from another position", "cluster", s.Cluster, "topic", s.Topic,
				"partition", s.Partition, "offset", s.Offset.String(), "why", s.Why.String(), "missed", s.Missed)
		}
	}
}

// counted adds what a batch of messages was.
func (h *health) counted(b *batch) {
	h.messages.Add(b.messages)
	h.mine.Add(uint64(len(b.seqs)))
	h.foreign.Add(b.foreign)
	h.unreadable.Add(b.unreadable)
}

func (h *health) status() ClusterStatus {
	sum := h.r.pos.Sum(h.cluster)
	s := ClusterStatus{
		Name: h.cluster, Topics: sum.Topics, Partitions: sum.Partitions, Lag: sum.Lag,
		Messages: h.messages.Load(), Mine: h.mine.Load(), Foreign: h.foreign.Load(),
		Unreadable: h.unreadable.Load(), Missed: h.missed.Load(), Passed: h.passed.Load(), MissingTopics: h.r.pos.Missing(h.cluster),
	}
	ok, err := h.answers()
	s.Answers = ok
	if err != nil && !ok {
		s.LastError = err.Error()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.LastError == "" && h.lastErr != nil {
		s.LastError = h.lastErr.Error()
	}
	if h.lastOK.IsZero() {
		s.Lag = -1
	}
	return s
}

// batch is what was found in messages that were read together.
type batch struct {
	seqs                          []uint64
	messages, foreign, unreadable uint64
}

// add judges a message.
func (b *batch) add(value []byte, instance string) {
	b.messages++
	switch seq, verdict := Judge(value, instance); verdict {
	case Mine:
		b.seqs = append(b.seqs, seq)
	case Foreign:
		b.foreign++
	case Unreadable:
		b.unreadable++
	}
}
