package checkpoint

import (
	"sync"
	"sync/atomic"
)

// Partition is one assignment of one partition. A partition that comes back gets a new one: whatever
// comes late for an older assignment then moves nothing.
type Partition struct {
	mu      sync.Mutex
	revoked bool // guarded by mu, the same lock as the marks below; see the package comment

	start      int64 // where this assignment began
	checkpoint int64
	position   int64 // end of the newest span

	// committed is what the broker took, -1 if nothing yet; committing is what was offered to it.
	// Invariant: committed <= committing <= checkpoint while inCommit.
	committed, committing int64
	inCommit              bool
	uncommitted           atomic.Bool // set under mu; see Uncommitted
	offered               Ledger      // the books up to committing

	spans   spanRing
	passed  Span // first span the checkpoint has not passed; all before wait for a commit
	pieces  slab
	lanes   []lane          // nil where no order is kept
	aside   map[int32]aside // by place in pieces; nil until something is set aside
	unfinal int             // pieces with a place that are not final
	total   *atomic.Int64   // nil, or the same over all partitions that share it
	held    *atomic.Int64   // nil, or the pieces remembered over all partitions that share it

	books Ledger // up to the checkpoint; its Start and Checkpoint are filled when it is asked for
}

// New returns a partition that starts at offset start with nothing fetched.
func New(start int64) *Partition {
	return &Partition{
		start: start, checkpoint: start, position: start, committed: -1,
		spans: spanRing{base: 1}, passed: 1,
	}
}

// Checkpoint is the offset after the longest prefix of spans without open pieces.
func (p *Partition) Checkpoint() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.checkpoint
}

// Position is the offset after the last one a span covered.
func (p *Partition) Position() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.position
}

// Unfinal is the number of pieces that are not final and have a place (replacements have none). It is 0
// after Revoke.
func (p *Partition) Unfinal() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unfinal
}

// CountInto keeps unfinal at the sum of Unfinal, and held at that of Held, over all partitions that count into them. It is to
// be called before the first Begin.
func (p *Partition) CountInto(unfinal, held *atomic.Int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total, p.held = unfinal, held
}

// countHeldLocked notes that n more pieces are remembered.
func (p *Partition) countHeldLocked(n int) {
	if p.held != nil {
		p.held.Add(int64(n))
	}
}

// count notes that n more pieces are not final; p.mu is held.
func (p *Partition) count(n int) {
	p.unfinal += n
	if p.total != nil {
		p.total.Add(int64(n))
	}
}

// Held is the number of pieces remembered: those not final, those final but not below the committed
// checkpoint, and replacements. It grows while commits fail and is 0 after Revoke.
func (p *Partition) Held() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pieces.live
}

// advance moves the checkpoint over the spans that are done and reports whether it moved.
func (p *Partition) advance() bool {
	before := p.checkpoint
	for p.passed < p.spans.end() {
		s := p.spans.at(p.passed)
		if !s.ended || s.open > 0 {
			break
		}
		p.books.add(s)
		p.checkpoint = s.next
		p.passed++
	}
	if p.checkpoint == before {
		return false
	}
	p.uncommitted.Store(p.uncommittedLocked())
	return true
}

// Routes marks the routes of all pieces that are remembered.
func (p *Partition) Routes(in map[int32]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	last, some := int32(0), false
	for s := p.spans.base; s < p.spans.end(); s++ {
		for i := p.spans.at(s).pieces; i != none; i = p.pieces.at(i).next {
			if r := p.pieces.at(i).origin.Route; !some || r != last {
				in[r], last, some = true, r, true
			}
		}
	}
}

// Oldest returns where the oldest piece that is not final is from: the one of the lowest offset in the first span that holds the
// checkpoint back. ok is false when no piece is open.
func (p *Partition) Oldest() (o Origin, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for s := p.passed; s < p.spans.end(); s++ {
		sp := p.spans.at(s)
		if sp.open == 0 {
			continue
		}
		for i := sp.pieces; i != none; i = p.pieces.at(i).next {
			if x := p.pieces.at(i); x.parent == none && x.condition != final && (!ok || x.origin.First < o.First) {
				o, ok = x.origin, true
			}
		}
		return o, ok
	}
	return Origin{}, false
}
