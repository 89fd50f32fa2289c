package confirm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"inlong-bridge/sdk/backoff"
	"inlong-bridge/sdk/signal"
)

// ErrClosed is returned by calls on a reader that was closed.
var ErrClosed = errors.New("queue reader is closed")

// Config is the part of a reader's configuration that all kinds of queues share.
type Config struct {
	Kind     string        // kafka or pulsar, for status pages
	Instance string        // first half of the mid of our packs
	Timeout  time.Duration // a cluster that is silent for so long counts as one that does not answer
	Log      *slog.Logger  // nil for none

	// TopicOf names the topic of a stream in all clusters, in place of their templates; nil for the templates. Watch calls
	// it each time, from several goroutines, and it may wait. Watch may be called again for a stream that got another
	// topic: the former topic is still read.
	TopicOf func(ctx context.Context, group, stream string) (string, error)
}

// Check returns everything that is wrong with the configuration and with the names of the clusters.
func (c *Config) Check(clusters []string) (errs []error) {
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(clusters) == 0 {
		bad("no queue cluster")
	}
	if c.Instance == "" {
		bad("no instance")
	}
	if c.Timeout <= 0 {
		bad("timeout %v is not positive", c.Timeout)
	}
	names := map[string]bool{}
	for _, c := range clusters {
		if names[c] {
			bad("two clusters are named %q", c)
		}
		names[c] = true
	}
	return errs
}

// Engine is the reader that all kinds of queues share: it asks the clusters, which adapters implement, and [Positions] and
// [Roster] decide. It implements [Reader] and is safe for concurrent use.
type Engine struct {
	cfg Config
	pos *Positions

	mu      sync.Mutex
	roster  *Roster[Cluster]   // guarded by mu
	dropped map[streamKey]bool // guarded by mu; streams that were unwatched since Run told of missing topics last
	begin   func(Cluster)      // guarded by mu; starts reading one more cluster while Run runs, else nil
	ends    map[Cluster]func() // guarded by mu; ends the reading of a cluster, and waits until it has ended

	// startsMu is held while it is decided where to read and the clusters are told, so that decisions
	// reach them in order. No I/O happens under it. It is taken before mu and the locks of a cluster.
	startsMu sync.Mutex

	// telling is held while a sink is told which topics are missing. It is taken before startsMu.
	telling sync.Mutex

	moved  signal.Broadcast // some position moved
	health signal.Poke      // some cluster's health may have changed

	life    context.Context // ends at Close
	end     context.CancelFunc
	running sync.Mutex // held while Run runs
	barrier atomic.Int64
}

var _ Reader = (*Engine)(nil)

// NewEngine returns a reader without clusters. Add those that are read from the start before anything else.
func NewEngine(cfg Config) *Engine {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	e := &Engine{cfg: cfg, pos: NewPositions(), roster: NewRoster[Cluster](), health: signal.NewPoke(),
		dropped: make(map[streamKey]bool), ends: make(map[Cluster]func())}
	e.life, e.end = context.WithCancel(context.Background())
	return e
}

// Add has a cluster read from the start. Nothing is watched yet, and Run has not been called.
func (e *Engine) Add(c Cluster) error {
	if err := e.pos.Add(c.Name()); err != nil {
		return err
	}
	e.pos.Join(c.Name())
	e.mu.Lock()
	defer e.mu.Unlock()
	e.roster.Join(c, nil)
	return nil
}

// Outputs implements [Reader].
func (e *Engine) Outputs() (out []Output) {
	for _, c := range e.Clusters() {
		if k, ok := c.(KafkaCluster); ok {
			for topic, id := range e.pos.IDs(c.Name()) {
				out = append(out, Output{c.Name(), k.ClusterID(), topic, id})
			}
		}
	}
	return out
}

func (e *Engine) healthChanged() { e.health.Poke() }

// Watch implements [Reader]. It waits at most the configured time for each cluster.
func (e *Engine) Watch(ctx context.Context, group, stream string) error {
	var named string
	var err error
	if e.cfg.TopicOf != nil {
		named, err = e.cfg.TopicOf(ctx, group, stream)
	}
	if err == nil {
		err = e.watch(ctx, Route{group, stream, named})
	}
	if err != nil {
		return fmt.Errorf("watching the queue of %s.%s: %w", group, stream, err)
	}
	return nil
}

// watch watches a route in every cluster, also in clusters that join meanwhile. The last look at the clusters and the note
// that the route is watched are one step under mu, so a cluster that joins later finds the route.
func (e *Engine) watch(ctx context.Context, at Route) error {
	e.mu.Lock()
	e.roster.Coming(at)
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.roster.Came(at)
	}()
	done := map[Cluster]bool{}
	for {
		e.mu.Lock()
		left := slices.DeleteFunc(slices.Clone(e.roster.Members()), func(c Cluster) bool { return done[c] })
		if len(left) == 0 && e.life.Err() == nil {
			e.roster.Watch(at)
			defer e.healthChanged() // the sink learns of a missing topic before a pack of the stream is overdue
		}
		e.mu.Unlock()
		if len(left) == 0 {
			return e.closed()
		}
		if err := e.each(left, func(c Cluster) error {
			err := c.Watch(ctx, c.Topic(at.Named, at.Group, at.Stream), time.Time{})
			if err != nil && !slices.Contains(e.Clusters(), c) {
				return nil // it left meanwhile: its error does not matter
			}
			return err
		}); err != nil {
			return err
		}
		for _, c := range left {
			done[c] = true
		}
	}
}

// Unwatch implements [Reader].
func (e *Engine) Unwatch(group, stream string) {
	e.telling.Lock() // when this returns, nobody is being told of the stream's topic
	defer e.telling.Unlock()
	e.startsMu.Lock()
	defer e.startsMu.Unlock()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dropLocked(e.roster.Unwatch(group, stream))
	if e.begin != nil { // else nobody was told which topics are missing
		e.dropped[streamKey{group, stream}] = true
	}
}

// dropLocked ends the reading of topics that no stream uses. startsMu is held too.
func (e *Engine) dropLocked(topics []Unneeded[Cluster]) {
	for _, u := range topics {
		if ends := e.pos.Drop(u.Member.Name(), u.Topic); len(ends) > 0 {
			u.Member.Start(ends)
		}
	}
}

// Barrier implements [Reader]. Any number may run at once.
func (e *Engine) Barrier(ctx context.Context) error {
	began := time.Now()
	if err := e.passBarrier(ctx); err != nil {
		return fmt.Errorf("queue barrier: %w", err)
	}
	e.barrier.Store(int64(time.Since(began)))
	return nil
}

func (e *Engine) passBarrier(ctx context.Context) error {
	for {
		b, err := e.askBarrier(ctx)
		if err != nil {
			return err
		}
		if err = e.awaitBarrier(ctx, b); !errors.Is(err, errNotAsked) && !errors.Is(err, errCutOff) {
			return err
		}
	}
}

func (e *Engine) awaitBarrier(ctx context.Context, b *Barrier) error {
	look := time.NewTicker(min(time.Second, e.cfg.Timeout))
	defer look.Stop()
	for {
		moved := e.moved.Next()
		name, missed := e.missing() // before Passed: a cluster that joins after this is known to Passed
		switch passed, err := e.pos.Passed(b); {
		case err != nil:
			return err
		case passed && missed != nil:
			return fmt.Errorf("cluster %s is not read: %w", name, missed)
		case passed:
			return nil
		}
		select {
		case <-moved:
		case <-look.C:
			// A cluster that stopped answering is not read to its end any time soon: fail now, and let the caller try again.
			for _, c := range e.Clusters() {
				if ok, err := c.Answers(); !ok {
					return fmt.Errorf("cluster %s stopped answering: %w", c.Name(), err)
				}
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-e.life.Done():
			return ErrClosed
		}
	}
}

// barrierPause is the pause before the clusters are asked again for a barrier.
var barrierPause = backoff.Backoff{Min: 10 * time.Millisecond, Max: time.Second}

// askBarrier begins a barrier. While the answers do not serve, it asks again, for as long as the reader's timeout.
func (e *Engine) askBarrier(ctx context.Context) (*Barrier, error) {
	began := time.Now()
	b, err := e.beginBarrier(ctx)
	for tries := 0; AskAgain(err) && time.Since(began) < e.cfg.Timeout; tries++ {
		select {
		case <-time.After(barrierPause.Pause(tries, 0)):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-e.life.Done():
			return nil, ErrClosed
		}
		b, err = e.beginBarrier(ctx)
	}
	return b, err
}

func (e *Engine) beginBarrier(ctx context.Context) (*Barrier, error) {
	if name, err := e.missing(); err != nil {
		return nil, fmt.Errorf("cluster %s is not read: %w", name, err)
	}
	since := e.pos.Ask()
	var mu sync.Mutex
	said := map[string]Listing{}
	if err := e.each(e.Clusters(), func(c Cluster) error {
		l, err := c.List(ctx, since, e.pos.Topics(c.Name()))
		if err != nil && !slices.Contains(e.Clusters(), c) {
			return nil // it left meanwhile: Begin needs no answer of it, or asks for another try
		}
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		said[c.Name()] = l
		return nil
	}); err != nil {
		return nil, err
	}
	e.startsMu.Lock()
	defer e.startsMu.Unlock()
	b, starts, err := e.pos.Begin(since, said)
	for _, c := range e.Clusters() {
		own := slices.DeleteFunc(slices.Clone(starts), func(s Start) bool { return s.Cluster != c.Name() })
		if len(own) > 0 {
			c.Start(own)
		}
	}
	return b, err
}

// Clusters returns the clusters that are read.
func (e *Engine) Clusters() []Cluster {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.roster.Members()
}

func (e *Engine) closed() error {
	if e.life.Err() != nil {
		return ErrClosed
	}
	return nil
}

// each runs f for some clusters at once.
func (e *Engine) each(clusters []Cluster, f func(c Cluster) error) error {
	errs := make([]error, len(clusters))
	var wg sync.WaitGroup
	for i, c := range clusters {
		wg.Go(func() { errs[i] = f(c) })
	}
	wg.Wait()
	if err := e.closed(); err != nil {
		return err
	}
	return errors.Join(errs...)
}

// Run implements [Reader]. It tells the sink from its own goroutines: Seen from one or several per cluster,
// QueueAnswers from another, each time without a lock. The sink may keep the slice given to Seen.
func (e *Engine) Run(ctx context.Context, sink Sink) error {
	if err := e.closed(); err != nil {
		return err
	}
	if !e.running.TryLock() {
		return errors.New("queue reader runs already")
	}
	defer e.running.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.life, cancel)()
	var wg sync.WaitGroup
	e.mu.Lock()
	clear(e.dropped)
	e.begin = func(c Cluster) {
		ctx, end := context.WithCancel(ctx)
		done := make(chan struct{})
		e.ends[c] = func() { end(); <-done }
		wg.Go(func() {
			defer close(done)
			c.Run(ctx, sink)
		})
	}
	for _, c := range e.roster.Members() {
		e.begin(c)
	}
	e.mu.Unlock()
	e.tell(ctx, sink)
	e.mu.Lock()
	e.begin = nil
	clear(e.ends)
	e.mu.Unlock()
	wg.Wait()
	return nil
}

// tell tells the sink when the queue begins or ceases to answer, and which streams have no topic. Until it is told, a sink
// assumes that the queue does not answer and that no topic is missing.
func (e *Engine) tell(ctx context.Context, sink Sink) {
	told := false
	missing := newMissingTeller()
	for {
		missing.tell(e, sink)
		if all := e.answers(); all != told {
			told = all
			sink.QueueAnswers(all)
		}
		select {
		case <-e.health:
		case <-ctx.Done():
			return
		}
	}
}

// missing returns a cluster that has yet to join, if there is one, and why it has not.
func (e *Engine) missing() (name string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.roster.Missing()
}

func (e *Engine) answers() bool {
	if _, err := e.missing(); err != nil {
		return false
	}
	for _, c := range e.Clusters() {
		if ok, _ := c.Answers(); !ok {
			return false
		}
	}
	return true
}

// Status implements [Reader].
func (e *Engine) Status() Status {
	s := Status{Kind: e.cfg.Kind, Answers: e.answers()}
	for _, c := range e.Clusters() {
		cs := c.Status()
		cs.LastBarrier = time.Duration(e.barrier.Load())
		s.Clusters = append(s.Clusters, cs)
	}
	e.mu.Lock()
	missing := e.roster.AllMissing()
	e.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		s.Clusters = append(s.Clusters, ClusterStatus{Name: name, LastError: missing[name].Error(), Lag: -1})
	}
	return s
}

// Close ends Run and every call under way, and waits for Run. It may be called more than once.
func (e *Engine) Close() {
	e.end()
	e.running.Lock()
	defer e.running.Unlock()
	for _, c := range e.Clusters() {
		c.Close()
	}
}
