package connector

import (
	"context"
	"errors"
	"fmt"

	"inlong-bridge/connector/internal/part"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/resume"
)

// An offset is of a log, not of a number. 1. the group commits offset 100  2. an unclean election cuts the log off at 50
// 3. it grows to 200  4. offset 100 lies in the log again, and everything from 50 to 99 would be skipped.
// So a position is checked by its leader epoch, which every record carries: the leader tells where the log of that epoch
// ends (KIP-320). The group's client checks committed epochs, too, but believes an offset whose epoch the log does not have.

// epochVerdict says whether the log still holds what was read before an offset.
type epochVerdict struct {
	cut     bool  // it was cut off below the offset, at or after at
	at      int64 // where the log of the offset's epoch ends, or the offset if that is not known
	unknown bool  // nothing tells
	absent  error // the leader does not find the partition
}

// epochEnd is what a leader says of where an epoch ends.
type epochEnd = kmsg.OffsetForLeaderEpochResponseTopicPartition

// judgeEpoch compares an offset and its leader epoch with where the leader says that the epoch ends. unclear is set when the
// leader does not know the epoch: compaction may have removed all its records, so the record before the offset decides.
func judgeEpoch(offset int64, epoch int32, end epochEnd) (v epochVerdict, unclear bool) {
	switch {
	case end.EndOffset < 0: // no epoch up to this one
		return epochVerdict{cut: true, at: offset}, true
	case end.EndOffset < offset:
		return epochVerdict{cut: true, at: end.EndOffset}, false
	case end.LeaderEpoch >= 0 && end.LeaderEpoch < epoch: // the newest before it, which ends above the offset
		return epochVerdict{}, true
	}
	return epochVerdict{}, false
}

// judgeRecord decides what judgeEpoch left unclear by the record before the offset; found is false when the log has none there.
func judgeRecord(v epochVerdict, offset int64, epoch, at int32, found bool) epochVerdict {
	switch {
	case !found:
		return v
	case at == epoch:
		return epochVerdict{}
	}
	return epochVerdict{cut: true, at: offset - 1}
}

// surveyEpochs checks the committed offsets that have an epoch of this cluster. An offset at the log's start or below has no
// record before it that could have changed.
func (b *Bridge) surveyEpochs(ctx context.Context, s *survey) error {
	s.epochs = make(map[part.ID]epochVerdict)
	ask := make(map[part.ID]resume.Commit)
	for id, log := range s.logs {
		c, had := s.commits[id]
		switch {
		case log.err != nil, !had, c.Judge(s.cluster, s.topics[id.Topic].id) == resume.Refused:
		case c.Offset <= log.start:
			s.epochs[id] = epochVerdict{}
		case c.Epoch < 0, c.Offset > log.end:
		case c.Ours && c.Judge(s.cluster, s.topics[id.Topic].id) == resume.Taken: // of another cluster
		default:
			ask[id] = c
		}
	}
	if err := b.checkEpochs(ctx, ask, func(topic string) [16]byte { return s.topics[topic].id }, s.epochs); err != nil {
		return err
	}
	for id, v := range s.epochs {
		if v.absent != nil {
			s.logs[id] = extent{err: v.absent}
		}
	}
	return nil
}

// checkEpochs asks the leaders where the epochs of offsets end, and adds a verdict for each. It fails when a leader does not
// answer for a reason that passes.
func (b *Bridge) checkEpochs(ctx context.Context, ask map[part.ID]resume.Commit, topicID func(topic string) [16]byte, to map[part.ID]epochVerdict) error {
	if len(ask) == 0 {
		return nil
	}
	ends, err := b.endsOfEpochs(ctx, ask)
	if err != nil {
		if b.brokersTellEpochs(ctx) {
			return fmt.Errorf("asking where leader epochs end: %w", err)
		}
		for id := range ask {
			to[id] = epochVerdict{unknown: true}
		}
		return nil
	}
	for id, c := range ask {
		end, ok := ends[id]
		switch err := kerr.ErrorForCode(end.ErrorCode); {
		case !ok:
			return fmt.Errorf("asking where leader epoch %d of %s ends: %w", c.Epoch, id, errNoAnswer)
		case absentError(err):
			to[id] = epochVerdict{absent: err}
			continue
		case err != nil && kerr.IsRetriable(err):
			return fmt.Errorf("asking where leader epoch %d of %s ends: %w", c.Epoch, id, err)
		case err != nil: // such as a right that older brokers want for the question, and nothing else needs
			to[id] = epochVerdict{unknown: true}
			continue
		}
		v, unclear := judgeEpoch(c.Offset, c.Epoch, end)
		if unclear {
			epoch, found, err := b.epochOf(ctx, id, topicID(id.Topic), c.Offset-1)
			if err != nil {
				return fmt.Errorf("reading the record before offset %d of %s: %w", c.Offset, id, err)
			}
			v = judgeRecord(v, c.Offset, c.Epoch, epoch, found)
		}
		to[id] = v
	}
	return nil
}

// endsOfEpochs asks each partition's leader. The answers have errors of their own: those of one topic are no answer for the
// others.
func (b *Bridge) endsOfEpochs(ctx context.Context, ask map[part.ID]resume.Commit) (map[part.ID]epochEnd, error) {
	byTopic := make(map[string][]kmsg.OffsetForLeaderEpochRequestTopicPartition)
	for id, c := range ask {
		p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		p.Partition, p.LeaderEpoch = id.Num, c.Epoch
		byTopic[id.Topic] = append(byTopic[id.Topic], p)
	}
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	for topic, parts := range byTopic {
		t := kmsg.NewOffsetForLeaderEpochRequestTopic()
		t.Topic, t.Partitions = topic, parts
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, b.direct)
	if err != nil {
		return nil, err
	}
	ends := make(map[part.ID]epochEnd, len(ask))
	for i := range resp.Topics {
		for _, p := range resp.Topics[i].Partitions {
			ends[part.ID{Topic: resp.Topics[i].Topic, Num: p.Partition}] = p
		}
	}
	return ends, nil
}

// brokersTellEpochs reports whether all brokers know the request, or do not say. What speaks Kafka's protocol without being
// Kafka may not have it.
func (b *Bridge) brokersTellEpochs(ctx context.Context) bool {
	versions, err := b.admin.ApiVersions(ctx)
	if err != nil {
		return true
	}
	for _, v := range versions {
		if _, ok := v.KeyMaxVersion(kmsg.OffsetForLeaderEpoch.Int16()); v.Err == nil && !ok {
			return false
		}
	}
	return true
}

// epochOf returns the leader epoch of the record at an offset; found is false when the log has no record there.
func (b *Bridge) epochOf(ctx context.Context, id part.ID, topic [16]byte, offset int64) (epoch int32, found bool, err error) {
	fp, _, err := b.fetchAt(ctx, id, topic, offset, kgo.ReadUncommitted())
	switch {
	case errors.Is(err, kerr.OffsetOutOfRange): // retention took it meanwhile
		return -1, false, nil
	case err != nil:
		return -1, false, err
	case len(fp.Records) == 0 || fp.Records[0].Offset != offset:
		return -1, false, nil
	}
	return fp.Records[0].LeaderEpoch, true, nil
}

var errOtherTopic = errors.New("the topic was created again")

// fetchAt fetches once by hand from an offset on. next is where the fetched part of the log ends. The answer is of the topic
// with the id that was asked for, or errOtherTopic.
func (b *Bridge) fetchAt(ctx context.Context, id part.ID, topic [16]byte, offset int64, isolation kgo.IsolationLevel) (fp kgo.FetchPartition, next int64, err error) {
	details, err := b.admin.ListTopics(ctx, id.Topic)
	if err != nil {
		return fp, 0, err
	}
	if part.OtherTopic(topic, details[id.Topic].ID) {
		return fp, 0, errOtherTopic // an answer would speak of another topic's log
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
	answer, err := b.direct.Broker(int(pd.Leader)).Request(ctx, req)
	if err != nil {
		return fp, 0, err
	}
	resp := answer.(*kmsg.FetchResponse)
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return fp, 0, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return fp, 0, errNoAnswer
	}
	fp, next = kgo.ProcessFetchPartition(kgo.ProcessFetchPartitionOpts{
		Offset: offset, IsolationLevel: isolation, Topic: id.Topic, Partition: id.Num, KeepControlRecords: isolation != kgo.ReadCommitted(),
	}, &resp.Topics[0].Partitions[0], unfolding(b.direct), nil)
	return fp, next, fp.Err
}
