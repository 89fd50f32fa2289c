package commit

import (
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/resume"
)

// wanting returns the partitions that have something to commit.
func wanting(parts []*assign.Assignment) (some []*assign.Assignment) {
	for _, p := range parts { // thousands, nearly all of them idle: they are not copied
		if Wants(p) {
			some = append(some, p)
		}
	}
	return some
}

// round is one request of a commit on its way.
type round struct {
	parts   []*assign.Assignment
	offers  map[*assign.Assignment]Offer
	offsets map[string]map[int32]kgo.EpochOffset
	lines   map[part.ID]resume.Line
}

// beginRound collects what is to be committed, each offset with its line. Between it and endRound the commit slot is
// held, and a revoke takes the slot before it lets a partition go: no commit is on its way when another member
// owns it.
func beginRound(parts []*assign.Assignment, check *idCheck, now time.Time) *round {
	r := &round{offers: make(map[*assign.Assignment]Offer), offsets: make(map[string]map[int32]kgo.EpochOffset), lines: make(map[part.ID]resume.Line)}
	for _, p := range wanting(parts) { // asked again: the check may have stopped some
		if !check.mayCommit(p) {
			continue
		}
		o, ok := NewOffer(p, now)
		if !ok {
			continue
		}
		of := r.offsets[p.ID().Topic]
		if of == nil {
			of = make(map[int32]kgo.EpochOffset)
			r.offsets[p.ID().Topic] = of
		}
		of[p.ID().Num] = kgo.EpochOffset{Epoch: o.Epoch, Offset: o.Offset}
		r.lines[p.ID()], r.offers[p] = o.Line, o
		r.parts = append(r.parts, p)
	}
	return r
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
