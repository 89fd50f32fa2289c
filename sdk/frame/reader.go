package frame

import (
	"errors"
	"io"
)

// Reader cuts a byte stream into frames by their length field.
type Reader struct{}

// NewReader returns a reader that refuses frames of more than limit bytes, length field included.
func NewReader(r io.Reader, limit int) *Reader { return &Reader{} }

// Next returns the next whole frame, length field included. The slice is valid until the next call.
// io.EOF means that the stream ended between frames, io.ErrUnexpectedEOF inside one.
func (r *Reader) Next() ([]byte, error) { return nil, errors.ErrUnsupported }
