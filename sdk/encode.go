package sdk

import (
	"fmt"
	"strconv"

	"inlong-bridge/sdk/frame"
	"inlong-bridge/sdk/internal/encode"
)

// encoder hands sealed packs to the goroutines that turn them into frames.
type encoder struct {
	encode.Queue[pack]
	encode.Frames
}

// encodeLoop is one of GOMAXPROCS goroutines; it ends when the encoder is closed.
func (s *Sender) encodeLoop() {
	var w encode.Workspace
	for p, size := s.enc.Next(); p != nil; p, size = s.enc.Next() {
		encoded, err := s.encode(p, &w)
		s.budget.Went(s.enc.Backlog(), int64(size))
		s.mu.Lock()
		s.encodedLocked(p, size, encoded, err)
		todo := s.progressLocked()
		s.mu.Unlock()
		todo.perform()
	}
}

// encode builds the frame. The pack lets go of its buffer when that has become the frame.
func (s *Sender) encode(p *pack, w *encode.Workspace) ([]byte, error) {
	w.Attr = p.st.appendAttrs(w.Attr[:0])
	w.Attr = strconv.AppendInt(w.Attr, p.rtms, 10)
	w.Attr = frame.AppendAttr(w.Attr, frame.AttrMid, "")
	w.Attr = frame.AppendMid(w.Attr, s.o.instance, p.life.Seq())
	if p.trail != nil {
		w.Attr = p.trail.AppendTo(frame.AppendAttr(w.Attr, frame.AttrTrail, ""))
		p.trail = nil
	}
	if s.o.messageType != Type7 {
		w.Attr = p.appendTextAttrs(w.Attr)
	}
	if p.key.attrs != "" {
		w.Attr = append(append(w.Attr, '&'), p.key.attrs...)
	}
	in := encode.Pack{
		Attr: w.Attr, Before: p.before.all(), Buf: p.buf, Count: p.count, DataTime: dataTime(p.dataMillis), Uniq: uint32(p.life.Seq()),
		RecordAttrs: p.key.records, Compress: p.compress, Better: p.better,
	}
	out, err := s.enc.Frame(&in, w)
	p.buf = in.Buf
	s.freeBuffers(p)
	if err != nil {
		return nil, fmt.Errorf("sending to %s: %w", p.st, err)
	}
	return out, nil
}

// encodedLocked takes over the frame of size bytes of records. Under mu.
func (s *Sender) encodedLocked(p *pack, size int, encoded []byte, err error) {
	if err != nil {
		s.e.NotEncoded(&p.life, err)
		return
	}
	if !s.e.Encoded(&p.life, len(encoded)) {
		s.bufs.Put(encoded)
		return
	}
	p.frame = encoded
	if w := p.st.wire; w != nil {
		p.onWire = true
		w.Add(int64(p.ahead), s.now())
	}
	s.refundLocked(p, int64(len(encoded))) // the records are freed, and only the frame is held until the ack
	p.st.meter.packedBytes += uint64(size)
	if !p.compress {
		p.st.meter.plainPacks++
	}
	if p.better {
		p.st.meter.betterPacks++
	}
	if p.compress && s.o.compression == Auto {
		p.st.tryAuto.Result(size, len(encoded))
	}
}
