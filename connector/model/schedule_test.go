package model

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk/finality"
)

// schedule plays one world and its bridges, with faults at random moments.
type schedule struct {
	r      *rand.Rand
	w      *world
	undo   []undo
	busy   bool  // the source produces; it goes idle now and then
	lapses bool  // proxies that stand still go on before they are given up
	kinds  []int // of faults in this schedule: few, so that one kind's allowance does not hide another's breach
}

type undo struct {
	at int
	do func()
}

func newSchedule(r *rand.Rand, lanes int) *schedule {
	w := &world{r: r, mode: finality.Queue, routes: 1 + r.IntN(3)}
	if r.IntN(5) == 0 {
		w.mode = finality.Settle
	}
	coin := func(n int) bool { return r.IntN(n) == 0 }
	w.knobs = knobs{
		topicPerRoute: coin(3), startLatest: coin(4), acceptGap: coin(2), brokersCheckIDs: coin(2), brokersDropOffsets: coin(3),
		keepRefused: !coin(3), conns: 1 + r.IntN(5)/3, room: 1 + r.IntN(20), startCommitted: coin(5),
		cutRefused: coin(2), lanes: lanes,
	}
	w.knobs.startLatest = w.knobs.startLatest && !w.knobs.startCommitted
	w.src.cluster = "source"
	w.src.create(1 + r.IntN(3))
	for range 1 + r.IntN(2) {
		w.newCluster()
	}
	for i := range 1 + r.IntN(3) {
		w.proxies = append(w.proxies, &proxy{
			id: finality.Endpoint(i), up: true, drops: -1, r: r, stored: make(map[packName]bool), codes: make(map[int32]int), row: make(map[int32]int),
		})
	}
	s := &schedule{r: r, w: w, busy: true}
	s.lapses = w.mode == finality.Queue && coin(2)
	s.kinds = plainSettle
	if w.mode == finality.Queue {
		s.kinds = plainQueue
	}
	if coin(2) {
		s.kinds = r.Perm(settleFaults)
		if w.mode == finality.Queue {
			s.kinds = r.Perm(queueFaults)
		}
	}
	n := 1 + r.IntN(4)
	if coin(8) {
		n = 4 + r.IntN(12) // what comes twice is hardly bounded then; everything else is
	}
	s.kinds = slices.Clone(s.kinds)
	r.Shuffle(len(s.kinds), func(i, j int) { s.kinds[i], s.kinds[j] = s.kinds[j], s.kinds[i] })
	s.kinds = s.kinds[:min(n, len(s.kinds))]
	w.logf("%s: %d partitions, %d routes, %d proxies, %d clusters, %+v", w.mode, len(w.src.logs), w.routes, len(w.proxies), len(w.clusters), w.knobs)
	if w.knobs.startLatest || w.knobs.startCommitted && coin(2) {
		for p := range w.src.logs {
			w.produce(p, r.IntN(10))
		}
	}
	s.start()
	return s
}

// start begins a bridge process, which owns what nobody else does.
func (s *schedule) start() *member {
	m := newMember(s.w, config(s.w.mode))
	for p, owner := range s.w.src.group.owner {
		if owner == nil {
			s.give(p, m)
		}
	}
	return m
}

func (s *schedule) give(p int, m *member) {
	s.end(m, p) // it may not have heard yet that it lost the partition
	s.w.src.group.give(p, m)
	m.assign(p)
}

// take ends a partition's assignment.
func (s *schedule) take(p int, orderly bool) {
	g := &s.w.src.group
	m := g.owner[p]
	if m == nil {
		return
	}
	if orderly {
		m.lastCommit(m.parts[p])
	}
	g.give(p, nil)
	s.end(m, p)
}

// end ends an assignment; what was read and not committed is read again by whoever comes next.
func (s *schedule) end(m *member, p int) {
	if p < len(m.parts) && m.parts[p] != nil {
		s.w.chargeUncommitted(m, p)
		m.endAssignment(p)
	}
}

// chargeUncommitted charges what another process, or this one after a restart, will read again.
func (w *world) chargeUncommitted(m *member, p int) {
	if m.parts[p] == nil || m.parts[p].TopicID() != w.src.id {
		return
	}
	from := w.committed(p)
	if m.parts[p].lost {
		from = min(from, m.parts[p].lostAt)
	}
	for _, id := range w.src.ids[p] {
		if at := w.facts[id].offset; at >= from && at < m.parts[p].Checkpoint().Position() {
			w.allowed++
		}
	}
}

// committed is where the topic that is there now is committed.
func (w *world) committed(p int) int64 {
	if c := w.src.group.committed[p].read(); !c.Ours || c.Line.Topic == w.src.id {
		return max(0, c.Offset)
	}
	return 0
}

func (s *schedule) step(faults bool) {
	s.undo = slices.DeleteFunc(s.undo, func(u undo) bool {
		if u.at > s.w.now {
			return false
		}
		u.do()
		return true
	})
	if faults {
		if s.r.IntN(40) == 0 {
			s.busy = !s.busy
		}
		if s.busy {
			if s.r.IntN(20) == 0 {
				s.w.minute++
			}
			s.w.produce(s.r.IntN(len(s.w.src.logs)), 1+s.r.IntN(6))
		}
		if s.r.IntN(25) == 0 {
			s.fault()
		}
	}
	s.operate()
	s.w.step()
	for _, m := range slices.Clone(s.w.members) {
		m.step()
	}
}

// patienceOfOperators is how many ticks a partition stands before somebody does what its reason says.
const patienceOfOperators = 60

// operate does what the reasons of stopped partitions ask for.
func (s *schedule) operate() {
	for p, m := range s.w.src.group.owner {
		if m == nil {
			continue
		}
		if a := m.parts[p]; a != nil && a.stopped() != "" && a.Stopped().Scope != reason.Stream && s.w.now-a.stoppedAt > patienceOfOperators {
			s.w.logf("an operator looks at partition %d", p)
			switch l, c := s.w.src.logs[p], &s.w.src.group.committed[p]; {
			case a.stopped() == reason.Gap:
				s.w.knobs.acceptGap = true
				s.restart(m)
				return
			case a.stopped() == reason.NoStart && a.TopicID() == s.w.src.id:
				*c = groupCommit{offset: l.start, epoch: -1}
				s.w.src.byHand[p] = true
			case a.stopped() == reason.Truncated && a.TopicID() == s.w.src.id:
				s.w.serveCommits(m)
				at := min(c.offset, l.end)
				if cutAt := s.w.src.cutAt[p]; cutAt >= 0 {
					at = min(at, cutAt)
				}
				*c = groupCommit{offset: max(at, l.start), epoch: -1}
				s.w.src.cutAt[p], s.w.src.byHand[p] = -1, true
			}
			s.take(p, false)
			s.give(p, s.w.members[s.r.IntN(len(s.w.members))])
		}
	}
}

func (s *schedule) after(ticks int, do func()) { s.undo = append(s.undo, undo{s.w.now + ticks, do}) }

// Kinds of faults below these numbers are survived in that mode. What settle does not promise to
// survive (a queue that stalls for longer, zombies, dropped packs) is left out of its schedules.
const settleFaults, queueFaults = 25, 41

// Half of the schedules have only these, whose duplicates are bounded closely.
var (
	plainSettle = []int{0, 1, 2, 3, 4, 5, 6, 7, 8}
	plainQueue  = append(slices.Clone(plainSettle), 25, 26, 27, 28, 29, 30, 31)
)

// fault begins one fault and sets when it ends.
func (s *schedule) fault() {
	w, g := s.w, &s.w.src.group
	p := w.proxies[s.r.IntN(len(w.proxies))]
	m := w.members[s.r.IntN(len(w.members))]
	part := s.r.IntN(len(w.src.logs))
	l := w.src.logs[part]
	long := 5 + s.r.IntN(90)
	switch s.kinds[s.r.IntN(len(s.kinds))] {
	case 0, 1:
		w.logf("kill proxy %d with %d in memory, up again in %d", p.id, len(p.memory), long)
		w.happened(proxyKilled)
		p.kill(w)
		s.after(long, func() { p.up = true })
	case 2:
		w.logf("reset the connections of proxy %d", p.id)
		w.happened(proxyReset)
		p.reset(w)
		if p.frozen && s.lapses {
			// The bridge cannot tell this end from that of a process: loss_grace counts from here, and the proxy
			// may stand still for longer than that before it hands on what it had acked.
			w.chargeOrphans(p)
		}
	case 3:
		if p.frozen {
			return
		}
		if s.lapses {
			// Past the ack time-out and loss_grace, and back before patience is over.
			from, to := m.cfg.AckTimeout+m.cfg.LossGrace/2, m.cfg.AckTimeout+m.cfg.Patience-15*tick
			long = int(from/tick) + s.r.IntN(int((to-from)/tick))
			w.logf("proxy %d stands still for %d", p.id, long)
			w.happened(proxyLapsed)
			s.lapse(m, p, long)
			return
		}
		w.logf("freeze proxy %d for %d", p.id, long)
		w.happened(proxyFrozen)
		s.misbehave(p, long, func(on bool) { p.frozen = on })
	case 4:
		p.code = []int{1, 2, 10, 108, 114, 115, 118, 9999, 114, 114}[s.r.IntN(10)]
		if w.mode == finality.Settle && p.code == 114 {
			w.chargeAll(p) // see giveUpFull
			p.faults++
			s.after(long, func() { p.faults-- })
		}
		p.always = s.r.IntN(2) == 0
		w.logf("proxy %d answers %d (always: %v) for %d", p.id, p.code, p.always, long)
		s.after(long, func() { p.code = 0 })
	case 5:
		if g.owner[part] == nil {
			return
		}
		away := s.r.IntN(2) * long
		w.logf("revoke partition %d, back in %d", part, away)
		s.take(part, true)
		if away == 0 {
			s.give(part, w.members[s.r.IntN(len(w.members))])
			return
		}
		s.after(away, func() { s.adopt(part) })
	case 6:
		w.logf("commits fail for %d", long)
		w.commitsFail = true
		s.after(long, func() { w.commitsFail = false })
	case 7:
		w.logf("member %d is stopped for %d", m.instance, long)
		w.happened(memberStopped)
		m.stopped = long
	case 8:
		s.crash(m)
	case 9:
		w.logf("answers to commits are lost for %d", long)
		w.answersLost = true
		s.after(long, func() { w.answersLost = false })
	case 10, 11:
		s.rival(long)
	case 12:
		w.logf("compaction of partition %d", part)
		w.compact(part)
	case 13:
		at := l.start + s.r.Int64N(l.end-l.start+1)
		w.logf("retention of partition %d to %d", part, at)
		w.retain(part, at)
	case 14:
		at := l.end - s.r.Int64N(min(10, l.end-l.start)+1)
		w.logf("partition %d is cut off at %d", part, at)
		w.truncate(part, at)
	case 15:
		w.logf("the topic is created again")
		w.recreate()
	case 16:
		if len(w.src.logs) < 5 {
			w.logf("a partition of the source appears")
			w.addPartition()
			s.after(long, func() { s.adopt(len(w.src.logs) - 1) })
		}
	case 17:
		w.happened(leaderElected)
		l.elect()
	case 18:
		if g.owner[part] != nil {
			s.loseMembership(part, long)
		}
	case 19:
		route, code := int32(s.r.IntN(w.routes)), []int{113, 115, 116, 121, 108}[s.r.IntN(5)]
		w.logf("proxy %d answers %d to route %d for %d", p.id, code, route, long)
		p.codes[route] = code
		s.after(long, func() { delete(p.codes, route) })
	case 20, 21, 22:
		s.badRecords(p, 3*long)
	case 23, 24:
		w.logf("proxy %d is killed with %d in memory, and the source lets go of what was lost", p.id, len(p.memory))
		w.happened(proxyKilled)
		p.kill(w)
		s.after(long, func() { p.up = true })
		for range 3 {
			s.after(s.r.IntN(30), func() {
				if part := s.r.IntN(len(w.src.logs)); s.r.IntN(2) == 0 {
					w.compact(part)
				} else {
					l := w.src.logs[part]
					at := w.committed(part) + s.r.Int64N(10)
					w.retain(part, max(l.start, at))
				}
			})
		}
	case 25:
		w.logf("proxy %d is a zombie for %d", p.id, long)
		w.happened(proxyZombie)
		s.misbehave(p, long, func(on bool) { p.zombie = on })
	case 26:
		route := int32(s.r.IntN(w.routes))
		which := []*proxy{p}
		if s.r.IntN(2) == 0 {
			which = w.proxies
		}
		w.logf("%d proxies drop route %d for %d", len(which), route, 2*long)
		w.happened(proxyDrops)
		for _, p := range which {
			s.misbehave(p, 2*long, func(on bool) {
				if on {
					p.drops = route
				} else {
					p.drops = -1
				}
			})
		}
	case 27:
		w.logf("proxy %d keeps all in memory for %d", p.id, long)
		w.happened(proxySlow)
		s.misbehave(p, long, func(on bool) { p.slow = on })
	case 28, 29:
		c := w.clusters[s.r.IntN(len(w.clusters))]
		w.logf("%s stalls for %d", c.name, long)
		w.happened(queueStalled)
		c.stalled = true
		s.after(long, func() { c.stalled = false })
	case 30:
		c := w.clusters[s.r.IntN(len(w.clusters))]
		name := w.topicName(int32(s.r.IntN(w.routes)))
		if t := c.topics[name]; t != nil && len(t.logs) < 4 {
			w.logf("a partition of the queue appears")
			w.happened(queueGrew)
			t.logs = append(t.logs, new(queueLog))
		}
	case 31:
		w.logf("the reader of the queue is slow for %d", long)
		w.happened(queueReaderSlow)
		w.readersSlow = true
		s.after(long, func() { w.readersSlow = false })
	case 32:
		w.logf("proxy %d stores packs twice for %d", p.id, long)
		p.doubles = true
		s.after(long, func() { p.doubles = false })
	case 33, 34, 35, 36:
		s.queueLogFault(long)
	case 37:
		w.damages += 1 + s.r.IntN(2)
		w.logf("entries of the queue are damaged")
	case 38, 39:
		s.queueClusters()
	case 40:
		s.changeList(m, p, long)
	}
}

// adopt gives a partition that nobody owns to a member.
func (s *schedule) adopt(p int) {
	if s.w.src.group.owner[p] == nil {
		s.give(p, s.w.members[s.r.IntN(len(s.w.members))])
	}
}

func (s *schedule) crash(m *member) {
	s.w.logf("member %d crashes", m.instance)
	s.w.happened(memberCrashed)
	s.gone(m)
	s.start()
}

// restart ends a process in order, and begins another one.
func (s *schedule) restart(m *member) {
	for p, owner := range s.w.src.group.owner {
		if owner == m {
			s.take(p, true)
		}
	}
	s.gone(m)
	s.start()
}

// gone: a process is not there any more.
func (s *schedule) gone(m *member) {
	m.crash()
	for p, owner := range s.w.src.group.owner {
		if owner == m {
			s.w.src.group.give(p, nil)
		}
		s.end(m, p)
	}
}

// rival lets another process of the group come, or one go.
func (s *schedule) rival(long int) {
	w := s.w
	if len(w.members) > 1 {
		m := w.members[s.r.IntN(len(w.members))]
		w.logf("member %d leaves", m.instance)
		w.happened(memberLeft)
		for p, owner := range w.src.group.owner {
			if owner == m {
				s.take(p, true)
			}
		}
		s.gone(m)
		for p := range w.src.logs {
			s.adopt(p)
		}
		return
	}
	rival := s.start()
	w.logf("member %d joins", rival.instance)
	w.happened(memberJoined)
	for p, owner := range w.src.group.owner {
		if owner != rival && owner != nil && s.r.IntN(2) == 0 {
			s.take(p, true)
			s.give(p, rival)
		}
	}
	s.after(2*long, func() {
		if len(w.members) > 1 {
			s.rival(long)
		}
	})
}

// loseMembership gives a partition to somebody else while its owner does not know: what the owner commits is late.
func (s *schedule) loseMembership(p, long int) {
	w, g := s.w, &s.w.src.group
	m := g.owner[p]
	w.logf("member %d loses partition %d, and hears of it in %d", m.instance, p, long/4)
	w.happened(memberLost)
	g.give(p, nil)
	a := m.parts[p]
	if a == nil {
		return
	}
	told := func() {
		if m.parts[p] == a {
			s.end(m, p)
		}
		s.adopt(p)
	}
	a.lost, a.lostAt = true, w.committed(p)
	if len(w.members) > 1 {
		for _, other := range w.members {
			if other != m {
				s.give(p, other)
			}
		}
	}
	s.after(long/4, told)
}

// badRecords has some proxies not stand some records for a while: they refuse them permanently, or close the connection.
func (s *schedule) badRecords(p *proxy, long int) {
	w := s.w
	if w.badAt != nil || len(w.facts) == 0 {
		return
	}
	w.badCode = []int{104, 122, 94, 0, 0, -1, -1}[s.r.IntN(7)]
	all := s.r.IntN(2) == 0
	w.logf("proxy %d (all: %v) cannot stand some records for %d: %d", p.id, all, long, w.badCode)
	w.badAt = func(q *proxy) bool { return all || q == p }
	w.badShare = 4 + s.r.IntN(30)
	if w.badCode < 0 && w.mode == finality.Queue { // what is stored is seen late
		w.readersSlow = true
		s.after(30+long/3, func() { w.readersSlow = false })
	}
	s.after(long, func() { w.badAt = nil })
}

// queueLogFault is one of a log of the queue.
func (s *schedule) queueLogFault(long int) {
	w := s.w
	c := w.clusters[s.r.IntN(len(w.clusters))]
	name := w.topicName(int32(s.r.IntN(w.routes)))
	t := c.topics[name]
	if t == nil {
		return
	}
	l := t.logs[s.r.IntN(len(t.logs))]
	switch s.r.IntN(3) {
	case 0:
		w.logf("retention of topic %s of %s", name, c.name)
		if s.r.IntN(2) == 0 {
			w.retainQueue(l, len(l.entries))
			return
		}
		w.retainQueue(l, 1+s.r.IntN(len(l.entries)+1))
	case 1:
		w.logf("a log of topic %s of %s is cut off", name, c.name)
		w.cutQueue(l, 1+s.r.IntN(3))
	default:
		again := s.r.IntN(2) * long / 2
		w.logf("topic %s of %s is deleted, and created again in %d", name, c.name, again)
		w.happened(queueRecreated)
		w.removeTopic(c, name)
		for _, p := range w.proxies { // what is on its way there waits in their memory
			w.chargeAll(p)
			p.shadowed = w.now + again + shadow
		}
		s.after(again, func() {
			if c.topics[name] == nil {
				w.createTopic(c, name)
			}
		})
	}
}

// queueClusters lets a cluster come or go.
func (s *schedule) queueClusters() {
	w := s.w
	var written []*cluster
	for _, c := range w.clusters {
		if c.written {
			written = append(written, c)
		}
	}
	if len(written) < 2 || len(written) < 4 && s.r.IntN(2) == 0 {
		w.logf("%s comes", w.newCluster().name)
		return
	}
	c := written[s.r.IntN(len(written))]
	w.logf("%s goes", c.name)
	c.written, c.since = false, w.now
	c.unread(func(of *sent) {
		if !slices.Contains(of.m.reader.roster.Members(), c) { // it came a moment ago
			w.vanished(of)
		}
	})
}

// changeList takes a proxy off a member's list, and puts it back.
func (s *schedule) changeList(m *member, p *proxy, long int) {
	if len(s.w.proxies) == 1 || m.stopped > 0 {
		return
	}
	s.w.logf("proxy %d leaves the list of member %d for %d", p.id, m.instance, long)
	s.w.happened(listChanged)
	m.snd.setList(func(q *proxy) bool { return q != p })
	s.after(long, func() {
		if slices.Contains(s.w.members, m) {
			m.snd.setList(func(*proxy) bool { return true })
		}
	})
}

// lapse lets a proxy stand still for less than it is waited for. What it had acked is not sent again; what is
// in flight is, once its connection is given up, and that is counted there. A proxy that stands still once more
// in the grace after it was heard again is beyond the rule: what it acked before the first time may come twice.
func (s *schedule) lapse(m *member, p *proxy, ticks int) {
	s.w.chargeOrphans(p)
	p.frozen = true
	p.lapsedUntil = s.w.now + ticks + int(m.cfg.AckTimeout/tick) // answers are on their way then
	s.after(ticks, func() { p.frozen = false })
}

// misbehave lets a living proxy do something for a while that may cause what it holds, and what it is
// given meanwhile, to be sent twice.
func (s *schedule) misbehave(p *proxy, ticks int, set func(on bool)) {
	s.w.chargeAll(p)
	p.faults++
	set(true)
	s.after(ticks, func() {
		set(false)
		p.faults--
		p.faultEnded = s.w.now
	})
}

// heal ends all faults.
func (s *schedule) heal() {
	for len(s.undo) > 0 {
		u := s.undo[0]
		s.undo = s.undo[1:]
		u.do()
	}
	s.w.damages = 0
	for _, c := range s.w.clusters { // what cannot be read goes with the queue's retention
		for _, name := range s.w.topicNames() {
			if t := c.topics[name]; t != nil {
				for _, l := range t.logs {
					for i := len(l.entries); i > 0; i-- {
						if l.entries[i-1].value == nil {
							s.w.retainQueue(l, i)
							break
						}
					}
				}
			}
		}
	}
	for _, m := range s.w.members {
		m.stopped = 0
	}
	for p := range s.w.src.logs {
		s.adopt(p)
	}
	s.w.logf("no more faults, the source is idle")
}

// longAfter bounds how long after the last fault, or the last progress, everything must be final, in
// ticks: several times patience and the longest pause.
const longAfter = 600

func (s *schedule) quiet(done func() bool) bool {
	progress, since := s.progress(), s.w.now
	for s.w.now-since < longAfter {
		if done() {
			return true
		}
		s.step(false)
		if p := s.progress(); p != progress {
			progress, since = p, s.w.now
		}
	}
	return false
}

func (s *schedule) progress() (sum int64) {
	for _, c := range s.w.src.group.committed {
		sum += c.offset
	}
	return sum + int64(s.w.finals)
}

// settled reports whether nothing is on its way any more.
func (s *schedule) settled() bool {
	for _, m := range s.w.members {
		if !m.snd.idle() || len(m.snd.filling) > 0 || len(m.snd.copies) > 0 || m.replay.Pending() > 0 {
			return false
		}
		for _, a := range m.parts {
			if a != nil && (a.stopped() != "" || a.WaitsForRoom()) {
				return false
			}
		}
	}
	for _, p := range s.w.proxies {
		if len(p.memory) > 0 {
			return false
		}
	}
	return true
}

func (s *schedule) describe() string {
	out := s.w.src.String()
	for _, m := range s.w.members {
		out += fmt.Sprintf(" member %d: packs %v, %d copies, %d rereads;", m.instance, m.snd.e.States(), len(m.snd.copies), m.replay.Pending())
		for p, a := range m.parts {
			if a != nil {
				out += fmt.Sprintf(" partition %d: at %d, %d not final, stop %q;", p, a.Checkpoint().Position(), a.Checkpoint().Unfinal(), a.stopped())
			}
		}
	}
	return out
}
