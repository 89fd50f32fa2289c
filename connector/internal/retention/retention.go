// Package retention estimates how long Kafka keeps the records that are not final.
package retention

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/observe"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/kafkaclient"
)

// A partition that is behind is in a race with retention. Two estimates tell how long it has, and the shorter counts:
// the topic's retention.ms less the age of the oldest record that is not final, and the speed at which the log's start
// has moved, which includes retention by size and whatever else deletes records.

const (
	firstLook = 10 * time.Second // the first look, once partitions are assigned and fetched
	lookPause = time.Minute      // between two looks at the starts of the logs
	askPause  = 10 * time.Minute // between two questions for the topics' configuration
	lookLimit = 15 * time.Second // for one look
)

// topicRetention is how long a topic keeps records.
type topicRetention struct {
	age     time.Duration
	limited bool // false: for ever, as far as time goes
}

// retentionOf reads a topic's configuration. ok is false where it does not say.
func retentionOf(configs []kadm.Config) (r topicRetention, ok bool) {
	r.limited = true // cleanup.policy is delete where it is not told
	for _, c := range configs {
		switch value := c.MaybeValue(); c.Key {
		case "retention.ms":
			ms, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				return topicRetention{}, false
			}
			ok = true
			if r.age = time.Duration(ms) * time.Millisecond; ms < 0 || r.age/time.Millisecond != time.Duration(ms) {
				return topicRetention{}, true
			}
		case "cleanup.policy":
			if value != "" && !slices.Contains(strings.Split(strings.ReplaceAll(value, " ", ""), ","), "delete") {
				return topicRetention{}, true
			}
		}
	}
	return r, ok
}

// startMoves are the last moves of a log's start, oldest first. The first is where it was when it was seen first.
type startMoves []startMove

type startMove struct {
	at     time.Time
	offset int64
}

const keptMoves = 16

// saw notes where the log begins.
func (m *startMoves) saw(offset int64, now time.Time) {
	if n := len(*m); offset < 0 || n > 0 && offset <= (*m)[n-1].offset {
		return
	}
	if *m = append(*m, startMove{now, offset}); len(*m) > keptMoves {
		*m = slices.Delete(*m, 0, 1)
	}
}

// reaches estimates when the start of the log passes an offset. Kafka deletes whole segments, so the start stands
// still and jumps: a speed is known after two jumps, and only what is sure to lie before the offset counts.
func (m startMoves) reaches(offset int64, now time.Time) (left time.Duration, ok bool) {
	if len(m) == 0 {
		return 0, false
	}
	last := m[len(m)-1]
	if offset < last.offset {
		return 0, true // it is gone
	}
	if len(m) < 3 {
		return 0, false
	}
	first := m[1]
	took, quiet := last.at.Sub(first.at), now.Sub(last.at)
	between := took / time.Duration(len(m)-2)
	if quiet > 2*between {
		took += quiet - between // it has become slower
	}
	passes := float64(offset-last.offset) / float64(last.offset-first.offset) * float64(took)
	return max(0, time.Duration(min(passes, float64(100*365*24*time.Hour)))-quiet), true
}

// retentionLeft estimates how long a record with this offset and time is kept. at is zero where its time is not known.
func retentionLeft(r topicRetention, moves startMoves, offset int64, at, now time.Time) (left time.Duration, why string, ok bool) {
	if r.limited && !at.IsZero() {
		age := now.Sub(at)
		left, ok = max(0, r.age-age), true
		why = fmt.Sprintf("retention.ms keeps records for %v, and the oldest one that is not final is %v old", r.age, age.Round(time.Second))
	}
	if byMoves, known := moves.reaches(offset, now); known && (!ok || byMoves < left) {
		left, ok = byMoves, true
		why = "the start of the log comes nearer at this speed"
		if byMoves == 0 {
			why = "the start of the log has reached the oldest record that is not final"
		}
	}
	return left, why, ok
}

// Admin is what a Watch asks the brokers; *kadm.Client answers it.
type Admin interface {
	DescribeTopicConfigs(ctx context.Context, topics ...string) (kadm.ResourceConfigs, error)
	ListStartOffsets(ctx context.Context, topics ...string) (kadm.ListedOffsets, error)
	ListOffsetsAfterMilli(ctx context.Context, millis int64, topics ...string) (kadm.ListedOffsets, error)
}

// Watch asks for retention and the starts of logs, and keeps the answers. It is safe for concurrent use; its zero value knows nothing.
type Watch struct {
	admin    Admin
	assigned func() []*assign.Assignment
	log      *slog.Logger

	mu     sync.Mutex
	asked  time.Time                         // guarded by mu; when the topics' configuration was asked for last
	topics map[string]topicRetention         // guarded by mu; those whose configuration was told
	moves  map[*assign.Assignment]startMoves // guarded by mu
	denied bool                              // guarded by mu; and said so
}

// New makes a Watch over the partitions that assigned returns.
func New(admin Admin, assigned func() []*assign.Assignment, log *slog.Logger) *Watch {
	return &Watch{admin: admin, assigned: assigned, log: log}
}

// Left estimates how long Kafka keeps the first record of p that is not final. It is nil where there is none, or nothing
// is known.
func (w *Watch) Left(p *assign.Assignment, now time.Time) *observe.RetentionStatus {
	w.mu.Lock()
	r, moves := w.topics[p.ID().Topic], w.moves[p]
	w.mu.Unlock()
	checkpoint, at, known := p.WaitsForRecord()
	if p.Lag(checkpoint) <= 0 {
		return nil
	}
	if !known {
		at = time.Time{}
	}
	left, why, ok := retentionLeft(r, moves, checkpoint, at, now)
	if !ok {
		return nil
	}
	return &observe.RetentionStatus{Partition: p.ID().String(), SecondsLeft: left.Seconds(), Reason: why}
}

// saw notes where the logs of partitions begin, and forgets those that are not among them.
func (w *Watch) saw(starts map[*assign.Assignment]int64, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := make(map[*assign.Assignment]startMoves, len(starts))
	for p, offset := range starts {
		m := w.moves[p]
		m.saw(offset, now)
		kept[p] = m
	}
	w.moves = kept
}

// Run looks until ctx ends.
func (w *Watch) Run(ctx context.Context) {
	timer := time.NewTimer(firstLook)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		w.Look(ctx)
		timer.Reset(lookPause)
	}
}

// Look asks for what the estimates need about partitions that are behind. What cannot be asked stays as it
// is: the metric is missing then, and nothing else depends on it.
func (w *Watch) Look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	parts := w.assigned()
	starts := make(map[*assign.Assignment]int64, len(parts))
	behind := make(map[string]bool)
	for _, p := range parts {
		starts[p] = p.Log.Begins()
		if p.Lag(p.Checkpoint().Checkpoint()) > 0 {
			behind[p.ID().Topic] = true
		}
	}
	if topics := slices.Sorted(maps.Keys(behind)); len(topics) > 0 {
		w.ask(ctx, topics)
		if listed, err := w.admin.ListStartOffsets(ctx, topics...); err == nil {
			for _, p := range parts {
				if s, ok := listed.Lookup(p.ID().Topic, p.ID().Num); ok && s.Err == nil {
					starts[p] = max(starts[p], s.Offset)
				}
			}
		}
		w.guessRecordTimes(ctx, parts)
	}
	w.saw(starts, time.Now())
}

// ask asks for the configuration of topics now and then, and at once for one that was not asked for yet.
func (w *Watch) ask(ctx context.Context, topics []string) {
	w.mu.Lock()
	fresh := time.Since(w.asked) < askPause
	for _, t := range topics {
		if _, ok := w.topics[t]; !ok && !w.denied {
			fresh = false
		}
	}
	w.mu.Unlock()
	if fresh {
		return
	}
	configs, err := w.admin.DescribeTopicConfigs(ctx, topics...)
	w.mu.Lock()
	w.asked = time.Now()
	for _, c := range configs {
		if c.Err != nil {
			err = errors.Join(err, c.Err)
			continue
		}
		if r, ok := retentionOf(c.Configs); ok {
			if w.topics == nil {
				w.topics = make(map[string]topicRetention)
			}
			w.topics[c.Name] = r
		}
	}
	say := err != nil && ctx.Err() == nil && !w.denied
	w.denied = err != nil
	w.mu.Unlock()
	if say {
		w.log.Info("the retention of topics is not known, so the time left is estimated from the start of the log only", "topics", len(topics),
			"err", kafkaclient.Explain(err, "describing the configuration of topics"), "hint", "allow DescribeConfigs on the topics that are read")
	}
}

// guessedAges are the ages by which records that were not fetched are told apart.
var guessedAges = []time.Duration{
	time.Minute, 5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 16 * time.Hour,
	24 * time.Hour, 2 * 24 * time.Hour, 3 * 24 * time.Hour, 5 * 24 * time.Hour, 7 * 24 * time.Hour, 14 * 24 * time.Hour, 30 * 24 * time.Hour,
	90 * 24 * time.Hour, 365 * 24 * time.Hour,
}

// guessRecordTimes finds out about how old the oldest record is of each partition that is behind and was not fetched
// there: the budget is full, or the partition is at fault. It asks once per partition and offset.
func (w *Watch) guessRecordTimes(ctx context.Context, parts []*assign.Assignment) {
	want, byID := make(map[part.ID]int64), make(map[part.ID]*assign.Assignment)
	for _, p := range parts {
		checkpoint, _, known := p.WaitsForRecord()
		if !known && p.Lag(checkpoint) > 0 {
			want[p.ID()], byID[p.ID()] = checkpoint, p
		}
	}
	now := time.Now()
	ages := guessAges(want, guessedAges, func(age time.Duration, topics []string) (map[part.ID]int64, error) {
		listed, err := w.admin.ListOffsetsAfterMilli(ctx, now.Add(-age).UnixMilli(), topics...)
		offsets := make(map[part.ID]int64)
		listed.Each(func(o kadm.ListedOffset) {
			if o.Err == nil {
				offsets[part.ID{Topic: o.Topic, Num: o.Partition}] = o.Offset
			}
		})
		return offsets, err
	})
	for id, age := range ages {
		byID[id].GuessTime(want[id], now.Add(-age))
	}
}

// guessAges returns for each offset the smallest of ages that its record does not exceed, or the largest if it exceeds
// all. first tells the first offset of each partition that is younger than an age; it is asked about fewer topics from
// age to age. What it does not tell is left out.
func guessAges(offsets map[part.ID]int64, ages []time.Duration, first func(age time.Duration, topics []string) (map[part.ID]int64, error)) map[part.ID]time.Duration {
	left, found := maps.Clone(offsets), make(map[part.ID]time.Duration)
	for i, age := range ages {
		topics := make(map[string]bool)
		for id := range left {
			topics[id.Topic] = true
		}
		if len(topics) == 0 {
			break
		}
		younger, err := first(age, slices.SortedFunc(maps.Keys(topics), cmp.Compare))
		if err != nil && len(younger) == 0 {
			break
		}
		for id, offset := range left {
			from, ok := younger[id]
			switch {
			case !ok:
				delete(left, id)
			case from <= offset || i == len(ages)-1:
				found[id] = age
				delete(left, id)
			}
		}
	}
	return found
}
