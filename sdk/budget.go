package sdk

import (
	"sync/atomic"

	"inlong-bridge/sdk/frame"
	"inlong-bridge/sdk/signal"
)

// share is the rule of the byte budget: how much more a stream may take when used of limit bytes are taken,
// held of them by itself. A stream may hold as many bytes as are free (the dynamic threshold of switch
// buffers): held + n <= limit - used - n. One stream that does not move leaves half the budget to the
// others, two leave a third.
func share(limit, used, held int64) int64 { return max((limit-used-held)/2, 0) }

// cost is what a record takes from the budget and in a pack, before compression.
func cost(payload []byte) int64 { return int64(len(payload) + frame.ItemOverhead) }

// account is one part of the byte budget: bytes of records from append on, of the frame at most once their
// pack is encoded, and none from the ack on.
type account struct {
	limit int64
	fixed atomic.Int64 // bytes of limit that streams take by being known
	used  atomic.Int64
}

// budget is the byte budget, and who waits for it.
type budget struct {
	general    account          // without the reserve for repairs
	repairs    account          // the reserve
	maxAhead   int64            // bound of the backlogs; see pace.go
	roomWanted atomic.Bool      // somebody waits for bytes
	paceWanted atomic.Bool      // somebody waits for a backlog to shrink
	room       signal.Poke      // for whoever polls
	waiters    signal.Broadcast // for calls that wait
}

// madeRoom tells those who wait for room that there may be some.
func (b *budget) madeRoom() {
	if b.roomWanted.CompareAndSwap(true, false) {
		b.wake()
	}
}

func (b *budget) wake() {
	b.room.Poke()
	b.waiters.Wake()
}

// freeFixed is how many bytes streams may take without being charged: the least budget that is legal has room for some.
const freeFixed = 16 << 10

// most is how many bytes of records there may be, with more bytes taken by streams.
func (a *account) most(more int64) int64 { return a.limit - max(a.fixed.Load()+more-freeFixed, 0) }

// take reserves room for as many of the first payloads as fit and returns their number and bytes.
// heldOf is nil where no threshold applies; the caller holds that stream's lock.
func (a *account) take(payloads [][]byte, heldOf *atomic.Int64) (n int, bytes int64) {
	for {
		used := a.used.Load()
		room := a.most(0) - used
		if heldOf != nil {
			room = share(a.most(0), used, heldOf.Load())
		}
		n, bytes = fitting(payloads, room)
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

// prepayBytes is how much a pack takes in advance when single messages fill it: the budget is shared by
// all cores, and to change it for each message costs more than to copy the message.
const prepayBytes = 32 << 10

// prepaidLocked returns the stream's pack when it has room in the budget already for a message of key, and
// takes that. Under st.mu.
func (s *Sender) prepaidLocked(st *Stream, key *openKey, payload []byte) *pack {
	p, c := st.last, cost(payload)
	if p == nil || p.prepaid < c || p.key != *key || !p.fits(len(payload)) || s.end.closing.Load() || s.notify.behind() {
		return nil
	}
	p.prepaid -= c
	return p
}

// prepayLocked takes room in advance for a pack that has grown so large that it will use it, while there is
// plenty. Under st.mu.
func (s *Sender) prepayLocked(p *pack) {
	st := p.st
	used := s.budget.general.used.Load()
	if p.size() < prepayBytes || share(s.budget.general.most(0), used, st.held.Load()) < 8*prepayBytes {
		return
	}
	if s.budget.general.used.CompareAndSwap(used, used+prepayBytes) {
		st.held.Add(prepayBytes)
		p.prepaid += prepayBytes
	}
}
