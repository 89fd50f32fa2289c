package engine

import (
	"fmt"
	"slices"

	"inlong-bridge/sdk/finality"
)

// Check says which invariant of the engine's fields does not hold, and returns nil if all do. It looks at everything, so
// only tests call it.
func (e *Engine) Check() error {
	var states, repairs StateCounts
	streams := make(map[*Stream]*Stream) // what is known of them, counted anew
	acked, inFlight := make(map[*Conn]int), make(map[*Conn]int)
	places, err := e.places()
	if err != nil {
		return err
	}
	for seq, p := range e.packs {
		if p.seq != seq || p.state == Filling || p.state == Done {
			return fmt.Errorf("pack %d is listed as %d, %v", p.seq, seq, p.state)
		}
		states[p.state]++
		if p.Repair {
			repairs[p.state]++
		}
		if streams[p.stream] == nil {
			streams[p.stream] = new(Stream)
		}
		streams[p.stream].known++
		if p.refusal != nil && p.refusal.held {
			streams[p.stream].held++
		}
		switch p.state {
		case InFlight:
			inFlight[p.conn]++
		case Acked:
			acked[p.conn]++
		case Waiting, Lost, Held, Split, Filling, Done, numStates:
		}
		if err := e.checkPack(p, places); err != nil {
			return fmt.Errorf("pack %d, %v: %w", p.seq, p.state, err)
		}
	}
	if states != e.states || repairs != e.repairs {
		return fmt.Errorf("states are %v and %v, counted as %v and %v", states, repairs, e.states, e.repairs)
	}
	for i, st := range e.streams {
		counted := streams[st]
		if counted == nil {
			counted = new(Stream)
		}
		if int(st.index) != i || st.known != counted.known || st.held != counted.held {
			return fmt.Errorf("stream %d: place %d of %d, knows %d packs of %d, %d held of %d", st.id, st.index, i, st.known, counted.known, st.held, counted.held)
		}
	}
	for _, c := range e.conns {
		if err := c.check(inFlight[c], acked[c]); err != nil {
			return fmt.Errorf("connection %d: %w", c.epoch, err)
		}
	}
	return e.checkHeld()
}

// checkPack looks at one pack that is known.
func (e *Engine) checkPack(p *Pack, places map[*Pack]int) error {
	if mayBeAnswered := p.state == Waiting || p.state == InFlight || p.state == Held; p.named != mayBeAnswered || (p.named && e.uniqTaken(p.seq)) {
		return fmt.Errorf("named %v", p.named)
	}
	if !p.encoded && p.state != Waiting {
		return fmt.Errorf("not encoded")
	}
	if p.reserved != nil && p.reserved.reserved != p {
		return fmt.Errorf("reserved a connection that does not know of it")
	}
	if p.state != Waiting {
		return nil
	}
	n := places[p]
	if p.cutting {
		n++
	}
	if n != 1 {
		return fmt.Errorf("waits in %d places", n)
	}
	return nil
}

// places counts where each pack waits.
func (e *Engine) places() (map[*Pack]int, error) {
	places := make(map[*Pack]int)
	for _, st := range e.streams {
		for l := range lanes {
			q := st.line(l)
			if q == nil {
				continue
			}
			for p := q.head; p != nil; p = p.next {
				places[p]++
				if p.state == Waiting && (l != p.lane() || p.isolated) {
					return nil, fmt.Errorf("pack %d is in queue %d, belongs into %d, isolated %v", p.seq, l, p.lane(), p.isolated)
				}
			}
			if p := q.head; p != nil && p.state == Waiting && p.encoded && q.turn.In() == nil && (st.watched || e.cfg.Finality.Mode != finality.Queue) {
				return nil, fmt.Errorf("pack %d is the first in a queue that is not among the runnable ones", p.seq)
			}
		}
	}
	for _, list := range [...][]*Pack{e.isolated, e.refused.single, e.refused.turns} {
		for _, p := range list {
			places[p]++
		}
	}
	return places, nil
}

// check looks at a connection with so many packs in flight, and acked and not final.
func (c *Conn) check(inFlight, acked int) error {
	var bytes int64
	for uniq, p := range c.table {
		if p.state != InFlight || p.conn != c || uint32(p.seq) != uniq {
			return fmt.Errorf("pack %d in its table is %v", p.seq, p.state)
		}
		bytes += p.wire
	}
	if c.inFlight != len(c.table) || c.inFlight != inFlight || c.inFlightBytes != bytes {
		return fmt.Errorf("%d packs and %d bytes in flight, counted %d, %d and %d bytes", c.inFlight, c.inFlightBytes, len(c.table), inFlight, bytes)
	}
	if c.acked != acked {
		return fmt.Errorf("%d packs acked and not final, counted %d", c.acked, acked)
	}
	if c.unwritten < 0 {
		return fmt.Errorf("%d bytes unwritten", c.unwritten)
	}
	if p := c.reserved; p != nil && (p.reserved != c || (p.state != Waiting && p.state != InFlight)) {
		return fmt.Errorf("kept empty for pack %d, which is %v", p.seq, p.state)
	}
	return nil
}

// checkHeld looks at the books of what is held.
func (e *Engine) checkHeld() error {
	h := &e.refused
	codes, n := 0, len(h.held)
	for _, count := range h.codes {
		codes += count
	}
	if h.probing != nil {
		n++
		if r := h.probing.refusal; r == nil || !r.probing || !r.held {
			return fmt.Errorf("pack %d is probed and not held", h.probing.seq)
		}
	}
	if codes != n || n != e.states[Held]+min(1, n-len(h.held)) || !slices.IsSortedFunc(h.held, bySeq) {
		return fmt.Errorf("%d packs held, %d by their codes, %d by their state", n, codes, e.states[Held])
	}
	return nil
}
