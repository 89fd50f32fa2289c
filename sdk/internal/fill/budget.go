// Package fill bounds what is collected in packs and runs ahead of the connections: the byte budget and who may take how
// much of it, the pace that keeps what is ahead in the caches, and the list of packs that are open.
package fill

import (
	"sync/atomic"
	"time"

	"inlong-bridge/sdk/frame"
	"inlong-bridge/sdk/signal"
)

// share is the rule of the byte budget: how much more a stream may take when used of limit bytes are taken,
// held of them by itself. A stream may hold as many bytes as are free (the dynamic threshold of switch
// buffers): held + n <= limit - used - n. One stream that does not move leaves half the budget to the
// others, two leave a third.
func share(limit, used, held int64) int64 { return max((limit-used-held)/2, 0) }

// Cost is what a record takes from the budget and in a pack, before compression.
func Cost(payload []byte) int64 { return int64(len(payload) + frame.ItemOverhead) }

// account is one part of the byte budget: bytes of records from append on, of the frame at most once their
// pack is encoded, and none from the ack on.
type account struct {
	limit int64
	fixed atomic.Int64 // bytes of limit that streams take by being known
	used  atomic.Int64
}

// Budget is the byte budget, and who waits for it. It is safe for concurrent use, and must not be copied.
type Budget struct {
	general    account          // without the reserve for repairs
	repairs    account          // the reserve
	maxAhead   int64            // bound of what runs ahead of the encoders, or of a stream; see MaxAhead
	wait       time.Duration    // how long records may wait for a connection, 0 for any time; see Held
	ahead      Backlog          // of all streams: sealed, and not handed to a connection yet
	roomWanted atomic.Bool      // somebody waits for bytes
	paceWanted atomic.Bool      // somebody waits for what is ahead to shrink
	room       signal.Poke      // for whoever polls
	waiters    signal.Broadcast // for calls that wait
}

// Init sets the sizes before first use: the budget without its reserve, the reserve for repairs, how much may run
// ahead, which is at least minAhead, and how long records may wait for a connection, 0 for any time.
func (b *Budget) Init(general, repairs, ahead int64, wait time.Duration) {
	b.general.limit, b.repairs.limit, b.maxAhead, b.wait = general, repairs, max(minAhead, ahead), wait
	b.room = signal.NewPoke()
}

// Room receives a value when there may be room again.
func (b *Budget) Room() <-chan struct{} { return b.room }

// Wait returns a channel that is closed when there may be room again.
func (b *Budget) Wait() <-chan struct{} { return b.waiters.Next() }

// WantRoom notes that somebody waits for room. Room may have been made just before: look again after it.
func (b *Budget) WantRoom() { b.roomWanted.Store(true) }

// MadeRoom tells those who wait for room that there may be some.
func (b *Budget) MadeRoom() {
	if b.roomWanted.CompareAndSwap(true, false) {
		b.wake()
	}
}

func (b *Budget) wake() {
	b.room.Poke()
	b.waiters.Wake()
}

// Limit is the size of the whole budget, Used how much of it records take, and Fixed what streams take by being known.
func (b *Budget) Limit() int64 { return b.general.limit + b.repairs.limit }
func (b *Budget) Used() int64  { return b.general.used.Load() + b.repairs.used.Load() }
func (b *Budget) Fixed() int64 { return b.general.fixed.Load() }

// Fix takes n bytes, or gives -n back, for streams that are known.
func (b *Budget) Fix(n int64) {
	b.general.fixed.Add(n)
	if n < 0 {
		b.MadeRoom()
	}
}

// Most is how many bytes of records there may be without the reserve, with more bytes taken by streams.
func (b *Budget) Most(more int64) int64 { return b.general.most(more) }

// Fits reports whether a record fits into what is free, whatever its stream holds.
func (b *Budget) Fits(payload []byte) bool {
	return b.general.used.Load()+Cost(payload) <= b.general.most(0)
}

// Take reserves room for as many of the first payloads as fit and returns their number. Repairs use the reserve; all
// others count in held, which is what their stream holds. The caller holds that stream's lock.
func (b *Budget) Take(payloads [][]byte, repair bool, held *atomic.Int64) int {
	if repair {
		return b.repairs.take(payloads, nil)
	}
	return b.general.take(payloads, held)
}

// Prepay takes n bytes in advance for a stream, while there is plenty. The caller holds that stream's lock.
func (b *Budget) Prepay(n int64, held *atomic.Int64) bool {
	a := &b.general
	used := a.used.Load()
	if share(a.most(0), used, held.Load()) < 8*n || !a.used.CompareAndSwap(used, used+n) {
		return false
	}
	held.Add(n)
	return true
}

// Refund gives n bytes back that were taken, and tells those who wait for room.
func (b *Budget) Refund(n int64, repair bool, held *atomic.Int64) {
	if repair {
		b.repairs.used.Add(-n)
	} else {
		b.general.used.Add(-n)
		held.Add(-n)
	}
	b.MadeRoom()
}

// freeFixed is how many bytes streams may take without being charged: the least budget that is legal has room for some.
const freeFixed = 16 << 10

// most is how many bytes of records there may be, with more bytes taken by streams.
func (a *account) most(more int64) int64 { return a.limit - max(a.fixed.Load()+more-freeFixed, 0) }

// take reserves room for as many of the first payloads as fit and returns their number. heldOf is nil where no threshold
// applies.
func (a *account) take(payloads [][]byte, heldOf *atomic.Int64) int {
	for {
		used := a.used.Load()
		room := a.most(0) - used
		if heldOf != nil {
			room = share(a.most(0), used, heldOf.Load())
		}
		n, bytes := fitting(payloads, room)
		if n == 0 {
			return 0
		}
		if a.used.CompareAndSwap(used, used+bytes) {
			if heldOf != nil {
				heldOf.Add(bytes)
			}
			return n
		}
	}
}

// fitting returns how many of the first payloads fit into room bytes.
func fitting(payloads [][]byte, room int64) (n int, bytes int64) {
	for _, p := range payloads {
		c := Cost(p)
		if bytes+c > room {
			break
		}
		bytes += c
		n++
	}
	return n, bytes
}
