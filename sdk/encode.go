package sdk

import (
	"fmt"
	"strconv"
	"sync"

	"inlong-bridge/sdk/frame"
)

// encoder hands sealed packs to the goroutines that turn them into frames. Its lock is a leaf. What it
// holds is bounded by the byte budget.
type encoder struct {
	mu     sync.Mutex
	more   sync.Cond
	queue  []*pack
	head   int
	closed bool

	backlog backlog // of records that are not encoded yet
}

func (e *encoder) init() { e.more.L = &e.mu }

func (e *encoder) push(p *pack) {
	e.backlog.bytes.Add(int64(len(p.items)))
	e.mu.Lock()
	e.queue = append(e.queue, p)
	e.mu.Unlock()
	e.more.Signal()
}

// next waits for a pack; nil says that the encoder was closed.
func (e *encoder) next() *pack {
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.head == len(e.queue) && !e.closed {
		e.more.Wait()
	}
	if e.closed {
		return nil
	}
	p := e.queue[e.head]
	e.queue[e.head] = nil
	if e.head++; e.head == len(e.queue) {
		e.queue, e.head = e.queue[:0], 0
	}
	return p
}

func (e *encoder) close() {
	e.mu.Lock()
	e.closed = true
	for _, p := range e.queue[e.head:] {
		e.backlog.bytes.Add(-int64(len(p.items)))
	}
	e.mu.Unlock()
	e.more.Broadcast()
}

// encodeLoop is one of GOMAXPROCS goroutines; it ends when the encoder is closed.
func (s *Sender) encodeLoop() {
	var w workspace
	for p := s.enc.next(); p != nil; p = s.enc.next() {
		n := int64(len(p.items))
		encoded, err := s.encode(p, &w)
		if s.enc.backlog.fell(-n, s.maxAhead) {
			s.caughtUp()
		}
		s.mu.Lock()
		s.encoded(p, encoded, err)
		s.progress()
	}
}

// workspace is what one encoder reuses.
type workspace struct {
	attr, block []byte
}

// encode builds the frame. A compressed one is built in a scratch buffer and copied into one of its own
// size, so that a pack that waits for its ack holds little more than its bytes.
func (s *Sender) encode(p *pack, w *workspace) ([]byte, error) {
	w.attr = append(w.attr[:0], p.st.attr...)
	w.attr = strconv.AppendInt(w.attr, p.rtms, 10)
	w.attr = frame.AppendAttr(w.attr, frame.AttrMid, "")
	w.attr = frame.AppendMid(w.attr, s.o.instance, p.seq)
	if p.key.attrs != "" {
		w.attr = append(append(w.attr, '&'), p.key.attrs...)
	}
	ext := uint16(frame.ExtStringIDs)
	if p.key.records {
		ext |= frame.ExtRecordAttrs
	}
	f := frame.Pack{
		Ext: ext, DataTime: p.dataTime, Count: uint16(p.count), Uniq: uint32(p.seq), Attr: w.attr,
	}
	var dst []byte
	if p.compress {
		dst = w.block[:0]
	} else {
		dst = s.bufs.Get(frame.Room(len(p.items), len(w.attr)))
	}
	out, err := frame.AppendPack(dst, &f, p.items, p.compress)
	if err == nil && len(out) > s.o.maxFrame {
		err = fmt.Errorf("bug: frame of %d bytes is larger than %d", len(out), s.o.maxFrame)
	}
	if p.compress {
		w.block = out[:0]
		if err == nil {
			out = append(s.bufs.Get(len(out)), out...)
		}
	} else if err != nil {
		s.bufs.Put(dst)
	}
	if err != nil {
		return nil, fmt.Errorf("sending to %s: %w", p.st, err)
	}
	return out, nil
}

// encoded takes over the frame. Under mu.
func (s *Sender) encoded(p *pack, encoded []byte, err error) {
	items := len(p.items)
	s.bufs.Put(p.items)
	p.items = nil
	if err != nil {
		s.refuse(p, Result{Outcome: Refused, Err: err})
		s.join(p.st, p.class()) // the next one may go
		return
	}
	p.frame, p.wire = encoded, int64(len(encoded))
	s.refund(p, p.wire) // the records are freed, and only the frame is held until the ack
	p.st.counts.wireBytes += uint64(len(encoded))
	p.st.meter.packedBytes += uint64(items)
	if !p.compress {
		p.st.meter.plainPacks++
	}
	s.join(p.st, p.class())
	if p.compress && s.o.compression == Auto {
		p.st.tryAuto.result(items, len(encoded))
	}
}
