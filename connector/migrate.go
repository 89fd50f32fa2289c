package connector

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/source"
	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/connector/reason"
	"inlong-bridge/connector/resume"
)

// Migrate moves every partition up to the end offset it had at the start, calls progress once a second,
// and returns a verdict per partition. It takes the very way of Run, and goes on from the group's commits:
// stopped half-way, it is resumed by the next Migrate, and the books of both are one, because they live in the
// commits. The error is that of Run; nil says nothing of what was moved, which is what Verdict.Result says.
func (b *Bridge) Migrate(ctx, hard context.Context, progress func(Progress)) (Report, error) {
	m := &migration{b: b, progress: progress, commits: make(map[part.ID]resume.Commit), booked: make(map[part.ID]assign.BookedCommit), stopped: make(map[part.ID]stop)}
	b.migration = m
	err := b.run(ctx, hard, m.watch)
	v := m.report()
	if err == nil && ctx.Err() != nil && v.Result != Pass && !m.allDone() { // what was sent is drained; the rest was not fetched
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

// migration is the bounded run: where each partition begins and ends.
type migration struct {
	b        *Bridge
	progress func(Progress)
	plans    []planned // set before anything runs
	cluster  string    // id of the Kafka cluster; set before anything runs

	mu      sync.Mutex
	ends    map[part.ID]planEnd             // guarded by mu; where each partition ends
	commits map[part.ID]resume.Commit       // guarded by mu; as read from the broker, of any member
	booked  map[part.ID]assign.BookedCommit // guarded by mu; what this process committed, for brokers that take no lines
	stopped map[part.ID]stop                // guarded by mu; partitions that have stopped
	waiting string                          // guarded by mu; what the group waits for before it lets this member in
}

// planned is one partition: everything of it from start to end is to be moved.
type planned struct {
	id         part.ID
	topic      resume.TopicID
	start, end int64
	from       source.Begin
	done       bool   // nothing is to be moved
	reason     string // why not
}

// stop is why a partition has stopped.
type stop struct {
	why     string
	lasting bool // it does not end by itself, or has not within stopPatience
}

// planEnd is where a partition ends, and of which topic.
type planEnd struct {
	offset int64
	topic  resume.TopicID
}

// plan takes the end offsets and says what is to be moved. It reports whether anything is.
func (m *migration) plan(ctx context.Context) (work bool, err error) {
	var s *source.Survey
	err = m.b.awaitStart(ctx, "offsets", outlookOf, func(ctx context.Context) (err error) {
		s, err = m.ask(ctx)
		return err
	})
	if err != nil {
		return false, err
	}
	m.cluster = s.Cluster
	m.mu.Lock()
	m.commits = s.Commits
	m.mu.Unlock()
	ends := make(map[part.ID]planEnd, len(s.Logs))
	for id, log := range s.Logs {
		// What retention took is found at the assignment, where on_gap decides; here the books would begin behind it.
		p := planned{id: id, topic: s.Topics[id.Topic].ID, end: log.End, from: s.Begin(id, false)}
		p.start = p.from.Offset
		switch {
		case p.from.Refused != nil:
			p.reason = source.DeletedTopic(id, p.from.Refused, p.topic).Text()
		case p.from.Stop != nil && (p.from.Stop.Code == reason.Truncated || p.from.Stop.Code == reason.NoStart):
			p.reason = p.from.Stop.Text()
		case p.start < p.end:
		case p.from.CommitFirst:
			p.done, p.reason = true, "holds nothing to move"
		default:
			p.done, p.reason = true, "committed up to its end before"
		}
		work = work || !p.done
		ends[id] = planEnd{offset: p.end, topic: p.topic}
		m.plans = append(m.plans, p)
	}
	slices.SortFunc(m.plans, func(a, b planned) int { return a.id.Compare(b.id) })
	m.mu.Lock()
	m.ends = ends
	m.mu.Unlock()
	return work, nil
}

// limitOf is where a partition ends and of which topic that is.
func (m *migration) limitOf(id part.ID) (limit int64, of resume.TopicID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.ends[id] // 0 for a partition that is newer than the migration: nothing of it is moved
	return e.offset, e.topic
}

// ask asks for all that is planned with: offsets of every partition, or an error.
func (m *migration) ask(ctx context.Context) (*source.Survey, error) {
	names := m.b.table.Consumed()
	described, err := m.b.kafka.Identify(ctx, names)
	if err != nil {
		return nil, kafkaclient.Explain(err, "asking for the partitions of topics")
	}
	parts := make(map[string][]int32)
	for _, name := range names {
		if err := described.Topics[name].Err; err != nil {
			return nil, kafkaclient.Explain(err, "asking for the partitions of topic "+name)
		}
		parts[name] = described.Topics[name].Partitions
	}
	s, err := m.b.kafka.Survey(ctx, parts)
	if err != nil {
		return nil, kafkaclient.Explain(err, "listing offsets")
	}
	for id, log := range s.Logs {
		if log.Err != nil {
			return nil, kafkaclient.Explain(log.Err, "listing offsets of "+id.String())
		}
	}
	return s, nil
}

// refreshTime bounds one question for what the group committed, the last of a bridge among them.
const refreshTime = 5 * time.Second

// refresh asks for the group's commits: those of other members count too.
func (m *migration) refresh(ctx context.Context) {
	commits, err := m.b.kafka.FetchCommits(ctx)
	if err != nil {
		return // asked again in a second, and at the end this process knows its own
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.commits = commits
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
			ask, cancel := context.WithTimeout(ctx, refreshTime)
			m.refresh(ask)
			m.askGroup(ask)
			cancel()
		}
		p, stuck := m.look()
		over := p.Done == p.Partitions || stuck
		if (n%10 == 0 || over) && m.progress != nil {
			if !over {
				p.Reason = m.why()
			}
			m.progress(p)
		}
		if over {
			return errDone
		}
	}
}

// look sums up. stuck means that every partition that is not done has stopped.
func (m *migration) look() (p Progress, stuck bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.stopped)
	stuck = true
	for i := range m.plans {
		pl := &m.plans[i]
		p.Partitions++
		p.Offsets += pl.end - min(pl.start, pl.end)
		safe := pl.start
		if a := m.b.table.Lookup(pl.id); a != nil && !pl.done {
			safe = max(safe, a.Checkpoint().Checkpoint())
			m.noteLocked(a)
			if stop := m.stopped[pl.id]; stop.lasting {
				p.Reason = stop.why
			}
		}
		safe = max(safe, m.committedLocked(pl))
		p.Moved += max(0, min(safe, pl.end)-pl.start)
		switch {
		case m.doneLocked(pl):
			p.Done++
		case !m.stopped[pl.id].lasting:
			stuck = false
		}
	}
	return p, stuck && p.Done < p.Partitions
}

// why returns the first reason of /status for which nothing moves, and how many more there are.
func (m *migration) why() string {
	s := m.b.Status()
	var reasons []string
	m.mu.Lock()
	if m.waiting != "" {
		reasons = append(reasons, m.waiting)
	}
	m.mu.Unlock()
	if s.Memory.Hold != "" {
		reasons = append(reasons, s.Memory.Hold)
	}
	reasons = append(reasons, s.Ready.Reasons...)
	switch len(reasons) {
	case 0:
		return ""
	case 1:
		return reasons[0]
	}
	return fmt.Sprintf("%s (and %d more reasons in /status)", reasons[0], len(reasons)-1)
}

// askGroup finds out why this member has no partitions yet: Kafka keeps the place of a member that died without a
// word until its session ends.
func (m *migration) askGroup(ctx context.Context) {
	why := ""
	if m.b.consumer.Counters.Assigned.Load() == 0 {
		group := m.b.cfg.Kafka.Group
		if ds, err := m.b.admin.DescribeGroups(ctx, group); err == nil {
			own, _ := m.b.consumer.Group.GroupMetadata()
			others := 0
			for _, member := range ds[group].Members {
				others += btoi(member.MemberID != own)
			}
			if ds[group].State == "PreparingRebalance" && others > 0 {
				why = fmt.Sprintf("waiting for the group: a former member's session has not ended, up to session_timeout (%v)", m.b.cfg.Kafka.SessionTimeout)
			} else if others > 0 {
				why = fmt.Sprintf("waiting for the group: it is %s with %d other members, which may hold all partitions", ds[group].State, others)
			}
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.waiting = why
}

// stopPatience is how long a stop that may end by itself must last before a migration takes the partition for stopped.
const stopPatience = time.Minute

// noteLocked remembers what an assignment committed, and why it stopped if it did; m.mu is held.
func (m *migration) noteLocked(p *assign.Assignment) {
	if c := p.Commits.Booked(); c != nil && c.Offset >= m.booked[p.Partition].Offset {
		m.booked[p.Partition] = *c
	}
	if h := p.Stopped(); h != nil && !p.From.Again {
		m.stopped[p.Partition] = stop{m.b.textOf(h), !h.MayEnd() || time.Since(h.Since) >= stopPatience}
	}
}

// commitLocked returns the newest known offset of a planned partition that is of the planned topic, with its books;
// m.mu is held. The broker's answer is older than what this process committed since.
func (m *migration) commitLocked(pl *planned) (c assign.BookedCommit, told bool) {
	c.Offset = -1
	if k, ok := m.commits[pl.id]; ok {
		switch trust := k.Judge(m.cluster, pl.topic); {
		case trust == resume.Refused:
		case trust == resume.Known && k.Line.Books.Close(k.Offset):
			c, told = assign.BookedCommit{Offset: k.Offset, Books: k.Line.Books}, true
		default:
			c.Offset = k.Offset
		}
	}
	if own, ok := m.booked[pl.id]; ok && (own.Offset > c.Offset || own.Offset == c.Offset && !told) {
		return own, true
	}
	return c, told
}

func (m *migration) committedLocked(pl *planned) int64 {
	c, _ := m.commitLocked(pl)
	return c.Offset
}

// doneLocked reports whether a partition needs nothing more; m.mu is held.
func (m *migration) doneLocked(pl *planned) bool {
	return pl.done || pl.reason == "" && m.committedLocked(pl) >= pl.end
}

func (m *migration) allDone() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.plans {
		if !m.doneLocked(&m.plans[i]) {
			return false
		}
	}
	return len(m.plans) > 0
}

// book remembers an assignment that ends.
func (m *migration) book(p *assign.Assignment) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.noteLocked(p)
}

func (m *migration) report() Report {
	m.mu.Lock()
	defer m.mu.Unlock()
	parts := make([]PartitionReport, 0, len(m.plans))
	for i := range m.plans {
		pl := &m.plans[i]
		c, told := m.commitLocked(pl)
		pv := PartitionReport{Topic: pl.id.Topic, Partition: pl.id.Num, End: pl.end, Committed: c.Offset, Closed: m.doneLocked(pl), Reason: pl.reason}
		if pl.topic != (resume.TopicID{}) {
			pv.TopicID = pl.topic.String()
		}
		books := pl.from.Books
		switch {
		case told:
			books = c.Books
		case c.Offset > pl.from.Offset: // another member of the group committed it, without books
			books = resume.Books{From: c.Offset, Passed: books.Passed, Unproven: books.Unproven + c.Offset - books.From}
		}
		pv.enter(books)
		if !pv.Closed && pv.Reason == "" {
			if pv.Reason = m.stopped[pl.id].why; pv.Reason == "" {
				pv.Reason = openText(max(c.Offset, pl.start), pl.end)
			} else {
				pv.Reason += "; starting again does not help before that is done"
			}
		}
		parts = append(parts, pv)
	}
	return newReport(m.b.cfg.Delivery.Confirm, parts)
}
