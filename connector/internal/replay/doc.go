// Package replay reads lost pieces again from Kafka and hands their records to the sender once more.
//
// A Planner decides: which ranges of offsets to fetch, which of the fetched records belong to a lost piece, what to do when Kafka
// does not have them any more, and when to try again. It is pure: it has no clock, starts no goroutine and does no I/O. Its input
// is lost pieces, fetched records and times; its output is the partitions to fetch, batches for the Outlet, and the calls of
// checkpoint.Partition that say which pieces replace a lost one.
//
// A Reader drives a Planner with a Kafka client of its own, which belongs to no group, so that the position of the group is left
// alone.
package replay
