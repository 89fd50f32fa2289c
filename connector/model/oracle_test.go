package model

import (
	"fmt"
	"slices"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/sdk/engine"
	"inlong-bridge/sdk/finality"
)

// breach is a broken promise; it ends a schedule.
type breach struct{ what string }

// checkCommit is the broker's side of a commit: the one place where a loss can be seen. A commit whose line names a
// topic that was deleted says nothing of the one that is there now; resume must refuse it.
func (w *world) checkCommit(p int, c groupCommit) {
	line := c.read()
	if line.Ours && line.Line.Topic != w.src.id {
		return
	}
	fail := func(format string, args ...any) {
		panic(breach{fmt.Sprintf("partition %d: committed %d, ", p, c.offset) + fmt.Sprintf(format, args...)})
	}
	from, before := int64(0), w.src.group.committed[p]
	if was := before.read(); before.offset >= 0 && (!was.Ours || was.Line.Topic == w.src.id) {
		from = before.offset
		if c.offset < from {
			fail("after %d", from)
		}
	}
	l, cutAt := w.src.logs[p], w.src.cutAt[p]
	if c.offset > l.end && cutAt < 0 {
		fail("beyond its end %d", l.end)
	}
	books := line.Line.Books
	var final, holes, goneBySome int64 // how many offsets may be booked as what
	holes = max(0, c.offset-books.From)
	seen := make([]bool, holes)
	for _, id := range w.src.ids[p] {
		f := &w.facts[id]
		if f.offset >= c.offset {
			continue
		}
		safe := w.safe(id)
		if at := f.offset - books.From; at >= 0 {
			if f.fate != cut && !seen[at] {
				seen[at] = true
				holes--
			}
			if f.fate == compacted {
				goneBySome++
			}
			if safe || w.mode == finality.Settle {
				final++
			}
		}
		if f.offset < from || f.fate != kept || safe || f.passed || cutAt >= 0 && f.offset >= cutAt {
			continue
		}
		fail("but record %d is not in the queue", f.offset)
	}
	if !line.Ours || w.src.byHand[p] || cutAt >= 0 {
		return
	}
	if was := before.read(); was.Ours && was.Line.Topic == w.src.id && was.Line.Books.Close(before.offset) {
		// The books go on, whoever keeps them.
		if old := was.Line.Books; books.From != old.From || books.Final < old.Final || books.Gap < old.Gap || books.Lost < old.Lost {
			fail("with %+v after %+v", books, old)
		}
	}
	below := max(0, min(l.start, c.offset)-books.From)
	switch {
	case books.Final > final:
		fail("with %d final, and %d can be", books.Final, final)
	case books.Gap > holes+goneBySome:
		fail("with a gap of %d, and %d offsets have no record", books.Gap, holes+goneBySome)
	case books.Lost > below+goneBySome, books.Lost > 0 && !w.knobs.acceptGap:
		fail("with %d lost, and %d are gone", books.Lost, below+goneBySome)
	}
}

// safe reports whether a committed record is where it must be. In queue that is the queue itself. In
// settle a record may still be in a proxy's memory; checkNothingMissing looks again at the end.
func (w *world) safe(id int) bool {
	if w.facts[id].present > 0 || w.facts[id].read {
		return true
	}
	if w.mode != finality.Settle {
		return false
	}
	for _, p := range w.proxies {
		for _, h := range p.memory {
			if slices.Contains(h.of.records, id) {
				return true
			}
		}
	}
	return false
}

// done reports whether everything produced is committed.
func (w *world) done() bool {
	for p, l := range w.src.logs {
		c := w.src.group.committed[p].read()
		if c.Ours && c.Line.Topic != w.src.id {
			return false
		}
		if n := len(l.records); n > 0 && c.Offset <= l.records[n-1].offset {
			return false
		}
	}
	return true
}

// checkNothingMissing looks at all that the source held: what is not in the queue needs a reason.
func (w *world) checkNothingMissing() {
	for id := range w.facts {
		f := &w.facts[id]
		if f.puts == 0 && f.fate == kept && !f.passed {
			panic(breach{fmt.Sprintf("record %d/%d is committed and not in the queue", f.partition, f.offset)})
		}
	}
}

func (w *world) duplicates() int {
	n := 0
	for id := range w.facts {
		n += max(0, w.facts[id].puts-1)
	}
	return n
}

// checkDuplicates holds the copies against what was not final at each fault, plus what the rules of a
// living connection gave up while nothing was wrong with it any more.
func (w *world) checkDuplicates() {
	if n := w.duplicates(); n > w.allowed {
		panic(breach{fmt.Sprintf("%d duplicates, at most %d are explained by the faults", n, w.allowed)})
	}
}

// checkBackingOff: a proxy that refuses everything gets what was on its way, and then a trial per growing pause.
func (w *world) checkBackingOff(p *proxy, route int32) {
	p.row[route]++
	window := 8 // packs, or so many bytes in packs of one record
	if w.mode == finality.Settle {
		window = 40
	}
	if most := (window*w.knobs.conns + 20) * len(w.members); p.row[route] > most {
		panic(breach{fmt.Sprintf("proxy %d refused %d packs of route %d in a row; a bridge that backs off sends at most %d", p.id, p.row[route], route, most)})
	}
}

// checkRefused: a pack is held or given up because two proxies refused it permanently, or the only one there is, or because
// connections ended again and again while it was alone on them.
func (s *sender) checkRefused(p *pack, why engine.Cause) {
	if s.m.w.knobs.cutRefused && why == engine.ByProxies && p.State() == engine.Done && len(p.records) > 1 && slices.ContainsFunc(p.pieces, wanted) {
		panic(breach{fmt.Sprintf("pack %d of %d records is given up whole", p.Seq(), len(p.records))})
	}
	switch why {
	case engine.NoCause, engine.ByProxies:
		if n := len(p.rejectedBy); n < 2 && n < len(s.list.Endpoints()) {
			panic(breach{fmt.Sprintf("pack %d counts as refused permanently; %d proxies said so", p.Seq(), n)})
		}
	case engine.ByIsolation:
		forgotten := !slices.ContainsFunc(p.pieces, wanted)
		if n := len(p.closedBy); !forgotten && (n < 2 || len(p.records) > 1) {
			panic(breach{fmt.Sprintf("pack %d with %d records is given up; %d proxies closed a connection at it", p.Seq(), len(p.records), n)})
		}
	case engine.ByRetries, engine.ByEncoder:
		panic(breach{fmt.Sprintf("pack %d is given up: %v", p.Seq(), why)})
	}
}

// wanted reports whether a piece still has to become final.
func wanted(pc packPiece) bool {
	_, ok := pc.token.(*assign.Assignment).Checkpoint().Undecided(checkpoint.Piece(pc.id))
	return ok
}

// checkAlone: a pack that was the oldest unanswered one when its connection ended is alone on the next one.
func (s *sender) checkAlone(of *sent) {
	others := s.unanswered(of.conn)
	if i := slices.IndexFunc(others, func(o *sent) bool { return o != of && (of.p.alone || o.p.alone) }); i >= 0 {
		panic(breach{fmt.Sprintf("packs %d and %d are on one connection; one of them is suspected to end connections", of.seq, others[i].seq)})
	}
}

// checkOneStream: a pack holds records of its stream, and of one minute.
func (s *sender) checkOneStream(of *sent) {
	for _, id := range of.records {
		if f, first := &s.m.w.facts[id], &s.m.w.facts[of.records[0]]; f.route != of.route || f.minute != first.minute {
			panic(breach{fmt.Sprintf("pack %d of route %d and minute %d holds a record of route %d and minute %d", of.seq, of.route, first.minute, f.route, f.minute)})
		}
	}
}

// checkTablesEmpty: nothing is held once all is committed.
func (m *member) checkTablesEmpty() {
	if n := m.snd.e.Known(); n != 0 {
		panic(breach{fmt.Sprintf("all is committed, but the engine knows %d packs", n)})
	}
	if len(m.snd.copies) != 0 || m.replay.Pending() != 0 {
		panic(breach{fmt.Sprintf("all is committed, but %d packs and %d rereads are held", len(m.snd.copies), m.replay.Pending())})
	}
	for p, a := range m.parts {
		if a != nil && a.Checkpoint().Unfinal() != 0 {
			panic(breach{fmt.Sprintf("partition %d: all is committed, but %d pieces are not final", p, a.Checkpoint().Unfinal())})
		}
	}
}
