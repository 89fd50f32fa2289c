package commit

import (
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
	"inlong-bridge/connector/resume"
)

// wanting returns the partitions that have something to commit. One that was created again or cut off commits
// nothing more: its offsets mean nothing in the log that is there now.
func wanting(parts []*assign.Assignment) []*assign.Assignment {
	var out []*assign.Assignment
	for _, p := range parts {
		if p.Gate().Condition().Has(reason.Recreated, reason.Truncated) {
			continue
		}
		if p.Checkpoint().Uncommitted() || p.MustRestate() {
			out = append(out, p)
		}
	}
	return out
}

// round is one commit on its way.
type round struct {
	parts   []*assign.Assignment
	first   map[*assign.Assignment]bool // commits where the assignment began, not a checkpoint
	offsets map[string]map[int32]kgo.EpochOffset
	lines   map[part.ID]resume.Line
}

// beginRound collects what is to be committed, each offset with its line. Between it and endRound the commit slot is
// held, and a revoke takes the slot before it lets a partition go: no commit is on its way when another member
// owns it.
func beginRound(parts []*assign.Assignment, check *idCheck, now time.Time) *round {
	r := &round{first: make(map[*assign.Assignment]bool), offsets: make(map[string]map[int32]kgo.EpochOffset), lines: make(map[part.ID]resume.Line)}
	for _, p := range wanting(parts) { // asked again: the check may have stopped some
		if !check.mayCommit(p) {
			continue
		}
		offset, ok := p.Checkpoint().BeginCommit()
		books := p.From.Books
		if ok {
			books = books.Add(ledgerBooks(p.Checkpoint().Offered()))
		} else {
			if !p.MustRestate() {
				continue
			}
			offset, r.first[p] = p.Start, true
		}
		if !books.Close(offset) {
			panic(fmt.Sprintf("bug: the books of %s do not close at %d: %+v", p.ID(), offset, books))
		}
		of := r.offsets[p.ID().Topic]
		if of == nil {
			of = make(map[int32]kgo.EpochOffset)
			r.offsets[p.ID().Topic] = of
		}
		of[p.ID().Num] = kgo.EpochOffset{Epoch: p.EpochAt(offset), Offset: offset}
		r.lines[p.ID()] = resume.Line{Cluster: p.Cluster, Topic: p.TopicID(), Seen: p.From.Sight, At: now, Books: books}
		r.parts = append(r.parts, p)
	}
	return r
}

// ledgerBooks turns the ledger of one assignment into books that begin where it began.
func ledgerBooks(l checkpoint.Ledger) resume.Books {
	return resume.Books{From: l.Start, Final: l.Final, Skipped: l.Skipped, Gap: l.Gap, Lost: l.Lost, Dead: l.Quarantined}
}

// attach sets the metadata of each partition of a request; kgo would send its member id. It must not block.
func (r *round) attach(req *kmsg.OffsetCommitRequest, lines bool) {
	for i := range req.Topics {
		t := &req.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			var metadata string
			if l, ok := r.lines[part.ID{Topic: t.Topic, Num: p.Partition}]; ok && lines {
				metadata = l.String()
			}
			p.Metadata = &metadata
		}
	}
}
