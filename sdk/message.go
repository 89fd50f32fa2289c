package sdk

import (
	"context"
	"fmt"
	"time"

	"inlong-bridge/sdk/frame"
)

// Message is one record.
type Message struct {
	Stream  *Stream
	Time    time.Time // event time, to the minute; the zero Time is now. See the package comment
	Payload []byte    // not kept once the call returns

	// Acked is called when a proxy acked the message, once at most and before done; not at all when the
	// message is seen behind the proxies first, or refused. Nil is legal.
	Acked func(Result)

	Attrs     []Attr     // of this record; it shares packs only with others that have some
	PackAttrs *PackAttrs // of its pack; nil for those of its stream

	// Meta comes back in each Result of the message, whatever becomes of it: the record itself, say, for a program that
	// keeps what was refused, lost or not sent before Close. It costs an allocation. The sender does not look at it.
	Meta any
}

// Send hands over a message and waits until it is final, lost (ErrLost) or refused (*AckError, *PoisonError,
// *RetryError). When ctx ends while it waits, the message may still be delivered; when ctx had ended before the call,
// nothing is sent.
func (s *Sender) Send(ctx context.Context, m Message) error {
	answer := make(chan Result, 1)
	if err := s.SendAsync(ctx, m, func(r Result) { answer <- r }); err != nil {
		return err
	}
	select {
	case r := <-answer:
		if r.Outcome == Lost {
			return ErrLost
		}
		return r.Err
	case <-ctx.Done():
		return fmt.Errorf("waiting for the verdict on a message to %s, which may still be delivered: %w", m.Stream, context.Cause(ctx))
	}
}

// SendAsync waits for room, hands the message over and returns; done is called once, with Final, Lost
// or Refused, or with ErrClosed. It is not called when SendAsync returns an error. A nil done is legal.
// With a ctx that has ended nothing is sent, even if there is room.
//
// A callback that sends should use TrySend: what it waits for may be that callbacks return, itself among
// them, and then only the end of ctx ends the wait.
func (s *Sender) SendAsync(ctx context.Context, m Message, done func(Result)) error {
	for {
		if ctx.Err() != nil {
			return notSent(ctx, "message", m.Stream)
		}
		if s.addPrepaid(&m, done) {
			return nil
		}
		wait := s.budget.Wait()
		var err = ErrStreamFull
		if !s.streamAhead(m.Stream) {
			err = s.trySendMessage(&m, done)
		}
		if err != ErrBufferFull && err != ErrStreamFull { //nolint:errorlint // our own sentinels, never wrapped
			return err
		}
		if err := s.awaitRoom(ctx, wait); err != nil {
			return err
		}
	}
}

// notSent is the error of a call whose context has ended before anything, or the rest, was handed over.
func notSent(ctx context.Context, what string, st *Stream) error {
	return fmt.Errorf("sending %s to %s: not sent: %w", what, st, context.Cause(ctx))
}

// TrySend is SendAsync that never waits: it returns ErrBufferFull or ErrStreamFull when there is no room.
// Room says when to try again.
func (s *Sender) TrySend(m Message, done func(Result)) error {
	if s.addPrepaid(&m, done) {
		return nil
	}
	return s.trySendMessage(&m, done)
}

// addPrepaid appends a message without anything special to the pack that its stream is filling, if that has taken room for more in
// advance: whoever took it has asked whether new records may come.
func (s *Sender) addPrepaid(m *Message, done func(Result)) bool {
	st := m.Stream
	if st == nil || st.s != s || m.Acked != nil || m.Attrs != nil || m.PackAttrs != nil || m.Meta != nil || s.o.messageType != Type7 || s.o.linger == 0 {
		return false
	}
	minute := int32(frame.MinuteOf(timeOrNow(m.Time)))
	n := frame.ItemOverhead + len(m.Payload)
	st.mu.Lock()
	p := st.last
	if p == nil || int(p.prepaid) < n || len(p.buf)+n+frame.ItemOverhead > cap(p.buf) || p.size()+n+frame.ItemOverhead > int(p.limit) || p.count+1 >= s.o.packCount ||
		p.key != (openKey{minute: minute, attrs: st.attrsOr(nil)}) || st.forgotten || s.end.closing.Load() || s.notify.behind() {
		st.mu.Unlock()
		return false
	}
	p.prepaid -= int32(n) //nolint:gosec // not more than was prepaid
	p.buf = frame.AppendItem(p.buf, m.Payload)
	p.count++
	p.charge += int64(n)
	if done != nil {
		s.callLocked(p, done)
	}
	st.records++
	st.recordBytes += uint64(len(m.Payload))
	st.mu.Unlock()
	return true
}

func (s *Sender) trySendMessage(m *Message, done func(Result)) error {
	st := m.Stream
	if st == nil || st.s != s {
		return fmt.Errorf("sending message: its stream is not of this sender; get it from Sender.Stream")
	}
	if s.encodersBehind() {
		return ErrBufferFull
	}
	if err := s.heldBack(st); err != nil {
		return err
	}
	at := timeOrNow(m.Time)
	key := openKey{minute: int32(frame.MinuteOf(at)), records: len(m.Attrs) > 0, attrs: st.attrsOr(m.PackAttrs)}
	one := [1][]byte{m.Payload}
	if s.o.messageType != Type7 {
		err := s.o.messageType.check(m.Payload)
		if key.records {
			err = s.o.messageType.unfitAttrs()
		}
		if err != nil {
			return fmt.Errorf("sending message to %s: %w", st, err)
		}
	}
	if key.records {
		var err error
		if one[0], err = appendRecord(nil, m.Payload, m.Attrs, key.attrs); err != nil {
			return fmt.Errorf("sending message to %s: %w", st, err)
		}
	}
	st.mu.Lock()
	if st.forgotten {
		st.mu.Unlock()
		return fmt.Errorf("sending message to %s: %w", st, ErrForgotten)
	}
	p := s.prepaidLocked(st, &key, one[0])
	if p == nil {
		if n, err := s.admitLocked(st, one[:], &key); n == 0 {
			st.turnedAwayLocked(err)
			st.mu.Unlock()
			return err
		}
		p = st.packForLocked(key, at, len(one[0]))
		s.prepayLocked(p)
	}
	if key.records {
		p.addWithAttrs(one[0], len(m.Payload), &s.bufs)
	} else {
		p.add(m.Payload, &s.bufs)
	}
	if m.Acked != nil || (m.Meta != nil && done != nil) {
		p.pieces = append(p.pieces, piece{token: &callbacks{acked: m.Acked, done: done, meta: m.Meta}, from: uint16(p.count - 1), to: uint16(p.count)})
	} else if done != nil {
		s.callLocked(p, done)
	}
	if !p.fits(0) {
		s.sealLocked(p)
	}
	st.records++
	st.recordBytes += uint64(len(m.Payload))
	s.sealWithoutLingerLocked(st)
	st.mu.Unlock()
	s.sealBeyondLimit()
	return nil
}
