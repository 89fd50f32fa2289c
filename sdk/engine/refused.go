package engine

import (
	"cmp"
	"slices"
	"time"

	"inlong-bridge/sdk/finality"
)

// A permanent refusal, as the code of the answer says, is believed when two different proxies gave it for the
// same pack, or all that are on the list: one that was set up wrongly, or whose memory is damaged, refuses everything
// while the others take it.
//
// Such a pack is judged; see judge.go. One that is kept is given up without Config.HoldRefused. With it the pack is held, because the fault may be at the proxies
// all the same. Of all held packs one is probed at a time, alone on its connection, through each connected proxy in
// turn, and the pause grows after each such probe. When one is taken, all are released.

// refusal is what proxies said of one pack permanently.
type refusal struct {
	by       []*Endpoint // that refused it; while it is probed: that were tried in this probe
	code     int         // of the last answer
	last     error       // the last answer, as the owner gave it
	held     bool        // PackHeld was told, and PackReleased was not
	probing  bool        // Invariant: Engine.refused.probing is this pack
	probes   int         // it had
	waits    int         // times it waited for another proxy than those that refused it
	believed bool
	giveUp   time.Duration // probing: the probe ends when no connection took the pack before
}

// refusedPacks are the packs that proxies refuse permanently and that are kept.
type refusedPacks struct {
	single  []*Pack       // Waiting: one proxy refused it, and no other is connected. It is not believed yet
	turns   []*Pack       // Waiting: until the pack before it is cut; see judge.go
	look    bool          // it may be the turn of one of them
	held    []*Pack       // Invariant: exactly those in state Held, by Seq
	probing *Pack         // the held pack that is being tried; Waiting or InFlight
	codes   map[int]int   // Invariant: held packs by the code of their last refusal, probing included
	pauses  int           // probes in a row that failed
	next    time.Duration // no probe before
	since   time.Duration // when the first pack was held
}

// probed reports whether the pack is held and tried again just now.
func (p *Pack) probed() bool { return p.refusal != nil && p.refusal.probing }

// Acked says that the proxy acked an answerable pack without an error code; see Conn.Find.
func (e *Engine) Acked(p *Pack, now time.Duration) {
	c, ep, st := p.conn, p.endpoint, p.stream
	if pauses := ep.breaker.pauses; ep.acks(e, p, now) {
		e.emit(Effect{Kind: EndpointTakes, Endpoint: ep, Times: pauses})
	}
	switch b := st.breakers[ep]; {
	case b == nil:
	case b.trial == p.seq:
		e.emit(Effect{Kind: StreamTakes, Stream: st, Endpoint: ep, Times: b.pauses})
		e.takesStream(st, ep, now)
	case b.pauses == 0 && p.sentAt >= b.rejectedAt:
		st.closeBreaker(ep)
	}
	e.unhand(p)
	e.setState(p, Acked)
	p.isolated, p.ends = false, 0
	c.acked++
	c.useful = true
	ep.counts.Acked++
	st.counts.Acked++
	e.anyTurn(st)
	p.named = false
	if p.probed() {
		e.probeTaken(p, now)
	}
	p.refusal = nil
	f := e.add(PackAcked)
	f.Pack, f.Endpoint = p, ep
	e.confirm.Acked(finality.Pack(p.seq), c.epoch, now)
}

// Refused says that the proxy answered an answerable pack with an error code. early says that it had not understood
// enough to name the pack. err is kept, and handed back with effects.
func (e *Engine) Refused(p *Pack, code int, early bool, err error, now time.Duration) {
	c, ep := p.conn, p.endpoint
	ep.countCode(code)
	e.confirm.Refused(finality.Pack(p.seq), c.epoch, code == codeFull, now)
	answer := LookUp(code)
	if early && answer.Class == Rejected {
		answer.Class = Damaged // a text pack has no magic: this is how damaged bytes show
	}
	if answer.Class == Rejected {
		e.confirm.NotStored(finality.Pack(p.seq))
	}
	sentAt, again := p.sentAt, p.damaged
	e.unhand(p)
	e.setState(p, Waiting)
	p.isolated, p.alone = false, aloneRecord{}
	switch answer.Class {
	case Accepted, ProxyUnavailable:
		if !ep.throttled {
			e.emit(Effect{Kind: EndpointRefuses, Endpoint: ep, Err: err})
		}
		ep.refusesAll(e, p.seq, sentAt, now, answer.Reason())
	case StreamUnavailable, StreamUnknown:
		e.refusesStream(p, ep, answer.Class, sentAt, now, err, answer.Reason())
	case Damaged:
		// The bytes on this connection are not what they were. It finishes what it has, and the pack
		// goes out once more, alone, on another one.
		p.damaged, p.avoid, p.isolated = true, c.epoch, true
		if e.drain(c); c.drainBy == 0 {
			c.drainBy = now + drainGrace
		}
	case Rejected:
	}
	switch {
	case p.probed():
		e.probeRefused(p, ep, now)
	case answer.Class == Damaged || answer.Class == Rejected:
		switch believed := p.refusedBy(ep, code, err); {
		case believed && (again || answer.Class == Rejected):
			e.refusedPermanently(p, now)
		case e.tryFailed(p, ep, err, ""):
		default:
			if answer.Class == Rejected {
				e.rejectsStream(p, ep, sentAt, now, answer.Reason())
			}
			e.awaitSecondOpinion(p, now)
		}
	case !e.tryFailed(p, ep, err, ""):
		e.enqueue(p)
	}
}

// refusedBy notes that a proxy refused a pack permanently, and reports whether that is to be believed.
func (p *Pack) refusedBy(ep *Endpoint, code int, err error) (believed bool) {
	if p.refusal == nil {
		p.refusal = new(refusal)
	}
	r := p.refusal
	r.code, r.last = code, err
	if !slices.Contains(r.by, ep) {
		r.by = append(r.by, ep)
	}
	return len(r.by) > 1 || !slices.ContainsFunc(p.stream.list.endpoints, func(o *Endpoint) bool { return !slices.Contains(r.by, o) })
}

// elsewhere reports whether a proxy is connected that has not refused the pack.
func (p *Pack) elsewhere() bool {
	return p.stream.connected(func(ep *Endpoint) bool { return !slices.Contains(p.refusal.by, ep) })
}

// avoids reports whether the pack must not go to a proxy because that one has refused it permanently.
func (p *Pack) avoids(ep *Endpoint) bool {
	return p.refusal != nil && slices.Contains(p.refusal.by, ep) && (p.refusal.probing || p.elsewhere())
}

// awaitSecondOpinion has a pack that one proxy refused wait for another one. If none is connected it is not put into its
// queue, so that nobody waits behind it, and the same proxies are tried again after a pause.
func (e *Engine) awaitSecondOpinion(p *Pack, now time.Duration) {
	if p.isolated || p.elsewhere() {
		e.enqueue(p)
		return
	}
	p.notBefore = now + e.pause(e.cfg.Retry, p.refusal.waits)
	p.refusal.waits++
	e.refused.single = append(e.refused.single, p)
}

// requeueSingleRefusals puts those back that another proxy may take, or whose pause is over.
func (e *Engine) requeueSingleRefusals(now time.Duration) {
	e.refused.single = slices.DeleteFunc(e.refused.single, func(p *Pack) bool {
		switch {
		case p.state != Waiting: // seen meanwhile, or given up
			return true
		case now < p.notBefore && !p.elsewhere():
			return false
		}
		e.enqueue(p)
		return true
	})
}

// refusedPermanently has a waiting pack judged whose refusal is believed.
func (e *Engine) refusedPermanently(p *Pack, now time.Duration) {
	r := p.refusal
	for _, ep := range r.by { // the pack is at fault, not a proxy that refuses the stream alone
		if b := p.stream.breakers[ep]; b != nil && !b.unknown {
			p.stream.closeBreaker(ep)
		}
	}
	if r.believed = true; !e.judge(p, now) {
		e.refused.turns = append(e.refused.turns, p)
	}
}

// keep has a pack held that proxies refuse.
func (e *Engine) keep(p *Pack, now time.Duration) {
	h, r := &e.refused, p.refusal
	if h.codes == nil {
		h.codes = make(map[int]int)
	}
	if len(h.held) == 0 && h.probing == nil {
		h.since, h.pauses = now, 0
		h.next = now + e.pause(e.cfg.HeldRetry, 0)
	}
	if h.codes[r.code] == 0 {
		e.emit(Effect{Kind: HoldingBegins, Pack: p, Endpoint: p.endpoint, Err: r.last})
	}
	h.codes[r.code]++
	p.stream.held++
	r.held = true
	e.hold(p)
	e.emit(Effect{Kind: PackHeld, Pack: p, Endpoint: p.endpoint, Err: r.last})
}

// hold puts a waiting pack among those that are held.
func (e *Engine) hold(p *Pack) {
	p.isolated, p.damaged, p.avoid = false, false, 0
	e.setState(p, Held)
	h := &e.refused
	i, _ := slices.BinarySearchFunc(h.held, p, bySeq)
	h.held = slices.Insert(h.held, i, p)
}

// probeHeld begins the next probe when its pause is over, and ends the one under way when no connection takes the pack.
func (e *Engine) probeHeld(now time.Duration) {
	h := &e.refused
	if p := h.probing; p != nil {
		if p.state == Waiting && (now >= p.refusal.giveUp || e.flushed) {
			e.endProbe(p, now)
		}
		return
	}
	if len(h.held) == 0 || now < h.next || e.flushed || e.stopped {
		return
	}
	p := h.nextToProbe()
	if p == nil { // none of their proxies is connected
		h.next = now + time.Second
		return
	}
	h.unlist(p)
	h.probing = p
	r := p.refusal
	r.by, r.probing = r.by[:0], true
	r.probes++
	p.stream.probes++
	e.setState(p, Waiting)
	e.probeNextProxy(p, now)
}

// nextToProbe is the held pack that is probed next: of the stream that had the fewest probes the one that had the
// fewest, and of those the oldest.
func (h *refusedPacks) nextToProbe() (best *Pack) {
	for _, p := range h.held {
		if best != nil && cmp.Or(cmp.Compare(p.stream.probes, best.stream.probes), cmp.Compare(p.refusal.probes, best.refusal.probes)) >= 0 {
			continue
		}
		if p.stream.connected(func(*Endpoint) bool { return true }) {
			best = p
		}
	}
	return best
}

// probeNextProxy has the probed pack go to the next proxy, alone.
func (e *Engine) probeNextProxy(p *Pack, now time.Duration) {
	p.isolated, p.notBefore = true, 0
	p.refusal.giveUp = now + e.cfg.Finality.AckTimeout
	e.enqueue(p)
}

// probeRefused notes that a proxy did not take the probed pack, for whatever reason.
func (e *Engine) probeRefused(p *Pack, ep *Endpoint, now time.Duration) {
	r := p.refusal
	if !slices.Contains(r.by, ep) {
		r.by = append(r.by, ep)
	}
	if p.elsewhere() && !e.flushed {
		e.probeNextProxy(p, now)
		return
	}
	e.endProbe(p, now)
}

// probeEnded: the connection ended on which a held pack was tried alone. A pack that ends connections is no longer held,
// but isolated. blamed says that the end counts against the pack.
func (e *Engine) probeEnded(p *Pack, c *Conn, blamed bool, now time.Duration) {
	if blamed {
		p.alone.ended(c)
	}
	if len(p.alone.endpoints) < 2 {
		e.probeRefused(p, c.endpoint, now)
		return
	}
	e.endRefusal(p)
	if !e.isolate(p) {
		e.enqueue(p)
	}
}

// endProbe ends the probe of a waiting pack: no proxy took it.
func (e *Engine) endProbe(p *Pack, now time.Duration) {
	h := &e.refused
	e.isolated = slices.DeleteFunc(e.isolated, func(q *Pack) bool { return q == p })
	p.unreserve()
	p.refusal.probing, h.probing = false, nil
	e.hold(p)
	h.pauses++
	h.next = now + e.pause(e.cfg.HeldRetry, h.pauses)
}

// probeTaken: a proxy took the probed pack, so the other held packs may be taken now too. All of them go out again.
func (e *Engine) probeTaken(p *Pack, now time.Duration) {
	h := &e.refused
	e.endRefusal(p)
	e.emit(Effect{Kind: HoldingEnds, Pack: p, Endpoint: p.endpoint, Packs: len(h.held) + 1, For: now - h.since})
	released := h.held
	h.held = nil
	for _, q := range released {
		e.setState(q, Waiting)
		e.endRefusal(q)
		e.enqueue(q)
	}
}

// endRefusal ends what proxies said of a pack. A held pack is released; it is not in refusedPacks.held any more.
func (e *Engine) endRefusal(p *Pack) {
	r := p.refusal
	if r == nil {
		return
	}
	if e.refused.probing == p {
		e.refused.probing = nil
	}
	if r.held {
		e.uncountHeld(p)
	}
	p.refusal = nil
	if r.held {
		e.emit(Effect{Kind: PackReleased, Pack: p, Endpoint: p.endpoint})
	}
}

// uncountHeld takes a pack out of the books of what is held.
func (e *Engine) uncountHeld(p *Pack) {
	code := p.refusal.code
	if e.refused.codes[code]--; e.refused.codes[code] == 0 {
		delete(e.refused.codes, code)
	}
	if p.stream.held--; p.stream.held == 0 {
		p.stream.probes = 0
	}
}

// unlistHeld takes a pack out of the list of held packs, if it is in it.
func (e *Engine) unlistHeld(p *Pack) {
	if p.state == Held {
		e.refused.unlist(p)
	}
}

func (h *refusedPacks) unlist(p *Pack) {
	if i := slices.Index(h.held, p); i >= 0 {
		h.held = slices.Delete(h.held, i, i+1)
	}
}

// HeldPacks are the packs that are held and not probed just now, by Seq. The caller must not change the slice.
func (e *Engine) HeldPacks() []*Pack { return e.refused.held }

// errOf is what a proxy said last of a held pack of a stream, nil if it has none.
func (h *refusedPacks) errOf(st *Stream) error {
	if p := h.probing; p != nil && p.stream == st {
		return p.refusal.last
	}
	for _, p := range h.held {
		if p.stream == st {
			return p.refusal.last
		}
	}
	return nil
}
