package sdk

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"inlong-bridge/sdk/finality"
	"inlong-bridge/sdk/frame"
)

// A pack that proxies answer by closing the connection may hold one record that they cannot stand among
// thousands that are fine. So a pack that ended the connections it was alone on, to two proxies, is cut
// in halves, which travel alone as well, down to the one record, which is refused for good after some
// more tries.
//
// The halves are packs with names of their own. In mode queue the whole one stays known: it may have
// been stored before the connection ended, and when it is seen, all that it was cut into is final.

// Splitter is a Token that gives new names to the halves of a piece. Without it a pack that holds nothing
// but one piece of the token is never cut: it is tried again alone, at growing pauses.
type Splitter interface {
	Token
	// Split says that the first n records of the piece travel on under the first name, the others under the second. The
	// old name is not heard of again. It is called as Settled is.
	Split(piece uint64, n int) (first, second uint64)
}

// PoisonError says that a record is given up because proxies close the connection whenever they get it. DataProxy
// does so with what is larger than its max-msg-length, and with what it cannot read.
type PoisonError struct {
	Group     string
	Stream    string
	Deaths    int      // connections that ended while the record was alone on them
	Endpoints []string // proxies that ended them
	Last      string   // how the last one ended
}

func (e *PoisonError) Error() string {
	return fmt.Sprintf("sending to %s.%s: %d connections to %s ended while this record was alone on them (%s); hint: compare the largest frame with the proxies' max-msg-length, and look into their logs",
		e.Group, e.Stream, e.Deaths, strings.Join(e.Endpoints, ", "), e.Last)
}

// poisonTries is how many connections a single record must end, of two proxies or more, until it is
// refused: two that are restarted while they have it prove nothing.
const poisonTries = 8

// killings is what a pack has done while it travelled alone.
type killings struct {
	deaths  int         // connections it ended
	proxies []*endpoint // whose
	stuck   string      // why it cannot be cut
}

// diedLocked notes that the connection ended on which p was alone. It counts when the proxy ended it, and had
// answered something before: a heartbeat goes ahead of such a pack. What accepts connections and closes
// them whatever comes says nothing about the pack. Under Sender.mu.
func (k *killings) diedLocked(c *conn) {
	if c.byUs || !c.answers {
		return
	}
	k.deaths++
	if !slices.Contains(k.proxies, c.ep) {
		k.proxies = append(k.proxies, c.ep)
	}
}

// reason is why the pack is not cut, for a status.
func (k *killings) reason() string {
	if k.stuck == "" {
		return ""
	}
	return ", whole: " + k.stuck
}

// isolateLocked cuts a waiting pack in two, or gives up a single record, when it has ended enough connections, and reports
// whether it did. Under mu.
func (s *Sender) isolateLocked(p *pack) bool {
	k := &p.killed
	switch {
	case len(k.proxies) < 2 && (k.deaths < 2 || len(p.st.proxies.endpoints) > 1):
		return false
	case p.count > 1:
		return s.splitLocked(p)
	case len(k.proxies) < 2 || k.deaths < poisonTries:
		return false
	}
	e := &PoisonError{Group: p.st.group, Stream: p.st.name, Deaths: k.deaths, Last: p.endpoint.lastErr}
	for _, ep := range k.proxies {
		e.Endpoints = append(e.Endpoints, ep.addr)
	}
	s.refuseLocked(p, Result{Outcome: Refused, Endpoint: p.endpoint.addr, Err: e})
	return true
}

// cutAt returns how many records the first half gets, and the piece that has to be cut for that, or -1.
// At 0 the pack cannot be cut.
func (p *pack) cutAt() (n, inside int) {
	middle := p.count / 2
	inside = slices.IndexFunc(p.pieces, func(pc piece) bool { return int(pc.from) < middle && middle < int(pc.to) })
	if inside < 0 {
		return middle, -1
	}
	pc := p.pieces[inside]
	if _, ok := pc.token.(Splitter); ok {
		return middle, inside
	}
	// The nearer end of the piece that is not an end of the pack.
	before, after := int(pc.from), int(pc.to)
	switch {
	case before > 0 && (after == p.count || middle-before <= after-middle):
		return before, -1
	case after < p.count:
		return after, -1
	}
	return 0, -1
}

// splitLocked begins to cut p, which is in no queue meanwhile, and reports whether that can be. Under mu.
func (s *Sender) splitLocked(p *pack) bool {
	n, inside := p.cutAt()
	if n == 0 {
		p.killed.stuck = "its records share a piece that cannot be cut"
		return false
	}
	if inside < 0 {
		return s.cutLocked(p, n)
	}
	// The token is asked without a lock. What happens to the pack meanwhile (it is seen, the sender is
	// closed) is told afterwards, under the new names.
	p.renaming = true
	pc := p.pieces[inside]
	s.notify.post(event{ask: func() {
		first, second := s.askSplit(pc, n-int(pc.from))
		s.mu.Lock()
		p.renaming = false
		at := uint16(n)
		p.pieces = slices.Concat(p.pieces[:inside], []piece{
			{token: pc.token, id: first, from: pc.from, to: at}, {token: pc.token, id: second, from: at, to: pc.to},
		}, p.pieces[inside+1:])
		p.tokens++
		switch {
		case p.state != packWaiting:
			s.tellEndLocked(p, p.ended)
		case !s.cutLocked(p, n):
			s.enqueueLocked(p)
		}
		todo := s.progressLocked()
		s.mu.Unlock()
		todo.perform()
	}})
	return true
}

// askSplit asks a token for names. One that panics has none; it will hear of name 0.
func (s *Sender) askSplit(pc piece, n int) (first, second uint64) {
	defer func() {
		if r := recover(); r != nil {
			s.o.logger.Error("token panicked when asked to split a piece", "panic", fmt.Sprint(r))
		}
	}()
	return pc.token.(Splitter).Split(pc.id, n)
}

// cutLocked makes two packs of a waiting one. No piece reaches over the cut. Under mu.
func (s *Sender) cutLocked(p *pack, n int) bool {
	items, err := s.itemsOf(p.frame)
	if err != nil || len(items) != p.count {
		p.killed.stuck = fmt.Sprintf("bug: its %d records cannot be read again: %v", p.count, err)
		return false
	}
	s.o.logger.Warn("cutting a pack in two that ends connections", "stream", p.st.text, "endpoint", p.endpoint.addr,
		"records", p.count, "times", p.killed.deaths)
	first, second := s.halfLocked(p, items[:n], 0), s.halfLocked(p, items[n:], n)
	first.charge = p.charge * int64(n) / int64(p.count)
	second.charge = p.charge - first.charge
	p.charge = 0
	p.pieces = nil
	if s.o.finality.Mode == finality.Queue {
		s.setStateLocked(p, packSplit)
		s.ranAheadLocked(p)
		s.unloadLocked(p)
		p.parts, p.left = [2]*pack{first, second}, 2
		first.parent, second.parent = p, p
	} else { // no news of the whole can come any more
		s.m.Drop(finality.Pack(p.seq), s.now())
		s.doneLocked(p, event{})
	}
	for _, q := range []*pack{first, second} {
		s.enqueueLocked(q)
		s.enc.push(q)
	}
	return true
}

// halfLocked makes a pack of some of p's records, those from index from on. Under mu.
func (s *Sender) halfLocked(p *pack, items []frame.Item, from int) *pack {
	size := 0
	for _, i := range items {
		size += frame.ItemAttrOverhead + len(i.Data) + len(i.Attr)
	}
	q := &pack{
		st: p.st, key: p.key, opened: p.opened, limit: p.limit, count: len(items), dataTime: p.dataTime, dataMillis: p.dataMillis, sealed: true,
		buf: s.packBuffer(frame.PackHeader + size), seq: s.nextSeqLocked(), rtms: p.rtms, compress: p.compress, endpoint: p.endpoint, maybe: p.maybe,
		suspect: true,
	}
	for _, i := range items {
		if p.key.records {
			q.buf, _ = frame.AppendItemAttr(q.buf, i.Data, i.Attr) // both are there: they came out of such a pack
		} else {
			q.buf = frame.AppendItem(q.buf, i.Data)
		}
	}
	for _, pc := range p.pieces {
		if int(pc.from) < from || int(pc.from) >= from+len(items) {
			continue
		}
		pc.from, pc.to = pc.from-uint16(from), pc.to-uint16(from)
		q.pieces = append(q.pieces, pc)
		if _, single := pc.token.(callback); !single {
			q.tokens++
		}
	}
	s.registerLocked(q)
	if s.o.hooks.PackSealed != nil {
		s.tellPackLocked(s.o.hooks.PackSealed, q, s.now(), nil)
	}
	return q
}

// partsSeenLocked: the whole pack was seen in the queue, so all parts of it are there. Under mu.
func (s *Sender) partsSeenLocked(p *pack, now time.Duration) {
	for _, q := range p.parts {
		switch {
		case q.state == packDone:
		case q.state == packWaiting && q.sends == 0: // the state machine does not know it yet
			s.finalLocked(q, now)
		default:
			s.m.Seen(finality.Pack(q.seq), now)
		}
	}
	s.forgetSplitLocked(p)
}

// partEndedLocked notes that nothing more will be heard of a part. When that is so for both, nobody needs to
// know of the whole pack any more. Under mu.
func (s *Sender) partEndedLocked(q *pack) {
	p := q.parent
	if p == nil {
		return
	}
	q.parent = nil
	if p.left--; p.left == 0 && p.state == packSplit {
		s.m.Drop(finality.Pack(p.seq), s.now())
		s.forgetSplitLocked(p)
	}
}

// forgetSplitLocked drops the entry of a pack that was cut. Under mu.
func (s *Sender) forgetSplitLocked(p *pack) {
	if p.state != packSplit {
		return
	}
	s.setStateLocked(p, packDone)
	s.unregisterLocked(p)
	p.parts = [2]*pack{}
	s.partEndedLocked(p)
}
