package checkpoint

// Span names a fetched chunk of a Partition, in arrival order. The zero Span is never a real one.
type Span uint64

// span is one chunk. It covers [from, next): from is where the span before ended, so that gaps between
// chunks belong to a span too.
type span struct {
	from, next           int64
	lost                 int64 // offsets, may be a whole retention gap
	final                int32 // records of its pieces that became final
	skipped, quarantined int32
	byHand               int32
	open                 int32 // pieces not final; replacements are not counted
	pieces               int32 // first of its pieces in the slab, replacements included; -1 for none
	ended                bool
}

// Begin opens the span of a chunk whose first record has offset first and that ends before next.
// Offsets between the end of the span before and first count as Gap. A chunk that reaches back over
// what other spans cover keeps only what is new. After Revoke it returns 0.
func (p *Partition) Begin(first, next int64) Span {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.revoked {
		return 0
	}
	id := p.spans.push(span{from: p.position, next: max(first, next, p.position), pieces: none})
	p.position = p.spans.at(id).next
	return id
}

// Add adds a piece to a span that has not ended. After Revoke it returns 0.
func (p *Partition) Add(s Span, o Origin) Piece {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.revoked {
		return 0
	}
	sp := p.unended(s)
	if sp == nil {
		// Nothing harmless is left to do: the checkpoint may have passed, the records would be lost.
		panic("bug: a piece was added to a span that has ended")
	}
	i := p.pieces.take()
	p.countHeldLocked(1)
	pc := p.pieces.at(i)
	pc.origin, pc.span, pc.parent = o, s, none
	pc.next, sp.pieces = sp.pieces, i
	sp.open++
	p.count(1)
	if p.lanes != nil {
		p.lanes[o.Lane].add(pc.handle)
	}
	return pc.handle
}

// Count says that n offsets of a span that has not ended need no piece, and why. Gap needs no
// counting: it is what remains.
func (p *Partition) Count(s Span, c Class, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sp := p.unended(s)
	if sp == nil || n <= 0 {
		return
	}
	switch c {
	case Skipped:
		sp.skipped = addRecords(sp.skipped, n)
	case Quarantined:
		sp.quarantined = addRecords(sp.quarantined, n)
	case ByHand:
		sp.byHand = addRecords(sp.byHand, n)
	case LostGap:
		sp.lost += min(n, sp.next-sp.from) // never more than there is, so the sum cannot overflow
	case Gap:
	}
}

// End says that the span gets no more pieces; what it did not account for counts as Gap.
// Only a span that has ended lets the checkpoint pass.
func (p *Partition) End(s Span) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if sp := p.unended(s); sp != nil {
		sp.ended = true
		p.advance()
	}
}

// unended returns nil for a span that is not known or takes nothing more.
func (p *Partition) unended(s Span) *span {
	if p.revoked || s < p.passed || s >= p.spans.end() {
		return nil
	}
	if sp := p.spans.at(s); !sp.ended {
		return sp
	}
	return nil
}

// spanRing holds the spans [base, base+n) in a ring whose size is a power of two.
type spanRing struct {
	buf  []span
	base Span
	n    int
}

const smallRing = 64 // a ring that is emptied is kept up to this size times 16

func (r *spanRing) end() Span { return r.base + Span(r.n) }

func (r *spanRing) at(id Span) *span { return &r.buf[int(id)&(len(r.buf)-1)] }

func (r *spanRing) push(s span) Span {
	if r.n == len(r.buf) {
		grown := make([]span, max(smallRing, 2*len(r.buf)))
		for id := r.base; id < r.end(); id++ {
			grown[int(id)&(len(grown)-1)] = *r.at(id)
		}
		r.buf = grown
	}
	id := r.end()
	r.n++
	*r.at(id) = s
	return id
}

func (r *spanRing) pop() {
	r.base++
	r.n--
	if r.n == 0 && len(r.buf) > 16*smallRing {
		r.buf = nil // give back what a long outage needed
	}
}
