package frame

import (
	"fmt"

	"github.com/golang/snappy"
	"github.com/klauspost/compress/s2"
)

// snappyMaxRatio bounds the growth of a snappy block when it is decompressed: its densest element turns 3 bytes into 64.
const snappyMaxRatio = 22

// maxSnappyLen returns the most bytes n bytes can become as a snappy block.
func maxSnappyLen(n int) int { return s2.MaxEncodedLen(n) }

// appendSnappy appends src as one raw snappy block, compressing straight into dst's free capacity. The better encoder
// takes two to three times as long.
func appendSnappy(dst, src []byte, better bool) []byte {
	encode := s2.EncodeSnappy
	if better {
		encode = s2.EncodeSnappyBetter
	}
	// The encoder writes into the room it is given if that is large enough, and else into memory of its own.
	free := dst[len(dst):cap(dst)]
	block := encode(free[:0], src)
	if len(block) <= len(free) && (len(block) == 0 || &block[0] == &free[:1][0]) {
		return dst[:len(dst)+len(block)]
	}
	return append(dst, block...)
}

// decodeSnappy decompresses a raw snappy block into a fresh buffer of at most limit bytes. It refuses a block that
// announces more than its bytes can become, before it allocates anything.
func decodeSnappy(block []byte, limit int) ([]byte, error) {
	n, err := snappy.DecodedLen(block)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	case n > limit:
		return nil, fmt.Errorf("%d bytes, limit %d: %w", n, limit, ErrTooLarge)
	case n/snappyMaxRatio > len(block):
		return nil, fmt.Errorf("%d bytes announced by a block of %d: %w", n, len(block), ErrCorrupt)
	}
	out, err := snappy.Decode(nil, block)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return out, nil
}
