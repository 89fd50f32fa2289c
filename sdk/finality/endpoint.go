package finality

import (
	"time"

	"inlong-bridge/sdk/backoff"
)

// endpoint is one proxy.
type endpoint struct {
	id     Endpoint
	listed bool // added and not removed
	living int  // connections

	// Settle: connections in a row that ended before anything settled, though packs had been written.
	unsettled int
	pause     pause

	// proxy_rate as a token bucket: bytes that may be sent now, as of filledAt. It may go below zero by
	// one pack.
	bucket   int64
	filledAt time.Duration
	filled   bool

	// Queue. Orders are those of Written.
	seenOrder uint64        // the latest pack sent through this proxy that was seen
	seenAt    time.Duration // on the queue clock
	zombie    bool          // half-open: one pack per growing pause
	overdue   bool          // the zombie rule applies; a barrier is wanted
	overdueAt time.Duration // since then
	openOrder uint64        // packs written after this one may prove a zombie alive
}

// unsettledEnds is how many connections in a row may end before anything settled.
const unsettledEnds = 5

// pause is the growing pause of whatever is tried again.
type pause struct {
	last  time.Duration // the last pause; 0 before the first
	until time.Duration // no try before
}

// grow begins the next pause at now: twice the last one, within the configured bounds.
func (p *pause) grow(now time.Duration, cfg *Config) {
	p.last = cfg.pauses().Next(p.last)
	p.until = now + p.last
}

// pauses are those of everything that is tried again with growing pauses.
func (c *Config) pauses() backoff.Backoff { return backoff.Backoff{Min: c.PauseMin, Max: c.PauseMax} }

func (p *pause) reset() { *p = pause{} }

// AddEndpoint says that the proxy is in use; rules count those that are.
func (m *Machine) AddEndpoint(ep Endpoint, _ time.Duration) { m.endpoint(ep).listed = true }

// RemoveEndpoint says that the proxy is not in use any more. What was sent through it lives on.
func (m *Machine) RemoveEndpoint(ep Endpoint, _ time.Duration) { m.endpoint(ep).listed = false }

func (m *Machine) endpoint(id Endpoint) *endpoint {
	e := m.endpoints[id]
	if e == nil {
		e = &endpoint{id: id}
		m.endpoints[id] = e
	}
	return e
}

// listedEndpoints is the number of proxies there are.
func (m *Machine) listedEndpoints() int {
	n := 0
	for _, e := range m.endpoints {
		if e.listed {
			n++
		}
	}
	return n
}

func (e *endpoint) admits(now time.Duration) Refusal {
	if now >= e.pause.until {
		return OK
	}
	if e.zombie {
		return EndpointZombie
	}
	return EndpointPaused
}

// connEnded counts connections that end before anything settles (Settle): a load balancer that
// cuts connections, say, would turn every settle interval into duplicates.
func (e *endpoint) connEnded(c *conn, now time.Duration, cfg *Config) {
	if !c.used || c.settled || c.blamed {
		return
	}
	e.unsettled++
	if e.unsettled >= unsettledEnds {
		e.pause.grow(now, cfg)
	}
}

// settled says that something of the proxy settled.
func (e *endpoint) settled() {
	e.unsettled = 0
	e.pause.reset()
}

// burst is how many bytes may be sent at once after a quiet time: a quarter of a second's worth.
func burst(rate int64) int64 { return max(rate/4, 1) }

// tokens is how many bytes proxy_rate allows now.
func (e *endpoint) tokens(rate int64, now time.Duration) int64 {
	if !e.filled {
		return burst(rate)
	}
	return min(e.bucket+int64(float64(rate)*(now-e.filledAt).Seconds()), burst(rate))
}

func (e *endpoint) spend(bytes, rate int64, now time.Duration) {
	if rate <= 0 {
		return
	}
	e.bucket, e.filledAt, e.filled = e.tokens(rate, now)-bytes, now, true
}

// stream is one (group, stream) pair.
type stream struct {
	id        Stream
	packs     int32 // known of it, in any state
	stalled   bool
	seen      bool               // Queue: a pack of it was seen: its slow start is over
	acked     bool               // Queue: a pack of it was acked, the first one at ackedAt
	missing   bool               // Queue: its topic is missing in every queue cluster
	overtaken map[*endpoint]bool // proxies through which a pack of it was overtaken since one was seen
	pause     pause

	// Queue; see slowstart.go. Times are on the queue clock.
	open        share   // what is open
	starting    []*pack // the same, until one was seen
	ackedAt     time.Duration
	nextGiveUp  time.Duration // in slow start no pack is given up before
	giveUpPause time.Duration // the last pause before nextGiveUp
	missingAt   time.Duration // since when it is missing
}

func (m *Machine) stream(id Stream) *stream {
	s := m.streams[id]
	if s == nil {
		s = &stream{id: id}
		m.streams[id] = s
	}
	return s
}

func (s *stream) admits(now time.Duration) Refusal {
	if s != nil && s.stalled && now < s.pause.until {
		return StreamStalled
	}
	return OK
}

// ForgetStream forgets a stream, and reports whether that could be: not while any pack of it is known, or it stalls. Under
// another number it may come again, and starts anew.
func (m *Machine) ForgetStream(id Stream) bool {
	s := m.streams[id]
	if s == nil {
		return true
	}
	if s.packs > 0 || s.stalled {
		return false
	}
	delete(m.streams, id)
	return true
}

// Streams is how many streams are known.
func (m *Machine) Streams() int { return len(m.streams) }

// tried begins the next pause of whatever this pack was the trial of.
func (m *Machine) tried(ep *endpoint, s *stream, now time.Duration) {
	if ep.zombie {
		ep.pause.grow(now, &m.cfg)
	}
	if s.stalled {
		s.pause.grow(now, &m.cfg)
	}
}

// EndpointState is a snapshot for status and metrics.
type EndpointState struct {
	InFlight, Acked           int           // packs
	InFlightBytes, AckedBytes int64         // on the wire
	OldestUnfinal             time.Duration // age, 0 if none
	Reason                    Refusal       // why it gets nothing or little, if so
	Window                    int64         // bytes that may be in flight (Queue: or acked) on its connections together
}

// Endpoint returns a snapshot of one proxy.
func (m *Machine) Endpoint(id Endpoint, now time.Duration) EndpointState {
	var st EndpointState
	e := m.endpoints[id]
	if e == nil {
		return st
	}
	for _, c := range m.living {
		if c.ep != e {
			continue
		}
		st.InFlight += c.inFlight.Len()
		st.Acked += c.acked.Len() + c.apart.Len()
		st.InFlightBytes += c.inFlight.bytes
		st.AckedBytes += c.acked.bytes + c.apart.bytes
		for _, p := range [...]*pack{c.inFlight.Front(), c.acked.Front(), c.apart.Front()} {
			if p != nil {
				st.OldestUnfinal = max(st.OldestUnfinal, now-p.sentAt)
			}
		}
		if m.cfg.Mode == Settle {
			st.Window += c.allowed
			if c.inFlight.Len() > 0 && c.inFlight.bytes >= c.allowed {
				st.Reason = InFlightFull
			}
		} else {
			st.Window += m.cfg.WindowBytes
			if m.cfg.Mode == Queue && (c.window.bytes >= m.cfg.WindowBytes || c.window.packs >= m.cfg.WindowPacks) {
				st.Reason = WindowFull
			}
		}
	}
	// As long as packs wait, what is left is less than a tick brings.
	if st.Reason == OK && m.cfg.Rate > 0 && e.tokens(m.cfg.Rate, now) <= burst(m.cfg.Rate)/2 {
		st.Reason = RateReached
	}
	if e.zombie {
		st.Reason = EndpointZombie
	} else if r := e.admits(now); r != OK {
		st.Reason = r
	}
	return st
}

// Stalled says why the stream gets nothing or little, if so.
func (m *Machine) Stalled(id Stream, _ time.Duration) Refusal {
	if s := m.streams[id]; s != nil && s.stalled {
		return StreamStalled
	}
	return OK
}
