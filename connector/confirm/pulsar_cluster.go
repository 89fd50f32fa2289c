package confirm

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	pulsarQueue     = 100 // messages that a reader may hold
	pulsarBatch     = 512 // messages that are reported together
	pulsarLinger    = 2 * time.Millisecond
	pulsarAtOnce    = 16 // questions and openings under way
	pulsarOpenPause = 200 * time.Millisecond
	pulsarOpenMost  = 5 * time.Second
)

// pulsarConn is what is needed of a client of Pulsar. Every call returns when its context ends.
type pulsarConn interface {
	// partitions names what a topic consists of: its partitions, or itself; nothing if it does not exist.
	partitions(ctx context.Context, topic string) ([]string, error)
	// last returns the end of a partition, from its broker, and its beginning if nothing is in it.
	last(ctx context.Context, partition string) (Bounds, error)
	// read opens a reader at an offset, the zero one being the beginning. lost is called before the reader
	// may miss anything, because its connection ended; what is returned after that call counts for nothing.
	read(ctx context.Context, partition string, at Offset, lost func()) (pulsarReader, error)
	// close ends the connections, and does not wait for what never comes.
	close()
}

type pulsarReader interface {
	next(ctx context.Context) (pulsarMessage, error)
	// close begins to close, and does not wait.
	close()
}

// pulsarMessage is a message and the offset before it.
type pulsarMessage struct {
	at      Offset
	payload []byte
}

func (m *pulsarMessage) after() Offset {
	o := m.at
	o.Batch++
	return o
}

// pulsarCluster reads one cluster.
type pulsarCluster struct {
	*health
	cfg  PulsarCluster
	conn pulsarConn

	kick chan struct{} // refresh now; of size one
	wake chan struct{} // starts were left; of size one

	mu     sync.Mutex
	starts []Start          // not yet begun
	ended  map[Place]uint64 // lives of readers that ended and are not resumed yet
	fails  map[Place]int    // how often in a row one could not be opened

	opening chan struct{}       // a place for each opening under way
	reading map[Place]*reading  // run's own
	stuck   map[Place]time.Time // refresh's own: since when a partition does not move
}

// reading is a reader of a partition at work.
type reading struct {
	life uint64
	stop context.CancelCauseFunc
}

var (
	errElsewhere  = errors.New("the partition is read from elsewhere")
	errReconnects = errors.New("the connection of the reader ended")
)

func newPulsarCluster(r *reader, cfg PulsarCluster, conn pulsarConn) *pulsarCluster {
	return &pulsarCluster{
		health: newHealth(r, cfg.Name), cfg: cfg, conn: conn, kick: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		ended: map[Place]uint64{}, fails: map[Place]int{}, opening: make(chan struct{}, pulsarAtOnce),
		reading: map[Place]*reading{}, stuck: map[Place]time.Time{},
	}
}

func (c *pulsarCluster) close() { c.conn.close() }

// partitionOf is the number at the end of a partition's name, -1 for a topic that has no partitions.
func partitionOf(topic, partition string) (int32, bool) {
	if topic == partition {
		return -1, true
	}
	n, err := strconv.ParseUint(strings.TrimPrefix(partition, topic+"-partition-"), 10, 31)
	return int32(n), err == nil
}

func partitionName(at Place) string {
	if at.Partition < 0 {
		return at.Topic
	}
	return at.Topic + "-partition-" + strconv.Itoa(int(at.Partition))
}

// watch fixes the positions of a topic. Where something that was put in at a time lies, a broker tells only whoever
// moves a cursor there: since is not heeded.
func (c *pulsarCluster) watch(ctx context.Context, name string, _ time.Time) error {
	began := time.Now()
	l, err := c.ask(ctx, c.r.pos.Ask(), []string{name})
	if err == nil || pulsarMayPass(err) && c.blames(ctx) {
		c.answered(err, began) // a right that is missing for a new topic is no fault of the cluster
	}
	if err != nil {
		return err
	}
	if !l.Topics[name].Exists {
		if err := c.askNamespace(ctx, name); err != nil {
			return err
		}
		c.r.log.Info("queue topic does not exist yet; nothing that needs it becomes final before it does", "cluster", c.cluster,
			"topic", name, "hint", "is it the topic that the proxies write to, and do its tenant and namespace exist? the Manager names it, and queue.pulsar[] must agree")
	}
	c.r.startsMu.Lock()
	defer c.r.startsMu.Unlock()
	starts, err := c.r.pos.Fix(c.cluster, name, l)
	c.start(starts)
	return err
}

func (c *pulsarCluster) start(starts []Start) {
	c.began(starts)
	c.mu.Lock()
	for _, s := range starts {
		if s.Why == Unwatched {
			delete(c.ended, s.Place)
			delete(c.fails, s.Place)
		}
	}
	c.starts = append(c.starts, starts...)
	c.mu.Unlock()
	poke(c.wake)
}

// run begins and ends readers of partitions until ctx ends.
func (c *pulsarCluster) run(ctx context.Context, sink Sink) {
	var wg sync.WaitGroup
	defer wg.Wait()
	// Partitions and ends are asked for once a second: to find what appeared, to know the lag and that the cluster
	// answers, and to have readers opened again that ended. While it does not answer none is opened.
	wg.Go(func() { c.refresh(ctx, c.kick, c.look) })
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
			if s.Why == Unwatched {
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

// readPartition reads from where it is told to until ctx ends. Messages that are returned once lost was called
// are dropped: some between them may be missing. Whoever resumes the partition reads them again.
func (c *pulsarCluster) readPartition(ctx context.Context, sink Sink, s Start, lost func()) {
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
	// At once, also while next waits for the client: closing ends that, and the client's own attempts to reconnect.
	finish := sync.OnceFunc(rd.close)
	defer finish()
	defer context.AfterFunc(ctx, finish)()
	g := gathering{c: c, rd: rd, start: s, next: s.Offset}
	for {
		found, err := g.gather(ctx)
		if len(found.seqs) > 0 {
			sink.Seen(found.seqs)
		}
		if found.messages > 0 {
			// Positions move only when the sink has been told: a barrier that passes says that it has.
			c.counted(&found)
			c.r.pos.Advance(s.Place, s.Life, g.next)
			c.r.moved.happened()
		}
		if err != nil {
			if ctx.Err() == nil {
				c.setFault(faultLasts, c.explain(fmt.Errorf("reading %v: %w", s.Place, err), s.Topic))
			}
			return
		}
	}
}

// open bounds what opening a reader may take.
func (c *pulsarCluster) open(ctx context.Context, partition string, at Offset, lost func()) (pulsarReader, error) {
	ctx, cancel := context.WithTimeout(ctx, c.r.timeout)
	defer cancel()
	return c.conn.read(ctx, partition, at, lost)
}

// opened takes in how opening went, and waits if it does not go well, so that it is not tried too often.
func (c *pulsarCluster) opened(ctx context.Context, at Place, err error) {
	c.mu.Lock()
	if err == nil || ctx.Err() != nil {
		delete(c.fails, at)
		c.mu.Unlock()
		return
	}
	fails := c.fails[at]
	c.fails[at]++
	c.mu.Unlock()
	if fails > 0 { // right after a restart of its broker it may fail once
		c.setFault(faultLasts, c.explain(fmt.Errorf("reading %v: %w", at, err), at.Topic))
	}
	select {
	case <-time.After(min(pulsarOpenPause<<min(fails, 8), pulsarOpenMost)):
	case <-ctx.Done():
	}
}

// readerEnded leaves word that a partition must be resumed.
func (c *pulsarCluster) readerEnded(ctx context.Context, s Start) {
	if errors.Is(context.Cause(ctx), errElsewhere) {
		return
	}
	c.mu.Lock()
	c.ended[s.Place] = s.Life
	c.mu.Unlock()
	poke(c.kick)
}

// gathering reads messages of a partition and puts together what is reported together.
type gathering struct {
	c     *pulsarCluster
	rd    pulsarReader
	start Start
	next  Offset         // after the last message that was accepted
	carry *pulsarMessage // of the next batch
}

// gather returns what was accepted, also when it ends with an error.
func (g *gathering) gather(ctx context.Context) (found batch, err error) {
	wait, cancel := ctx, context.CancelFunc(nil)
	for found.messages < pulsarBatch {
		m := g.carry
		if g.carry = nil; m == nil {
			got, err := g.rd.next(wait)
			if cause := context.Cause(ctx); cause != nil {
				err = cause // whatever was returned: something before it may be missing
			}
			if err != nil {
				if found.messages > 0 && errors.Is(err, context.DeadlineExceeded) {
					err = nil
				}
				if cancel != nil {
					cancel()
				}
				return found, err
			}
			m = &got
		}
		if m.at.before(g.next) {
			continue // of a batch in the middle of which the reader was opened
		}
		if m.at.Ledger != g.next.Ledger {
			if found.messages > 0 {
				g.carry = m
				break
			}
			g.otherLedger(m.at)
		}
		found.add(m.payload, g.c.r.instance)
		g.next = m.after()
		if cancel == nil {
			wait, cancel = context.WithTimeout(ctx, pulsarLinger)
		}
	}
	if cancel != nil {
		cancel()
	}
	return found, nil
}

// otherLedger looks whether something was known to lie before a message that was found in another ledger: then
// it was gone before it was read.
func (g *gathering) otherLedger(at Offset) {
	missed := g.c.r.pos.Skipped(g.start.Place, g.start.Life, at)
	if missed == 0 {
		return
	}
	g.c.missed.Add(uint64(missed))
	g.c.r.log.Warn("messages of the queue were gone before they were read; what was in them is sent again", "cluster", g.c.cluster,
		"topic", g.start.Topic, "partition", g.start.Partition, "from", g.next.String(), "to", at.String(), "missed_at_least", missed,
		"hint", "the retention of the namespace must be longer than this reader is ever behind; or the topic was created again")
}

// look reports whether the cluster answered.
func (c *pulsarCluster) look(ctx context.Context) bool {
	l, err := c.list(ctx, c.r.pos.Ask(), c.r.pos.Topics(c.cluster))
	if err != nil {
		return false // the health has it
	}
	c.r.startsMu.Lock()
	starts, err := c.r.pos.Update(c.cluster, l)
	starts = append(starts, c.resume(l)...)
	c.start(starts)
	c.r.startsMu.Unlock()
	if err != nil {
		c.setFault(faultLasts, err)
	}
	c.r.moved.happened() // where nothing is left, a position may have moved without a message
	c.lookAtStuck()
	return true
}

// resume begins partitions again whose readers ended, if they are there. reader.startsMu is held.
func (c *pulsarCluster) resume(l Listing) (starts []Start) {
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
		if s, ok := c.r.pos.Resume(at, life); ok {
			starts = append(starts, s)
		}
	}
	return starts
}

// lookAtStuck opens readers again that find nothing for long although there is something.
func (c *pulsarCluster) lookAtStuck() {
	now := map[Place]time.Time{}
	for _, u := range c.r.pos.Stuck(c.cluster) {
		since, ok := c.stuck[u.Place]
		if !ok {
			since = time.Now()
		}
		if time.Since(since) > c.r.timeout {
			c.setFault(refreshAtLeast, fmt.Errorf("nothing was read for %v, although %v holds messages from %v to %v",
				time.Since(since).Round(time.Second), u.Place, u.Next, u.End))
			c.again(u)
			since = time.Now()
		}
		now[u.Place] = since
	}
	c.stuck = now
}

// again has a partition read anew from where it is.
func (c *pulsarCluster) again(u Unread) {
	c.r.startsMu.Lock()
	defer c.r.startsMu.Unlock()
	if s, ok := c.r.pos.Resume(u.Place, u.Life); ok {
		c.start([]Start{s})
	}
}

func (c *pulsarCluster) list(ctx context.Context, fresh Ticket, topics []string) (Listing, error) {
	began := time.Now()
	l, err := c.ask(ctx, fresh, topics)
	if err == nil || c.blames(ctx) {
		c.answered(err, began)
	}
	return l, err
}

// ask asks which partitions topics have, and for the end of each.
func (c *pulsarCluster) ask(parent context.Context, fresh Ticket, topics []string) (Listing, error) {
	return c.health.ask(parent, fresh, question{
		once:    func(ctx context.Context) (Listing, error) { return c.askOnce(ctx, topics) },
		mayPass: pulsarMayPass,
		hint:    "are its brokers up, and can service_url and the addresses that the brokers advertise be reached from here?",
	})
}

func (c *pulsarCluster) askOnce(ctx context.Context, topics []string) (Listing, error) {
	l := Listing{Topics: make(map[string]TopicListing, len(topics))}
	var mu sync.Mutex // guards l and errs
	var errs []error
	places := make(chan struct{}, pulsarAtOnce)
	var wg sync.WaitGroup
	ask := func(f func() error) {
		wg.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			if err := f(); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	partitions := make(map[string][]string, len(topics)) // by topic
	for _, topic := range topics {
		ask(func() error {
			names, err := c.conn.partitions(ctx, topic)
			if err != nil {
				return c.explain(fmt.Errorf("reading metadata of topic %s: %w", topic, err), topic)
			}
			mu.Lock()
			defer mu.Unlock()
			partitions[topic] = names
			l.Topics[topic] = TopicListing{Exists: len(names) > 0, Partitions: make(map[int32]Bounds, len(names))}
			return nil
		})
	}
	wg.Wait()
	for topic, names := range partitions {
		for _, name := range names {
			n, ok := partitionOf(topic, name)
			if !ok {
				errs = append(errs, fmt.Errorf("topic %s has a partition named %s", topic, name))
				continue
			}
			ask(func() error {
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
	wg.Wait()
	return l, errors.Join(errs...)
}
