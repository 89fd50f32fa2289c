package model

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/replay"
	"inlong-bridge/connector/reason"
	"inlong-bridge/connector/resume"
	"inlong-bridge/sdk/engine"
	"inlong-bridge/sdk/finality"
)

// member is one bridge process: it does what connector does, a tick at a time, without goroutines.
type member struct {
	w        *world
	r        *rand.Rand
	cfg      finality.Config
	instance int
	snd      *sender
	copies   map[int32]*sent // by Ref: the copy of each pack that was written last, until the bridge is done with the pack
	parts    []*assignment   // by partition, nil when not assigned
	revoked  []*assignment   // older assignments: late news must move nothing
	replay   *replay.Planner
	reading  map[part.ID]int64 // where the client of replay fetches next
	gates    gate.Gates
	accepts  bool // delivery.on_gap: continue
	reader   *reader
	stopped  int // ticks this process does not run any more
	onTheWay int // commits
}

// assignment is one assignment of a partition to a process.
type assignment struct {
	*checkpoint.Partition
	m          *member
	partition  int
	generation int // of the group
	topic      resume.TopicID
	start      int64
	books      resume.Books
	sight      resume.Sight
	fromEpoch  int32
	epochs     []epochStart // of the records read
	unstarted  bool         // where it begins is not committed yet
	restate    bool         // the same, and need not be waited for
	lost       bool         // the group gave it to somebody else, and it has not heard yet
	lostAt     int64        // where the group was then
	held       int          // packs that every proxy refuses
	gate       *gate.Gate
	stoppedAt  int
}

type pieceRef struct {
	a     *assignment
	piece checkpoint.Piece
}

func newMember(w *world, cfg finality.Config) *member {
	w.instances++
	m := &member{
		w: w, r: w.r, cfg: cfg, instance: w.instances, copies: make(map[int32]*sent), parts: make([]*assignment, len(w.src.logs)),
	}
	m.snd, m.accepts, m.reading = newSender(m), w.knobs.acceptGap, make(map[part.ID]int64)
	m.replay = replay.NewPlanner(replay.Config{Outlet: m, AcceptGap: m.accepts})
	if cfg.Mode == finality.Queue {
		m.reader = newReader(w, m)
	}
	w.members = append(w.members, m)
	for _, p := range w.proxies {
		clear(p.row)
	}
	return m
}

// assign begins a partition where connector/resume says.
func (m *member) assign(p int) {
	w, s := m.w, &m.w.src
	for len(m.parts) <= p {
		m.parts = append(m.parts, nil)
	}
	var g resume.Group
	known := resume.Topic{Partitions: int32(len(s.logs))}
	for _, c := range s.group.committed {
		if c.offset >= 0 {
			rc := c.read()
			g.Saw(rc)
			known.Saw(rc, rc.Judge(s.cluster, s.id))
		}
	}
	a := &assignment{m: m, partition: p, generation: s.group.generation[p], topic: s.id, fromEpoch: -1, gate: m.gates.New("source", int32(p))}
	l, c := s.logs[p], s.group.committed[p].read()
	had, trust := c.Offset >= 0, c.Judge(s.cluster, s.id)
	policy := resume.Start()
	if w.knobs.startLatest {
		policy = resume.Latest()
	}
	lost := int64(0)
	if !had || trust == resume.Refused {
		origin := resume.Start()
		if !had {
			origin, _ = resume.Begin(int32(p), known, g, policy, w.wallClock())
		} else {
			w.happened(startRefused)
		}
		if a.start = l.start; origin.IsLatest() {
			a.start = l.end
			w.passOver(p)
		}
		a.books = resume.Books{From: a.start}
		a.sight = known.Sight(had, trust, origin, w.wallClock())
		a.unstarted = true
	} else {
		a.start, a.fromEpoch = c.Offset, c.Epoch
		a.sight = known.Sight(true, trust, resume.Start(), w.wallClock())
		switch {
		case c.Offset > l.end || c.Epoch >= 0 && c.Offset > l.start && w.diverges(p, c.Offset, c.Epoch):
			a.Stop(part.Truncated(a.ID(), l.end, c.Offset))
		case c.Offset < l.start && m.accepts:
			lost = l.start - c.Offset
		case c.Offset < l.start:
			a.Stop(part.Gap(a.ID(), c.Offset, l.start))
		}
		if a.books = c.Line.Books; trust != resume.Known || !a.books.Close(c.Offset) {
			a.books = resume.Books{From: c.Offset, Unproven: max(0, c.Offset-l.start)}
			a.restate = true
		}
	}
	a.Partition = checkpoint.New(a.start)
	if lost > 0 {
		a.loseBefore(l.start)
	}
	m.parts[p] = a
}

func (a *assignment) loseBefore(next int64) {
	a.m.w.happened(gapAccepted)
	from := a.Position()
	span := a.Begin(from, next)
	a.Count(span, checkpoint.LostGap, next-from)
	a.End(span)
}

// epochBefore is the leader epoch of the record before an offset that was read, -1 when it is not known.
func (a *assignment) epochBefore(offset int64) int32 {
	epoch := a.fromEpoch
	if offset == a.start {
		return epoch
	}
	epoch = -1
	for _, e := range a.epochs {
		if e.at < offset {
			epoch = e.epoch
		}
	}
	return epoch
}

// lastCommit commits what is final before an assignment ends.
func (m *member) lastCommit(p int) {
	a := m.parts[p]
	if a == nil {
		return
	}
	m.w.serveCommits(m)
	if m.commitOne(a) {
		m.w.serveCommits(m)
	}
	m.w.happened(partitionRevoked)
}

// endAssignment ends it without a commit.
func (m *member) endAssignment(p int) {
	a := m.parts[p]
	if a == nil {
		return
	}
	a.Revoke()
	m.parts[p] = nil
	m.revoked = append(m.revoked, a)
}

// step is one tick.
func (m *member) step() {
	if m.stopped > 0 {
		m.stopped--
		return
	}
	m.readAgain()
	m.fetch()
	m.snd.step()
	m.commitAll()
}

// crash ends the process: its memory is gone. Commits on their way arrive, or do not.
func (m *member) crash() {
	for _, c := range m.snd.conns {
		c.leave(m.w)
	}
	for _, of := range m.copies {
		of.ended = true
	}
	clear(m.copies)
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

func (m *member) readQueue() {
	m.snd.queueAnswers(m.reader.answers())
	for _, seq := range m.reader.take() {
		m.w.events++
		m.snd.seen(seq)
	}
	m.reader.tellMissing()
	m.reader.stepBarrier()
}

// wrote notes a copy of a pack on its way.
func (m *member) wrote(c *conn, p *pack) *sent {
	of := &sent{packName: packName{m.instance, p.Seq()}, m: m, p: p, route: p.route, records: p.records, conn: c, at: m.w.now}
	owes := m.owes(c)
	m.copies[p.Ref] = of
	if c.proxy.faults > 0 || c.proxy.shadowed > m.w.now || owes {
		m.w.charge(of)
	}
	return of
}

// owes reports whether the proxy owes c an answer since the time of a fault that has ended. Found at seed 15574
// (settle): 1. a proxy stands still and a pack waits for its answer; 2. it goes on one tick before ack_timeout
// is over, takes in all it was sent, and its answers are on their way; 3. in this tick more packs are written
// to the connection, which the proxy stores; 4. ack_timeout ends the connection before the answers are there,
// and the packs of step 3 are sent again. The fault caused those copies too, though it had ended when they
// were written.
func (m *member) owes(c *conn) bool {
	for _, of := range m.copies {
		if of.conn == c && !of.heard && of.at <= c.proxy.faultEnded {
			return true
		}
	}
	return false
}

// ended: no copy of a pack that is on its way matters any more.
func (m *member) ended(p *pack) {
	if of := m.copies[p.Ref]; of != nil {
		of.ended = true
		delete(m.copies, p.Ref)
	}
}

func (m *member) final(p *pack) {
	m.ended(p)
	for _, ref := range p.pieces {
		ref.a.Final(ref.piece)
	}
}

func (m *member) lost(p *pack) {
	m.w.happened(packLost)
	m.ended(p)
	for _, ref := range p.pieces {
		if o, again := ref.a.Lost(ref.piece); again {
			m.replay.Add(ref.a, ref.piece, o)
		}
	}
}

// hold stops partitions whose packs every proxy refuses, until they are taken.
func (m *member) hold(p *pack, on bool) {
	if p.held == on {
		return
	}
	p.held = on
	for _, ref := range p.pieces {
		if on {
			ref.a.held++
		} else {
			ref.a.held--
		}
	}
}

// refused stops partitions of which a pack is given up.
func (m *member) refused(p *pack, why engine.Cause) {
	m.w.happened(packGivenUp)
	m.ended(p)
	for _, ref := range p.pieces {
		if !ref.a.Forgotten(ref.piece) {
			ref.a.Stop(part.Stop(ref.a.ID(), reason.Refused, -1, why.String()))
		}
	}
}

func ids(recs []record) (out []int) {
	for _, r := range recs {
		out = append(out, r.id)
	}
	return out
}

func originOf(recs []record) checkpoint.Origin {
	return checkpoint.Origin{
		First: recs[0].offset, Last: recs[len(recs)-1].offset,
		Route: recs[0].route, Minute: recs[0].minute, Records: int32(len(recs)),
	}
}

// fetch takes a chunk of every assigned partition: one span each, one piece per route and minute, and
// fills packs that several partitions share.
func (m *member) fetch() {
	if !m.snd.room() {
		return
	}
	type key struct{ route, minute int32 }
	type filling struct {
		records []int
		pieces  []packPiece
	}
	open := make(map[key]*filling)
	var keys []key
	for p, a := range m.parts {
		if a == nil || a.stopped() != "" || a.held > 0 || a.unstarted || m.r.IntN(3) == 0 {
			continue
		}
		l, at := m.w.src.logs[p], a.Position()
		chunk, err := m.w.fetch(p, a.topic, at, a.epochBefore(at), 1+m.r.IntN(6))
		switch {
		case err == otherTopic:
			a.Stop(part.Recreated(a.ID(), at))
		case err == logDiverged, err == outOfRange && at > l.end:
			a.Stop(part.Truncated(a.ID(), l.end, at))
		case err == outOfRange && m.accepts:
			a.loseBefore(l.start)
		case err == outOfRange:
			a.Stop(part.Gap(a.ID(), at, l.start))
		}
		if err != fetchOK || len(chunk) == 0 {
			continue
		}
		span := a.Begin(chunk[0].offset, chunk[len(chunk)-1].offset+1)
		groups := make(map[key][]record)
		var order []key
		for _, rec := range chunk {
			if n := len(a.epochs); n == 0 || a.epochs[n-1].epoch != rec.epoch {
				a.epochs = append(a.epochs, epochStart{rec.epoch, rec.offset})
			}
			k := key{rec.route, rec.minute}
			if groups[k] == nil {
				order = append(order, k)
			}
			groups[k] = append(groups[k], rec)
		}
		for _, k := range order {
			if open[k] == nil {
				open[k] = new(filling)
				keys = append(keys, k)
			}
			f := open[k]
			from := len(f.records)
			f.records = append(f.records, ids(groups[k])...)
			f.pieces = append(f.pieces, packPiece{pieceRef{a, a.Add(span, originOf(groups[k]))}, from, len(f.records)})
		}
		a.End(span)
	}
	for _, k := range keys {
		m.snd.seal(k.route, open[k].records, open[k].pieces, false)
	}
}

// commitAll begins a round now and then; one is on its way per process.
func (m *member) commitAll() {
	for _, a := range m.revoked {
		if off, ok := a.BeginCommit(); ok {
			panic(breach{fmt.Sprintf("partition %d: commit of %d begun by an assignment that was revoked", a.partition, off)})
		}
	}
	if m.onTheWay > 0 || m.r.IntN(5) > 0 {
		return
	}
	arrives := m.w.now + m.r.IntN(3)
	answers, silent := arrives+m.r.IntN(4), m.w.answersLost && m.r.IntN(2) == 0
	for _, a := range m.parts {
		if a != nil {
			if q := m.beginCommit(a); q != nil {
				q.arrives, q.answers, q.silent = arrives, answers, silent
			}
		}
	}
}

func (m *member) commitOne(a *assignment) bool { return m.beginCommit(a) != nil }

// beginCommit offers what a partition has to commit, with its line.
func (m *member) beginCommit(a *assignment) *commitRequest {
	if a.gate.Condition().Has(reason.Recreated, reason.Truncated) {
		return nil
	}
	w := m.w
	first := a.unstarted || a.restate
	offset, ok := a.start, first
	books := a.books
	if !a.unstarted {
		if at, moved := a.BeginCommit(); moved {
			l := a.Offered()
			offset, ok, first = at, true, false
			books = books.Add(resume.Books{Final: l.Final, Skipped: l.Skipped, Gap: l.Gap, Lost: l.Lost, Dead: l.Quarantined})
		}
	}
	if !ok {
		return nil
	}
	if !books.Close(offset) {
		panic(breach{fmt.Sprintf("partition %d: the books do not close at %d: %+v", a.partition, offset, books)})
	}
	if !w.knobs.brokersCheckIDs && a.topic != w.src.id { // asked for before each commit
		a.Stop(part.Recreated(a.ID(), a.Position()))
		if !first {
			a.EndCommit(false)
		}
		return nil
	}
	line := resume.Line{Cluster: w.src.cluster, Topic: a.topic, Seen: a.sight, At: w.wallClock(), Books: books}
	q := &commitRequest{
		commit: commit{offset, a.epochBefore(offset), line.String()}, m: m, partition: a.partition, generation: a.generation,
		arrives: w.now, answers: w.now,
	}
	if w.knobs.brokersCheckIDs {
		q.topic = a.topic
	}
	m.onTheWay++
	q.done = func(ok bool) {
		m.onTheWay--
		if !first {
			a.EndCommit(ok)
		}
		if !ok && a.topic != w.src.id { // UNKNOWN_TOPIC_ID
			a.Stop(part.Recreated(a.ID(), a.Position()))
		}
		if ok && (a.unstarted || a.restate) {
			if a.unstarted {
				w.happened(startCommitted)
			} else {
				w.happened(startRestated)
			}
			a.unstarted, a.restate = false, false
		}
	}
	w.src.group.requests = append(w.src.group.requests, q)
	return q
}
