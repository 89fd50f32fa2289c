package sdk

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"inlong-bridge/sdk/engine"
	"inlong-bridge/sdk/frame"
)

// A pack that ends connections is cut in halves when the engine asks for it; engine/isolate.go says when and why. Here
// its records and pieces are divided.

// Splitter is a Token that gives new names to the halves of a piece. Without it a pack that holds nothing
// but one piece of the token is never cut: it is tried again alone, at growing pauses, unless a Judge says otherwise.
type Splitter interface {
	Token
	// Split says that the first n records of the piece travel on under the first name, the others under the second. The
	// old name is not heard of again. It is called as Settled is.
	Split(piece uint64, n int) (first, second uint64)
}

// PoisonError says that proxies close the connection whenever they get a record, or the pack of several that a Judge is
// asked about. DataProxy does so with what is larger than its max-msg-length, and with what it cannot read.
type PoisonError struct {
	Group     string
	Stream    string
	Records   int      // in the pack
	Deaths    int      // connections that ended while the pack was alone on them
	Endpoints []string // proxies that ended them
	Last      string   // how the last one ended
}

func (e *PoisonError) Error() string {
	what := "this record was"
	if e.Records > 1 {
		what = fmt.Sprintf("these %d records were", e.Records)
	}
	return fmt.Sprintf("sending to %s.%s: %d connections to %s ended while %s alone on them (%s); hint: compare the largest frame with the proxies' max-msg-length, and look into their logs",
		e.Group, e.Stream, e.Deaths, strings.Join(e.Endpoints, ", "), what, e.Last)
}

// cutAt returns how many records the first half gets, and the piece that has to be cut for that, or -1.
// At 0 the pack cannot be cut.
func (p *pack) cutAt() (n, inside int) {
	n, inside = p.boundary()
	if inside >= 0 {
		if _, ok := p.pieces[inside].token.(Splitter); ok {
			return p.count / 2, inside
		}
	}
	return n, -1
}

// boundary returns how many records the first half gets when no piece is cut, 0 if there is one piece alone, and the piece in
// whose middle the pack's is, or -1.
func (p *pack) boundary() (n, inside int) {
	middle := p.count / 2
	inside = slices.IndexFunc(p.pieces, func(pc piece) bool { return int(pc.from) < middle && middle < int(pc.to) })
	if inside < 0 {
		return middle, -1
	}
	// The nearer end of the piece that is not an end of the pack.
	before, after := int(p.pieces[inside].from), int(p.pieces[inside].to)
	switch {
	case before > 0 && (after == p.count || middle-before <= after-middle):
		return before, inside
	case after < p.count:
		return after, inside
	}
	return 0, inside
}

// cutLocked begins to cut a waiting pack, which is in no queue meanwhile, and reports whether the engine was told already
// what came of it. Under mu.
func (s *Sender) cutLocked(f *engine.Effect, now time.Duration) (told bool) {
	p := s.packs.at(f.Pack.Ref)
	if p.life.State() != engine.Waiting {
		return false // it was seen since
	}
	n, inside := p.cutAt()
	switch {
	case n == 0:
		return s.judgeWholeLocked(p, f)
	case isOrdered(p) && slices.ContainsFunc(p.pieces, piece.isJudged):
		s.e.Judged(&p.life, engine.TakeBack, now)
		return true
	case isOrdered(p):
		s.e.NotParted(&p.life, "its records keep an order")
		return true
	case inside < 0:
		s.cutInTwoLocked(p, n, f.Times, now)
		return true
	}
	// The token is asked without a lock. What happens to the pack meanwhile (it is seen, the sender is
	// closed) is told afterwards, under the new names.
	p.naming = true
	pc := p.pieces[inside]
	s.notify.post(event{ask: func() {
		first, second := s.askSplit(pc, n-int(pc.from))
		s.mu.Lock()
		p.naming = false
		at := uint16(n)
		p.pieces = slices.Concat(p.pieces[:inside], []piece{
			{token: pc.token, id: first, from: pc.from, to: at}, {token: pc.token, id: second, from: at, to: pc.to},
		}, p.pieces[inside+1:])
		if p.life.State() == engine.Waiting {
			s.cutInTwoLocked(p, n, f.Times, s.now())
		} else {
			s.tellEndLocked(p, *p.ended)
		}
		todo := s.progressLocked()
		s.mu.Unlock()
		todo.perform()
	}})
	return false
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

// cutInTwoLocked makes two packs of a waiting one that ended so many connections. Under mu.
func (s *Sender) cutInTwoLocked(p *pack, n, times int, now time.Duration) {
	if err := s.partLocked(p, n, times, now); err != nil {
		s.e.NotParted(&p.life, err.Error())
	}
}

// partLocked makes two packs of a waiting one that is refused, or ended so many connections. No piece reaches over the cut. Under mu.
func (s *Sender) partLocked(p *pack, n, times int, now time.Duration) error {
	items, err := s.enc.Items(p.frame)
	if err != nil || len(items) != p.count {
		return fmt.Errorf("bug: its %d records cannot be read again: %w", p.count, err)
	}
	s.o.logger.Warn("cutting a pack in two that proxies do not take", "stream", p.st.text, "endpoint", s.proxies.addrOfLocked(p.life.Endpoint()),
		"records", p.count, "connections_ended", times)
	first, second := s.half(p, items[:n], 0), s.half(p, items[n:], n)
	first.charge = p.charge * int64(n) / int64(p.count)
	second.charge = p.charge - first.charge
	p.charge = 0
	p.pieces, p.calls = nil, nil
	if known := s.e.Parted(&p.life, s.enterLocked(first), s.enterLocked(second), now); known {
		s.ranAheadLocked(p, now)
		s.unloadLocked(p)
	} else {
		s.endLocked(p, event{})
	}
	for _, q := range []*pack{first, second} {
		if s.o.hooks.PackSealed != nil {
			s.tellPackLocked(s.o.hooks.PackSealed, q, now, nil)
		}
		s.enc.Push(q, q.size())
	}
	return nil
}

// half makes a pack of some of p's records, those from index from on.
func (s *Sender) half(p *pack, items []frame.Item, from int) *pack {
	size := 0
	for _, i := range items {
		size += frame.ItemAttrOverhead + len(i.Data) + len(i.Attr)
	}
	q := &pack{filling: filling{
		st: p.st, key: p.key, opened: p.opened, limit: p.limit, count: len(items), dataMillis: p.dataMillis, sealed: true,
		trail: s.cutTrail(p, from, len(items)), buf: s.packBuffer(frame.PackHeader + size), rtms: p.rtms, compress: p.compress,
	}}
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
	}
	if from < len(p.calls) {
		q.calls = slices.Clone(p.calls[from:min(from+len(items), len(p.calls))])
	}
	return q
}
