package sdk

import (
	"context"
	"fmt"
	"time"

	"inlong-bridge/sdk/frame"
)

// Batch is many records of one stream and one event-time minute that are handed over in one call.
type Batch struct {
	Stream   *Stream
	Time     time.Time // of all records, the zero Time is now; a pack holds one minute
	Payloads [][]byte  // not kept once the call returns
	Token    Token     // nil: nobody is told
	// Packed names a piece: payloads [from, to) of this batch went into one pack. It is called on the
	// caller's goroutine, without locks of the sender that Token could wait for, before anything of
	// that pack can be reported.
	Packed func(from, to int) (piece uint64)
	Repair bool // records that were lost: they use the reserve of the budget and go before others
	Alone  bool // records that proxies may not stand: nothing else is in their packs, nor on the connection with one of them

	// OnePack has all records that are taken lie in one pack: the open one of this number, or, where it is 0, one that is chosen
	// and whose number it becomes. So later batches may join the pack for as long as it is open. The error is ErrPackFull when it
	// takes no more.
	OnePack *uint64

	// Attrs are the attributes of each record, as many as Payloads; nil when none has any. They are not
	// kept once the call returned. A record that has none among others that have gets "_=".
	Attrs     [][]Attr
	PackAttrs *PackAttrs // of the packs; nil for those of the stream
	Trail     any        // tells the notes of the packs where the records come from; nil: they say nothing. See WithTrails
}

// run is a piece whose name is still to be asked for.
type run struct {
	p        *pack
	index    int
	from, to int
}

// TrySendBatch never waits. It takes the first n records; err says why not the rest:
// ErrBufferFull, ErrStreamFull, ErrPackFull, ErrTooLarge, *AttributeError, ErrEmptyRecord, *MessageTypeError (record n itself), ErrForgotten, ErrClosed.
func (s *Sender) TrySendBatch(b *Batch) (n int, err error) { return s.trySend(b, 0) }

// trySend hands over records from first on and returns the index behind the last one taken.
func (s *Sender) trySend(b *Batch, first int) (n int, err error) {
	st := b.Stream
	if st == nil || st.s != s {
		return first, fmt.Errorf("sending batch: its stream is not of this sender; get it from Sender.Stream")
	}
	if !b.Repair {
		if s.encodersBehind() {
			return first, ErrBufferFull
		}
		if err := s.heldBack(st); err != nil {
			return first, err
		}
	}
	at := timeOrNow(b.Time)
	key := openKey{minute: int32(frame.MinuteOf(at)), repair: b.Repair, alone: b.Alone, records: b.Attrs != nil, trail: b.Trail != nil && s.o.trails != nil, attrs: st.attrsOr(b.PackAttrs)}
	records, unfit := b.Payloads[first:], error(nil)
	if key.records {
		if err := s.o.messageType.unfitAttrs(); err != nil {
			return first, fmt.Errorf("sending batch to %s: %w", st, err)
		}
		if records, unfit, err = b.withAttrs(first, key.attrs); err != nil {
			return first, err
		}
	} else if s.o.messageType != Type7 {
		records, unfit = s.o.messageType.checkAll(records)
	}
	var room [8]run
	runs := room[:0]

	st.mu.Lock()
	if st.forgotten {
		st.mu.Unlock()
		return first, fmt.Errorf("sending batch to %s: %w", st, ErrForgotten)
	}
	if b.OnePack != nil && len(records) > 0 && !st.takesMoreLocked(*b.OnePack, &key, len(records[0])) {
		st.mu.Unlock()
		return first, ErrPackFull
	}
	if n, err = s.admitLocked(st, records, &key); err != nil {
		st.turnedAwayLocked(err)
	} else if unfit != nil {
		err = fmt.Errorf("sending batch to %s: record %d: %w", st, first+n, unfit)
	}
	n += first
	for i := first; i < n; {
		size := len(records[i-first])
		switch one := b.OnePack; {
		case one == nil:
		case *one == 0:
			size = st.beginOneLocked(records[:n-first])
		case !st.takesMoreLocked(*one, &key, size): // the rest does not fit
			s.giveBackLocked(st, records[i-first:n-first], &key)
			n, err = i, ErrPackFull
			continue
		}
		p := st.packForLocked(key, at, size)
		from := i
		for i < n && p.fits(len(records[i-first])) {
			if key.records {
				p.addWithAttrs(records[i-first], len(b.Payloads[i]), &s.bufs)
				i++
				continue
			}
			p.add(b.Payloads[i], &s.bufs)
			i += 1 + p.addWhatFits(b.Payloads[i+1:n])
		}
		told := i
		if p.trail != nil {
			told = from + p.noteLocked(b, records[from-first:i-first], from, i)
		}
		noRoom := told < i
		if i = told; i == from {
			s.sealForTrailLocked(p)
			continue
		}
		if b.Token != nil {
			// 1. this pack is sealed by its linger  2. it is acked  3. only now Packed names the piece
			// So a pack with a piece that has no name yet is pinned: it is not encoded, hence not sent.
			if len(runs) == 0 {
				s.end.naming.Add(1)
			}
			p.pins++
			p.pieces = append(p.pieces, piece{token: b.Token, from: uint16(p.count - (i - from)), to: uint16(p.count)})
			runs = append(runs, run{p, len(p.pieces) - 1, from, i})
		}
		if b.OnePack != nil {
			*b.OnePack = s.numberLocked(p)
		}
		switch {
		case noRoom:
			s.sealForTrailLocked(p)
		case !p.fits(0) || b.Alone && i == n:
			s.sealLocked(p)
		}
	}
	st.records += uint64(n - first)
	for _, payload := range b.Payloads[first:n] {
		st.recordBytes += uint64(len(payload))
	}
	if len(runs) == 0 {
		s.sealWithoutLingerLocked(st)
	}
	st.mu.Unlock()

	if len(runs) > 0 {
		s.name(b, runs)
	}
	s.sealBeyondLimit()
	return n, err
}

// withAttrs returns the records from first on with their attributes behind them, up to the first one
// that cannot be sent, and why that one cannot.
func (b *Batch) withAttrs(first int, taken string) (records [][]byte, unfit, err error) {
	if len(b.Attrs) != len(b.Payloads) {
		return nil, nil, fmt.Errorf("sending batch to %s: attributes of %d records for %d; give one list for each, empty where there are none", b.Stream, len(b.Attrs), len(b.Payloads))
	}
	for i := first; i < len(b.Payloads); i++ {
		record, unfit := appendRecord(nil, b.Payloads[i], b.Attrs[i], taken)
		if unfit != nil {
			return records, unfit, nil
		}
		records = append(records, record)
	}
	return records, nil, nil
}

// name asks the caller for the names of the pieces, without any lock, and lets the packs go.
func (s *Sender) name(b *Batch, runs []run) {
	defer s.end.naming.Done()
	st := b.Stream
	var room [8]uint64
	ids := room[:0]
	for _, r := range runs {
		id := uint64(0)
		if b.Packed != nil {
			id = b.Packed(r.from, r.to)
		}
		ids = append(ids, id)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	for i, r := range runs {
		r.p.pieces[r.index].id = ids[i]
		if r.p.pins--; r.p.pins == 0 && r.p.sealed {
			s.enc.Push(r.p, r.p.size())
		}
	}
	s.sealWithoutLingerLocked(st)
}

// admitLocked reserves room in the budget for the first payloads, and says why not for all. Under st.mu.
func (s *Sender) admitLocked(st *Stream, payloads [][]byte, key *openKey) (n int, err error) {
	if s.end.closing.Load() {
		return 0, ErrClosed
	}
	if s.notify.behind() {
		s.budget.WantRoom()
		if s.notify.behind() { // it may have caught up between the two
			return 0, ErrBufferFull
		}
	}
	repair := key.repair
	want, longest := payloads, st.room(key.attrs)-frame.ItemOverhead
	for i, p := range payloads {
		if len(p) > longest {
			want, err = payloads[:i], &TooLargeError{Size: len(p), Limit: longest}
			break
		}
	}
	if len(want) == 0 {
		return 0, err
	}
	n = s.budget.Take(want, repair, &st.held)
	if n < len(want) {
		// Room may have been made between the refusal and the note that somebody waits for it.
		s.budget.WantRoom()
		n += s.budget.Take(want[n:], repair, &st.held)
	}
	if n < len(want) {
		err = ErrBufferFull
		if !repair && s.budget.Fits(want[n]) {
			err = ErrStreamFull
		}
	}
	return n, err
}

// refundLocked gives what a pack has taken beyond keep bytes back to the budget and says so to those who wait
// for room.
func (s *Sender) refundLocked(p *pack, keep int64) {
	back := p.charge - keep
	if back <= 0 {
		return
	}
	p.charge = keep
	s.budget.Refund(back, p.key.repair, &p.st.held)
}

// Room receives a value when there may be room again after ErrBufferFull or ErrStreamFull.
func (s *Sender) Room() <-chan struct{} { return s.budget.Room() }

// SendBatch waits for room and hands over all records. n is how many were taken when err is not nil. From when ctx has
// ended no more are taken, even if there is room.
func (s *Sender) SendBatch(ctx context.Context, b *Batch) (n int, err error) {
	for {
		if ctx.Err() != nil {
			return n, notSent(ctx, "batch", b.Stream)
		}
		wait := s.budget.Wait()
		if err = ErrStreamFull; b.Repair || !s.streamAhead(b.Stream) {
			n, err = s.trySend(b, n)
		}
		if err != ErrBufferFull && err != ErrStreamFull { //nolint:errorlint // our own sentinels, never wrapped
			return n, err
		}
		if err := s.awaitRoom(ctx, wait); err != nil {
			return n, err
		}
	}
}

func (s *Sender) awaitRoom(ctx context.Context, wait <-chan struct{}) error {
	select {
	case <-wait:
		return nil
	case <-s.ctx.Done():
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("waiting for room in the byte budget (WithBudget): %w", context.Cause(ctx))
	}
}
