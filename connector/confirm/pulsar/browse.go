package pulsar

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"inlong-bridge/connector/confirm"
)

var _ confirm.Browser = (*cluster)(nil)

// browseTries is how often in a row Browse opens a reader that returns nothing.
const browseTries = 4

// Topics implements [confirm.Browser]. The namespace must be the same for all streams.
func (c *cluster) Topics(ctx context.Context, match *regexp.Regexp) (names []string, err error) {
	if strings.ContainsAny(c.cfg.Namespace, "{}") {
		return nil, fmt.Errorf("queue cluster %s: the namespace %q differs from stream to stream: %w", c.Name(), c.cfg.Namespace, confirm.ErrCannotList)
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout())
	defer cancel()
	all, err := c.conn.topics(ctx, c.cfg.Tenant+"/"+c.cfg.Namespace)
	if err != nil {
		topic := "persistent://" + c.cfg.Tenant + "/" + c.cfg.Namespace + "/"
		return nil, c.explain(fmt.Errorf("listing the topics of queue cluster %s: %w", c.Name(), err), topic)
	}
	for _, name := range all {
		if i := strings.LastIndex(name, "-partition-"); i > 0 {
			if _, ok := partitionOf(name[:i], name); ok {
				name = name[:i]
			}
		}
		if match.MatchString(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Holds implements [confirm.Browser]. Pulsar does not tell where a partition begins.
func (c *cluster) Holds(ctx context.Context, topic string) (confirm.TopicListing, error) {
	l, err := c.List(ctx, c.Positions().Ask(), []string{topic})
	return l.Topics[topic], err
}

// Since implements [confirm.Browser].
func (c *cluster) Since(ctx context.Context, topic string, at time.Time) (map[int32]confirm.Offset, error) {
	l, err := c.Holds(ctx, topic)
	if err != nil {
		return nil, err
	}
	out := make(map[int32]confirm.Offset)
	var mu sync.Mutex // guards out
	q := newQuestions()
	for n, b := range l.Partitions {
		q.ask(func() error {
			first, err := c.sinceIn(ctx, confirm.Place{Cluster: c.Name(), Topic: topic, Partition: n}, b, at)
			mu.Lock()
			defer mu.Unlock()
			out[n] = first
			return err
		})
	}
	return out, q.wait()
}

// sinceIn is Since for one partition. Whether there is a message as new is told by the last one: a reader that looks for the first would wait
// for it.
func (c *cluster) sinceIn(ctx context.Context, p confirm.Place, b confirm.Bounds, at time.Time) (first confirm.Offset, err error) {
	if b.End.Batch == 0 {
		return b.End, nil // it is empty
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout())
	defer cancel()
	last := b.End
	last.Batch--
	newest := time.Time{}
	err = c.Browse(ctx, confirm.Stretch{Place: p, From: last, To: b.End}, func(m *confirm.Message) error {
		newest = m.Time
		return nil
	})
	switch {
	case err != nil:
	case newest.Before(at):
		return b.End, nil
	default:
		first, err = c.seek(ctx, partitionName(p), time.UnixMilli(max(at.UnixMilli(), 0)))
	}
	if err != nil {
		err = c.explain(fmt.Errorf("asking %v for its first message since %s: %w", p, at.UTC().Format(time.RFC3339), err), p.Topic)
	}
	return first, err
}

// seek asks a partition for its first message since a time, three times if need be: a broker disconnects the reader that seeks, and
// the client does not always come back. The last try has most of the time, for a broker that is slow.
func (c *cluster) seek(ctx context.Context, partition string, at time.Time) (first confirm.Offset, err error) {
	for _, part := range []time.Duration{8, 4, 1} {
		one, cancel := context.WithTimeout(ctx, c.Timeout()/part)
		first, err = c.conn.seek(one, partition, at)
		cancel()
		if err == nil || ctx.Err() != nil || !mayPass(err) {
			break
		}
	}
	return first, err
}

// Browse implements [confirm.Browser]. A seek to a time is only as good as the order of the producers' clocks, so everything before Since is read and dropped.
func (c *cluster) Browse(ctx context.Context, s confirm.Stretch, f func(*confirm.Message) error) error {
	next := s.From
	if next == confirm.Unknown {
		next = confirm.Offset{}
	}
	for tries := 0; next.Before(s.To); {
		b := browsing{c: c, f: f, s: s, next: next}
		err := b.read(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case b.told:
			return err
		case next.Before(b.next):
			next, tries = b.next, 0
			continue
		}
		if tries++; tries == browseTries || !mayPass(err) {
			return c.explain(fmt.Errorf("reading %v at %v: %w", s.Place, next, err), s.Topic)
		}
		select {
		case <-time.After(openPause.Pause(tries, 0)):
		case <-ctx.Done():
		}
	}
	return nil
}

// browsing is one reader of a Browse.
type browsing struct {
	c    *cluster
	f    func(*confirm.Message) error
	s    confirm.Stretch
	next confirm.Offset
	told bool // f failed
}

// read reads on until the stretch ends, the reader fails or its connection ends: the client loses messages when it reconnects.
func (b *browsing) read(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	rd, err := b.c.open(ctx, partitionName(b.s.Place), b.next, func() { stop(errReconnects) })
	if err != nil {
		return err
	}
	defer rd.close()
	for b.next.Before(b.s.To) {
		m, err := b.nextMessage(ctx, rd)
		if err != nil {
			return err
		}
		switch {
		case m.at.Before(b.next):
			continue // the reader was opened in the middle of this batch
		case !m.at.Before(b.s.To):
			b.next = b.s.To
			return nil
		}
		b.next = m.after()
		if err := b.tell(m); err != nil {
			b.told = true
			return err
		}
	}
	return nil
}

func (b *browsing) nextMessage(ctx context.Context, rd partitionReader) (message, error) {
	wait, cancel := context.WithTimeout(ctx, b.c.Timeout())
	defer cancel()
	m, err := rd.next(wait)
	if cause := context.Cause(ctx); cause != nil {
		return m, cause // what was returned is dropped: something before it may be missing
	}
	if err != nil && errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("nothing was returned for %v, and the partition does not end there", b.c.Timeout())
	}
	return m, err
}

func (b *browsing) tell(m message) error {
	out := &confirm.Message{Place: b.s.Place, At: m.at, Next: m.after(), Value: m.payload}
	if m.raw != nil {
		out.Time = m.raw.PublishTime()
		for k, v := range m.raw.Properties() {
			out.Headers = append(out.Headers, confirm.MessageHeader{Key: k, Value: v})
		}
		slices.SortFunc(out.Headers, func(a, b confirm.MessageHeader) int { return strings.Compare(a.Key, b.Key) })
	}
	switch {
	case !b.s.Since.IsZero() && out.Time.Before(b.s.Since):
		return nil
	case !b.s.Until.IsZero() && !out.Time.Before(b.s.Until):
		return nil
	}
	return b.f(out)
}
