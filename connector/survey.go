package connector

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"inlong-bridge/connector/internal/part"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/reason"
	"inlong-bridge/connector/resume"
)

// survey is what Kafka says about partitions that are about to begin. All of it is of one time: the topics had
// the same ids before and after the other questions.
type survey struct {
	now     time.Time
	cluster string // id, "" when the brokers do not tell
	topics  map[string]surveyedTopic
	commits map[part.ID]resume.Commit // of the group, of all topics
	group   resume.Group
	logs    map[part.ID]extent
	epochs  map[part.ID]epochVerdict // of the committed offsets that have an epoch
}

// surveyedTopic is one topic of a survey.
type surveyedTopic struct {
	id    resume.TopicID // zero when the brokers do not tell
	known resume.Topic
	err   error // the broker that was asked does not find the topic, or the right to describe it is missing
}

// extent is a partition's log. err says that it was not found, or may not be looked at; that is asked again.
type extent struct {
	start, end int64
	at         int64 // the offset of begin's origin; valid for partitions without a believed commit
	origin     resume.Origin
	why        resume.Why
	err        error
}

// begin says where an assignment begins, and what its commits hand on.
type begin struct {
	offset int64
	epoch  int32 // leader epoch of the committed offset, -1 when unknown
	why    resume.Why
	// lost is how many offsets before offset are gone from Kafka and were accepted as lost.
	lost int64
	// commitFirst is set when the group has no believed commit: the position must be committed before anything
	// is fetched, or a crash would choose another one.
	commitFirst bool
	// restate is set when the committed offset has no line of this topic: it is committed again with one, also if the
	// partition is idle.
	restate bool
	refused *refusedOffset
	books   resume.Books // up to offset - lost
	sight   resume.Sight
	stop    *reason.Reason
	again   bool // its topic is joined again first
	// absent is set when the partition was not found: the rest is not known, and it is asked for by name. See absent.go.
	absent error
	// bare is set when nothing tells whether the log was cut off before the committed offset and has grown since: the
	// offset has no leader epoch, or the brokers do not say where an epoch ends.
	bare bool
}

// refusedOffset is a committed offset of a topic that was deleted.
type refusedOffset struct {
	offset int64
	topic  resume.TopicID
}

// survey asks for the ids of topics, the group's commits, and the logs of parts. It fails as a whole when
// anything is unknown: a question that was not answered is no answer.
func (b *Bridge) survey(ctx context.Context, parts map[string][]int32) (*survey, error) {
	names := slices.Sorted(maps.Keys(parts))
	before, err := b.identify(ctx, names)
	if err != nil {
		return nil, err
	}
	s := &survey{
		now: time.Now(), cluster: before.cluster, topics: make(map[string]surveyedTopic, len(names)),
		logs: make(map[part.ID]extent),
	}
	for _, name := range names {
		t := before.topics[name]
		s.topics[name] = surveyedTopic{id: t.id, err: t.err, known: resume.Topic{Partitions: int32(len(t.partitions)), Found: b.foundRunning(name)}}
	}
	if err := b.surveyCommits(ctx, s); err != nil {
		return nil, err
	}
	if err := b.surveyLogs(ctx, s, parts); err != nil {
		return nil, err
	}
	if err := b.surveyEpochs(ctx, s); err != nil {
		return nil, err
	}
	after, err := b.identify(ctx, names)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if after.cluster != s.cluster || after.topics[name].id != s.topics[name].id {
			return nil, fmt.Errorf("topic %s was created while its offsets were listed", name)
		}
	}
	return s, nil
}

// identified is what a broker says of topics, asked for afresh.
type identified struct {
	cluster string
	brokers []int32 // all that the broker knows, sorted
	topics  map[string]identifiedTopic
}

// identifiedTopic is one of them; err says that the broker does not find it (UNKNOWN_TOPIC_OR_PARTITION), or that the
// right to describe it is missing (TOPIC_AUTHORIZATION_FAILED).
type identifiedTopic struct {
	id         resume.TopicID
	partitions []int32
	err        error
}

// identify asks a broker of the source for the ids of topics; see identify.
func (b *Bridge) identify(ctx context.Context, names []string) (*identified, error) {
	return identify(ctx, b.direct, names)
}

// identifyAt asks one broker of the source for the ids of topics, and waits a bounded time for it.
func (b *Bridge) identifyAt(ctx context.Context, broker int32, names []string) (*identified, error) {
	ctx, cancel := context.WithTimeout(ctx, identifyTime)
	defer cancel()
	return identify(ctx, b.direct.Broker(int(broker)), names)
}

// identifyTime bounds the wait for one broker: another one is asked next.
const identifyTime = 3 * time.Second

// identify asks a client, and so any broker, or one broker for the ids of topics. It goes around the client's cache, since
// what was known a second ago is no answer. A topic that is not found, or may not be described, has its error in the answer;
// any other error of a topic fails the whole question, because it passes.
func identify(ctx context.Context, whom kmsg.Requestor, names []string) (*identified, error) {
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &name
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, whom)
	if err != nil {
		return nil, err
	}
	out := &identified{topics: make(map[string]identifiedTopic, len(resp.Topics))}
	for i := range resp.Brokers {
		out.brokers = append(out.brokers, resp.Brokers[i].NodeID)
	}
	slices.Sort(out.brokers)
	if resp.ClusterID != nil {
		out.cluster = *resp.ClusterID
	}
	for i := range resp.Topics {
		t := &resp.Topics[i]
		if t.Topic == nil {
			continue
		}
		found := identifiedTopic{id: t.TopicID, err: kerr.ErrorForCode(t.ErrorCode)}
		for j := range t.Partitions {
			found.partitions = append(found.partitions, t.Partitions[j].Partition)
		}
		slices.Sort(found.partitions)
		out.topics[*t.Topic] = found
	}
	for _, name := range names {
		switch t, ok := out.topics[name]; {
		case !ok:
			return nil, fmt.Errorf("asking for the id of topic %s: %w", name, errNoAnswer)
		case t.err != nil && !absentError(t.err):
			return nil, fmt.Errorf("asking for the id of topic %s: %w", name, t.err)
		}
	}
	return out, nil
}

// surveyCommits reads the group's commits: those of other topics tell how old the group is.
func (b *Bridge) surveyCommits(ctx context.Context, s *survey) error {
	commits, err := b.fetchCommits(ctx)
	if err != nil {
		return err
	}
	s.commits = commits
	for id, c := range commits {
		s.group.Saw(c)
		if t, ok := s.topics[id.Topic]; ok {
			t.known.Saw(c, c.Judge(s.cluster, t.id))
			s.topics[id.Topic] = t
		}
	}
	return nil
}

// fetchCommits returns the offsets that the group committed, of all topics.
func (b *Bridge) fetchCommits(ctx context.Context) (map[part.ID]resume.Commit, error) {
	commits := make(map[part.ID]resume.Commit)
	os, err := b.admin.FetchOffsets(kadm.RequireStable(ctx), b.cfg.Kafka.Group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return commits, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the offsets of group %s: %w", b.cfg.Kafka.Group, err)
	}
	for _, parts := range os {
		for _, o := range parts {
			if o.Err != nil {
				return nil, fmt.Errorf("reading the offset of %s/%d of group %s: %w", o.Topic, o.Partition, b.cfg.Kafka.Group, o.Err)
			}
			if o.At < 0 {
				continue
			}
			line, ours := resume.Parse(o.Metadata)
			commits[part.ID{Topic: o.Topic, Num: o.Partition}] = resume.Commit{Offset: o.At, Epoch: o.LeaderEpoch, Line: line, Ours: ours}
		}
	}
	return commits, nil
}

// believed reports whether the group has a commit of a partition that counts.
func (s *survey) believed(id part.ID) bool {
	c, ok := s.commits[id]
	return ok && c.Judge(s.cluster, s.topics[id.Topic].id) != resume.Refused
}

// surveyLogs lists where the logs start and end and, for partitions without a believed commit, where to begin.
func (b *Bridge) surveyLogs(ctx context.Context, s *survey, parts map[string][]int32) error {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		if s.topics[name].err == nil {
			names = append(names, name)
			continue
		}
		for _, num := range parts[name] {
			s.logs[part.ID{Topic: name, Num: num}] = extent{err: s.topics[name].err}
		}
	}
	if len(names) == 0 {
		return nil // asked for none, the client would list them all
	}
	// The ends come first: a record that arrives while we ask is then after them, whatever comes next.
	ends, err := b.admin.ListEndOffsets(ctx, names...)
	if err != nil {
		return err
	}
	starts, err := b.admin.ListStartOffsets(ctx, names...)
	if err != nil {
		return err
	}
	since := make(map[int64][]part.ID) // by milliseconds
	for _, topic := range names {
		for _, num := range parts[topic] {
			id := part.ID{Topic: topic, Num: num}
			start, end, err := within(starts, ends, id)
			if absentError(err) {
				s.logs[id] = extent{err: err}
				continue
			}
			if err != nil {
				return err
			}
			x := extent{start: start, end: end, at: start}
			switch _, had := s.commits[id]; {
			case s.believed(id):
				x.why = resume.FromCommit
			case had:
				x.why = resume.Recreated
			default:
				x.origin, x.why = resume.Begin(num, s.topics[topic].known, s.group, startPolicy(&b.cfg.Kafka), s.now)
			}
			if x.origin.IsLatest() {
				x.at = end
			} else if t, ok := x.origin.Time(); ok {
				since[t.UnixMilli()] = append(since[t.UnixMilli()], id)
			}
			s.logs[id] = x
		}
	}
	for millis, ids := range since {
		if err := b.surveyTime(ctx, s, millis, ids); err != nil {
			return err
		}
	}
	return nil
}

// surveyTime lists the first offsets that are not older than a time. A partition that the answer leaves out fails
// it: to begin at the log's end instead would skip records.
func (b *Bridge) surveyTime(ctx context.Context, s *survey, millis int64, ids []part.ID) error {
	names := make(map[string]struct{})
	for _, id := range ids {
		names[id.Topic] = struct{}{}
	}
	after, err := b.admin.ListOffsetsAfterMilli(ctx, millis, slices.Sorted(maps.Keys(names))...)
	if err != nil {
		return err
	}
	for _, id := range ids {
		o, ok := after.Lookup(id.Topic, id.Num)
		switch {
		case !ok:
			return fmt.Errorf("listing the offset of %s at a time: %w", id, errNoAnswer)
		case o.Err != nil:
			return fmt.Errorf("listing the offset of %s at a time: %w", id, o.Err)
		}
		x := s.logs[id]
		if x.at = x.end; o.Timestamp >= 0 && o.Offset >= 0 { // -1: no record is as new
			x.at = o.Offset
		}
		s.logs[id] = x
	}
	return nil
}

// startPolicy is kafka.start.
func startPolicy(k *config.Kafka) resume.Origin {
	switch k.Start {
	case "latest":
		return resume.Latest()
	case "timestamp":
		return resume.Since(k.StartTime)
	}
	return resume.Start()
}

// begin says where a partition begins. policy is kafka.start.
func (s *survey) begin(id part.ID, policy resume.Origin, acceptGap bool) begin {
	c, had := s.commits[id]
	t, log := s.topics[id.Topic], s.logs[id]
	if log.err != nil {
		return begin{offset: max(0, c.Offset), epoch: -1, absent: log.err}
	}
	trust := resume.Taken
	if had {
		trust = c.Judge(s.cluster, t.id)
	}
	if !had || trust == resume.Refused {
		bg := begin{offset: min(max(log.at, log.start), log.end), epoch: -1, why: log.why, commitFirst: true}
		bg.books = resume.Books{From: bg.offset}
		if policy.IsLatest() && !had {
			bg.books.Passed = bg.offset - log.start
		}
		bg.sight = t.known.Sight(had, trust, log.origin, s.now)
		if had {
			bg.refused = &refusedOffset{offset: c.Offset, topic: c.Line.Topic}
		}
		return bg
	}
	bg := beginAt(id, c.Offset, log.start, log.end, acceptGap)
	bg.epoch, bg.sight = c.Epoch, t.known.Sight(true, trust, resume.Start(), s.now)
	if c.Ours && trust == resume.Taken {
		bg.epoch = -1 // of another cluster: its epochs mean nothing here
	}
	switch v, asked := s.epochs[id]; {
	case bg.stop != nil:
	case !asked || v.unknown:
		bg.bare = true
	case v.cut:
		bg.stop = part.Overwritten(id, v.at, c.Offset, c.Epoch)
	}
	if trust == resume.Known && c.Line.Books.Close(c.Offset) {
		bg.books = c.Line.Books
		return bg
	}
	bg.restate = true
	bg.books = resume.Books{From: c.Offset, Unproven: max(0, c.Offset-log.start)}
	return bg
}
