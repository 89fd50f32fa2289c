package connector

import (
	"cmp"
	"fmt"
	"sort"
	"time"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/resume"
	"inlong-bridge/sdk"
)

// Status is a snapshot of a running bridge, as /status shows it.
type Status struct {
	Version  string            `json:"version,omitempty"`
	Instance string            `json:"instance"`
	Started  time.Time         `json:"started"`
	State    string            `json:"state"`   // starting, running, draining
	Confirm  string            `json:"confirm"` // the mode of confirmation in force
	Ready    Readiness         `json:"ready"`
	Memory   MemoryStatus      `json:"memory"`
	Group    GroupStatus       `json:"group"`
	Parts    []PartitionStatus `json:"partitions"`
	Routes   []RouteStatus     `json:"routes"`
	Reread   RereadStatus      `json:"reread"`

	LagSeconds float64          `json:"lag_seconds"`         // largest of the partitions; -1 when unknown
	RouteLag   []RouteLag       `json:"route_lag,omitempty"` // of routes that partitions wait for
	Retention  *RetentionStatus `json:"retention,omitempty"` // of the partition with the least time left

	Sender sdk.Status      `json:"sender"`
	Queue  *confirm.Status `json:"queue,omitempty"` // mode queue only

	QueueSource *QueueSourceStatus `json:"queue_source,omitempty"` // queue.manager only
}

// Readiness says whether the bridge does its work, and if not, why: everything that is stuck.
type Readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons,omitempty"`
}

// MemoryStatus is the byte budget and what follows from it.
type MemoryStatus struct {
	BudgetBytes int64  `json:"budget_bytes"`
	Source      string `json:"source"`
	FetchBytes  int64  `json:"fetch_bytes"`
	SenderBytes int64  `json:"sender_bytes"`
	RepairBytes int64  `json:"repair_bytes"`
	ParkedBytes int64  `json:"parked_bytes"` // fetched and not taken by the sender yet
	MaxUnfinal  int    `json:"max_unfinal"`
	Unfinal     int    `json:"unfinal"`
	Hold        string `json:"hold,omitempty"` // why nothing is fetched now
}

// GroupStatus speaks of the consumer group.
type GroupStatus struct {
	Group      string   `json:"group"`
	InstanceID string   `json:"instance_id,omitempty"`
	Topics     []string `json:"topics"`
	Missing    []string `json:"missing_topics,omitempty"` // named by routes and not there
	Error      string   `json:"error,omitempty"`

	LeftOut []LeftOutTopic `json:"left_out_topics,omitempty"` // that rules match and that are not consumed
}

// PartitionStatus speaks of one assigned partition.
type PartitionStatus struct {
	Topic         string        `json:"topic"`
	Partition     int32         `json:"partition"`
	Start         int64         `json:"start_offset"`     // of this assignment
	Position      int64         `json:"position_offset"`  // fetched up to
	Final         int64         `json:"final_offset"`     // the watermark
	Committed     int64         `json:"committed_offset"` // -1 when this assignment committed nothing yet
	Lag           int64         `json:"lag"`              // end of the log - watermark; -1 when unknown
	LagSeconds    float64       `json:"lag_seconds"`      // age of the oldest record that is not final, 0 when there is none; -1 when unknown
	Unfinal       int           `json:"unfinal_pieces"`
	OldestUnfinal time.Duration `json:"oldest_unfinal_ns"`
	LastCommit    time.Time     `json:"last_commit,omitzero"`
	Lost          int64         `json:"pieces_lost_total"` // read again
	Stall         string        `json:"stall,omitempty"`   // code of why it does not go on
	Reason        string        `json:"reason,omitempty"`
	Stopped       bool          `json:"stopped,omitempty"`  // for good, until it is assigned anew
	Stuck         time.Duration `json:"stuck_ns,omitempty"` // it is behind and has made no progress for so long (delivery.watchdog)
	StuckCode     string        `json:"stuck,omitempty"`    // code of why
	StuckReason   string        `json:"stuck_reason,omitempty"`

	// RetentionSecondsLeft estimates how long Kafka keeps the oldest record that is not final; nil when there is none, or nothing is known.
	RetentionSecondsLeft *float64 `json:"retention_seconds_left,omitempty"`

	TopicID        string       `json:"topic_id,omitempty"`         // of this assignment
	RefusedOffset  *int64       `json:"refused_offset,omitempty"`   // committed for a topic of the same name that was deleted
	RefusedTopicID string       `json:"refused_topic_id,omitempty"` // id of that topic
	Books          resume.Books `json:"books"`                      // up to committed_offset
}

// RouteStatus is one (group, stream) pair in use.
type RouteStatus struct {
	Group  string `json:"group"`
	Stream string `json:"stream"`
}

// RereadStatus speaks of what is read again.
type RereadStatus struct {
	Pending int    `json:"pending_pieces"`
	Ranges  uint64 `json:"ranges_total"`
	Records uint64 `json:"records_total"`
	Bytes   uint64 `json:"bytes_total"`
}

// Status returns a snapshot. It may be called at any time.
func (b *Bridge) Status() Status {
	s := Status{Version: b.deps.Version, Instance: b.instance, State: "starting", Confirm: b.cfg.Delivery.Confirm}
	select {
	case <-b.ready:
	default:
		s.Ready.Reasons = []string{"starting"}
		return s
	}
	s.Started, s.State = b.started, "running"
	if b.draining.Load() {
		s.State = "draining"
	}
	s.Memory = MemoryStatus{
		BudgetBytes: b.limits.Budget, Source: b.limits.BudgetSource, FetchBytes: b.limits.FetchBytes,
		SenderBytes: b.limits.SenderBytes, RepairBytes: b.limits.RepairBytes, MaxUnfinal: b.cfg.Delivery.MaxUnfinal,
	}
	now := time.Now()
	times := newTimesStatus(b, &s)
	for _, p := range b.assigned() {
		_, parked, _ := p.waiting()
		s.Memory.ParkedBytes += parked
		s.Parts = append(s.Parts, p.status(now))
		times.add(&s, p, now)
		s.Memory.Unfinal += p.wm.Unfinal()
	}
	for _, r := range b.routes.all() {
		s.Routes = append(s.Routes, RouteStatus{r.target.Group, r.target.Stream})
	}
	sort.Slice(s.Routes, func(i, j int) bool {
		a, c := s.Routes[i], s.Routes[j]
		return a.Group < c.Group || a.Group == c.Group && a.Stream < c.Stream
	})
	times.addRoutes(&s)
	s.Group = GroupStatus{Group: b.cfg.Kafka.Group, InstanceID: b.cfg.Kafka.InstanceID, Topics: b.consumed(), LeftOut: b.leftOutTopics()}
	b.mu.RLock()
	s.Group.Missing, s.Group.Error, s.Memory.Hold = b.missing, b.groupErr, b.hold
	b.mu.RUnlock()
	s.Reread = RereadStatus{b.reread.pending(), b.reread.ranges.Load(), b.reread.records.Load(), b.reread.bytes.Load()}
	s.Sender = b.sender.Status()
	if b.reader != nil {
		nameQueueTopics(s.Sender.Streams, b.reader.Topics)
	}
	if b.reader != nil {
		q := b.reader.Status()
		s.Queue = &q
	}
	if b.source != nil {
		q := b.source.status()
		s.QueueSource = &q
	}
	s.Ready.Reasons = reasons(&s, b.stuckAfter())
	s.Ready.Ready = len(s.Ready.Reasons) == 0
	return s
}

func (p *partition) status(now time.Time) PartitionStatus {
	ledger := p.wm.Ledger()
	ps := PartitionStatus{
		Topic: p.id.topic, Partition: p.id.partition, Start: p.start, Position: p.expects(), Final: ledger.Watermark,
		Committed: p.wm.Committed(), Lag: p.lag(ledger.Watermark), Unfinal: p.wm.Unfinal(), OldestUnfinal: p.oldest(now), Lost: p.losses.Load(),
	}
	if p.topic.id != ([16]byte{}) {
		ps.TopicID = resume.TopicID(p.topic.id).String()
	}
	if r := p.from.refused; r != nil {
		ps.RefusedOffset, ps.RefusedTopicID = &r.offset, r.topic.String()
	}
	ps.Books = p.from.books
	if c := p.booked.Load(); c != nil {
		ps.Books = c.books
	}
	if ps.Committed < 0 && p.restated.Load() {
		ps.Committed = p.start
	}
	if at := p.committed.Load(); at > 0 {
		ps.LastCommit = time.Unix(0, at)
	}
	if st := p.stalled.Load(); st != nil {
		ps.Stuck, ps.StuckCode, ps.StuckReason = now.Sub(st.since), st.reason, st.detail
	}
	h, f := p.halted.Load(), p.faulted.Load()
	_, _, blocked := p.waiting()
	switch {
	case h != nil:
		ps.Stall, ps.Reason, ps.Stopped = h.code, h.reason, true
	case f != nil:
		ps.Stall, ps.Reason = stallFault, f.err.Error()
	case blocked == stallStream:
		ps.Stall, ps.Reason = blocked, "its stream holds as many waiting bytes as are free; see the stream's own stall"
	case blocked != "":
		ps.Stall, ps.Reason = blocked, reasonBudget
	}
	return ps
}

// lag is how far the log's end is from the watermark. It is never negative, and never counts what
// retention removed.
func (p *partition) lag(watermark int64) int64 {
	high := p.high.Load()
	if high < 0 {
		return -1
	}
	return max(0, high-max(watermark, p.logStart.Load()))
}

// stuckAfter is how long records may wait to become final before /readyz says so: longer than each mode
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

// reasons names everything that is stuck. Idle is not stuck: what counts is lag, not traffic.
func reasons(s *Status, stuckAfter time.Duration) []string {
	var out []string
	add := func(r string) { out = append(out, r) }
	if s.State == "draining" {
		add("draining")
	}
	if s.Group.Error != "" {
		add("consumer group: " + s.Group.Error)
	}
	for i := range s.Parts {
		if p := &s.Parts[i]; p.Stopped || p.Stall == stallFault {
			add("partition " + tp{p.Topic, p.Partition}.String() + ": " + p.Reason)
		}
	}
	for i := range s.Parts {
		p := &s.Parts[i]
		switch {
		case p.Stopped, p.Stall == stallFault:
		case p.Stuck > 0 && p.StuckCode != stuckTransaction: // that one passes without anybody here
			add(stuckText(p))
		case p.OldestUnfinal > stuckAfter:
			add(fmt.Sprintf("partition %s: its oldest records wait for %v to become final", tp{p.Topic, p.Partition}, p.OldestUnfinal.Round(time.Second)))
		}
	}
	connected := len(s.Sender.Endpoints) == 0 && len(s.Routes) == 0 // nobody was asked for yet
	for _, e := range s.Sender.Endpoints {
		connected = connected || e.Connections > 0
	}
	if !connected {
		add(noProxy(s))
	}
	for _, st := range s.Sender.Streams {
		if st.Stall != "" && connected {
			add("stream " + st.Group + "." + st.Stream + ": " + st.Stall)
		}
	}
	if s.Queue != nil && !s.Queue.Answers && len(s.Routes) > 0 {
		for _, c := range s.Queue.Clusters {
			if !c.Answers {
				add("queue cluster " + c.Name + " does not answer, so what is in it does not become final, and nothing that proxies lost is sent again: " + cmp.Or(c.LastError, "it was not asked yet"))
			}
		}
	}
	if s.QueueSource != nil && s.QueueSource.Restart != "" {
		add("restart to apply: " + s.QueueSource.Restart)
	}
	if s.QueueSource != nil {
		for _, u := range s.QueueSource.Unreadable {
			if !seenInQueue(s, u.Group, u.Stream) { // else the proxies take no notice of the wrap type
				add(u.String())
			}
		}
	}
	return out
}

// noProxy says why no proxy is connected.
func noProxy(s *Status) string {
	why := "no proxy is reachable"
	if s.Sender.Discovery.LastError != "" {
		why += ": " + s.Sender.Discovery.LastError
	} else if len(s.Sender.Endpoints) > 0 && s.Sender.Endpoints[0].LastError != "" {
		why += ": " + s.Sender.Endpoints[0].LastError
	}
	return why
}
