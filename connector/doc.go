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
// # Goroutines and locks
//
// DESIGN.md lists all goroutines with their ends, and all locks in their order (section 6).
package connector
