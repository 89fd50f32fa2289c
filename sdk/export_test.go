package sdk

import (
	"context"

	"inlong-bridge/sdk/manager"
)

// ListerFunc stands for a Manager.
type ListerFunc func(ctx context.Context, group string) (manager.Nodes, error)

func (f ListerFunc) NodeList(ctx context.Context, group string) (manager.Nodes, error) {
	return f(ctx, group)
}

// WithLister is WithManager with a function.
func WithLister(f ListerFunc) Option { return optionFunc(func(o *options) { o.manager = f }) }

// Lent is how many buffers the sender holds; 0 after Close.
func Lent(s *Sender) int64 { return s.bufs.Lent() }

// Counted is the bytes that the sender counts anywhere; 0 after Close.
func Counted(s *Sender) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.budget.Used() + s.enc.Backlog().Bytes()
	for _, st := range s.streamList {
		n += st.held.Load() + st.ahead.Bytes() + st.wire.Waiting()
	}
	return n
}

// SetSeq makes the next pack the one after seq.
func SetSeq(s *Sender, seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.e.SetLastSeq(seq)
}

// KnownPacks is how many packs the sender keeps any account of.
func KnownPacks(s *Sender) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.e.Known()
}

// Seq is the number of the last pack.
func Seq(s *Sender) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.e.LastSeq()
}

// MachineStreams is how many streams the state machine knows.
func MachineStreams(s *Sender) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.e.ConfirmStreams()
}
