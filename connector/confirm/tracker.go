package confirm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"inlong-bridge/sdk/backoff"
	"inlong-bridge/sdk/signal"
)

const (
	refreshEvery = time.Second
	// RefreshAtMost is the longest time between two looks of [Tracker.Refresh].
	RefreshAtMost = 10 * time.Second
	// FaultLasts is how long a fault of reading counts that is not found again.
	FaultLasts = 3 * time.Second
)

// Tracker is what the reader knows of one cluster, whatever kind it is: whether it answers, and what was counted. It is also how
// an adapter reports what it read and changes positions. It is safe for concurrent use.
type Tracker struct {
	e       *Engine
	cluster string
	start   func([]Start)
	kick    signal.Poke // refresh now

	mu       sync.Mutex
	asked    bool      // guarded by mu; somebody got an answer, or none
	up       bool      // guarded by mu
	lastOK   time.Time // guarded by mu
	lastErr  error     // guarded by mu
	downAt   time.Time // guarded by mu
	fault    error     // guarded by mu; of reading
	faultEnd time.Time // guarded by mu

	messages, mine, foreign, unreadable, missed atomic.Uint64
	passed                                      atomic.Uint64 // batches that cannot be read
}

// Track returns the tracker of a cluster; start is the cluster's Start.
func (e *Engine) Track(cluster string, start func([]Start)) *Tracker {
	return &Tracker{e: e, cluster: cluster, start: start, kick: signal.NewPoke()}
}

// Name implements [Cluster].
func (t *Tracker) Name() string { return t.cluster }

// Log returns the reader's log, never nil.
func (t *Tracker) Log() *slog.Logger { return t.e.cfg.Log }

// Timeout returns after how long without an answer the cluster does not answer.
func (t *Tracker) Timeout() time.Duration { return t.e.cfg.Timeout }

// Positions returns the positions of the reader. What moves them to another place goes through Decide.
func (t *Tracker) Positions() *Positions { return t.e.pos }

// Decide changes positions and hands the starts that follow to the cluster in one step, so that starts reach the cluster
// in the order in which they were decided. f does no I/O. The starts it returns beside an error count.
func (t *Tracker) Decide(f func(p *Positions) ([]Start, error)) error {
	t.e.startsMu.Lock()
	defer t.e.startsMu.Unlock()
	starts, err := f(t.e.pos)
	if len(starts) > 0 {
		t.start(starts)
	}
	return err
}

// Batch returns an empty batch.
func (t *Tracker) Batch() Batch { return Batch{instance: t.e.cfg.Instance} }

// Step is how far a partition has been read: everything before Next.
type Step struct {
	Place
	Life uint64
	Next Offset
}

// Report tells the sink what was found, and then moves the positions. Barriers rely on the order: one that passes says
// that the sink has been told.
func (t *Tracker) Report(sink Sink, found *Batch, steps ...Step) {
	if len(found.Seqs) > 0 {
		sink.Seen(found.Seqs)
	}
	t.messages.Add(found.Messages)
	t.mine.Add(uint64(len(found.Seqs)))
	t.foreign.Add(found.Foreign)
	t.unreadable.Add(found.Unreadable)
	for _, s := range steps {
		t.e.pos.Advance(s.Place, s.Life, s.Next)
	}
	t.Moved()
}

// Moved has barriers look at the positions again.
func (t *Tracker) Moved() { t.e.moved.Wake() }

// Messages returns the number of messages that were read.
func (t *Tracker) Messages() uint64 { return t.messages.Load() }

// Missed counts messages that were gone before they were read.
func (t *Tracker) Missed(n int64) { t.missed.Add(uint64(n)) }

// PassedOver counts a batch that cannot be read and was passed over.
func (t *Tracker) PassedOver() { t.passed.Add(1) }

// Blames reports whether an error of a call with ctx says something about the cluster: not when the caller gave up, or the
// reader was closed.
func (t *Tracker) Blames(ctx context.Context) bool {
	return ctx.Err() == nil && t.e.life.Err() == nil
}

// Answered notes how a question went that was asked at began.
func (t *Tracker) Answered(err error, began time.Time) {
	t.mu.Lock()
	was := t.up
	switch {
	case err == nil:
		t.up, t.lastOK = true, time.Now()
	case t.lastOK.Before(began): // or another question went well meanwhile
		t.up = false
	}
	if err != nil {
		t.lastErr = err
	}
	up, first, downAt := t.up, !t.asked, t.downAt
	t.asked = true
	if !up && (was || first) {
		t.downAt = time.Now()
	}
	t.mu.Unlock()
	switch {
	case !up && (was || first):
		t.Log().Warn("queue cluster does not answer", "cluster", t.cluster, "err", err)
	case up && !was && !first:
		t.Log().Info("queue cluster answers again", "cluster", t.cluster, "after", time.Since(downAt).Round(time.Millisecond).String())
	}
	if up != was {
		t.e.healthChanged()
	}
}

// SetFault says that the cluster cannot be read. The fault counts for a while: the only sign that it is over is that it is
// not found again.
func (t *Tracker) SetFault(lasts time.Duration, err error) {
	t.mu.Lock()
	fresh := time.Now().After(t.faultEnd)
	t.fault, t.faultEnd = err, time.Now().Add(lasts)
	t.mu.Unlock()
	if fresh {
		t.Log().Warn("queue cluster cannot be read", "cluster", t.cluster, "err", err)
	}
	t.e.healthChanged()
}

// Answers implements [Cluster].
func (t *Tracker) Answers() (bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if time.Now().Before(t.faultEnd) {
		return false, t.fault
	}
	if !t.asked {
		return false, errors.New("it was not asked yet")
	}
	return t.up, t.lastErr
}

// Began logs and counts partitions that are read from an unexpected offset. A cluster's Start calls it.
func (t *Tracker) Began(starts []Start) {
	for _, s := range starts {
		if s.Why != Fixed && s.Why != Resumed && s.Why != PassedOver && s.Why != Unwatched { // who passes over logs that
			t.missed.Add(uint64(s.Missed))
			t.Log().Warn("queue partition is read from another position", "cluster", s.Cluster, "topic", s.Topic,
				"partition", s.Partition, "offset", s.Offset.String(), "why", s.Why.String(), "missed", s.Missed)
		}
	}
}

// Status implements [Cluster].
func (t *Tracker) Status() ClusterStatus {
	sum := t.e.pos.Sum(t.cluster)
	s := ClusterStatus{
		Name: t.cluster, Topics: sum.Topics, Partitions: sum.Partitions, Lag: sum.Lag,
		Messages: t.messages.Load(), Mine: t.mine.Load(), Foreign: t.foreign.Load(),
		Unreadable: t.unreadable.Load(), Missed: t.missed.Load(), Passed: t.passed.Load(), MissingTopics: t.e.pos.Missing(t.cluster),
	}
	ok, err := t.Answers()
	s.Answers = ok
	if err != nil && !ok {
		s.LastError = err.Error()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if s.LastError == "" && t.lastErr != nil {
		s.LastError = t.lastErr.Error()
	}
	if t.lastOK.IsZero() {
		s.Lag = -1
	}
	return s
}

// Question is what an adapter asks of a cluster; see [Tracker.Ask].
type Question struct {
	Once    func(ctx context.Context) (Listing, error) // asks once
	MayPass func(err error) bool                       // reports whether an error may be gone when asked again
	Explain func(err error) error                      // says more about an error that stays; nil for nothing
	Hint    string                                     // what to look at when there is no answer
}

// askPause is the pause before a cluster is asked again.
var askPause = backoff.Backoff{Min: 50 * time.Millisecond, Max: time.Second}

// Ask asks, and asks again for as long as the reader's timeout while the error may pass. fresh is the ticket taken before
// the call.
func (t *Tracker) Ask(parent context.Context, fresh Ticket, q Question) (Listing, error) {
	ctx, cancel := context.WithTimeout(parent, t.e.cfg.Timeout)
	defer cancel()
	defer context.AfterFunc(t.e.life, cancel)()
	var last error
	for tries := 0; ctx.Err() == nil; tries++ {
		l, err := q.Once(ctx)
		if err == nil {
			l.Fresh = fresh
			return l, nil
		}
		if last == nil || ctx.Err() == nil {
			last = err // the error itself, rather than that time is up
		}
		if !q.MayPass(err) {
			break
		}
		select {
		case <-time.After(askPause.Pause(tries, 0)):
		case <-ctx.Done():
		}
	}
	switch {
	case t.e.life.Err() != nil:
		return Listing{}, ErrClosed
	case parent.Err() != nil:
		return Listing{}, fmt.Errorf("asking queue cluster %s: %w", t.cluster, context.Cause(parent))
	case last == nil || q.MayPass(last):
		return Listing{}, fmt.Errorf("queue cluster %s has not answered for %v: %w (hint: %s)", t.cluster, t.e.cfg.Timeout, last, q.Hint)
	}
	if q.Explain != nil {
		last = q.Explain(last)
	}
	return Listing{}, fmt.Errorf("asking queue cluster %s: %w", t.cluster, last)
}

// RefreshSoon has Refresh look now.
func (t *Tracker) RefreshSoon() { t.kick.Poke() }

// Refresh calls look once a second, and after RefreshSoon, until ctx ends. look reports whether the cluster answered.
func (t *Tracker) Refresh(ctx context.Context, look func(ctx context.Context) bool) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-t.kick:
		case <-ctx.Done():
			return
		}
		began := time.Now()
		next := refreshEvery
		if look(ctx) {
			// A cluster that has a lot to list is asked less often; one that does not answer is not.
			next = min(max(refreshEvery, 10*time.Since(began)), RefreshAtMost)
		}
		timer.Reset(next)
		t.e.healthChanged() // a fault may be over
	}
}
