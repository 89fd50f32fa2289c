package sdk

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"

	"inlong-bridge/sdk/engine"
	"inlong-bridge/sdk/frame"
)

// What is different about packs of the types 3 and 5: see WithMessageType.

// dataMillis is the event time as the attribute dt carries it.
func dataMillis(t time.Time) int64 { return max(t.UnixMilli(), 0) }

// appendTextAttrs appends what stands in a type-7 header and in the attributes of the others.
func (p *pack) appendTextAttrs(attr []byte) []byte {
	attr = strconv.AppendInt(frame.AppendAttr(attr, attrDataTime, ""), p.dataMillis, 10)
	return strconv.AppendInt(frame.AppendAttr(attr, attrCount, ""), int64(p.count), 10)
}

const (
	attrDataTime = "dt"
	attrCount    = "cnt"

	// textAttrs is the most that appendTextAttrs appends.
	textAttrs = "&dt=9223372036854775807&cnt=32767"
)

// fixed is the bytes of a frame without items and attributes.
func (t MessageType) fixed() int {
	if t == Type7 {
		return frame.MaxPackSize(0, 0)
	}
	return frame.MaxTextSize(0, 0)
}

// overhead is the most bytes of a frame that are not items, with attr bytes of attributes.
func (t MessageType) overhead(attr int) int {
	if t == Type7 {
		return frame.MaxPackSize(0, attr)
	}
	return frame.MaxTextSize(0, attr+len(textAttrs))
}

// answeredText deals with one answer to a pack of type 3 or 5. An error means that nobody can tell what it
// is about.
func (c *conn) answeredText(f []byte) error {
	ack, err := frame.DecodeTextAck(f)
	if err != nil {
		return err
	}
	s := c.s
	s.mu.Lock()
	err = s.answeredTextLocked(c, &ack, f)
	todo := s.progressLocked()
	s.mu.Unlock()
	todo.perform()
	return err
}

// answeredTextLocked tells the engine of an answer to a pack of type 3 or 5, which is the frame f. Under mu.
func (s *Sender) answeredTextLocked(c *conn, ack *frame.TextAck, f []byte) error {
	now := s.now()
	s.e.Heard(&c.life, now)
	life, named := c.echoedLocked(ack)
	early := !named && ack.Code != 0
	if early {
		// Found before the attributes were read: the lengths are not what they were here.
		if life = c.life.Only(); life == nil {
			s.e.GaveUp(&c.life)
			return fmt.Errorf("answer with errCode %d names no pack, and more than one may be meant", ack.Code)
		}
	}
	if life == nil {
		s.e.UnknownAnswer(&c.life, true)
		return nil
	}
	p := s.packs.at(life.Ref)
	if bytes.Equal(f, p.frame) {
		// A text pack reads as an answer to itself.
		s.e.GaveUp(&c.life)
		return errors.New("what was sent came back")
	}
	if ack.Code == 0 {
		s.e.Acked(life, now)
	} else {
		s.rejectedLocked(c, p, ack.Code, textMessage(ack, p.frame), early, now)
	}
	return nil
}

// echoedLocked returns the pack whose mid the answer brings back, if it can be answered here, and whether it brings any.
// Under Sender.mu.
func (c *conn) echoedLocked(ack *frame.TextAck) (p *engine.Pack, named bool) {
	mid, ok := ack.Echoed(frame.AttrMid)
	if !ok {
		return nil, false
	}
	instance, seq, ok := frame.ParseMid(mid)
	if !ok || string(instance) != c.s.o.instance {
		return nil, true
	}
	if p = c.life.Find(uint32(seq)); p == nil || p.Seq() != seq {
		return nil, true
	}
	return p, true
}

func textMessage(ack *frame.TextAck, f []byte) string {
	p, err := frame.DecodeTextPack(f)
	if err != nil {
		return string(ack.Message)
	}
	return string(ack.MessageWithout(p.Attr))
}
