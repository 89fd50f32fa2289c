package checkpoint

// Piece names a piece of a Partition. The zero Piece is never a real one: it is what Add and Replace
// return when nothing has to be followed, and news of it is ignored. A handle is never reused.
type Piece uint64

// Origin says which records a piece holds: those of the partition with First <= offset <= Last whose
// route and minute are these. Other records of the range live in other pieces. Where Arrived is set, the minute is
// also that in which the records of the span arrived, which stands for the time of those that have none of their own.
type Origin struct {
	First, Last int64
	Route       int32 // index of the (group, stream) pair, given by the caller
	Minute      int32 // event time in minutes since the epoch
	Records     int32
	Arrived     bool
	Lane        uint8 // see KeepOrder
}

// Holds reports whether a record read again belongs to the piece.
func (o Origin) Holds(offset int64, route, minute int32) bool {
	return offset >= o.First && offset <= o.Last && route == o.Route && minute == o.Minute
}

type state uint8

const (
	open     state = iota // sent or to be sent; nobody said it is lost
	lost                  // to be read again
	replaced              // all its records that still exist are in its replacements
	final
)

// piece is one place in the slab. A replacement hangs below the piece it replaces and holds no place in
// its span; below a final piece nothing matters any more.
type piece struct {
	origin    Origin
	parent    int32 // the piece it replaces, none for one with a place of its own
	handle    Piece
	span      Span
	children  int32 // replacements that are not final
	next      int32 // next piece of the same span; next free one when free
	goneGap   int32 // records that were not there any more when this piece or what is below it was
	goneLost  int32 // replaced: by compaction, by retention
	condition state
}

// Final says that the piece is safe. It may come after Lost; it may come twice. It reports whether the
// checkpoint moved.
func (p *Partition) Final(pc Piece) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, ok := p.pieces.find(pc)
	if !ok {
		return false
	}
	if x := p.pieces.at(i); x.condition != final {
		x.goneGap, x.goneLost = 0, 0 // it was seen whole, whatever replacing it found
		delete(p.aside, i)
		p.resolve(i)
		return p.advance()
	}
	return false
}

// Lost says that the piece must be read again; again is false when nothing is to be done (final
// already, revoked, known to be lost, replaced, or a copy whose original became final).
func (p *Partition) Lost(pc Piece) (o Origin, again bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, ok := p.pieces.find(pc)
	if !ok || p.pieces.at(i).condition != open || p.settled(i) {
		return Origin{}, false
	}
	x := p.pieces.at(i)
	x.condition = lost
	return x.origin, true
}

// Origin returns where a piece is from; ok is false for one that is not known any more.
func (p *Partition) Origin(pc Piece) (o Origin, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, ok := p.pieces.find(pc)
	if !ok {
		return Origin{}, false
	}
	return p.pieces.at(i).origin, true
}

// Undecided returns where a piece is from of which neither it, nor one that it replaces, is final or lost; ok is false for any other.
func (p *Partition) Undecided(pc Piece) (o Origin, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, ok := p.pieces.find(pc)
	if !ok || p.pieces.at(i).condition != open || p.settled(i) {
		return Origin{}, false
	}
	return p.pieces.at(i).origin, true
}

// Root returns the piece with a place of its own that a piece replaces, or is; 0 for one that is not known any more.
func (p *Partition) Root(pc Piece) Piece {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, ok := p.pieces.find(pc)
	if !ok {
		return 0
	}
	return p.pieces.at(p.root(i)).handle
}

// root is the piece with a place of its own that piece i replaces, or is.
func (p *Partition) root(i int32) int32 {
	for p.pieces.at(i).parent != none {
		i = p.pieces.at(i).parent
	}
	return i
}

// Wanted reports whether the piece is lost and still has to be replaced: false once it, or a piece it
// replaces, was seen after all.
func (p *Partition) Wanted(pc Piece) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, ok := p.pieces.find(pc)
	return ok && p.pieces.at(i).condition == lost && !p.settled(i)
}

// Replace adds a piece that holds some of a lost piece's records; it takes no place of its own: the
// lost piece keeps its place in its span. It returns 0 when the lost piece is not wanted any more (see
// Wanted, and after Replaced).
func (p *Partition) Replace(old Piece, o Origin) Piece {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, ok := p.pieces.find(old)
	if !ok || p.pieces.at(i).condition != lost || p.settled(i) {
		return 0
	}
	j := p.pieces.take()
	p.countHeldLocked(1)
	was, x := p.pieces.at(i), p.pieces.at(j)
	sp := p.spans.at(was.span)
	x.origin, x.span, x.parent = o, was.span, i
	x.next, sp.pieces = sp.pieces, j
	was.children++
	return x.handle
}

// Replaced says that all records of the lost piece are in its replacements now: when they are final,
// the lost one is. gone offsets of it no longer exist and count as c (Gap or LostGap). It reports
// whether the checkpoint moved, which it does when there was nothing left to wait for.
func (p *Partition) Replaced(old Piece, gone int64, c Class) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, ok := p.pieces.find(old)
	if !ok || p.pieces.at(i).condition != lost {
		return false
	}
	x := p.pieces.at(i)
	x.condition = replaced
	if c == LostGap {
		x.goneLost = addRecords(x.goneLost, gone)
	} else {
		x.goneGap = addRecords(x.goneGap, gone)
	}
	if x.children > 0 {
		return false
	}
	p.resolve(i)
	return p.advance()
}

// Forgotten reports whether the piece needs no more news: it is below the committed checkpoint, or the
// partition was revoked.
func (p *Partition) Forgotten(pc Piece) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.pieces.find(pc)
	return !ok
}

// settled reports whether a piece above i is final, so that i does not matter any more.
func (p *Partition) settled(i int32) bool {
	for i = p.pieces.at(i).parent; i != none; i = p.pieces.at(i).parent {
		if p.pieces.at(i).condition == final {
			return true
		}
	}
	return false
}

// resolve makes the piece final, and with it every piece above it that waited for it alone.
func (p *Partition) resolve(i int32) {
	for {
		x := p.pieces.at(i)
		x.condition = final
		if x.parent == none {
			sp := p.spans.at(x.span)
			goneLost := min(x.goneLost, x.origin.Records)
			goneGap := min(x.goneGap, x.origin.Records-goneLost)
			sp.lost += int64(goneLost)
			sp.final = addRecords(sp.final, int64(p.bookAside(i, sp, x.origin.Records-goneLost-goneGap)))
			sp.open--
			p.count(-1)
			if sp.open < 0 || p.unfinal < 0 {
				panic("bug: a piece became final twice")
			}
			return
		}
		up := p.pieces.at(x.parent)
		up.children--
		up.goneGap = addRecords(up.goneGap, int64(x.goneGap))
		up.goneLost = addRecords(up.goneLost, int64(x.goneLost))
		p.raiseAside(i, x.parent)
		if up.condition != replaced || up.children > 0 {
			return // seen after all already, or waits for more
		}
		i = x.parent
	}
}
