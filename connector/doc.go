// Package connector moves Kafka topics into InLong and commits an offset only when the record behind
// it is safe on the other side.
//
// # What it promises
//
// At least once: no committed offset is ahead of a record that is not final, in any crash, rebalance or
// retry. What final means is the mode of confirmation (delivery.confirm): acked, settled, or seen in the
// queue behind the proxies. A record may arrive twice; how often is bounded by what was not final when
// something broke. A partition that cannot go on (a record no proxy will ever take, offsets that Kafka
// no longer has, a topic that was created again) stops where it is, with the reason, and nothing of it
// is skipped; the others go on.
//
// # A record's way
//
// poll (internal/consume/poll.go) -> chunks of a pack's bytes, grouped by route and minute -> one span each, offered to the
// sender (internal/assign) -> one piece per pack -> final, or lost and read again (internal/replay) -> the checkpoint moves
// -> commit (internal/commit). What the sender has no room for is pending in its assignment, which is
// paused when only its stream is full, while a full budget or too many pieces stop the polling itself
// (internal/consume/pending.go); the membership of the group lives on either way, since kgo heartbeats by itself.
//
// # Goroutines
//
//	goroutine       count  ends when
//	Run, poll loop  1      ctx ends; never waits for anything but the poll and room, 100 ms at most; before
//	                       it, the start waits for Kafka (starting.go)
//	closing         0, 1   one part of the bridge has ended; cut off after 2 s (internal/consume/leave.go)
//	pending         1      the bridge closes; offers pending chunks again when the sender has room
//	commit          1      the bridge closes; one commit in flight, see commit.Committer
//	reread          1      the bridge closes; owns the second Kafka client
//	watchdog        1      the drain begins; partitions that are behind and make no progress
//	watch           1      the bridge closes; topics that come, go or change, partitions at fault, offset gaps
//	queue source    0, 1   the bridge closes; with queue.manager, asks the Manager for clusters and topics
//	confirm reader  1      the bridge closes; confirm.Reader.Run
//	admin           1      the bridge closes; http.Server
//	kgo callbacks   -      kgo's; internal/consume/group.go runs there and needs nothing from the poll loop
//	sender dispatch -      the sender's; assign.Assignment.Settled runs there and takes no lock of ours for long
//
// # Locks, outermost first
//
//	commit.Committer.slot    one commit at a time; a revoke waits for it, at most commit_timeout
//	assign.Assignment.mu    what is pending; held while chunks are offered, never across I/O
//	consume.Table.mu        the table of partitions and topics; held for look-ups only
//	replay.Planner.mu       the list of lost pieces
//	checkpoint.Partition     its own lock, innermost: the revoked flag and the mark together
package connector
