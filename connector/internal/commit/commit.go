// Package commit commits the checkpoints of assignments to the group's coordinator.
//
// One commit is in flight per process: a later one on another connection could overtake it and be rewound by it. A revoke waits for
// the commit in flight before it lets a partition go (Hold).
package commit

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/faults"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/source"
	"inlong-bridge/connector/internal/tally"
	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/connector/reason"
)

// Session is what a commit needs to know of the group's session.
type Session interface {
	// Beside returns the place in the group to commit for beside the client, while the client holds commits back.
	Beside() (s Seat, ok bool)
	// UnlessHeldBack returns a context for a commit through the client. It ends when the client is about to hold commits back.
	UnlessHeldBack(ctx context.Context) (context.Context, context.CancelFunc)
}

// Seat is the place in the group that a session gave this member.
type Seat struct {
	Member     string
	Generation int32
}

// Config is what a Committer needs.
type Config struct {
	Group, InstanceID string
	Timeout           time.Duration // of one commit
	Source            *source.Source
	Session           Session
	Board             *reason.Board
	Log               *slog.Logger
	Changed           func()                                // called after each commit
	Unknown           func(p *assign.Assignment, err error) // called when the coordinator does not know the topic's id
}

// Committer commits. It is safe for concurrent use once Attach was called.
type Committer struct {
	c               Config
	client          *kgo.Client   // of the group
	slot            chan struct{} // full while a commit is in flight
	refusesLines    atomic.Bool   // the brokers take no metadata of a line's size
	brokersCheckIDs atomic.Int32  // idsUnknown, idsChecked or idsUnchecked
	faults          faults.Set
	commits         atomic.Uint64
	errors          tally.ByLabel // by class
}

// New makes a committer.
func New(c Config) *Committer { return &Committer{c: c, slot: make(chan struct{}, 1)} }

// Attach names the group's client. It comes before the first commit.
func (cm *Committer) Attach(client *kgo.Client) { cm.client = client }

// Busy reports whether a commit is in flight.
func (cm *Committer) Busy() bool { return len(cm.slot) > 0 }

// Counts returns how many commits were tried, and how many failed by class.
func (cm *Committer) Counts() (commits uint64, errors map[string]uint64) {
	return cm.commits.Load(), cm.errors.Snapshot(Classes...)
}

// Commit commits the checkpoints of parts and returns once the broker answered or the time-out passed. It reports whether nothing
// was left uncommitted that could be.
func (cm *Committer) Commit(ctx context.Context, parts []*assign.Assignment) bool {
	send := cm.commitInSession
	if s, ok := cm.c.Session.Beside(); ok {
		send = func(ctx context.Context, r *round, lines bool) (*kmsg.OffsetCommitRequest, *kmsg.OffsetCommitResponse, error) {
			return cm.commitAs(ctx, s, r, lines)
		}
	}
	return cm.commitBy(ctx, slices.DeleteFunc(wanting(parts), (*assign.Assignment).Beginning), send)
}

// CommitStarts commits where assignments begin. kgo does not count their partitions as the session's yet, and would take the answer
// for one of an older session, so the request goes beside kgo's own commits.
func (cm *Committer) CommitStarts(ctx context.Context, parts []*assign.Assignment) bool {
	return cm.commitBy(ctx, parts, func(ctx context.Context, r *round, lines bool) (*kmsg.OffsetCommitRequest, *kmsg.OffsetCommitResponse, error) {
		member, generation := cm.client.GroupMetadata()
		return cm.commitAs(ctx, Seat{member, generation}, r, lines)
	})
}

// Hold waits until no commit is in flight and keeps new ones from beginning until release is called. It waits at most the time-out of
// a commit.
func (cm *Committer) Hold() (release func()) {
	wait := time.NewTimer(cm.c.Timeout)
	defer wait.Stop()
	release = func() {}
	select {
	case cm.slot <- struct{}{}:
		release = func() { <-cm.slot }
	case <-wait.C:
	}
	return release
}

// sendCommit sends the offsets of a round, with their lines unless lines is false.
type sendCommit func(ctx context.Context, r *round, lines bool) (*kmsg.OffsetCommitRequest, *kmsg.OffsetCommitResponse, error)

func (cm *Committer) commitBy(ctx context.Context, parts []*assign.Assignment, send sendCommit) bool {
	ctx, cancel := context.WithTimeout(ctx, cm.c.Timeout)
	defer cancel()
	select {
	case cm.slot <- struct{}{}:
		defer func() { <-cm.slot }()
	case <-ctx.Done():
		return false
	}
	parts = wanting(parts)
	if len(parts) == 0 {
		return true
	}
	check := cm.checkIDs(ctx, parts)
	failed := make(map[string]error) // by class
	all := true
	for some := range slices.Chunk(inTurn(parts), maxAtOnce) {
		lines := !cm.refusesLines.Load()
		took := cm.commitRound(ctx, some, check, send, failed)
		if lines && cm.refusesLines.Load() { // the offsets themselves were not refused
			took = cm.commitRound(ctx, some, check, send, failed)
		}
		all = all && took
	}
	cm.commitFault(failed, check.failed)
	return all && check.failed == nil
}

// maxAtOnce is how many partitions one request commits. The coordinator appends the offsets of a request as one batch, which must
// not exceed max.message.bytes of its topic (1 MiB). Otherwise: 1. 10,000 partitions begin  2. their offsets with their lines are
// 2 MB, and the coordinator refuses the request  3. so it does with every further try, and nothing is ever fetched.
const maxAtOnce = 500

// inTurn has the partitions of several requests begin with any of them: if the time-out cuts the last ones off, it is not always the
// same ones.
func inTurn(parts []*assign.Assignment) []*assign.Assignment {
	if len(parts) <= maxAtOnce {
		return parts
	}
	first := rand.IntN(len(parts))
	return slices.Concat(parts[first:], parts[:first])
}

// commitRound sends one request, and adds its errors to failed, by class. Whoever calls it holds the commit slot.
func (cm *Committer) commitRound(ctx context.Context, parts []*assign.Assignment, check *idCheck, send sendCommit, failed map[string]error) bool {
	r := beginRound(parts, check, time.Now())
	if len(r.parts) == 0 {
		return true
	}
	err := ctx.Err()
	results := make(map[part.ID]error)
	if err == nil {
		var req *kmsg.OffsetCommitRequest
		var resp *kmsg.OffsetCommitResponse
		if req, resp, err = send(ctx, r, !cm.refusesLines.Load()); err == nil && resp != nil {
			cm.noteCommitVersion(resp.Version)
			results = commitResults(req, resp)
		}
	}
	return cm.endRound(r, err, results, failed)
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
func (cm *Committer) commitInSession(ctx context.Context, r *round, lines bool) (req *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
	ctx, cancel := cm.c.Session.UnlessHeldBack(ctx)
	defer cancel()
	ctx = kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		r.attach(req, lines)
		return nil
	})
	cm.client.CommitOffsetsSync(ctx, r.offsets, func(_ *kgo.Client, in *kmsg.OffsetCommitRequest, out *kmsg.OffsetCommitResponse, e error) {
		req, resp, err = in, out, e
	})
	return req, resp, err
}

// commitAs commits for a place in the group beside what kgo does. The broker refuses it when the group has moved on.
func (cm *Committer) commitAs(ctx context.Context, s Seat, r *round, lines bool) (*kmsg.OffsetCommitRequest, *kmsg.OffsetCommitResponse, error) {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation = cm.c.Group, s.Member, s.Generation
	if cm.c.InstanceID != "" {
		req.InstanceID = &cm.c.InstanceID
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
	resp, err := req.RequestWith(ctx, cm.client)
	return req, resp, err
}

// endRound gives each partition its result. A result that is missing is a failure: the outcome is unknown,
// and the same offset, or a later one, is offered again.
func (cm *Committer) endRound(r *round, err error, results map[part.ID]error, failed map[string]error) bool {
	now, all, tooLarge := time.Now(), true, false
	for _, p := range r.parts {
		e, answered := results[p.ID()]
		switch {
		case err != nil:
			e = err
		case !answered:
			e = source.ErrNoAnswer
		}
		o := r.offers[p]
		o.Ended(e == nil, now)
		if e == nil {
			continue
		}
		all = false
		if errors.Is(e, kerr.OffsetMetadataTooLarge) && !cm.refusesLines.Load() {
			tooLarge = true
			continue
		}
		class := classOf(e)
		failed[class] = e
		if class == "topic" && errors.Is(e, kerr.UnknownTopicID) {
			cm.c.Unknown(p, e) // another topic of its name may be there now, or none
		}
	}
	if tooLarge {
		cm.leaveLinesOut()
	}
	cm.commits.Add(1)
	cm.c.Changed()
	return all
}

// leaveLinesOut notes that the brokers take no metadata of a line's size, and says so.
func (cm *Committer) leaveLinesOut() {
	cm.refusesLines.Store(true)
	cm.c.Log.Warn("the brokers refuse the metadata of commits, so commits go without the topic's id and the books: a topic that is deleted and created again "+
		"while no bridge runs is not noticed, and a migration that is resumed cannot prove what it moved before; hint: set offset.metadata.max.bytes of the brokers to at least 512",
		"group", cm.c.Group)
}

// commitFault logs when commits begin to fail in a way and when they work again. unchecked is why some topics'
// ids were not confirmed, so that nothing was committed for them.
func (cm *Committer) commitFault(failed map[string]error, unchecked error) {
	if unchecked != nil {
		failed["identity"] = unchecked
	}
	now := time.Now()
	for class, err := range failed {
		cm.errors.Add(class, 1)
		if !passes(class) {
			cm.c.Board.Set(reason.New(reason.Key{Code: reason.Commit, Scope: reason.Group, Object: class}, now,
				kafkaclient.Explain(err, "committing offsets of group "+cm.c.Group).Error()))
		}
		if cm.faults.Begin(class) {
			cm.c.Log.Warn("committing offsets fails, trying again", "class", class, "group", cm.c.Group,
				"err", kafkaclient.Explain(err, "committing offsets of group "+cm.c.Group))
		}
	}
	if len(failed) == 0 {
		for _, f := range cm.faults.End() {
			cm.c.Board.Clear(reason.Key{Code: reason.Commit, Scope: reason.Group, Object: f.Class})
			cm.c.Log.Info("committing offsets works again", "class", f.Class, "after", f.Lasted, "times", f.Times)
		}
	}
}
