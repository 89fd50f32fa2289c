package model

import (
	"fmt"
	"slices"
	"sort"

	"inlong-bridge/connector/internal/source"
	"inlong-bridge/connector/resume"
)

// fate is what became of a record in the source.
type fate uint8

const (
	kept      fate = iota
	compacted      // compaction took it, which is what the topic's owner wants
	retained       // retention took it
	cut            // an unclean election cut it off
	deleted        // its topic was deleted
)

// fact is what the world knows of a record for ever.
type fact struct {
	partition int
	offset    int64
	topic     resume.TopicID
	route     int32
	minute    int32
	fate      fate
	arrived   bool // a copy that can be read reached the queue
	puts      int  // copies that reached the queue
	present   int  // copies that lie there now
	read      bool // a bridge read a copy there
	early     bool // produced before the group had a commit of the partition, or fetched it
	passed    bool // kafka.start: latest passed over it
}

// record is one that the source holds.
type record struct {
	id            int // index of its fact
	offset        int64
	route, minute int32
	epoch         int32
}

// topicLog is one partition of the source.
type topicLog struct {
	records    []record // ascending offsets, with holes
	start, end int64
	epochs     []epochStart // never empty
}

type epochStart struct {
	epoch int32
	at    int64
}

func newLog(epoch int32) *topicLog { return &topicLog{epochs: []epochStart{{epoch, 0}}} }

func (l *topicLog) epoch() int32 { return l.epochs[len(l.epochs)-1].epoch }

// elect has another leader: what it appends is of a new epoch.
func (l *topicLog) elect() { l.epochs = append(l.epochs, epochStart{l.epoch() + 1, l.end}) }

// endOf is what a leader answers when it is asked where an epoch ends: of that epoch, or the newest before it.
func (l *topicLog) endOf(epoch int32) source.EpochEnd {
	for i, e := range slices.Backward(l.epochs) {
		if e.epoch <= epoch {
			if i+1 < len(l.epochs) {
				return source.EpochEnd{LeaderEpoch: e.epoch, EndOffset: l.epochs[i+1].at}
			}
			return source.EpochEnd{LeaderEpoch: e.epoch, EndOffset: l.end}
		}
	}
	return source.EpochEnd{LeaderEpoch: -1, EndOffset: -1}
}

// epochOf is the leader epoch of the record at an offset.
func (l *topicLog) epochOf(offset int64) (epoch int32, found bool) {
	if i := l.index(offset); i < len(l.records) && l.records[i].offset == offset {
		return l.records[i].epoch, true
	}
	return -1, false
}

func (l *topicLog) index(offset int64) int {
	return sort.Search(len(l.records), func(i int) bool { return l.records[i].offset >= offset })
}

// kafka is a Kafka topic of the group's, and what the group committed.
type kafka struct {
	cluster string
	id      resume.TopicID
	lives   int
	logs    []*topicLog
	ids     [][]int // by partition: all records that the topic of this life ever held
	cutAt   []int64 // by partition: below it nothing was cut off since an operator looked, -1 for nothing at all
	byHand  []bool  // by partition: an operator set the group's offset
	fetched []bool  // by partition: a member of the group did
	group   group
}

func (s *kafka) create(partitions int) {
	s.lives++
	s.id = resume.TopicID{byte(s.lives), byte(s.lives >> 8), 1}
	s.logs, s.ids, s.cutAt, s.byHand, s.fetched = nil, nil, nil, nil, nil
	for range partitions {
		s.grow()
	}
}

// grow adds a partition.
func (s *kafka) grow() {
	s.logs, s.ids, s.cutAt = append(s.logs, newLog(0)), append(s.ids, nil), append(s.cutAt, -1)
	s.byHand, s.fetched = append(s.byHand, false), append(s.fetched, false)
	if g := &s.group; len(g.owner) < len(s.logs) {
		g.committed, g.owner, g.generation = append(g.committed, noCommit), append(g.owner, nil), append(g.generation, 0)
	}
}

func (w *world) produce(p, n int) {
	l := w.src.logs[p]
	for range n {
		if w.r.IntN(8) == 0 {
			l.end += int64(1 + w.r.IntN(4)) // a control record, or an aborted transaction
		}
		route := int32(w.r.IntN(w.routes))
		w.facts = append(w.facts, fact{partition: p, offset: l.end, topic: w.src.id, route: route, minute: w.minute, early: w.src.group.committed[p].offset < 0 && !w.src.fetched[p]})
		l.records = append(l.records, record{len(w.facts) - 1, l.end, route, w.minute, l.epoch()})
		w.src.ids[p] = append(w.src.ids[p], len(w.facts)-1)
		l.end++
	}
}

// drop removes records for a reason.
func (w *world) drop(l *topicLog, why fate, gone func(r record) bool) (n int) {
	l.records = slices.DeleteFunc(l.records, func(r record) bool {
		if !gone(r) {
			return false
		}
		w.facts[r.id].fate = why
		n++
		return true
	})
	return n
}

// compact removes some records of a partition, never the last ones.
func (w *world) compact(p int) {
	l := w.src.logs[p]
	upTo, share := l.end-5, 2+w.r.IntN(4)
	if n := w.drop(l, compacted, func(r record) bool { return r.offset < upTo && w.r.IntN(share) == 0 }); n > 0 {
		w.happened(recordsCompacted)
	}
}

// retain moves the start of a partition's log.
func (w *world) retain(p int, start int64) {
	l := w.src.logs[p]
	l.start = max(l.start, min(start, l.end))
	if n := w.drop(l, retained, func(r record) bool { return r.offset < l.start }); n > 0 {
		w.happened(recordsRetained)
	}
}

// truncate cuts a partition's log off, as an unclean election does.
func (w *world) truncate(p int, at int64) {
	l := w.src.logs[p]
	at = max(at, l.start)
	if at >= l.end {
		return
	}
	w.drop(l, cut, func(r record) bool { return r.offset >= at })
	next := l.epoch() + 1
	l.epochs = slices.DeleteFunc(l.epochs, func(e epochStart) bool { return e.at >= at })
	l.epochs = append(l.epochs, epochStart{next, at})
	l.end = at
	if w.src.cutAt[p] < 0 || at < w.src.cutAt[p] {
		w.src.cutAt[p] = at
	}
	w.happened(logTruncated)
}

// recreate deletes the topic and creates another one of its name. Brokers may keep the group's offsets.
func (w *world) recreate() {
	for _, m := range w.members {
		for p, a := range m.parts {
			if a != nil && a.lost {
				w.chargeUncommitted(m, p)
			}
		}
	}
	for _, l := range w.src.logs {
		w.drop(l, deleted, func(record) bool { return true })
	}
	w.src.create(len(w.src.logs))
	for p, c := range w.src.group.committed {
		// An offset that an operator set has no line: it would be believed.
		if w.knobs.brokersDropOffsets || !c.read().Ours {
			w.src.group.committed[p] = noCommit
		}
	}
	w.happened(topicRecreated)
}

func (w *world) addPartition() {
	w.src.grow()
	w.happened(partitionAdded)
}

// passOver notes that a member began at the log's end, as kafka.start: latest says. It may pass over what was there
// before the group had a commit of the partition, and nothing else.
func (w *world) passOver(p int) {
	w.happened(startPassedOver)
	for _, id := range w.src.ids[p] {
		f := &w.facts[id]
		f.passed = f.passed || f.early && w.knobs.startLatest
	}
}

// fetchError is why a fetch brings nothing.
type fetchError uint8

const (
	fetchOK     fetchError = iota
	otherTopic             // UNKNOWN_TOPIC_ID
	outOfRange             // OFFSET_OUT_OF_RANGE
	logDiverged            // the log was cut off below the offset (KIP-320)
)

// fetch answers as a broker does. epoch is that of the record before the offset, -1 when it is not known.
func (w *world) fetch(p int, id resume.TopicID, offset int64, epoch int32, n int) ([]record, fetchError) {
	w.events++
	l := w.src.logs[p]
	if epoch < 0 && id == w.src.id {
		w.bare(p, offset)
	}
	switch {
	case id != w.src.id:
		return nil, otherTopic
	case epoch >= 0 && offset > l.start && w.diverges(p, offset, epoch):
		return nil, logDiverged
	case offset < l.start || offset > l.end:
		return nil, outOfRange
	}
	i := l.index(offset)
	return l.records[i:min(i+n, len(l.records))], fetchOK
}

// bare notes that a member goes on at an offset of which nobody knows the leader epoch. Where the log was cut off below it
// and has grown again, nothing tells: the records in between are passed over.
func (w *world) bare(p int, offset int64) {
	at := w.src.cutAt[p]
	if at < 0 || offset <= at || offset > w.src.logs[p].end {
		return
	}
	for _, id := range w.src.ids[p] {
		if f := &w.facts[id]; f.offset >= at && f.offset < offset {
			f.passed = true
		}
	}
}

// diverges reports whether the log does not hold what was read up to an offset under a leader epoch.
func (w *world) diverges(p int, offset int64, epoch int32) bool {
	end := w.src.logs[p].endOf(epoch)
	return end.LeaderEpoch < epoch || end.EndOffset < offset
}

// group is the coordinator's side of the consumer group.
type group struct {
	committed  []groupCommit // by partition
	owner      []*member     // by partition, nil for none
	generation []int         // by partition: another one for each owner
	requests   []*commitRequest
}

// groupCommit is an offset as the coordinator keeps it: text, under names.
type groupCommit struct {
	offset   int64
	epoch    int32
	metadata string
}

var noCommit = groupCommit{offset: -1}

// read is what a member makes of a commit.
func (c groupCommit) read() resume.Commit {
	l, ours := resume.Parse(c.metadata)
	return resume.Commit{Offset: c.offset, Epoch: c.epoch, Line: l, Ours: ours}
}

// commitRequest is one partition's part of a commit on its way. Requests of a member do not overtake each other.
type commitRequest struct {
	commit           groupCommit
	m                *member
	partition        int
	generation       int
	topic            resume.TopicID // "" of brokers that do not check ids: zero
	arrives, answers int            // ticks
	silent           bool           // the answer is lost
	applied, refused bool
	done             func(ok bool) // nil once the member is gone or waits no more
}

// serveCommits lets requests arrive and answers return; all of a member's at once when it is told to hurry.
func (w *world) serveCommits(hurry *member) {
	g := &w.src.group
	open := g.requests
	g.requests = nil
	for _, q := range open {
		if !q.applied && !q.refused && (q.arrives <= w.now || q.m == hurry) {
			w.apply(q)
		}
		arrived := q.applied || q.refused
		switch {
		case arrived && q.silent && q.done != nil:
			w.happened(commitAnswerLost)
			q.done(false) // after a time-out
		case arrived && q.done != nil && (q.answers <= w.now || q.m == hurry):
			q.done(q.applied)
		case !arrived || q.done != nil:
			g.requests = append(g.requests, q)
		}
	}
}

func (w *world) apply(q *commitRequest) {
	w.events++
	g := &w.src.group
	switch {
	case w.commitsFail && w.r.IntN(2) == 0:
		q.refused = true
		w.happened(commitRefused)
	case g.generation[q.partition] != q.generation || g.owner[q.partition] != q.m:
		q.refused = true
		w.happened(commitFenced)
	case q.topic != (resume.TopicID{}) && q.topic != w.src.id:
		q.refused = true
		w.happened(commitOfOldTopic)
	default:
		q.applied = true
		w.checkCommit(q.partition, q.commit)
		g.committed[q.partition] = q.commit
	}
}

// give makes m the owner of a partition, nil for nobody. What the owner before sends from now on is fenced.
func (g *group) give(p int, m *member) {
	g.owner[p] = m
	g.generation[p]++
}

func (s *kafka) String() string {
	out := ""
	for p, l := range s.logs {
		out += fmt.Sprintf(" partition %d: committed %d of %d..%d, %d records;", p, s.group.committed[p].offset, l.start, l.end, len(l.records))
	}
	return out
}
