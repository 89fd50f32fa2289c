package sdk

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"inlong-bridge/sdk/engine"
	"inlong-bridge/sdk/finality"
)

// Status is a snapshot for status pages and metrics.
type Status struct {
	Instance     string           `json:"instance"`
	Confirm      string           `json:"confirm"`
	BudgetBytes  int64            `json:"budget_bytes"`
	UsedBytes    int64            `json:"used_bytes"`              // of records
	StreamBytes  int64            `json:"stream_bytes"`            // of the budget, taken by streams that are known
	Forgotten    uint64           `json:"streams_forgotten_total"` // see ForgetStream
	OpenPacks    int              `json:"open_packs"`              // still being filled
	WaitingPacks int              `json:"waiting_packs"`           // sealed, not in flight
	UnfinalPacks int              `json:"unfinal_packs"`           // in flight or acked, not final
	HeldPacks    int              `json:"held_packs"`              // refused permanently, and kept; see WithRefusedRetry
	LostPacks    int              `json:"lost_packs"`              // lost, still known
	Endpoints    []EndpointStatus `json:"endpoints"`
	Streams      []StreamStatus   `json:"streams"`
	Discovery    DiscoveryStatus  `json:"discovery"`

	gone StreamStatus // what forgotten streams counted that had no numbers of their own
}

// EndpointStatus speaks of one proxy. Counters run since the start.
type EndpointStatus struct {
	Address          string         `json:"address"`          // host:port, and the address where the name has several: "dp:46801 (10.0.0.7)"
	Group            string         `json:"group,omitempty"`  // whose connections these are; empty where groups share them
	State            string         `json:"state"`            // connected, connecting, paused, draining
	Code             EndpointCode   `json:"code,omitempty"`   // why it gets nothing or little; see EndpointCodes
	Reason           string         `json:"reason,omitempty"` // the same as a sentence
	Connections      int            `json:"connections"`      // that take packs
	InFlightPacks    int            `json:"in_flight_packs"`
	InFlightBytes    int64          `json:"in_flight_bytes"`
	AckedPacks       int            `json:"acked_packs"` // acked, not final
	AckedBytes       int64          `json:"acked_bytes"`
	WindowBytes      int64          `json:"window_bytes"`
	OldestUnfinal    time.Duration  `json:"oldest_unfinal_ns"`
	LastError        string         `json:"last_error,omitempty"`
	LastErrorTime    time.Time      `json:"last_error_time,omitzero"`
	PacksAcked       uint64         `json:"packs_acked_total"`
	BytesSent        uint64         `json:"bytes_sent_total"`
	Reconnects       uint64         `json:"reconnects_total"`
	ConnectionsEnded uint64         `json:"incarnations_ended_total"`
	UnknownAcks      uint64         `json:"unknown_acks_total"` // answers to nothing that was in flight there
	PacksLost        uint64         `json:"packs_lost_total"`   // acked, and gone with the proxy
	RecordsLost      uint64         `json:"records_lost_total"`
	AckErrors        map[int]uint64 `json:"ack_errors_total,omitempty"` // by errCode
}

// StreamStatus speaks of one (group, stream) pair. Counters run since the start.
type StreamStatus struct {
	Group           string     `json:"group"`
	Stream          string     `json:"stream"`
	Folded          bool       `json:"folded,omitempty"`     // part of "other" in metrics; see WithMetricStreams
	HeldBytes       int64      `json:"held_bytes"`           // not acked yet
	UnfinalPacks    int        `json:"unfinal_packs"`        // in flight or acked, not final (queue)
	HeldPacks       int        `json:"held_packs"`           // refused permanently, and kept; see WithRefusedRetry
	StallCode       StreamCode `json:"stall_code,omitempty"` // why it makes no progress; see StreamCodes
	Stall           string     `json:"stall,omitempty"`      // the same as a sentence
	Records         uint64     `json:"records_total"`
	RecordBytes     uint64     `json:"record_bytes_total"`
	BufferFull      uint64     `json:"buffer_full_total"` // calls that found no room, each attempt of one that waits
	TooLarge        uint64     `json:"too_large_total"`   // records that fit into no frame
	Compressing     bool       `json:"compressing"`       // the next pack is compressed if it is large enough
	Packs           uint64     `json:"packs_total"`
	PackedBytes     uint64     `json:"packed_bytes_total"`     // in the packs of wire_bytes_total, before compression
	WireBytes       uint64     `json:"wire_bytes_total"`       // each pack once
	PacksPlain      uint64     `json:"packs_plain_total"`      // not compressed
	PacksBetter     uint64     `json:"packs_better_total"`     // compressed with the better encoder; see WithCompression
	PacksTrailFull  uint64     `json:"packs_trail_full_total"` // sealed because their trail had no room; see WithTrails
	PacksAcked      uint64     `json:"packs_acked_total"`
	PacksFinal      uint64     `json:"packs_final_total"`
	PacksLost       uint64     `json:"packs_lost_total"`
	PacksResent     uint64     `json:"packs_resent_total"`
	PacksDuplicated uint64     `json:"packs_duplicated_total"` // known second copies: seen after a resend or a loss
	PacksRefused    uint64     `json:"packs_refused_total"`
	PacksCut        uint64     `json:"packs_cut_total"` // cut in two, or taken back, because proxies did not take them
	RecordsFinal    uint64     `json:"records_final_total"`
	RecordsLost     uint64     `json:"records_lost_total"`
	RecordsRefused  uint64     `json:"records_refused_total"`
	QueueTime       Times      `json:"queue_time"` // append to first write
	WireTime        Times      `json:"wire_time"`  // last write to ack
	TotalTime       Times      `json:"total_time"` // append to final

	// Queue: how long the queue has answered since its first ack, while it has packs that are not final and none was
	// ever seen; else 0.
	Unseen       time.Duration `json:"unseen_ns,omitempty"`
	TopicMissing bool          `json:"topic_missing,omitempty"` // in every queue cluster

	opening int64 // tells streams of one name apart that were forgotten between; 0 for a sum
}

// DiscoveryStatus says where the list of proxies comes from.
type DiscoveryStatus struct {
	Source    string        `json:"source"` // static, manager, file
	Updated   time.Time     `json:"updated,omitzero"`
	Stale     bool          `json:"stale"`
	LastError string        `json:"last_error,omitempty"`
	Groups    []GroupStatus `json:"groups,omitempty"` // with a Manager, in the order of first use

	gone GroupStatus // what forgotten groups counted that had no numbers of their own
}

// GroupStatus says how asking the Manager about one group goes.
type GroupStatus struct {
	Group     string    `json:"group"`
	Folded    bool      `json:"folded,omitempty"` // part of "other" in metrics; see WithMetricStreams
	Updated   time.Time `json:"updated,omitzero"`
	Stale     bool      `json:"stale"`
	Failures  uint64    `json:"failures_total"` // times the Manager did not name proxies
	LastError string    `json:"last_error,omitempty"`
}

// Status is a snapshot; counters run since the start.
func (s *Sender) Status() Status {
	s.mu.Lock()
	streams := slices.Clone(s.streamList)
	s.mu.Unlock()
	slices.SortFunc(streams, func(a, b *Stream) int {
		return cmp.Or(cmp.Compare(a.Group(), b.Group()), cmp.Compare(a.Name(), b.Name()))
	})
	// Stream.mu comes before mu, so these are read first.
	taken := make([]StreamStatus, len(streams))
	for i, st := range streams {
		st.mu.Lock()
		st.takenLocked(&taken[i])
		st.mu.Unlock()
	}

	for i := 0; i < len(streams); i += statusStride {
		s.mu.Lock()
		now := s.now()
		for j := i; j < min(i+statusStride, len(streams)); j++ {
			s.streamStatusLocked(streams[j], &taken[j], now)
		}
		s.mu.Unlock()
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	now, packs := s.now(), s.e.States()
	out := Status{
		Instance:     s.o.instance,
		Confirm:      s.o.finality.Mode.String(),
		BudgetBytes:  s.budget.Limit(),
		UsedBytes:    s.budget.Used(),
		StreamBytes:  s.budget.Fixed(),
		Forgotten:    s.openings.forgotten,
		OpenPacks:    s.open.Len(),
		WaitingPacks: packs[engine.Waiting],
		UnfinalPacks: packs[engine.InFlight] + packs[engine.Acked],
		LostPacks:    packs[engine.Lost],
		HeldPacks:    packs[engine.Held],
		Discovery:    s.discoveryLocked(),
	}
	for _, ep := range s.proxies.endpointList {
		if ep.life.Listed() || len(ep.life.Conns()) > 0 {
			out.Endpoints = addEndpoint(out.Endpoints, s.endpointStatusLocked(ep, now))
		}
	}
	out.Streams, out.gone = taken, s.openings.gone
	slices.SortFunc(out.Endpoints, func(a, b EndpointStatus) int {
		return cmp.Or(cmp.Compare(a.Address, b.Address), cmp.Compare(a.Group, b.Group))
	})
	return out
}

// statusStride is how many streams are looked at in one go: nothing is sent meanwhile.
const statusStride = 32

// Instance is the name of the sender, the first half of each mid.
func (s *Sender) Instance() string { return s.o.instance }

func (s *Sender) endpointStatusLocked(ep *endpoint, now time.Duration) EndpointStatus {
	e := s.e.EndpointState(&ep.life, now)
	c, m := &e.Counts, &e.Confirm
	st := EndpointStatus{
		Address: ep.addr, Group: ep.group, State: "connected", Code: endpointCode(m.Reason), Reason: m.Reason.String(), Connections: e.Up,
		InFlightPacks: m.InFlight, InFlightBytes: m.InFlightBytes, AckedPacks: m.Acked, AckedBytes: m.AckedBytes,
		WindowBytes: m.Window, OldestUnfinal: m.OldestUnfinal,
		LastError: ep.lastErr, LastErrorTime: ep.lastTime,
		PacksAcked: c.Acked, BytesSent: c.Bytes, Reconnects: c.Reconnects, ConnectionsEnded: c.Ended, UnknownAcks: c.UnknownAcks,
		PacksLost: c.Lost, RecordsLost: c.RecordsLost, AckErrors: e.Codes,
	}
	switch {
	case !e.Listed:
		st.State, st.Code, st.Reason = "draining", EndpointLeft, "left the list of proxies; finishes what it has"
	case e.Up == 0:
		st.State, st.Code, st.Reason = "connecting", failureCode(e.Failure), cmp.Or(ep.lastErr, "not connected yet")
	case e.Breaker == engine.Open, e.Breaker == engine.Trial: // the pause, and the trial at its end
		st.State, st.Code, st.Reason = "paused", EndpointRefuses, e.BreakerReason
		if e.AcksLate {
			st.Code = EndpointAcksLate
		}
	case m.Reason == finality.EndpointPaused || m.Reason == finality.EndpointZombie:
		st.State = "paused"
	}
	return st
}

// streamStatusLocked fills in what is guarded by mu. Under mu.
func (s *Sender) streamStatusLocked(st *Stream, out *StreamStatus, now time.Duration) {
	c, m := st.life.Counts(), &st.meter
	out.Group, out.Stream, out.Folded = st.Group(), st.Name(), st.folded
	out.opening = int64(st.number) + 1
	out.HeldBytes, out.HeldPacks = st.held.Load(), st.life.Held()
	out.StallCode, out.Stall = s.stallLocked(st, now)
	out.Compressing = s.o.compression == Snappy || (s.o.compression == Auto && !st.tryAuto.Skips())
	out.Packs, out.PackedBytes, out.WireBytes = c.Packs, m.packedBytes, c.WireBytes
	out.PacksPlain, out.PacksBetter = m.plainPacks, m.betterPacks
	out.PacksAcked, out.PacksFinal, out.PacksLost, out.PacksResent = c.Acked, c.Final, c.Lost, c.Resent
	out.PacksDuplicated, out.PacksRefused, out.PacksCut = c.Duplicated, c.Refused, c.Cut
	out.RecordsFinal, out.RecordsLost, out.RecordsRefused = c.RecordsFinal, c.RecordsLost, c.RecordsRefused
	out.QueueTime, out.WireTime, out.TotalTime = m.queue, m.wire, m.total
	if s.o.finality.Mode == finality.Queue {
		q := s.e.Confirm(&st.life)
		out.UnfinalPacks, out.Unseen, out.TopicMissing = q.Open, q.Unseen, q.Missing
	}
}

// severity orders the states of an endpoint.
var severity = map[string]int{"connected": 0, "draining": 1, "paused": 2, "connecting": 3}

// addEndpoint appends an endpoint, or adds it to the same proxy's of another group (WithIsolation): the
// state is the worst of theirs.
func addEndpoint(list []EndpointStatus, add EndpointStatus) []EndpointStatus {
	i := slices.IndexFunc(list, func(e EndpointStatus) bool { return e.Address == add.Address })
	if i < 0 {
		return append(list, add)
	}
	e := &list[i]
	if severity[add.State] > severity[e.State] {
		e.State, e.Code, e.Reason = add.State, add.Code, add.Reason
	}
	e.sum(&add)
	return list
}

// stallLocked says why a stream that has waiting packs makes no progress, if so. Under mu.
func (s *Sender) stallLocked(st *Stream, now time.Duration) (StreamCode, string) {
	switch stall := s.e.Stall(&st.life, now); stall.Kind {
	case engine.NoStall:
		return StreamOK, ""
	case engine.StallIsolated:
		text := fmt.Sprintf("%d connections ended while its oldest pack of %d records was unanswered; it is tried again alone", stall.Pack.Ends(), stall.Pack.Records)
		if _, _, whole := stall.Pack.EndedBy(); whole != "" {
			text += ", whole: " + whole
		}
		return StreamEndsConnections, text
	case engine.StallHeld:
		return StreamRefused, count(st.life.Held(), "pack") + " refused: " + stall.Err.Error()
	case engine.StallOneProxy:
		return StreamRefused, stall.Err.Error() + "; no other proxy that could say so is connected"
	case engine.StallCut:
		return StreamRefused, stall.Err.Error() + "; packs that are refused are cut down to the record one at a time"
	case engine.StallInQueue:
		return StreamNotInQueue, stall.Reason
	case engine.StallMissing:
		return StreamTopicMissing, "its topic exists in no queue cluster; its packs are not final before it does, and are not sent again meanwhile"
	case engine.StallUnseen:
		return StreamNeverSeen, fmt.Sprintf("0 of %d packs were seen in the queue; until one is, a few at a time are sent", st.life.Counts().Acked)
	case engine.StallUnwatched:
		if st.watchErr != nil {
			return StreamWatchFails, "its queue cannot be watched: " + (*st.watchErr).Error()
		}
		return StreamNotWatched, "its queue is not watched yet"
	case engine.StallNoProxies:
		if len(st.proxies.addrs) > 0 {
			return StreamNoProxy, s.unconnectedLocked(st.proxies, st.Group())
		}
		return StreamNoProxyList, s.unconnectedLocked(st.proxies, st.Group())
	case engine.StallNoConn:
		return StreamNoProxy, s.unconnectedLocked(st.proxies, st.Group())
	case engine.StallRefused:
		return StreamRefused, s.proxies.addrOfLocked(stall.Endpoint) + ": " + stall.Reason
	case engine.StallUnknown:
		return StreamUnknown, s.proxies.addrOfLocked(stall.Endpoint) + ": " + stall.Reason
	case engine.StallPaused:
		return StreamProxiesPaused, s.proxies.addrOfLocked(stall.Endpoint) + ": " + stall.Reason
	}
	panic("bug: unknown stall")
}

// UnseenAfter is how long packs of a stream may be on their way to the queue, none of it having been seen yet, before
// its status says so. A proxy that has been idle takes up to 5 s.
const UnseenAfter = engine.UnseenAfter

func (s *Sender) discoveryLocked() DiscoveryStatus {
	if len(s.o.proxies) > 0 {
		return DiscoveryStatus{Source: "static", Updated: s.start}
	}
	out := DiscoveryStatus{Source: "manager", gone: s.openings.goneGroups}
	for _, g := range slices.SortedFunc(maps.Values(s.proxies.groups), func(a, b *group) int { return cmp.Compare(a.number, b.number) }) {
		if g.state.Source == "file" {
			out.Source = "file"
		}
		if !g.state.Updated.IsZero() && (out.Updated.IsZero() || g.state.Updated.Before(out.Updated)) {
			out.Updated = g.state.Updated
		}
		out.Stale = out.Stale || g.state.Stale
		out.Groups = append(out.Groups, GroupStatus{
			Group: g.name, Folded: g.folded, Updated: g.state.Updated, Stale: g.state.Stale,
			Failures: g.state.Failures, LastError: g.state.LastErr,
		})
		if g.state.LastErr != "" {
			out.LastError = g.state.LastErr
		}
	}
	return out
}
