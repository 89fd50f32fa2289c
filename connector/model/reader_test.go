package model

import (
	"maps"
	"slices"
	"time"

	"inlong-bridge/connector/confirm"
)

// reader drives the positions of connector/confirm as its Kafka reader does, over the queue of the
// world: with lag, with answers that come late, stale, or not at all.
type reader struct {
	w          *world
	m          *member
	positions  *confirm.Positions
	read       []*cluster // that are read, in the order they joined
	at         map[confirm.Place]readPosition
	kept       map[string]confirm.Listing
	wantStarts map[string]bool
	missing    map[int32]bool // as was told
	barrier    *barrierRun
}

// readPosition is where a partition is read next, under which life.
type readPosition struct {
	next int64
	life uint64
	id   [16]byte // of the topic
	cuts int      // of the log, that were noticed
}

// barrierRun is a barrier on its way.
type barrierRun struct {
	begun   time.Duration
	since   confirm.Ticket
	answers int // tick at which the clusters' answers are there
	barrier *confirm.Barrier
}

func newReader(w *world, m *member) *reader {
	rd := &reader{
		w: w, m: m, at: make(map[confirm.Place]readPosition), kept: make(map[string]confirm.Listing),
		wantStarts: make(map[string]bool), missing: make(map[int32]bool),
	}
	var names []string
	for _, c := range w.clusters {
		if c.written {
			rd.read = append(rd.read, c)
			names = append(names, c.name)
		}
	}
	rd.positions = confirm.NewPositions(names...)
	return rd
}

// watch fixes the positions of a stream's topic in every cluster that answers, and reports whether that has been done
// in all: no pack of the stream goes out before.
func (rd *reader) watch(route int32) bool {
	name, all := rd.w.topicName(route), true
	for _, c := range rd.read {
		if slices.Contains(rd.positions.Topics(c.name), name) {
			continue
		}
		if c.stalled {
			all = false
			continue
		}
		since := rd.positions.Ask()
		rd.begin(rd.positions.Fix(c.name, name, c.list(since, []string{name}, false)))
	}
	return all
}

// noticed is how many ticks after a cluster came, and gone is how many after it went, the reader follows.
const (
	noticed = 8
	gone    = 40
)

// follow reads the clusters that the proxies write to.
func (rd *reader) follow() {
	for _, c := range rd.w.clusters {
		i := slices.Index(rd.read, c)
		switch {
		case c.written && i < 0 && !c.stalled && rd.w.now-c.since >= noticed:
			if err := rd.positions.Add(c.name); err != nil {
				panic(breach{err.Error()})
			}
			for _, name := range rd.watched() {
				rd.begin(rd.positions.FixFrom(c.name, name, c.list(rd.positions.Ask(), []string{name}, true)))
			}
			rd.positions.Join(c.name)
			rd.read = append(rd.read, c)
			rd.w.happened(clusterCame)
		case !c.written && i >= 0 && rd.w.now-c.since >= gone && len(rd.read) > 1:
			rd.positions.Remove(c.name)
			rd.read = slices.Delete(rd.read, i, i+1)
			c.unread(func(of *sent) {
				if of.m == rd.m {
					rd.w.vanished(of)
				}
			})
			rd.w.happened(clusterWent)
		}
	}
}

// watched are the topics that are watched anywhere.
func (rd *reader) watched() []string { return rd.positions.Topics(rd.read[0].name) }

// answers reports whether the whole queue can be read.
func (rd *reader) answers() bool {
	rd.follow()
	for _, c := range rd.w.clusters {
		if c.written && (c.stalled || rd.w.now-c.since >= noticed && !slices.Contains(rd.read, c)) {
			return false
		}
		if c.stalled && slices.Contains(rd.read, c) {
			return false
		}
	}
	return true
}

func (rd *reader) begin(starts []confirm.Start, err error) {
	if err != nil {
		panic(breach{"reading the queue: " + err.Error()})
	}
	for _, s := range starts {
		for _, c := range rd.read {
			rd.beginIn(c, s)
		}
		for _, c := range rd.w.clusters {
			if !slices.Contains(rd.read, c) {
				rd.beginIn(c, s)
			}
		}
	}
}

func (rd *reader) beginIn(c *cluster, s confirm.Start) {
	if c.name != s.Cluster {
		return
	}
	at := readPosition{next: s.Offset.Entry, life: s.Life}
	if t := c.topics[s.Topic]; t != nil && int(s.Partition) < len(t.logs) {
		at.id, at.cuts = t.id, len(t.logs[s.Partition].cuts)
	}
	rd.at[s.Place] = at
}

// list asks a cluster, and keeps its answer.
func (rd *reader) list(c *cluster, ticket confirm.Ticket, starts bool) confirm.Listing {
	l := c.list(ticket, rd.positions.Topics(c.name), starts)
	rd.kept[c.name] = l
	return l
}

// take returns the packs of this instance found since the last tick.
func (rd *reader) take() (seqs []uint64) {
	for _, c := range rd.read {
		if c.stalled || rd.w.readersSlow {
			continue
		}
		if rd.w.r.IntN(20) == 0 {
			starts := rd.wantStarts[c.name]
			rd.wantStarts[c.name] = false
			ticket := rd.positions.Ask()
			rd.begin(rd.positions.Update(c.name, rd.list(c, ticket, starts)))
		}
		for _, name := range rd.positions.Topics(c.name) {
			t := c.topics[name]
			if t == nil {
				continue
			}
			for n, log := range t.logs {
				place := confirm.Place{Cluster: c.name, Topic: name, Partition: int32(n)}
				if at, known := rd.at[place]; known && at.id == t.id {
					seqs = append(seqs, rd.takeFrom(place, log, at)...)
				}
			}
		}
	}
	return seqs
}

// takeFrom reads a few messages of a partition.
func (rd *reader) takeFrom(place confirm.Place, log *queueLog, at readPosition) (seqs []uint64) {
	again := func(s confirm.Start, ok bool) {
		if ok {
			rd.begin([]confirm.Start{s}, nil)
		}
	}
	if cuts := log.cuts[at.cuts:]; len(cuts) > 0 && slices.Min(cuts) < at.next {
		rd.w.happened(queueRewound)
		again(rd.positions.Rewind(place, at.life, confirm.At(slices.Min(cuts))))
		return nil
	}
	at.cuts = len(log.cuts)
	if at.next < log.start {
		rd.wantStarts[place.Cluster] = true
		return nil
	}
	for more := rd.w.r.IntN(8); more > 0 && at.next < log.end(); more-- {
		e := log.entries[at.next-log.start]
		if e.value == nil {
			again(rd.positions.PassOver(place, at.life, confirm.At(at.next+1)))
			return seqs
		}
		if seq, v := confirm.Judge(e.value, instanceName(rd.m.instance)); v == confirm.Mine {
			seqs = append(seqs, seq)
			e.read = true
			for _, id := range e.of.records {
				rd.w.facts[id].read = true
			}
		}
		at.next++
	}
	rd.at[place] = at
	rd.positions.Advance(place, at.life, confirm.At(at.next))
	return seqs
}

// tellMissing says of which streams the topic is missing in every cluster.
func (rd *reader) tellMissing() {
	for route := range int32(rd.w.routes) {
		missing := true
		for _, c := range rd.read {
			missing = missing && rd.positions.Lacks(c.name, rd.w.topicName(route))
		}
		if missing != rd.missing[route] {
			rd.missing[route] = missing
			rd.m.snd.missing(route, missing)
			if missing {
				rd.w.happened(queueMissing)
			}
		}
	}
}

// barrierTimeout is after how many ticks a barrier is given up.
const barrierTimeout = 100

// ask begins a barrier; the answers take a while.
func (rd *reader) ask(now time.Duration) {
	rd.barrier = &barrierRun{begun: now, since: rd.positions.Ask(), answers: rd.w.now + rd.w.r.IntN(4)}
}

// stepBarrier tells when a barrier is passed, or can never be.
func (rd *reader) stepBarrier() {
	run := rd.barrier
	if run == nil {
		return
	}
	passed, failed := rd.passed(run)
	if rd.w.now-run.answers > barrierTimeout {
		failed = !passed
	}
	if passed || failed {
		rd.barrier = nil
		rd.m.snd.barrierEnded(run.begun, passed)
	}
}

func (rd *reader) passed(run *barrierRun) (passed, failed bool) {
	if rd.w.now < run.answers {
		return false, false
	}
	if run.barrier == nil {
		b, starts, err := rd.positions.Begin(run.since, rd.said(run))
		rd.begin(starts, nil)
		if err != nil {
			return false, true
		}
		run.barrier = b
	}
	passed, err := rd.positions.Passed(run.barrier)
	return passed && err == nil, err != nil
}

// said collects what the clusters say to a barrier's question. Now and then one says nothing, or all
// there is are answers to earlier questions.
func (rd *reader) said(run *barrierRun) map[string]confirm.Listing {
	mood := rd.w.r.IntN(8)
	if mood == 0 {
		return maps.Clone(rd.kept)
	}
	said := make(map[string]confirm.Listing)
	silent := rd.w.r.IntN(len(rd.read))
	for i, c := range rd.read {
		if c.stalled || mood <= 3 && i == silent {
			continue
		}
		said[c.name] = rd.list(c, run.since, mood == 4)
	}
	return said
}
