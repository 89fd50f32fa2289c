package source

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
)

var (
	ErrOtherTopic = errors.New("the topic was created again")
	ErrNoProgress = errors.New("the broker returns a batch of which nothing can be read")
)

const (
	maxBytes = 1 << 20 // of one fetch by hand
	lookTime = 10 * time.Second
)

// fetchAt fetches once by hand from an offset on. next is where the fetched part of the log ends. The answer is of the topic
// with the id that was asked for, or errOtherTopic.
func (src *Source) fetchAt(ctx context.Context, id part.ID, topic [16]byte, offset int64, isolation kgo.IsolationLevel) (fp kgo.FetchPartition, next int64, err error) {
	details, err := src.admin.ListTopics(ctx, id.Topic)
	if err != nil {
		return fp, 0, err
	}
	return src.fetchFrom(ctx, details[id.Topic], id, topic, offset, isolation)
}

// fetchFrom does the same with an answer of the brokers about the topic.
func (src *Source) fetchFrom(ctx context.Context, d kadm.TopicDetail, id part.ID, topic [16]byte, offset int64, isolation kgo.IsolationLevel) (fp kgo.FetchPartition, next int64, err error) {
	raw, err := src.ask(ctx, d, id, topic, offset, isolation, maxBytes)
	if err != nil {
		return fp, 0, err
	}
	fp, next = src.open(id, offset, isolation, raw)
	if fp.Err == nil && next <= offset && len(raw.RecordBatches) > 0 {
		return fp, next, ErrNoProgress
	}
	return fp, next, fp.Err
}

// open decodes what was fetched from an offset on. Control records are kept, as the group's client keeps them: who passed over one by hand would
// be ahead of the client, whose next record would look like that of a log that was cut off.
func (src *Source) open(id part.ID, offset int64, isolation kgo.IsolationLevel, raw *kmsg.FetchResponseTopicPartition) (kgo.FetchPartition, int64) {
	return kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: offset, IsolationLevel: isolation, Topic: id.Topic, Partition: id.Num, KeepControlRecords: true,
	}, raw, unfolding(src.client), nil)
}

// ask fetches about so many bytes, and decodes nothing; the first batch comes whole. An error of the partition is in the answer.
func (src *Source) ask(ctx context.Context, d kadm.TopicDetail, id part.ID, topic [16]byte, offset int64, isolation kgo.IsolationLevel, most int) (*kmsg.FetchResponseTopicPartition, error) {
	if part.OtherTopic(topic, d.ID) {
		return nil, ErrOtherTopic // an answer would speak of another topic's log
	}
	pd, ok := d.Partitions[id.Num]
	if !ok || pd.Err != nil {
		return nil, fmt.Errorf("finding the leader of %s: %w", id, kerr.LeaderNotAvailable)
	}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MaxBytes, req.SessionEpoch = 100, int32(most), -1
	if isolation == kgo.ReadCommitted() {
		req.IsolationLevel = 1
	}
	t, rp := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	t.Topic, t.TopicID = id.Topic, [16]byte(d.ID)
	rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = id.Num, offset, int32(most)
	t.Partitions = append(t.Partitions, rp)
	req.Topics = append(req.Topics, t)
	answer, err := src.client.Broker(int(pd.Leader)).Request(ctx, req)
	if err != nil {
		return nil, err
	}
	resp := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return nil, ErrNoAnswer
	}
	return &resp.Topics[0].Partitions[0], nil
}

// Look fetches the batch that holds an offset, nil if there is none.
func (src *Source) Look(ctx context.Context, id part.ID, topic [16]byte, offset int64) (*Batch, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	details, err := src.admin.ListTopics(ctx, id.Topic)
	if err != nil {
		return nil, err
	}
	for need, tries := maxBytes, 0; ; tries++ {
		rp, err := src.ask(ctx, details[id.Topic], id, topic, offset, kgo.ReadUncommitted(), need)
		if err != nil {
			return nil, err
		}
		if err := kerr.ErrorForCode(rp.ErrorCode); err != nil {
			return nil, err
		}
		b, more, err := examine(rp.RecordBatches, need, offset, rp.HighWatermark, unfolding(src.client))
		switch {
		case err != nil:
			return nil, err
		case more > 0 && tries < 2 && more <= math.MaxInt32:
			need = more
			continue
		case more > 0:
			return nil, errors.New("the broker does not return what follows the batch")
		case b == nil || b.Why == "" || !src.readCommitted:
			return b, nil
		}
		return b, src.lookForAbort(ctx, details[id.Topic], id, topic, offset, b)
	}
}

// Unreadable returns the reason to stop a partition of which records that were read before are to be read again at an offset, nil if they can be.
func (src *Source) Unreadable(ctx context.Context, id part.ID, topic [16]byte, offset int64) (*reason.Reason, error) {
	b, err := src.Look(ctx, id, topic, offset)
	if err != nil || b == nil || b.Why == "" {
		return nil, err
	}
	return part.Undecodable(id, offset, b.Next, b.Codec, b.Why, true), nil
}

// lookForAbort marks a batch of a transaction that was aborted: who reads only what is committed does not want it. A batch whose header cannot be
// believed is never taken for such.
func (src *Source) lookForAbort(ctx context.Context, d kadm.TopicDetail, id part.ID, topic [16]byte, offset int64, b *Batch) error {
	h, _ := headerOf(b.Raw)
	if !h.sound || h.attributes&transaction == 0 {
		return nil
	}
	rp, err := src.ask(ctx, d, id, topic, offset, kgo.ReadCommitted(), maxBytes)
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(rp.ErrorCode); err != nil {
		return err
	}
	b.Empty = b.Empty || abortedIn(rp.AbortedTransactions, h)
	return nil
}

// abortedIn reports whether a batch belongs to one of the aborted transactions that an answer names: those that touch what was fetched.
func abortedIn(list []kmsg.FetchResponseTopicPartitionAbortedTransaction, h header) bool {
	return slices.ContainsFunc(list, func(a kmsg.FetchResponseTopicPartitionAbortedTransaction) bool {
		return a.ProducerID == h.producer && a.FirstOffset <= h.base
	})
}

// Round asks about many partitions, of which some belong to one topic: an answer about a topic of 10,000 partitions names them all,
// so it is asked for once. Leaders change: begin another round when a question fails.
type Round struct {
	src    *Source
	topics kadm.TopicDetails
}

// NewRound begins a round. It is for one goroutine.
func (src *Source) NewRound() *Round { return &Round{src, make(kadm.TopicDetails)} }

// topic is what the brokers said of a topic in this round.
func (r *Round) topic(ctx context.Context, name string) (kadm.TopicDetail, error) {
	if d, ok := r.topics[name]; ok {
		return d, nil
	}
	details, err := r.src.admin.ListTopics(ctx, name)
	if err != nil {
		return kadm.TopicDetail{}, err
	}
	r.topics[name] = details[name]
	return details[name], nil
}

// NextRecord returns the offset of the first record from offset on, control records too, or where the fetched part of the log ends when it has none.
func (r *Round) NextRecord(ctx context.Context, id part.ID, topic [16]byte, from int64) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	d, err := r.topic(ctx, id.Topic)
	if err != nil {
		return 0, err
	}
	fp, next, err := r.src.fetchFrom(ctx, d, id, topic, from, r.src.isolation())
	switch {
	case err != nil:
		return 0, err
	case len(fp.Records) > 0:
		return fp.Records[0].Offset, nil
	}
	return next, nil
}

// isolation is how the group reads.
func (src *Source) isolation() kgo.IsolationLevel {
	if src.readCommitted {
		return kgo.ReadCommitted()
	}
	return kgo.ReadUncommitted()
}

// unfolding returns the client's decompressor, which has a bound (kgo.MaxDecompressBatchBytes). The library's default decompressor
// would unfold a batch of some KiB to 2 GiB.
func unfolding(cl *kgo.Client) kgo.Decompressor {
	d, _ := cl.OptValue(kgo.WithDecompressor).(kgo.Decompressor)
	return d
}
