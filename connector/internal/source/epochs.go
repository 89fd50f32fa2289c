package source

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/resume"
)

// An offset is of a log, not of a number. 1. the group commits offset 100  2. an unclean election cuts the log off at 50
// 3. it grows to 200  4. offset 100 lies in the log again, and everything from 50 to 99 would be skipped.
// So a position is checked by its leader epoch, which every record carries: the leader tells where the log of that epoch
// ends (KIP-320). The group's client checks committed epochs, too, but believes an offset whose epoch the log does not have.

// EpochCheck says whether the log still holds the records that were read before an offset.
type EpochCheck struct {
	Cut     bool  // the log was cut off below the offset, at or after at
	At      int64 // where the log of the offset's epoch ends, or the offset if that is not known
	unknown bool  // the brokers cannot tell
	Absent  error // the leader does not find the partition
}

// EpochEnd is a leader's answer about where an epoch ends.
type EpochEnd = kmsg.OffsetForLeaderEpochResponseTopicPartition

// JudgeEpoch compares an offset and its leader epoch with where the leader says that the epoch ends. unclear is set when the
// leader does not know the epoch: compaction may have removed all its records, so the record before the offset decides.
func JudgeEpoch(offset int64, epoch int32, end EpochEnd) (v EpochCheck, unclear bool) {
	switch {
	case end.EndOffset < 0: // no epoch up to this one
		return EpochCheck{Cut: true, At: offset}, true
	case end.EndOffset < offset:
		return EpochCheck{Cut: true, At: end.EndOffset}, false
	case end.LeaderEpoch >= 0 && end.LeaderEpoch < epoch: // the newest before it, which ends above the offset
		return EpochCheck{}, true
	}
	return EpochCheck{}, false
}

// JudgeRecord decides what JudgeEpoch left unclear by the record before the offset; found is false when the log has none there.
func JudgeRecord(v EpochCheck, offset int64, epoch, at int32, found bool) EpochCheck {
	switch {
	case !found:
		return v
	case at == epoch:
		return EpochCheck{}
	}
	return EpochCheck{Cut: true, At: offset - 1}
}

// surveyEpochs checks the committed offsets that have an epoch of this cluster. An offset at the log's start or below has no
// record before it that could have changed.
func (src *Source) surveyEpochs(ctx context.Context, s *Survey) error {
	ask := make(map[part.ID]resume.Commit)
	for id := range s.Logs {
		if c, want := s.WantsEpoch(id); want {
			ask[id] = c
		}
	}
	if err := src.CheckEpochs(ctx, ask, func(topic string) [16]byte { return s.Topics[topic].ID }, s.epochs); err != nil {
		return err
	}
	for id, v := range s.epochs {
		if v.Absent != nil {
			s.Logs[id] = Log{Err: v.Absent}
		}
	}
	return nil
}

// WantsEpoch returns the commit of a partition whose epoch has to be checked, if so. The log comes first.
func (s *Survey) WantsEpoch(id part.ID) (c resume.Commit, want bool) {
	log := s.Logs[id]
	c, had := s.Commits[id]
	switch {
	case log.Err != nil, !had, c.Judge(s.Cluster, s.Topics[id.Topic].ID) == resume.Refused:
	case c.Offset <= log.Start:
		s.SawEpoch(id, EpochCheck{})
	case c.Epoch < 0, c.Offset > log.End:
	case c.Ours && c.Judge(s.Cluster, s.Topics[id.Topic].ID) == resume.Taken: // of another cluster
	default:
		return c, true
	}
	return c, false
}

// SawEpoch adds what the leader's answer means for the commit of a partition.
func (s *Survey) SawEpoch(id part.ID, v EpochCheck) { s.epochs[id] = v }

// CheckEpochs asks the leaders where the epochs of offsets end, and adds a verdict for each. It fails when a leader does not
// answer for a reason that passes.
func (src *Source) CheckEpochs(ctx context.Context, ask map[part.ID]resume.Commit, topicID func(topic string) [16]byte, to map[part.ID]EpochCheck) error {
	if len(ask) == 0 {
		return nil
	}
	ends, err := src.endsOfEpochs(ctx, ask)
	if err != nil {
		if src.brokersTellEpochs(ctx) {
			return fmt.Errorf("asking where leader epochs end: %w", err)
		}
		for id := range ask {
			to[id] = EpochCheck{unknown: true}
		}
		return nil
	}
	for id, c := range ask {
		end, ok := ends[id]
		switch err := kerr.ErrorForCode(end.ErrorCode); {
		case !ok:
			return fmt.Errorf("asking where leader epoch %d of %s ends: %w", c.Epoch, id, ErrNoAnswer)
		case IsAbsent(err):
			to[id] = EpochCheck{Absent: err}
			continue
		case err != nil && kerr.IsRetriable(err):
			return fmt.Errorf("asking where leader epoch %d of %s ends: %w", c.Epoch, id, err)
		case err != nil: // such as a right that older brokers want for the question, and nothing else needs
			to[id] = EpochCheck{unknown: true}
			continue
		}
		v, unclear := JudgeEpoch(c.Offset, c.Epoch, end)
		if unclear {
			epoch, found, err := src.epochOf(ctx, id, topicID(id.Topic), c.Offset-1)
			if err != nil {
				return fmt.Errorf("reading the record before offset %d of %s: %w", c.Offset, id, err)
			}
			v = JudgeRecord(v, c.Offset, c.Epoch, epoch, found)
		}
		to[id] = v
	}
	return nil
}

// endsOfEpochs asks each partition's leader. Each answer has its own error.
func (src *Source) endsOfEpochs(ctx context.Context, ask map[part.ID]resume.Commit) (map[part.ID]EpochEnd, error) {
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
	resp, err := req.RequestWith(ctx, src.client)
	if err != nil {
		return nil, err
	}
	ends := make(map[part.ID]EpochEnd, len(ask))
	for i := range resp.Topics {
		for _, p := range resp.Topics[i].Partitions {
			ends[part.ID{Topic: resp.Topics[i].Topic, Num: p.Partition}] = p
		}
	}
	return ends, nil
}

// brokersTellEpochs reports whether all brokers support the request, or do not say. Systems that speak Kafka's protocol without being
// Kafka may lack it.
func (src *Source) brokersTellEpochs(ctx context.Context) bool {
	versions, err := src.admin.ApiVersions(ctx)
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
func (src *Source) epochOf(ctx context.Context, id part.ID, topic [16]byte, offset int64) (epoch int32, found bool, err error) {
	fp, _, err := src.fetchAt(ctx, id, topic, offset, kgo.ReadUncommitted())
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
