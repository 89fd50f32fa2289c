package connector

import (
	"cmp"
	"slices"
	"strings"

	"inlong-bridge/sdk/manager"
)

// unreadableLocked returns the watched streams that cannot be read, sorted.
func (q *queueSource) unreadableLocked() []UnreadableStream {
	if len(q.now.Wraps) == 0 {
		return nil
	}
	said := &manager.QueueConfig{Topics: q.now.Topics, Wraps: q.now.Wraps}
	var out []UnreadableStream
	for of := range q.topics {
		if wrap := said.Wrap(of.Group, of.Stream); wrap != manager.WrapInLongMsg {
			out = append(out, UnreadableStream{Group: of.Group, Stream: of.Stream, WrapType: wrap})
		}
	}
	slices.SortFunc(out, func(a, b UnreadableStream) int {
		return cmp.Or(strings.Compare(a.Group, b.Group), strings.Compare(a.Stream, b.Stream))
	})
	return out
}

// tellWrapsLocked logs each stream that cannot be read once, and again when its wrap type becomes another one.
func (q *queueSource) tellWrapsLocked() {
	said := q.unreadableLocked()
	now := make(map[RouteStatus]string, len(said))
	for _, u := range said {
		of := RouteStatus{Group: u.Group, Stream: u.Stream}
		if now[of] = u.WrapType; q.wraps[of] != u.WrapType {
			q.log.Warn("stream is unreadable in the queue, so its packs do not become final", "group", u.Group, "stream", u.Stream,
				"wrap_type", u.WrapType, "hint", "set its wrap type in the Manager to "+manager.WrapInLongMsg+", or use delivery.confirm: settle")
		}
	}
	q.wraps = now
}
