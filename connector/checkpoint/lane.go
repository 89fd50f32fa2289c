package checkpoint

// lane is the pieces of a partition that are to arrive one after another, in the order in which they were added: those that are not
// final, and some that are. Replacements have no place of their own here either.
type lane struct {
	pieces []Piece
	passed int // so many of pieces are final or forgotten
}

func (l *lane) add(pc Piece) { l.pieces = append(l.pieces, pc) }

// KeepOrder has the partition know which pieces of each of n lanes are not final. It is to be called before the first Begin.
func (p *Partition) KeepOrder(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lanes = make([]lane, n)
}

// LaneFree reports whether every piece of a lane is final.
func (p *Partition) LaneFree(n uint8) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, some := p.firstOfLane(n)
	return !some
}

// InTurn reports whether a lost piece may be sent again without overtaking anything: no piece before it in its lane is open, and
// none of its replacements is. Without lanes it always may.
func (p *Partition) InTurn(pc Piece) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, ok := p.pieces.find(pc)
	if !ok || p.lanes == nil {
		return true
	}
	if p.pieces.at(i).children > 0 {
		return false
	}
	x := p.pieces.at(p.root(i))
	first, some := p.firstOfLane(x.origin.Lane)
	return !some || first == x.handle
}

// firstOfLane returns the first piece of a lane that is not final.
func (p *Partition) firstOfLane(n uint8) (first Piece, some bool) {
	l := &p.lanes[n]
	for ; l.passed < len(l.pieces); l.passed++ {
		if i, ok := p.pieces.find(l.pieces[l.passed]); ok && p.pieces.at(i).condition != final {
			return l.pieces[l.passed], true
		}
	}
	l.pieces, l.passed = l.pieces[:0], 0
	return 0, false
}
