package engine

import (
	"slices"
	"time"

	"inlong-bridge/sdk/finality"
)

// Stream is what the engine knows of one (group, stream) pair. The owner embeds it in its own struct.
type Stream struct {
	Ref int32 // the owner's handle; the engine only carries it

	index   int32 // in Engine.streams
	id      finality.Stream
	watched bool // its queue is read; without that nothing of it is sent in mode queue
	list    *ProxyList

	fresh    line                   // laneNew
	others   *[laneNew]line         // the lanes before it, which most streams never need; nil until one is
	breakers map[*Endpoint]*breaker // of the proxies that do not take it; nil without any
	known    int32                  // Invariant: packs of it in Engine.packs
	held     int32                  // Invariant: packs of it whose pieces were told that they are held, without release
	probes   int32                  // tries of its held packs since it has some
	counts   deliveries
	troubles *troubles // nil until it has some: a sender may have many thousand streams
}

// StreamCounts are the counters of a stream. They run since AddStream.
type StreamCounts struct {
	deliveries
	troubles
}

type deliveries struct {
	Packs, WireBytes, Acked, Final, RecordsFinal uint64
}

type troubles struct {
	Lost, Resent, Duplicated, Refused, Cut, RecordsLost, RecordsRefused uint64

	turn refusedTurn
}

// ID is the number that AddStream was given.
func (s *Stream) ID() finality.Stream { return s.id }

// Counts returns the counters.
func (s *Stream) Counts() StreamCounts {
	c := StreamCounts{deliveries: s.counts}
	if s.troubles != nil {
		c.troubles = *s.troubles
	}
	return c
}

// trouble returns the counters of what most streams never have.
func (s *Stream) trouble() *troubles {
	if s.troubles == nil {
		s.troubles = new(troubles)
	}
	return s.troubles
}

// Held is how many packs of the stream are held.
func (s *Stream) Held() int { return int(s.held) }

// AddStream makes a stream known that sends to the proxies of a list. No two streams ever have the same id.
func (e *Engine) AddStream(st *Stream, id finality.Stream, l *ProxyList) {
	st.id, st.list, st.index = id, l, int32(len(e.streams))
	st.fresh.turn.Owner = st
	e.streams = append(e.streams, st)
}

// Watched says that the queue of a stream is read from now on.
func (e *Engine) Watched(st *Stream) {
	st.watched = true
	for l := range lanes {
		e.makeRunnable(st, l)
	}
}

// ForgetStream forgets a stream of which no pack is known and that does not stall, and reports whether it did.
func (e *Engine) ForgetStream(st *Stream) bool {
	if st.known > 0 || !e.confirm.ForgetStream(st.id) {
		return false
	}
	last := e.streams[len(e.streams)-1]
	e.streams[st.index], last.index = last, st.index
	e.streams[len(e.streams)-1] = nil
	e.streams = e.streams[:len(e.streams)-1]
	for l := range lanes {
		if ln := st.line(l); ln != nil {
			ln.turn.Remove()
		}
	}
	return true
}

// ConfirmStreams is how many streams package finality knows.
func (e *Engine) ConfirmStreams() int { return e.confirm.Streams() }

// Confirm says what is known of the stream's packs behind the proxies (queue).
func (e *Engine) Confirm(st *Stream) finality.StreamState { return e.confirm.Stream(st.id) }

// UnseenAfter is how long packs of a stream may be on their way to the queue, none of it having been seen yet, before
// that is told as a stall. A proxy that has been idle takes up to 5 s.
const UnseenAfter = 10 * time.Second

// StallKind says why a stream makes no progress.
type StallKind uint8

const (
	NoStall        StallKind = iota
	StallIsolated            // Pack, its oldest, ended several connections in a row, and is tried alone
	StallHeld                // packs of it are held: Err is what a proxy said of one of them
	StallOneProxy            // one proxy refuses a pack permanently, as Err says, and no other is connected that could say so
	StallCut                 // packs of it are refused permanently, as Err says, and wait until the one before them is cut
	StallInQueue             // its packs are acked and do not reach the queue
	StallMissing             // its topic is missing in every queue cluster
	StallUnseen              // none of its packs was seen in the queue yet
	StallUnwatched           // its queue is not read yet
	StallNoProxies           // its list of proxies is empty
	StallNoConn              // no proxy of its list is connected
	StallRefused             // every connected proxy refuses it: Endpoint with Reason
	StallUnknown             // the same, because they do not know it
	StallPaused              // every connected proxy takes nothing from any stream for now: Endpoint with Reason
)

// Stall says why a stream makes no progress.
type Stall struct {
	Kind     StallKind
	Pack     *Pack
	Endpoint *Endpoint
	Err      error
	Reason   string
}

// Stall says why a stream makes no progress, if so.
func (e *Engine) Stall(st *Stream, now time.Duration) Stall {
	waiting := 0
	for l := range lanes {
		if ln := st.line(l); ln != nil {
			waiting += ln.n
		}
	}
	for _, p := range e.isolated {
		if p.stream != st {
			continue
		}
		if p.ends > 1 {
			return Stall{Kind: StallIsolated, Pack: p}
		}
		waiting++
	}
	if st.held > 0 {
		return Stall{Kind: StallHeld, Err: e.refused.errOf(st)}
	}
	for _, p := range e.refused.single {
		if p.stream == st && p.state == Waiting {
			return Stall{Kind: StallOneProxy, Err: p.refusal.last}
		}
	}
	for _, p := range e.refused.turns {
		if p.stream == st && p.state == Waiting {
			return Stall{Kind: StallCut, Err: p.refusal.last}
		}
	}
	if r := e.confirm.Stalled(st.id, now); r != finality.OK {
		return Stall{Kind: StallInQueue, Reason: r.String()}
	}
	if k := e.unseen(st); k != NoStall {
		return Stall{Kind: k}
	}
	switch {
	case waiting == 0:
		return Stall{}
	case e.cfg.Finality.Mode == finality.Queue && !st.watched:
		return Stall{Kind: StallUnwatched}
	case len(st.list.endpoints) == 0:
		return Stall{Kind: StallNoProxies}
	}
	stall := Stall{Kind: StallNoConn}
	for _, ep := range st.list.endpoints {
		if !ep.Up() {
			continue
		}
		b, why := st.breakers[ep], e.confirm.Endpoint(ep.id, now).Reason
		switch {
		case b != nil && b.pauses > 0:
			stall = Stall{Kind: StallRefused, Endpoint: ep, Reason: b.reason}
			if b.unknown {
				stall.Kind = StallUnknown
			}
		case ep.breaker.blocks(now):
			stall = Stall{Kind: StallPaused, Endpoint: ep, Reason: ep.breaker.reason}
		case why == finality.EndpointPaused || why == finality.EndpointZombie:
			stall = Stall{Kind: StallPaused, Endpoint: ep, Reason: why.String()}
		default:
			return Stall{}
		}
	}
	return stall
}

// unseen says that nothing of a stream reaches the topic that is read, if so.
func (e *Engine) unseen(st *Stream) StallKind {
	switch q := e.confirm.Stream(st.id); {
	case e.cfg.Finality.Mode != finality.Queue || q.Open == 0:
	case q.Missing && (q.Seen || q.Unseen >= UnseenAfter):
		return StallMissing
	case q.Unseen >= UnseenAfter:
		return StallUnseen
	}
	return NoStall
}

// probing reports whether a pack of the stream is in flight as the trial of some breaker. There is one at a time.
func (s *Stream) probing() bool {
	for _, b := range s.breakers {
		if b.trial != 0 {
			return true
		}
	}
	return false
}

// connected reports whether a proxy of the stream's list has a connection and meets a condition.
func (s *Stream) connected(ok func(*Endpoint) bool) bool {
	return slices.ContainsFunc(s.list.endpoints, func(ep *Endpoint) bool { return len(ep.conns) > 0 && ok(ep) })
}
