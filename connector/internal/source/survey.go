package source

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/reason"
	"inlong-bridge/connector/resume"
)

// Survey is what Kafka says about partitions that are about to begin. Its answers belong together: the topics had the same ids before
// and after the other questions.
type Survey struct {
	now     time.Time
	start   Start
	Cluster string // id, "" when the brokers do not tell
	Topics  map[string]SurveyedTopic
	Commits map[part.ID]resume.Commit // of the group, of all topics
	group   resume.Group
	Logs    map[part.ID]Log
	epochs  map[part.ID]EpochCheck // of the committed offsets that have an epoch
}

// SurveyedTopic is one topic of a survey.
type SurveyedTopic struct {
	ID    resume.TopicID // zero when the brokers do not tell
	Known resume.Topic
	err   error // the broker that was asked does not find the topic, or the right to describe it is missing
}

// Log is the extent of a partition's log. Err says that it was not found or may not be read, and is to be asked for again.
type Log struct {
	Start, End int64
	at         int64 // the offset of begin's origin; valid for partitions without a believed commit
	origin     resume.Origin
	why        resume.Why
	stop       *reason.Reason // nothing says where it begins; valid for partitions without a believed commit
	Err        error
}

// NewSurvey returns a survey that knows nothing yet but the cluster's id.
func NewSurvey(now time.Time, start Start, cluster string) *Survey {
	return &Survey{
		now: now, start: start, Cluster: cluster, Topics: make(map[string]SurveyedTopic), Commits: make(map[part.ID]resume.Commit),
		Logs: make(map[part.ID]Log), epochs: make(map[part.ID]EpochCheck),
	}
}

// Survey asks for the ids of topics, the group's commits, and the logs of parts. It fails as a whole when any question is not
// answered.
func (src *Source) Survey(ctx context.Context, parts map[string][]int32) (*Survey, error) {
	names := slices.Sorted(maps.Keys(parts))
	before, err := src.Identify(ctx, names)
	if err != nil {
		return nil, err
	}
	s := NewSurvey(time.Now(), src.start, before.cluster)
	for _, name := range names {
		t := before.Topics[name]
		s.Topics[name] = SurveyedTopic{ID: t.ID, err: t.Err, Known: resume.Topic{Partitions: int32(len(t.Partitions)), Found: src.foundRunning(name)}}
	}
	if err := src.surveyCommits(ctx, s); err != nil {
		return nil, err
	}
	if err := src.surveyLogs(ctx, s, parts); err != nil {
		return nil, err
	}
	if err := src.surveyEpochs(ctx, s); err != nil {
		return nil, err
	}
	after, err := src.Identify(ctx, names)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if after.cluster != s.Cluster || after.Topics[name].ID != s.Topics[name].ID {
			return nil, fmt.Errorf("topic %s was created while its offsets were listed", name)
		}
	}
	return s, nil
}

// surveyCommits reads the group's commits. Those of other topics tell how old the group is.
func (src *Source) surveyCommits(ctx context.Context, s *Survey) error {
	commits, err := src.FetchCommits(ctx)
	if err != nil {
		return err
	}
	for id, c := range commits {
		s.SawCommit(id, c)
	}
	return nil
}

// SawCommit adds a commit of the group. The topics come first.
func (s *Survey) SawCommit(id part.ID, c resume.Commit) {
	s.Commits[id] = c
	s.group.Saw(c)
	if t, ok := s.Topics[id.Topic]; ok {
		t.Known.Saw(c, c.Judge(s.Cluster, t.ID))
		s.Topics[id.Topic] = t
	}
}

// believed reports whether the group has a commit of the partition that is not refused.
func (s *Survey) believed(id part.ID) bool {
	c, ok := s.Commits[id]
	return ok && c.Judge(s.Cluster, s.Topics[id.Topic].ID) != resume.Refused
}

// surveyLogs lists where the logs start and end and, for partitions without a believed commit, where to begin.
func (src *Source) surveyLogs(ctx context.Context, s *Survey, parts map[string][]int32) error {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		if s.Topics[name].err == nil {
			names = append(names, name)
			continue
		}
		for _, num := range parts[name] {
			s.Logs[part.ID{Topic: name, Num: num}] = Log{Err: s.Topics[name].err}
		}
	}
	if len(names) == 0 {
		return nil // asked for none, the client would list them all
	}
	// The ends come first: a record that arrives while we ask is then after them, whatever comes next.
	ends, err := src.admin.ListEndOffsets(ctx, names...)
	if err != nil {
		return err
	}
	starts, err := src.admin.ListStartOffsets(ctx, names...)
	if err != nil {
		return err
	}
	since := make(map[int64][]part.ID) // by milliseconds
	for _, topic := range names {
		for _, num := range parts[topic] {
			id := part.ID{Topic: topic, Num: num}
			start, end, err := within(starts, ends, id)
			if IsAbsent(err) {
				s.Logs[id] = Log{Err: err}
				continue
			}
			if err != nil {
				return err
			}
			if t, ask := s.SawLog(id, start, end); ask {
				since[t.UnixMilli()] = append(since[t.UnixMilli()], id)
			}
		}
	}
	for millis, ids := range since {
		if err := src.surveyTime(ctx, s, millis, ids); err != nil {
			return err
		}
	}
	return nil
}

// SawLog adds where the log of a partition begins and ends. The topics and all commits come first. ask is set when the partition
// begins at the first record that is not older than t.
func (s *Survey) SawLog(id part.ID, start, end int64) (t time.Time, ask bool) {
	x := Log{Start: start, End: end, at: start}
	switch _, had := s.Commits[id]; {
	case s.believed(id):
		x.why = resume.FromCommit
	case had:
		x.why = resume.Recreated
	case s.start.File != nil:
		s.beginNamed(id, &x)
	case s.start.Committed:
		s.beginProven(id, &x)
	default:
		x.origin, x.why = resume.Begin(id.Num, s.Topics[id.Topic].Known, s.group, s.start.Origin, s.now)
	}
	if t, ask = x.origin.Time(); x.origin.IsLatest() {
		x.at = end
	}
	s.Logs[id] = x
	return t, ask
}

// surveyTime lists the first offsets that are not older than a time. It fails if the answer leaves a partition out: beginning at the
// log's end instead would skip records.
func (src *Source) surveyTime(ctx context.Context, s *Survey, millis int64, ids []part.ID) error {
	names := make(map[string]struct{})
	for _, id := range ids {
		names[id.Topic] = struct{}{}
	}
	after, err := src.admin.ListOffsetsAfterMilli(ctx, millis, slices.Sorted(maps.Keys(names))...)
	if err != nil {
		return err
	}
	for _, id := range ids {
		o, ok := after.Lookup(id.Topic, id.Num)
		switch {
		case !ok:
			return fmt.Errorf("listing the offset of %s at a time: %w", id, ErrNoAnswer)
		case o.Err != nil:
			return fmt.Errorf("listing the offset of %s at a time: %w", id, o.Err)
		}
		x := s.Logs[id]
		if x.at = x.End; o.Timestamp >= 0 && o.Offset >= 0 { // -1: no record is as new
			x.at = o.Offset
		}
		s.Logs[id] = x
	}
	return nil
}
