package frame

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const readerStart = 4 << 10 // enough for a stream of acks

// Reader cuts a byte stream into frames by their length field. It is for one goroutine.
type Reader struct {
	r     io.Reader
	limit int

	// buf[start:end] has been read and not yet been returned. The buffer grows as bytes arrive, never
	// because a length field says so: a frame that is announced and not sent costs nothing.
	buf        []byte
	start, end int
	pending    error // of the stream, told when what came before it has been returned
}

// NewReader returns a reader that refuses frames of more than limit bytes, length field included.
func NewReader(r io.Reader, limit int) *Reader { return &Reader{r: r, limit: limit} }

// Next returns the next whole frame, length field included. The slice is valid until the next call.
// io.EOF means that the stream ended between frames, io.ErrUnexpectedEOF inside one.
//
// A length that is zero or negative is ErrLength, one above the limit ErrTooLarge; both repeat, because
// nobody knows where the next frame begins. Other errors are the stream's own. What was read before one
// of them is kept, so Next may be called again after a time-out.
func (r *Reader) Next() ([]byte, error) {
	if err := r.fill(lengthLen); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(r.buf[r.start:])
	switch {
	case n == 0 || n > 1<<31-1:
		return nil, fmt.Errorf("reading frame: length field 0x%08x: %w", n, ErrLength)
	case uint64(n)+lengthLen > uint64(max(r.limit, 0)):
		return nil, fmt.Errorf("reading frame: %d bytes, limit %d: %w", uint64(n)+lengthLen, r.limit, ErrTooLarge)
	}
	size := lengthLen + int(n)
	if err := r.fill(size); err != nil {
		return nil, err
	}
	frame := r.buf[r.start : r.start+size : r.start+size]
	r.start += size
	return frame, nil
}

// fill reads until n bytes are buffered.
func (r *Reader) fill(n int) error {
	for empty := 0; r.end-r.start < n; {
		if err := r.pending; err != nil {
			r.pending = nil
			if errors.Is(err, io.EOF) && r.end > r.start {
				return io.ErrUnexpectedEOF
			}
			return err
		}
		r.makeRoom(n)
		got, err := r.r.Read(r.buf[r.end:])
		r.end += got
		r.pending = err
		if got > 0 {
			empty = 0
		} else if empty++; err == nil && empty == 100 {
			return io.ErrNoProgress
		}
	}
	return nil
}

// makeRoom makes free space behind what is buffered, towards n bytes in all.
func (r *Reader) makeRoom(n int) {
	if r.start == r.end {
		r.start, r.end = 0, 0
	}
	if r.end < len(r.buf) && r.start+n <= len(r.buf) {
		return
	}
	if r.start > 0 {
		r.end = copy(r.buf, r.buf[r.start:r.end])
		r.start = 0
		if r.end < len(r.buf) {
			return
		}
	}
	if r.end == len(r.buf) {
		grown := make([]byte, max(readerStart, 2*len(r.buf)))
		copy(grown, r.buf[:r.end])
		r.buf = grown
	}
}
