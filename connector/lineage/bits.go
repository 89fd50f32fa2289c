package lineage

import "math/bits"

// bitWriter appends bits, the highest first. How many there are is counted elsewhere, so that going back is an assignment.
type bitWriter []byte

// put appends the lowest width bits of v behind the first *at bits.
func (w *bitWriter) put(at *int, v uint64, width int) {
	for width > 0 {
		if *at%8 == 0 {
			*w = append((*w)[:*at/8], 0)
		}
		room := 8 - *at%8
		n := min(room, width)
		last := &(*w)[*at/8]
		*last = *last>>room<<room | byte(v>>(width-n)&(1<<n-1))<<(room-n)
		*at += n
		width -= n
	}
}

// putNibbles appends v in groups of 4 bits: 3 bits of v, the lowest first, below a bit that says that another group follows.
func (w *bitWriter) putNibbles(at *int, v uint64) {
	for ; v > 7; v >>= 3 {
		w.put(at, 8|v&7, 4)
	}
	w.put(at, v, 4)
}

// nibbleBits is the number of bits that putNibbles appends.
func nibbleBits(v uint64) int { return 4 * max(1, (bits.Len64(v)+2)/3) }

// bytes returns the first n bits, filled up with zeros.
func (w bitWriter) bytes(n int) []byte {
	b := w[:(n+7)/8]
	if used := n % 8; used > 0 {
		b[len(b)-1] &= ^byte(0) << (8 - used)
	}
	return b
}

// bitReader reads what a bitWriter wrote. Behind the end it reads zeros, and short is set.
type bitReader struct {
	b     []byte
	at    int
	short bool
}

func (r *bitReader) get(width int) (v uint64) {
	if r.at+width > 8*len(r.b) {
		r.short, r.at = true, 8*len(r.b)
		return 0
	}
	for width > 0 {
		room := 8 - r.at%8
		n := min(room, width)
		v = v<<n | uint64(r.b[r.at/8])>>(room-n)&(1<<n-1)
		r.at += n
		width -= n
	}
	return v
}

// getNibbles reads what putNibbles wrote. A number of more than 64 bits counts as short.
func (r *bitReader) getNibbles() (v uint64) {
	for shift := 0; shift < 66; shift += 3 {
		g := r.get(4)
		if v |= g & 7 << shift; g&7<<shift>>shift != g&7 {
			break
		}
		if g < 8 {
			return v
		}
	}
	r.short = true
	return 0
}

// align moves to the next byte, and reports whether what lay before it was zeros.
func (r *bitReader) align() bool { return r.get((8-r.at%8)%8) == 0 }

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }
func uvarintLen(v uint64) int { return max(1, (bits.Len64(v)+6)/7) }
