package model

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"inlong-bridge/connector/confirm"
)

// reader drives what connector/confirm decides over the queue of the world: with lag, with answers that come late, stale,
// or not at all.
type reader struct {
	w          *world
	m          *member
	positions  *confirm.Positions
	roster     *confirm.Roster[*cluster]
	passOvers  confirm.PassOvers
	at         map[confirm.Place]readPosition
	kept       map[string]confirm.Listing
	wantStarts map[string]bool
	unreadable int            // until this tick some cluster counts as one that cannot be read
	watching   map[int32]bool // streams whose watching is under way
	watched    map[int32]bool
	joining    map[*cluster]map[confirm.Route]bool // routes that are watched in a cluster that joins
	missing    map[int32]bool                      // as was told
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
		watching: make(map[int32]bool), watched: make(map[int32]bool), joining: make(map[*cluster]map[confirm.Route]bool),
	}
	var names []string
	var members []*cluster
	for _, c := range w.clusters {
		if c.written {
			members, names = append(members, c), append(names, c.name)
		}
	}
	rd.positions, rd.roster = confirm.NewPositions(names...), confirm.NewRoster(members...)
	return rd
}

// step is one tick.
func (rd *reader) step() {
	rd.m.snd.queueAnswers(rd.answers())
	rd.take()
	rd.tellMissing()
	rd.stepBarrier()
}

func routeOf(route int32) confirm.Route {
	return confirm.Route{Group: "g", Stream: strconv.Itoa(int(route))}
}

// Name and Topic implement confirm.Member.
func (c *cluster) Name() string { return c.name }
func (c *cluster) Topic(_, _, stream string) string {
	route, err := strconv.Atoi(stream)
	if err != nil {
		panic(err)
	}
	return c.w.topicName(int32(route))
}

// watch has a stream's topic read in every cluster, as far as they answer, and reports whether that is done: no pack of the
// stream goes out before.
func (rd *reader) watch(route int32) bool {
	if rd.watched[route] {
		return true
	}
	if !rd.watching[route] {
		rd.watching[route] = true
		rd.roster.Coming(routeOf(route))
	}
	name := rd.w.topicName(route)
	for _, c := range rd.roster.Members() {
		if !slices.Contains(rd.positions.Topics(c.name), name) {
			if c.stalled {
				return false
			}
			rd.begin(rd.positions.Fix(c.name, name, c.list(rd.positions.Ask(), []string{name}, false)))
		}
	}
	rd.roster.Watch(routeOf(route))
	rd.roster.Came(routeOf(route))
	rd.watching[route], rd.watched[route] = false, true
	return true
}

// unwatch ends the watching of a stream of which no pack is waited for.
func (rd *reader) unwatch(route int32) {
	if !rd.watched[route] {
		return
	}
	rd.watched[route], rd.missing[route] = false, false
	for _, u := range rd.roster.Unwatch("g", strconv.Itoa(int(route))) {
		rd.begin(rd.positions.Drop(u.Member.name, u.Topic), nil)
	}
}

// noticed is how many ticks after a cluster came, and gone is how many after it went, the reader follows.
const (
	noticed = 8
	gone    = 40
)

// follow reads the clusters that the proxies write to.
func (rd *reader) follow() {
	for _, c := range rd.w.clusters {
		reads := slices.Contains(rd.roster.Members(), c)
		switch {
		case c.written && !reads && rd.w.now-c.since >= noticed:
			rd.roster.Expect(c.name)
			if !c.stalled {
				rd.join(c)
			}
		case !c.written && !reads && rd.roster.GiveUp(c.name):
			rd.positions.Remove(c.name)
			delete(rd.joining, c)
		case !c.written && reads && rd.w.now-c.since >= gone:
			if _, ok := rd.roster.Leave(c.name); !ok {
				continue
			}
			rd.positions.Remove(c.name)
			c.unread(func(of *sent) {
				if of.m == rd.m {
					rd.w.vanished(of)
				}
			})
			rd.w.happened(clusterWent)
		}
	}
}

// join watches one more route in a cluster that joins, or makes it a member once all are watched there.
func (rd *reader) join(c *cluster) {
	done := rd.joining[c]
	if done == nil {
		if err := rd.positions.Add(c.name); err != nil {
			panic(breach{err.Error()})
		}
		done = make(map[confirm.Route]bool)
		rd.joining[c] = done
	}
	if left := rd.roster.Join(c, done); len(left) > 0 {
		at := slices.MinFunc(left, func(a, b confirm.Route) int { return strings.Compare(a.Stream, b.Stream) })
		name := c.Topic("", "", at.Stream)
		rd.begin(rd.positions.FixFrom(c.name, name, c.list(rd.positions.Ask(), []string{name}, true)))
		done[at] = true
		return
	}
	delete(rd.joining, c)
	rd.positions.Join(c.name)
	for _, u := range rd.roster.Unneeded(c, rd.positions.Topics(c.name)) {
		rd.begin(rd.positions.Drop(c.name, u.Topic), nil)
	}
	rd.w.happened(clusterCame)
}

// answers reports whether the whole queue can be read.
func (rd *reader) answers() bool {
	rd.follow()
	_, err := rd.roster.Missing()
	return err == nil && rd.unreadable < rd.w.now && !slices.ContainsFunc(rd.roster.Members(), func(c *cluster) bool { return c.stalled })
}

func (rd *reader) begin(starts []confirm.Start, err error) {
	if err != nil {
		panic(breach{"reading the queue: " + err.Error()})
	}
	for _, s := range starts {
		if s.Why == confirm.Unwatched {
			delete(rd.at, s.Place)
			continue
		}
		at := readPosition{next: s.Offset.Entry, life: s.Life}
		for _, c := range rd.w.clusters {
			if t := c.topics[s.Topic]; c.name == s.Cluster && t != nil && int(s.Partition) < len(t.logs) {
				at.id, at.cuts = t.id, len(t.logs[s.Partition].cuts)
			}
		}
		rd.at[s.Place] = at
	}
}

// list asks a cluster, and keeps its answer.
func (rd *reader) list(c *cluster, ticket confirm.Ticket, starts bool) confirm.Listing {
	l := c.list(ticket, rd.positions.Topics(c.name), starts)
	rd.kept[c.name] = l
	return l
}

// take looks at the clusters now and then, and reads a few messages of each partition.
func (rd *reader) take() {
	for _, c := range rd.roster.Members() {
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
					rd.takeFrom(place, log, at)
				}
			}
		}
	}
}

// takeFrom reads a few messages of a partition: the sender is told first, then the position moves.
func (rd *reader) takeFrom(place confirm.Place, log *queueLog, at readPosition) {
	if cuts := log.cuts[at.cuts:]; len(cuts) > 0 && slices.Min(cuts) < at.next {
		rd.w.happened(queueRewound)
		if s, ok := rd.positions.Rewind(place, at.life, confirm.At(slices.Min(cuts))); ok {
			rd.begin([]confirm.Start{s}, nil)
		}
		return
	}
	at.cuts = len(log.cuts)
	if at.next < log.start {
		rd.wantStarts[place.Cluster] = true
		return
	}
	damaged := false
	for more := rd.w.r.IntN(8); more > 0 && at.next < log.end() && !damaged; more-- {
		e := log.entries[at.next-log.start]
		if damaged = e.value == nil; damaged {
			continue
		}
		at.next++
		rd.passOvers.Read(place)
		if seq, whose := confirm.Judge(e.value, instanceName(rd.m.instance)); whose == confirm.Mine {
			e.read = true
			for _, id := range e.of.records {
				rd.w.facts[id].read = true
			}
			rd.m.snd.seen(seq)
		}
	}
	rd.at[place] = at
	rd.positions.Advance(place, at.life, confirm.At(at.next))
	if damaged {
		rd.passOver(place, at)
	}
}

// faultLasts is for how many ticks a cluster counts as one that cannot be read.
const faultLasts = 30

// passOver goes on behind a damaged entry. Where that is not allowed, the cluster counts as one that cannot be read until
// the log begins behind the entry.
func (rd *reader) passOver(place confirm.Place, at readPosition) {
	if against := rd.passOvers.Next(place, rd.m.snd.repairsUnseen()); against != "" {
		if rd.unreadable < rd.w.now {
			rd.w.happened(queueUnreadable)
			rd.w.logf("member %d does not read on in %v: %s", rd.m.instance, place, against)
		}
		rd.unreadable = rd.w.now + faultLasts
		return
	}
	if s, ok := rd.positions.PassOver(place, at.life, confirm.At(at.next+1)); ok {
		rd.begin([]confirm.Start{s}, nil)
	}
}

// tellMissing says of which streams the topic is missing in every cluster.
func (rd *reader) tellMissing() {
	for route := range int32(rd.w.routes) {
		if !rd.watched[route] {
			continue
		}
		missing := true
		for _, c := range rd.roster.Members() {
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
		if _, err := rd.roster.Missing(); err != nil {
			return false, true
		}
		b, starts, err := rd.positions.Begin(run.since, rd.said(run))
		rd.begin(starts, nil)
		if err != nil {
			return rd.askAgain(run, err)
		}
		run.barrier = b
	}
	_, missing := rd.roster.Missing() // before the look at the positions
	passed, err := rd.positions.Passed(run.barrier)
	if err != nil {
		return rd.askAgain(run, err)
	}
	return passed && missing == nil, missing != nil
}

// askAgain begins a barrier once more whose answers were behind, or a cluster or topic came in between.
func (rd *reader) askAgain(run *barrierRun, err error) (passed, failed bool) {
	if !confirm.AskAgain(err) {
		return false, true
	}
	rd.w.happened(barrierAskedAgain)
	run.since, run.barrier = rd.positions.Ask(), nil
	return false, false
}

// said collects what the clusters say to a barrier's question. Now and then one says nothing, or all
// there is are answers to earlier questions.
func (rd *reader) said(run *barrierRun) map[string]confirm.Listing {
	mood := rd.w.r.IntN(8)
	if mood == 0 {
		return maps.Clone(rd.kept)
	}
	said := make(map[string]confirm.Listing)
	members := rd.roster.Members()
	silent := rd.w.r.IntN(len(members))
	for i, c := range members {
		if c.stalled || mood <= 3 && i == silent {
			continue
		}
		said[c.name] = rd.list(c, run.since, mood == 4)
	}
	return said
}
