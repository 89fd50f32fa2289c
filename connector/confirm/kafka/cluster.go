package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/mapping/queuetopic"
)

const (
	maxFetches = 4
	fetchBytes = 4 << 20 // a broker returns at least one batch, however large

	errorPause  = 100 * time.Millisecond
	tailsAtOnce = 8
)

// cluster reads one cluster.
type cluster struct {
	*confirm.Tracker
	template queuetopic.Template
	named    bool // TopicOf names the topics
	cl       *kgo.Client

	wantStarts atomic.Bool // the next refresh asks for log starts too
	toldID     atomic.Pointer[string]

	mu       sync.Mutex
	starts   []confirm.Start    // not yet told to the client
	stopPoll context.CancelFunc // ends the poll under way

	reading map[confirm.Place]uint64 // the lives that the client was told; used by the poller only
	passes  confirm.PassOvers
	read    uint64 // used by look only; number of messages when something was read last, and the time of that
	readAt  time.Time
	tail    int // used by look only; the stuck partition that is looked at next
}

func (r *Reader) newCluster(cfg Cluster) (*cluster, error) {
	// The configured options come first, so that they cannot change how we consume.
	opts := append(append([]kgo.Opt(nil), cfg.Opts...),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadUncommitted()),
		kgo.KeepControlRecords(), // or the position would stop before a tail of them
		kgo.MaxConcurrentFetches(maxFetches),
		kgo.FetchMaxBytes(fetchBytes),
		kgo.FetchMaxPartitionBytes(fetchBytes/4),
		kgo.FetchMaxWait(250*time.Millisecond),
		kgo.MaxDecompressBatchBytes(r.cfg.Unfold),
		kgo.MetadataMinAge(250*time.Millisecond), // a partition that appeared is read at once
	)
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	c := &cluster{template: queuetopic.Template(cfg.Topic), named: r.cfg.TopicOf != nil, cl: cl, reading: map[confirm.Place]uint64{}}
	c.Tracker = r.Track(cfg.Name, c.Start)
	return c, nil
}

// Topic implements [confirm.Member].
func (c *cluster) Topic(named, group, stream string) string {
	if c.named {
		return named
	}
	return c.template.Fill(group, stream)
}

// ClusterID implements [confirm.KafkaCluster].
func (c *cluster) ClusterID() string {
	if id := c.toldID.Load(); id != nil {
		return *id
	}
	return ""
}

// Run implements [confirm.Cluster].
func (c *cluster) Run(ctx context.Context, sink confirm.Sink) {
	var wg sync.WaitGroup
	wg.Go(func() { c.poll(ctx, sink) })
	// Metadata and end offsets are asked for once a second: to find partitions that appeared, to know the lag,
	// and to know that the cluster answers.
	wg.Go(func() {
		c.readAt = time.Now()
		c.Refresh(ctx, func(ctx context.Context) bool { return c.look(ctx, sink) })
	})
	wg.Wait()
}

// Close implements [confirm.Cluster].
func (c *cluster) Close() { c.cl.Close() }

// Watch implements [confirm.Cluster]. since is compared with the time that the proxies wrote into the records.
func (c *cluster) Watch(ctx context.Context, name string, since time.Time) error {
	began, fix, also := time.Now(), (*confirm.Positions).Fix, int64(noTime)
	if !since.IsZero() {
		fix, also = (*confirm.Positions).FixFrom, max(since.UnixMilli(), 0)
	}
	l, err := c.ask(ctx, c.Positions().Ask(), []string{name}, also)
	if err == nil || mayPass(err) && c.Blames(ctx) {
		c.Answered(err, began) // a right that is missing for a new topic is no fault of the cluster
	}
	if err != nil {
		return err
	}
	if err := c.mayRead(ctx, name, l.Topics[name]); err != nil {
		return err
	}
	if !l.Topics[name].Exists {
		c.Log().Info("queue topic does not exist yet; its packs do not become final before it does", "cluster", c.Name(),
			"topic", name, "hint", "is it the topic that the proxies write to? the Manager names it, and queue.kafka[].topic must agree")
	}
	return c.Decide(func(p *confirm.Positions) ([]confirm.Start, error) { return fix(p, c.Name(), name, l) })
}

// Start implements [confirm.Cluster]: it leaves starts for the poller and wakes it.
func (c *cluster) Start(starts []confirm.Start) {
	c.Began(starts)
	for _, s := range starts {
		if s.Why == confirm.Unwatched {
			c.passes.Read(s.Place)
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
// here, between two polls, so that the records of a poll are of the lives in c.reading.
func (c *cluster) beginPoll(ctx context.Context) (context.Context, context.CancelFunc) {
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

func (c *cluster) tellClient(starts []confirm.Start) {
	last := map[confirm.Place]confirm.Start{}
	another := map[string]bool{}
	for _, s := range starts {
		last[s.Place] = s
		if s.Why == confirm.Recreated || s.Why == confirm.Unwatched {
			another[s.Topic] = true
		}
	}
	if len(another) > 0 {
		// Until it is told to forget the topic, the client keeps the id of the old one and asks for its metadata.
		c.cl.PurgeTopicsFromClient(slices.Collect(maps.Keys(another))...)
		maps.DeleteFunc(c.reading, func(at confirm.Place, _ uint64) bool { return another[at.Topic] })
	}
	drop := map[string][]int32{}
	add := map[string]map[int32]kgo.Offset{}
	for at, s := range last {
		if s.Why == confirm.Unwatched {
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
func (c *cluster) poll(ctx context.Context, sink confirm.Sink) {
	for ctx.Err() == nil {
		pollCtx, cancel := c.beginPoll(ctx)
		fetches := c.cl.PollFetches(pollCtx)
		cancel()
		if failed := c.take(ctx, sink, fetches); failed {
			// Every poll returns an error that lasts.
			select {
			case <-time.After(errorPause):
			case <-ctx.Done():
			}
		}
	}
}

// take reports what a poll returned.
func (c *cluster) take(ctx context.Context, sink confirm.Sink, fetches kgo.Fetches) (failed bool) {
	found := c.Batch()
	var steps []confirm.Step
	for i := range fetches {
		for _, t := range fetches[i].Topics {
			for _, fp := range t.Partitions {
				at := confirm.Place{Cluster: c.Name(), Topic: t.Topic, Partition: fp.Partition}
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
					found.Add(r.Value)
				}
				steps = append(steps, confirm.Step{Place: at, Life: life, Next: confirm.At(fp.Records[len(fp.Records)-1].Offset + 1)})
			}
		}
	}
	if len(steps) == 0 {
		return failed
	}
	c.Report(sink, &found, steps...)
	for _, s := range steps {
		c.passes.Read(s.Place)
	}
	return failed
}

// fetchError handles the error of a partition in a poll and reports whether the poller should pause.
func (c *cluster) fetchError(ctx context.Context, at confirm.Place, life uint64, err error) bool {
	var cut *kgo.ErrDataLoss
	var unfolds *kgo.ErrDecompressTooLarge
	switch {
	case ctx.Err() != nil, errors.Is(err, context.Canceled), errors.Is(err, kgo.ErrClientClosed):
		return false
	case errors.As(err, &cut):
		// The client goes on at ResetTo. We begin there under a new life instead: the records that it returned
		// from behind the cut would otherwise count as read up to there.
		c.begin(func(p *confirm.Positions) (confirm.Start, bool) { return p.Rewind(at, life, confirm.At(cut.ResetTo)) })
		return false
	case errors.As(err, &unfolds):
		c.RefreshSoon() // lookAtTails passes over it
	case errors.Is(err, kerr.OffsetOutOfRange):
		c.wantStarts.Store(true)
		c.RefreshSoon()
	case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID), errors.Is(err, kerr.UnknownTopicOrPartition):
		c.RefreshSoon()
	default:
		c.RefreshSoon() // it may be a batch that cannot be read
		c.SetFault(confirm.FaultLasts, c.explain(fmt.Errorf("fetching %v: %w", at, err), at.Topic))
	}
	return true
}

// begin starts a partition again, if what starts it says so, and reports whether it did.
func (c *cluster) begin(f func(p *confirm.Positions) (confirm.Start, bool)) (began bool) {
	_ = c.Decide(func(p *confirm.Positions) (starts []confirm.Start, _ error) { // f has no errors
		s, ok := f(p)
		if began = ok; ok {
			starts = append(starts, s)
		}
		return starts, nil
	})
	return began
}

// look reports whether the cluster answered.
func (c *cluster) look(ctx context.Context, sink confirm.Sink) bool {
	also := int64(noTime)
	if c.wantStarts.Swap(false) {
		also = earliest
	}
	l, err := c.listing(ctx, c.Positions().Ask(), c.Positions().Topics(c.Name()), also)
	if err != nil {
		if also == earliest {
			c.wantStarts.Store(true)
		}
		return false // the tracker has noted it
	}
	if err := c.Decide(func(p *confirm.Positions) ([]confirm.Start, error) { return p.Update(c.Name(), l) }); err != nil {
		c.SetFault(confirm.FaultLasts, err)
	}
	c.lookAtTails(ctx, sink)
	return true
}

// lookAtTails finds out why partitions that have something to read do not move. Where only holes are left
// before the end (compaction leaves batches without records) it moves them, and it passes over a batch that cannot be
// read. When nothing at all is read, the client is woken and told to look for leaders again; and if that does not help, the cluster
// does not answer.
func (c *cluster) lookAtTails(ctx context.Context, sink confirm.Sink) {
	stuck := c.Positions().Stuck(c.Name())
	moved := false
	for range min(len(stuck), tailsAtOnce) {
		c.tail++
		u := stuck[c.tail%len(stuck)]
		next, err := c.skipHoles(ctx, u)
		var bad *unreadableError
		switch {
		case errors.As(err, &bad):
			moved = c.passOver(sink, u, bad) || moved
		case err == nil && u.Next.Before(next):
			c.Positions().Advance(u.Place, u.Life, next) // nothing lies in between, so there is nothing to report
			moved = true
		}
	}
	if moved {
		c.Moved()
	}
	if n := c.Messages(); moved || len(stuck) == 0 || n != c.read {
		c.read, c.readAt = n, time.Now()
		return
	}
	c.cl.ForceMetadataRefresh()
	kafkaclient.Wake(c.cl)
	if since := time.Since(c.readAt); since > c.Timeout() {
		c.SetFault(confirm.RefreshAtMost, fmt.Errorf("nothing was read for %v, although %v holds messages from %v to %v",
			since.Round(time.Second), stuck[0].Place, stuck[0].Next, stuck[0].End))
	}
}
