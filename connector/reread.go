package connector

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
)

// rereader reads lost pieces again from Kafka with a client of its own, without a group, so that the
// position of the group is left alone. One goroutine does everything; add may be called from anywhere.
type rereader struct {
	cl        *kgo.Client
	admin     *kadm.Client
	send      sender
	acceptGap bool
	origin    string // of this group's packs
	log       *slog.Logger
	bell      *bell

	wake chan struct{} // there is something new to look at

	mu    sync.Mutex
	tasks map[*task]struct{} // guarded by mu; all that are not done

	// Of the goroutine alone.
	active  map[part.ID]*reading
	backing bool // the client fails; for the log

	ranges, records, bytes counter
	gone                   counter // records that are gone from Kafka, accepted by on_gap
}

const (
	maxReadings  = 16 // ranges read at a time
	rereadPause  = 50 * time.Millisecond
	rereadPauses = 2 * time.Second
)

func newRereader(cl *kgo.Client, s sender, acceptGap bool, bell *bell, log *slog.Logger) *rereader {
	return &rereader{
		cl: cl, admin: kadm.NewClient(cl), send: s, acceptGap: acceptGap, bell: bell, log: log,
		wake: make(chan struct{}, 1), tasks: make(map[*task]struct{}), active: make(map[part.ID]*reading),
	}
}

// add asks for a lost piece to be read again. It never waits: it runs on the sender's dispatcher.
func (r *rereader) add(p *partition, pc checkpoint.Piece, o checkpoint.Origin) {
	r.mu.Lock()
	r.tasks[&task{p: p, piece: pc, origin: o, from: o.First}] = struct{}{}
	r.mu.Unlock()
	r.nudge()
}

// room says that the sender may have room again; abandon that some partitions are gone.
func (r *rereader) room()    { r.nudge() }
func (r *rereader) abandon() { r.nudge() }

func (r *rereader) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// pending is how many lost pieces are not handed over again yet.
func (r *rereader) pending() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.tasks)
}

// partitions returns those with lost pieces that are not read again yet.
func (r *rereader) partitions() map[*partition]bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[*partition]bool)
	for t := range r.tasks {
		if t.outstanding() {
			out[t.p] = true
		}
	}
	return out
}

// has reports whether any of parts has lost pieces that still have to be read again.
func (r *rereader) has(parts []*partition) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.tasks) == 0 {
		return false
	}
	of := make(map[*partition]bool, len(parts))
	for _, p := range parts {
		of[p] = true
	}
	for t := range r.tasks {
		if of[t.p] && t.outstanding() {
			return true
		}
	}
	return false
}

// run reads until ctx ends. Trouble with brokers is tried again without end.
func (r *rereader) run(ctx context.Context) {
	for ctx.Err() == nil {
		next := r.plan(time.Now())
		if len(r.active) == 0 {
			r.sleep(ctx, next)
			continue
		}
		// A wake-up matters only where a range could be begun or given up: a poll of 200 ms is no delay for it.
		pollCtx, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		fs := r.cl.PollFetches(pollCtx)
		cancel()
		r.fetched(ctx, fs)
	}
}

func (r *rereader) sleep(ctx context.Context, until time.Time) {
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

// plan drops what is not wanted any more and begins ranges of partitions that are not being read. It
// returns when the next task that waits is due, zero for none.
func (r *rereader) plan(now time.Time) (next time.Time) {
	r.mu.Lock()
	due := make(map[part.ID][]*task)
	busy := make(map[*task]bool)
	for _, rd := range r.active {
		for _, t := range rd.tasks {
			busy[t] = true
		}
	}
	for t := range r.tasks {
		switch {
		case busy[t]:
		case !t.wanted():
			delete(r.tasks, t)
		case !t.readable():
			t.p.gate.Strand(1)
			delete(r.tasks, t)
		case t.p.gate.Condition().Has(reason.Deleted): // its topic may come back
		case t.due.After(now):
			if next.IsZero() || t.due.Before(next) {
				next = t.due
			}
		default:
			due[t.p.id] = append(due[t.p.id], t)
		}
	}
	r.mu.Unlock()
	for id, rd := range r.active {
		keep := rd.tasks[:0]
		for _, t := range rd.tasks {
			if t.outstanding() {
				keep = append(keep, t)
			}
		}
		if rd.tasks = keep; len(keep) == 0 {
			r.end(id)
		}
	}
	for id, tasks := range due {
		if len(r.active) >= maxReadings {
			break
		}
		if r.active[id] == nil {
			r.begin(id, tasks)
		}
	}
	return next
}

func (r *rereader) begin(id part.ID, tasks []*task) {
	rd, _ := planReading(tasks)
	r.active[id] = &rd
	r.ranges.Add(1)
	r.cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{id.Topic: {id.Num: kgo.NoResetOffset().At(rd.first)}})
}

// end stops reading a partition; its tasks that are not done wait for plan.
func (r *rereader) end(id part.ID) {
	delete(r.active, id)
	r.cl.RemoveConsumePartitions(one(id))
}

func (r *rereader) fetched(ctx context.Context, fs kgo.Fetches) {
	fs.EachTopic(func(t kgo.FetchTopic) {
		for i := range t.Partitions {
			fp := &t.Partitions[i]
			id := part.ID{Topic: t.Topic, Num: fp.Partition}
			rd := r.active[id]
			if rd == nil {
				continue // of a range that was given up
			}
			if id := rd.tasks[0].p.topic.id; t.TopicID != ([16]byte{}) && id != ([16]byte{}) && t.TopicID != id {
				// The same name and offsets, but other records: the lost ones are gone.
				for _, t := range rd.tasks {
					t.p.stopRecreated()
				}
				r.end(part.ID{Topic: t.Topic, Num: fp.Partition})
				continue
			}
			if jumpsTheStart(fp, rd.next()) {
				r.failed(ctx, id, rd, kerr.OffsetOutOfRange)
				continue
			}
			if len(fp.Records) > 0 {
				r.handle(id, rd, fp.Records)
			}
			if fp.Err != nil && r.active[id] == rd {
				r.failed(ctx, id, rd, fp.Err)
			}
		}
	})
}

// handle hands the records that belong to tasks to the sender and ends the range after its last record,
// or when the sender has no room.
func (r *rereader) handle(id part.ID, rd *reading, recs []*kgo.Record) {
	if r.backing {
		r.backing = false
		r.log.Info("reading lost records again works")
	}
	upTo := recs[len(recs)-1].Offset
	full := false
	open := rd.tasks[:0]
	for _, t := range rd.tasks {
		switch r.serve(t, recs, upTo) {
		case taskDone:
			r.done(t)
		case taskFull:
			full = true
			t.pause = min(max(2*t.pause, rereadPause), rereadPauses)
			t.due = time.Now().Add(t.pause)
		case taskOpen:
			t.pause = 0
			open = append(open, t)
		}
	}
	rd.tasks = open
	if full || len(open) == 0 || upTo >= rd.last {
		r.end(id)
	}
}

type taskState uint8

const (
	taskOpen taskState = iota // its range goes on beyond what was read
	taskFull                  // the sender has no room for the rest
	taskDone
)

// serve hands over the task's records among recs, which are everything there is up to upTo.
func (r *rereader) serve(t *task, recs []*kgo.Record, upTo int64) taskState {
	if !t.wanted() {
		return taskDone
	}
	if upTo < t.from {
		return taskOpen
	}
	payloads, offsets, at := t.pick(recs)
	if h := route.LoopIn(t.p.id, r.origin, payloads, offsets); h != nil { // the log was cut and grew again with other records
		t.p.stop(h)
		t.p.gate.Strand(1)
		return taskDone
	}
	if len(payloads) > 0 {
		n, err := r.send.TrySendBatch(&sdk.Batch{
			Stream: t.p.router.At(t.origin.Route).Stream, Time: at, Payloads: payloads, Token: t.p, Repair: true,
			Packed: func(from, to int) uint64 {
				return uint64(t.p.wm.Replace(t.piece, checkpoint.Origin{
					First: offsets[from], Last: offsets[to-1], Route: t.origin.Route, Minute: t.origin.Minute, Records: int32(to - from), Arrived: t.origin.Arrived,
				}))
			},
		})
		t.found += int32(n)
		for _, p := range payloads[:n] {
			r.bytes.Add(uint64(len(p)))
		}
		r.records.Add(uint64(n))
		if n < len(payloads) {
			t.from = offsets[n]
			if errors.Is(err, sdk.ErrTooLarge) { // it was sent before: the proxies' limit shrank
				t.p.stop(part.Stop(t.p.id, reason.TooLarge, offsets[n], "reading a lost record again: "+err.Error()))
				t.p.gate.Strand(1)
				return taskDone
			}
			return taskFull
		}
	}
	t.from = upTo + 1
	if t.from <= t.origin.Last {
		return taskOpen
	}
	class := checkpoint.Gap // compaction took them, which is what the topic's owner wants
	if t.gone {
		class = checkpoint.LostGap
		r.gone.Add(uint64(max(0, t.origin.Records-t.found)))
	}
	t.p.wm.Replaced(t.piece, int64(max(0, t.origin.Records-t.found)), class)
	r.bell.ring()
	return taskDone
}

func (r *rereader) done(t *task) {
	r.mu.Lock()
	delete(r.tasks, t)
	r.mu.Unlock()
}

// giveUp ends a task whose records nobody has any more; its piece stays open.
func (r *rereader) giveUp(t *task) {
	t.p.gate.Strand(1)
	r.done(t)
	r.bell.ring()
}

// failed judges the error of a range: offsets that are gone are decided by on_gap, the rest is tried again.
func (r *rereader) failed(ctx context.Context, id part.ID, rd *reading, err error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return
	}
	r.end(id)
	if errors.Is(err, kerr.OffsetOutOfRange) {
		if err = r.gap(ctx, id, rd); err == nil {
			return
		}
	}
	if !r.backing {
		r.backing = true
		r.log.Warn("reading lost records again fails, trying again", "topic", id.Topic, "partition", id.Num,
			"err", kafkaclient.Explain(err, "reading "+id.String()))
	}
	for _, t := range rd.tasks {
		t.pause = min(max(2*t.pause, 200*time.Millisecond), 5*time.Second)
		t.due = time.Now().Add(t.pause)
	}
}

// gap deals with lost records that Kafka does not have any more.
func (r *rereader) gap(ctx context.Context, id part.ID, rd *reading) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	found, err := identify(ctx, r.cl, []string{id.Topic})
	if err != nil {
		return err
	}
	if t := found.topics[id.Topic]; t.err != nil {
		return t.err
	} else if part.OtherTopic(rd.tasks[0].p.topic.id, t.id) { // the offsets that are listed would be another topic's
		for _, t := range rd.tasks {
			t.p.stopRecreated()
		}
		return nil
	}
	starts, err := r.admin.ListStartOffsets(ctx, id.Topic)
	if err != nil {
		return err
	}
	ends, err := r.admin.ListEndOffsets(ctx, id.Topic)
	if err != nil {
		return err
	}
	start, end, err := within(starts, ends, id)
	if err != nil {
		return err
	}
	for _, t := range rd.tasks {
		switch {
		case t.from > end:
			t.p.stop(part.Truncated(id, end, t.from))
			r.giveUp(t)
		case t.from >= start: // it was out of range only as part of a wider range
		case !r.acceptGap:
			t.p.stop(part.Gap(id, t.from, min(start, t.origin.Last+1)))
			r.giveUp(t)
		default:
			r.log.Warn("lost records are gone from Kafka, going on without them", "topic", id.Topic, "partition", id.Num,
				"from", t.from, "to", min(start-1, t.origin.Last), "on_gap", "continue")
			t.gone, t.from = true, start
			if t.from > t.origin.Last {
				t.p.wm.Replaced(t.piece, int64(t.origin.Records-t.found), checkpoint.LostGap)
				r.gone.Add(uint64(t.origin.Records - t.found))
				r.done(t)
				r.bell.ring()
			}
		}
	}
	return nil
}
