package sdk

import (
	"errors"
	"fmt"

	"inlong-bridge/sdk/frame"
)

// maxOrigin keeps the name short: every pack carries it.
const maxOrigin = 16

// SetOrigin names whoever the records come from, in at most 16 characters. Every pack carries the name as the
// attribute bg into the queue, so that whoever reads packs there can tell its own from those of others. It must be
// called before the first stream is asked for; without it packs carry no such attribute.
func (s *Sender) SetOrigin(name string) error {
	if name == "" || len(name) > maxOrigin {
		return fmt.Errorf("origin %q has %d characters; give it 1 to %d", name, len(name), maxOrigin)
	}
	if err := frame.CheckAttribute(frame.AttrOrigin, name); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.openings.streams > 0 {
		return errors.New("the origin is set after the first stream was opened, whose packs would not carry it; set it before")
	}
	s.origin = name
	return nil
}
