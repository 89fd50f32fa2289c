package model

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"gopkg.in/yaml.v3"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/assign"
	"inlong-bridge/connector/internal/commit"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/replay"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/internal/source"
	"inlong-bridge/connector/reason"
	"inlong-bridge/connector/resume"
	"inlong-bridge/mapping"
	"inlong-bridge/sdk"
	"inlong-bridge/sdk/finality"
)

// member is one bridge process: it has the product's parts do what connector's loops have them do, a tick at a time,
// without goroutines.
type member struct {
	w        *world
	r        *rand.Rand
	cfg      finality.Config
	instance int
	snd      *sender
	reader   *reader
	parts    []*assignment // by partition, nil when not assigned
	revoked  []*assignment // older assignments: late news must move nothing
	gates    gate.Gates
	routes   *route.Table
	streams  map[*sdk.Stream]int32 // to the route
	splitter assign.Splitter
	pending  assign.PendingBytes
	replay   *replay.Planner
	reading  map[part.ID]int64 // where the client of replay fetches next
	accepts  bool              // delivery.on_gap: continue
	stopped  int               // ticks this process does not run any more
	onTheWay int               // commits
}

// assignment is one assignment of a partition to a process, and what the group's client knows of it.
type assignment struct {
	*assign.Assignment
	m         *member
	num       int
	at        int64 // the client fetches here
	epoch     int32 // of the record before, -1 when the client does not know it
	lost      bool  // the group gave it to somebody else, and it has not heard yet
	lostAt    int64 // where the group was then
	stoppedAt int
}

// Records go to streams by their key.
var topicMapping, cutsRefused = mappingWith(""), mappingWith(", on_error: {refused: skip}")

func mappingWith(more string) *mapping.Topic {
	var n yaml.Node
	if err := yaml.Unmarshal([]byte("- {topics: [source], group: g, stream: '{key}'"+more+"}\n"), &n); err != nil {
		panic(err)
	}
	table, problems := mapping.Parse(n.Content[0])
	if len(problems) > 0 {
		panic(problems[0])
	}
	return table.ForTopic("source")
}

func newMember(w *world, cfg finality.Config) *member {
	w.instances++
	m := &member{
		w: w, r: w.r, cfg: cfg, instance: w.instances, parts: make([]*assignment, len(w.src.logs)), accepts: w.knobs.acceptGap,
		streams: make(map[*sdk.Stream]int32), reading: make(map[part.ID]int64), splitter: assign.Splitter{Pack: []int{25, 150}[w.r.IntN(2)], Oversize: 1 << 20, Limit: -1, Lanes: w.knobs.lanes},
	}
	m.routes = route.NewTable(func(_, stream string) (*sdk.Stream, error) {
		n, err := strconv.Atoi(stream)
		st := new(sdk.Stream)
		m.streams[st] = int32(n)
		return st, err
	}, 0)
	m.snd = newSender(m)
	m.replay = replay.NewPlanner(replay.Config{Outlet: assign.Outlet{Sender: m.snd}, AcceptGap: m.accepts})
	if cfg.Mode == finality.Queue {
		m.reader = newReader(w, m)
	}
	w.members = append(w.members, m)
	for _, p := range w.proxies {
		clear(p.row)
	}
	return m
}

// Moved, Lost, Halve and Stopped implement assign.Events.
func (m *member) Moved() {}

func (m *member) Lost(p *assign.Assignment, pc checkpoint.Piece, o checkpoint.Origin) {
	m.replay.Add(p, pc, o)
}

// Freed has nothing to wake: each tick offers what waits.
func (m *member) Freed(*assign.Assignment) {}

func (m *member) Halve(p *assign.Assignment, pc checkpoint.Piece, o checkpoint.Origin) {
	m.w.happened(pieceHalved)
	m.replay.Halve(p, pc, o)
}

func (m *member) Stopped(p *assign.Assignment, r *reason.Reason) {
	m.w.logf("member %d: partition %d stops: %s", m.instance, p.ID().Num, r.Code)
	for _, a := range m.parts {
		if a != nil && a.Assignment == p {
			a.stoppedAt = m.w.now
			if a.WaitsForRoom() {
				m.w.happened(stoppedPending)
			}
		}
	}
	switch r.Code {
	case reason.Gap:
		m.w.happened(gapStopped)
	case reason.Truncated:
		m.w.happened(truncationStopped)
	case reason.Recreated:
		m.w.happened(recreationStopped)
	case reason.Unbalanced:
		panic(breach{fmt.Sprintf("partition %d: %s", p.ID().Num, r.Text())})
	case reason.NoStart:
		m.w.happened(noStartStopped)
	}
}

// assign begins a partition where the survey of connector/internal/source says.
func (m *member) assign(p int) {
	w, s, id := m.w, &m.w.src, part.ID{Topic: "source", Num: int32(p)}
	for len(m.parts) <= p {
		m.parts = append(m.parts, nil)
	}
	policy := source.Start{Committed: w.knobs.startCommitted}
	if w.knobs.startLatest {
		policy.Origin = resume.Latest()
	}
	sv := source.NewSurvey(time.Now(), policy, s.cluster)
	sv.Topics[id.Topic] = source.SurveyedTopic{ID: s.id, Known: resume.Topic{Partitions: int32(len(s.logs))}}
	for q, c := range s.group.committed {
		if c.offset >= 0 {
			sv.SawCommit(part.ID{Topic: id.Topic, Num: int32(q)}, c.read())
		}
	}
	l := s.logs[p]
	sv.SawLog(id, l.start, l.end)
	if c, want := sv.WantsEpoch(id); want {
		v, unclear := source.JudgeEpoch(c.Offset, c.Epoch, l.endOf(c.Epoch))
		if unclear {
			epoch, found := l.epochOf(c.Offset - 1)
			v = source.JudgeRecord(v, c.Offset, c.Epoch, epoch, found)
		}
		sv.SawEpoch(id, v)
	}
	from := sv.Begin(id, m.accepts)
	topic := topicMapping
	if w.knobs.cutRefused {
		topic = cutsRefused
	}
	router, err := route.NewRouter(topic, m.routes)
	if err != nil {
		panic(err)
	}
	a := &assignment{m: m, num: p, at: from.Offset, epoch: from.Epoch, stoppedAt: w.now, Assignment: assign.New(assign.Spec{
		Partition: id, Topic: &assign.Topic{Name: id.Topic, ID: s.id, Mapping: topic}, Router: router, From: from,
		Start: from.Offset - from.Lost, Limit: -1, Cluster: s.cluster, Number: uint64(s.group.generation[p]), Lanes: w.knobs.lanes, Ahead: 200,
	}, m, m.gates.New(id.Topic, id.Num), &m.pending)}
	m.parts[p] = a
	if from.CommitFirst && policy.Origin.IsLatest() && from.Refused == nil {
		w.passOver(p)
	}
	if from.Refused != nil {
		w.happened(startRefused)
	}
	if from.Lost > 0 {
		w.happened(gapAccepted)
		a.LoseBefore(from.Offset)
	}
	if from.Stop != nil {
		a.Stop(from.Stop)
	}
}

// lastCommit commits what is final before an assignment ends.
func (m *member) lastCommit(a *assignment) {
	a.Detach()
	m.w.serveCommits(m) // what is on its way
	m.commit(a, m.w.now, m.w.now, false)
	m.w.serveCommits(m)
	m.w.happened(partitionRevoked)
}

// endAssignment ends one without a commit.
func (m *member) endAssignment(p int) {
	a := m.parts[p]
	a.Detach()
	a.End()
	m.parts[p] = nil
	m.revoked = append(m.revoked, a)
}

// crash ends the process: its memory is gone. Commits on their way arrive, or do not.
func (m *member) crash() {
	m.snd.crash()
	g := &m.w.src.group
	g.requests = slices.DeleteFunc(g.requests, func(q *commitRequest) bool {
		if q.m != m {
			return false
		}
		q.done = nil
		return m.r.IntN(2) == 0
	})
	m.w.members = slices.DeleteFunc(m.w.members, func(x *member) bool { return x == m })
}

// step is one tick.
func (m *member) step() {
	if m.stopped > 0 {
		m.stopped--
		return
	}
	m.readAgain()
	for _, a := range m.parts {
		if a == nil {
			continue
		}
		a.goOn()
		if a.WaitsForRoom() {
			a.Offer(m.snd)
			a.RoomAgain(time.Now())
		}
		if m.snd.room() && m.pending.Bytes.Load() == 0 && !a.Gate().Condition().Closed() && !a.Beginning() && m.r.IntN(3) > 0 {
			a.fetch()
		}
	}
	m.snd.step()
	m.commitAll()
}

// goOn has a partition go on whose refused packs a proxy took.
func (a *assignment) goOn() {
	for _, e := range a.Gate().Condition().Entries() {
		if e.Code == reason.Refused && e.Scope == reason.Stream && a.Refused.Of(e.Key) == 0 {
			assign.GoOn([]assign.Ending{{Assignment: a.Assignment, Key: e.Key}}, a.moveTo)
		}
	}
}

// moveTo is what sets the offset of the client.
func (a *assignment) moveTo(offsets map[part.ID]int64) { a.at, a.epoch = offsets[a.ID()], -1 }

// fetch takes what the client has of a partition, or its error.
func (a *assignment) fetch() {
	w, l := a.m.w, a.m.w.src.logs[a.num]
	recs, err := w.fetch(a.num, a.TopicID(), a.at, a.epoch, 1+a.m.r.IntN(6))
	w.src.fetched[a.num] = w.src.fetched[a.num] || err != otherTopic
	switch {
	case err == otherTopic:
		a.StopRecreated()
	case err == logDiverged, err == outOfRange && a.at > l.end:
		a.Stop(part.Truncated(a.ID(), l.end, a.at))
	case err == outOfRange && !a.m.accepts:
		a.Stop(part.Gap(a.ID(), a.at, l.start))
	case err == outOfRange:
		if a.LoseBefore(l.start) {
			w.happened(gapAccepted)
			a.moveTo(map[part.ID]int64{a.ID(): l.start})
		}
	case a.MustRewind():
		assign.Rewind([]*assign.Assignment{a.Assignment}, a.moveTo)
	case len(recs) > 0:
		last := recs[len(recs)-1]
		a.at, a.epoch = last.offset+1, last.epoch
		a.Log.Saw(l.start, l.end)
		a.Take(a.m.snd, &a.m.splitter, asKafka(recs))
	}
}

// commitAll begins a round now and then; one is on its way per process.
func (m *member) commitAll() {
	for _, a := range m.revoked {
		if off, ok := a.Checkpoint().BeginCommit(); ok {
			panic(breach{fmt.Sprintf("partition %d: commit of %d begun by an assignment that was revoked", a.num, off)})
		}
	}
	if m.onTheWay > 0 || m.r.IntN(5) > 0 {
		return
	}
	arrives := m.w.now + m.r.IntN(3)
	answers, silent := arrives+m.r.IntN(4), m.w.answersLost && m.r.IntN(2) == 0
	for _, a := range m.parts {
		if a != nil {
			m.commit(a, arrives, answers, silent)
		}
	}
}

// commit sends what a partition has to commit.
func (m *member) commit(a *assignment, arrives, answers int, silent bool) {
	w := m.w
	if !commit.Wants(a.Assignment) {
		return
	}
	if !w.knobs.brokersCheckIDs && part.OtherTopic(a.TopicID(), w.src.id) { // asked for before each commit
		a.StopRecreated()
		return
	}
	o, ok := commit.NewOffer(a.Assignment, time.Now())
	if !ok {
		return
	}
	q := &commitRequest{
		commit: groupCommit{o.Offset, o.Epoch, o.Line.String()}, m: m, partition: a.num, generation: int(a.Number),
		arrives: arrives, answers: answers, silent: silent,
	}
	if w.knobs.brokersCheckIDs {
		q.topic = a.TopicID()
	}
	m.onTheWay++
	q.done = func(taken bool) {
		m.onTheWay--
		switch beginning := a.Beginning(); {
		case taken && beginning:
			w.happened(startCommitted)
		case taken && a.MustRestate():
			w.happened(startRestated)
		case !taken && a.TopicID() != w.src.id: // UNKNOWN_TOPIC_ID
			a.StopRecreated()
		}
		o.Ended(taken, time.Now())
	}
	w.src.group.requests = append(w.src.group.requests, q)
}

// stopped is why the partition does not go on, "" when it does.
func (a *assignment) stopped() reason.Code {
	if e := a.Stopped(); e != nil {
		return e.Code
	}
	return ""
}
