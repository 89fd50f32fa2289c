package observe

import (
	"github.com/prometheus/client_golang/prometheus"

	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk/sdkprom/series"
)

// Collector reads a snapshot when it is scraped; nothing on the way of a record touches a metric. A
// partition's series end with its assignment, since only what is assigned is listed.
type Collector struct {
	o    *Observer
	most int
}

// NewCollector returns the collector of the bridge's metrics. The series of a topic that has more than most partitions in this
// process are added up.
func NewCollector(o *Observer, most int) Collector { return Collector{o, most} }

const prefix = "inlong_bridge_"

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prefix+name, help, labels, nil)
}

var (
	descInfo      = desc("info", "Always 1. The labels say which version runs, which mode of confirmation is in force, and for which consumer group. Alerts and the dashboard take the group from here.", "version", "confirm", "group")
	descMigration = desc("migration", "1 in a process that runs migrate, which ends by itself. Missing in others.")
	descUp        = desc("ready", "1 when /readyz says ready. At 0 ask /readyz for the reasons.")
	descHold      = desc("fetch_held", "1 while nothing new is fetched because the budget or max_unfinal is full. When it stays at 1, the proxies or their queue are slower than the source.")

	descBudget  = desc("budget_bytes", "Byte budget of the process, fetch to ack.")
	descParked  = desc("parked_bytes", "Bytes fetched that the sender had no room for. When it stays above 0, look at the stall reasons of streams.")
	descUnfinal = desc("unfinal_pieces", "Pieces that are not final, all partitions. When it grows to delivery.max_unfinal fetching stops: look at the proxies and at the queue.")

	descPosition  = desc("partition_position_offset", "Offset up to which the partition was fetched. By topic: the sum.", "topic", "partition")
	descFinal     = desc("partition_final_offset", "Offset up to which everything is final. When it stands still while the position moves, look at partition_stalled and /status. By topic: the sum.", "topic", "partition")
	descCommitted = desc("partition_committed_offset", "Offset this assignment committed last. When it stands still while the final offset moves, look at commit_errors_total. By topic: the sum, in which a partition without a commit counts with the offset it began at.", "topic", "partition")
	descLag       = desc("partition_lag_records", "End of the log minus final offset. When it grows, the bridge does not keep up or the partition is stalled. By topic: the sum.", "topic", "partition")
	descLagTime   = desc("partition_lag_seconds", "Age of the oldest record that is not final, by its timestamp; 0 when there is none. For a record that was not fetched it counts from when the bridge knew of it, until its age was asked for. When it grows, the bridge does not keep up or the partition is stalled. By topic: the largest.", "topic", "partition")
	descRetention = desc("partition_retention_seconds_left", "Estimate of how long Kafka keeps the oldest record that is not final, by retention.ms and by the speed of the log's start, whichever is less. Missing when there is no such record or nothing is known. Near 0: records are lost soon; lengthen the retention, then look for why the partition is behind. By topic: the least.", "topic", "partition")
	descPieces    = desc("partition_unfinal_pieces", "Pieces of the partition that are not final. By topic: the sum.", "topic", "partition")
	descAge       = desc("partition_oldest_unfinal_seconds", "Age of the oldest records that are not final. Alert when it is far above the delay of the mode of confirmation. By topic: the largest.", "topic", "partition")
	descCommitAt  = desc("partition_last_commit_timestamp_seconds", "When the partition's offset was committed last. Missing before the first commit. By topic: the newest.", "topic", "partition")
	descStalled   = desc("partition_stalled", "1 for the reason the partition does not go on, by code. unrouted, too_large, refused, dead_letter_topic, dead_letter_limit, gap, truncated, recreated, deleted, no_start and loop need you; the rest passes when its cause does. By topic: the number of partitions.", "topic", "partition", "code")
	descStuck     = desc("partition_stuck", "1 while the partition is behind and has made no progress for delivery.watchdog, by reason: budget, window, route, endpoint, queue, broker, rebalance or transaction. /status has the sentence. By topic: the number of partitions.", "topic", "partition", "reason")

	descGroupLag     = desc("group_lag_records", "Sum of partition_lag_records over the partitions of this process.")
	descGroupLagTime = desc("group_lag_seconds", "Largest partition_lag_seconds of the partitions of this process. When it grows, the bridge does not keep up, or a partition is stalled.")
	descRouteLag     = desc("route_lag_seconds", "Age of the oldest record that a partition waits for and that goes to this group and stream; 0 when no partition waits for them. The one that is far above the others holds partitions up. Streams beyond the limit on series are one, other.", "group", "stream")
	descCert         = desc("certificate_expiry_timestamp_seconds", "When the certificates of a file expire: the first of a client's chain, the last of the authorities. 0 for a file that cannot be read or holds none. role is kafka, manager or queue with _ca or _client. Replace the file in time.", "role", "file")

	descSkipped    = desc("skipped_records_total", "Records that no rule wants, and that unmatched: skip lets pass. When it grows unexpectedly, ask explain which rule should match.", "topic")
	descByPolicy   = desc("skipped_by_policy_total", "Records that a rule's on_error or tombstone skips, by why they could not be delivered. They are gone for good once the offset moves; the log names some.", "topic", "reason")
	descLetters    = desc("dead_letters_total", "Records that were written to the dead-letter topic, by why they could not be delivered. Look into the letters; docs/dead-letters.md says how.", "topic", "reason")
	descPacks      = desc("foreign_packs_total", "Records of the topic that are packs of another bridge or sender (InLongMsg with a mid). They are moved as they are. When they are not meant to be there, look at what writes the topic.", "topic")
	descGoneOn     = desc("partition_goes_on_total", "Partitions that went on by themselves after a stop, by its code.", "code")
	descReasons    = desc("reasons", "Objects (partitions, streams, proxies, queue clusters; 1 for the group and the process) that have the reason now, by its code. docs/operations.md says what each asks for.", "code", "scope")
	descHeldParts  = desc("reason_partitions", "Partitions that the reason holds back, their own or one that they share.", "code")
	descReplaced   = desc("event_time_replaced_total", "Records whose timestamp is impossible (outside 1970 to 2038, or microseconds and the like), sent with the time of their arrival. The log names a record of each topic: mend its producer.", "topic")
	descRecords    = desc("fetched_records_total", "Records fetched from the topic, without those read again.", "topic")
	descBytes      = desc("fetched_bytes_total", "Bytes of their values.", "topic")
	descBooks      = desc("books_offsets", "Offsets that the books of this process's partitions account for, up to the committed offset and since the group began, by class: final, skipped, gap, lost, dead_lettered or skipped_by_hand; passed_over and not_proven lie before the books. The books go with a partition from process to process: add the processes of a group up. A lost above 0 is data loss.", "topic", "class")
	descCommits    = desc("commits_total", "Commit requests, failed ones included.")
	descCommitErr  = desc("commit_errors_total", "Failed commits by class; they are tried again. rebalance and coordinator pass; fenced means that two bridges share an instance_id; authorization that rights are missing; identity that the topic's id could not be confirmed, without which nothing is committed.", "class")
	descAssigned   = desc("partitions_assigned_total", "Partitions that were assigned. When it keeps growing, the group does not come to rest: look for members that come and go.")
	descRevoked    = desc("partitions_revoked_total", "Partitions that were taken away.")
	descStops      = desc("partition_stops_total", "Partitions that stopped, by code; see partition_stalled.", "code")
	descRefused    = desc("offsets_refused_total", "Committed offsets that were refused because they are of a topic that was deleted and created again; the new topic begins at its start. The log names both ids.")
	descPassed     = desc("offsets_passed_over_total", "Offsets that Kafka had and that were not asked for, because kafka.start (latest or file) begins behind them and the group had no commit. When it grows with latest on a group that is not new, its commits expired: see offsets.retention.minutes of the brokers.")
	descOffsetLost = desc("offsets_lost_total", "Offsets that Kafka removed before they were delivered, accepted by on_gap: continue. Anything above 0 is data loss: lengthen the retention.")

	descRereadPending = desc("reread_pending_pieces", "Lost pieces that are not read again yet. When it does not go back to 0, look at the log for why the source cannot be read.")
	descRereadRanges  = desc("reread_ranges_total", "Ranges of offsets that were read again because a proxy lost what it had acked.")
	descRereadRecords = desc("reread_records_total", "Records that were sent again after a proxy lost them.")
	descRereadBytes   = desc("reread_bytes_total", "Bytes of their values.")

	descQueueUp      = desc("queue_cluster_answers", "1 when the queue cluster behind the proxies answers. At 0 what is in it does not become final, and nothing that proxies lost is sent again: look at that cluster.", "cluster")
	descQueueLag     = desc("queue_reader_lag_messages", "Messages of the queue that were not looked at yet. When it grows, the reader cannot keep up and commits fall behind.", "cluster")
	descQueueSeen    = desc("queue_messages_total", "Messages of the queue that were looked at, by whose they are: mine, foreign, unreadable.", "cluster", "whose")
	descQueueMissed  = desc("queue_missed_messages_total", "Messages that retention took before they were looked at; what they held counts as unseen and may be sent twice. Lengthen the queue's retention.", "cluster")
	descQueuePassed  = desc("queue_batches_passed_total", "Batches of the queue that cannot be read (damaged, or too large unfolded) and were passed over; what they held counts as unseen and may be sent twice. Look for what damages them: after ten in a row the cluster counts as one that cannot be read.", "cluster")
	descQueueOther   = desc("queue_restart_needed", "1 when the Manager names a queue of another kind than the one that is read (queue.manager). Restart the bridge; until then what the proxies put there counts as unseen and is sent again.")
	descQueueDelay   = desc("queue_delay_seconds", "Time of packs from the proxy's ack until they were seen in the queue behind it. When it grows, the proxies or their queue fall behind, and commits with them; a patience or a settle near it is too short.")
	descQueueBarrier = desc("queue_last_barrier_seconds", "How long the last barrier over the queue took.", "cluster")
)

func allDescs() []*prometheus.Desc {
	return []*prometheus.Desc{
		descInfo, descMigration, descUp, descReasons, descHeldParts, descHold, descBudget, descParked, descUnfinal, descPosition, descFinal, descCommitted, descLag, descLagTime, descRetention, descPieces,
		descGroupLag, descGroupLagTime, descRouteLag, descCert,
		descAge, descCommitAt, descStalled, descStuck, descRecords, descSkipped, descByPolicy, descLetters, descPacks, descReplaced, descBytes, descBooks, descCommits, descCommitErr, descAssigned, descRevoked, descStops, descGoneOn,
		descOffsetLost, descRefused, descPassed, descRereadPending, descRereadRanges, descRereadRecords, descRereadBytes,
		descQueueUp, descQueueLag, descQueueSeen, descQueueMissed, descQueuePassed, descQueueOther, descQueueDelay, descQueueBarrier,
	}
}

func (c Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range allDescs() {
		ch <- d
	}
}

func (c Collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	s := c.o.Status()
	n := &s.Counters
	each := func(of map[string]uint64, d *prometheus.Desc) {
		for label, v := range of {
			count(d, v, label)
		}
	}
	gauge(descInfo, 1, s.Version, s.Confirm, s.Group.Group)
	if s.Migrating {
		gauge(descMigration, 1)
	}
	gauge(descUp, bit(s.Ready.Ready))
	collectReasons(&s, gauge)
	for _, c := range s.Certificates {
		expires := 0.0
		if !c.Expires.IsZero() {
			expires = float64(c.Expires.Unix())
		}
		gauge(descCert, expires, c.Role, c.File)
	}
	if s.State == "starting" {
		return
	}
	gauge(descHold, bit(s.Memory.Hold != ""))
	gauge(descBudget, float64(s.Memory.BudgetBytes))
	gauge(descParked, float64(s.Memory.ParkedBytes))
	gauge(descUnfinal, float64(s.Memory.Unfinal))
	var lag int64
	for _, row := range allSeries(s.Parts, c.most) {
		labels := series.Labels(descPosition, row.topic, row.partition)
		level := func(d *prometheus.Desc, v float64) { ch <- series.New(d, prometheus.GaugeValue, v, labels) }
		level(descPosition, float64(row.position))
		level(descFinal, float64(row.final))
		if row.committed >= 0 {
			level(descCommitted, float64(row.committed))
		}
		if row.lag >= 0 {
			level(descLag, float64(row.lag))
			lag += row.lag
		}
		if row.lagSeconds >= 0 {
			level(descLagTime, row.lagSeconds)
		}
		if row.retention != nil {
			level(descRetention, *row.retention)
		}
		level(descPieces, float64(row.unfinal))
		level(descAge, row.oldest)
		if row.lastCommit > 0 {
			level(descCommitAt, row.lastCommit)
		}
		for code, n := range row.stalled {
			gauge(descStalled, float64(n), row.topic, row.partition, code)
		}
		for code, n := range row.stuck {
			gauge(descStuck, float64(n), row.topic, row.partition, code)
		}
	}
	gauge(descGroupLag, float64(lag))
	gauge(descGroupLagTime, max(0, s.LagSeconds))
	routeLags(&s, func(group, stream string, seconds float64) { gauge(descRouteLag, seconds, group, stream) })
	each(n.Records, descRecords)
	each(n.Skipped, descSkipped)
	for _, a := range n.SkippedByPolicy {
		count(descByPolicy, a.N, a.Topic, a.Reason)
	}
	for _, a := range n.DeadLetters {
		count(descLetters, a.N, a.Topic, a.Reason)
	}
	each(n.ForeignPacks, descPacks)
	each(n.Replaced, descReplaced)
	each(n.Bytes, descBytes)
	books(s.Parts, func(topic, class string, n int64) { gauge(descBooks, float64(n), topic, class) })
	count(descCommits, n.Commits)
	each(n.CommitErrors, descCommitErr)
	count(descAssigned, n.Assigned)
	count(descRevoked, n.Revoked)
	each(n.Stops, descStops)
	each(n.GoneOn, descGoneOn)
	count(descOffsetLost, n.OffsetsLost)
	count(descRefused, n.OffsetsRefused)
	count(descPassed, n.PassedOver)
	gauge(descRereadPending, float64(s.Reread.Pending))
	count(descRereadRanges, s.Reread.Ranges)
	count(descRereadRecords, s.Reread.Records)
	count(descRereadBytes, s.Reread.Bytes)
	if s.Queue == nil {
		return
	}
	if s.QueueSource != nil {
		gauge(descQueueOther, bit(s.QueueSource.Restart != ""))
	}
	if d := s.Delay; d != nil {
		ch <- prometheus.MustNewConstHistogram(descQueueDelay, d.Count, d.Sum, d.UpTo)
	}
	for i := range s.Queue.Clusters {
		q := &s.Queue.Clusters[i]
		gauge(descQueueUp, bit(q.Answers), q.Name)
		if q.Lag >= 0 {
			gauge(descQueueLag, float64(q.Lag), q.Name)
		}
		count(descQueueSeen, q.Mine, q.Name, "mine")
		count(descQueueSeen, q.Foreign, q.Name, "foreign")
		count(descQueueSeen, q.Unreadable, q.Name, "unreadable")
		count(descQueueMissed, q.Missed, q.Name)
		count(descQueuePassed, q.Passed, q.Name)
		gauge(descQueueBarrier, q.LastBarrier.Seconds(), q.Name)
	}
}

// collectReasons has a series for every code, so that one that begins is an increase.
func collectReasons(s *Status, gauge func(d *prometheus.Desc, v float64, labels ...string)) {
	for _, k := range reason.Kinds() {
		held := 0
		objects := make(map[reason.Scope]int, len(k.Scopes))
		for i := range s.Conditions {
			if c := &s.Conditions[i]; c.Code == k.Code {
				objects[c.Scope]++
				held += c.Partitions
			}
		}
		for _, scope := range k.Scopes {
			gauge(descReasons, float64(objects[scope]), string(k.Code), string(scope))
		}
		gauge(descHeldParts, float64(held), string(k.Code))
	}
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
