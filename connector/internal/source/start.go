package source

import (
	"fmt"

	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/resume"
	"inlong-bridge/connector/startfile"
)

// Start is kafka.start: where a partition begins without a commit of the group. A commit that is refused counts as one:
// the new topic begins at its start, whatever kafka.start says.
type Start struct {
	Origin    resume.Origin   // earliest, latest or a time
	Committed bool            // nowhere, unless what it holds came after the group first saw its topic
	File      *startfile.File // where its line says, and nowhere without one; nil but for kafka.start: file
}

// beginNamed begins a partition where the file names it, if the line is of the topic and the log that are there now.
func (s *Survey) beginNamed(id part.ID, x *Log) {
	x.why = resume.Named
	unsaid := func(offset int64, format string, args ...any) {
		x.why, x.stop = resume.Unsaid, part.NoStart(id, offset, fmt.Sprintf(format, args...))
	}
	f, now := s.start.File, s.Topics[id.Topic].ID
	switch e, ok := f.Lookup(id.Topic, id.Num); {
	case !ok:
		unsaid(-1, "the group has no committed offset of %s, and no line of %s (kafka.start_file) names it; its log holds offsets %d to %d; hint: add %s:%s/%d@OFFSET and restart",
			id, f.Path, x.Start, x.End, id.Topic, now, id.Num)
	case e.ID != now:
		unsaid(-1, "the group has no committed offset of %s, and the line %s (%s) is of a topic with id %s; the topic has id %s now, so the offset means nothing; "+
			"hint: write the line for the new topic and restart", id, e, f.Place(e), e.ID, now)
	case e.Offset < x.Start || e.Offset > x.End:
		unsaid(e.Offset, "the group has no committed offset of %s, and the line %s (%s) is outside its log, which begins at %d and ends at %d; "+
			"hint: correct the line and restart; nothing was skipped", id, e, f.Place(e), x.Start, x.End)
	default:
		x.at = e.Offset
	}
}

// beginProven begins a partition whose start is no guess: one that holds nothing that the group could have seen.
func (s *Survey) beginProven(id part.ID, x *Log) {
	if x.End == 0 {
		x.why = resume.Untouched
		return
	}
	why, later := resume.Later(id.Num, s.Topics[id.Topic].Known, s.now)
	if x.why = why; !later {
		x.stop = part.NoStart(id, -1, fmt.Sprintf("the group has no committed offset of %s, and kafka.start is committed; its log holds offsets %d to %d; "+
			"hint: stop the bridge, set the group's offset (kafka-consumer-groups.sh --reset-offsets), and start it, or name the offset with kafka.start: file", id, x.Start, x.End))
	}
}
