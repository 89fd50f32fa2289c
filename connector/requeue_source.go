package connector

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/deadletter"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/requeue"
	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/connector/reason"
	"inlong-bridge/connector/resume"
)

const (
	// produceTime is how long the originals of one step may take to be acknowledged.
	produceTime = 30 * time.Second
	// maxOriginal is the largest original that the client sends; what a topic takes is for the topic to say.
	maxOriginal = 90 << 20
	// topicFresh is how long an answer about a topic holds.
	topicFresh = 5 * time.Second
)

// ToSource writes the originals into the topics that they came from, with all replicas' acks, up to the end that the dead-letter
// topic had at the start. Every consumer of those topics sees them once more. It commits only past what is acknowledged or passed over,
// so that it may be stopped and run again.
func (q *Requeue) ToSource(ctx context.Context, progress func(Progress)) (RequeueReport, error) {
	rep := RequeueReport{Group: q.SourceGroup()}
	a, err := q.ask(ctx, rep.Group)
	if err != nil {
		return rep, err
	}
	defer a.done()
	topic := q.cfg.DeadLetter.Topic
	t := &returning{asked: a, q: q, topic: topic, admin: kadm.NewClient(a.client), known: make(map[string]*sourceTopic), parts: make(map[int32]*returned)}
	if err := t.alone(ctx); err != nil {
		return rep, err
	}
	for num, r := range a.ranges {
		bg := a.survey.Begin(part.ID{Topic: topic, Num: num}, q.cfg.Delivery.OnGap == "continue")
		t.parts[num] = &returned{began: r.From, at: r.From, end: r.To, books: bg.Books, sight: bg.Sight}
		t.parts[num].books.Lost += bg.Lost
	}
	found, err := look(ctx, q.reader, topic, a.opts, a.src, a.ranges, (*requeue.Letter).Home, nil)
	if err != nil {
		return rep, fmt.Errorf("looking at the dead letters: %w", err)
	}
	q.deps.Log.Info("letters found", "topic", topic, "group", rep.Group, "letters", found.String())
	rep.Letters = found.Rows()
	t.producer, err = kgo.NewClient(append(slices.Clone(a.opts),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.AllowIdempotentProduceCancellation(), kgo.UnknownTopicRetries(1), kgo.ProducerLinger(0),
		kgo.ProducerBatchMaxBytes(maxOriginal), kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		return rep, fmt.Errorf("creating kafka client: %w", err)
	}
	defer t.producer.Close()
	s := requeue.Scan{Topic: topic, Opts: a.opts, Ranges: a.ranges, Next: nextRecord(a.src, topic), Rate: requeue.Rate(q.o.Rate)}
	err = s.Run(ctx, func(num int32, recs []*kgo.Record, upTo int64) error {
		// Not bound to ctx: what is begun is produced and committed before the run ends.
		err := t.step(context.WithoutCancel(ctx), num, recs, upTo)
		if progress != nil {
			progress(t.progress())
		}
		return err
	})
	rep.Report = t.report()
	if ctx.Err() != nil && rep.Result != Pass {
		return rep, fmt.Errorf("%w: told to stop before everything was written; the next start goes on from the committed offsets", ErrUnfinished)
	}
	return rep, err
}

// returning is one run of ToSource. One goroutine does everything.
type returning struct {
	*asked
	q        *Requeue
	topic    string // of the dead letters
	admin    *kadm.Client
	producer *kgo.Client
	known    map[string]*sourceTopic
	parts    map[int32]*returned
}

// returned is how far a partition of the dead-letter topic is written back.
type returned struct {
	began, at, end int64
	books          resume.Books // up to at
	sight          resume.Sight
	stop           string // why it does not go on
}

// sourceTopic is a topic that originals came from, as it is now.
type sourceTopic struct {
	id         resume.TopicID
	partitions int
	err        error
	asked      time.Time
}

// alone returns an error if the group has members: they are of somebody else, because a run has none.
func (t *returning) alone(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	group := t.q.SourceGroup()
	ds, err := t.admin.DescribeGroups(ctx, group)
	if err == nil {
		err = ds[group].Err
	}
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		return kafkaclient.Explain(err, "asking about group "+group)
	}
	if n := len(ds[group].Members); n > 0 {
		return fmt.Errorf("group %s has %d members, and keeps the progress of this run; hint: stop them, or name another group with --group", group, n)
	}
	return nil
}

// step produces the originals of consecutive letters, and commits past those that are acknowledged.
func (t *returning) step(ctx context.Context, num int32, recs []*kgo.Record, upTo int64) error {
	p := t.parts[num]
	var out, from []*kgo.Record // originals, and their letters
	var passed []int64
	var stop *reason.Reason
	for _, r := range recs {
		var original *kgo.Record
		if original, stop = t.judge(ctx, r); stop != nil {
			upTo = r.Offset
			break
		}
		if original == nil {
			passed = append(passed, r.Offset)
			continue
		}
		out, from = append(out, original), append(from, r)
	}
	if failed, err := t.produce(ctx, out); err != nil {
		upTo = from[failed].Offset
		o := out[failed]
		stop = part.Stop(part.ID{Topic: t.topic, Num: num}, reason.Fault, upTo, kafkaclient.Explain(err, fmt.Sprintf("writing the original of the letter at offset %d to %s/%d", upTo, o.Topic, o.Partition)).Error())
	}
	if err := t.commit(ctx, num, upTo, countBelow(upTo, from), passed); err != nil {
		return err
	}
	if stop != nil {
		p.stop = stop.Text()
		return requeue.ErrLeave
	}
	return nil
}

func countBelow(upTo int64, recs []*kgo.Record) (n int64) {
	for _, r := range recs {
		if r.Offset < upTo {
			n++
		}
	}
	return n
}

// judge returns the original that is to be produced, nil for a letter that is passed over, or why the partition stops at it.
func (t *returning) judge(ctx context.Context, r *kgo.Record) (*kgo.Record, *reason.Reason) {
	stop := func(err error) *reason.Reason {
		return part.Stop(part.ID{Topic: t.topic, Num: r.Partition}, reason.Unrouted, r.Offset, err.Error())
	}
	l, original := t.q.reader.Open(r)
	if l.Verdict != requeue.Chosen {
		if _, _, err := l.Way(); err != nil {
			return nil, stop(err)
		}
		return nil, nil
	}
	at := t.sourceTopic(ctx, l.Topic)
	if at.err != nil {
		return nil, stop(kafkaclient.Explain(at.err, fmt.Sprintf("the letter at offset %d is of topic %s; asking for it", r.Offset, l.Topic)))
	}
	if why := t.elsewhere(&l.Letter, at); why != "" && !t.q.o.OtherTopic {
		return nil, stop(fmt.Errorf("the letter at offset %d is of %s; hint: --other-topic writes it there all the same", r.Offset, why))
	}
	original.Partition = l.Partition % int32(at.partitions) // its own, unless the topic was created again with fewer
	original.Offset = 0
	return original, nil
}

// elsewhere says how the topic of an original is another one than the one that has its name now, "" if it is the same.
func (t *returning) elsewhere(l *deadletter.Letter, at *sourceTopic) string {
	switch {
	case l.Cluster != "" && t.survey.Cluster != "" && l.Cluster != t.survey.Cluster:
		return fmt.Sprintf("Kafka cluster %s, and this is cluster %s", l.Cluster, t.survey.Cluster)
	case part.OtherTopic(l.TopicID, at.id):
		return fmt.Sprintf("topic %s with id %s, which was deleted; the topic has id %s now", l.Topic, resume.TopicID(l.TopicID), at.id)
	}
	return ""
}

// sourceTopic asks for a topic, or returns an answer that is fresh.
func (t *returning) sourceTopic(ctx context.Context, name string) *sourceTopic {
	now := time.Now()
	if at := t.known[name]; at != nil && now.Sub(at.asked) < topicFresh {
		return at
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	at := &sourceTopic{asked: now}
	details, err := t.src.ListTopics(ctx, []string{name})
	d, ok := details[name]
	switch {
	case err != nil:
		at.err = err
	case !ok:
		at.err = kerr.UnknownTopicOrPartition
	case d.Err != nil:
		at.err = d.Err
	case len(d.Partitions) == 0:
		at.err = kerr.LeaderNotAvailable
	default:
		at.id, at.partitions = resume.TopicID(d.ID), len(d.Partitions)
	}
	if len(t.known) >= 1000 {
		clear(t.known)
	}
	t.known[name] = at
	return at
}

// produce writes originals and waits for all their acks. It returns the first that is not acknowledged.
func (t *returning) produce(ctx context.Context, out []*kgo.Record) (failed int, err error) {
	ctx, cancel := context.WithTimeout(ctx, produceTime)
	defer cancel()
	for i, err := range kafkaclient.Produce(ctx, t.producer, out) {
		if err != nil {
			return i, err
		}
	}
	return 0, nil
}

// commit books a partition up to an offset and commits it. final are the originals that were written.
func (t *returning) commit(ctx context.Context, num int32, upTo, final int64, passed []int64) error {
	p, id := t.parts[num], part.ID{Topic: t.topic, Num: num}
	if upTo <= p.at {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	group := t.q.SourceGroup()
	commits, err := t.src.FetchCommits(ctx)
	if err != nil {
		return kafkaclient.Explain(err, "reading the offsets of group "+group)
	}
	if c, ok := commits[id]; ok && c.Offset > p.at {
		return fmt.Errorf("group %s was committed up to offset %d of %s by somebody else, and this run stands at %d; hint: only one run at a time may use a group", group, c.Offset, id, p.at)
	}
	skipped := int64(0)
	for _, o := range passed {
		if o < upTo {
			skipped++
		}
	}
	books := p.books
	books.Final += final
	books.Skipped += skipped
	books.Gap += upTo - p.at - final - skipped
	line := resume.Line{Cluster: t.survey.Cluster, Topic: t.survey.Topics[t.topic].ID, Seen: p.sight, At: time.Now(), Books: books}
	offsets := make(kadm.Offsets)
	offsets.Add(kadm.Offset{Topic: t.topic, Partition: num, At: upTo, LeaderEpoch: -1, Metadata: line.String()})
	if err := t.admin.CommitAllOffsets(ctx, group, offsets); err != nil {
		return kafkaclient.Explain(err, "committing for group "+group)
	}
	p.at, p.books = upTo, books
	return nil
}

func (t *returning) progress() (sum Progress) {
	for _, p := range t.parts {
		sum.Partitions++
		sum.Offsets += p.end - p.began
		sum.Moved += p.at - p.began
		if p.at >= p.end {
			sum.Done++
		}
		if p.stop != "" {
			sum.Reason = p.stop
		}
	}
	return sum
}

func (t *returning) report() Report {
	rows := make([]PartitionReport, 0, len(t.parts))
	for _, num := range slices.Sorted(maps.Keys(t.parts)) {
		p := t.parts[num]
		row := PartitionReport{Topic: t.topic, Partition: num, End: p.end, Committed: p.at, Closed: p.at >= p.end, Reason: p.stop}
		if id := t.survey.Topics[t.topic].ID; id != (resume.TopicID{}) {
			row.TopicID = id.String()
		}
		row.enter(p.books)
		if !row.Closed && row.Reason == "" {
			row.Reason = openText(p.at, p.end)
		}
		rows = append(rows, row)
	}
	return newReport(toSource, rows)
}
