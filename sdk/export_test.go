package sdk

// Lent is how many buffers the sender holds; 0 after Close.
func Lent(s *Sender) int64 { return s.bufs.Lent() }

// SetSeq makes the next pack the one after seq.
func SetSeq(s *Sender, seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq = seq
}
