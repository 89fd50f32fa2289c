// Package sdk sends records to InLong through DataProxy's TCP protocol.
package sdk

import (
	"context"
	"errors"
	"time"
)

// Stream is a (group, stream) pair that was checked once; get it from Sender.Stream.
type Stream struct{}

// Group and Name are the ids; String is "group.stream".
func (s *Stream) Group() string  { return "" }
func (s *Stream) Name() string   { return "" }
func (s *Stream) String() string { return "" }

// Message is one record.
type Message struct {
	Stream  *Stream
	Time    time.Time // event time
	Payload []byte    // not kept once the call returns
}

// Outcome is what became of a message or a piece.
type Outcome uint8

const (
	Acked   Outcome = iota + 1 // a proxy holds it in memory
	Final                      // safe, as confirm mode means it
	Lost                       // it was acked, its bytes are gone here, and it must be sent anew; Final may still follow for a piece
	Refused                    // refused for good by the proxies; see the error
)

// Result is given to a callback.
type Result struct {
	Outcome  Outcome
	Endpoint string // host:port of the proxy
	Err      error  // *AckError for Refused; ErrClosed when the sender was closed before an answer
}

// Token is told what becomes of the pieces of batches. Its methods are called from the sender's
// dispatcher, one at a time, never under a lock, in the order things happened, never after Close
// returned. They must be quick and may not wait for the sender.
type Token interface {
	// Settled says what became of a piece; for each piece any of: Acked, then Final or Lost (and
	// Final after Lost); Final without Acked; Refused.
	Settled(piece uint64, r Result)
	// Forgotten is asked about lost pieces: true when no news of the piece is needed any more.
	Forgotten(piece uint64) bool
}

// Batch is many records of one stream and one event-time minute that are handed over in one call.
type Batch struct {
	Stream   *Stream
	Time     time.Time // of all records; a pack holds one minute
	Payloads [][]byte  // not kept once the call returns
	Token    Token
	// Packed names a piece: payloads [from, to) of this batch went into one pack. It is called on the
	// caller's goroutine, without locks of the sender that Token could wait for, before anything of
	// that pack can be reported.
	Packed func(from, to int) (piece uint64)
	Repair bool // records that were lost: they use the reserve of the budget and go before others
}

// Errors callers branch on.
var (
	ErrClosed     = errors.New("sender is closed")
	ErrBufferFull = errors.New("no room for the record in the byte budget")
	ErrStreamFull = errors.New("stream holds as many waiting bytes as are free")
	ErrTooLarge   = errors.New("record does not fit into a frame")
)

// Confirmer is what the sender asks of the reader of the queue behind the proxies.
type Confirmer interface {
	// Watch fixes the positions from which the stream's queue is read; no pack of the stream goes out
	// before it returned nil. Called once per stream, again after an error.
	Watch(ctx context.Context, group, stream string) error
	// Barrier returns nil once everything that lay in any queue cluster when it was called has been
	// reported to Sender.Seen.
	Barrier(ctx context.Context) error
}

// Sender is safe for concurrent use.
type Sender struct{}

// Option is given to New.
type Option interface{ apply(*options) }

type options struct{}

// New checks the options together and starts the sender; ctx bounds the start only.
func New(ctx context.Context, opts ...Option) (*Sender, error) { return nil, errors.ErrUnsupported }

// NewInstance returns a fresh name for a sender: 128 random bits, 22 characters.
func NewInstance() string { return "" }

// Stream checks the ids and returns their handle; the same ids give the same handle.
func (s *Sender) Stream(group, stream string) (*Stream, error) { return nil, errors.ErrUnsupported }

// Send hands over a message and waits until it is final, lost or refused.
func (s *Sender) Send(ctx context.Context, m Message) error { return errors.ErrUnsupported }

// SendAsync waits for room, hands the message over and returns; done is called once, with Final, Lost or Refused.
func (s *Sender) SendAsync(ctx context.Context, m Message, done func(Result)) error {
	return errors.ErrUnsupported
}

// SendBatch waits for room and hands over all records. n is how many were taken when err is not nil.
func (s *Sender) SendBatch(ctx context.Context, b *Batch) (n int, err error) {
	return 0, errors.ErrUnsupported
}

// TrySendBatch never waits. It takes the first n records; err says why not the rest:
// ErrBufferFull, ErrStreamFull, ErrTooLarge (record n itself), ErrClosed.
func (s *Sender) TrySendBatch(b *Batch) (n int, err error) { return 0, errors.ErrUnsupported }

// Room receives a value when there may be room again after ErrBufferFull or ErrStreamFull.
func (s *Sender) Room() <-chan struct{} { return nil }

// Seal closes all open packs now instead of at their linger.
func (s *Sender) Seal() {}

// Seen says that packs of this instance were seen in the queue; see Confirmer.
func (s *Sender) Seen(seqs []uint64) {}

// QueueAnswers says whether every queue cluster answers.
func (s *Sender) QueueAnswers(ok bool) {}

// Close flushes, waits until every message has its verdict or ctx ends, and says what was left.
func (s *Sender) Close(ctx context.Context) error { return nil }

// Status is a snapshot for status pages and metrics.
type Status struct {
	Instance     string           `json:"instance"`
	Confirm      string           `json:"confirm"`
	BudgetBytes  int64            `json:"budget_bytes"`
	UsedBytes    int64            `json:"used_bytes"`
	OpenPacks    int              `json:"open_packs"`    // still being filled
	WaitingPacks int              `json:"waiting_packs"` // sealed, not in flight
	UnfinalPacks int              `json:"unfinal_packs"` // in flight or acked, not final
	LostPacks    int              `json:"lost_packs"`    // lost, still known
	Endpoints    []EndpointStatus `json:"endpoints"`
	Streams      []StreamStatus   `json:"streams"`
	Discovery    DiscoveryStatus  `json:"discovery"`
}

// EndpointStatus speaks of one proxy. Counters run since the start.
type EndpointStatus struct {
	Address           string         `json:"address"`
	State             string         `json:"state"` // connected, connecting, paused, draining
	Reason            string         `json:"reason,omitempty"`
	Connections       int            `json:"connections"`
	InFlightPacks     int            `json:"in_flight_packs"`
	InFlightBytes     int64          `json:"in_flight_bytes"`
	AckedPacks        int            `json:"acked_packs"` // acked, not final
	AckedBytes        int64          `json:"acked_bytes"`
	WindowBytes       int64          `json:"window_bytes"`
	OldestUnfinal     time.Duration  `json:"oldest_unfinal_ns"`
	LastError         string         `json:"last_error,omitempty"`
	LastErrorTime     time.Time      `json:"last_error_time,omitzero"`
	PacksAcked        uint64         `json:"packs_acked_total"`
	BytesSent         uint64         `json:"bytes_sent_total"`
	Reconnects        uint64         `json:"reconnects_total"`
	IncarnationsEnded uint64         `json:"incarnations_ended_total"`
	AckErrors         map[int]uint64 `json:"ack_errors_total,omitempty"` // by errCode
}

// StreamStatus speaks of one (group, stream) pair. Counters run since the start.
type StreamStatus struct {
	Group           string `json:"group"`
	Stream          string `json:"stream"`
	HeldBytes       int64  `json:"held_bytes"`      // not acked yet
	Stall           string `json:"stall,omitempty"` // why it makes no progress
	Records         uint64 `json:"records_total"`
	RecordBytes     uint64 `json:"record_bytes_total"`
	Packs           uint64 `json:"packs_total"`
	WireBytes       uint64 `json:"wire_bytes_total"`
	PacksAcked      uint64 `json:"packs_acked_total"`
	PacksFinal      uint64 `json:"packs_final_total"`
	PacksLost       uint64 `json:"packs_lost_total"`
	PacksResent     uint64 `json:"packs_resent_total"`
	PacksDuplicated uint64 `json:"packs_duplicated_total"` // known second copies: seen after a resend or a loss
	PacksRefused    uint64 `json:"packs_refused_total"`
}

// DiscoveryStatus says where the list of proxies comes from.
type DiscoveryStatus struct {
	Source    string    `json:"source"` // static, manager, file
	Updated   time.Time `json:"updated,omitzero"`
	Stale     bool      `json:"stale"`
	LastError string    `json:"last_error,omitempty"`
}

func (s *Sender) Status() Status { return Status{} }
