package connector

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/source"
	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/connector/reason"
	"inlong-bridge/connector/resume"
)

// commitLoop commits the checkpoints every commit_interval, a fifth of it being jitter: many bridges that
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
		done := b.loops.Works("commit")
		b.commit(ctx, b.assigned())
		done()
	}
}

// commit commits the checkpoints of parts in one request and returns once the broker answered or
// commit_timeout passed. One commit is in flight per process: a later one on another connection could
// overtake it and be rewound by it. It reports whether nothing was left uncommitted that could be.
func (b *Bridge) commit(ctx context.Context, parts []*assign.Assignment) bool {
	send := b.beside()
	if send == nil {
		send = b.commitInSession
	}
	return b.commitBy(ctx, slices.DeleteFunc(slices.Clone(parts), (*assign.Assignment).Beginning), send)
}

// sendCommit sends the offsets of a round, with their lines unless lines is false.
type sendCommit func(ctx context.Context, r *round, lines bool) (*kmsg.OffsetCommitRequest, *kmsg.OffsetCommitResponse, error)

func (b *Bridge) commitBy(ctx context.Context, parts []*assign.Assignment, send sendCommit) bool {
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Kafka.CommitTimeout)
	defer cancel()
	select {
	case b.commitSlot <- struct{}{}:
		defer func() { <-b.commitSlot }()
	case <-ctx.Done():
		return false
	}
	parts = wanting(parts)
	if len(parts) == 0 {
		return true
	}
	check := b.checkIDs(ctx, parts)
	lines := !b.refusesLines.Load()
	all := b.commitRound(ctx, parts, check, send)
	if lines && b.refusesLines.Load() { // the offsets themselves were not refused
		all = b.commitRound(ctx, parts, check, send)
	}
	return all && check.failed == nil
}

// commitRound sends one request. Whoever calls it holds the commit slot.
func (b *Bridge) commitRound(ctx context.Context, parts []*assign.Assignment, check *idCheck, send sendCommit) bool {
	r := beginRound(parts, check, time.Now())
	if len(r.parts) == 0 {
		b.commitFault(make(map[string]error), check.failed)
		return true
	}
	err := ctx.Err()
	results := make(map[part.ID]error)
	if err == nil {
		var req *kmsg.OffsetCommitRequest
		var resp *kmsg.OffsetCommitResponse
		if req, resp, err = send(ctx, r, !b.refusesLines.Load()); err == nil && resp != nil {
			b.noteCommitVersion(resp.Version)
			results = commitResults(req, resp)
		}
	}
	return b.endRound(r, err, results, check.failed)
}

// commitResults returns the result of each partition that the answer has. Since version 10 it names topics by id.
func commitResults(req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse) map[part.ID]error {
	names := make(map[[16]byte]string, len(req.Topics))
	for i := range req.Topics {
		names[req.Topics[i].TopicID] = req.Topics[i].Topic
	}
	results := make(map[part.ID]error)
	for i := range resp.Topics {
		t := &resp.Topics[i]
		name := t.Topic
		if name == "" {
			name = names[t.TopicID]
		}
		for j := range t.Partitions {
			results[part.ID{Topic: name, Num: t.Partitions[j].Partition}] = kerr.ErrorForCode(t.Partitions[j].ErrorCode)
		}
	}
	return results
}

// commitInSession commits through kgo, which waits while the group is joined, and never sends offsets that it fetched
// under one topic id to another.
func (b *Bridge) commitInSession(ctx context.Context, r *round, lines bool) (req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
	ctx, cancel := b.unlessHeldBack(ctx)
	defer cancel()
	ctx = kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		r.attach(req, lines)
		return nil
	})
	b.group.CommitOffsetsSync(ctx, r.offsets, func(_ *kgo.Client, in *kmsg.OffsetCommitRequest, out *kmsg.OffsetCommitResponse, e error) {
		req, resp, err = in, out, e
	})
	return req, resp, err
}

// commitStarts commits where an assignment begins. kgo does not count its partitions as the session's yet, and would
// take the answer for one of an older session.
func (b *Bridge) commitStarts(ctx context.Context, r *round, lines bool) (*kmsg.OffsetCommitRequest, *kmsg.OffsetCommitResponse, error) {
	member, generation := b.group.GroupMetadata()
	return b.commitAs(ctx, seat{member, generation}, r, lines)
}

// commitAs commits for a place in the group beside what kgo does. The broker refuses it when the group has moved on.
func (b *Bridge) commitAs(ctx context.Context, s seat, r *round, lines bool) (*kmsg.OffsetCommitRequest, *kmsg.OffsetCommitResponse, error) {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation = b.cfg.Kafka.Group, s.member, s.generation
	if b.cfg.Kafka.InstanceID != "" {
		req.InstanceID = &b.cfg.Kafka.InstanceID
	}
	ids := make(map[string][16]byte)
	for _, p := range r.parts {
		ids[p.ID().Topic] = p.TopicID()
	}
	for topic, offsets := range r.offsets {
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic, t.TopicID = topic, ids[topic]
		for num, o := range offsets {
			p := kmsg.NewOffsetCommitRequestTopicPartition()
			p.Partition, p.Offset, p.LeaderEpoch = num, o.Offset, o.Epoch
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
	}
	r.attach(req, lines)
	resp, err := req.RequestWith(ctx, b.group)
	return req, resp, err
}

// wanting returns the partitions that have something to commit. One that was created again or cut off commits
// nothing more: its offsets mean nothing in the log that is there now.
func wanting(parts []*assign.Assignment) []*assign.Assignment {
	var out []*assign.Assignment
	for _, p := range parts {
		if p.Gate().Condition().Has(reason.Recreated, reason.Truncated) {
			continue
		}
		if p.Checkpoint().Uncommitted() || p.MustRestate() {
			out = append(out, p)
		}
	}
	return out
}

// round is one commit on its way.
type round struct {
	parts   []*assign.Assignment
	first   map[*assign.Assignment]bool // commits where the assignment began, not a checkpoint
	offsets map[string]map[int32]kgo.EpochOffset
	lines   map[part.ID]resume.Line
}

// beginRound collects what is to be committed, each offset with its line. Between it and endRound the commit slot is
// held, and a revoke takes the slot before it lets a partition go: no commit is on its way when another member
// owns it.
func beginRound(parts []*assign.Assignment, check *idCheck, now time.Time) *round {
	r := &round{first: make(map[*assign.Assignment]bool), offsets: make(map[string]map[int32]kgo.EpochOffset), lines: make(map[part.ID]resume.Line)}
	for _, p := range wanting(parts) { // asked again: the check may have stopped some
		if !check.mayCommit(p) {
			continue
		}
		offset, ok := p.Checkpoint().BeginCommit()
		books := p.From.Books
		if ok {
			books = books.Add(ledgerBooks(p.Checkpoint().Offered()))
		} else {
			if !p.MustRestate() {
				continue
			}
			offset, r.first[p] = p.Start, true
		}
		if !books.Close(offset) {
			panic(fmt.Sprintf("bug: the books of %s do not close at %d: %+v", p.ID(), offset, books))
		}
		of := r.offsets[p.ID().Topic]
		if of == nil {
			of = make(map[int32]kgo.EpochOffset)
			r.offsets[p.ID().Topic] = of
		}
		of[p.ID().Num] = kgo.EpochOffset{Epoch: p.EpochAt(offset), Offset: offset}
		r.lines[p.ID()] = resume.Line{Cluster: p.Cluster, Topic: p.TopicID(), Seen: p.From.Sight, At: now, Books: books}
		r.parts = append(r.parts, p)
	}
	return r
}

// ledgerBooks turns the ledger of one assignment into books that begin where it began.
func ledgerBooks(l checkpoint.Ledger) resume.Books {
	return resume.Books{From: l.Start, Final: l.Final, Skipped: l.Skipped, Gap: l.Gap, Lost: l.Lost, Dead: l.Quarantined}
}

// attach sets the metadata of each partition of a request; kgo would send its member id. It must not block.
func (r *round) attach(req *kmsg.OffsetCommitRequest, lines bool) {
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			var metadata string
			if l, ok := r.lines[part.ID{Topic: t.Topic, Num: p.Partition}]; ok && lines {
				metadata = l.String()
			}
			p.Metadata = &metadata
		}
	}
}

// endRound gives each partition its result. A result that is missing is a failure: the outcome is unknown,
// and the same offset, or a later one, is offered again.
func (b *Bridge) endRound(r *round, err error, results map[part.ID]error, unchecked error) bool {
	now, all, tooLarge := time.Now(), true, false
	failed := make(map[string]error) // by class
	for _, p := range r.parts {
		e, answered := results[p.ID()]
		switch {
		case err != nil:
			e = err
		case !answered:
			e = source.ErrNoAnswer
		}
		if r.first[p] {
			p.Commits.TookStart(e == nil)
		} else {
			p.Checkpoint().EndCommit(e == nil)
		}
		if e == nil {
			p.Commits.Took(r.offsets[p.ID().Topic][p.ID().Num].Offset, r.lines[p.ID()].Books, now)
			continue
		}
		all = false
		if errors.Is(e, kerr.OffsetMetadataTooLarge) && !b.refusesLines.Load() {
			tooLarge = true
			continue
		}
		class := commitClass(e)
		failed[class] = e
		if class == "topic" && errors.Is(e, kerr.UnknownTopicID) {
			b.miss(p, byList, e) // another topic of its name may be there now, or none
		}
	}
	if tooLarge {
		b.leaveLinesOut()
	}
	b.counters.commits.Add(1)
	b.commitFault(failed, unchecked)
	b.bell.ring()
	return all
}

// leaveLinesOut notes that the brokers take no metadata of a line's size, and says so.
func (b *Bridge) leaveLinesOut() {
	b.refusesLines.Store(true)
	b.log.Warn("the brokers refuse the metadata of commits, so commits go without the topic's id and the books: a topic that is deleted and created again "+
		"while no bridge runs is not noticed, and a migration that is resumed cannot prove what it moved before; hint: set offset.metadata.max.bytes of the brokers to at least 512",
		"group", b.cfg.Kafka.Group)
}

// commitClasses are what commitClass returns, and identity.
var commitClasses = []string{"rebalance", "fenced", "generation", "coordinator", "authorization", "topic", "timeout", "other", "identity"}

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

// passingCommitError reports whether commits of a class fail while the group shares out partitions or its coordinator moves, which is
// no trouble unless it lasts; then the group's session fails too.
func passingCommitError(class string) bool { return class == "rebalance" || class == "generation" }

// commitFault logs when commits begin to fail in a way and when they work again. unchecked is why some topics'
// ids were not confirmed, so that nothing was committed for them.
func (b *Bridge) commitFault(failed map[string]error, unchecked error) {
	if unchecked != nil {
		failed["identity"] = unchecked
	}
	now := time.Now()
	for class, err := range failed {
		b.counters.commitErrors.add(class, 1)
		if !passingCommitError(class) {
			b.board.Set(reason.New(reason.Key{Code: reason.Commit, Scope: reason.Group, Object: class}, now,
				kafkaclient.Explain(err, "committing offsets of group "+b.cfg.Kafka.Group).Error()))
		}
		if b.commitFaults.begin(class) {
			b.log.Warn("committing offsets fails, trying again", "class", class, "group", b.cfg.Kafka.Group,
				"err", kafkaclient.Explain(err, "committing offsets of group "+b.cfg.Kafka.Group))
		}
	}
	if len(failed) == 0 {
		for _, f := range b.commitFaults.end() {
			b.board.Clear(reason.Key{Code: reason.Commit, Scope: reason.Group, Object: f.class})
			b.log.Info("committing offsets works again", "class", f.class, "after", f.lasted, "times", f.times)
		}
	}
}
