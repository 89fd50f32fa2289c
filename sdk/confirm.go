package sdk

import (
	"context"
	mathrand "math/rand/v2"
	"time"
)

// Confirmer is what the sender asks of the reader of the queue behind the proxies.
type Confirmer interface {
	// Watch fixes the positions from which the stream's queue is read; no pack of the stream goes out
	// before it returned nil. Called once per stream, again after an error, and after the stream was forgotten; see
	// Unwatcher.
	Watch(ctx context.Context, group, stream string) error
	// Barrier returns nil once everything that lay in any queue cluster when it was called has been
	// reported to Sender.Seen.
	Barrier(ctx context.Context) error
}

// watchState says whether the queue of a stream is read.
type watchState uint8

const (
	unwatched watchState = iota
	watching             // Watch is being asked
	watched
)

// barrierTimeout bounds one barrier. One that is given up costs nothing but the time until the next.
const barrierTimeout = time.Minute

// watchStreamLocked begins to watch a stream of which a pack is waiting (Queue). Under mu.
func (s *Sender) watchStreamLocked(st *Stream) {
	if s.o.confirmer == nil || st.watch != unwatched || s.end.stopped {
		return
	}
	st.watch = watching
	left := s.openings.leaving[streamKey{st.Group(), st.Name()}]
	s.wg.Go(func() {
		if left != nil {
			<-left // see ForgetStream
		}
		s.watchLoop(st)
	})
}

// watchLoop ends when the stream is watched or the sender stops.
func (s *Sender) watchLoop(st *Stream) {
	wait := s.o.backoff()
	for tries := 0; ; tries++ {
		err := s.o.confirmer.Watch(s.ctx, st.Group(), st.Name())
		s.mu.Lock()
		if st.watchErr = nil; err != nil {
			st.watchErr = &err
		} else {
			st.watch = watched
			s.e.Watched(&st.life)
			todo := s.progressLocked()
			s.mu.Unlock()
			todo.perform()
			return
		}
		s.mu.Unlock()
		if tries == 0 && s.ctx.Err() == nil {
			s.o.logger.Warn("watching the queue of a stream fails; nothing of it is sent", "stream", st.text, "err", err)
		}
		pause := time.NewTimer(wait.Pause(tries, mathrand.Float64()))
		select {
		case <-s.ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
	}
}

// beginBarrierLocked asks for a barrier on a goroutine of its own. Under mu.
func (s *Sender) beginBarrierLocked(begun time.Duration) {
	if s.end.stopped {
		return
	}
	s.wg.Go(func() {
		ctx, cancel := context.WithTimeout(s.ctx, barrierTimeout)
		defer cancel()
		err := s.o.confirmer.Barrier(ctx)
		s.mu.Lock()
		if err != nil {
			s.e.BarrierFailed(s.now())
		} else {
			s.e.BarrierPassed(begun, s.now())
		}
		s.noteBarrierLocked(err)
		todo := s.progressLocked()
		s.mu.Unlock()
		todo.perform()
	})
}

// noteBarrierLocked logs when barriers begin to fail and when they pass again. Under mu.
func (s *Sender) noteBarrierLocked(err error) {
	switch {
	case err != nil && s.barrierErr == nil && !s.end.stopped:
		s.o.logger.Warn("barrier over the queue fails; no pack is given up meanwhile", "err", err)
	case err == nil && s.barrierErr != nil:
		s.o.logger.Info("barrier over the queue passed again")
	}
	s.barrierErr = err
}

// Seen says that packs of this instance were seen in the queue; see Confirmer.
func (s *Sender) Seen(seqs []uint64) {
	s.mu.Lock()
	now := s.now()
	for _, seq := range seqs {
		s.e.Seen(seq, now)
	}
	todo := s.progressLocked()
	s.mu.Unlock()
	todo.perform()
}

// TopicMissing says whether the topic of a stream is known to be missing in every queue cluster. It starts as
// false. While it is missing the stream's packs are not given up for being unseen.
func (s *Sender) TopicMissing(group, stream string, missing bool) {
	s.mu.Lock()
	key := streamKey{group, stream}
	if st := s.streams[key]; st != nil && s.openings.leaving[key] == nil { // else it is said of the one that was forgotten
		s.e.TopicMissing(&st.life, missing, s.now())
	}
	todo := s.progressLocked()
	s.mu.Unlock()
	todo.perform()
}

// RepairsUnseen is how many packs with records that were lost before have been sent, or are about to be, and were
// not seen. A reader of the queue asks before it passes over something that may hold them.
func (s *Sender) RepairsUnseen() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	repairs := s.e.Repairs()
	return repairs.Pending()
}

// QueueAnswers says whether every queue cluster answers.
func (s *Sender) QueueAnswers(ok bool) {
	s.mu.Lock()
	s.e.QueueAnswers(ok, s.now())
	todo := s.progressLocked()
	s.mu.Unlock()
	todo.perform()
}
