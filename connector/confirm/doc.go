// Package confirm reads the queue behind the proxies and says which packs arrived there. It imports no client of a queue:
// an adapter for each kind of queue (packages kafka and pulsar) implements [Cluster], and package managed follows the
// clusters that the Manager names.
//
// A [Reader] promises:
//
//   - Once Watch returned nil, every pack of that stream that enters the queue later is reported, from
//     every cluster, whatever partitions or topics appear in between. Positions are fixed by listing end
//     offsets; a partition that did not exist then is read from its beginning. Of a cluster that joins later, everything
//     is reported that was put in after the time given to Join (Kafka), or after its end was listed (Pulsar).
//   - Barrier returns nil only when everything that lay in any cluster when it was called has been
//     reported. It rests on metadata and end offsets asked for after it was called, of all clusters; while a
//     cluster does not answer, no barrier passes.
//   - Unwatch ends the reading of topics that no stream uses any more. A barrier does not wait for them.
//   - Only packs of this instance are reported, by the attribute mid; bodies are never opened.
//
// It does not promise: a pack may be reported more than once, and a message that retention deletes
// before it is read is missed (and counted). Neither can lose a record: a pack is final only when it was
// seen, so a pack that is missed is sent again.
//
// [Positions] (with [Barrier]), [Roster], [PassOvers] and [Judge] decide, without I/O and without a clock: whoever drives them
// brings the answers of the clusters. [Engine] drives them for a running reader; [Tracker] is an adapter's side of it.
// Nothing above this package knows which kind of queue it is.
//
// Goroutines of a reader: none before Run; then per cluster one that asks for metadata and end offsets once a
// second; one that polls (Kafka) or one per partition (Pulsar); and one that tells the sink whether the queue
// answers. They end when Run's context does, at Close, or when their cluster leaves. Calls of Pulsar's client have goroutines of their own,
// at most one per partition, since they end only when the broker answers; Close waits 5 s for those.
package confirm
