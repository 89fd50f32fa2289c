package connector

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/kafkaclient"
)

// commitLoop commits the watermarks every commit_interval, a fifth of it being jitter: many bridges that
// start together do not commit together.
func (b *Bridge) commitLoop(ctx context.Context) {
	for {
		d := b.cfg.Kafka.CommitInterval
		timer := time.NewTimer(d - d/10 + time.Duration(rand.Int64N(int64(d)/5+1)))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		b.commit(ctx, b.assigned())
	}
}

// commit commits the watermarks of parts in one request and returns once the broker answered or
// commit_timeout passed. One commit is in flight per process: a later one on another connection could
// overtake it and be rewound by it. It reports whether nothing was left uncommitted that could be.
func (b *Bridge) commit(ctx context.Context, parts []*partition) bool {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Kafka.CommitTimeout)
	defer cancel()
	select {
	case b.commitSlot <- struct{}{}:
		defer func() { <-b.commitSlot }()
	case <-ctx.Done():
		return false
	}
	r := beginRound(parts)
	if len(r.parts) == 0 {
		return true
	}
	err := ctx.Err()
	results := make(map[tp]error)
	if err == nil {
		b.group.CommitOffsetsSync(ctx, r.offsets, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, e error) {
			if err = e; e != nil || resp == nil {
				return
			}
			for i := range resp.Topics {
				t := &resp.Topics[i]
				for j := range t.Partitions {
					results[tp{t.Topic, t.Partitions[j].Partition}] = kerr.ErrorForCode(t.Partitions[j].ErrorCode)
				}
			}
		})
	}
	return b.endRound(r, err, results)
}

// round is one commit on its way.
type round struct {
	parts   []*partition
	first   map[*partition]bool // commits where the assignment began, not a watermark
	offsets map[string]map[int32]kgo.EpochOffset
}

// beginRound collects what is to be committed. Between it and endRound the commit slot is held, and a
// revoke takes the slot before it lets a partition go: no commit is on its way when another member owns it.
func beginRound(parts []*partition) *round {
	r := &round{first: make(map[*partition]bool), offsets: make(map[string]map[int32]kgo.EpochOffset)}
	for _, p := range parts {
		offset, ok := p.wm.BeginCommit()
		if !ok {
			if !p.first || p.firstDone.Load() || p.wm.Revoked() || p.wm.Committed() >= 0 {
				continue
			}
			offset, r.first[p] = p.start, true
		}
		of := r.offsets[p.id.topic]
		if of == nil {
			of = make(map[int32]kgo.EpochOffset)
			r.offsets[p.id.topic] = of
		}
		of[p.id.partition] = kgo.EpochOffset{Epoch: p.epochAt(offset), Offset: offset}
		r.parts = append(r.parts, p)
	}
	return r
}

// endRound gives each partition its result. A result that is missing is a failure: the outcome is unknown,
// and the same offset, or a later one, is offered again.
func (b *Bridge) endRound(r *round, err error, results map[tp]error) bool {
	now, all := time.Now(), true
	failed := make(map[string]error) // by class
	for _, p := range r.parts {
		e, answered := results[p.id]
		switch {
		case err != nil:
			e = err
		case !answered:
			e = errNoAnswer
		}
		if r.first[p] {
			p.firstDone.Store(e == nil)
		} else {
			p.wm.EndCommit(e == nil)
		}
		if e == nil {
			p.committed.Store(now.UnixNano())
			continue
		}
		all = false
		class := commitClass(e)
		failed[class] = e
		if class == "topic" && errors.Is(e, kerr.UnknownTopicID) {
			p.stop(recreated(p))
		}
	}
	b.counters.commits.Add(1)
	b.commitFault(failed)
	b.bell.ring()
	return all
}

var errNoAnswer = errors.New("the broker's answer leaves the partition out")

// commitClass names the kind of a commit error, a bounded set for labels. All are tried again; those of
// a rebalance pass by themselves.
func commitClass(err error) string {
	switch {
	case errors.Is(err, kerr.RebalanceInProgress):
		return "rebalance"
	case errors.Is(err, kerr.FencedInstanceID):
		return "fenced"
	case errors.Is(err, kerr.IllegalGeneration), errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.StaleMemberEpoch):
		return "generation"
	case errors.Is(err, kerr.NotCoordinator), errors.Is(err, kerr.CoordinatorNotAvailable), errors.Is(err, kerr.CoordinatorLoadInProgress):
		return "coordinator"
	case errors.Is(err, kerr.GroupAuthorizationFailed), errors.Is(err, kerr.TopicAuthorizationFailed):
		return "authorization"
	case errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.UnknownTopicOrPartition):
		return "topic"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return "timeout"
	}
	return "other"
}

// commitFault logs when commits begin to fail in a way and when they work again.
func (b *Bridge) commitFault(failed map[string]error) {
	for class, err := range failed {
		b.counters.commitErrors.add(class, 1)
		if b.commitFaults.begin(class) {
			b.log.Warn("committing offsets fails, trying again", "class", class, "group", b.cfg.Kafka.Group,
				"err", kafkaclient.Explain(err, "committing offsets of group "+b.cfg.Kafka.Group))
		}
	}
	if len(failed) == 0 {
		for _, f := range b.commitFaults.end() {
			b.log.Info("committing offsets works again", "class", f.class, "after", f.lasted, "times", f.times)
		}
	}
}
