package sdk

import "inlong-bridge/sdk/internal/bufpool"

// A pack that fills slowly beside hundreds of others is a list of small buffers instead of one that grows: what buffers grow out of
// stays with the pool, and one of twice the size is half empty most of the time. The encoder joins them, one pack at a time.

// segmentBytes is the size of such a buffer.
const segmentBytes = 16 << 10

// buffers are the full buffers of a pack, in order, before the one that is being filled. A nil list is empty.
type buffers struct {
	list  [][]byte
	bytes int // in them
	caps  int // their capacities
}

func (b *buffers) size() int {
	if b == nil {
		return 0
	}
	return b.bytes
}

func (b *buffers) room() int {
	if b == nil {
		return 0
	}
	return b.caps
}

func (b *buffers) all() [][]byte {
	if b == nil {
		return nil
	}
	return b.list
}

// makeRoom sees to it that n more bytes fit into the buffer that is being filled. Under the lock of p's stream.
func (p *pack) makeRoom(n int, bufs *bufpool.Pool) {
	if cap(p.buf)-len(p.buf) >= n {
		return
	}
	s := p.st.s
	if p.count == 0 || s.open.Len() < manyOpen {
		p.buf = bufs.Grow(p.buf, n)
		return
	}
	if p.before == nil {
		if p.before, _ = s.segments.Get().(*buffers); p.before == nil {
			p.before = new(buffers)
		}
	}
	b := p.before
	b.list = append(b.list, p.buf)
	b.bytes += len(p.buf)
	b.caps += cap(p.buf)
	p.buf = bufs.Get(max(n, segmentBytes))
}

// takeBack removes the last record, of n bytes with its length. Under the lock of p's stream.
func (p *pack) takeBack(n int, bufs *bufpool.Pool) {
	if len(p.buf) == 0 { // it is in the buffer before
		bufs.Put(p.buf)
		b := p.before
		last := len(b.list) - 1
		p.buf, b.list = b.list[last], b.list[:last]
		b.bytes -= len(p.buf)
		b.caps -= cap(p.buf)
	}
	p.buf = p.buf[:len(p.buf)-n]
}

// freeBuffers gives back what the pack still has of its records.
func (s *Sender) freeBuffers(p *pack) {
	if p.buf != nil {
		s.bufs.Put(p.buf)
		p.buf = nil
	}
	if b := p.before; b != nil {
		for i := range b.list {
			s.bufs.Put(b.list[i])
			b.list[i] = nil
		}
		b.list, b.bytes, b.caps = b.list[:0], 0, 0
		s.segments.Put(b)
		p.before = nil
	}
}
