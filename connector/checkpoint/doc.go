// Package checkpoint knows, for one partition and one assignment of it, which offsets are safe on the
// other side. It is pure: no clock, no I/O, no goroutine; a mutex makes a Partition safe for concurrent
// use, so that the revoked flag and what it guards can never be seen apart.
//
// What it promises:
//
//   - The checkpoint is the offset after the longest prefix of spans, in arrival order, in which every
//     piece is final. Offsets have gaps, so nothing here is ever computed as offset + 1.
//   - A lost piece keeps its place: its span stays open until the piece is seen after all or until all
//     that replaced it is final. A replacement may be lost and be replaced in turn, to any depth.
//   - One commit is in flight at a time, it never goes backwards, and BeginCommit yields nothing once
//     Revoke has returned. The flag and the mark are read and written under the same lock:
//     1. an ack moves the checkpoint  2. the partition is revoked  3. the commit loop looks at the
//     checkpoint. With two locks, 3 could see the mark and miss the flag, and commit for a partition
//     that somebody else owns by now.
//   - News of pieces may come late, twice, in any order, or about pieces that nobody knows any more:
//     a handle carries a version, so a stale one is recognised and moves nothing.
//   - The ledger closes: final + skipped + gap + quarantined + by hand + lost = checkpoint - start, always.
//
// A chunk's life: Begin, then Add per piece and Count for what needs none, then End; later Final, SetAside, or
// Lost, Replace for each piece that took over some of its records, Replaced. Pieces are remembered until
// they are below the committed checkpoint, since a lost one may still be seen; BeginCommit and EndCommit
// bracket the commit that lets them go.
//
// A piece costs 72 bytes and a span 48, kept without pointers in pages and a ring that are used again,
// and every call is O(1) amortised (O(times it was lost) for a piece that was lost).
package checkpoint
