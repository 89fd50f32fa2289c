package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/internal/part"
)

var ErrOtherTopic = errors.New("the topic was created again")

// fetchAt fetches once by hand from an offset on. next is where the fetched part of the log ends. The answer is of the topic
// with the id that was asked for, or errOtherTopic.
func (src *Source) fetchAt(ctx context.Context, id part.ID, topic [16]byte, offset int64, isolation kgo.IsolationLevel) (fp kgo.FetchPartition, next int64, err error) {
	details, err := src.admin.ListTopics(ctx, id.Topic)
	if err != nil {
		return fp, 0, err
	}
	if part.OtherTopic(topic, details[id.Topic].ID) {
		return fp, 0, ErrOtherTopic // an answer would speak of another topic's log
	}
	pd, ok := details[id.Topic].Partitions[id.Num]
	if !ok || pd.Err != nil {
		return fp, 0, fmt.Errorf("finding the leader of %s: %w", id, kerr.LeaderNotAvailable)
	}
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MaxBytes, req.SessionEpoch = 100, 1<<20, -1
	if isolation == kgo.ReadCommitted() {
		req.IsolationLevel = 1
	}
	t, rp := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
	t.Topic, t.TopicID = id.Topic, [16]byte(details[id.Topic].ID)
	rp.Partition, rp.FetchOffset, rp.PartitionMaxBytes = id.Num, offset, 1<<20
	t.Partitions = append(t.Partitions, rp)
	req.Topics = append(req.Topics, t)
	answer, err := src.client.Broker(int(pd.Leader)).Request(ctx, req)
	if err != nil {
		return fp, 0, err
	}
	resp := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return fp, 0, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return fp, 0, ErrNoAnswer
	}
	fp, next = kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: offset, IsolationLevel: isolation, Topic: id.Topic, Partition: id.Num, KeepControlRecords: isolation != kgo.ReadCommitted(),
	}, &resp.Topics[0].Partitions[0], unfolding(src.client), nil)
	return fp, next, fp.Err
}

// NextRecord returns the offset of the first record from offset on, or where the fetched part of the log ends when it has none.
func (src *Source) NextRecord(ctx context.Context, id part.ID, topic [16]byte, from int64) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	isolation := kgo.ReadUncommitted()
	if src.readCommitted {
		isolation = kgo.ReadCommitted()
	}
	fp, next, err := src.fetchAt(ctx, id, topic, from, isolation)
	switch {
	case err != nil:
		return 0, err
	case len(fp.Records) > 0:
		return fp.Records[0].Offset, nil
	}
	return next, nil
}

// unfolding returns the client's decompressor, which has a bound (kgo.MaxDecompressBatchBytes). The library's default decompressor
// would unfold a batch of some KiB to 2 GiB.
func unfolding(cl *kgo.Client) kgo.Decompressor {
	d, _ := cl.OptValue(kgo.WithDecompressor).(kgo.Decompressor)
	return d
}
