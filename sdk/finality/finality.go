// Package finality decides what becomes of a pack after it was written: when it is final, when it is
// lost, and where the next one may go. It is a pure state machine: events with their time go in,
// decisions come out; it has no clock, does no I/O and takes no lock.
package finality

import "time"

// Mode is how an acked pack becomes final (delivery.confirm).
type Mode uint8

const (
	Ack    Mode = iota // at its ack
	Settle             // when its connection has lived on in health for Config.Settle
	Queue              // when it was seen in the queue behind the proxy
)

// Names given by the caller. Times are monotonic, from any origin.
type (
	Pack        uint64 // sequence number of a pack, the second half of its mid
	Incarnation uint64 // one connection's life; never reused
	Endpoint    int32  // a proxy
	Stream      int32  // a (group, stream) pair
)

// Config holds the durations and limits; see DefaultConfig.
type Config struct {
	Mode        Mode
	Settle      time.Duration // healthy life after the ack that makes a pack final
	Timely      time.Duration // an answer within this time of what it answers is timely
	ClockGap    time.Duration // two timely answers further apart do not move the clock
	SlowAck     time.Duration // an ack that takes longer shrinks the bytes allowed in flight
	AckTimeout  time.Duration // an answer later than this ends the connection
	IdleBeat    time.Duration // heartbeat interval without acked packs
	BusyBeat    time.Duration // heartbeat interval with acked packs (Settle)
	LossGrace   time.Duration // Queue: an ended incarnation's packs are waited for this long
	Patience    time.Duration // Queue: a living incarnation's packs are waited for this long
	WindowPacks int           // per incarnation: packs in flight or acked but not final
	WindowBytes int64         // per incarnation, the same in bytes on the wire
	Rate        int64         // per endpoint, bytes on the wire per second, 0 for none
	PauseMin    time.Duration // first pause of everything that is tried again with growing pauses
	PauseMax    time.Duration // and the longest
}

func DefaultConfig(m Mode) Config {
	return Config{
		Mode: m, Settle: 10 * time.Second, Timely: 2 * time.Second, ClockGap: 3 * time.Second,
		SlowAck: 500 * time.Millisecond, AckTimeout: 15 * time.Second, IdleBeat: 30 * time.Second,
		BusyBeat: time.Second, LossGrace: 10 * time.Second, Patience: time.Minute,
		WindowPacks: 4096, WindowBytes: 96 << 20, PauseMin: time.Second, PauseMax: 5 * time.Minute,
	}
}

// Kind of a decision.
type Kind uint8

const (
	Resend    Kind = iota // Pack was in flight and is waiting again; send its bytes elsewhere first
	Final                 // Pack is safe; it may be waiting, in flight, acked or lost
	Lost                  // Pack was acked and must be read again from its source
	Close                 // end Incarnation (an answer did not come in AckTimeout)
	Heartbeat             // send a heartbeat on Incarnation
	Barrier               // begin a barrier over all queue clusters; tell BarrierPassed when it is passed
)

// Decision is what the caller must do now.
type Decision struct {
	Kind        Kind
	Pack        Pack
	Incarnation Incarnation
	Reason      string // constant text for logs and status
	Suspect     bool   // Resend: the oldest unanswered pack of a broken connection; it travels alone first
}

// Refusal says why a pack may not go somewhere now. The zero value means it may.
type Refusal string

const (
	OK              Refusal = ""
	WindowFull      Refusal = "window full"                  // of that incarnation
	ShareFull       Refusal = "stream's share of the window" // one stream may take as much as is free
	InFlightFull    Refusal = "slow acks"                    // Settle: bytes in flight shrunk
	RateReached     Refusal = "proxy_rate"                   //
	EndpointPaused  Refusal = "proxy left alone"             // connections end before anything settles; or half-open
	StreamStalled   Refusal = "stream's packs vanish"        // overtaken on three proxies
	IncarnationGone Refusal = "connection ended"
)

// Machine is the state of all packs of one sender.
type Machine struct{}

func New(cfg Config) *Machine { return &Machine{} }

// AddEndpoint and RemoveEndpoint say which proxies there are (rules count them).
func (m *Machine) AddEndpoint(ep Endpoint, now time.Duration)    {}
func (m *Machine) RemoveEndpoint(ep Endpoint, now time.Duration) {}

// Opened begins an incarnation; Ended ends it, for whatever reason.
func (m *Machine) Opened(inc Incarnation, ep Endpoint, now time.Duration) {}
func (m *Machine) Ended(inc Incarnation, now time.Duration)               {}

// Admit says whether a pack of bytes on the wire of this stream may be written to inc now. It changes nothing.
func (m *Machine) Admit(inc Incarnation, s Stream, bytes int, now time.Duration) Refusal { return OK }

// Written says that a pack was handed to inc: it is in flight from here. Call it before its first byte is
// written. A pack that was waiting after Resend is written again under the same name.
func (m *Machine) Written(p Pack, s Stream, inc Incarnation, bytes int, now time.Duration) {}

// Acked says that inc acked the pack without an error code. It is ignored unless the pack is in flight there.
func (m *Machine) Acked(p Pack, inc Incarnation, now time.Duration) {}

// Refused says that inc answered the pack with an error code: it is waiting again (no Resend comes).
// full says that the code was 114.
func (m *Machine) Refused(p Pack, inc Incarnation, full bool, now time.Duration) {}

// Drop forgets a waiting pack that the caller gives up for good.
func (m *Machine) Drop(p Pack, now time.Duration) {}

// Beat says that a heartbeat was written on inc, Answered that its answer came.
func (m *Machine) Beat(inc Incarnation, now time.Duration)     {}
func (m *Machine) Answered(inc Incarnation, now time.Duration) {}

// Seen says that the pack was seen in the queue (Queue).
func (m *Machine) Seen(p Pack, now time.Duration) {}

// QueueAnswers says whether every queue cluster answers. It starts as false.
func (m *Machine) QueueAnswers(ok bool, now time.Duration) {}

// BarrierPassed says that a barrier begun at that time was passed; BarrierFailed that it was given up.
func (m *Machine) BarrierPassed(begun, now time.Duration) {}
func (m *Machine) BarrierFailed(now time.Duration)        {}

// Forget drops a lost pack: nobody needs to know any more whether it is seen after all.
func (m *Machine) Forget(p Pack) {}

// Tick lets time pass. Call it at least every 100 ms.
func (m *Machine) Tick(now time.Duration) {}

// Decisions appends what is to be done since the last call to dst, in order.
func (m *Machine) Decisions(dst []Decision) []Decision { return dst }

// EndpointState is a snapshot for status and metrics.
type EndpointState struct {
	InFlight, Acked           int           // packs
	InFlightBytes, AckedBytes int64         // on the wire
	OldestUnfinal             time.Duration // age, 0 if none
	Reason                    Refusal       // why it gets nothing or little, if so
	Window                    int64         // bytes allowed in flight on its connections together
}

func (m *Machine) Endpoint(ep Endpoint, now time.Duration) EndpointState { return EndpointState{} }

// Stalled says why the stream gets nothing, if so.
func (m *Machine) Stalled(s Stream, now time.Duration) Refusal { return OK }

// Open is the number of packs that are in flight, waiting again, or acked and not final; lost the
// number of lost packs not forgotten.
func (m *Machine) Open() (open, lost int) { return 0, 0 }
