package connector

import (
	"fmt"
	"strings"

	"inlong-bridge/connector/resume"
	"inlong-bridge/connector/verify"
)

// Result is the verdict of a migration in one word. Where several hold, the worst one is given.
type Result string

// The results of a migration, best first.
const (
	Pass       Result = "PASS"       // every record from start to end is accounted for, and none is lost
	Unproven   Result = "UNPROVEN"   // nothing is known to be missing, and not everything was proven
	Unfinished Result = "UNFINISHED" // a partition is open or stopped
	Fail       Result = "FAIL"       // records are lost or missing
)

// rank orders results from best to worst.
var rank = map[Result]int{Pass: 0, Unproven: 1, Unfinished: 2, Fail: 3}

// PartitionReport closes the books of one partition of a migration. The books are the group's, from the commit:
// Start + Final + Skipped + Gap + Lost + DeadLettered + SkippedByHand = Committed, whoever moved what.
type PartitionReport struct {
	Topic     string `json:"topic"`
	TopicID   string `json:"topic_id,omitempty"`
	Partition int32  `json:"partition"`
	Start     int64  `json:"start"` // where the books begin
	End       int64  `json:"end"`
	Committed int64  `json:"committed"` // -1 when the group has no offset

	Final         int64 `json:"final"`
	Skipped       int64 `json:"skipped"`
	Gap           int64 `json:"gap"`
	Lost          int64 `json:"lost"`
	DeadLettered  int64 `json:"dead_lettered"`
	SkippedByHand int64 `json:"skipped_by_hand"`

	// Offsets before Start that are in no book, and that Kafka had when the books began.
	PassedOver int64 `json:"passed_over"` // by kafka.start: latest or file
	NotProven  int64 `json:"not_proven"`  // committed before the books began

	Closed bool   `json:"closed"` // everything from Start to End is final, skipped by a policy, or proven absent
	Result Result `json:"result"`
	Reason string `json:"reason,omitempty"`

	Queue *verify.Verdict `json:"queue,omitempty"` // what lies in the queue of it; only of ledger --verify
}

// Sums adds up the partitions of a verdict.
type Sums struct {
	Partitions    int   `json:"partitions"`
	Closed        int   `json:"closed"`
	Final         int64 `json:"final"`
	Skipped       int64 `json:"skipped"`
	Gap           int64 `json:"gap"`
	Lost          int64 `json:"lost"`
	DeadLettered  int64 `json:"dead_lettered"`
	SkippedByHand int64 `json:"skipped_by_hand"`
	PassedOver    int64 `json:"passed_over"`
	NotProven     int64 `json:"not_proven"`
}

// Report is the end of a migration.
type Report struct {
	Result     Result            `json:"result"`
	Mode       string            `json:"mode"`   // delivery.confirm
	Proves     string            `json:"proves"` // what final means in that mode
	Closed     bool              `json:"closed"`
	Sums       Sums              `json:"sums"`
	Queue      *QueueSums        `json:"queue,omitempty"` // what was read of the queue; only of ledger --verify
	Partitions []PartitionReport `json:"partitions"`
}

// toSource is the mode of a requeue into source topics.
const toSource = "source"

// proofs says what a final record proves, by mode of confirmation.
var proofs = map[string]string{
	"queue":  "every pack was seen in the queue behind the proxies",
	"settle": "acks and healthy connections; the queue was not looked at",
	"ack":    "acks only, which are promises from a proxy's memory; the queue was not looked at",
	toSource: "every original was acknowledged by all replicas of its topic; where its consumers took it is not known",
}

// String is the verdict's last line.
func (v *Report) String() string {
	s := &v.Sums
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s: %s): %d of %d partitions closed; %d final, %d skipped, %d gap, %d lost, %d dead-lettered, %d skipped by hand",
		v.Result, v.Mode, v.Proves, s.Closed, s.Partitions, s.Final, s.Skipped, s.Gap, s.Lost, s.DeadLettered, s.SkippedByHand)
	if s.PassedOver > 0 {
		fmt.Fprintf(&b, "; %d passed over by kafka.start", s.PassedOver)
	}
	if s.NotProven > 0 {
		fmt.Fprintf(&b, "; %d not proven: committed before the books begin", s.NotProven)
	}
	return b.String()
}

// openText says of a partition that nothing keeps from going on how far it is.
func openText(at, end int64) string {
	return fmt.Sprintf("stopped at offset %d of %d; starting again goes on from there", at, end)
}

// newReport judges a migration by its partitions.
func newReport(mode string, parts []PartitionReport) Report {
	v := Report{Result: Pass, Mode: mode, Proves: proofs[mode], Partitions: parts}
	if len(parts) == 0 {
		v.Result = Unfinished
	}
	s := &v.Sums
	for i := range parts {
		p := &parts[i]
		p.judge(mode)
		if rank[p.Result] > rank[v.Result] {
			v.Result = p.Result
		}
		s.Partitions++
		s.Closed += btoi(p.Closed)
		s.Final += p.Final
		s.Skipped += p.Skipped
		s.Gap += p.Gap
		s.Lost += p.Lost
		s.DeadLettered += p.DeadLettered
		s.SkippedByHand += p.SkippedByHand
		s.PassedOver += p.PassedOver
		s.NotProven += p.NotProven
	}
	v.Closed = len(parts) > 0 && s.Closed == s.Partitions
	return v
}

// enter copies the books of a commit.
func (p *PartitionReport) enter(b resume.Books) {
	p.Start, p.Final, p.Skipped, p.Gap, p.Lost = b.From, b.Final, b.Skipped, b.Gap, b.Lost
	p.DeadLettered, p.SkippedByHand, p.PassedOver, p.NotProven = b.Dead, b.Hand, b.Passed, b.Unproven
}

// judge sets the result, and a reason where there is none yet. Closed says so far that everything up to the end is
// committed.
func (p *PartitionReport) judge(mode string) {
	say := func(r Result, reason string) {
		p.Result = r
		if p.Reason == "" {
			p.Reason = reason
		}
	}
	switch {
	case p.Lost > 0:
		p.Closed = false
		p.Reason = "" // worse than whatever else holds
		say(Fail, fmt.Sprintf("%d offsets were gone from Kafka before they were delivered (delivery.on_gap: continue); starting again does not bring them back", p.Lost))
	case p.Queue != nil && p.Queue.Outcome == verify.Missing:
		p.Closed = false
		p.Reason = ""
		say(Fail, missingText(p.Queue))
	case !p.Closed:
		say(Unfinished, "not everything was moved")
	case p.NotProven > 0:
		p.Closed = false
		say(Unproven, fmt.Sprintf("the books begin at offset %d; %d offsets before it were committed without books, by an earlier version, another tool or for another cluster", p.Start, p.NotProven))
	case p.PassedOver > 0:
		p.Closed = false
		say(Unproven, fmt.Sprintf("kafka.start passed over %d offsets before %d, which were not moved", p.PassedOver, p.Start))
	case p.Queue != nil && p.Queue.Outcome == verify.Doubtful:
		p.Closed = false
		say(Unproven, missingText(p.Queue))
	case mode == "ack" && p.Queue == nil:
		say(Unproven, "in mode ack nothing proves that what a proxy acknowledged arrived")
	default:
		p.Result = Pass
	}
}

func btoi(v bool) int {
	if v {
		return 1
	}
	return 0
}
