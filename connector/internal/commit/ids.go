package commit

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
)

// A topic is its id, not its name. Brokers from 4.1 on check the id of a commit (OffsetCommit v10). Older ones take
// offsets by name, so the id is asked for in the same round, before the commit. What slips in between is found
// at the next assignment, because the commit's line names the id that it was made for.

// idCheck says which topics a round may commit.
type idCheck struct {
	all    bool            // brokers check ids themselves
	agreed map[string]bool // topics whose id was confirmed in this round
	failed error           // why others were not asked with success; nil when all were
}

// mayCommit reports whether a partition's offset may be committed by its topic's name.
func (c *idCheck) mayCommit(p *assign.Assignment) bool {
	if p.Gate().Condition().Has(reason.Deleted) {
		return c.agreed[p.ID().Topic] // the same topic is back; it would not be asked for otherwise
	}
	return c.all || c.agreed[p.ID().Topic]
}

// checkIDs asks for the ids of the topics that parts are of, where they have to be asked for, and stops the
// partitions of topics that have another one. Whoever calls it holds the commit slot.
func (cm *Committer) checkIDs(ctx context.Context, parts []*assign.Assignment) *idCheck {
	c := &idCheck{all: cm.brokersCheckIDs.Load() == idsChecked, agreed: make(map[string]bool)}
	ask := make(map[string]bool)
	for _, p := range parts {
		if !c.all || p.Gate().Condition().Has(reason.Deleted) {
			ask[p.ID().Topic] = true
		}
	}
	if len(ask) == 0 {
		return c
	}
	m, err := cm.c.Source.Identify(ctx, slices.Sorted(maps.Keys(ask)))
	if err != nil {
		c.failed = fmt.Errorf("confirming the ids of topics before a commit: %w", err)
		return c
	}
	for _, p := range parts {
		switch t := m.Topics[p.ID().Topic]; {
		case !ask[p.ID().Topic]:
		case t.Err != nil:
			c.failed = fmt.Errorf("confirming the id of topic %s before a commit: %w", p.ID().Topic, t.Err)
		case part.OtherTopic(p.TopicID(), t.ID):
			p.StopRecreated()
		default:
			c.agreed[p.ID().Topic] = true
		}
	}
	return c
}

// Whether brokers check the topic id of a commit, as far as it is known.
const (
	idsUnknown   int32 = iota
	idsChecked         // a commit was answered in a version that carries ids
	idsUnchecked       // one was not: a coordinator is older. The group may move to it again, so this stays
)

// offsetCommitWithIDs is the first version of OffsetCommit that names topics by id.
const offsetCommitWithIDs = 10

// noteCommitVersion remembers in which version a commit was answered.
func (cm *Committer) noteCommitVersion(version int16) {
	if version < offsetCommitWithIDs {
		cm.brokersCheckIDs.Store(idsUnchecked)
	} else {
		cm.brokersCheckIDs.CompareAndSwap(idsUnknown, idsChecked)
	}
}
