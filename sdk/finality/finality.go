package finality

import (
	"time"

	"inlong-bridge/sdk/internal/list"
)

// Mode is how an acked pack becomes final.
type Mode uint8

const (
	Ack    Mode = iota // at its ack
	Settle             // when its connection has lived on in health for Config.Settle
	Queue              // when it was seen in the queue behind the proxy
)

// String returns the mode's name in the configuration.
func (m Mode) String() string {
	switch m {
	case Ack:
		return "ack"
	case Settle:
		return "settle"
	case Queue:
		return "queue"
	}
	return "unknown"
}

// Names given by the caller. Times are monotonic, from any origin.
type (
	Pack      uint64 // sequence number of a pack, the second half of its mid
	ConnEpoch uint64 // one connection's life; never reused
	Endpoint  int32  // a proxy
	Stream    int32  // a (group, stream) pair
)

// Config holds the durations and limits; see DefaultConfig.
type Config struct {
	Mode        Mode
	Settle      time.Duration // healthy life after the ack that makes a pack final
	Timely      time.Duration // an answer within this time of what it answers is timely
	ClockGap    time.Duration // two timely answers further apart do not move the life clock
	SlowAck     time.Duration // an ack that takes longer shrinks the bytes allowed in flight
	AckTimeout  time.Duration // an answer later than this ends the connection
	IdleBeat    time.Duration // heartbeat interval without acked packs
	BusyBeat    time.Duration // heartbeat interval with acked packs (Settle)
	TrialPause  time.Duration // Settle: the longest pause after which a full proxy is tried again with a pack, if there is one
	LossGrace   time.Duration // Queue: an ended connection's packs are waited for this long
	Patience    time.Duration // Queue: a living connection's packs are waited for this long
	WindowPacks int           // per connection: packs in flight or acked but not final
	WindowBytes int64         // per connection, the same in bytes on the wire
	StartPacks  int           // Queue: packs open of a stream of which none was seen yet; one always may be
	StartBytes  int64         // Queue: the same in bytes on the wire
	Rate        int64         // per endpoint, bytes on the wire per second, 0 for none
	PauseMin    time.Duration // first pause of everything that is tried again with growing pauses
	PauseMax    time.Duration // and the longest
}

// DefaultConfig returns the shipped durations and limits. There is no rate limit among them.
func DefaultConfig(m Mode) Config {
	return Config{
		Mode: m, Settle: 10 * time.Second, Timely: 2 * time.Second, ClockGap: 3 * time.Second,
		SlowAck: 500 * time.Millisecond, AckTimeout: 15 * time.Second, IdleBeat: 30 * time.Second,
		BusyBeat: time.Second, TrialPause: 30 * time.Second, LossGrace: 10 * time.Second, Patience: time.Minute,
		WindowPacks: 4096, WindowBytes: 96 << 20, StartPacks: 4, StartBytes: 1 << 20,
		PauseMin: time.Second, PauseMax: 5 * time.Minute,
	}
}

// Kind of a decision.
type Kind uint8

const (
	Resend    Kind = iota // Pack was in flight and is waiting again; send its bytes, elsewhere first
	Final                 // Pack is safe; it may be waiting, in flight, acked or lost
	Lost                  // Pack was acked and must be read again from its source
	Close                 // end ConnEpoch: an answer did not come in AckTimeout
	Heartbeat             // send a heartbeat on ConnEpoch, and say so with Beat
	Barrier               // begin a barrier over all queue clusters; tell BarrierPassed or BarrierFailed
)

// Decision is what the caller must do now.
type Decision struct {
	Kind      Kind
	Pack      Pack
	ConnEpoch ConnEpoch
	Reason    string // constant text for logs and status
	Oldest    bool   // Resend: it was the oldest unanswered pack of its connection
}

// Refusal says why a pack may not go somewhere now. The zero value means it may.
type Refusal uint8

const (
	OK             Refusal = iota
	WindowFull             // Queue: the proxy holds as much unconfirmed data as it may
	ShareFull              // the stream holds its share of that
	InFlightFull           // Settle: acks are slow, so that less may be in flight
	RateReached            // Config.Rate
	EndpointPaused         // Settle: connections end before anything settles
	EndpointZombie         // Queue: nothing of the proxy is seen
	StreamStalled          // Queue: nothing of the stream is seen any more
	SlowStart              // Queue: nothing of the stream was seen yet
	ConnGone               // the connection ended
)

// String is the sentence for a person.
func (r Refusal) String() string {
	switch r {
	case OK:
		return ""
	case WindowFull:
		return "window full: the proxy holds as much unconfirmed data as it may"
	case ShareFull:
		return "the stream holds its share of the proxy's window"
	case InFlightFull:
		return "slow acks: the proxy gets less until they are timely again"
	case RateReached:
		return "the proxy's rate limit is reached"
	case EndpointPaused:
		return "connections end before anything settles; a longer idle time-out at the load balancer, a shorter settle time or mode queue would help"
	case EndpointZombie:
		return "nothing of this proxy is seen in the queue; it gets one pack per growing pause"
	case StreamStalled:
		return "the stream's packs are acked but do not reach the queue; it gets one pack per growing pause"
	case SlowStart:
		return "none of the stream's packs was seen in the queue yet; until one is, it gets a few at a time"
	case ConnGone:
		return "connection ended"
	}
	return "unknown"
}

// Machine is the state of all packs of one sender. Make it with New.
type Machine struct {
	cfg       Config
	packs     map[Pack]*pack
	conns     map[ConnEpoch]*conn
	living    []*conn // conns in the order they were opened, so that decisions never depend on map order
	endpoints map[Endpoint]*endpoint
	streams   map[Stream]*stream
	decisions []Decision
	order     uint64 // of the last Written; later packs have greater ones
	lost      int
	free      list.List[pack] // recycled pack records

	lastTick time.Duration
	ticked   bool
	thaw     time.Duration // when this process last woke from not running

	queue queueState
}

// New returns a machine without endpoints. The zero durations of cfg mean zero, not a default.
func New(cfg Config) *Machine {
	return &Machine{
		cfg:       cfg,
		packs:     make(map[Pack]*pack),
		conns:     make(map[ConnEpoch]*conn),
		endpoints: make(map[Endpoint]*endpoint),
		streams:   make(map[Stream]*stream),
	}
}

// Decisions appends what is to be done since the last call to dst, in order.
func (m *Machine) Decisions(dst []Decision) []Decision {
	dst = append(dst, m.decisions...)
	m.decisions = m.decisions[:0]
	return dst
}

func (m *Machine) decide(d Decision) { m.decisions = append(m.decisions, d) }

// Tick lets time pass. Call it at least every 100 ms.
func (m *Machine) Tick(now time.Duration) {
	if m.ticked && now-m.lastTick > m.cfg.ClockGap {
		m.thaw = now
	}
	m.lastTick, m.ticked = now, true
	for _, c := range m.living {
		m.tickConn(c, now)
	}
	if m.cfg.Mode == Queue {
		m.tickQueue(now)
	}
}

// Open is the number of packs that are in flight, waiting again, or acked and not final; lost the
// number of lost packs not forgotten.
func (m *Machine) Open() (open, lost int) { return len(m.packs) - m.lost, m.lost }
