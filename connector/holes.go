package connector

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
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
		next, err := b.nextRecord(ctx, p, from)
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

// nextRecord returns the offset of the first record from offset on, or where the fetched part of the log
// ends when there is none in it.
func (b *Bridge) nextRecord(ctx context.Context, p *partition, from int64) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	isolation := kgo.ReadUncommitted()
	if b.cfg.Kafka.Isolation == "read_committed" {
		isolation = kgo.ReadCommitted()
	}
	fp, next, err := b.fetchAt(ctx, p.id, p.topic.id, from, isolation)
	switch {
	case errors.Is(err, errOtherTopic):
		p.stopRecreated()
		return from, nil
	case err != nil:
		return 0, err
	case len(fp.Records) > 0:
		return fp.Records[0].Offset, nil
	}
	return next, nil
}

// unfolding is what a client unfolds batches with, and has its bound (kgo.MaxDecompressBatchBytes). The client library's default
// has none to speak of: it would unfold a batch of some KiB to 2 GiB.
func unfolding(cl *kgo.Client) kgo.Decompressor {
	d, _ := cl.OptValue(kgo.WithDecompressor).(kgo.Decompressor)
	return d
}
