package engine

import "inlong-bridge/sdk/internal/list"

// runQueue is the streams that have packs of one lane to send, each once. A stream whose first pack has to wait for
// something that concerns this stream alone (a proxy that does not take the stream for now, a share of a window) is
// blocked, so that a thousand such streams cost nothing each time a pack of another stream is acked. A blocked stream is
// ready again when something happens to a pack of it (unblock), and a few are tried at each dispatch anyway: they may
// wait for time to pass, or for the end of another stream's pack.
type runQueue struct {
	ready, blocked list.List[Stream]
}

// makeRunnable puts a stream among the ready ones of a lane. The stream leaves by itself when its first pack cannot go
// for a reason that ends with an event: whoever handles that event calls makeRunnable.
func (e *Engine) makeRunnable(st *Stream, l lane) {
	q := &e.runnable[l]
	if ln := st.line(l); ln != nil && ln.turn.In() != &q.ready {
		q.ready.PushBack(&ln.turn)
	}
}

// unblock lets a blocked stream be tried at the next dispatch.
func (e *Engine) unblock(st *Stream) {
	for l := range lanes {
		if ln := st.line(l); ln != nil && ln.turn.In() == &e.runnable[l].blocked {
			e.runnable[l].ready.PushBack(&ln.turn)
		}
	}
}

// blockedTries is how many blocked streams of a lane each dispatch tries. With each tick all of them are tried.
const blockedTries = 4

// line is where the packs of a stream wait that go in the same lane.
type line struct {
	packQueue
	turn list.Node[Stream] // its place in Engine.runnable
}

// line returns nil for a lane in which no pack of the stream ever waited.
func (s *Stream) line(l lane) *line {
	switch {
	case l == laneNew:
		return &s.fresh
	case s.others == nil:
		return nil
	}
	return &s.others[l]
}

// lineUp makes a pack wait for the turn of its stream in its lane.
func (s *Stream) lineUp(p *Pack) {
	if s.others == nil && p.lane() != laneNew {
		s.others = new([laneNew]line)
		for l := range s.others {
			s.others[l].turn.Owner = s
		}
	}
	s.line(p.lane()).push(p)
}

// packQueue is the waiting packs of a stream in the order of their Seq: a pack that is sent again goes before younger
// ones. It links the packs themselves: a stream has one per lane, may be idle for long, and a push allocates nothing.
type packQueue struct {
	head, tail *Pack
	n          int
}

// trim takes packs off the front that ended while they waited.
func (q *packQueue) trim() {
	for q.head != nil && q.head.state != Waiting {
		q.pop()
	}
}

func (q *packQueue) pop() {
	p := q.head
	q.head, p.next = p.next, nil
	if q.n--; q.n == 0 {
		q.tail = nil
	}
}

func (q *packQueue) push(p *Pack) {
	q.n++
	if q.tail == nil || q.tail.seq < p.seq {
		if q.tail == nil {
			q.head = p
		} else {
			q.tail.next = p
		}
		q.tail = p
		return
	}
	at := &q.head // an older pack belongs near the front
	for (*at).seq < p.seq {
		at = &(*at).next
	}
	p.next, *at = *at, p
}
