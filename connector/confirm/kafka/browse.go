package kafka

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/confirm"
)

var _ confirm.Browser = (*cluster)(nil)

const (
	// browsePause is the pause after a failed fetch of Browse.
	browsePause = 200 * time.Millisecond
	// browseTries is how many times the cluster's time-out Browse waits for a fetch that brings something: a broker may restart meanwhile.
	browseTries = 3
)

// Whole implements [confirm.Browser].
func (c *cluster) Whole(topic string) string { return topic }

// Topics implements [confirm.Browser].
func (c *cluster) Topics(ctx context.Context, match *regexp.Regexp) (names []string, err error) {
	req := kmsg.NewPtrMetadataRequest() // nil topics ask for all there are
	resp, err := req.RequestWith(ctx, c.cl)
	if err != nil {
		return nil, c.explain(fmt.Errorf("listing the topics of queue cluster %s: %w", c.Name(), err), "")
	}
	for _, t := range resp.Topics {
		if t.Topic != nil && match.MatchString(*t.Topic) && !t.IsInternal {
			names = append(names, *t.Topic)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Holds implements [confirm.Browser].
func (c *cluster) Holds(ctx context.Context, topic string) (confirm.TopicListing, error) {
	l, err := c.listing(ctx, c.Positions().Ask(), []string{topic}, earliest)
	return l.Topics[topic], err
}

// Since implements [confirm.Browser].
func (c *cluster) Since(ctx context.Context, topic string, at time.Time) (map[int32]confirm.Offset, error) {
	l, err := c.listing(ctx, c.Positions().Ask(), []string{topic}, max(at.UnixMilli(), 0))
	if err != nil {
		return nil, err
	}
	out := make(map[int32]confirm.Offset)
	for n, b := range l.Topics[topic].Partitions {
		out[n] = b.Start
	}
	return out, nil
}

// Browse implements [confirm.Browser]. It fetches by hand, one fetch at a time: so its memory is that of one fetch, and it sees where
// nothing but holes is left before the end.
func (c *cluster) Browse(ctx context.Context, s confirm.Stretch, f func(*confirm.Message) error) error {
	from, to, err := c.between(ctx, s)
	if err != nil {
		return err
	}
	b := browsing{c: c, f: f, leader: -1, u: confirm.Unread{Place: s.Place, TopicID: s.TopicID, Next: from, End: to}}
	moved := time.Now()
	for b.u.Next.Before(b.u.End) {
		was := b.u.Next
		err := b.step(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case b.told:
			return err
		case was.Before(b.u.Next) && err == nil:
			moved = time.Now()
			continue
		case err != nil && !mayPass(err), time.Since(moved) > browseTries*c.Timeout():
			if err == nil {
				err = errors.New("the brokers return no batch, and the log does not end there")
			}
			return c.explain(fmt.Errorf("reading %v at offset %v: %w", s.Place, b.u.Next, err), s.Topic)
		}
		b.leader = -1
		select {
		case <-time.After(browsePause):
		case <-ctx.Done():
		}
	}
	return nil
}

// between returns the offsets between which a stretch lies.
func (c *cluster) between(ctx context.Context, s confirm.Stretch) (from, to confirm.Offset, err error) {
	from, to = s.From, s.To
	if from == confirm.Unknown {
		from = confirm.At(0)
	}
	for _, bound := range []struct {
		at time.Time
		of *confirm.Offset
	}{{s.Since, &from}, {s.Until, &to}} {
		if bound.at.IsZero() {
			continue
		}
		since, err := c.Since(ctx, s.Topic, bound.at)
		if err != nil {
			return from, to, err
		}
		at, ok := since[s.Partition]
		if !ok {
			at = s.To
		}
		if bound.of == &from && from.Before(at) || bound.of == &to && at.Before(to) {
			*bound.of = at
		}
	}
	return from, to, nil
}

// browsing is a Browse under way.
type browsing struct {
	c      *cluster
	f      func(*confirm.Message) error
	leader int32 // -1 to ask
	u      confirm.Unread
	told   bool // f failed
}

// step fetches once and tells what it got.
func (b *browsing) step(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, b.c.Timeout())
	defer cancel()
	if b.leader < 0 {
		if b.leader, err = b.c.leader(ctx, b.u.Place, b.u.TopicID); err != nil {
			return err
		}
	}
	rp, err := b.c.fetchFrom(ctx, b.leader, b.u, fetchBytes)
	if errors.Is(err, kerr.OffsetOutOfRange) {
		return b.expired(ctx)
	}
	if err != nil {
		return err
	}
	d, _ := b.c.cl.OptValue(kgo.WithDecompressor).(kgo.Decompressor) // the client's, which has its bound
	got, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		KeepControlRecords: true, Offset: b.u.Next.Entry, Topic: b.u.Topic, Partition: b.u.Partition,
	}, rp, d, nil)
	for _, r := range got.Records {
		if at := confirm.At(r.Offset); !at.Before(b.u.End) {
			b.u.Next = b.u.End
			return nil
		}
		b.u.Next = confirm.At(r.Offset + 1)
		if r.Attrs.IsControl() {
			continue
		}
		m := &confirm.Message{Place: b.u.Place, At: confirm.At(r.Offset), Next: b.u.Next, Time: r.Timestamp, Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			m.Headers = append(m.Headers, confirm.MessageHeader{Key: h.Key, Value: string(h.Value)})
		}
		if err := b.tell(m); err != nil {
			return err
		}
	}
	if got.Err == nil {
		b.u.Next = laterOf(b.u.Next, confirm.At(next))
		return nil
	}
	err = judgeBatch(rp.RecordBatches, b.u, got.Err)
	if bad, ok := errors.AsType[*unreadableError](err); ok {
		return b.lacks(confirm.At(bad.next), bad)
	}
	return err
}

func laterOf(a, b confirm.Offset) confirm.Offset {
	if a.Before(b) {
		return b
	}
	return a
}

// expired goes on where the log begins now.
func (b *browsing) expired(ctx context.Context) error {
	l, err := b.c.Holds(ctx, b.u.Topic)
	if err != nil {
		return err
	}
	start := l.Partitions[b.u.Partition].Start
	if confirm.OtherTopic(l.ID, b.u.TopicID) || !b.u.Next.Before(start) {
		return fmt.Errorf("the log was cut off, or the topic was created again: %w", kerr.OffsetOutOfRange)
	}
	if b.u.End.Before(start) {
		start = b.u.End
	}
	return b.lacks(start, confirm.ErrExpired)
}

// lacks tells that nothing can be read up to next, and goes on there.
func (b *browsing) lacks(next confirm.Offset, why error) error {
	at := b.u.Next
	b.u.Next = next
	return b.tell(&confirm.Message{Place: b.u.Place, At: at, Next: next, Err: why})
}

func (b *browsing) tell(m *confirm.Message) error {
	err := b.f(m)
	b.told = err != nil
	return err
}
