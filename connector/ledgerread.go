package connector

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"inlong-bridge/connector/confirm"
)

// reading is a partition of the queue under verification: it is read from where the books began, and before that only if something
// is missing.
type reading struct {
	in    confirm.Browser
	whole confirm.Stretch
	begin confirm.Offset // what lies before is not read yet
	first time.Time      // of the first message that was read
}

// older is the part that is not read yet.
func (r *reading) older() (confirm.Stretch, bool) {
	s := r.whole
	s.To = r.begin
	return s, r.whole.From.Before(r.begin)
}

// findQueue opens the queue, lists the partitions that the routes may lead into, up to the ends that they have now, and asks where
// the books began in each.
func (v *verification) findQueue(ctx context.Context) (err error) {
	if v.queue, err = OpenQueue(ctx, v.cfg, v.deps); err != nil {
		return err
	}
	v.Say("looking where the books began in the queue")
	v.since = v.noted()
	for _, c := range v.queue.Clusters {
		topics, err := v.topicsOf(ctx, v.queue, c)
		if err != nil {
			return err
		}
		for _, topic := range topics {
			l, err := c.Holds(ctx, topic)
			if err != nil {
				return fmt.Errorf("asking queue cluster %s what topic %s holds: %w", c.Name(), topic, err)
			}
			if v.consumed(c, topic) || !l.Exists {
				continue
			}
			if err := v.add(ctx, c, topic, l); err != nil {
				return err
			}
		}
	}
	if len(v.readings) == 0 {
		return fmt.Errorf("%w; hint: does its queue section name the topics that the proxies write to?", ErrNoQueueTopic)
	}
	return nil
}

// noted is the time that the lines note for the beginning of the books: no record of theirs came into the queue before the group saw
// its topic. It is zero where there are no books.
func (v *verification) noted() (since time.Time) {
	for _, a := range v.ordered {
		if seen := a.commit.Line.Seen.At.Add(-clocksDiffer).UTC(); since.IsZero() || seen.Before(since) {
			since = seen
		}
	}
	return since
}

// add has the partitions of a topic read. A topic whose broker does not tell where the books began is read from its beginning.
func (v *verification) add(ctx context.Context, c confirm.Browser, topic string, l confirm.TopicListing) error {
	var begins map[int32]confirm.Offset
	if !v.since.IsZero() {
		var err error
		if begins, err = c.Since(ctx, topic, v.since); ctx.Err() != nil {
			return context.Cause(ctx)
		} else if err != nil {
			v.sums.NoPosition = err.Error()
			begins = nil
		}
	}
	v.sums.Topics++
	for _, n := range slices.Sorted(maps.Keys(l.Partitions)) {
		b := l.Partitions[n]
		r := &reading{in: c, begin: b.Start, whole: confirm.Stretch{
			Place: confirm.Place{Cluster: c.Name(), Topic: topic, Partition: n}, TopicID: l.ID, From: b.Start, To: b.End,
		}}
		if at, ok := begins[n]; ok && r.begin.Before(at) {
			if r.begin = at; b.End.Before(at) { // what came since the ends were asked for is not read
				r.begin = b.End
			}
		}
		v.readings = append(v.readings, r)
		v.sums.Partitions++
		v.plan(r)
	}
	return nil
}

// plan counts what is to be read of a partition, and what is not, as far as they can be counted.
func (v *verification) plan(r *reading) {
	from, to := r.whole.From, r.whole.To
	if from != confirm.Unknown {
		v.total += to.Entry - r.begin.Entry
	}
	if _, some := r.older(); !some {
		return
	}
	v.sums.Since = &v.since
	v.sums.Later++
	if from == confirm.Unknown {
		v.sums.Uncounted++
		return
	}
	v.sums.Skipped += r.begin.Entry - from.Entry
}

// readQueue reads each partition from where the books began.
func (v *verification) readQueue(ctx context.Context) error {
	step := "reading the queue"
	if v.sums.Since != nil {
		step += " since " + v.since.Format(time.RFC3339)
	}
	v.Say(step)
	for _, r := range v.readings {
		s := r.whole
		s.From = r.begin
		if err := v.read(ctx, r, s); err != nil {
			return err
		}
	}
	return nil
}

// readOlder reads what came before the books began: clocks may be wrong, so nothing is missing before all of the queue was looked at. It
// reports whether there was anything to read.
func (v *verification) readOlder(ctx context.Context) (read bool, err error) {
	for _, r := range v.readings {
		s, ok := r.older()
		if !ok {
			continue
		}
		if !read {
			v.Say("reading the queue's older messages: not everything was found since " + v.since.Format(time.RFC3339))
			v.total += v.sums.Skipped
			v.sums.Later, v.sums.Skipped, v.sums.Uncounted, v.sums.OlderRead, read = 0, 0, 0, true, true
		}
		r.begin = s.From
		if err := v.read(ctx, r, s); err != nil {
			return read, err
		}
	}
	return read, nil
}

// read reads a part of a partition. Once it is read from its beginning, its first message tells what may have been deleted before; until
// then it holds messages that are older than the books.
func (v *verification) read(ctx context.Context, r *reading, s confirm.Stretch) error {
	p := partitionReader{v: v}
	if err := r.in.Browse(ctx, s, p.take); err != nil {
		return err
	}
	if !p.first.IsZero() {
		r.first = p.first
	}
	if _, more := r.older(); !more {
		v.mayHaveExpired(r.whole, r.first)
	}
	return nil
}

// settled reports whether nothing that lies in the rest of the queue could change a verdict.
func (v *verification) settled() bool {
	return !slices.ContainsFunc(v.ordered, func(a *account) bool { return !a.Settled() })
}

// compare asks the source about what was not found, and reads the rest of the queue first unless it cannot matter.
func (v *verification) compare(ctx context.Context) error {
	if !v.settled() {
		if _, err := v.readOlder(ctx); err != nil {
			return err
		}
	}
	if err := v.askSource(ctx); err != nil || v.settled() {
		return err
	}
	// The source has records that the books do not call final. It is asked again with what the rest of the queue holds.
	read, err := v.readOlder(ctx)
	if err != nil || !read {
		return err
	}
	return v.askSource(ctx)
}
