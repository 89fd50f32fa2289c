package connector

import (
	"context"
	"errors"
	"time"

	"inlong-bridge/connector/internal/source"
)

// A log may end in offsets without records: compaction took the last ones. kgo moves on over them without
// a word, so that the position would never reach the end: the lag would stay above 0 and a migration would
// wait for ever. An idle partition that is not at its end is therefore asked about with one fetch by hand.

// holeAfter is how long a partition must have got nothing before it is asked.
const holeAfter = 2 * time.Second

// passHoles looks at partitions that are idle before their end and moves them over what holds no records.
func (b *Bridge) passHoles(ctx context.Context) {
	now := time.Now()
	for _, p := range b.assigned() {
		from, ok := p.idleBeforeEnd(now)
		if !ok {
			continue
		}
		next, err := b.kafka.NextRecord(ctx, p.id, p.topic.id, from)
		if errors.Is(err, source.ErrOtherTopic) {
			p.stopRecreated()
		}
		if err != nil {
			continue // the fetches of kgo see the same error, and say so
		}
		if p.passHole(from, next) {
			b.bell.ring()
		}
	}
}

// idleBeforeEnd returns the position of a partition that got nothing for a while though its log goes on.
func (p *partition) idleBeforeEnd(now time.Time) (from int64, ok bool) {
	if p.gate.Condition().Closed() || p.trying.Load() != nil {
		return 0, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gate.Ended() || len(p.parked) > 0 || p.expect >= p.high.Load() || p.limit >= 0 && p.expect >= p.limit || now.Sub(p.heard) < holeAfter {
		return 0, false
	}
	p.heard = now // asked again after the same time
	return p.expect, true
}

// passHole books [from, next) as a gap if nothing came in between.
func (p *partition) passHole(from, next int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limit >= 0 {
		next = min(next, p.limit)
	}
	if p.gate.Ended() || p.expect != from || next <= from {
		return false
	}
	p.wm.End(p.wm.Begin(next, next))
	p.expect = next
	if n := len(p.epochs); n == 0 || p.epochs[n-1].epoch >= 0 {
		p.epochs = append(p.epochs, epochFrom{from, -1}) // nothing tells in which epoch the hole ends
	}
	return true
}
