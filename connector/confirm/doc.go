// Package confirm reads the queue behind the proxies and says which packs arrived there.
//
// What a Reader promises:
//
//   - Once Watch returned nil, every pack of that stream that enters the queue later is reported, from
//     every cluster, whatever partitions or topics appear in between. Positions are fixed by listing end
//     offsets; what did not exist then is read from its beginning. Of a cluster that joins later, what was put in
//     after the time given to Join is reported (Kafka), or after its end was listed (Pulsar).
//   - Barrier returns nil only when everything that lay in any cluster when it was called has been
//     reported. It rests on metadata and end offsets asked for after it was called, of all clusters; a
//     cluster that does not answer means no barrier.
//   - Unwatch ends the reading of what no stream uses any more. A barrier does not wait for that.
//   - Only packs of this instance are reported, by the attribute mid; bodies are never opened.
//
// What it does not promise: a pack may be reported more than once, and a message that retention took
// before it was read is missed (and counted). Neither can lose a record: a pack is final only when it was
// seen, so whatever is missed is sent again.
//
// Nothing above this package knows which kind of queue it is. positions.go and mine.go decide, without
// I/O; the files of each kind of queue (kafka*.go, pulsar*.go) move the data.
//
// Goroutines of a reader: none before Run; then per cluster one that asks for metadata and end offsets once a
// second; one that polls (Kafka) or one per partition (Pulsar); and one that tells the sink whether the queue
// answers. They end when Run's context does, at Close, or when their cluster leaves. Calls of Pulsar's client have goroutines of their own,
// one per partition at most, since they end when the broker likes it; Close waits 5 s for those.
package confirm
