package confirm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// KafkaConfig says which Kafka clusters are the queue.
type KafkaConfig struct {
	Clusters []KafkaCluster
	Instance string        // first half of the mid of our packs
	Timeout  time.Duration // a cluster that has not answered for so long does not answer
	Log      *slog.Logger  // nil for none

	// TopicOf names the topic of a stream in all clusters, in place of their templates; nil for the
	// templates. Watch asks it each time and may be called again for a stream that got another topic: the
	// former one is read on. It is called from several goroutines and may wait.
	TopicOf func(ctx context.Context, group, stream string) (string, error)
}

// KafkaCluster is one of them.
type KafkaCluster struct {
	Name  string
	Opts  []kgo.Opt // seeds, TLS, SASL, client id; what concerns consuming is set by the reader
	Topic string    // template over {group} and {stream}; unused with TopicOf
}

// ErrClosed is returned by calls on a reader that was closed.
var ErrClosed = errors.New("queue reader is closed")

// Kafka reads the topics behind the proxies in one or several Kafka clusters: one client per cluster,
// without a group, at positions fixed here. It is safe for concurrent use.
//
// Its clients hold at most kafkaFetches fetches of kafkaFetchBytes each, per cluster, beside what is being
// looked at.
type Kafka struct {
	instance string
	timeout  time.Duration
	log      *slog.Logger
	topicOf  func(ctx context.Context, group, stream string) (string, error)

	pos      *Positions
	clusters []*kafkaCluster

	// startsMu makes one step of deciding where to read and telling the pollers, so that decisions
	// reach them in order. No I/O under it. It is taken before kafkaCluster.mu.
	startsMu sync.Mutex

	moved  signal        // some position moved
	health chan struct{} // some cluster's health may have changed; of size one

	life    context.Context // ends at Close
	end     context.CancelFunc
	run     sync.Mutex // held while Run runs
	barrier atomic.Int64
}

var _ Reader = (*Kafka)(nil)

var placeholder = regexp.MustCompile(`\{[^{}]*\}|[{}]`)

// NewKafka checks the configuration and makes the clients; nothing is connected yet.
func NewKafka(cfg KafkaConfig) (*Kafka, error) {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(cfg.Clusters) == 0 {
		bad("no queue cluster")
	}
	if cfg.Instance == "" {
		bad("no instance")
	}
	if cfg.Timeout <= 0 {
		bad("timeout %v is not positive", cfg.Timeout)
	}
	names := map[string]bool{}
	for _, c := range cfg.Clusters {
		if names[c.Name] {
			bad("two clusters are named %q", c.Name)
		}
		names[c.Name] = true
		if cfg.TopicOf != nil {
			continue
		}
		if c.Topic == "" {
			bad("cluster %q has no topic", c.Name)
		}
		for _, p := range placeholder.FindAllString(c.Topic, -1) {
			if p != "{group}" && p != "{stream}" {
				bad("topic %q of cluster %q: %s is neither {group} nor {stream}", c.Topic, c.Name, p)
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("invalid queue reader: %w", err)
	}
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	k := &Kafka{instance: cfg.Instance, timeout: cfg.Timeout, log: log, topicOf: cfg.TopicOf, health: make(chan struct{}, 1)}
	k.life, k.end = context.WithCancel(context.Background())
	var all []string
	for _, c := range cfg.Clusters {
		cluster, err := newKafkaCluster(k, c)
		if err != nil {
			k.Close()
			return nil, fmt.Errorf("queue cluster %s: %w", c.Name, err)
		}
		k.clusters = append(k.clusters, cluster)
		all = append(all, c.Name)
	}
	k.pos = NewPositions(all...)
	return k, nil
}

// Watch implements [Reader]. It waits at most the configured time for each cluster.
func (k *Kafka) Watch(ctx context.Context, group, stream string) error {
	var named string
	var err error
	if k.topicOf != nil {
		named, err = k.topicOf(ctx, group, stream)
	}
	if err == nil {
		err = k.each(func(c *kafkaCluster) error {
			name := named
			if k.topicOf == nil {
				name = strings.NewReplacer("{group}", group, "{stream}", stream).Replace(c.template)
			}
			return c.watch(ctx, name)
		})
	}
	if err != nil {
		return fmt.Errorf("watching the queue of %s.%s: %w", group, stream, err)
	}
	return nil
}

// Barrier implements [Reader]. Any number may run at once.
func (k *Kafka) Barrier(ctx context.Context) error {
	began := time.Now()
	if err := k.passBarrier(ctx); err != nil {
		return fmt.Errorf("queue barrier: %w", err)
	}
	k.barrier.Store(int64(time.Since(began)))
	return nil
}

func (k *Kafka) passBarrier(ctx context.Context) error {
	b, err := k.beginBarrier(ctx)
	for tries := 0; errors.Is(err, errNotAsked) && tries < 10; tries++ {
		b, err = k.beginBarrier(ctx)
	}
	if err != nil {
		return err
	}
	look := time.NewTicker(min(time.Second, k.timeout))
	defer look.Stop()
	for {
		moved := k.moved.wait()
		if passed, err := k.pos.Passed(b); passed || err != nil {
			return err
		}
		select {
		case <-moved:
		case <-look.C:
			// A cluster that went away will not be read to the end before somebody's patience is.
			for _, c := range k.clusters {
				if ok, err := c.answers(); !ok {
					return fmt.Errorf("cluster %s stopped answering: %w", c.name, err)
				}
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-k.life.Done():
			return ErrClosed
		}
	}
}

func (k *Kafka) beginBarrier(ctx context.Context) (*Barrier, error) {
	since := k.pos.Ask()
	var mu sync.Mutex
	said := map[string]Listing{}
	if err := k.each(func(c *kafkaCluster) error {
		l, err := c.list(ctx, since, k.pos.Topics(c.name), false)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		said[c.name] = l
		return nil
	}); err != nil {
		return nil, err
	}
	k.startsMu.Lock()
	defer k.startsMu.Unlock()
	b, starts, err := k.pos.Begin(since, said)
	k.start(starts)
	return b, err
}

// start hands starts to the pollers; startsMu is held since they were decided.
func (k *Kafka) start(starts []Start) {
	for _, c := range k.clusters {
		var own []Start
		for _, s := range starts {
			if s.Cluster == c.name {
				own = append(own, s)
			}
		}
		if len(own) > 0 {
			c.start(own)
		}
	}
}

// each runs f for all clusters at once.
func (k *Kafka) each(f func(c *kafkaCluster) error) error {
	errs := make([]error, len(k.clusters))
	var wg sync.WaitGroup
	for i, c := range k.clusters {
		wg.Go(func() { errs[i] = f(c) })
	}
	wg.Wait()
	if k.life.Err() != nil {
		return ErrClosed
	}
	return errors.Join(errs...)
}

// Run implements [Reader]. It tells the sink from its own goroutines: Seen from one per cluster,
// QueueAnswers from another, each time without a lock. The slice given to Seen is the sink's to keep.
func (k *Kafka) Run(ctx context.Context, sink Sink) error {
	if k.life.Err() != nil {
		return ErrClosed
	}
	if !k.run.TryLock() {
		return errors.New("queue reader runs already")
	}
	defer k.run.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(k.life, cancel)()

	var wg sync.WaitGroup
	for _, c := range k.clusters {
		wg.Go(func() { c.poll(ctx, sink) })
		wg.Go(func() { c.refresh(ctx) })
	}
	wg.Go(func() { k.tell(ctx, sink) })
	wg.Wait()
	return nil
}

// tell tells the sink when the queue begins or ceases to answer. A sink begins with "it does not".
func (k *Kafka) tell(ctx context.Context, sink Sink) {
	told := false
	for {
		if all := k.answers(); all != told {
			told = all
			sink.QueueAnswers(all)
		}
		select {
		case <-k.health:
		case <-ctx.Done():
			return
		}
	}
}

func (k *Kafka) answers() bool {
	for _, c := range k.clusters {
		if ok, _ := c.answers(); !ok {
			return false
		}
	}
	return true
}

// Status implements [Reader].
func (k *Kafka) Status() Status {
	s := Status{Kind: "kafka", Answers: k.answers()}
	for _, c := range k.clusters {
		cs := c.status()
		cs.LastBarrier = time.Duration(k.barrier.Load())
		s.Clusters = append(s.Clusters, cs)
	}
	return s
}

// Close ends Run and every call under way, and waits for Run. It may be called more than once.
func (k *Kafka) Close() {
	k.end()
	k.run.Lock()
	defer k.run.Unlock()
	for _, c := range k.clusters {
		c.cl.Close()
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
