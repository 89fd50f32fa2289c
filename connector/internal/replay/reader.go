package replay

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/source"
	"inlong-bridge/connector/kafkaclient"
)

// Log tells where the log of a partition begins and ends now, and whether a batch of it can be read.
type Log interface {
	Extent(ctx context.Context, id part.ID) (part.Extent, error)
	// Look fetches the batch that holds an offset, nil if there is none.
	Look(ctx context.Context, id part.ID, topic [16]byte, offset int64) (*source.Batch, error)
}

// Reader reads what its Planner asks for. One goroutine, Run, does everything; Nudge and the methods of the Planner that say so may be
// called from anywhere.
type Reader struct {
	*Planner

	cl  *kgo.Client
	log Log
	out *slog.Logger

	wake    chan struct{} // full when there is something new to look at
	failing bool          // the client fails, and the log has said so
	doubts  map[part.ID]doubt
}

// doubt is how often the client could not decode what it fetched at an offset, in a row.
type doubt struct {
	at   int64
	runs int
}

// doubtful is how many such errors in a row are looked into.
const doubtful = 4

// NewReader makes a reader that fetches with a client that belongs to no group.
func NewReader(c Config, cl *kgo.Client, log Log, out *slog.Logger) *Reader {
	return &Reader{Planner: NewPlanner(c), cl: cl, log: log, out: out, wake: make(chan struct{}, 1), doubts: make(map[part.ID]doubt)}
}

// Nudge has the reader look again: a piece was lost, the sender may have room, or assignments have ended. It never waits.
func (r *Reader) Nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run reads until ctx ends. Trouble with brokers is tried again without end.
func (r *Reader) Run(ctx context.Context) {
	for ctx.Err() == nil {
		next := r.begin(time.Now())
		if !r.Active() {
			r.sleep(ctx, next)
			continue
		}
		// A wake-up matters only where a range could be begun or given up: a poll of 200 ms is no delay for it.
		pollCtx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		fs := r.cl.PollFetches(pollCtx)
		cancel()
		if fs.NumRecords() == 0 {
			kafkaclient.Wake(r.cl) // ranges that begin and end are changes in a row
		}
		r.fetched(ctx, fs)
	}
}

func (r *Reader) sleep(ctx context.Context, until time.Time) {
	var c <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		c = timer.C
	}
	select {
	case <-ctx.Done():
	case <-r.wake:
	case <-c:
	}
}

// begin has the client fetch what the planner asks for.
func (r *Reader) begin(now time.Time) (next time.Time) {
	begin, leave, next := r.Plan(now)
	for _, id := range leave {
		r.leave(id)
	}
	for _, s := range begin {
		r.cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{s.Partition.Topic: {s.Partition.Num: kgo.NoResetOffset().At(s.Offset)}})
	}
	return next
}

func (r *Reader) leave(id part.ID) {
	r.cl.RemoveConsumePartitions(map[string][]int32{id.Topic: {id.Num}})
}

func (r *Reader) fetched(ctx context.Context, fs kgo.Fetches) {
	fs.EachTopic(func(t kgo.FetchTopic) {
		for i := range t.Partitions {
			fp := &t.Partitions[i]
			id := part.ID{Topic: t.Topic, Num: fp.Partition}
			if r.active[id] == nil {
				continue // of a range that was given up
			}
			next := r.Fetched(id, t.TopicID, fp.LogStartOffset, fp.Records, time.Now())
			if len(fp.Records) > 0 && next != AskLog && r.failing {
				r.failing = false
				r.out.Info("reading lost records again works")
			}
			switch {
			case next == AskLog:
				r.leave(id)
				r.askLog(ctx, id)
			case next == Leave:
				r.leave(id)
			case fp.Err != nil:
				r.failed(ctx, id, fp.Err)
			}
		}
	})
}

// failed judges the error of a fetch. on_gap decides about offsets that are gone; everything else is tried again.
func (r *Reader) failed(ctx context.Context, id part.ID, err error) {
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	case errors.Is(err, kerr.OffsetOutOfRange):
		r.leave(id)
		r.askLog(ctx, id)
	default:
		r.leave(id)
		if answer := (*kerr.Error)(nil); !errors.As(err, &answer) {
			r.distrust(ctx, id)
		}
		r.tryLater(id, err)
	}
}

// distrust looks by hand at a batch that the client could not decode several times, and stops its partition if it cannot be read: it could be when
// its records were sent. Reading is tried again all the same, since another replica may lead the partition some day.
func (r *Reader) distrust(ctx context.Context, id part.ID) {
	rd := r.active[id]
	if rd == nil {
		return
	}
	d := doubt{rd.next(), 1}
	if was := r.doubts[id]; was.at == d.at {
		d.runs += was.runs
	}
	if r.doubts[id] = d; d.runs < doubtful {
		return
	}
	delete(r.doubts, id)
	b, err := r.log.Look(ctx, id, rd.tasks[0].of.TopicID(), d.at)
	if err != nil || b == nil || b.Why == "" {
		return
	}
	for _, t := range rd.tasks {
		t.of.Stop(part.Undecodable(id, d.at, b.Next, b.Codec, b.Why, true))
	}
}

// askLog finds out where the log of a partition begins and ends that was out of range.
func (r *Reader) askLog(ctx context.Context, id part.ID) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	x, err := r.log.Extent(ctx, id)
	if err != nil {
		r.tryLater(id, err)
		return
	}
	for _, g := range r.Gap(id, x) {
		r.out.Warn("lost records are gone from Kafka, going on without them", "topic", id.Topic, "partition", id.Num,
			"from", g.From, "to", g.To, "on_gap", "continue")
	}
}

func (r *Reader) tryLater(id part.ID, err error) {
	if !r.failing {
		r.failing = true
		r.out.Warn("reading lost records again fails, trying again", "topic", id.Topic, "partition", id.Num,
			"err", kafkaclient.Explain(err, "reading "+id.String()))
	}
	r.Failed(id, time.Now())
}
