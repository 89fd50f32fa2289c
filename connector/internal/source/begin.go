package source

import (
	"fmt"

	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
	"inlong-bridge/connector/resume"
)

// Begin says where an assignment begins, and what its commits hand on.
type Begin struct {
	Offset int64
	Epoch  int32 // leader epoch of the committed offset, -1 when unknown
	Why    resume.Why
	// Lost is how many offsets before offset are gone from Kafka and were accepted as lost.
	Lost int64
	// CommitFirst is set when the group has no believed commit: the position must be committed before anything
	// is fetched, or a crash would choose another one.
	CommitFirst bool
	// Restate is set when the committed offset has no line of this topic: it is committed again with one, also if the
	// partition is idle.
	Restate bool
	Refused *RefusedOffset
	Books   resume.Books // up to Offset - Lost
	Sight   resume.Sight
	Stop    *reason.Reason
	Again   bool // its topic is joined again first
	// Absent is set when the partition was not found: the rest is not known, and it is asked for by name. See absent.go.
	Absent error
	// Bare is set when nothing tells whether the log was cut off before the committed offset and has grown since: the
	// offset has no leader epoch, or the brokers do not say where an epoch ends.
	Bare bool
}

// RefusedOffset is a committed offset of a topic that was deleted.
type RefusedOffset struct {
	Offset int64
	Topic  resume.TopicID
}

// Begin says where a partition begins. acceptGap is delivery.on_gap: continue.
func (s *Survey) Begin(id part.ID, acceptGap bool) Begin {
	c, had := s.Commits[id]
	t, log := s.Topics[id.Topic], s.Logs[id]
	if log.Err != nil {
		return Begin{Offset: max(0, c.Offset), Epoch: -1, Absent: log.Err}
	}
	trust := resume.Taken
	if had {
		trust = c.Judge(s.Cluster, t.ID)
	}
	if !had || trust == resume.Refused {
		bg := Begin{Offset: min(max(log.at, log.Start), log.End), Epoch: -1, Why: log.why, CommitFirst: log.stop == nil, Stop: log.stop}
		bg.Books = resume.Books{From: bg.Offset}
		if s.start.Origin.IsLatest() && !had || log.why == resume.Named && log.stop == nil {
			bg.Books.Passed = bg.Offset - log.Start
		}
		bg.Sight = t.Known.Sight(had, trust, log.origin, s.now)
		if had {
			bg.Refused = &RefusedOffset{Offset: c.Offset, Topic: c.Line.Topic}
		}
		return bg
	}
	bg := BeginAt(id, c.Offset, log.Start, log.End, acceptGap)
	bg.Epoch, bg.Sight = c.Epoch, t.Known.Sight(true, trust, resume.Start(), s.now)
	if c.Ours && trust == resume.Taken {
		bg.Epoch = -1 // of another cluster: its epochs mean nothing here
	}
	switch v, asked := s.epochs[id]; {
	case bg.Stop != nil:
	case !asked || v.unknown:
		bg.Bare = true
	case v.Cut:
		bg.Stop = part.Overwritten(id, v.At, c.Offset, c.Epoch)
	}
	if trust == resume.Known && c.Line.Books.Close(c.Offset) {
		bg.Books = c.Line.Books
		return bg
	}
	bg.Restate = true
	bg.Books = resume.Books{From: c.Offset, Unproven: max(0, c.Offset-log.Start)}
	return bg
}

// BeginAt decides where a partition begins that the group committed an offset of. start and end are the log's.
func BeginAt(id part.ID, committed, start, end int64, acceptGap bool) Begin {
	switch {
	case committed > end:
		return Begin{Offset: committed, Stop: part.Truncated(id, end, committed)}
	case committed < start && acceptGap:
		return Begin{Offset: start, Lost: start - committed}
	case committed < start:
		return Begin{Offset: committed, Stop: part.Gap(id, committed, start)}
	}
	return Begin{Offset: committed}
}

// DeletedTopic stops a partition whose committed offset is of a topic that was deleted. now is the id of the topic that has its name.
func DeletedTopic(id part.ID, r *RefusedOffset, now resume.TopicID) *reason.Reason {
	return part.Stop(id, reason.Recreated, r.Offset, fmt.Sprintf("the group's offset %d of %s is of the topic with id %s, which was deleted; the topic has id %s now; "+
		"hint: delete the group's offsets of the topic to move the new one from its start", r.Offset, id, r.Topic, now))
}
