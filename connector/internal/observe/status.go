// Package observe tells what the bridge does and why it does not: status, readiness, stalls, log lines about causes, and metrics. It
// reads snapshots of the bridge only, and tells it what it found.
package observe

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/confirm/managed"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/reason"
	"inlong-bridge/connector/resume"
	"inlong-bridge/sdk"
)

// Status is a snapshot of a running bridge, as /status shows it.
type Status struct {
	Version  string    `json:"version,omitempty"`
	Instance string    `json:"instance"`
	Started  time.Time `json:"started"`
	State    string    `json:"state"`   // starting, running, draining
	Starting string    `json:"-"`       // why it has not joined its group yet, "" once it has
	Confirm  string    `json:"confirm"` // the mode of confirmation in force
	Order    string    `json:"order"`   // delivery.order
	Lineage  bool      `json:"lineage"` // packs say where their records come from
	Ready    Readiness `json:"ready"`

	// Conditions are all reasons why something does not go on, those that partitions share first.
	Conditions []Condition `json:"conditions"`

	Memory MemoryStatus      `json:"memory"`
	Group  GroupStatus       `json:"group"`
	Parts  []PartitionStatus `json:"partitions"`
	Routes []RouteStatus     `json:"routes"`
	Reread RereadStatus      `json:"reread"`
	Sender sdk.Status        `json:"sender"`
	Queue  *confirm.Status   `json:"queue,omitempty"` // mode queue only

	QueueSource *QueueSourceStatus `json:"queue_source,omitempty"` // queue.manager only

	LagSeconds   float64          `json:"lag_seconds"`         // largest of the partitions; -1 when unknown
	RouteLag     []RouteLag       `json:"route_lag,omitempty"` // of routes that partitions wait for
	Retention    *RetentionStatus `json:"retention,omitempty"` // of the partition with the least time left
	Certificates []Certificate    `json:"certificates,omitempty"`
	Migrating    bool             `json:"migrating,omitempty"` // it was started as migrate

	// LeftOut says how many of each list are not shown, because the request asked for less.
	LeftOut *LeftOut `json:"left_out,omitempty"`

	Loops    []Loop     `json:"-"`
	Counters Counters   `json:"-"`
	Delay    *Histogram `json:"-"` // of packs from the ack until they were seen; mode queue only
	HeldAt   time.Time  `json:"-"` // when fetching was held for want of room last
	// RateReached is what there is to say when the rate to the proxies holds records back.
	RateReached string `json:"-"`
}

// LeftOut counts what a cut snapshot does not show.
type LeftOut struct {
	Partitions int `json:"partitions"`
	Conditions int `json:"conditions"`
	Routes     int `json:"routes"`
	Streams    int `json:"streams"`
	Endpoints  int `json:"endpoints"`
	Topics     int `json:"topics"`
}

// Cut shortens each list to n entries, partitions and streams with a reason first, and says how many it left out; -1 leaves all.
func (s *Status) Cut(n int) {
	if n < 0 {
		return
	}
	slices.SortStableFunc(s.Parts, func(a, b PartitionStatus) int {
		return -cmp.Compare(min(1, len(a.Conditions)), min(1, len(b.Conditions)))
	})
	slices.SortStableFunc(s.Sender.Streams, func(a, b sdk.StreamStatus) int { return -cmp.Compare(min(1, len(a.Stall)), min(1, len(b.Stall))) })
	s.LeftOut = &LeftOut{
		Partitions: cutTo(&s.Parts, n), Conditions: cutTo(&s.Conditions, n), Routes: cutTo(&s.Routes, n),
		Streams: cutTo(&s.Sender.Streams, n), Endpoints: cutTo(&s.Sender.Endpoints, n), Topics: cutTo(&s.Group.Topics, n),
	}
}

func cutTo[T any](list *[]T, n int) (leftOut int) {
	leftOut = max(0, len(*list)-n)
	*list = (*list)[:len(*list)-leftOut]
	return leftOut
}

// Counters run since the start.
type Counters struct {
	Records, Bytes, Skipped, ForeignPacks, Replaced map[string]uint64 // by topic
	CommitErrors                                    map[string]uint64 // by class
	Stops, GoneOn                                   map[string]uint64 // by code
	SkippedByPolicy, DeadLetters                    []SetAside
	Commits, Assigned, Revoked                      uint64
	OffsetsLost, OffsetsRefused, PassedOver         uint64
}

// SetAside is how many records of a topic on_error kept from the proxies for one reason.
type SetAside struct {
	Topic, Reason string
	N             uint64
}

// Histogram counts observations up to each bound, in seconds.
type Histogram struct {
	Count uint64
	Sum   float64
	UpTo  map[float64]uint64
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
	Missing    []string `json:"missing_topics,omitempty"`     // named by routes and not there
	Unmatched  []string `json:"unmatched_patterns,omitempty"` // expressions of routes that match no topic
	Error      string   `json:"error,omitempty"`

	LeftOut []LeftOutTopic `json:"left_out_topics,omitempty"` // that rules match and that are not consumed
}

// PartitionStatus speaks of one assigned partition.
type PartitionStatus struct {
	Topic         string        `json:"topic"`
	Partition     int32         `json:"partition"`
	Start         int64         `json:"start_offset"`     // of this assignment
	Position      int64         `json:"position_offset"`  // fetched up to
	Final         int64         `json:"final_offset"`     // the checkpoint
	Committed     int64         `json:"committed_offset"` // -1 when this assignment committed nothing yet
	Lag           int64         `json:"lag"`              // end of the log - checkpoint; -1 when unknown
	LagSeconds    float64       `json:"lag_seconds"`      // age of the oldest record that is not final, 0 when there is none; -1 when unknown
	Unfinal       int           `json:"unfinal_pieces"`
	OldestUnfinal time.Duration `json:"oldest_unfinal_ns"`
	LastCommit    time.Time     `json:"last_commit,omitzero"`
	Lost          int64         `json:"pieces_lost_total"` // read again
	Stall         string        `json:"stall,omitempty"`   // code of why it does not go on
	Reason        string        `json:"reason,omitempty"`
	Stopped       bool          `json:"stopped,omitempty"`  // permanently, until it is assigned anew
	Stuck         time.Duration `json:"stuck_ns,omitempty"` // it is behind and has made no progress for so long (delivery.watchdog)
	StuckCode     string        `json:"stuck,omitempty"`    // code of why
	StuckReason   string        `json:"stuck_reason,omitempty"`

	// Retention estimates how long Kafka keeps the oldest record that is not final; nil when there is none, or nothing is known.
	Retention *RetentionStatus `json:"retention,omitempty"`

	TopicID        string       `json:"topic_id,omitempty"`         // of this assignment
	RefusedOffset  *int64       `json:"refused_offset,omitempty"`   // committed for a topic of the same name that was deleted
	RefusedTopicID string       `json:"refused_topic_id,omitempty"` // id of that topic
	Books          resume.Books `json:"books"`                      // up to committed_offset

	// Conditions are the keys of the reasons for which it does not go on, oldest first; see those of the bridge.
	// The fields stall, reason, stopped, stuck_ns, stuck and stuck_reason say the same, and go with 0.1.0.
	Conditions []reason.Key `json:"conditions,omitempty"`

	Assignment      uint64          `json:"-"` // never the same twice
	Condition       *gate.Condition `json:"-"`
	Behind          int64           `json:"-"` // the lag that a stall is found by: none of what is not wanted, 0 for one that is stopped
	OpenTransaction bool            `json:"-"` // what comes next belongs to an open transaction
	Repair          bool            `json:"-"` // it has lost pieces that are not read again yet
	Oldest          *RouteStatus    `json:"-"` // where its oldest piece that is not final goes, nil for none
}

func (p *PartitionStatus) name() string { return p.Topic + "/" + strconv.Itoa(int(p.Partition)) }

// RouteStatus is one (group, stream) pair in use.
type RouteStatus struct {
	Group  string `json:"group"`
	Stream string `json:"stream"`
}

// RouteLag is the age of the oldest record that partitions wait for and that goes to a route.
type RouteLag struct {
	RouteStatus
	LagSeconds float64 `json:"lag_seconds"`
}

// RetentionStatus says how long Kafka keeps the first record of a partition that is not final.
type RetentionStatus struct {
	Partition   string  `json:"partition"`
	SecondsLeft float64 `json:"seconds_left"`
	Reason      string  `json:"reason"`
}

// Certificate is a file with certificates that the configuration names.
type Certificate struct {
	Role    string    `json:"role"` // kafka_ca, kafka_client, manager_ca, manager_client, queue_ca, queue_client
	File    string    `json:"file"`
	Expires time.Time `json:"expires,omitzero"` // zero for a file that cannot be read or holds none
}

// RereadStatus speaks of what is read again.
type RereadStatus struct {
	Pending int    `json:"pending_pieces"`
	Ranges  uint64 `json:"ranges_total"`
	Records uint64 `json:"records_total"`
	Bytes   uint64 `json:"bytes_total"`
}

// LeftOutTopic is a topic that a rule matches and that is not consumed.
type LeftOutTopic struct {
	Topic  string `json:"topic"`
	Reason string `json:"reason"`
}

// QueueSourceStatus says how asking the Manager about the queue goes.
type QueueSourceStatus = managed.Status

// UnreadableStream is a stream whose packs cannot be recognised in the queue.
type UnreadableStream = managed.UnreadableStream
