package kafka

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/confirm"
)

const (
	latest   = -1 // timestamps of ListOffsets
	earliest = -2
	noTime   = math.MinInt64
)

// List implements [confirm.Cluster].
func (c *cluster) List(ctx context.Context, fresh confirm.Ticket, topics []string) (confirm.Listing, error) {
	return c.listing(ctx, fresh, topics, noTime)
}

// listing asks the cluster about topics and notes how that went; see ask.
func (c *cluster) listing(ctx context.Context, fresh confirm.Ticket, topics []string, also int64) (confirm.Listing, error) {
	began := time.Now()
	l, err := c.ask(ctx, fresh, topics, also)
	if err == nil || c.Blames(ctx) {
		c.Answered(err, began)
	}
	return l, err
}

// ask asks for fresh metadata, then for the end offsets of all partitions from their leaders and, unless also is noTime, for
// the offsets at that time as their starts. It goes past every cache of the client.
func (c *cluster) ask(parent context.Context, fresh confirm.Ticket, topics []string, also int64) (confirm.Listing, error) {
	return c.Ask(parent, fresh, confirm.Question{
		Once:    func(ctx context.Context) (confirm.Listing, error) { return c.askOnce(ctx, topics, also) },
		MayPass: mayPass,
		Explain: func(err error) error { return c.explain(err, "") },
		Hint:    "are its brokers up, does the queue section name addresses that can be reached from here, and do its tls and sasl fit?",
	})
}

// mayPass reports whether an error may be gone when asked again.
func mayPass(err error) bool {
	if errors.Is(err, kgo.ErrClientClosed) {
		return false
	}
	var ke *kerr.Error
	return !errors.As(err, &ke) || ke.Retriable
}

func (c *cluster) askOnce(ctx context.Context, topics []string, also int64) (confirm.Listing, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.AllowAutoTopicCreation = false
	req.Topics = []kmsg.MetadataRequestTopic{} // nil would ask for all there are
	for _, t := range topics {
		rt := kmsg.NewMetadataRequestTopic()
		rt.Topic = new(t)
		req.Topics = append(req.Topics, rt)
	}
	resp, err := req.RequestWith(ctx, c.cl)
	if err != nil {
		return confirm.Listing{}, err
	}
	if resp.ClusterID != nil {
		c.toldID.Store(resp.ClusterID)
	}
	l := confirm.Listing{Topics: make(map[string]confirm.TopicListing, len(topics))}
	leaders := map[int32]map[string][]int32{}
	for _, t := range resp.Topics {
		if t.Topic == nil {
			continue
		}
		name := *t.Topic
		switch err := kerr.ErrorForCode(t.ErrorCode); {
		case errors.Is(err, kerr.UnknownTopicOrPartition):
			l.Topics[name] = confirm.TopicListing{}
			continue
		case err != nil:
			return confirm.Listing{}, c.explain(fmt.Errorf("reading metadata of topic %s: %w", name, err), name)
		}
		l.Topics[name] = confirm.TopicListing{Exists: true, ID: t.TopicID, Partitions: make(map[int32]confirm.Bounds, len(t.Partitions))}
		for _, p := range t.Partitions {
			if p.Leader < 0 {
				return confirm.Listing{}, fmt.Errorf("partition %d of topic %s has no leader: %w", p.Partition, name, kerr.LeaderNotAvailable)
			}
			if leaders[p.Leader] == nil {
				leaders[p.Leader] = map[string][]int32{}
			}
			leaders[p.Leader][name] = append(leaders[p.Leader][name], p.Partition)
			l.Topics[name].Partitions[p.Partition] = confirm.Bounds{Start: confirm.Unknown, End: confirm.Unknown}
		}
	}
	for _, t := range topics {
		if _, ok := l.Topics[t]; !ok {
			return confirm.Listing{}, fmt.Errorf("no answer about topic %s", t)
		}
	}

	times := []int64{latest}
	if also != noTime {
		times = append(times, also)
	}
	var mu sync.Mutex // guards l and errs
	var errs []error
	var wg sync.WaitGroup
	for leader, parts := range leaders {
		wg.Go(func() {
			// The end first: where nothing was put in since that time, reading begins at this end, which must not be later than the answer about the time.
			for _, at := range times {
				err := c.listOffsets(ctx, leader, parts, at, func(topic string, partition int32, offset int64) {
					mu.Lock()
					defer mu.Unlock()
					b := l.Topics[topic].Partitions[partition]
					if at == latest {
						b.End = confirm.At(offset)
					} else {
						b.Start = confirm.At(offset)
					}
					l.Topics[topic].Partitions[partition] = b
				})
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return confirm.Listing{}, err
	}
	for name, t := range l.Topics {
		for n, b := range t.Partitions {
			if also >= 0 && b.Start == confirm.At(-1) {
				b.Start = b.End // nothing was put into it since that time
				t.Partitions[n] = b
			}
			if b.End.Before(confirm.Offset{}) || also != noTime && b.Start.Before(confirm.Offset{}) {
				return confirm.Listing{}, fmt.Errorf("no offset of partition %d of topic %s in the answer", n, name)
			}
		}
	}
	return l, nil
}

func (c *cluster) listOffsets(ctx context.Context, leader int32, parts map[string][]int32, at int64, tell func(topic string, partition int32, offset int64)) error {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	for topic, ps := range parts {
		rt := kmsg.NewListOffsetsRequestTopic()
		rt.Topic = topic
		for _, p := range ps {
			rp := kmsg.NewListOffsetsRequestTopicPartition()
			rp.Partition, rp.Timestamp = p, at
			rt.Partitions = append(rt.Partitions, rp)
		}
		req.Topics = append(req.Topics, rt)
	}
	resp, err := c.cl.Broker(int(leader)).RetriableRequest(ctx, req)
	if err != nil {
		return fmt.Errorf("listing offsets from broker %d: %w", leader, err)
	}
	for _, t := range resp.(*kmsg.ListOffsetsResponse).Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return c.explain(fmt.Errorf("listing offsets of partition %d of topic %s: %w", p.Partition, t.Topic, err), t.Topic)
			}
			tell(t.Topic, p.Partition, p.Offset)
		}
	}
	return nil
}

// fetch asks a partition's leader for the records at u.Next, once, without waiting.
func (c *cluster) fetch(ctx context.Context, u confirm.Unread) (*kmsg.FetchResponseTopicPartition, error) {
	leader, err := c.leader(ctx, u.Place, u.TopicID)
	if err != nil {
		return nil, err
	}
	return c.fetchFrom(ctx, leader, u, 64<<10)
}

// leader asks who leads a partition now.
func (c *cluster) leader(ctx context.Context, at confirm.Place, id [16]byte) (int32, error) {
	meta := kmsg.NewPtrMetadataRequest()
	rt := kmsg.NewMetadataRequestTopic()
	rt.Topic = new(at.Topic)
	meta.Topics = append(meta.Topics, rt)
	known, err := meta.RequestWith(ctx, c.cl)
	if err != nil {
		return -1, err
	}
	leader := int32(-1)
	for _, t := range known.Topics {
		if t.Topic == nil || *t.Topic != at.Topic || confirm.OtherTopic(t.TopicID, id) {
			continue
		}
		for _, p := range t.Partitions {
			if p.Partition == at.Partition {
				leader = p.Leader
			}
		}
	}
	if leader < 0 {
		return -1, fmt.Errorf("fetching %v: %w", at, kerr.LeaderNotAvailable)
	}
	return leader, nil
}

// fetchFrom asks a leader for at most so many bytes from u.Next on, or one batch, if it is larger.
func (c *cluster) fetchFrom(ctx context.Context, leader int32, u confirm.Unread, bytes int32) (*kmsg.FetchResponseTopicPartition, error) {
	req := kmsg.NewPtrFetchRequest()
	req.ReplicaID, req.SessionEpoch = -1, -1
	req.MaxBytes = fetchBytes
	ft := kmsg.NewFetchRequestTopic()
	ft.Topic, ft.TopicID = u.Topic, u.TopicID
	fp := kmsg.NewFetchRequestTopicPartition()
	fp.Partition, fp.FetchOffset, fp.PartitionMaxBytes = u.Partition, u.Next.Entry, bytes
	ft.Partitions = append(ft.Partitions, fp)
	req.Topics = append(req.Topics, ft)
	resp, err := c.cl.Broker(int(leader)).RetriableRequest(ctx, req)
	if err != nil {
		return nil, err
	}
	said := resp.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(said.ErrorCode); err != nil {
		return nil, err
	}
	if len(said.Topics) != 1 || len(said.Topics[0].Partitions) != 1 {
		return nil, fmt.Errorf("fetching %v: nothing in the answer", u.Place)
	}
	p := &said.Topics[0].Partitions[0]
	return p, kerr.ErrorForCode(p.ErrorCode)
}

// skipHoles returns the first offset from u.Next on where something may be there to read.
func (c *cluster) skipHoles(ctx context.Context, u confirm.Unread) (confirm.Offset, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout())
	defer cancel()
	rp, err := c.fetch(ctx, u)
	if err != nil {
		return u.Next, err
	}
	d, _ := c.cl.OptValue(kgo.WithDecompressor).(kgo.Decompressor) // the client's, which has its bound
	got, next := kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		KeepControlRecords: true, Offset: u.Next.Entry, Topic: u.Topic, Partition: u.Partition,
	}, rp, d, nil)
	switch {
	case len(got.Records) > 0:
		return u.Next, nil
	case got.Err != nil:
		return u.Next, judgeBatch(rp.RecordBatches, u, got.Err)
	}
	return confirm.At(next), nil
}

// mayRead finds out whether we have the right to read the topic: metadata and offsets can be read without it.
func (c *cluster) mayRead(ctx context.Context, name string, t confirm.TopicListing) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout())
	defer cancel()
	for n, b := range t.Partitions {
		_, err := c.fetch(ctx, confirm.Unread{Place: confirm.Place{Cluster: c.Name(), Topic: name, Partition: n}, Next: b.End, TopicID: t.ID})
		if err != nil && !mayPass(err) {
			return c.explain(fmt.Errorf("reading topic %s: %w", name, err), name)
		}
		return nil // one partition is enough; an error that may pass is the poller's business
	}
	return nil
}

// explain says what to do about an error that a person has to put right.
func (c *cluster) explain(err error, topic string) error {
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return fmt.Errorf("%w (hint: check user, password and mechanism in the queue section)", err)
	case topic == "":
		return err
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return fmt.Errorf("%w (hint: grant Describe and Read on topic %s of queue cluster %s to the user the queue section names; no group is needed)", err, topic, c.Name())
	case errors.Is(err, kerr.InvalidTopicException):
		return fmt.Errorf("%w (hint: the queue's topic template makes a name that Kafka does not allow)", err)
	}
	return err
}
