package sdk

// Outcome is what became of a message or a piece.
type Outcome uint8

const (
	Acked     Outcome = iota + 1 // a proxy holds it in memory
	Final                        // safe, as WithFinality means it
	Lost                         // it was acked, its bytes are gone here, and it must be sent anew; Final may still follow for a piece
	Refused                      // given up permanently, by the proxies or as WithRetryLimit says; see the error
	Held                         // refused permanently, and kept and tried again: see WithRefusedRetry and the error
	Released                     // held no more: it is on its way as before
	TakenBack                    // refused permanently, and the Judge hands it over again; Final may still follow
)

func (o Outcome) String() string {
	switch o {
	case Acked:
		return "acked"
	case Final:
		return "final"
	case Lost:
		return "lost"
	case Refused:
		return "refused"
	case Held:
		return "held"
	case Released:
		return "released"
	case TakenBack:
		return "taken back"
	}
	return "none"
}

// Result is given to a callback. Outcome is 0 when the sender was closed before there was one; Err is
// ErrClosed then.
type Result struct {
	Outcome  Outcome
	Endpoint string // host:port of the proxy
	Err      error  // *AckError, *PoisonError or *RetryError for Refused and TakenBack; ErrClosed when the sender was closed before an answer
	Sends    int    // Refused and TakenBack: how many times the last pack with it was sent
	Meta     any    // of the Message; nil for pieces of batches, which have names
}

// Token is told what becomes of the pieces of batches. Its methods are called from the sender's
// dispatcher, one at a time, never under a lock, in the order things happened, never after Close
// returned. They must be quick and may not wait for the sender: while more than WithBacklog pieces wait
// for such calls, nothing new is taken.
type Token interface {
	// Settled says what became of a piece; for each piece any of: Acked, then Final or Lost (and
	// Final after Lost); Final without Acked; Refused; TakenBack as a Judge wants, and Final after it. Before any of these, with WithRefusedRetry: Held and Released,
	// in turn and any number of times. Each Held is followed by Released, or by Refused with ErrClosed and the
	// refusal in its error when the sender is closed, or by nothing when Forgotten was answered with true.
	Settled(piece uint64, r Result)
	// Forgotten is asked about lost, held and taken back pieces: true when no news of the piece is needed any more. A held pack
	// all of whose pieces are forgotten is not sent.
	Forgotten(piece uint64) bool
}

// piece is what a pack holds of one batch: whom to tell, and by which name.
type piece struct {
	token    Token
	id       uint64
	from, to uint16 // its records, by their index in the pack
}

// callbacks is the token of a single message that is told of its ack too, or that gets its Meta back.
type callbacks struct {
	acked, done func(Result)
	meta        any
	told        bool // done was called
}

func (c *callbacks) Settled(_ uint64, r Result) {
	r.Meta = c.meta
	switch {
	case r.Outcome == Acked:
		if c.acked != nil {
			c.acked(r)
		}
	case r.Outcome == Held, r.Outcome == Released: // what comes of it in the end is told
	case !c.told:
		c.told = true // before the call, which may panic
		if c.done != nil {
			c.done(r)
		}
	}
}

func (c *callbacks) Forgotten(uint64) bool { return true }
