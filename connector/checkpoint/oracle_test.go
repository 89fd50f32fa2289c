package checkpoint_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/sdk/dptest/seeds"
)

// The oracle knows every offset by itself and looks at all of them after every operation. It shares no
// idea with the code but the contract.
type oracle struct {
	start, committed, committing int64
	inCommit, revoked            bool
	spans                        []*oSpan
	pieces                       []*oPiece
}

type oSpan struct {
	id         checkpoint.Span
	from, next int64
	ended      bool
	classes    map[int64]checkpoint.Class // of offsets that need no piece
	roots      []*oPiece
}

type oPiece struct {
	handle   checkpoint.Piece
	origin   checkpoint.Origin
	offsets  []int64 // the records it holds
	span     *oSpan
	parent   *oPiece
	children []*oPiece

	seen, lost, replaced bool
	aside                *checkpoint.Class // set aside, and not seen before
	left                 []int64           // lost: records no replacement holds yet
	gone                 map[int64]checkpoint.Class

	final  bool                       // as of the last look
	frozen map[int64]checkpoint.Class // gone when it became final
}

func (x *oPiece) isFinal() bool {
	if x.final || x.seen {
		return true
	}
	if !x.replaced {
		return false
	}
	for _, c := range x.children {
		if !c.isFinal() {
			return false
		}
	}
	return true
}

func (x *oPiece) underFinal() bool {
	for u := x.parent; u != nil; u = u.parent {
		if u.final {
			return true
		}
	}
	return false
}

// look finds what has become final since the last look; children before parents, as they are younger.
func (o *oracle) look() {
	for _, x := range slices.Backward(o.pieces) {
		if x.final || !x.isFinal() {
			continue
		}
		x.final = true
		x.frozen = map[int64]checkpoint.Class{}
		if x.aside != nil {
			for _, off := range x.offsets {
				x.frozen[off] = *x.aside
			}
		}
		if x.seen {
			continue
		}
		maps.Copy(x.frozen, x.gone)
		for _, ch := range x.children {
			maps.Copy(x.frozen, ch.frozen)
		}
	}
}

func (o *oracle) done(s *oSpan) bool {
	return s.ended && !slices.ContainsFunc(s.roots, func(x *oPiece) bool { return !x.final })
}

func (o *oracle) ledger() checkpoint.Ledger {
	l := checkpoint.Ledger{Start: o.start, Checkpoint: o.start}
	for _, s := range o.spans {
		if !o.done(s) {
			break
		}
		l.Checkpoint = s.next
		for off := s.from; off < s.next; off++ {
			class, known := s.classes[off]
			isFinal := false
			for _, x := range s.roots {
				if slices.Contains(x.offsets, off) {
					class, known = x.frozen[off]
					isFinal = !known
				}
			}
			switch {
			case isFinal:
				l.Final++
			case !known || class == checkpoint.Gap:
				l.Gap++
			case class == checkpoint.Skipped:
				l.Skipped++
			case class == checkpoint.Quarantined:
				l.Quarantined++
			case class == checkpoint.ByHand:
				l.ByHand++
			case class == checkpoint.LostGap:
				l.Lost++
			}
		}
	}
	return l
}

func (o *oracle) forgotten(x *oPiece) bool {
	if o.revoked {
		return true
	}
	for _, s := range o.spans {
		if !o.done(s) || s.next > o.committed {
			return false
		}
		if s == x.span {
			return true
		}
	}
	return false
}

// schedule turns numbers into operations on a Partition and on the oracle, and compares after each.
func schedule(t *testing.T, steps int, pick func(n int) int) {
	t.Helper()
	o := &oracle{start: int64(pick(1000)), committed: -1}
	p := checkpoint.New(o.start)
	position, lastCheckpoint := o.start, o.start
	var frozen checkpoint.Ledger
	var log []string
	fail := func(format string, args ...any) {
		t.Helper()
		for _, l := range log[max(0, len(log)-40):] {
			t.Log(l)
		}
		t.Fatalf(format, args...)
	}
	say := func(format string, args ...any) { log = append(log, fmt.Sprintf(format, args...)) }

	some := func() *oPiece {
		if len(o.pieces) == 0 {
			return nil
		}
		// Mostly young ones, so that long schedules stay interesting.
		if n := len(o.pieces); n > 40 && pick(8) > 0 {
			return o.pieces[n-1-pick(40)]
		}
		return o.pieces[pick(len(o.pieces))]
	}
	add := func(x *oPiece) {
		if x.handle == 0 {
			return
		}
		for _, y := range o.pieces {
			if y.handle == x.handle {
				fail("handle %d was issued twice", x.handle)
			}
		}
		o.pieces = append(o.pieces, x)
	}
	originOf := func(offs []int64, route, minute int32) checkpoint.Origin {
		return checkpoint.Origin{First: offs[0], Last: offs[len(offs)-1], Route: route, Minute: minute, Records: int32(len(offs))}
	}

	for range steps {
		switch op := pick(100); {
		case op < 18: // a chunk arrives, with holes
			first := position + int64(pick(3)*pick(4))
			s := &oSpan{from: position, classes: map[int64]checkpoint.Class{}}
			byRoute := map[int32][]int64{}
			off := first
			for range pick(7) {
				off += int64(pick(2) * pick(3))
				switch k := pick(12); k {
				case 0:
					s.classes[off] = checkpoint.Skipped
				case 1:
					s.classes[off] = checkpoint.Quarantined
				case 2:
					s.classes[off] = checkpoint.LostGap
				case 3:
					s.classes[off] = checkpoint.Gap
				default:
					byRoute[int32(k%3)] = append(byRoute[int32(k%3)], off)
				}
				off++
			}
			s.next = off + int64(pick(2))
			id := p.Begin(first, s.next)
			say("begin %d: %d..%d", id, first, s.next)
			if o.revoked {
				if id != 0 || p.Add(id, checkpoint.Origin{}) != 0 {
					fail("a span began after Revoke")
				}
				continue
			}
			s.id = id
			position = s.next
			o.spans = append(o.spans, s)
			counts := map[checkpoint.Class]int64{}
			for _, c := range s.classes {
				counts[c]++
			}
			for c, n := range counts {
				p.Count(id, c, n)
			}
			for route := range int32(3) {
				offs := byRoute[route]
				if len(offs) == 0 {
					continue
				}
				x := &oPiece{origin: originOf(offs, route, int32(off)), offsets: offs, span: s}
				x.handle = p.Add(id, x.origin)
				if x.handle == 0 {
					fail("Add gave the zero handle")
				}
				s.roots = append(s.roots, x)
				add(x)
			}
			if pick(4) > 0 {
				p.End(id)
				s.ended = true
			}
		case op < 24:
			if len(o.spans) == 0 {
				continue
			}
			s := o.spans[pick(len(o.spans))]
			say("end %d", s.id)
			p.End(s.id)
			s.ended = true
		case op < 46: // news: seen
			x := some()
			if x == nil {
				continue
			}
			known := !o.forgotten(x)
			before := o.ledger().Checkpoint
			moved := p.Final(x.handle)
			say("final %d: %v", x.handle, moved)
			if known {
				x.seen = true
				o.look()
			}
			if want := !o.revoked && o.ledger().Checkpoint != before; moved != want {
				fail("Final(%d) = %v, want %v", x.handle, moved, want)
			}
		case op < 50: // it ends in another way than by delivery
			x := some()
			if x == nil {
				continue
			}
			c := []checkpoint.Class{checkpoint.Skipped, checkpoint.Quarantined, checkpoint.ByHand}[pick(3)]
			want := !o.forgotten(x) && !x.final && !x.underFinal()
			ended := p.SetAside(x.handle, c)
			say("set aside %d as %d: %v", x.handle, c, ended)
			if ended != want {
				fail("SetAside(%d) = %v, want %v", x.handle, ended, want)
			}
			if want {
				x.seen, x.aside = true, &c
				o.look()
			}
		case op < 62: // news: lost
			x := some()
			if x == nil {
				continue
			}
			want := !o.forgotten(x) && !x.lost && !x.final && !x.underFinal()
			got, again := p.Lost(x.handle)
			say("lost %d: %v", x.handle, again)
			if again != want || again && got != x.origin {
				fail("Lost(%d) = %v %v, want %v %v", x.handle, got, again, x.origin, want)
			}
			if want {
				x.lost = true
				x.left = slices.Clone(x.offsets)
				x.gone = map[int64]checkpoint.Class{}
			}
		case op < 74: // some of a lost piece's records were read again
			x := some()
			if x == nil {
				continue
			}
			wanted := x.lost && !x.replaced && !x.final && !x.underFinal() && !o.forgotten(x)
			if got := p.Wanted(x.handle); got != wanted {
				fail("Wanted(%d) = %v, want %v", x.handle, got, wanted)
			}
			if wanted && len(x.left) == 0 {
				continue
			}
			y := &oPiece{span: x.span, parent: x}
			if wanted {
				n := 1 + pick(len(x.left))
				y.offsets, x.left = x.left[:n], x.left[n:]
				y.origin = originOf(y.offsets, x.origin.Route, x.origin.Minute)
			}
			y.handle = p.Replace(x.handle, y.origin)
			say("replace %d: %d", x.handle, y.handle)
			if (y.handle != 0) != wanted {
				fail("Replace(%d) = %d, want a handle: %v", x.handle, y.handle, wanted)
			}
			if wanted {
				x.children = append(x.children, y)
				add(y)
			}
		case op < 84: // the rest of it does not exist any more
			x := some()
			if x == nil {
				continue
			}
			c := checkpoint.Gap
			if pick(2) == 0 {
				c = checkpoint.LostGap
			}
			before := o.ledger().Checkpoint
			moved := p.Replaced(x.handle, int64(len(x.left)), c)
			say("replaced %d, %d gone: %v", x.handle, len(x.left), moved)
			if !o.forgotten(x) && x.lost && !x.replaced && !x.final {
				x.replaced = true
				for _, off := range x.left {
					x.gone[off] = c
				}
				o.look()
			}
			if want := !o.revoked && o.ledger().Checkpoint != before; moved != want {
				fail("Replaced(%d) = %v, want %v", x.handle, moved, want)
			}
		case op < 90:
			off, ok := p.BeginCommit()
			say("begin commit: %d %v", off, ok)
			wm := o.ledger().Checkpoint
			want := !o.revoked && !o.inCommit && wm > max(o.committed, o.start)
			if ok != want || ok && off != wm {
				fail("BeginCommit = %d %v, want %d %v", off, ok, wm, want)
			}
			if ok {
				o.inCommit, o.committing = true, off
			}
		case op < 96:
			took := pick(3) > 0
			say("end commit: %v", took)
			p.EndCommit(took)
			if o.inCommit && took {
				o.committed = o.committing
			}
			o.inCommit = false
		case op < 98: // handles nobody ever issued
			h := checkpoint.Piece(pick(1<<16))<<26 | checkpoint.Piece(pick(1<<16))
			if slices.ContainsFunc(o.pieces, func(x *oPiece) bool { return x.handle == h }) {
				continue
			}
			if p.Final(h) || p.SetAside(h, checkpoint.Skipped) || p.Wanted(h) || p.Replace(h, checkpoint.Origin{Records: 1}) != 0 || p.Replaced(h, 9, checkpoint.Gap) {
				fail("foreign handle %d moved something", h)
			}
			if _, again := p.Lost(h); again || !p.Forgotten(h) {
				fail("foreign handle %d is known", h)
			}
			p.End(checkpoint.Span(len(o.spans) + 7))
			p.Count(checkpoint.Span(len(o.spans)+7), checkpoint.Skipped, 5)
			p.Count(0, checkpoint.Skipped, 5)
		case op == 99 && pick(4) == 0:
			if !o.revoked {
				frozen = o.ledger()
			}
			say("revoke")
			p.Revoke()
			o.revoked = true
		}

		want := o.ledger()
		if o.revoked {
			want = frozen
		}
		if got := p.Ledger(); got != want {
			fail("ledger %+v, want %+v", got, want)
		}
		if got := p.Checkpoint(); got != want.Checkpoint || got < lastCheckpoint {
			fail("checkpoint %d after %d, want %d", got, lastCheckpoint, want.Checkpoint)
		}
		lastCheckpoint = want.Checkpoint
		if got := p.Committed(); got != o.committed || got > want.Checkpoint {
			fail("committed %d, want %d", got, o.committed)
		}
		if got := p.Position(); got != position {
			fail("position %d, want %d", got, position)
		}
		unfinal, held := 0, 0
		for _, x := range o.pieces {
			forgotten := o.forgotten(x)
			if got := p.Forgotten(x.handle); got != forgotten {
				fail("Forgotten(%d) = %v, want %v", x.handle, got, forgotten)
			}
			if !forgotten {
				held++
				if x.parent == nil && !x.final {
					unfinal++
				}
			}
		}
		if got := p.Unfinal(); got != unfinal {
			fail("unfinal %d, want %d", got, unfinal)
		}
		if got := p.Held(); got != held {
			fail("held %d, want %d", got, held)
		}
	}
}

func TestAgreesWithAnOracleThatKnowsEveryOffset(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 60
	}
	seeds.Run(t, rounds, rounds/3, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 7))
		schedule(t, 150, r.IntN)
	})
}

func FuzzSchedule(f *testing.F) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 11))
		b := make([]byte, 400)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 2000 {
			return
		}
		steps := len(b) / 2
		schedule(t, steps, func(n int) int {
			if len(b) == 0 {
				return 0
			}
			v := int(b[0])
			b = b[1:]
			return v % n
		})
	})
}
