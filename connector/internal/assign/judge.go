package assign

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/reason"
	"inlong-bridge/mapping"
	"inlong-bridge/sdk/frame"
)

// judge returns the route of a record, nil for one that no rule wants. kept says that the record has its place in the chunk's books and
// does not go to the proxies; with stop the partition stops at it.
func (s *Splitter) judge(c *chunk, rec *kgo.Record) (r *route.Route, kept bool, stop *reason.Reason) {
	r, err := s.router.Route(rec)
	switch {
	case err == nil:
	case !errors.Is(err, route.ErrTooManyStreams) && s.keep(c, rec, mapping.ClassUnrouted, noRoute, err.Error()):
		return nil, true, nil
	default:
		return nil, false, s.unrouted(rec, err)
	}
	if r == nil {
		return nil, false, nil
	}
	if frame.MayBeInLongMsg(rec.Value) {
		if stop := s.foreign(rec); stop != nil {
			if s.skipByHand(c, rec, stop.Text()) {
				return r, true, nil
			}
			return r, false, stop
		}
	}
	if s.content != nil && s.body.Aside {
		if s.keep(c, rec, s.body.Class, r.Index, s.body.Why) {
			return r, true, nil
		}
		return r, false, s.body.Stop(rec, s.topicID)
	}
	return r, false, nil
}

// unrouted stops the partition at a record without a stream.
func (s *Splitter) unrouted(rec *kgo.Record, err error) *reason.Reason {
	id, code, why := part.ID{Topic: rec.Topic, Num: rec.Partition}, unroutedCode(err), err.Error()
	if code == reason.Unrouted {
		why = part.OrSkip(why, id, s.topicID, rec.Offset)
	}
	return part.Stop(id, code, rec.Offset, why)
}

// unroutedCode distinguishes a record for which no stream is left from one that no rule matches.
func unroutedCode(err error) reason.Code {
	if errors.Is(err, route.ErrTooManyStreams) {
		return reason.TooManyStreams
	}
	return reason.Unrouted
}

// foreign judges a record that may be a pack: it returns the reason to stop at a pack of this group, and counts one of
// somebody else.
func (s *Splitter) foreign(rec *kgo.Record) *reason.Reason {
	switch route.WhosePack(rec.Value, s.Origin) {
	case route.OwnPack:
		return route.Looped(part.ID{Topic: rec.Topic, Num: rec.Partition}, rec.Offset, rec.Value)
	case route.ForeignPack:
		s.taken.Packs++
	case route.NoPack:
	}
	return nil
}
