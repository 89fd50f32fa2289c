package sdk

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"inlong-bridge/sdk/finality"
)

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
	UnknownAcks       uint64         `json:"unknown_acks_total"`         // answers to nothing that was in flight there
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

// Status is a snapshot; counters run since the start.
func (s *Sender) Status() Status {
	s.mu.Lock()
	streams := slices.Clone(s.streamList)
	s.mu.Unlock()
	// Stream.mu comes before mu, so these are read first.
	records := make([][2]uint64, len(streams))
	for i, st := range streams {
		st.mu.Lock()
		records[i] = [2]uint64{st.records, st.recordBytes}
		st.mu.Unlock()
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	out := Status{
		Instance:     s.o.instance,
		Confirm:      s.o.finality.Mode.String(),
		BudgetBytes:  s.general.limit + s.repairs.limit,
		UsedBytes:    s.general.used.Load() + s.repairs.used.Load(),
		OpenPacks:    s.open.len(),
		WaitingPacks: s.states[packWaiting],
		UnfinalPacks: s.states[packInFlight] + s.states[packAcked],
		LostPacks:    s.states[packLost],
		Discovery:    s.discovery(),
	}
	for _, ep := range s.endpointList {
		if ep.lists > 0 || len(ep.conns) > 0 {
			out.Endpoints = append(out.Endpoints, s.endpointStatus(ep, now))
		}
	}
	for i, st := range streams {
		c := &st.counts
		out.Streams = append(out.Streams, StreamStatus{
			Group: st.group, Stream: st.name, HeldBytes: st.held.Load(), Stall: s.stall(st, now),
			Records: records[i][0], RecordBytes: records[i][1], Packs: c.packs, WireBytes: c.wireBytes,
			PacksAcked: c.acked, PacksFinal: c.final, PacksLost: c.lost, PacksResent: c.resent,
			PacksDuplicated: c.duplicated, PacksRefused: c.refused,
		})
	}
	slices.SortFunc(out.Endpoints, func(a, b EndpointStatus) int { return cmp.Compare(a.Address, b.Address) })
	slices.SortFunc(out.Streams, func(a, b StreamStatus) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Stream, b.Stream))
	})
	return out
}

// Instance is the name of the sender, the first half of each mid.
func (s *Sender) Instance() string { return s.o.instance }

func (s *Sender) endpointStatus(ep *endpoint, now time.Duration) EndpointStatus {
	m := s.m.Endpoint(ep.id, now)
	st := EndpointStatus{
		Address: ep.addr, State: "connected", Reason: string(m.Reason), Connections: len(ep.conns),
		InFlightPacks: m.InFlight, InFlightBytes: m.InFlightBytes, AckedPacks: m.Acked, AckedBytes: m.AckedBytes,
		WindowBytes: m.Window, OldestUnfinal: m.OldestUnfinal,
		LastError: ep.lastErr, LastErrorTime: ep.lastTime,
		PacksAcked: ep.counts.acked, BytesSent: ep.counts.bytes, Reconnects: ep.counts.reconnects,
		IncarnationsEnded: ep.counts.ended, UnknownAcks: ep.counts.unknownAcks,
	}
	if len(ep.codes) > 0 {
		st.AckErrors = maps.Clone(ep.codes)
	}
	switch {
	case ep.lists == 0:
		st.State, st.Reason = "draining", "left the list of proxies; finishes what it has"
	case len(ep.conns) == 0:
		st.State, st.Reason = "connecting", ep.lastErr
	case now < ep.hold.until:
		st.State, st.Reason = "paused", ep.hold.reason
	case m.Reason == finality.EndpointPaused || m.Reason == finality.EndpointZombie:
		st.State = "paused"
	}
	return st
}

// stall says why a stream that has waiting packs makes no progress, if so. Under mu.
func (s *Sender) stall(st *Stream, now time.Duration) string {
	waiting := 0
	for i := range st.queues {
		waiting += st.queues[i].len()
	}
	for _, p := range s.suspects {
		if p.st == st {
			if p.deaths > 1 {
				return fmt.Sprintf("%d connections ended while its oldest pack of %d records was unanswered; it is tried again alone", p.deaths, p.count)
			}
			waiting++
		}
	}
	if r := s.m.Stalled(st.id, now); r != finality.OK {
		return string(r)
	}
	if waiting == 0 {
		return ""
	}
	if s.o.finality.Mode == finality.Queue && st.watch != watched {
		if st.watchErr != nil {
			return "its queue cannot be watched: " + st.watchErr.Error()
		}
		return "its queue is not watched yet"
	}
	if len(st.proxies.endpoints) == 0 {
		if g := s.groups[st.group]; g != nil && g.lastErr != "" {
			return "no list of proxies: " + g.lastErr
		}
		return "no list of proxies yet"
	}
	reason, open := "no proxy is connected", false
	for _, ep := range st.proxies.endpoints {
		switch h := st.holds[ep]; {
		case len(ep.conns) == 0:
			if ep.lastErr != "" && !open {
				reason = "no proxy is connected: " + ep.lastErr
			}
			continue
		case h != nil:
			reason = ep.addr + ": " + h.reason
		case ep.hold.blocks(now):
			reason = ep.addr + ": " + ep.hold.reason
		default:
			r := s.m.Endpoint(ep.id, now).Reason
			if r != finality.EndpointPaused && r != finality.EndpointZombie {
				return ""
			}
			reason = ep.addr + ": " + string(r)
		}
		open = true
	}
	return reason
}

func (s *Sender) discovery() DiscoveryStatus {
	if s.static != nil {
		return DiscoveryStatus{Source: "static", Updated: s.start}
	}
	out := DiscoveryStatus{Source: "manager"}
	for _, g := range s.groups {
		if g.source == "file" {
			out.Source = "file"
		}
		if !g.updated.IsZero() && (out.Updated.IsZero() || g.updated.Before(out.Updated)) {
			out.Updated = g.updated
		}
		out.Stale = out.Stale || g.stale
		if g.lastErr != "" {
			out.LastError = g.lastErr
		}
	}
	return out
}
