package connector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/connector/watermark"
)

// Migrate moves every partition up to the end offset it had at the start, calls progress once a second,
// and returns a verdict per partition. It takes the very way of Run, and goes on from the group's commits:
// stopped half-way, it is resumed by the next Migrate. The error is that of Run; nil does not mean that
// the books are closed, which is what Verdict.Closed says.
func (b *Bridge) Migrate(ctx, hard context.Context, progress func(Progress)) (Verdict, error) {
	m := &migration{b: b, progress: progress, books: make(map[tp]watermark.Ledger), committed: make(map[tp]int64)}
	b.migration, b.onClose = m, m.book
	err := b.run(ctx, hard, m.watch)
	v := m.verdict()
	if err == nil && ctx.Err() != nil && !v.Closed { // what was sent is drained; the rest was not fetched
		err = fmt.Errorf("%w: told to stop before everything was moved; the next start goes on from the committed offsets", ErrUnfinished)
	}
	return v, err
}

// Progress is the sum over all partitions of a migration.
type Progress struct {
	Partitions, Done int
	Offsets, Moved   int64  // to move in all, safe so far
	Reason           string // why nothing moves, if so
}

// PartitionVerdict closes the books of one partition of a migration. Final, Skipped, Gap and Lost are what
// this process moved.
type PartitionVerdict struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Start     int64  `json:"start"`
	End       int64  `json:"end"`
	Committed int64  `json:"committed"`
	Final     int64  `json:"final"`
	Skipped   int64  `json:"skipped"`
	Gap       int64  `json:"gap"`
	Lost      int64  `json:"lost"`
	Closed    bool   `json:"closed"`
	Reason    string `json:"reason,omitempty"`
}

// Verdict is the end of a migration.
type Verdict struct {
	Partitions []PartitionVerdict `json:"partitions"`
	Closed     bool               `json:"closed"`
}

// migration is the bounded run: where each partition begins and ends.
type migration struct {
	b        *Bridge
	progress func(Progress)
	plans    []planned // set before anything runs

	mu        sync.Mutex
	books     map[tp]watermark.Ledger // guarded by mu; of assignments that have ended
	committed map[tp]int64            // guarded by mu; highest seen, of any member
	halted    map[tp]string           // guarded by mu; why a partition stopped
}

type planned struct {
	id         tp
	start, end int64
	done       bool   // nothing is to be moved
	reason     string // why not
}

// plan takes the end offsets and says what is to be moved. It reports whether anything is.
func (m *migration) plan(ctx context.Context) (work bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ends, err := m.b.admin.ListEndOffsets(ctx, m.b.consumed()...)
	if err != nil {
		return false, kafkaclient.Explain(err, "listing end offsets")
	}
	offsets := make(map[string]map[int32]kgo.Offset)
	for topic, parts := range ends {
		offsets[topic] = make(map[int32]kgo.Offset)
		for num, o := range parts {
			if o.Err != nil {
				return false, kafkaclient.Explain(o.Err, "listing end offsets of "+topic)
			}
			offsets[topic][num] = kgo.NewOffset()
		}
	}
	bounds, err := m.b.bounds(ctx, offsets)
	if err != nil {
		return false, kafkaclient.Explain(err, "listing offsets")
	}
	if err := m.refresh(ctx); err != nil {
		return false, err
	}
	limits := make(map[tp]int64)
	for id, bd := range bounds {
		if bd.err != nil {
			return false, kafkaclient.Explain(bd.err, "listing offsets of "+id.String())
		}
		o, _ := ends.Lookup(id.topic, id.partition)
		p := planned{id: id, end: o.Offset}
		was, ok := m.committed[id]
		if !ok {
			was = -1
		}
		p.start = beginAt(id, was, bd.start, max(bd.end, was), bd.at, false).offset
		switch {
		case was >= p.end && was >= 0:
			p.done, p.reason = true, "committed up to its end before"
		case p.start >= p.end:
			p.done, p.reason = true, "holds nothing to move"
		}
		work = work || !p.done
		limits[id] = p.end
		m.plans = append(m.plans, p)
	}
	slices.SortFunc(m.plans, func(a, b planned) int {
		return cmp.Or(cmp.Compare(a.id.topic, b.id.topic), cmp.Compare(a.id.partition, b.id.partition))
	})
	m.b.mu.Lock()
	m.b.ends = limits
	m.b.mu.Unlock()
	return work, nil
}

// refresh asks for the group's commits: those of other members count too.
func (m *migration) refresh(ctx context.Context) error {
	group := m.b.cfg.Kafka.Group
	var os kadm.OffsetResponses
	os, err := m.b.admin.FetchOffsets(ctx, group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return kafkaclient.Explain(err, "reading the offsets of group "+group)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	os.Each(func(o kadm.OffsetResponse) {
		if o.Err == nil && o.At >= 0 {
			id := tp{o.Topic, o.Partition}
			m.committed[id] = max(m.committed[id], o.At)
		}
	})
	return nil
}

// watch ends the run once every partition is committed up to its end, or all that are not have stopped.
func (m *migration) watch(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if n%10 == 9 {
			_ = m.refresh(ctx) // asked again in a second
		}
		p, stuck := m.look()
		if n%10 == 0 && m.progress != nil {
			m.progress(p)
		}
		if p.Done == p.Partitions || stuck {
			if m.progress != nil {
				m.progress(p)
			}
			return errDone
		}
	}
}

// look sums up. stuck means that every partition that is not done has stopped.
func (m *migration) look() (p Progress, stuck bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.halted = make(map[tp]string)
	stuck = true
	var blocked string
	for i := range m.plans {
		pl := &m.plans[i]
		p.Partitions++
		p.Offsets += pl.end - min(pl.start, pl.end)
		safe := pl.start
		if a := m.b.lookup(pl.id); a != nil && !pl.done {
			safe = max(safe, a.wm.Watermark())
			m.committed[pl.id] = max(m.committed[pl.id], a.wm.Committed())
			if h := a.halted.Load(); h != nil {
				m.halted[pl.id], blocked = h.reason, h.reason
			}
		}
		safe = max(safe, m.committed[pl.id])
		p.Moved += max(0, min(safe, pl.end)-pl.start)
		switch {
		case pl.done || m.committed[pl.id] >= pl.end:
			p.Done++
		case m.halted[pl.id] == "":
			stuck = false
		}
	}
	if p.Done < p.Partitions {
		m.b.mu.RLock()
		p.Reason = cmp.Or(m.b.groupErr, m.b.hold, blocked)
		m.b.mu.RUnlock()
	}
	return p, stuck && p.Done < p.Partitions
}

// book adds the ledger of an assignment that ends. What it moved and could not commit is moved again by
// the next assignment, and is then booked there.
func (m *migration) book(p *partition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, at := p.wm.Ledger(), p.wm.Committed()
	m.committed[p.id] = max(m.committed[p.id], at)
	if h := p.halted.Load(); h != nil {
		if m.halted == nil {
			m.halted = make(map[tp]string)
		}
		m.halted[p.id] = h.reason
	}
	if at != l.Watermark {
		return
	}
	sum := m.books[p.id]
	sum.Final += l.Final
	sum.Skipped += l.Skipped
	sum.Gap += l.Gap
	sum.Lost += l.Lost
	sum.Quarantined += l.Quarantined
	m.books[p.id] = sum
}

func (m *migration) verdict() Verdict {
	m.mu.Lock()
	defer m.mu.Unlock()
	v := Verdict{Closed: len(m.plans) > 0}
	for i := range m.plans {
		pl := &m.plans[i]
		l := m.books[pl.id]
		at, ok := m.committed[pl.id]
		if !ok {
			at = -1
		}
		pv := PartitionVerdict{
			Topic: pl.id.topic, Partition: pl.id.partition, Start: pl.start, End: pl.end, Committed: at,
			Final: l.Final, Skipped: l.Skipped, Gap: l.Gap, Lost: l.Lost, Closed: pl.done || at >= pl.end, Reason: pl.reason,
		}
		sum := l.Final + l.Skipped + l.Gap + l.Lost + l.Quarantined
		switch {
		case !pv.Closed && m.halted[pl.id] != "":
			pv.Reason = m.halted[pl.id]
		case !pv.Closed:
			pv.Reason = fmt.Sprintf("stopped at offset %d of %d; the next run goes on from there", max(at, pl.start), pl.end)
		case !pl.done && sum < pl.end-pl.start:
			pv.Reason = fmt.Sprintf("%d offsets were moved by another member of the group, or their commit was not confirmed in time", pl.end-pl.start-sum)
		}
		v.Closed = v.Closed && pv.Closed
		v.Partitions = append(v.Partitions, pv)
	}
	return v
}
