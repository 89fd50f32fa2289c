package connector

import (
	"sort"
	"time"

	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/observe"
	"inlong-bridge/connector/internal/queue"
	"inlong-bridge/connector/reason"
)

// What /status shows.
type (
	Status            = observe.Status
	Readiness         = observe.Readiness
	Condition         = observe.Condition
	MemoryStatus      = observe.MemoryStatus
	GroupStatus       = observe.GroupStatus
	PartitionStatus   = observe.PartitionStatus
	RouteStatus       = observe.RouteStatus
	RereadStatus      = observe.RereadStatus
	LeftOutTopic      = observe.LeftOutTopic
	RetentionStatus   = observe.RetentionStatus
	Certificate       = observe.Certificate
	QueueSourceStatus = observe.QueueSourceStatus
	UnreadableStream  = observe.UnreadableStream
)

// Status returns a snapshot with the reasons why something does not go on. It may be called at any time.
func (b *Bridge) Status() Status { return b.observer.Status() }

// observed is the bridge as its observer sees it.
type observed struct{ *Bridge }

// Snapshot implements observe.Source.
func (o observed) Snapshot() Status {
	b := o.Bridge
	s := Status{Version: b.deps.Version, Instance: b.instance, State: "starting", Confirm: b.cfg.Delivery.Confirm, Order: b.cfg.Delivery.Order, Lineage: b.cfg.Delivery.Lineage, Migrating: b.migration != nil,
		RateReached: b.cfg.RateReached(b.limits), Group: GroupStatus{Group: b.cfg.Kafka.Group}, Certificates: b.certs.Read(time.Now())}
	select {
	case <-b.ready:
	default:
		b.startingStatus(&s)
		return s
	}
	s.Started, s.State = b.started, "running"
	if b.consumer.Draining() {
		s.State = "draining"
	}
	s.Memory = MemoryStatus{
		BudgetBytes: b.limits.Budget, Source: b.limits.BudgetSource, FetchBytes: b.limits.FetchBytes,
		SenderBytes: b.limits.SenderBytes, RepairBytes: b.limits.RepairBytes, MaxUnfinal: b.cfg.Delivery.MaxUnfinal,
	}
	now := time.Now()
	repair := b.consumer.Replay.Outstanding()
	assigned := b.table.Assigned()
	s.Parts = make([]PartitionStatus, 0, len(assigned))
	for _, p := range assigned {
		_, pending := p.Waiting()
		s.Memory.ParkedBytes += pending
		ps := p.Status(now)
		ps.Repair = repair[p]
		ps.Retention = b.retention.Left(p, now)
		if at, ok := p.Checkpoint().Oldest(); ok {
			if r := b.routes.At(at.Route); r != nil {
				ps.Oldest = &RouteStatus{Group: r.Target.Group, Stream: r.Target.Stream}
			}
		}
		s.Parts = append(s.Parts, ps)
		s.Memory.Unfinal += p.Checkpoint().Unfinal()
	}
	for _, r := range b.routes.All() {
		s.Routes = append(s.Routes, RouteStatus{Group: r.Target.Group, Stream: r.Target.Stream})
	}
	sort.Slice(s.Routes, func(i, j int) bool {
		a, c := s.Routes[i], s.Routes[j]
		return a.Group < c.Group || a.Group == c.Group && a.Stream < c.Stream
	})
	s.Group = GroupStatus{Group: b.cfg.Kafka.Group, InstanceID: b.cfg.Kafka.InstanceID, Topics: b.table.Consumed(), LeftOut: b.own.LeftOut()}
	s.Group.Missing, s.Group.Unmatched = b.table.Wanting()
	again := b.consumer.Replay.Counts()
	s.Reread = RereadStatus{Pending: b.consumer.Replay.Pending(), Ranges: again.Ranges, Records: again.Records, Bytes: again.Bytes}
	s.Sender = b.sender.Status()
	if b.reader != nil {
		queue.NameTopics(s.Sender.Streams, b.reader.Topics)
		q := b.reader.Status()
		s.Queue = &q
		count, sum, upTo := b.delay.Read()
		s.Delay = &observe.Histogram{Count: count, Sum: sum, UpTo: upTo}
	}
	if b.source != nil {
		q := b.source.Status()
		s.QueueSource = &q
	}
	if !b.consumer.Joined() {
		s.Starting = "the bridge has not joined its group yet"
	}
	s.Counters = b.consumer.Counters.Snapshot(s.Group.Topics)
	s.Counters.SkippedByPolicy, s.Counters.DeadLetters = b.consumer.SetAside()
	s.Counters.OffsetsLost += again.Gone
	s.Counters.Commits, s.Counters.CommitErrors = b.consumer.Committer.Counts()
	s.Loops = b.loops.Snapshot()
	s.HeldAt = b.consumer.HeldAt()
	return s
}

// Stalled implements observe.Source.
func (o observed) Stalled(found map[uint64][]gate.Entry) {
	for _, p := range o.table.Assigned() {
		p.Gate().Stall(found[p.Number])
	}
}

// stuckAfter is how long records may wait to become final before that is a reason: longer than each mode
// may take. It compares with what waits, never with traffic: an idle bridge is ready.
func (b *Bridge) stuckAfter() time.Duration {
	d, q := &b.cfg.Delivery, &b.cfg.Queue
	switch d.Confirm {
	case "queue":
		return q.Patience + q.LossGrace + 30*time.Second
	case "settle":
		return 3*d.Settle + d.AckTimeout + 30*time.Second
	}
	return 2*d.AckTimeout + 30*time.Second
}

// watchdogAfter is how long a partition may make no progress: in settle nothing is final before settle.
func (b *Bridge) watchdogAfter() time.Duration {
	after := b.cfg.Delivery.Watchdog
	if after > 0 && b.cfg.Delivery.Confirm == "settle" {
		after += b.cfg.Delivery.Settle
	}
	return after
}

// textOf is the sentence of an entry of a condition, its own or the shared reason's, with the hint.
func (b *Bridge) textOf(e *gate.Entry) string {
	r := e.Own
	if r == nil {
		shared, ok := b.board.Get(e.Key)
		if !ok {
			return reason.KindOf(e.Code).Meaning
		}
		r = &shared
	}
	return r.Text()
}
