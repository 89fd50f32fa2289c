package sdk

import (
	"errors"

	"inlong-bridge/sdk/frame"
)

// streamCost is what a stream takes from the byte budget for as long as it is known: what BenchmarkIdleStream finds for a
// stream that has sent and is idle, rounded up. Its ids are at most maxID bytes each and are counted beside it.
const streamCost = 1 << 10

// bytes of the budget that the stream takes by being known.
func (s *Stream) bytes() int64 { return streamCost + int64(3*len(s.text)) } // the text, the attributes, and the ids

// ErrForgotten says that a stream was forgotten with ForgetStream. Ask Sender.Stream for it again.
var ErrForgotten = errors.New("the stream was forgotten; get it again from Sender.Stream")

// ErrTooManyStreams says that one more stream would leave less room in the byte budget than two of the largest frames need.
var ErrTooManyStreams = errors.New("the streams take too much of the byte budget; forget idle ones with ForgetStream, or raise WithBudget")

// Unwatcher is a Confirmer that can be told that a stream is not needed any more.
type Unwatcher interface {
	// Unwatch ends what Watch began. No pack of the stream is waited for. It is called without a lock; until it has
	// returned, Watch is not called for a stream of the same name.
	Unwatch(group, stream string)
}

// openings is what is kept of streams and groups that come and go. Guarded by Sender.mu.
type openings struct {
	streams        int32        // that were opened; their numbers are never given twice
	groups         int          // the same
	own, ownGroups int          // that have numbers of their own in metrics
	forgotten      uint64       // streams
	gone           StreamStatus // what forgotten streams counted that had no numbers of their own
	goneGroups     GroupStatus
	leaving        map[streamKey]chan struct{} // forgotten, and about to be unwatched; closed when that is done
}

// ForgetStream forgets an idle stream: its numbers, its queue at the Confirmer if that is an Unwatcher, and when it was the
// last one of its group, the group's proxies, unless AddGroup prepared the group. It returns false, and changes nothing,
// while the stream has a pack in any state, a lost or held one that is remembered included, or stalls, or its queue is
// about to be watched.
//
// A stream that was forgotten takes nothing more: every call returns ErrForgotten. Asked for again it starts anew, also in
// the metrics: its counters begin at 0, which is a restart to whoever reads them, as that of a process is. What streams
// beyond WithMetricStreams have counted stays in the sum of those.
func (s *Sender) ForgetStream(st *Stream) bool {
	if st == nil || st.s != s {
		return false
	}
	st.mu.Lock()
	s.mu.Lock()
	if st.forgotten || !s.forgettableLocked(st) {
		forgotten := st.forgotten
		s.mu.Unlock()
		st.mu.Unlock()
		return forgotten
	}
	st.forgotten = true
	unwatched := s.forgetStreamLocked(st)
	todo := s.progressLocked()
	s.mu.Unlock()
	st.mu.Unlock()
	todo.perform()
	if unwatched != nil {
		// 1. the stream is forgotten  2. it is opened again, and watched  3. only now the reader hears that it is not
		// needed: what is sent would never be seen. So it is not watched before this is done.
		s.o.confirmer.(Unwatcher).Unwatch(st.Group(), st.Name())
		s.mu.Lock()
		delete(s.openings.leaving, streamKey{st.Group(), st.Name()})
		s.mu.Unlock()
		close(unwatched)
	}
	return true
}

// forgettableLocked reports whether nothing of the stream is left. Under st.mu and mu.
func (s *Sender) forgettableLocked(st *Stream) bool {
	if st.open.len() > 0 || st.watch == watching || s.end.closing.Load() {
		return false
	}
	code, _ := s.stallLocked(st, s.now())
	return code == StreamOK && s.e.ForgetStream(&st.life)
}

// forgetStreamLocked takes a stream out of every table. It returns what is to be closed when its queue is not watched any
// more, nil if it never was. Under st.mu and mu.
func (s *Sender) forgetStreamLocked(st *Stream) (unwatched chan struct{}) {
	key := streamKey{st.Group(), st.Name()}
	delete(s.streams, key)
	last := s.streamList[len(s.streamList)-1]
	s.streamList[st.life.Ref], last.life.Ref = last, st.life.Ref
	s.streamList[len(s.streamList)-1] = nil
	s.streamList = s.streamList[:len(s.streamList)-1]
	s.budget.Fix(-st.bytes())
	s.openings.forgotten++
	if !st.folded {
		s.openings.own--
	}
	if folded(st.folded, st.Group(), st.Name()) {
		var sum StreamStatus
		st.takenLocked(&sum)
		s.streamStatusLocked(st, &sum, s.now())
		sum.Compressing = false
		s.openings.gone.add(&sum)
		s.openings.gone.Folded = true
	}
	if g := s.proxies.groups[st.Group()]; g != nil {
		if g.streams--; g.streams == 0 && !g.prepared {
			s.forgetGroupLocked(g)
		}
	}
	if _, ok := s.o.confirmer.(Unwatcher); ok && st.watch == watched {
		unwatched = make(chan struct{})
		if s.openings.leaving == nil {
			s.openings.leaving = make(map[streamKey]chan struct{})
		}
		s.openings.leaving[key] = unwatched
	}
	return unwatched
}

// forgetGroupLocked ends the questions about a group and its part in the connections. Under mu.
func (s *Sender) forgetGroupLocked(g *group) {
	delete(s.proxies.groups, g.name)
	if !g.folded {
		s.openings.ownGroups--
	}
	if g.folded || g.name == other {
		s.openings.goneGroups.Failures += g.state.Failures
		s.openings.goneGroups.Folded = true
	}
	if g.end != nil {
		g.end()
	}
	g.list.addrs = nil
	s.e.DropList(&g.list.life, s.now())
}

// takenLocked fills in what is guarded by the stream's own lock. Under mu.
func (s *Stream) takenLocked(out *StreamStatus) {
	out.Records, out.RecordBytes, out.BufferFull, out.TooLarge = s.records, s.recordBytes, s.full, s.tooLarge
	out.PacksTrailFull = s.trailFull
}

// MaxRecord is how many bytes the longest record may have that fits into a frame with the attributes that packs of the
// stream have by default: as the configuration says (WithMaxFrame), or the Manager if that is less. What was refused
// with ErrTooLarge may be handed over again once it is large enough, when the Manager's limit was raised.
func (s *Stream) MaxRecord() int { return max(s.room(s.attrsOr(nil))-frame.ItemOverhead, 0) }
