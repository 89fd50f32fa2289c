// Package consume is the bridge as a member of its group: it polls, opens and ends assignments, commits in the group's
// sessions, and looks after topics and partitions that come, go or are at fault.
//
// A Consumer holds the shared parts. Each of the types that embed it has one task: opener begins partitions that the group
// assigns (begin.go), poller hands out what is fetched (poll.go), membership has the sessions, revokes and the leaving
// (group.go, leave.go), watcher is the goroutine that looks after topics and faults (watch.go, faults.go, absent.go,
// topics.go, gaps.go, idle.go). The Table knows what is assigned.
package consume

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/config"
	"inlong-bridge/connector/internal/absence"
	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/await"
	"inlong-bridge/connector/internal/byhand"
	"inlong-bridge/connector/internal/commit"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/letters"
	"inlong-bridge/connector/internal/observe"
	"inlong-bridge/connector/internal/output"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/replay"
	"inlong-bridge/connector/internal/requeue"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/internal/source"
	"inlong-bridge/connector/reason"
	"inlong-bridge/connector/resume"
	"inlong-bridge/mapping"
	"inlong-bridge/sdk"
)

// Sender is what a Consumer needs of *sdk.Sender.
type Sender interface {
	assign.Sender
	Room() <-chan struct{}
	Seal()
	ForgetStream(s *sdk.Stream) bool
}

// Causes is told why partitions stop, are at fault and go on; *observe.Observer is one.
type Causes interface {
	Began(r reason.Reason)
	Ended(r reason.Reason)
	Stopped(r reason.Reason)
}

// Deps are the parts that a Consumer works with and does not make.
type Deps struct {
	Settings *config.Config
	Sources  *mapping.Table // the topics that are consumed
	Limits   config.Limits
	Log      *slog.Logger
	Soft     context.Context // ends when the bridge is told to stop
	Life     context.Context // ends when everything stops, after the drain

	Sender  Sender
	Direct  *kgo.Client // without a group
	Kafka   *source.Source
	Origin  string // of this group, in the packs that it sends
	Lineage assign.Lineage
	Routes  *route.Table
	Own     *output.Output
	Letters *letters.Writer // nil where no rule wants dead letters
	ByHand  *byhand.Skips   // records that a person skips
	Table   *Table
	Board   *reason.Board
	Causes  Causes
	Loops   *observe.Loops

	Absence   absence.Rules
	LookAgain time.Duration // between two looks at whether stopped partitions may go on

	Rate requeue.Rate // records per second that are handed on at most; 0 for no limit

	// Of a migration.
	Migrates bool
	Limit    func(id part.ID) (offset int64, of resume.TopicID) // nil, or where a partition ends, and of which topic that is
	Ended    func(p *assign.Assignment)                         // nil, or told of each assignment that ends
}

// Consumer consumes the topics of a table as a member of a group. Open comes first, then Launch and Poll, then Drain and Leave.
type Consumer struct {
	deps   Deps
	cfg    *config.Config
	limits config.Limits
	log    *slog.Logger
	table  *Table
	goesOn bool // after offsets that are gone from Kafka
	lanes  int  // in which the records of a partition keep their order; 0 for none

	// Set by Open.
	Group     *kgo.Client
	Replay    *replay.Reader
	Committer *commit.Committer

	Gates    gate.Gates
	Counters Counters
	member   *membership
	opener   *opener
	watcher  *watcher
	absent   absentees

	look     chan struct{}   // the watcher shall look at once
	progress await.Condition // of pieces and commits
	heldAt   atomic.Int64    // wall clock at which fetching was held last, unix nanoseconds
	pending  assign.PendingBytes
	freed    freed
	turn     int         // of the goroutine that offers pending chunks
	draining atomic.Bool // nothing new is fetched
	drained  atomic.Bool // nothing is waited for any more
}

// New makes a Consumer that asks nobody for anything yet.
func New(d Deps) *Consumer {
	c := &Consumer{deps: d, cfg: d.Settings, limits: d.Limits, log: d.Log, table: d.Table, goesOn: d.Settings.Delivery.OnGap == "continue", lanes: lanesOf(d.Settings.Delivery.Order), look: make(chan struct{}, 1), freed: freed{wake: make(chan struct{}, 1)}}
	c.absent.rules, c.absent.last = d.Absence, -1
	c.member = &membership{Consumer: c, leaving: make(chan struct{})}
	c.opener = &opener{Consumer: c}
	c.watcher = &watcher{Consumer: c}
	return c
}

// Open makes the client of the group, which joins it, and the parts that commit and read again. opts are those of every
// client of the source's brokers.
func (c *Consumer) Open(topics []string, opts []kgo.Opt) error {
	d := &c.deps
	c.Replay = replay.NewReader(replay.Config{
		Outlet: assign.Outlet{Sender: d.Sender}, Origin: d.Origin, AcceptGap: c.goesOn, Moved: c.progress.Changed,
	}, d.Direct, d.Kafka, c.log)
	c.Committer = commit.New(commit.Config{
		Group: c.cfg.Kafka.Group, InstanceID: c.cfg.Kafka.InstanceID, Timeout: c.cfg.Kafka.CommitTimeout, Source: d.Kafka, Session: c.member,
		Board: d.Board, Log: c.log, Changed: c.progress.Changed, Unknown: func(p *assign.Assignment, err error) { c.miss(p, byList, err) },
	})
	life, cut := context.WithCancel(context.WithoutCancel(d.Soft))
	c.member.cut = cut
	// The callbacks need c.Group; no topic is consumed before it is set.
	c.table.mu.Lock()
	defer c.table.mu.Unlock()
	group, err := kgo.NewClient(append(c.member.opts(topics, opts), kgo.WithContext(life))...)
	if err != nil {
		cut()
		return fmt.Errorf("creating kafka group client: %w", err)
	}
	c.Group = group
	c.Committer.Attach(group)
	c.Gates.Attach(group)
	return nil
}

// Launch hands over the loops, each to be run in a goroutine of its own until its context ends.
func (c *Consumer) Launch(loop func(name string, run func(ctx context.Context))) {
	loop("unpark", c.pendingLoop)
	loop("commit", c.commitLoop)
	loop("reread", c.Replay.Run)
	loop("watch", c.watcher.run)
	if c.deps.Letters != nil {
		loop("letters", c.deps.Letters.Run)
	}
}

// Joined reports whether a session of the group has begun since the bridge started. Until then it moves nothing.
func (c *Consumer) Joined() bool { return c.Sessions() > 0 }

// Sessions returns how many sessions of the group have begun.
func (c *Consumer) Sessions() uint64 { return c.member.sessions.Load() }

// Draining reports whether nothing new is fetched any more.
func (c *Consumer) Draining() bool { return c.draining.Load() }

// HeldAt is when fetching was held last, the zero time for never.
func (c *Consumer) HeldAt() time.Time {
	if at := c.heldAt.Load(); at > 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

var (
	unfinalKey   = reason.Key{Code: reason.MaxUnfinal, Scope: reason.Process}
	orderKey     = reason.Key{Code: reason.Order, Scope: reason.Process}
	drainingKey  = reason.Key{Code: reason.Draining, Scope: reason.Process}
	rebalanceKey = reason.Key{Code: reason.Rebalance, Scope: reason.Group}
)

// Put makes p the assignment of its partition. One that is still there never ended (a session broke off between assigning
// and fetching); it ends now.
func (c *Consumer) Put(p *assign.Assignment) {
	old := c.table.put(p)
	c.admit(p)
	if old != nil {
		old.Detach()
		old.Checkpoint().Revoke()
	}
	c.Counters.Assigned.Add(1)
}

// Succeed puts p in the place of old, unless the assignment ends. A revoke that has old in hand ends p with it.
func (c *Consumer) Succeed(old, p *assign.Assignment) bool {
	if !c.table.succeed(old, p) {
		return false
	}
	c.admit(p)
	old.Detach()
	old.Checkpoint().Revoke()
	return true
}

// admit closes the gate of an assignment for what holds for its topic or for all. It comes after the assignment is in the table: what
// turns up from then on finds it there. Nothing is fetched before its gate begins.
func (c *Consumer) admit(p *assign.Assignment) {
	if r := c.deps.Own.Stop(p.ID()); r != nil {
		p.Gate().Add(*r, true)
	}
	if c.draining.Load() {
		p.Gate().Refer(drainingKey, time.Now(), true)
	}
}

// moved, lost and stopped implement partitionEvents.
func (c *Consumer) Moved() { c.progress.Changed() }

func (c *Consumer) Lost(p *assign.Assignment, pc checkpoint.Piece, o checkpoint.Origin) {
	c.Replay.Add(p, pc, o)
	c.Replay.Nudge()
}

func (c *Consumer) Freed(p *assign.Assignment) { c.freed.add(p) }

func (c *Consumer) Halve(p *assign.Assignment, pc checkpoint.Piece, o checkpoint.Origin) {
	c.Replay.Halve(p, pc, o)
	c.Replay.Nudge()
}

func (c *Consumer) Stopped(_ *assign.Assignment, r *reason.Reason) {
	c.Counters.Stops.Add(string(r.Code), 1)
	c.deps.Causes.Stopped(*r)
	c.progress.Changed()
}

// gatesOf returns the gates of assignments.
func gatesOf(parts []*assign.Assignment) []*gate.Gate {
	out := make([]*gate.Gate, len(parts))
	for i, p := range parts {
		out[i] = p.Gate()
	}
	return out
}
