package sdk

import (
	"fmt"
	"strconv"
	"sync"

	"inlong-bridge/sdk/frame"
	"inlong-bridge/sdk/internal/fill"
)

// encoder hands sealed packs to the goroutines that turn them into frames. Its lock is a leaf. What it
// holds is bounded by the byte budget.
type encoder struct {
	mu     sync.Mutex
	more   sync.Cond
	queue  []*pack
	head   int
	closed bool

	backlog fill.Backlog // of records that are not encoded yet
}

func (e *encoder) init() { e.more.L = &e.mu }

func (e *encoder) push(p *pack) {
	e.backlog.Add(int64(p.size()))
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
		e.backlog.Add(-int64(p.size()))
	}
	e.mu.Unlock()
	e.more.Broadcast()
}

// rest returns what was not taken before the encoder was closed.
func (e *encoder) rest() []*pack {
	e.mu.Lock()
	defer e.mu.Unlock()
	rest := e.queue[e.head:]
	e.queue, e.head = nil, 0
	return rest
}

// encodeLoop is one of GOMAXPROCS goroutines; it ends when the encoder is closed.
func (s *Sender) encodeLoop() {
	var w workspace
	for p := s.enc.next(); p != nil; p = s.enc.next() {
		size := p.size()
		encoded, err := s.encode(p, &w)
		s.budget.Went(&s.enc.backlog.Flow, int64(size))
		s.mu.Lock()
		s.encodedLocked(p, size, encoded, err)
		todo := s.progressLocked()
		s.mu.Unlock()
		todo.perform()
	}
}

// workspace is what one encoder reuses.
type workspace struct {
	attr, block, lines []byte
}

// encode builds the frame. A compressed one is built in a scratch buffer and copied into one of its own
// size, so that a pack that waits for its ack holds little more than its bytes. Any other is made of the
// pack's buffer in place, which the pack lets go of then, unless that is much too large.
func (s *Sender) encode(p *pack, w *workspace) ([]byte, error) {
	w.attr = p.st.appendAttrs(w.attr[:0])
	w.attr = strconv.AppendInt(w.attr, p.rtms, 10)
	w.attr = frame.AppendAttr(w.attr, frame.AttrMid, "")
	w.attr = frame.AppendMid(w.attr, s.o.instance, p.life.Seq())
	if s.o.messageType != Type7 {
		w.attr = p.appendTextAttrs(w.attr)
	}
	if p.key.attrs != "" {
		w.attr = append(append(w.attr, '&'), p.key.attrs...)
	}
	if s.o.messageType != Type7 {
		return s.encodeText(p, w)
	}
	ext := uint16(frame.ExtStringIDs)
	if p.key.records {
		ext |= frame.ExtRecordAttrs
	}
	f := frame.Pack{
		Ext: ext, DataTime: p.dataTime, Count: uint16(p.count), Uniq: uint32(p.life.Seq()), Attr: w.attr,
	}
	var out []byte
	var err error
	if p.compress {
		out, err = frame.AppendPack(w.block[:0], &f, p.buf[frame.PackHeader:], true)
		w.block = out[:0]
	}
	switch shrunk := f.Flags&frame.FlagSnappy != 0; {
	case err != nil:
	case shrunk:
		out = append(s.bufs.Get(len(out)), out...)
	default:
		p.buf = s.fitting(p.buf, frame.PackTail+len(w.attr))
		if out, err = frame.FinishPack(p.buf, &f); err == nil {
			p.buf = nil // it is the frame now
		}
	}
	if err == nil && len(out) > s.o.maxFrame {
		err = fmt.Errorf("bug: frame of %d bytes is larger than %d", len(out), s.o.maxFrame)
		s.bufs.Put(out)
	}
	if err != nil {
		return nil, fmt.Errorf("sending to %s: %w", p.st, err)
	}
	return out, nil
}

// fitting returns the contents of b with room for n more bytes, and not much more: in b itself, or in
// another buffer that takes its place.
func (s *Sender) fitting(b []byte, n int) []byte {
	need := len(b) + n
	if need <= cap(b) && cap(b) <= max(2*need, minPackBuffer) {
		return b
	}
	moved := append(s.bufs.Get(need), b...)
	s.bufs.Put(b)
	return moved
}

// encodedLocked takes over the frame of size bytes of records. Under mu.
func (s *Sender) encodedLocked(p *pack, size int, encoded []byte, err error) {
	if p.buf != nil {
		s.bufs.Put(p.buf)
		p.buf = nil
	}
	if err != nil {
		s.e.NotEncoded(&p.life, err)
		return
	}
	if !s.e.Encoded(&p.life, len(encoded)) {
		s.bufs.Put(encoded)
		return
	}
	p.frame = encoded
	s.refundLocked(p, int64(len(encoded))) // the records are freed, and only the frame is held until the ack
	p.st.meter.packedBytes += uint64(size)
	if !p.compress {
		p.st.meter.plainPacks++
	}
	if p.compress && s.o.compression == Auto {
		p.st.tryAuto.result(size, len(encoded))
	}
}
