package sdk

import (
	"sync"
	"time"

	"inlong-bridge/sdk/engine"
	"inlong-bridge/sdk/frame"
	"inlong-bridge/sdk/internal/list"
	"inlong-bridge/sdk/internal/losses"
)

// pack is records of one stream and event-time minute: one frame, once it is sealed. Each of its parts has one lock.
type pack struct {
	filling             // guarded by Stream.mu until it is handed to the encoder, and constant from then on
	life    engine.Pack // what becomes of it; guarded by Sender.mu
	outgoing
	followers
}

// filling is what records are added to.
type filling struct {
	st     *Stream
	key    openKey
	opened time.Duration

	buf        []byte   // from the buffer pool: room for a frame's header, then the records; the encoder takes it
	before     *buffers // what is before buf; nil for nothing
	trail      Trail    // notes where the records come from; nil where nothing does
	count      int
	limit      int32  // most bytes of records, but for a single record
	number     uint32 // see Batch.OnePack; 0 until a batch asks for it. Constant once it is sealed
	charge     int64  // bytes of the budget, of the records; guarded by Sender.mu from the encoder on
	prepaid    int32  // bytes of the budget for records to come, given back when it is sealed
	pins       int32  // batches that have still to name their piece
	dataMillis int64  // event time of the first record
	sealed     bool   // takes nothing more

	// Set when it is sealed.
	compress bool
	better   bool  // with the better encoder
	onWire   bool  // counted in Stream.wire; guarded by Sender.mu
	ahead    int32 // what it counts for in Stream.ahead; guarded by Sender.mu
	rtms     int64 // report time, the same on a resend

	inOpen list.Node[pack] // guarded by the lock of Sender.open
}

// outgoing is what connections write. Guarded by Sender.mu.
type outgoing struct {
	frame    []byte // from the buffer pool. Invariant: nil until it is encoded and once it is freed
	writers  int32  // connections whose writer holds frame right now
	released bool   // frame is freed when writers is 0
}

// followers is who is told what becomes of a pack. Pieces and calls are guarded as the filling is, the rest by Sender.mu.
type followers struct {
	pieces []piece
	calls  []func(Result) // of single messages, by the index of their record; nil elsewhere. They end with their one call
	loss   *losses.Event  // it is lost, and the event waits for its end
	naming bool           // a token is asked to split a piece; the end is told after that
	ended  *event         // the end, meanwhile
}

// openKey tells the open packs of a stream apart.
type openKey struct {
	minute  int32
	repair  bool
	alone   bool   // it takes the records of one call, and travels alone
	records bool   // records have attributes of their own
	trail   bool   // the pack is to say where its records come from
	attrs   string // of the pack, beside those that every pack has
}

// size is the bytes of the records, with their lengths.
func (p *pack) size() int { return p.before.size() + len(p.buf) - frame.PackHeader }

// fits reports whether a record of n bytes may be added. An empty pack takes any record of the stream.
func (p *pack) fits(n int) bool {
	if p.count == 0 {
		return true
	}
	size := p.size() + frame.ItemOverhead + n
	if size > int(p.limit) || p.count >= p.st.s.o.packCount {
		return false
	}
	// It does not grow beyond its share of the open packs' memory.
	return len(p.buf)+frame.ItemOverhead+n <= cap(p.buf) || p.before.room()+cap(p.buf) < p.st.s.openShare()
}

// enterLocked prepares the part of a pack that the engine knows, and makes the pack known by its number. Under Sender.mu.
func (s *Sender) enterLocked(p *pack) *engine.Pack {
	l := &p.life
	l.Ref, l.Records, l.Repair, l.Followed, l.OpenedAt = s.packs.put(p), int32(p.count), p.key.repair, len(p.pieces) > 0, p.opened
	l.Alone = p.key.alone
	return l
}

// slots numbers things that the engine refers to. Guarded by Sender.mu.
type slots[T any] struct {
	all  []*T
	free []int32 // numbers of nothing
}

// put returns the number of v.
func (s *slots[T]) put(v *T) int32 {
	if n := len(s.free); n > 0 {
		ref := s.free[n-1]
		s.free = s.free[:n-1]
		s.all[ref] = v
		return ref
	}
	s.all = append(s.all, v)
	return int32(len(s.all) - 1)
}

func (s *slots[T]) at(ref int32) *T { return s.all[ref] }

// drop ends the use of a number.
func (s *slots[T]) drop(ref int32) {
	if s.all[ref] == nil {
		panic("bug: slot dropped twice")
	}
	s.all[ref] = nil
	s.free = append(s.free, ref)
}

// callLocked notes whom to tell what becomes of the record that was added last. Under the lock of p's stream.
func (s *Sender) callLocked(p *pack, done func(Result)) {
	if p.calls == nil {
		p.calls = s.calls.get()
	}
	for len(p.calls) < p.count-1 { // nobody is called for those before it
		p.calls = append(p.calls, nil)
	}
	p.calls = append(p.calls, done)
}

// listPool recycles the lists of those who are told: with one for each message they are long.
type listPool[T any] struct{ lists sync.Pool }

func (p *listPool[T]) get() []T {
	if l, _ := p.lists.Get().(*[]T); l != nil {
		return (*l)[:0]
	}
	return nil
}

func (p *listPool[T]) put(l []T) {
	if cap(l) == 0 {
		return
	}
	clear(l)
	empty := l[:0] // not l, which would be allocated for lists that are not kept too
	p.lists.Put(&empty)
}
