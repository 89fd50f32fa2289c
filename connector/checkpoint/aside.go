package checkpoint

// aside counts records of a piece, or of what replaced it, that ended in another way than by delivery. Hardly any piece has
// such, so they are not in piece.
type aside struct{ skipped, quarantined, byHand int32 }

// SetAside says that the records of a piece will not be delivered and are accounted for in another way: c is Skipped,
// Quarantined or ByHand. The piece is final with it, and what holds for Final holds here. It returns false if the piece had ended before, on its own
// or with one that it replaces.
func (p *Partition) SetAside(pc Piece, c Class) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, ok := p.pieces.find(pc)
	if !ok || p.pieces.at(i).condition == final || p.settled(i) {
		return false
	}
	x := p.pieces.at(i)
	x.goneGap, x.goneLost = 0, 0
	var a aside
	switch c {
	case Skipped:
		a.skipped = x.origin.Records
	case ByHand:
		a.byHand = x.origin.Records
	default:
		a.quarantined = x.origin.Records
	}
	if p.aside == nil {
		p.aside = make(map[int32]aside)
	}
	p.aside[i] = a
	p.resolve(i)
	p.advance()
	return true
}

// raiseAside adds what was set aside of a piece to that of the piece that it replaced.
func (p *Partition) raiseAside(i, parent int32) {
	a, ok := p.aside[i]
	if !ok {
		return
	}
	up := p.aside[parent]
	up.skipped = addRecords(up.skipped, int64(a.skipped))
	up.quarantined = addRecords(up.quarantined, int64(a.quarantined))
	up.byHand = addRecords(up.byHand, int64(a.byHand))
	p.aside[parent] = up
}

// bookAside moves what was set aside of a piece into its span and returns how many of records are left.
func (p *Partition) bookAside(i int32, sp *span, records int32) (left int32) {
	a, ok := p.aside[i]
	if !ok {
		return records
	}
	quarantined := min(a.quarantined, records)
	skipped := min(a.skipped, records-quarantined)
	byHand := min(a.byHand, records-quarantined-skipped)
	sp.quarantined = addRecords(sp.quarantined, int64(quarantined))
	sp.skipped = addRecords(sp.skipped, int64(skipped))
	sp.byHand = addRecords(sp.byHand, int64(byHand))
	return records - quarantined - skipped - byHand
}
