package sdk

import (
	"time"

	"inlong-bridge/sdk/frame"
)

// answered deals with one ack. It means something only for a pack that is in flight on this very
// connection and of which the writer took at least the first byte.
func (c *conn) answered(ack *frame.Ack) {
	s := c.s
	s.mu.Lock()
	now := s.now()
	s.e.Heard(&c.life, now)
	switch p := c.life.Find(ack.Uniq); {
	case p == nil:
		s.e.UnknownAnswer(&c.life, false)
	case ack.Code == 0:
		s.e.Acked(p, now)
	default:
		own := s.packs.at(p.Ref)
		s.rejectedLocked(c, own, ack.Code, string(ack.MessageWithout(requestAttr(own.frame))), false, now)
	}
	todo := s.progressLocked()
	s.mu.Unlock()
	todo.perform()
}

// rejectedLocked tells the engine that the proxy answered with an error code; early says that it had not understood
// enough to name the pack. Under mu.
func (s *Sender) rejectedLocked(c *conn, p *pack, code int, message string, early bool, now time.Duration) {
	err := &AckError{Code: code, Endpoint: c.ep.addr, Group: p.st.Group(), Stream: p.st.Name(), Message: message}
	c.ep.noteLocked(err.Error())
	s.e.Refused(&p.life, code, early, err, now)
}

// requestAttr returns the attributes of one of our own frames.
func requestAttr(f []byte) []byte {
	p, err := frame.DecodePack(f)
	if err != nil {
		return nil
	}
	return p.Attr
}
