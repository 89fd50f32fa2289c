package model

import (
	"cmp"
	"encoding/binary"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/replay"
)

// asKafka is records as a client of the source gets them.
func asKafka(recs []record) (out []*kgo.Record) {
	for _, r := range recs {
		out = append(out, &kgo.Record{
			Topic: "source", Key: strconv.AppendInt(nil, int64(r.route), 10), Value: binary.BigEndian.AppendUint64(nil, uint64(r.id)),
			Offset: r.offset, LeaderEpoch: r.epoch, Timestamp: time.Unix(60*int64(r.minute), 0),
		})
	}
	return out
}

// readAgain fetches what the planner asks for, with a client that belongs to no group.
func (m *member) readAgain() {
	now := time.Now()
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
			next = m.replay.Fetched(id, m.w.src.id, l.start, asKafka(recs), now)
		}
		switch {
		case next == replay.AskLog:
			delete(m.reading, id)
			if gone := m.replay.Gap(id, part.Extent{Topic: m.w.src.id, Start: l.start, End: l.end}); len(gone) > 0 {
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
