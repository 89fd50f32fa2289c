package managed

import (
	"cmp"
	"slices"
	"strings"

	"inlong-bridge/sdk/manager"
)

// unreadableLocked returns the watched streams that cannot be read, sorted.
func (s *Source) unreadableLocked() []UnreadableStream {
	if len(s.now.Wraps) == 0 {
		return nil
	}
	said := &manager.QueueConfig{Topics: s.now.Topics, Wraps: s.now.Wraps}
	var out []UnreadableStream
	for of := range s.topics {
		if wrap := said.Wrap(of.group, of.stream); wrap != manager.WrapInLongMsg {
			out = append(out, UnreadableStream{Group: of.group, Stream: of.stream, WrapType: wrap})
		}
	}
	slices.SortFunc(out, func(a, b UnreadableStream) int {
		return cmp.Or(strings.Compare(a.Group, b.Group), strings.Compare(a.Stream, b.Stream))
	})
	return out
}

// tellWrapsLocked logs each stream that cannot be read once, and again when its wrap type becomes another one.
func (s *Source) tellWrapsLocked() {
	said := s.unreadableLocked()
	now := make(map[streamID]string, len(said))
	for _, u := range said {
		of := streamID{u.Group, u.Stream}
		if now[of] = u.WrapType; s.wraps[of] != u.WrapType {
			s.log.Warn("stream is unreadable in the queue, so its packs do not become final", "group", u.Group, "stream", u.Stream,
				"wrap_type", u.WrapType, "hint", "set its wrap type in the Manager to "+manager.WrapInLongMsg+", or use delivery.confirm: settle")
		}
	}
	s.wraps = now
}
