package sdk

// turns are the streams that have packs of one class to give, each once. Those whose first pack has to wait
// for something of its own (a proxy that does not want the stream for now, a share of a window) stand aside,
// so that a thousand of them cost nothing each time that another stream's pack is acked. They come back when
// something happened to a pack of theirs (wakeLocked), and a few are tried at each turn anyway: it may be time,
// or another stream's end, that they wait for. Guarded by Sender.mu.
type turns struct {
	ready, aside turnList
}

// turn is a stream's place in one of the lists of a class.
type turn struct {
	st         *Stream
	prev, next *turn
	in         *turnList // nil: nothing to give
}

// turnList is a list of turns in order; everything is O(1) and allocates nothing.
type turnList struct {
	head, tail *turn
	n          int
}

// push puts t at the end, taking it out of where it was.
func (l *turnList) push(t *turn) {
	t.leave()
	t.in, t.prev = l, l.tail
	if l.tail == nil {
		l.head = t
	} else {
		l.tail.next = t
	}
	l.tail = t
	l.n++
}

// leave takes t out of whatever list it is in.
func (t *turn) leave() {
	l := t.in
	if l == nil {
		return
	}
	if t.prev == nil {
		l.head = t.next
	} else {
		t.prev.next = t.next
	}
	if t.next == nil {
		l.tail = t.prev
	} else {
		t.next.prev = t.prev
	}
	t.in, t.prev, t.next = nil, nil, nil
	l.n--
}

// joinLocked lets a stream take its turns in a class. It leaves by itself when its first pack cannot go for a
// reason that ends with an event of its own: then whoever ends it calls joinLocked. Under mu.
func (s *Sender) joinLocked(st *Stream, class int) {
	t, l := &st.turns[class], &s.turns[class]
	if t.in == nil || t.in == &l.aside {
		t.st = st
		l.ready.push(t)
	}
}

// wakeLocked lets a stream that stands aside be tried at once. Under mu.
func (s *Sender) wakeLocked(st *Stream) {
	for class := range st.turns {
		if t := &st.turns[class]; t.in == &s.turns[class].aside {
			s.turns[class].ready.push(t)
		}
	}
}

// asideTries is how many of the streams of a class that stand aside are tried each time something happened;
// with each tick all of them are.
const asideTries = 4
