package pulsar

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	client "github.com/apache/pulsar-client-go/pulsar"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/sdk/backoff"
	"inlong-bridge/sdk/signal"
)

const (
	queueSize = 100 // messages that a reader may hold
	batchSize = 512 // messages that are reported together
	linger    = 2 * time.Millisecond
	atOnce    = 16 // questions and openings under way
)

// openPause is the pause before a reader of a partition is opened again.
var openPause = backoff.Backoff{Min: 200 * time.Millisecond, Max: 5 * time.Second}

// conn is what the reader needs of a client of Pulsar. Every call returns when its context ends.
type conn interface {
	// partitions names the partitions of a topic, the topic itself if it has none, and nothing if it does not exist.
	partitions(ctx context.Context, topic string) ([]string, error)
	// last asks a partition's broker for its end, and for its beginning if it is empty.
	last(ctx context.Context, partition string) (confirm.Bounds, error)
	// seek asks where the first message of a partition lies that was published at a time or later. There must be one.
	seek(ctx context.Context, partition string, at time.Time) (confirm.Offset, error)
	// topics lists the partitions, and the topics without any, of a namespace.
	topics(ctx context.Context, namespace string) ([]string, error)
	// read opens a reader at an offset; the zero offset is the beginning. When the connection of the reader ends, lost is
	// called before the reader may miss anything; messages that it returns after that call count for nothing.
	read(ctx context.Context, partition string, at confirm.Offset, lost func()) (partitionReader, error)
	// close ends the connections. Its wait is bounded.
	close()
}

type partitionReader interface {
	next(ctx context.Context) (message, error)
	// close begins to close, and does not wait.
	close()
}

// message is a message and the offset before it.
type message struct {
	at      confirm.Offset
	payload []byte
	raw     client.Message
}

func (m *message) after() confirm.Offset {
	o := m.at
	o.Batch++
	return o
}

// cluster reads one cluster.
type cluster struct {
	*confirm.Tracker
	cfg   Cluster
	named bool // TopicOf names the topics
	conn  conn

	wake signal.Poke // starts were left

	mu     sync.Mutex
	starts []confirm.Start          // not yet begun
	ended  map[confirm.Place]uint64 // lives of readers that ended and are not resumed yet
	fails  map[confirm.Place]int    // failures in a row to open a reader

	opening chan struct{}               // a place for each opening under way
	reading map[confirm.Place]*reading  // used by Run only
	stuck   map[confirm.Place]time.Time // used by look only; the time since which a partition does not move
}

// reading is the reader of a partition.
type reading struct {
	life uint64
	stop context.CancelCauseFunc
}

var (
	errElsewhere  = errors.New("the partition is read from elsewhere")
	errReconnects = errors.New("the connection of the reader ended")
)

func (r *Reader) newCluster(cfg Cluster, conn conn) *cluster {
	c := &cluster{
		cfg: cfg, named: r.cfg.TopicOf != nil, conn: conn, wake: signal.NewPoke(),
		ended: map[confirm.Place]uint64{}, fails: map[confirm.Place]int{}, opening: make(chan struct{}, atOnce),
		reading: map[confirm.Place]*reading{}, stuck: map[confirm.Place]time.Time{},
	}
	c.Tracker = r.Track(cfg.Name, c.Start)
	return c
}

// Close implements [confirm.Cluster].
func (c *cluster) Close() { c.conn.close() }

// partitionOf returns the number at the end of a partition's name, -1 for a topic that has no partitions.
func partitionOf(topic, partition string) (int32, bool) {
	if topic == partition {
		return -1, true
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(partition, topic+"-partition-"), 10, 31)
	return int32(n), err == nil
}

func partitionName(at confirm.Place) string {
	if at.Partition < 0 {
		return at.Topic
	}
	return at.Topic + "-partition-" + strconv.Itoa(int(at.Partition))
}

// Watch implements [confirm.Cluster]. Pulsar maps a time to a position only by seeking a subscription, which would move its
// cursor, so since is ignored.
func (c *cluster) Watch(ctx context.Context, name string, _ time.Time) error {
	began := time.Now()
	l, err := c.ask(ctx, c.Positions().Ask(), []string{name})
	if err == nil || mayPass(err) && c.Blames(ctx) {
		c.Answered(err, began) // a right that is missing for a new topic is no fault of the cluster
	}
	if err != nil {
		return err
	}
	if !l.Topics[name].Exists {
		if err := c.askNamespace(ctx, name); err != nil {
			return err
		}
		c.Log().Info("queue topic does not exist yet; its packs do not become final before it does", "cluster", c.Name(),
			"topic", name, "hint", "is it the topic that the proxies write to, and do its tenant and namespace exist? the Manager names it, and queue.pulsar[] must agree")
	}
	return c.Decide(func(p *confirm.Positions) ([]confirm.Start, error) { return p.Fix(c.Name(), name, l) })
}

// Start implements [confirm.Cluster]: it leaves starts for Run and wakes it.
func (c *cluster) Start(starts []confirm.Start) {
	c.Began(starts)
	c.mu.Lock()
	for _, s := range starts {
		if s.Why == confirm.Unwatched {
			delete(c.ended, s.Place)
			delete(c.fails, s.Place)
		}
	}
	c.starts = append(c.starts, starts...)
	c.mu.Unlock()
	c.wake.Poke()
}

// Run implements [confirm.Cluster]: it opens and closes readers of partitions until ctx ends.
func (c *cluster) Run(ctx context.Context, sink confirm.Sink) {
	var wg sync.WaitGroup
	defer wg.Wait()
	// Partitions and ends are asked for once a second: to find new partitions, to know the lag and that the cluster
	// answers, and to open readers again that ended. While the cluster does not answer, no reader is opened again.
	wg.Go(func() { c.Refresh(ctx, c.look) })
	for {
		select {
		case <-c.wake:
		case <-ctx.Done():
			return
		}
		c.mu.Lock()
		starts := c.starts
		c.starts = nil
		c.mu.Unlock()
		for _, s := range starts {
			if was := c.reading[s.Place]; was != nil {
				was.stop(errElsewhere)
			}
			if s.Why == confirm.Unwatched {
				delete(c.reading, s.Place)
				continue
			}
			of, stop := context.WithCancelCause(ctx)
			c.reading[s.Place] = &reading{s.Life, stop}
			wg.Go(func() {
				defer stop(nil)
				c.readPartition(of, sink, s, func() { stop(errReconnects) })
			})
		}
	}
}

// readPartition reads from s.Offset on until ctx ends. Messages that the reader returns after it called lost
// are dropped: some between them may be missing. They are read again when the partition is resumed.
func (c *cluster) readPartition(ctx context.Context, sink confirm.Sink, s confirm.Start, lost func()) {
	defer c.readerEnded(ctx, s)
	name := partitionName(s.Place)
	select {
	case c.opening <- struct{}{}:
	case <-ctx.Done():
		return
	}
	rd, err := c.open(ctx, name, s.Offset, lost)
	<-c.opening
	c.opened(ctx, s.Place, err)
	if err != nil {
		return
	}
	// The reader is closed as soon as ctx ends: that ends a call of next, and the client's own attempts to reconnect.
	finish := sync.OnceFunc(rd.close)
	defer finish()
	defer context.AfterFunc(ctx, finish)()
	g := gathering{c: c, rd: rd, start: s, next: s.Offset}
	for {
		found, err := g.gather(ctx)
		if found.Messages > 0 {
			c.Report(sink, &found, confirm.Step{Place: s.Place, Life: s.Life, Next: g.next})
		}
		if err != nil {
			if ctx.Err() == nil {
				c.SetFault(confirm.FaultLasts, c.explain(fmt.Errorf("reading %v: %w", s.Place, err), s.Topic))
			}
			return
		}
	}
}

// open bounds what opening a reader may take.
func (c *cluster) open(ctx context.Context, partition string, at confirm.Offset, lost func()) (partitionReader, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout())
	defer cancel()
	return c.conn.read(ctx, partition, at, lost)
}

// opened notes how opening a reader went. After a failure it waits, so that opening is not tried too often.
func (c *cluster) opened(ctx context.Context, at confirm.Place, err error) {
	c.mu.Lock()
	if err == nil || ctx.Err() != nil {
		delete(c.fails, at)
		c.mu.Unlock()
		return
	}
	fails := c.fails[at]
	c.fails[at]++
	c.mu.Unlock()
	if fails > 0 { // right after a restart of the broker it may fail once
		c.SetFault(confirm.FaultLasts, c.explain(fmt.Errorf("reading %v: %w", at, err), at.Topic))
	}
	select {
	case <-time.After(openPause.Pause(fails, 0)):
	case <-ctx.Done():
	}
}

// readerEnded notes that a partition must be resumed.
func (c *cluster) readerEnded(ctx context.Context, s confirm.Start) {
	if errors.Is(context.Cause(ctx), errElsewhere) {
		return
	}
	c.mu.Lock()
	c.ended[s.Place] = s.Life
	c.mu.Unlock()
	c.RefreshSoon()
}

// gathering reads messages of a partition and gathers those that are reported together.
type gathering struct {
	c     *cluster
	rd    partitionReader
	start confirm.Start
	next  confirm.Offset // after the last message that was accepted
	carry *message       // of the next batch
}

// gather returns the messages that were accepted, also with an error.
func (g *gathering) gather(ctx context.Context) (found confirm.Batch, err error) {
	found = g.c.Batch()
	wait, cancel := ctx, context.CancelFunc(nil)
	for found.Messages < batchSize {
		m := g.carry
		if g.carry = nil; m == nil {
			got, err := g.rd.next(wait)
			if cause := context.Cause(ctx); cause != nil {
				err = cause // drop what was returned: something before it may be missing
			}
			if err != nil {
				if found.Messages > 0 && errors.Is(err, context.DeadlineExceeded) {
					err = nil
				}
				if cancel != nil {
					cancel()
				}
				return found, err
			}
			m = &got
		}
		if m.at.Before(g.next) {
			continue // the reader was opened in the middle of this batch
		}
		if m.at.Ledger != g.next.Ledger {
			if found.Messages > 0 {
				g.carry = m
				break
			}
			g.otherLedger(m.at)
		}
		found.Add(m.payload)
		g.next = m.after()
		if cancel == nil {
			wait, cancel = context.WithTimeout(ctx, linger)
		}
	}
	if cancel != nil {
		cancel()
	}
	return found, nil
}

// otherLedger counts the entries that were known to lie before a message that was found in another ledger: they
// were gone before they were read.
func (g *gathering) otherLedger(at confirm.Offset) {
	missed := g.c.Positions().Skipped(g.start.Place, g.start.Life, at)
	if missed == 0 {
		return
	}
	g.c.Missed(missed)
	g.c.Log().Warn("messages of the queue were gone before they were read; their records are sent again", "cluster", g.c.Name(),
		"topic", g.start.Topic, "partition", g.start.Partition, "from", g.next.String(), "to", at.String(), "missed_at_least", missed,
		"hint", "the retention of the namespace must be longer than this reader is ever behind; or the topic was created again")
}

// look reports whether the cluster answered.
func (c *cluster) look(ctx context.Context) bool {
	l, err := c.List(ctx, c.Positions().Ask(), c.Positions().Topics(c.Name()))
	if err != nil {
		return false // the tracker has noted it
	}
	if err := c.Decide(func(p *confirm.Positions) ([]confirm.Start, error) {
		starts, err := p.Update(c.Name(), l)
		return append(starts, c.resume(p, l)...), err
	}); err != nil {
		c.SetFault(confirm.FaultLasts, err)
	}
	c.Moved() // where nothing is left, a position may have moved without a message
	c.lookAtStuck()
	return true
}

// resume starts partitions again whose readers ended, if the partitions exist. It is part of a decision.
func (c *cluster) resume(p *confirm.Positions, l confirm.Listing) (starts []confirm.Start) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for at, life := range c.ended {
		t, ok := l.Topics[at.Topic]
		if !ok {
			continue // not asked for yet
		}
		if _, there := t.Partitions[at.Partition]; t.Exists && !there || !t.Exists {
			continue
		}
		delete(c.ended, at)
		if s, ok := p.Resume(at, life); ok {
			starts = append(starts, s)
		}
	}
	return starts
}

// lookAtStuck opens readers again that have found nothing for long although there is something to read.
func (c *cluster) lookAtStuck() {
	now := map[confirm.Place]time.Time{}
	for _, u := range c.Positions().Stuck(c.Name()) {
		since, ok := c.stuck[u.Place]
		if !ok {
			since = time.Now()
		}
		if time.Since(since) > c.Timeout() {
			c.SetFault(confirm.RefreshAtMost, fmt.Errorf("nothing was read for %v, although %v holds messages from %v to %v",
				time.Since(since).Round(time.Second), u.Place, u.Next, u.End))
			c.reopen(u)
			since = time.Now()
		}
		now[u.Place] = since
	}
	c.stuck = now
}

// reopen has a partition read again from its position by another reader.
func (c *cluster) reopen(u confirm.Unread) {
	_ = c.Decide(func(p *confirm.Positions) (starts []confirm.Start, _ error) { // it has no errors
		if s, ok := p.Resume(u.Place, u.Life); ok {
			starts = append(starts, s)
		}
		return starts, nil
	})
}

// List implements [confirm.Cluster].
func (c *cluster) List(ctx context.Context, fresh confirm.Ticket, topics []string) (confirm.Listing, error) {
	began := time.Now()
	l, err := c.ask(ctx, fresh, topics)
	if err == nil || c.Blames(ctx) {
		c.Answered(err, began)
	}
	return l, err
}

// ask asks which partitions topics have, and for the end of each.
func (c *cluster) ask(parent context.Context, fresh confirm.Ticket, topics []string) (confirm.Listing, error) {
	return c.Ask(parent, fresh, confirm.Question{
		Once:    func(ctx context.Context) (confirm.Listing, error) { return c.askOnce(ctx, topics) },
		MayPass: mayPass,
		Hint:    "are its brokers up, and can service_url and the addresses that the brokers advertise be reached from here?",
	})
}

func (c *cluster) askOnce(ctx context.Context, topics []string) (confirm.Listing, error) {
	l := confirm.Listing{Topics: make(map[string]confirm.TopicListing, len(topics))}
	q := newQuestions()
	var mu sync.Mutex                                    // guards l and partitions
	partitions := make(map[string][]string, len(topics)) // by topic
	for _, topic := range topics {
		q.ask(func() error {
			names, err := c.conn.partitions(ctx, topic)
			if err != nil {
				return c.explain(fmt.Errorf("reading metadata of topic %s: %w", topic, err), topic)
			}
			mu.Lock()
			defer mu.Unlock()
			partitions[topic] = names
			l.Topics[topic] = confirm.TopicListing{Exists: len(names) > 0, Partitions: make(map[int32]confirm.Bounds, len(names))}
			return nil
		})
	}
	err := q.wait()
	for topic, names := range partitions {
		for _, name := range names {
			n, ok := partitionOf(topic, name)
			if !ok {
				err = errors.Join(err, fmt.Errorf("topic %s has a partition named %s", topic, name))
				continue
			}
			q.ask(func() error {
				b, err := c.conn.last(ctx, name)
				if err != nil {
					return c.explain(fmt.Errorf("asking for the end of %s: %w", name, err), topic)
				}
				mu.Lock()
				defer mu.Unlock()
				l.Topics[topic].Partitions[n] = b
				return nil
			})
		}
	}
	return l, errors.Join(err, q.wait())
}
