package sdk

import (
	"time"

	"inlong-bridge/sdk/finality"
	"inlong-bridge/sdk/frame"
)

// packState is where a pack is in its life.
type packState uint8

const (
	packOpen     packState = iota // being filled
	packWaiting                   // sealed; to be encoded, or sent, or sent again
	packInFlight                  // handed to a connection
	packAcked
	packLost
	packHeld  // refused for good, and kept; see held.go
	packSplit // cut in two, and known as long as its parts are
	packDone  // final, refused, or given up by Close
	packStates
)

// pack is records of one stream and event-time minute: one frame, once it is sealed.
type pack struct {
	st     *Stream
	key    openKey
	opened time.Duration

	// Guarded by Stream.mu until the pack is handed to the encoder, and constant from then on.
	buf        []byte // from the buffer pool: room for a frame's header, then the records; the encoder takes it
	count      int
	limit      int   // most bytes of records, but for a single record
	charge     int64 // bytes of the budget, of the records; guarded by Sender.mu from the encoder on
	prepaid    int64 // bytes of the budget for records to come, given back when it is sealed
	dataTime   uint32
	dataMillis int64 // the same, for the types that carry that
	pieces     []piece
	tokens     int  // pieces that are not callbacks
	pins       int  // batches that have still to name their piece
	sealed     bool // takes nothing more

	prev, next *pack // in openList, guarded by its lock; once it is sealed, next is of a packQueue

	// Guarded by Sender.mu.
	seq      uint64
	rtms     int64 // report time, the same on a resend
	compress bool
	ahead    int64 // what it counts for in Stream.ahead
	state    packState
	frame    []byte // from the buffer pool; nil until encoded and from the ack on
	wire     int64  // bytes of the frame
	writers  int    // connections whose writer holds frame right now
	released bool   // frame is to be freed when the last writer let go
	conn     *conn  // in flight or acked: where
	endpoint *endpoint
	loss     *lossEvent // it is lost, and the event waits for its end
	taken    bool       // by the writer of conn
	sentAt   time.Duration
	written  bool          // its first byte, at least once
	wroteAt  time.Duration // when a writer took it last
	sends    int           // times handed to a connection
	maybe    bool          // a copy may have been delivered without an ack
	fails    int           // tries that came to nothing; see tryFailedLocked
	// suspect: oldest unanswered pack of a connection that ended. It travels alone.
	suspect   bool
	deaths    int
	killed    killings // what it did while it travelled alone
	renaming  bool     // a token is asked to split a piece; the end is told after that
	ended     event    // the end, meanwhile
	parts     [2]*pack // it was cut into
	parent    *pack    // it was cut from
	left      int      // parts that have not ended
	notBefore time.Duration
	reserved  *conn              // keeps itself empty for this suspect
	damaged   bool               // was answered by onceMore
	avoid     finality.ConnEpoch // connection it may not go to again
	refusals  *refusals          // for good; nil for none
}

// openKey tells the open packs of a stream apart.
type openKey struct {
	minute  int64
	repair  bool
	records bool   // records have attributes of their own
	attrs   string // of the pack, beside those that every pack has
}

// Queues of a stream, in the order in which they are served.
const (
	classRepair = iota
	classResend
	classNew
	classes
)

func (p *pack) class() int {
	switch {
	case p.key.repair:
		return classRepair
	case p.sends > 0:
		return classResend
	}
	return classNew
}

// size is the bytes of the records, with their lengths.
func (p *pack) size() int { return len(p.buf) - frame.PackHeader }

// fits reports whether a record of n bytes may be added. An empty pack takes any record of the stream.
func (p *pack) fits(n int) bool {
	if p.count == 0 {
		return true
	}
	size := p.size() + frame.ItemOverhead + n
	if size > p.limit || p.count >= p.st.s.o.packCount {
		return false
	}
	// It does not grow beyond its share of the open packs' memory.
	return frame.PackHeader+size <= cap(p.buf) || cap(p.buf) < p.st.s.openShare()
}

// packQueue is a first-in first-out queue of packs; what is sent again is put in by its age. It links the packs themselves:
// a stream has three of them, may be idle for ever, and a push allocates nothing. A pack is in one queue at most.
type packQueue struct {
	head, tail *pack
	n          int
}

func (q *packQueue) len() int     { return q.n }
func (q *packQueue) front() *pack { return q.head }
func (q *packQueue) pop() {
	p := q.head
	q.head, p.next = p.next, nil
	if q.n--; q.n == 0 {
		q.tail = nil
	}
}

func (q *packQueue) push(p *pack) {
	q.n++
	if q.tail == nil || q.tail.seq < p.seq {
		if q.tail == nil {
			q.head = p
		} else {
			q.tail.next = p
		}
		q.tail = p
		return
	}
	at := &q.head // what is older than others is near the front
	for (*at).seq < p.seq {
		at = &(*at).next
	}
	p.next, *at = *at, p
}
