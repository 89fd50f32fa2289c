package engine

import (
	"cmp"
	"time"

	"inlong-bridge/sdk/finality"
)

// State is where a pack is in its life.
type State uint8

const (
	Filling  State = iota // not sealed yet: the engine does not know it
	Waiting               // to be encoded, or sent, or sent again
	InFlight              // handed to a connection
	Acked                 // a proxy holds it
	Lost                  // acked, and gone with its proxy, or taken back; remembered because it may be seen after all
	Held                  // every proxy refuses it permanently, and it is kept; see refused.go
	Split                 // cut in two, and remembered as long as its parts are
	Done                  // nothing more will be heard of it
	numStates
)

func (s State) String() string {
	switch s {
	case Filling:
		return "filling"
	case Waiting:
		return "waiting"
	case InFlight:
		return "in flight"
	case Acked:
		return "acked"
	case Lost:
		return "lost"
	case Held:
		return "held"
	case Split:
		return "split"
	case Done:
		return "done"
	case numStates:
	}
	return "unknown"
}

// StateCounts is how many packs are known in each state.
type StateCounts [numStates]int

// Pending is how many packs are neither final nor given up, lost or held, without those that are being filled.
func (n *StateCounts) Pending() int { return n[Waiting] + n[InFlight] + n[Acked] }

// Pack is what the engine knows of one pack. The owner embeds it in its own struct, sets the exported fields before it
// reports the pack with Sealed or Parted, and leaves them alone from then on.
type Pack struct {
	Ref      int32 // the owner's handle; the engine only carries it
	Records  int32
	OpenedAt time.Duration // when its first record came
	Repair   bool          // it repairs a loss, and goes before all others
	Alone    bool          // it is suspected: it travels alone from the beginning
	Followed bool          // somebody wants to know when it is seen after it was lost

	state   State
	named   bool // it may still be answered. Invariant: no two such packs have the same low half of seq
	encoded bool // Invariant: a pack in any state but Waiting was encoded
	written bool // a writer took it, at least once
	taken   bool // the writer of conn took it. Invariant: only a taken pack is answered
	maybe   bool // a copy may have been delivered without an ack
	damaged bool // a proxy answered that its bytes had changed on the way
	// isolated: it was the oldest unanswered pack of a connection that ended, or is tried while it is held, or came so. It
	// travels alone on its connection. Invariant: an isolated Waiting pack is in Engine.isolated, or being cut.
	isolated bool
	cutting  bool // Waiting: the owner is cutting it, or was asked about it

	seq      uint64
	stream   *Stream
	wire     int64     // bytes of its frame; 0 until it is encoded
	conn     *Conn     // InFlight and Acked: where
	endpoint *Endpoint // of its last copy; nil until it was handed to a connection
	sentAt   time.Duration
	wroteAt  time.Duration // when a writer took it last
	sends    int           // times it was handed to a connection
	fails    int           // tries that failed; see retry.go
	ends     int           // connections in a row that ended while it was their oldest unanswered pack
	alone    aloneRecord
	// notBefore: Waiting and isolated, or waiting for a second opinion: no earlier than this.
	notBefore time.Duration
	reserved  *Conn              // Invariant: p.reserved == nil, or p.reserved.reserved == p
	avoid     finality.ConnEpoch // the connection on which its bytes were damaged; 0 for none
	refusal   *refusal           // permanent ones; nil for none

	parts   [2]*Pack // Split: what it was cut into
	parent  *Pack    // what it was cut from, while that is Split
	unended int      // Split: parts of which something may still be heard

	next *Pack // in a packQueue. Invariant: a pack is in one queue at most
}

// Seq names the pack among those of the sender. Its low 32 bits are the uniq on the wire.
func (p *Pack) Seq() uint64 { return p.seq }

func (p *Pack) State() State { return p.state }

// Stream is whose pack it is.
func (p *Pack) Stream() *Stream { return p.stream }

// Wire is the bytes of its frame, 0 until it was encoded.
func (p *Pack) Wire() int64 { return p.wire }

// Sends is how many times it was handed to a connection.
func (p *Pack) Sends() int { return p.sends }

// Endpoint is the proxy of its last copy, nil until it was handed to a connection.
func (p *Pack) Endpoint() *Endpoint { return p.endpoint }

// WroteAt is when a writer took it last, and whether one ever did.
func (p *Pack) WroteAt() (at time.Duration, written bool) { return p.wroteAt, p.written }

// Taken reports whether the writer of the connection that it is in flight on took it. Only then may it be answered.
func (p *Pack) Taken() bool { return p.taken }

// MaybeDelivered reports whether a copy was written whose answer never came.
func (p *Pack) MaybeDelivered() bool { return p.maybe }

// Fails is how many tries failed.
func (p *Pack) Fails() int { return p.fails }

func bySeq(a, b *Pack) int { return cmp.Compare(a.seq, b.seq) }

// lane is a queue of a stream. Lanes are served in this order.
type lane uint8

const (
	laneRepair lane = iota
	laneResend
	laneNew
	lanes
)

func (p *Pack) lane() lane {
	switch {
	case p.Repair:
		return laneRepair
	case p.sends > 0:
		return laneResend
	}
	return laneNew
}

// Sealed says that a pack takes no more records. It gets its Seq, and waits until it is encoded.
func (e *Engine) Sealed(p *Pack, st *Stream) {
	if p.state != Filling {
		panic("bug: pack sealed that is " + p.state.String())
	}
	p.stream, p.isolated = st, p.Alone
	e.register(p)
	e.enqueue(p)
}

// Encoded says that the frame of a pack is ready and has so many bytes. It returns false when the pack needs none any
// more: it is part of a pack that was seen meanwhile, or was abandoned.
func (e *Engine) Encoded(p *Pack, wire int) bool {
	if p.state == Done {
		return false
	}
	if p.encoded {
		panic("bug: pack encoded twice")
	}
	p.encoded, p.wire = true, int64(wire)
	p.stream.counts.WireBytes += uint64(wire)
	e.makeRunnable(p.stream, p.lane())
	return true
}

// NotEncoded says that a pack cannot be encoded: it is given up.
func (e *Engine) NotEncoded(p *Pack, err error) {
	if p.state == Done {
		return
	}
	e.refuse(p, Effect{Cause: ByEncoder, Err: err})
	e.makeRunnable(p.stream, p.lane()) // the next one may go
}

// name gives a pack its Seq: its low half must not be that of another pack that may still be answered.
func (e *Engine) name(p *Pack) {
	for e.lastSeq++; e.uniqTaken(e.lastSeq); e.lastSeq++ {
	}
	p.seq, p.named = e.lastSeq, true
}

// uniqTaken reports whether an older pack with the same low half of seq may still be answered.
func (e *Engine) uniqTaken(seq uint64) bool {
	for seq > 1<<32 {
		seq -= 1 << 32
		if p := e.packs[seq]; p != nil && p.named {
			return true
		}
	}
	return false
}

// LastSeq is the Seq of the pack that was sealed last. SetLastSeq moves it.
func (e *Engine) LastSeq() uint64       { return e.lastSeq }
func (e *Engine) SetLastSeq(seq uint64) { e.lastSeq = seq }

// register makes a sealed pack known.
func (e *Engine) register(p *Pack) {
	e.name(p)
	e.packs[p.seq] = p
	p.stream.known++
	p.state = Waiting
	e.count(p, 1)
	p.stream.counts.Packs++
}

// count adds n to the packs in the state of p.
func (e *Engine) count(p *Pack, n int) {
	e.states[p.state] += n
	if p.Repair {
		e.repairs[p.state] += n
	}
}

// setState moves a registered pack.
func (e *Engine) setState(p *Pack, to State) {
	e.count(p, -1)
	p.state = to
	e.count(p, 1)
}

// done ends a pack: nothing more will be heard of it.
func (e *Engine) done(p *Pack) {
	e.unlistHeld(p)
	p.unreserve() // it may be seen while it waits for its connection to be empty
	p.named = false
	e.unregister(p)
}

// unregister drops what is known of a pack.
func (e *Engine) unregister(p *Pack) {
	e.count(p, -1)
	p.state = Done
	delete(e.packs, p.seq)
	p.stream.known--
	if ln := p.stream.line(p.lane()); ln != nil {
		ln.trim()
	}
	e.partEnded(p)
}

// final ends a pack that is safe, whatever its state is.
func (e *Engine) final(p *Pack) {
	st := p.stream
	st.counts.Final++
	st.counts.RecordsFinal += uint64(p.Records)
	again := p.state == Lost
	e.unlistHeld(p)
	e.endRefusal(p)
	switch p.state {
	case InFlight:
		if p.maybe {
			st.trouble().Duplicated++ // an earlier copy arrived, and this one goes out
		}
		p.conn.unclear = true // its answer is still to come
		e.unhand(p)
	case Acked:
		p.conn.acked--
		e.unblock(st) // its share of the window is free
	case Lost:
		st.trouble().Duplicated++ // it was read and sent again already
	case Waiting, Held:
	case Filling, Split, Done, numStates:
		panic("bug: pack final that is " + p.state.String())
	}
	e.done(p)
	f := e.add(PackFinal)
	f.Pack, f.Endpoint, f.Again = p, p.endpoint, again
}

// lose says that the proxy that acked the pack lost it. The pack stays known as long as somebody follows it.
func (e *Engine) lose(p *Pack, why string) {
	if p.state != Acked {
		panic("bug: pack lost that is " + p.state.String())
	}
	st, ep := p.stream, p.endpoint
	st.trouble().Lost++
	st.trouble().RecordsLost += uint64(p.Records)
	ep.counts.Lost++
	ep.counts.RecordsLost += uint64(p.Records)
	p.conn.acked--
	e.unblock(st)
	e.setState(p, Lost)
	if !p.Followed {
		e.confirm.Forget(finality.Pack(p.seq))
		e.done(p)
	}
	e.emit(Effect{Kind: PackLost, Pack: p, Endpoint: ep, Reason: why})
}

// Forget drops a lost or held pack that nobody follows any more, and reports whether it was one.
func (e *Engine) Forget(p *Pack, now time.Duration) bool {
	switch p.state {
	case Lost:
		e.confirm.Forget(finality.Pack(p.seq))
		e.confirm.Drop(finality.Pack(p.seq), now) // it was taken back
	case Held:
		e.confirm.Drop(finality.Pack(p.seq), now)
		e.unlistHeld(p)
		e.uncountHeld(p)
		p.refusal = nil
	case Filling, Waiting, InFlight, Acked, Split, Done, numStates:
		return false
	}
	e.done(p)
	return true
}

// refuse gives a waiting pack up. f says why.
func (e *Engine) refuse(p *Pack, f Effect) {
	e.endRefusal(p)
	e.confirm.Drop(finality.Pack(p.seq), 0)
	p.stream.trouble().Refused++
	p.stream.trouble().RecordsRefused += uint64(p.Records)
	e.done(p)
	f.Kind, f.Pack = PackRefused, p
	e.emit(f)
}
