package sdk

import (
	"sync/atomic"

	"inlong-bridge/sdk/frame"
)

// free is the rule of the byte budget: of limit bytes, used are taken, held of them by the stream that
// asks. A stream may hold as many bytes as are free (the dynamic threshold of switch buffers): one
// stream that does not move leaves half the budget to the others, two leave a third.
func free(limit, used, held int64) int64 { return max(limit-used-held, 0) }

// cost is what a record takes from the budget and in a pack, before compression.
func cost(payload []byte) int64 { return int64(len(payload) + frame.ItemOverhead) }

// account is one part of the byte budget, from append to ack.
type account struct {
	limit int64
	used  atomic.Int64
}

// take reserves room for as many of the first payloads as fit and returns their number and bytes.
// heldOf is nil where no threshold applies; the caller holds that stream's lock.
func (a *account) take(payloads [][]byte, heldOf *atomic.Int64) (n int, bytes int64) {
	for {
		used, held := a.used.Load(), int64(0)
		if heldOf != nil {
			held = heldOf.Load()
		}
		n, bytes = fitting(payloads, free(a.limit, used, held))
		if n == 0 {
			return 0, 0
		}
		if a.used.CompareAndSwap(used, used+bytes) {
			if heldOf != nil {
				heldOf.Add(bytes)
			}
			return n, bytes
		}
	}
}

// fitting returns how many of the first payloads fit into room bytes.
func fitting(payloads [][]byte, room int64) (n int, bytes int64) {
	for _, p := range payloads {
		c := cost(p)
		if bytes+c > room {
			break
		}
		bytes += c
		n++
	}
	return n, bytes
}
