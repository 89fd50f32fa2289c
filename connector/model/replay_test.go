package model

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/checkpoint"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/replay"
	"inlong-bridge/connector/reason"
)

// What replay asks of an assignment.

func (a *assignment) ID() part.ID                       { return part.ID{Topic: "source", Num: int32(a.partition)} }
func (a *assignment) TopicID() [16]byte                 { return a.topic }
func (a *assignment) Checkpoint() *checkpoint.Partition { return a.Partition }
func (a *assignment) Gate() *gate.Gate                  { return a.gate }
func (a *assignment) Known(rec *kgo.Record) (int32, bool) {
	return int32(rec.Key[0]), true
}

// Stop implements replay.Assignment, for whatever else stops a partition too.
func (a *assignment) Stop(r *reason.Reason) {
	if !a.gate.Add(*r, true) {
		return
	}
	a.stoppedAt = a.m.w.now
	a.m.w.logf("member %d: partition %d stops: %s", a.m.instance, a.partition, r.Code)
	switch r.Code {
	case reason.Gap:
		a.m.w.happened(gapStopped)
	case reason.Truncated:
		a.m.w.happened(truncationStopped)
	case reason.Recreated:
		a.m.w.happened(recreationStopped)
	}
}

// stopped is why the partition does not go on by itself, "" when it does.
func (a *assignment) stopped() reason.Code {
	if e := a.gate.Condition().Stop(); e != nil {
		return e.Code
	}
	return ""
}

// Send implements replay.Outlet: it has room for some records, and may put them into several packs.
func (m *member) Send(b *replay.Batch) (taken int, tooLarge error) {
	n := len(b.Payloads)
	if m.r.IntN(4) == 0 {
		n = m.r.IntN(n + 1)
		m.w.happened(replayFull)
	}
	for from := 0; from < n; {
		to := from + 1 + m.r.IntN(n-from)
		var ids []int
		for _, v := range b.Payloads[from:to] {
			ids = append(ids, int(binary.BigEndian.Uint64(v)))
		}
		piece := checkpoint.Piece(b.Packed(from, to))
		m.snd.seal(b.Route, ids, []packPiece{{pieceRef{b.Assignment.(*assignment), piece}, 0, to - from}}, true)
		from = to
	}
	return n, nil
}

// asKafka is a record as a client of the source gets it.
func (r record) asKafka() *kgo.Record {
	return &kgo.Record{
		Key: []byte{byte(r.route)}, Value: binary.BigEndian.AppendUint64(nil, uint64(r.id)), Offset: r.offset, LeaderEpoch: r.epoch,
		Timestamp: time.Unix(60*int64(r.minute), 0),
	}
}

// readAgain fetches what the planner asks for, with a client that belongs to no group.
func (m *member) readAgain() {
	now := m.w.wallClock()
	begin, leave, _ := m.replay.Plan(now)
	for _, id := range leave {
		delete(m.reading, id)
	}
	for _, s := range begin {
		m.reading[s.Partition] = s.Offset
	}
	for _, id := range slices.SortedFunc(maps.Keys(m.reading), func(a, b part.ID) int { return cmp.Compare(a.Num, b.Num) }) {
		if m.r.IntN(3) == 0 {
			continue
		}
		if m.r.IntN(20) == 0 {
			m.w.happened(replayFailed)
			m.replay.Failed(id, now)
			delete(m.reading, id)
			continue
		}
		l := m.w.src.logs[id.Num]
		recs, err := m.w.fetch(int(id.Num), m.w.src.id, m.reading[id], -1, 1+m.r.IntN(20))
		next := replay.AskLog
		if err == fetchOK {
			var got []*kgo.Record
			for _, r := range recs {
				got = append(got, r.asKafka())
			}
			next = m.replay.Fetched(id, m.w.src.id, l.start, got, now)
		}
		switch {
		case next == replay.AskLog:
			delete(m.reading, id)
			if gone := m.replay.Gap(id, replay.Extent{Topic: m.w.src.id, Start: l.start, End: l.end}); len(gone) > 0 {
				m.w.happened(lostAgainGone)
			}
		case next == replay.Leave:
			delete(m.reading, id)
			m.w.happened(lostAgainRead)
		case len(recs) > 0:
			m.reading[id] = recs[len(recs)-1].offset + 1
		}
	}
}
