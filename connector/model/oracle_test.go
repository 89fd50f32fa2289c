package model

import (
	"fmt"
	"slices"

	"inlong-bridge/sdk/finality"
)

// breach is a broken promise; it ends a schedule.
type breach struct{ what string }

// commit is the broker's side of a commit: the one place where a loss can be seen.
func (w *world) commit(p int, offset int64) {
	w.events++
	if offset < w.src.committed[p] {
		panic(breach{fmt.Sprintf("partition %d: committed %d after %d", p, offset, w.src.committed[p])})
	}
	if offset > w.src.end[p] {
		panic(breach{fmt.Sprintf("partition %d: committed %d, beyond its end %d", p, offset, w.src.end[p])})
	}
	for _, rec := range w.src.from(p, max(w.src.committed[p], 0), int(offset-max(w.src.committed[p], 0))) {
		if rec.offset >= offset {
			break
		}
		if !w.safe(rec.recordID) {
			panic(breach{fmt.Sprintf("partition %d: committed %d, but record %d is not in the queue", p, offset, rec.offset)})
		}
	}
	w.src.committed[p] = offset
}

// safe reports whether a committed record is where it must be. In queue that is the queue itself. In
// settle a record may still be in a proxy's memory; checkNothingMissing looks again at the end.
func (w *world) safe(id recordID) bool {
	if w.inQueue[id] > 0 {
		return true
	}
	if w.mode != finality.Settle {
		return false
	}
	for _, p := range w.proxies {
		for _, h := range p.memory {
			if slices.Contains(h.msg.records, id) {
				return true
			}
		}
	}
	return false
}

// done reports whether everything produced is committed.
func (w *world) done() bool {
	for p, recs := range w.src.records {
		if len(recs) > 0 && w.src.committed[p] <= recs[len(recs)-1].offset {
			return false
		}
	}
	return true
}

func (w *world) checkNothingMissing() {
	for _, recs := range w.src.records {
		for _, rec := range recs {
			if w.inQueue[rec.recordID] == 0 {
				panic(breach{fmt.Sprintf("record %d/%d is committed and not in the queue", rec.partition, rec.offset)})
			}
		}
	}
}

func (w *world) duplicates() int {
	n := 0
	for _, copies := range w.inQueue {
		n += copies - 1
	}
	return n
}

// checkDuplicates holds the copies against what was not final at each fault, plus what the rules of a
// living connection gave up while nothing was wrong with it any more.
func (w *world) checkDuplicates() {
	if n := w.duplicates(); n > w.duplicatesAllowed {
		panic(breach{fmt.Sprintf("%d duplicates, at most %d are explained by the faults", n, w.duplicatesAllowed)})
	}
}

// checkTablesEmpty: nothing is held once all is committed.
func (b *bridge) checkTablesEmpty() {
	if open, lost := b.m.Open(); open != 0 || lost != 0 {
		panic(breach{fmt.Sprintf("all is committed, but %d packs are open and %d lost", open, lost)})
	}
	if len(b.packs) != 0 || len(b.rereads) != 0 {
		panic(breach{fmt.Sprintf("all is committed, but %d packs and %d rereads are held", len(b.packs), len(b.rereads))})
	}
	for p, a := range b.assigned {
		if a != nil && a.Unfinal() != 0 {
			panic(breach{fmt.Sprintf("partition %d: all is committed, but %d pieces are not final", p, a.Unfinal())})
		}
	}
}
