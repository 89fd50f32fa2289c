package confirm

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	kafkaFetches    = 4
	kafkaFetchBytes = 4 << 20 // a broker returns at least one batch, however large

	errorPause  = 100 * time.Millisecond
	tailsAtOnce = 8
)

// kafkaCluster reads one cluster.
type kafkaCluster struct {
	*health
	template string
	cl       *kgo.Client

	kick       chan struct{} // refresh now; of size one
	wantStarts atomic.Bool   // the next refresh asks for log starts too
	toldID     atomic.Pointer[string]

	mu       sync.Mutex
	starts   []Start            // not yet told to the client
	stopPoll context.CancelFunc // ends the poll under way

	reading map[Place]uint64 // lives, as the client was told; the poller's own
	passes  passes
	read    uint64 // refresh's own: messages when something was read last, and when that was
	readAt  time.Time
	tail    int // refresh's own: which of the stuck partitions is looked at next
}

func newKafkaCluster(r *reader, cfg KafkaCluster) (*kafkaCluster, error) {
	// What was configured comes first, so that it cannot change how we consume.
	opts := append(append([]kgo.Opt(nil), cfg.Opts...),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadUncommitted()),
		kgo.KeepControlRecords(), // or the position would stop before a tail of them
		kgo.MaxConcurrentFetches(kafkaFetches),
		kgo.FetchMaxBytes(kafkaFetchBytes),
		kgo.FetchMaxPartitionBytes(kafkaFetchBytes/4),
		kgo.FetchMaxWait(250*time.Millisecond),
		kgo.MaxDecompressBatchBytes(r.unfold),
		kgo.MetadataMinAge(250*time.Millisecond), // a partition that appeared is read at once
	)
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	return &kafkaCluster{health: newHealth(r, cfg.Name), template: cfg.Topic, cl: cl,
		kick: make(chan struct{}, 1), reading: map[Place]uint64{}}, nil
}

func (c *kafkaCluster) topic(named, group, stream string) string {
	if c.r.topicOf != nil {
		return named
	}
	return strings.NewReplacer("{group}", group, "{stream}", stream).Replace(c.template)
}

// clusterID is what the brokers call their cluster, "" when they did not tell.
func (c *kafkaCluster) clusterID() string {
	if id := c.toldID.Load(); id != nil {
		return *id
	}
	return ""
}

func (c *kafkaCluster) run(ctx context.Context, sink Sink) {
	var wg sync.WaitGroup
	wg.Go(func() { c.poll(ctx, sink) })
	// Metadata and end offsets are asked for once a second: to find partitions that appeared, to know the lag,
	// and to know that the cluster answers.
	wg.Go(func() {
		c.readAt = time.Now()
		c.refresh(ctx, c.kick, func(ctx context.Context) bool { return c.look(ctx, sink) })
	})
	wg.Wait()
}

func (c *kafkaCluster) close() { c.cl.Close() }

// watch fixes the positions of a topic. since is compared with what the proxies wrote into the records.
func (c *kafkaCluster) watch(ctx context.Context, name string, since time.Time) error {
	began, fix, also := time.Now(), c.r.pos.Fix, int64(noTime)
	if !since.IsZero() {
		fix, also = c.r.pos.FixFrom, max(since.UnixMilli(), 0)
	}
	l, err := c.ask(ctx, c.r.pos.Ask(), []string{name}, also)
	if err == nil || mayPass(err) && c.blames(ctx) {
		c.answered(err, began) // a right that is missing for a new topic is no fault of the cluster
	}
	if err != nil {
		return err
	}
	if err := c.mayRead(ctx, name, l.Topics[name]); err != nil {
		return err
	}
	if !l.Topics[name].Exists {
		c.r.log.Info("queue topic does not exist yet; nothing that needs it becomes final before it does", "cluster", c.cluster,
			"topic", name, "hint", "is it the topic that the proxies write to? the Manager names it, and queue.kafka[].topic must agree")
	}
	c.r.startsMu.Lock()
	defer c.r.startsMu.Unlock()
	starts, err := fix(c.cluster, name, l)
	c.start(starts)
	return err
}

// start leaves starts for the poller and wakes it.
func (c *kafkaCluster) start(starts []Start) {
	c.began(starts)
	for _, s := range starts {
		if s.Why == Unwatched {
			c.passes.end(s.Place)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.starts = append(c.starts, starts...)
	if c.stopPoll != nil {
		c.stopPoll()
	}
}

// beginPoll tells the client what changed and returns the context of the next poll. All changes are made
// here, between two polls, so that records are always of the life that c.reading says.
func (c *kafkaCluster) beginPoll(ctx context.Context) (context.Context, context.CancelFunc) {
	for {
		c.mu.Lock()
		starts := c.starts
		c.starts = nil
		if len(starts) == 0 {
			ctx, cancel := context.WithCancel(ctx)
			c.stopPoll = cancel
			c.mu.Unlock()
			return ctx, cancel
		}
		c.mu.Unlock()
		c.tellClient(starts)
	}
}

func (c *kafkaCluster) tellClient(starts []Start) {
	last := map[Place]Start{}
	another := map[string]bool{}
	for _, s := range starts {
		last[s.Place] = s
		if s.Why == Recreated || s.Why == Unwatched {
			another[s.Topic] = true
		}
	}
	if len(another) > 0 {
		// The client holds on to the id of the old topic, and asks for its metadata, until it is told to forget it.
		c.cl.PurgeTopicsFromClient(slices.Collect(maps.Keys(another))...)
		maps.DeleteFunc(c.reading, func(at Place, _ uint64) bool { return another[at.Topic] })
	}
	drop := map[string][]int32{}
	add := map[string]map[int32]kgo.Offset{}
	for at, s := range last {
		if s.Why == Unwatched {
			continue
		}
		if _, ok := c.reading[at]; ok {
			drop[at.Topic] = append(drop[at.Topic], at.Partition)
		}
		c.reading[at] = s.Life
		if add[at.Topic] == nil {
			add[at.Topic] = map[int32]kgo.Offset{}
		}
		add[at.Topic][at.Partition] = kgo.NewOffset().At(s.Offset.Entry)
	}
	c.cl.RemoveConsumePartitions(drop)
	c.cl.AddConsumePartitions(add)
}

// poll reads until ctx ends.
func (c *kafkaCluster) poll(ctx context.Context, sink Sink) {
	for ctx.Err() == nil {
		pollCtx, cancel := c.beginPoll(ctx)
		fetches := c.cl.PollFetches(pollCtx)
		cancel()
		if failed := c.take(ctx, sink, fetches); failed {
			// An error that stays is returned by every poll.
			select {
			case <-time.After(errorPause):
			case <-ctx.Done():
			}
		}
	}
}

// take looks at what a poll returned. Positions move only when the sink has been told: a barrier that
// passes says that it has.
func (c *kafkaCluster) take(ctx context.Context, sink Sink, fetches kgo.Fetches) (failed bool) {
	type step struct {
		at   Place
		life uint64
		next Offset
	}
	var (
		found batch
		steps []step
	)
	for i := range fetches {
		for _, t := range fetches[i].Topics {
			for _, fp := range t.Partitions {
				at := Place{c.cluster, t.Topic, fp.Partition}
				life, ok := c.reading[at]
				if fp.Err != nil && (ok || t.Topic == "") { // else of a topic that nobody watches any more
					failed = c.fetchError(ctx, at, life, fp.Err) || failed
				}
				if !ok || len(fp.Records) == 0 {
					continue
				}
				for _, r := range fp.Records {
					if r.Attrs.IsControl() {
						continue
					}
					found.add(r.Value, c.r.instance)
				}
				steps = append(steps, step{at, life, At(fp.Records[len(fp.Records)-1].Offset + 1)})
			}
		}
	}
	if len(steps) == 0 {
		return failed
	}
	if len(found.seqs) > 0 {
		sink.Seen(found.seqs)
	}
	c.counted(&found)
	for _, s := range steps {
		c.r.pos.Advance(s.at, s.life, s.next)
		c.passes.end(s.at)
	}
	c.r.moved.happened()
	return failed
}

// fetchError handles what a poll says about a partition and reports whether the poller should pause.
func (c *kafkaCluster) fetchError(ctx context.Context, at Place, life uint64, err error) bool {
	var cut *kgo.ErrDataLoss
	var unfolds *kgo.ErrDecompressTooLarge
	switch {
	case ctx.Err() != nil, errors.Is(err, context.Canceled), errors.Is(err, kgo.ErrClientClosed):
		return false
	case errors.As(err, &cut):
		// The client goes on at ResetTo. We begin there under a new life instead: what it returned
		// from behind the cut would otherwise count as read up to there.
		c.r.startsMu.Lock()
		defer c.r.startsMu.Unlock()
		if s, ok := c.r.pos.Rewind(at, life, At(cut.ResetTo)); ok {
			c.start([]Start{s})
		}
		return false
	case errors.As(err, &unfolds):
		c.refreshSoon() // lookAtTails passes over it
	case errors.Is(err, kerr.OffsetOutOfRange):
		c.wantStarts.Store(true)
		c.refreshSoon()
	case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID), errors.Is(err, kerr.UnknownTopicOrPartition):
		c.refreshSoon()
	default:
		c.refreshSoon() // it may be a batch that cannot be read
		c.setFault(faultLasts, c.explain(fmt.Errorf("fetching %v: %w", at, err), at.Topic))
	}
	return true
}

func (c *kafkaCluster) refreshSoon() { poke(c.kick) }

// look reports whether the cluster answered.
func (c *kafkaCluster) look(ctx context.Context, sink Sink) bool {
	also := int64(noTime)
	if c.wantStarts.Swap(false) {
		also = earliest
	}
	l, err := c.listing(ctx, c.r.pos.Ask(), c.r.pos.Topics(c.cluster), also)
	if err != nil {
		if also == earliest {
			c.wantStarts.Store(true)
		}
		return false // the health has it
	}
	c.r.startsMu.Lock()
	begin, err := c.r.pos.Update(c.cluster, l)
	c.start(begin)
	c.r.startsMu.Unlock()
	if err != nil {
		c.setFault(faultLasts, err)
	}
	c.lookAtTails(ctx, sink)
	return true
}

// lookAtTails finds out why partitions that have something to read do not move. Where only holes are left
// before the end (compaction leaves batches without records) it moves them, and where a batch cannot be read it passes
// over it. When nothing at all is read, the
// client is told to look for leaders again; and if that does not help, the cluster does not answer.
func (c *kafkaCluster) lookAtTails(ctx context.Context, sink Sink) {
	stuck := c.r.pos.Stuck(c.cluster)
	moved := false
	for range min(len(stuck), tailsAtOnce) {
		c.tail++
		u := stuck[c.tail%len(stuck)]
		next, err := c.skipHoles(ctx, u)
		var bad *unreadableError
		switch {
		case errors.As(err, &bad):
			moved = c.passOver(sink, u, bad) || moved
		case err == nil && u.Next.before(next):
			c.r.pos.Advance(u.Place, u.Life, next)
			moved = true
		}
	}
	if moved {
		c.r.moved.happened()
	}
	if n := c.messages.Load(); moved || len(stuck) == 0 || n != c.read {
		c.read, c.readAt = n, time.Now()
		return
	}
	c.cl.ForceMetadataRefresh()
	if since := time.Since(c.readAt); since > c.r.timeout {
		c.setFault(refreshAtLeast, fmt.Errorf("nothing was read for %v, although %v holds messages from %v to %v",
			since.Round(time.Second), stuck[0].Place, stuck[0].Next, stuck[0].End))
	}
}
