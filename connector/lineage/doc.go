// Package lineage says which source record each record of a pack is. It is pure: no clock, no I/O.
//
// A pack carries the attribute src ([Attr]): base64url of a short binary form that names, for the n-th record of the
// body, the cluster, the topic, the partition and the offset that it came from. docs/lineage.md describes the bytes, so
// that any language can read them.
//
//	var b lineage.Builder
//	b.Reset(lineage.MaxChars, false)
//	n := b.Add(&source, committed, offsets) // n < len(offsets): the pack is full
//	src := b.AppendTo(nil)
//
//	l, err := lineage.Decode(string(src), records)
//	for r := range l.Records() { ... }
//
// [Dedupe] is the consumer's rule: it tells first copies from repeats.
package lineage
