package encode

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"inlong-bridge/sdk/frame"
	"inlong-bridge/sdk/internal/bufpool"
)

// MinBuffer is the least capacity of a pack's buffer.
const MinBuffer = 4 << 10

// Frames builds the frames of one type. Its fields are constant; it is safe for concurrent use.
type Frames struct {
	Type uint8 // frame.TypePack, TypeMultiBody or TypeAckService
	Max  int   // largest frame
	Pool *bufpool.Pool
}

// Workspace is what one encoder reuses. Attr is for its owner, to build attributes in.
type Workspace struct {
	Attr []byte

	block, lines, joined []byte
}

// Pack is what a frame is built of.
type Pack struct {
	Attr        []byte   // all attributes
	Before      [][]byte // from the pool: what comes before Buf; nil for nothing
	Buf         []byte   // from the pool. The first of the buffers begins with room for a frame's header; then come the records
	Count       int      // of records
	DataTime    uint32
	Uniq        uint32
	RecordAttrs bool // records have attributes of their own
	Compress    bool
	Better      bool // with the better encoder
}

// Frame builds the frame, in a buffer of the pool. A compressed one is built in a scratch buffer and copied into one of
// its own size, so that a pack that waits for its ack holds little more than its bytes. Any other is made of p.Buf in
// place, which is nil then, unless that is much too large or not all of the pack. What is in p.Before and p.Buf afterwards is
// still the caller's.
func (e *Frames) Frame(p *Pack, w *Workspace) ([]byte, error) {
	content := p.Buf
	if len(p.Before) > 0 {
		content = w.join(p)
	}
	if e.Type != frame.TypePack {
		return e.text(p, content[frame.PackHeader:], w)
	}
	ext := uint16(frame.ExtStringIDs)
	if p.RecordAttrs {
		ext |= frame.ExtRecordAttrs
	}
	f := frame.Pack{Ext: ext, DataTime: p.DataTime, Count: uint16(p.Count), Uniq: p.Uniq, Attr: p.Attr, Better: p.Better}
	var out []byte
	var err error
	if p.Compress {
		out, err = frame.AppendPack(w.block[:0], &f, content[frame.PackHeader:], true)
		w.block = out[:0]
	}
	switch shrunk := f.Flags&frame.FlagSnappy != 0; {
	case err != nil:
	case shrunk:
		out = append(e.Pool.Get(len(out)), out...)
	case len(p.Before) > 0:
		out = append(e.Pool.Get(len(content)+frame.PackTail+len(p.Attr)), content...)
		if out, err = frame.FinishPack(out, &f); err != nil {
			e.Pool.Put(out)
		}
	default:
		p.Buf = e.fitting(p.Buf, frame.PackTail+len(p.Attr))
		if out, err = frame.FinishPack(p.Buf, &f); err == nil {
			p.Buf = nil // it is the frame now
		}
	}
	if err == nil && len(out) > e.Max {
		err = fmt.Errorf("bug: frame of %d bytes is larger than %d", len(out), e.Max)
		e.Pool.Put(out)
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// join returns what is in all buffers of a pack, in a scratch buffer.
func (w *Workspace) join(p *Pack) []byte {
	w.joined = w.joined[:0]
	for _, b := range p.Before {
		w.joined = append(w.joined, b...)
	}
	w.joined = append(w.joined, p.Buf...)
	return w.joined
}

// fitting returns the contents of b with room for n more bytes, and not much more: in b itself, or in
// another buffer that takes its place.
func (e *Frames) fitting(b []byte, n int) []byte {
	need := len(b) + n
	if need <= cap(b) && cap(b) <= max(2*need, MinBuffer) {
		return b
	}
	moved := append(e.Pool.Get(need), b...)
	e.Pool.Put(b)
	return moved
}

// text builds a frame of type 3 or 5 of items in a scratch buffer and copies it into one of its own size.
func (e *Frames) text(p *Pack, content []byte, w *Workspace) ([]byte, error) {
	if e.Type == frame.TypeAckService {
		w.lines = appendLines(w.lines[:0], content)
		content = w.lines
	}
	f := frame.TextPack{Type: e.Type, Attr: p.Attr, Better: p.Better}
	out, err := frame.AppendTextPack(w.block[:0], &f, content, p.Compress)
	if err != nil {
		return nil, err
	}
	w.block = out[:0]
	return append(e.Pool.Get(len(out)), out...), nil
}

// appendLines appends items, which are well formed, joined by line feeds.
func appendLines(dst, items []byte) []byte {
	for rest := items; len(rest) > 0; {
		n := frame.ItemOverhead + int(binary.BigEndian.Uint32(rest))
		if len(rest) < len(items) {
			dst = append(dst, '\n')
		}
		dst = append(dst, rest[frame.ItemOverhead:n]...)
		rest = rest[n:]
	}
	return dst
}

// Attribute reads an attribute of one of our own frames again. The value refers to f.
func (e *Frames) Attribute(f []byte, key string) (value []byte, ok bool) {
	if e.Type == frame.TypePack {
		p, err := frame.DecodePack(f)
		if err != nil {
			return nil, false
		}
		return frame.Attribute(p.Attr, key)
	}
	p, err := frame.DecodeTextPack(f)
	if err != nil {
		return nil, false
	}
	return frame.Attribute(p.Attr, key)
}

// Items reads the records of one of our own frames again.
func (e *Frames) Items(f []byte) ([]frame.Item, error) {
	if e.Type == frame.TypePack {
		p, err := frame.DecodePack(f)
		if err != nil {
			return nil, err
		}
		return p.ItemsAttrs(e.Max)
	}
	p, err := frame.DecodeTextPack(f)
	if err != nil {
		return nil, err
	}
	items, err := p.Items(e.Max)
	if err != nil || e.Type == frame.TypeMultiBody {
		return items, err
	}
	lines := bytes.Split(items[0].Data, []byte{'\n'})
	items = slices.Grow(items[:0], len(lines))
	for _, l := range lines {
		items = append(items, frame.Item{Data: l})
	}
	return items, nil
}
