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
)

// ErrClosed is returned by calls on a reader that was closed.
var ErrClosed = errors.New("queue reader is closed")

// reader is what the readers of all kinds of queues are: it asks the clusters, and Positions decides. It is
// safe for concurrent use.
type reader struct {
	kind     string
	instance string
	timeout  time.Duration
	log      *slog.Logger
	unfold   int // bytes that a compressed batch may unfold to, where the client can be told
	topicOf  func(ctx context.Context, group, stream string) (string, error)

	pos *Positions

	mu       sync.Mutex
	clusters []cluster             // guarded by mu; replaced, never changed in place
	missing  map[string]error      // guarded by mu; clusters that are part of the queue and have not joined, and why
	routes   map[route]bool        // guarded by mu; what is watched in all of them
	byStream map[streamKey][]route // guarded by mu; the same
	noted    uint64                // guarded by mu; changes of routes
	coming   map[route]int         // guarded by mu; calls of Watch that are under way
	uses     map[use]int           // guarded by mu; how many routes lead to a topic
	dropped  map[streamKey]bool    // guarded by mu; streams that were unwatched since Run told of missing topics last
	begin    func(cluster)         // guarded by mu; has one more read while Run runs, else nil
	ends     map[cluster]func()    // guarded by mu; end that, and wait until it has ended

	// startsMu makes one step of deciding where to read and telling those who do, so that decisions
	// reach them in order. No I/O under it. It is taken before mu and the locks of a cluster.
	startsMu sync.Mutex

	// telling is held while a sink is told which topics are missing. It is taken before startsMu.
	telling sync.Mutex

	moved  signal        // some position moved
	health chan struct{} // some cluster's health may have changed; of size one

	life    context.Context // ends at Close
	end     context.CancelFunc
	running sync.Mutex // held while Run runs
	barrier atomic.Int64
}

// cluster is one cluster of the queue.
type cluster interface {
	name() string
	// topic is where the packs of a stream lie; named is what topicOf said, if anybody was asked.
	topic(named, group, stream string) string
	// watch fixes the positions of a topic: at its ends, or, with a since that is not zero, where the cluster can
	// tell before what was put into it after that.
	watch(ctx context.Context, topic string, since time.Time) error
	// list asks for fresh metadata and the end offsets of topics.
	list(ctx context.Context, fresh Ticket, topics []string) (Listing, error)
	// start has partitions read elsewhere; reader.startsMu is held since that was decided.
	start([]Start)
	// run reads until ctx ends.
	run(ctx context.Context, sink Sink)
	answers() (bool, error)
	status() ClusterStatus
	// close ends the connections; run has ended.
	close()
}

// route is a stream that is watched, and the name that topicOf gave its topic.
type route struct{ group, stream, named string }

// use is a topic of a cluster.
type use struct{ cluster, topic string }

func newReader(kind, instance string, timeout time.Duration, log *slog.Logger) *reader {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	r := &reader{kind: kind, instance: instance, timeout: timeout, log: log, health: make(chan struct{}, 1),
		coming: make(map[route]int), uses: make(map[use]int), dropped: make(map[streamKey]bool),
		missing: make(map[string]error), routes: make(map[route]bool), byStream: make(map[streamKey][]route), ends: make(map[cluster]func())}
	r.life, r.end = context.WithCancel(context.Background())
	return r
}

// checkReader looks at what all kinds of readers are given.
func checkReader(instance string, timeout time.Duration, clusters []string) (errs []error) {
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(clusters) == 0 {
		bad("no queue cluster")
	}
	if instance == "" {
		bad("no instance")
	}
	if timeout <= 0 {
		bad("timeout %v is not positive", timeout)
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

// Outputs implements [Reader].
func (r *reader) Outputs() (out []Output) {
	for _, c := range r.all() {
		if k, ok := c.(*kafkaCluster); ok {
			for topic, id := range r.pos.IDs(c.name()) {
				out = append(out, Output{c.name(), k.clusterID(), topic, id})
			}
		}
	}
	return out
}

func (r *reader) healthChanged() { poke(r.health) }

// poke wakes whoever reads c, which is of size one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Watch implements [Reader]. It waits at most the configured time for each cluster.
func (r *reader) Watch(ctx context.Context, group, stream string) error {
	var named string
	var err error
	if r.topicOf != nil {
		named, err = r.topicOf(ctx, group, stream)
	}
	if err == nil {
		err = r.watch(ctx, route{group, stream, named})
	}
	if err != nil {
		return fmt.Errorf("watching the queue of %s.%s: %w", group, stream, err)
	}
	return nil
}

// watch watches a route in every cluster, also in those that join meanwhile: what is said of it and of the
// clusters at the end holds at the same moment.
func (r *reader) watch(ctx context.Context, at route) error {
	r.mu.Lock()
	r.coming[at]++
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.coming[at]--; r.coming[at] == 0 {
			delete(r.coming, at)
		}
	}()
	done := map[cluster]bool{}
	for {
		r.mu.Lock()
		left := slices.DeleteFunc(slices.Clone(r.clusters), func(c cluster) bool { return done[c] })
		if len(left) == 0 && r.life.Err() == nil {
			r.noteRouteLocked(at)
			defer r.healthChanged() // no pack of it is old before the sink knows
		}
		r.mu.Unlock()
		if len(left) == 0 {
			return r.closed()
		}
		if err := r.each(left, func(c cluster) error {
			err := c.watch(ctx, c.topic(at.named, at.group, at.stream), time.Time{})
			if err != nil && !slices.Contains(r.all(), c) {
				return nil // it left meanwhile: what it says does not matter
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

// Barrier implements [Reader]. Any number may run at once.
func (r *reader) Barrier(ctx context.Context) error {
	began := time.Now()
	if err := r.passBarrier(ctx); err != nil {
		return fmt.Errorf("queue barrier: %w", err)
	}
	r.barrier.Store(int64(time.Since(began)))
	return nil
}

func (r *reader) passBarrier(ctx context.Context) error {
	for {
		b, err := r.askBarrier(ctx)
		if err != nil {
			return err
		}
		if err = r.awaitBarrier(ctx, b); !errors.Is(err, errNotAsked) {
			return err
		}
	}
}

func (r *reader) awaitBarrier(ctx context.Context, b *Barrier) error {
	look := time.NewTicker(min(time.Second, r.timeout))
	defer look.Stop()
	for {
		moved := r.moved.wait()
		name, missed := r.missed() // before looking: one that joins after this is known to Passed
		switch passed, err := r.pos.Passed(b); {
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
			// A cluster that went away will not be read to the end before somebody's patience is.
			for _, c := range r.all() {
				if ok, err := c.answers(); !ok {
					return fmt.Errorf("cluster %s stopped answering: %w", c.name(), err)
				}
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-r.life.Done():
			return ErrClosed
		}
	}
}

// askBarrier begins a barrier, and for as long as the reader's timeout another one when the answers to the
// first do not serve.
func (r *reader) askBarrier(ctx context.Context) (*Barrier, error) {
	again := func(err error) bool { return errors.Is(err, errNotAsked) || errors.Is(err, errBehind) }
	began := time.Now()
	b, err := r.beginBarrier(ctx)
	for pause := 10 * time.Millisecond; again(err) && time.Since(began) < r.timeout; pause = min(2*pause, time.Second) {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-r.life.Done():
			return nil, ErrClosed
		}
		b, err = r.beginBarrier(ctx)
	}
	return b, err
}

func (r *reader) beginBarrier(ctx context.Context) (*Barrier, error) {
	if name, err := r.missed(); err != nil {
		return nil, fmt.Errorf("cluster %s is not read: %w", name, err)
	}
	since := r.pos.Ask()
	var mu sync.Mutex
	said := map[string]Listing{}
	if err := r.each(r.all(), func(c cluster) error {
		l, err := c.list(ctx, since, r.pos.Topics(c.name()))
		if err != nil && !slices.Contains(r.all(), c) {
			return nil // it left meanwhile: Begin asks for another try, or for no answer of it
		}
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		said[c.name()] = l
		return nil
	}); err != nil {
		return nil, err
	}
	r.startsMu.Lock()
	defer r.startsMu.Unlock()
	b, starts, err := r.pos.Begin(since, said)
	r.start(starts)
	return b, err
}

// start hands starts to the clusters they are of; startsMu is held since they were decided.
func (r *reader) start(starts []Start) {
	for _, c := range r.all() {
		var own []Start
		for _, s := range starts {
			if s.Cluster == c.name() {
				own = append(own, s)
			}
		}
		if len(own) > 0 {
			c.start(own)
		}
	}
}

// all are the clusters that are read.
func (r *reader) all() []cluster {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.clusters
}

func (r *reader) closed() error {
	if r.life.Err() != nil {
		return ErrClosed
	}
	return nil
}

// each runs f for some clusters at once.
func (r *reader) each(clusters []cluster, f func(c cluster) error) error {
	errs := make([]error, len(clusters))
	var wg sync.WaitGroup
	for i, c := range clusters {
		wg.Go(func() { errs[i] = f(c) })
	}
	wg.Wait()
	if err := r.closed(); err != nil {
		return err
	}
	return errors.Join(errs...)
}

// Run implements [Reader]. It tells the sink from its own goroutines: Seen from one or several per cluster,
// QueueAnswers from another, each time without a lock. The slice given to Seen is the sink's to keep.
func (r *reader) Run(ctx context.Context, sink Sink) error {
	if err := r.closed(); err != nil {
		return err
	}
	if !r.running.TryLock() {
		return errors.New("queue reader runs already")
	}
	defer r.running.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.life, cancel)()

	var wg sync.WaitGroup
	r.mu.Lock()
	clear(r.dropped)
	r.begin = func(c cluster) {
		ctx, end := context.WithCancel(ctx)
		done := make(chan struct{})
		r.ends[c] = func() { end(); <-done }
		wg.Go(func() {
			defer close(done)
			c.run(ctx, sink)
		})
	}
	for _, c := range r.clusters {
		r.begin(c)
	}
	r.mu.Unlock()
	r.tell(ctx, sink)
	r.mu.Lock()
	r.begin = nil
	clear(r.ends)
	r.mu.Unlock()
	wg.Wait()
	return nil
}

// tell tells the sink when the queue begins or ceases to answer, and whose topics are missing. A sink begins with
// "it does not", and "none".
func (r *reader) tell(ctx context.Context, sink Sink) {
	told := false
	missing := newMissingTeller()
	for {
		missing.tell(r, sink)
		if all := r.answers(); all != told {
			told = all
			sink.QueueAnswers(all)
		}
		select {
		case <-r.health:
		case <-ctx.Done():
			return
		}
	}
}

// missed names a cluster that has not joined, if there is one.
func (r *reader) missed() (name string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, err := range r.missing {
		return name, err
	}
	return "", nil
}

func (r *reader) answers() bool {
	if _, err := r.missed(); err != nil {
		return false
	}
	for _, c := range r.all() {
		if ok, _ := c.answers(); !ok {
			return false
		}
	}
	return true
}

// Status implements [Reader].
func (r *reader) Status() Status {
	s := Status{Kind: r.kind, Answers: r.answers()}
	for _, c := range r.all() {
		cs := c.status()
		cs.LastBarrier = time.Duration(r.barrier.Load())
		s.Clusters = append(s.Clusters, cs)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(r.missing)) {
		s.Clusters = append(s.Clusters, ClusterStatus{Name: name, LastError: r.missing[name].Error(), Lag: -1})
	}
	return s
}

// Close ends Run and every call under way, and waits for Run. It may be called more than once.
func (r *reader) Close() {
	r.end()
	r.running.Lock()
	defer r.running.Unlock()
	for _, c := range r.all() {
		c.close()
	}
}

// signal wakes all who wait for the next time something happens. The zero value is ready.
type signal struct {
	mu sync.Mutex
	c  chan struct{}
}

// wait returns a channel that is closed when it happens next; take it before looking.
func (s *signal) wait() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c == nil {
		s.c = make(chan struct{})
	}
	return s.c
}

func (s *signal) happened() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.c != nil {
		close(s.c)
		s.c = nil
	}
}
