package assign

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/requeue"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/internal/trail"
	"inlong-bridge/connector/lineage"
	"inlong-bridge/connector/resume"
	"inlong-bridge/sdk"
)

// In a requeue the records come from a dead-letter topic, and what their packs tell is of their originals. A batch tells of one
// source, so a chunk has originals of one partition; and with it each piece, also one that is read again.

// requeued has the originals of a partition travel as its rule says.
func (s *Splitter) requeued(rec *kgo.Record) {
	if l := requeue.Of(rec); l != nil { // hardly ever
		s.content = s.originals.Content(l)
	}
}

// packAttrs are those of packs of the originals of a partition, or where nothing is requeued of the topic's records.
func (p *Assignment) packAttrs(from *requeue.Letter) *sdk.PackAttrs {
	if from != nil {
		return route.PackAttrsOf(from)
	}
	return p.Router.PackAttrs()
}

// leaves reports whether a record comes from another partition than the chunk's.
func (c *chunk) leaves(rec *kgo.Record) bool {
	if c.from == nil { // mostly
		return false
	}
	l := requeue.Of(rec)
	return l != nil && l.Verdict == requeue.Chosen && !l.SameHome(c.from)
}

// follow notes where a record of a group comes from, in a requeue.
func (c *chunk) follow(g *group, rec *kgo.Record) {
	l := requeue.Of(rec)
	if l == nil { // mostly
		return
	}
	if c.from == nil {
		c.from = l
	}
	g.told = append(g.told, l.Offset)
}

// tellChunk completes what the next batch of a group tells.
func (p *Assignment) tellChunk(o *trail.Origins, c *chunk, g *group) {
	if c.from != nil {
		tellRequeued(o, c.from, g.told[g.sent:])
		return
	}
	p.tellOrigins(o, g.offsets[g.sent:])
}

// tellRequeued completes what a batch of originals tells. Nothing is known of what is committed where they come from.
func tellRequeued(o *trail.Origins, from *requeue.Letter, offsets []int64) {
	o.Source = lineage.SourceOf(lineage.ClusterOf(from.Cluster), resume.TopicID(from.TopicID), from.Topic, from.Partition)
	o.Committed, o.Offsets = lineage.None, offsets
}
