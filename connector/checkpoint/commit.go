package checkpoint

// BeginCommit returns the offset to commit. ok is false while a commit is in flight, when there is
// nothing new, and after Revoke. EndCommit must follow.
func (p *Partition) BeginCommit() (offset int64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.revoked || p.inCommit || !p.uncommittedLocked() {
		return 0, false
	}
	p.inCommit = true
	p.committing, p.offered = p.checkpoint, p.ledgerLocked()
	return p.committing, true
}

// Uncommitted reports whether the checkpoint is above what was committed, or above the start while nothing was.
// It takes no lock: it is asked of every partition each second, and nearly all of thousands are idle.
func (p *Partition) Uncommitted() bool { return p.uncommitted.Load() }

func (p *Partition) uncommittedLocked() bool { return p.checkpoint > max(p.committed, p.start) }

// Offered returns the books up to exactly the offset that BeginCommit returned last. The checkpoint may have
// moved on since.
func (p *Partition) Offered() Ledger {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.offered
}

// EndCommit ends the commit in flight; committed says whether the broker took it. A commit whose outcome
// is not known did not: the same offset, or a later one, is offered again.
func (p *Partition) EndCommit(committed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.inCommit {
		return
	}
	p.inCommit = false
	if !committed {
		return
	}
	p.committed = p.committing // also after Revoke: the broker did take it
	p.uncommitted.Store(p.uncommittedLocked())
	if !p.revoked {
		p.release()
	}
}

// release forgets the spans below the committed checkpoint and their pieces.
func (p *Partition) release() {
	for p.spans.base < p.passed {
		s := p.spans.at(p.spans.base)
		if s.next > p.committed {
			return
		}
		for i := s.pieces; i != none; {
			next := p.pieces.at(i).next
			p.pieces.drop(i)
			delete(p.aside, i)
			p.countHeldLocked(-1)
			i = next
		}
		p.spans.pop()
	}
}

// Committed is the offset the broker last took from this assignment, -1 if none.
func (p *Partition) Committed() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.committed
}

// Revoke ends the assignment: after it nothing moves, no commit begins, and no handle is known. A commit
// that had begun may still end.
func (p *Partition) Revoke() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.revoked = true
	p.spans = spanRing{base: p.spans.end()}
	p.passed = p.spans.base
	p.countHeldLocked(-p.pieces.live)
	p.pieces, p.aside = slab{}, nil
	p.count(-p.unfinal)
}

// Revoked reports whether Revoke was called.
func (p *Partition) Revoked() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.revoked
}
