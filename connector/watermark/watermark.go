// Package watermark knows, for one partition and one assignment of it, which offsets are safe on the
// other side. It is pure: no clock, no I/O; a mutex makes a Partition safe for concurrent use, so that
// the revoked flag and what it guards can never be seen apart.
package watermark

// Span names a fetched chunk of a Partition, in arrival order.
type Span uint64

// Piece names a piece of a Partition. The zero Piece is never issued. A handle is never reused.
type Piece uint64

// Origin says which records a piece holds: those of the partition with First <= offset <= Last whose
// route and minute are these. Other records of the range live in other pieces.
type Origin struct {
	First, Last int64
	Route       int32 // index of the (group, stream) pair, given by the caller
	Minute      int32 // event time in minutes since the epoch
	Records     int32
}

// Holds reports whether a record read again belongs to the piece.
func (o Origin) Holds(offset int64, route, minute int32) bool {
	return offset >= o.First && offset <= o.Last && route == o.Route && minute == o.Minute
}

// Class of offsets that end without becoming final.
type Class uint8

const (
	Skipped     Class = iota // by policy (unmatched: skip)
	Gap                      // no record at this offset: compaction, transactions, control records
	Quarantined              // set aside by policy
	LostGap                  // gone from Kafka before it was safe (on_gap: continue)
)

// Ledger counts offsets between the start and the watermark: Final + Skipped + Gap + Quarantined +
// Lost = Watermark - Start, always.
type Ledger struct {
	Start, Watermark                       int64
	Final, Skipped, Gap, Quarantined, Lost int64
}

// Partition is one assignment of one partition.
type Partition struct{}

// New returns a partition that starts at offset start with nothing fetched.
func New(start int64) *Partition { return &Partition{} }

// Begin opens the span of a chunk whose first record has offset first and that ends before next.
// Offsets between the end of the span before and first count as Gap.
func (p *Partition) Begin(first, next int64) Span { return 0 }

// Add adds a piece to an open span.
func (p *Partition) Add(s Span, o Origin) Piece { return 0 }

// Count says that n offsets of the span need no piece, and why.
func (p *Partition) Count(s Span, c Class, n int64) {}

// End says that the span gets no more pieces; what it did not account for counts as Gap.
// Only a span that has ended lets the watermark pass.
func (p *Partition) End(s Span) {}

// Final says that the piece is safe. It may come after Lost; it may come twice. It reports whether the
// watermark moved.
func (p *Partition) Final(pc Piece) bool { return false }

// Lost says that the piece must be read again; again is false when nothing is to be done (final
// already, revoked, known to be lost, replaced, or a copy whose original became final).
func (p *Partition) Lost(pc Piece) (o Origin, again bool) { return Origin{}, false }

// Replace adds a piece that holds some of a lost piece's records; it takes no place of its own: the
// lost piece keeps its place in its span.
func (p *Partition) Replace(old Piece, o Origin) Piece { return 0 }

// Replaced says that all records of the lost piece are in its replacements now: when they are final,
// the lost one is. Offsets of records that no longer exist count as gone (Gap or LostGap).
func (p *Partition) Replaced(old Piece, gone int64, c Class) {}

// Forgotten reports whether the piece needs no more news: it is below the committed watermark, or the
// partition was revoked.
func (p *Partition) Forgotten(pc Piece) bool { return false }

// Watermark is the offset after the longest prefix of spans without open pieces.
func (p *Partition) Watermark() int64 { return 0 }

// BeginCommit returns the offset to commit. ok is false while a commit is in flight, when there is
// nothing new, and after Revoke.
func (p *Partition) BeginCommit() (offset int64, ok bool) { return 0, false }

// EndCommit ends the commit in flight; committed says whether the broker took it.
func (p *Partition) EndCommit(committed bool) {}

// Committed is the offset the broker last took from this assignment, -1 if none.
func (p *Partition) Committed() int64 { return -1 }

// Revoke ends the assignment: after it nothing moves and nothing is committed.
func (p *Partition) Revoke() {}

// Revoked reports whether Revoke was called.
func (p *Partition) Revoked() bool { return false }

// Unfinal is the number of pieces that are not final and have a place (replacements have none).
func (p *Partition) Unfinal() int { return 0 }

// Position is the offset after the last one a span covered.
func (p *Partition) Position() int64 { return 0 }

// Ledger returns the books up to the watermark.
func (p *Partition) Ledger() Ledger { return Ledger{} }
