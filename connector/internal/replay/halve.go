package replay

import (
	"slices"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/part"
)

// A piece that proxies do not take holds a record that they do not stand. Read again it becomes two pieces, and so on, until that
// record is alone.

// Halve is Add for a piece whose records become two pieces, each of fewer records than it has.
func (p *Planner) Halve(a Assignment, pc checkpoint.Piece, o checkpoint.Origin) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tasks[&task{of: a, piece: pc, origin: o, from: o.First, halve: true}] = struct{}{}
}

// upTo returns the end of the run of records from the n-th of a batch of so many that may share a piece. The first n are handed over.
func (t *task) upTo(n, records int) int {
	half := int(t.origin.Records) / 2
	if left := half - int(t.found); t.halve && left > 0 {
		return min(n+left, records)
	}
	return records
}

// turn picks those of a partition's tasks that are read next: those that are halved and the others take turns, so that neither waits
// for all of the other kind.
func (p *Planner) turn(id part.ID, tasks []*task) []*task {
	halved := slices.DeleteFunc(slices.Clone(tasks), func(t *task) bool { return !t.halve })
	if len(halved) == 0 || p.halved[id] && len(halved) < len(tasks) {
		delete(p.halved, id)
		return slices.DeleteFunc(tasks, func(t *task) bool { return t.halve })
	}
	p.halved[id] = true
	return halved
}
