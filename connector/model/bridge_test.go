package model

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/sdk/finality"
)

// bridge is the thinnest glue around the rules: it does what connector and sdk do, a tick at a time,
// without goroutines.
type bridge struct {
	w         *world
	r         *rand.Rand
	cfg       finality.Config
	instance  int
	m         *finality.Machine
	nextPack  finality.Pack
	nextEpoch finality.ConnEpoch

	assigned []*assignment // by partition, nil when not assigned
	revoked  []*assignment // older generations: late news must move nothing
	packs    map[finality.Pack]*packInfo
	repairs  []finality.Pack // waiting, before all others
	resends  []finality.Pack
	waiting  []finality.Pack
	conns    []*conn
	rereads  []reread
	reader   *reader
	barrier  *barrierRun
	stopped  int // ticks this process does not run any more

	lostPacks    int // Lost decisions on living connections: probes and the like
	lostRecords  int
	maxUnfinal   int
	commitErrors bool
}

// assignment is one generation of a partition.
type assignment struct {
	partition int
	*checkpoint.Partition
	commit *commitRun
}

type commitRun struct {
	offset int64
	at     int
	fails  bool
}

type pieceRef struct {
	a     *assignment
	piece checkpoint.Piece
}

type packInfo struct {
	id      finality.Pack
	route   int32
	minute  int32
	records []recordID
	pieces  []pieceRef
	written bool // in flight or acked
	epoch   finality.ConnEpoch
	proxy   *proxy
	sentAt  int // the tick of the copy that was written last
	acked   bool
	lost    bool
	charged bool // the copy written last is in duplicatesAllowed
}

type reread struct {
	pieceRef
	origin checkpoint.Origin
	at     int
}

func newBridge(w *world, cfg finality.Config, instance int) *bridge {
	b := &bridge{
		w: w, r: w.r, cfg: cfg, instance: instance, m: finality.New(cfg),
		packs: make(map[finality.Pack]*packInfo), assigned: make([]*assignment, len(w.src.end)),
	}
	for _, p := range w.proxies {
		b.m.AddEndpoint(p.id, w.time())
	}
	if cfg.Mode == finality.Queue {
		b.reader = newReader(w, instance)
	}
	return b
}

func (b *bridge) assign(p int) {
	start := max(b.w.src.committed[p], 0)
	b.assigned[p] = &assignment{partition: p, Partition: checkpoint.New(start)}
}

// revoke commits what is final, then ends the assignment. A commit in flight may still arrive.
func (b *bridge) revoke(p int) {
	a := b.assigned[p]
	if a == nil {
		return
	}
	if a.commit != nil {
		b.endCommit(a)
	}
	if off, ok := a.BeginCommit(); ok {
		b.w.commit(p, off)
		a.EndCommit(true)
	}
	a.Revoke()
	b.assigned[p] = nil
	b.revoked = append(b.revoked, a)
}

// step is one tick of the bridge.
func (b *bridge) step() {
	if b.stopped > 0 {
		b.stopped--
		return
	}
	b.connect()
	b.receive()
	if b.reader != nil {
		b.readQueue()
	}
	b.m.Tick(b.w.time())
	b.carryOut()
	b.readAgain()
	b.fetch()
	b.dispatch()
	b.commitAll()
	b.forget()
	open, _ := b.m.Open()
	b.maxUnfinal = max(b.maxUnfinal, open)
}

func (b *bridge) connect() {
	for _, p := range b.w.proxies {
		if !p.up || slices.ContainsFunc(b.conns, func(c *conn) bool { return c.proxy == p }) || b.r.IntN(3) > 0 {
			continue
		}
		b.nextEpoch++
		c := &conn{epoch: b.nextEpoch, proxy: p}
		p.conns = append(p.conns, c)
		b.conns = append(b.conns, c)
		b.m.Opened(c.epoch, p.id, b.w.time())
	}
}

// receive takes answers and ends of connections, each with its time.
func (b *bridge) receive() {
	for _, c := range slices.Clone(b.conns) {
		for len(c.down) > 0 && c.down[0].at < b.w.now {
			r := c.down[0]
			c.down = c.down[1:]
			b.w.events++
			switch {
			case r.heartbeat:
				b.m.Answered(c.epoch, b.w.time())
			case r.code != 0:
				if info := b.packs[r.pack]; info != nil && info.written && info.epoch == c.epoch {
					info.written = false
					b.m.Refused(r.pack, c.epoch, r.code == 114, b.w.time())
					b.resends = append(b.resends, r.pack)
				}
			default:
				if info := b.packs[r.pack]; info != nil && info.written && info.epoch == c.epoch {
					info.acked = true
				}
				b.m.Acked(r.pack, c.epoch, b.w.time())
			}
			b.carryOut()
		}
		if c.endedAt > 0 && len(c.down) == 0 && b.w.now > c.endedAt {
			b.end(c)
		}
	}
}

func (b *bridge) end(c *conn) {
	b.conns = slices.DeleteFunc(b.conns, func(x *conn) bool { return x == c })
	c.leave()
	b.m.Ended(c.epoch, b.w.time())
	b.carryOut()
}

// leave closes the bridge's side: what the proxy received it still serves, but nobody hears the answer.
func (c *conn) leave() {
	if c.endedAt > 0 {
		return
	}
	c.proxy.conns = slices.DeleteFunc(c.proxy.conns, func(x *conn) bool { return x == c })
	c.proxy.left = append(c.proxy.left, c)
}

// crash ends the process: its memory is gone.
func (b *bridge) crash() {
	for _, c := range b.conns {
		c.leave()
	}
	for _, a := range b.assigned {
		if a != nil && a.commit != nil && b.r.IntN(2) == 0 {
			b.endCommit(a) // the commit on its way arrives after all
		}
	}
}

func (b *bridge) readQueue() {
	b.m.QueueAnswers(b.w.queueAnswers(), b.w.time())
	for _, seq := range b.reader.read() {
		b.w.events++
		b.m.Seen(seq, b.w.time())
	}
	b.carryOut()
	if b.barrier == nil {
		return
	}
	switch passed, failed := b.reader.passed(b.barrier); {
	case failed:
		b.barrier = nil
		b.m.BarrierFailed(b.w.time())
	case passed:
		begun := b.barrier.begun
		b.barrier = nil
		b.m.BarrierPassed(begun, b.w.time())
	}
	b.carryOut()
}

func (b *bridge) carryOut() {
	for {
		ds := b.m.Decisions(nil)
		if len(ds) == 0 {
			return
		}
		for _, d := range ds {
			b.w.events++
			b.decide(d)
		}
	}
}

func (b *bridge) decide(d finality.Decision) {
	now := b.w.time()
	switch d.Kind {
	case finality.Resend:
		info := b.packs[d.Pack]
		info.written = false
		if b.w.now < info.proxy.lapsedUntil {
			b.charge(info)
		}
		b.resends = append(b.resends, d.Pack)
	case finality.Final:
		info := b.packs[d.Pack]
		for _, ref := range info.pieces {
			ref.a.Final(ref.piece)
		}
		delete(b.packs, d.Pack)
		notIt := func(id finality.Pack) bool { return id == d.Pack }
		b.repairs = slices.DeleteFunc(b.repairs, notIt)
		b.resends = slices.DeleteFunc(b.resends, notIt)
	case finality.Lost:
		b.w.logf("lost pack %d: %s", d.Pack, d.Reason)
		info := b.packs[d.Pack]
		info.lost = true
		b.lostPacks++
		b.lostRecords += len(info.records)
		for _, ref := range info.pieces {
			if o, again := ref.a.Lost(ref.piece); again {
				b.rereads = append(b.rereads, reread{ref, o, b.w.now + 1 + b.r.IntN(8)})
			}
		}
	case finality.Close:
		for _, c := range slices.Clone(b.conns) {
			if c.epoch == d.ConnEpoch {
				b.end(c)
			}
		}
	case finality.Heartbeat:
		for _, c := range b.conns {
			if c.epoch == d.ConnEpoch {
				c.up = append(c.up, upFrame{heartbeat: true, at: b.w.now})
				b.m.Beat(c.epoch, now)
			}
		}
	case finality.Barrier:
		b.barrier = b.reader.ask(now)
	}
}

// readAgain fetches the ranges of lost pieces once more; their packs go before all others.
func (b *bridge) readAgain() {
	var later []reread
	due := b.rereads
	b.rereads = nil
	for _, rr := range due {
		if rr.at > b.w.now {
			later = append(later, rr)
			continue
		}
		if rr.a.Revoked() {
			continue
		}
		b.w.events++
		var again []record
		for _, rec := range b.w.src.from(rr.a.partition, rr.origin.First, int(rr.origin.Last-rr.origin.First)+1) {
			if rr.origin.Holds(rec.offset, rec.route, rec.minute) {
				again = append(again, rec)
			}
		}
		// A lost piece may fall apart into several.
		for len(again) > 0 {
			n := 1 + b.r.IntN(len(again))
			part := again[:n]
			again = again[n:]
			piece := rr.a.Replace(rr.piece, originOf(part))
			if piece == 0 {
				continue // the lost pack was seen meanwhile
			}
			info := b.newPack(part[0].route, part[0].minute)
			info.add(part, pieceRef{rr.a, piece})
			b.repairs = append(b.repairs, info.id)
		}
		rr.a.Replaced(rr.piece, 0, checkpoint.Gap)
	}
	b.rereads = append(b.rereads, later...)
}

func originOf(recs []record) checkpoint.Origin {
	return checkpoint.Origin{
		First: recs[0].offset, Last: recs[len(recs)-1].offset,
		Route: recs[0].route, Minute: recs[0].minute, Records: int32(len(recs)),
	}
}

func (b *bridge) newPack(route, minute int32) *packInfo {
	b.nextPack++
	info := &packInfo{id: b.nextPack, route: route, minute: minute}
	b.packs[info.id] = info
	return info
}

func (p *packInfo) add(recs []record, ref pieceRef) {
	for _, r := range recs {
		p.records = append(p.records, r.recordID)
	}
	p.pieces = append(p.pieces, ref)
}

// fetch takes a chunk of every assigned partition: one span each, one piece per route and minute, and
// fills packs that several partitions share.
func (b *bridge) fetch() {
	if len(b.waiting) > 20 {
		return
	}
	type key struct{ route, minute int32 }
	open := make(map[key]*packInfo)
	var keys []key
	for p, a := range b.assigned {
		if a == nil || b.r.IntN(3) == 0 {
			continue
		}
		chunk := b.w.src.from(p, a.Position(), 1+b.r.IntN(6))
		if len(chunk) == 0 {
			continue
		}
		b.w.events++
		span := a.Begin(chunk[0].offset, chunk[len(chunk)-1].offset+1)
		groups := make(map[key][]record)
		var order []key
		for _, rec := range chunk {
			k := key{rec.route, rec.minute}
			if groups[k] == nil {
				order = append(order, k)
			}
			groups[k] = append(groups[k], rec)
		}
		for _, k := range order {
			if open[k] == nil {
				open[k] = b.newPack(k.route, k.minute)
				keys = append(keys, k)
			}
			open[k].add(groups[k], pieceRef{a, a.Add(span, originOf(groups[k]))})
		}
		a.End(span)
	}
	for _, k := range keys {
		b.waiting = append(b.waiting, open[k].id)
	}
}

// dispatch writes what the machine admits; a pack of a stream that stalls does not block the others.
func (b *bridge) dispatch() {
	if b.reader != nil && !b.reader.watch() {
		return
	}
	for _, q := range []*[]finality.Pack{&b.repairs, &b.resends, &b.waiting} {
		*q = slices.DeleteFunc(*q, func(id finality.Pack) bool { return b.write(b.packs[id]) })
	}
}

func (b *bridge) write(info *packInfo) bool {
	if info == nil {
		return true
	}
	for _, i := range b.r.Perm(len(b.conns)) {
		c := b.conns[i]
		size := 10 * len(info.records)
		if b.m.Admit(c.epoch, finality.Stream(info.route), size, b.w.time()) != finality.OK {
			continue
		}
		b.m.Written(info.id, finality.Stream(info.route), c.epoch, size, b.w.time())
		owes := b.owes(c)
		info.written, info.acked, info.charged, info.epoch, info.proxy, info.sentAt = true, false, false, c.epoch, c.proxy, b.w.now
		b.w.events++
		if c.endedAt == 0 {
			c.up = append(c.up, upFrame{msg: message{b.instance, info.id, info.route, info.records}, at: b.w.now})
		}
		if c.proxy.faults > 0 || owes {
			b.charge(info)
		}
		return true
	}
	return false
}

// owes reports whether the proxy owes c an answer since the time of a fault that has ended. Found at seed 15574
// (settle): 1. a proxy stands still and a pack waits for its answer; 2. it goes on one tick before ack_timeout
// is over, takes in all it was sent, and its answers are on their way; 3. in this tick more packs are written
// to the connection, which the proxy stores; 4. ack_timeout ends the connection before the answers are there,
// and the packs of step 3 are sent again. The fault caused those copies too, though it had ended when they
// were written.
func (b *bridge) owes(c *conn) bool {
	for _, info := range b.packs {
		if info.written && !info.acked && info.epoch == c.epoch && info.sentAt <= c.proxy.faultEnded {
			return true
		}
	}
	return false
}

// charge allows the copy of the pack that was written last to be sent again. A copy is charged once, however
// many faults touch it: each fault sends it again or not, and what is sent again is another copy.
func (b *bridge) charge(info *packInfo) {
	if !info.charged {
		info.charged = true
		b.w.duplicatesAllowed += len(info.records)
	}
}

func (b *bridge) commitAll() {
	for _, a := range b.revoked {
		if off, ok := a.BeginCommit(); ok {
			panic(breach{fmt.Sprintf("partition %d: commit of %d begun by an assignment that was revoked", a.partition, off)})
		}
	}
	for _, a := range b.assigned {
		if a == nil {
			continue
		}
		if a.commit != nil {
			if a.commit.at <= b.w.now {
				b.endCommit(a)
			}
			continue
		}
		if b.r.IntN(5) > 0 {
			continue
		}
		if off, ok := a.BeginCommit(); ok {
			a.commit = &commitRun{off, b.w.now + b.r.IntN(6), b.commitErrors && b.r.IntN(2) == 0}
		}
	}
}

func (b *bridge) endCommit(a *assignment) {
	c := a.commit
	a.commit = nil
	if !c.fails {
		b.w.commit(a.partition, c.offset)
	}
	a.EndCommit(!c.fails)
}

// forget drops lost packs that nobody waits for any more.
func (b *bridge) forget() {
	if b.w.now%10 != 0 {
		return
	}
	for id, info := range b.packs {
		if !info.lost {
			continue
		}
		if !slices.ContainsFunc(info.pieces, func(ref pieceRef) bool { return !ref.a.Forgotten(ref.piece) }) {
			b.m.Forget(id)
			delete(b.packs, id)
		}
	}
}

// chargeInFlight charges what may be sent twice when the connections of a proxy end: what is in flight on them
// and was stored already. In settle all that has not settled is sent again.
func (b *bridge) chargeInFlight(p *proxy) {
	for _, info := range b.packs {
		if !info.written || info.lost || info.proxy != p || !b.open(info.epoch) {
			continue
		}
		if b.w.mode == finality.Queue && (info.acked || !p.stored[message{instance: b.instance, pack: info.id}.name()]) {
			continue
		}
		b.charge(info)
	}
}

// chargeOrphans charges what a proxy acked on connections that have ended, also those whose end the bridge has
// not noticed yet.
func (b *bridge) chargeOrphans(p *proxy) {
	for _, info := range b.packs {
		if info.acked && !info.lost && info.proxy == p && !b.living(info.epoch) {
			b.charge(info)
		}
	}
}

// chargeAll charges what a proxy that misbehaves may cause to be sent twice.
func (b *bridge) chargeAll(p *proxy) {
	for _, info := range b.packs {
		if info.written && !info.lost && info.proxy == p {
			b.charge(info)
		}
	}
}

// open reports whether the bridge holds the connection for open; living, whether it is.
func (b *bridge) open(epoch finality.ConnEpoch) bool {
	return slices.ContainsFunc(b.conns, func(c *conn) bool { return c.epoch == epoch })
}

func (b *bridge) living(epoch finality.ConnEpoch) bool {
	return slices.ContainsFunc(b.conns, func(c *conn) bool { return c.epoch == epoch && c.endedAt == 0 })
}

// uncommittedRecords is what another process, or this one after a restart, will read again.
func (b *bridge) uncommittedRecords(p int) int {
	if b.assigned[p] == nil {
		return 0
	}
	from := max(b.w.src.committed[p], 0)
	return len(b.w.src.from(p, from, int(b.assigned[p].Position()-from)))
}
