package engine

import (
	"math/rand/v2"
	"slices"
	"time"

	"inlong-bridge/sdk/backoff"
	"inlong-bridge/sdk/finality"
)

// Config holds the durations and limits of an engine.
type Config struct {
	Finality    finality.Config
	Retry       backoff.Backoff // pauses of whatever is tried again
	RetryLimit  int             // a pack is given up when so many tries after the first one failed; NoRetryLimit for never
	HoldRefused bool            // keep packs that every proxy refuses permanently, and try them again
	HeldRetry   backoff.Backoff // pauses between those tries
	SlowStart   time.Duration   // until a proxy that came back has its whole share; 0 for at once
	Random      rand.Source     // of choices and jitter
}

// NoRetryLimit is the RetryLimit without which a pack is never given up because tries failed.
const NoRetryLimit = -1

// Engine decides about all packs of one sender; see the package comment. Make it with New.
type Engine struct {
	cfg     Config
	confirm *finality.Machine
	random  *rand.Rand

	packs   map[uint64]*Pack // by Seq; Invariant: exactly those in a state other than Filling and Done
	lastSeq uint64
	states  StateCounts // of packs
	repairs StateCounts // of the packs among them with Repair set

	streams  []*Stream // Invariant: streams[i].index == i
	lists    []*ProxyList
	conns    map[finality.ConnEpoch]*Conn // that did not end
	last     finality.ConnEpoch
	draining []*Conn // that end when they have nothing left

	runnable [lanes]runQueue // streams with packs to send
	scanAll  bool            // the next dispatch tries every blocked stream
	round    uint64          // of dispatch
	isolated []*Pack         // waiting, and to travel alone
	refused  refusedPacks

	others, same []*Conn // of choose, reused
	decisions    []finality.Decision
	effects      []Effect
	spare        []Effect // the list that Progress returned last

	flushed bool // no pack will be sealed any more
	stopped bool // nothing is sent any more
}

// New returns an engine without streams and proxies.
func New(cfg Config) *Engine {
	return &Engine{
		cfg: cfg, confirm: finality.New(cfg.Finality), random: rand.New(cfg.Random),
		packs: make(map[uint64]*Pack), conns: make(map[finality.ConnEpoch]*Conn),
	}
}

// Progress ends a change: it carries out what package finality decided, hands waiting packs to connections, and returns
// everything that the owner has to do since the last call. The list is valid until the next call.
func (e *Engine) Progress(now time.Duration) []Effect {
	e.decide(now)
	e.takeTurns(now)
	e.probeHeld(now)
	if !e.stopped {
		e.dispatch(now)
	}
	e.closeDrained(now)
	return e.takeEffects()
}

// Tick lets time pass. Call it at least every 100 ms.
func (e *Engine) Tick(now time.Duration) {
	e.confirm.Tick(now)
	e.scanAll = true
	e.requeueSingleRefusals(now)
	e.refused.look = len(e.refused.turns) > 0
}

// Flush says that no pack will be sealed any more: held packs are not tried any longer.
func (e *Engine) Flush() { e.flushed, e.refused.look = true, true }

// Stop says that the owner ends everything: nothing is sent any more, and every connection is closed.
func (e *Engine) Stop(reason string) {
	e.stopped = true
	for _, c := range e.sortedConns() {
		e.closeConn(c, reason)
	}
}

// Stopped reports whether Stop was called.
func (e *Engine) Stopped() bool { return e.stopped }

// Idle reports whether Flush was called and no pack is on its way any more. Held and lost packs are not.
func (e *Engine) Idle() bool { return e.flushed && e.states.Pending() == 0 }

// Abandon ends every pack after Stop: each gets its last news.
func (e *Engine) Abandon() {
	for _, p := range e.sortedPacks() {
		if p.state == Split || p.state == Done {
			continue // the parts of a split pack get the news
		}
		f := Effect{Kind: PackAbandoned, Pack: p, Endpoint: p.endpoint, Again: p.state == Lost}
		if r := p.refusal; r != nil && r.held {
			f.Err = r.last
			e.uncountHeld(p)
		}
		e.done(p)
		e.emit(f)
	}
}

func (e *Engine) sortedPacks() []*Pack {
	all := make([]*Pack, 0, len(e.packs))
	for _, p := range e.packs {
		all = append(all, p)
	}
	slices.SortFunc(all, bySeq)
	return all
}

func (e *Engine) sortedConns() []*Conn {
	all := make([]*Conn, 0, len(e.conns))
	for _, c := range e.conns {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *Conn) int { return int(a.epoch) - int(b.epoch) })
	return all
}

// States is how many packs are in each state, and Repairs how many of those have Repair set.
func (e *Engine) States() StateCounts  { return e.states }
func (e *Engine) Repairs() StateCounts { return e.repairs }

// Known is how many packs the engine keeps any account of.
func (e *Engine) Known() int { return len(e.packs) }

// decide carries out what package finality decided, until it has nothing more to say.
func (e *Engine) decide(now time.Duration) {
	for {
		e.decisions = e.confirm.Decisions(e.decisions[:0])
		if len(e.decisions) == 0 {
			return
		}
		for i := range e.decisions {
			e.carryOut(&e.decisions[i], now)
		}
	}
}

func (e *Engine) carryOut(d *finality.Decision, now time.Duration) {
	switch d.Kind {
	case finality.Resend:
		if p := e.packs[uint64(d.Pack)]; p != nil { // else Abandon was quicker
			e.sendAgain(p, d.Oldest, d.Reason, now)
		}
	case finality.Final:
		switch p := e.packs[uint64(d.Pack)]; {
		case p == nil:
		case p.state == Split:
			e.wholeSeen(p, now)
		default:
			e.final(p)
		}
	case finality.Lost:
		if p := e.packs[uint64(d.Pack)]; p != nil {
			e.lose(p, d.Reason)
		}
	case finality.Close:
		if c := e.conns[d.ConnEpoch]; c != nil {
			c.byUs = true
			e.closeConn(c, d.Reason)
		}
	case finality.Heartbeat:
		if c := e.conns[d.ConnEpoch]; c != nil {
			e.emit(Effect{Kind: Heartbeat, Conn: c})
		}
	case finality.Barrier:
		if !e.stopped {
			e.emit(Effect{Kind: Barrier})
		}
	}
}

// Seen says that a pack was seen in the queue.
func (e *Engine) Seen(seq uint64, now time.Duration) { e.confirm.Seen(finality.Pack(seq), now) }

// QueueAnswers says whether every queue cluster answers. It starts as false.
func (e *Engine) QueueAnswers(ok bool, now time.Duration) { e.confirm.QueueAnswers(ok, now) }

// BarrierPassed says that a barrier that began then was passed: everything that lay in the queue then was reported with
// Seen.
func (e *Engine) BarrierPassed(begun, now time.Duration) { e.confirm.BarrierPassed(begun, now) }

// BarrierFailed says that a barrier was given up.
func (e *Engine) BarrierFailed(now time.Duration) { e.confirm.BarrierFailed(now) }

// TopicMissing says whether the topic of a stream is missing in every queue cluster. It starts as false.
func (e *Engine) TopicMissing(st *Stream, missing bool, now time.Duration) {
	e.confirm.Missing(st.id, missing, now)
}

// pause returns how long to wait after so many pauses in a row.
func (e *Engine) pause(b backoff.Backoff, before int) time.Duration {
	return b.Pause(before, e.random.Float64())
}
