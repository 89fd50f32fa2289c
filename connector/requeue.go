package connector

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/requeue"
	"inlong-bridge/connector/internal/source"
	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/mapping"
)

// LetterChoice says which letters a requeue delivers.
type LetterChoice = requeue.Choice

// OffsetRange is the offsets from From up to To, without To.
type OffsetRange = requeue.Range

// LetterCount is how many letters of a kind a requeue found.
type LetterCount = requeue.Counted

// RequeueOptions say what a requeue does.
type RequeueOptions struct {
	Choice         LetterChoice
	Group          string // whose commits make it resumable; "" for a name made of kafka.group and the choice
	Rate           int    // records per second, 0 for no limit
	StopAgain      bool   // a record that fails again stops its partition; otherwise it becomes a letter again
	SkipUnreadable bool   // pass over records that are no letters, and letters of whole batches
	OtherTopic     bool   // into source topics: also into a topic or cluster that is not the one that the letter names
}

// ErrNoDeadLetters says that the configuration has no dead-letter topic.
var ErrNoDeadLetters = errors.New("the configuration has no dead_letter.topic, so there are no letters")

// Requeue delivers the originals of dead letters. It runs once.
type Requeue struct {
	cfg     *config.Config // of a run: another group, and no admin server
	deps    Deps
	o       RequeueOptions
	sendFor string // kafka.group
	reader  *requeue.Reader
}

// NewRequeue checks what can be checked without a network.
func NewRequeue(cfg *config.Config, deps Deps, o RequeueOptions) (*Requeue, error) {
	if cfg.DeadLetter.Topic == "" {
		return nil, ErrNoDeadLetters
	}
	if o.Group == cfg.Kafka.Group {
		return nil, fmt.Errorf("group %s is the group of the bridge (kafka.group); hint: a requeue needs a group of its own", o.Group)
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	c := *cfg
	c.Kafka.Start, c.Kafka.StartOffsets, c.Kafka.InstanceID = "earliest", nil, ""
	c.Admin.Listen = "" // the bridge itself may run beside it
	return &Requeue{cfg: &c, deps: deps, o: o, sendFor: cfg.Kafka.Group, reader: requeue.NewReader(requeue.Config{
		Topic: cfg.DeadLetter.Topic, Choice: o.Choice, SkipUnreadable: o.SkipUnreadable, Routes: cfg.Routes,
	})}, nil
}

// Group is the consumer group of Run and DryRun.
func (q *Requeue) Group() string { return q.group(".requeue") }

// SourceGroup is the consumer group of ToSource.
func (q *Requeue) SourceGroup() string { return q.group(".requeue-to-source") }

func (q *Requeue) group(suffix string) string {
	if q.o.Group != "" {
		return q.o.Group
	}
	if name := q.o.Choice.Name(); name != "" {
		suffix += "." + name
	}
	return q.sendFor + suffix
}

// RequeueReport is the end of a requeue. The books are those of its group, and skipped are the letters that it passed over.
type RequeueReport struct {
	Report
	Group   string        `json:"group"`
	Letters []LetterCount `json:"letters"` // found at the start of this run, by kind
}

// Run delivers the originals to where the routes take them, up to the end that the dead-letter topic had at the start. It is a
// migration of that topic: resumed by the next Run, with books and a verdict.
func (q *Requeue) Run(ctx, hard context.Context, progress func(Progress)) (RequeueReport, error) {
	b, err := q.bridge()
	if err != nil {
		return RequeueReport{}, err
	}
	v, err := b.Migrate(ctx, hard, progress)
	return RequeueReport{Report: v, Group: q.Group(), Letters: b.requeue.found.Rows()}, err
}

// bridge makes the bridge of Run.
func (q *Requeue) bridge() (*Bridge, error) {
	c := *q.cfg
	c.Kafka.Group, c.DeadLetter.Limit = q.Group(), 0 // nothing drains into the dead-letter topic that was not there before
	b, err := New(&c, q.deps)
	if err != nil {
		return nil, err
	}
	onError := mapping.PolicyDeadLetter
	if q.o.StopAgain {
		onError = mapping.PolicyStop
	}
	b.requeue = &requeuing{b: b, reader: q.reader, sendsFor: q.sendFor, rate: requeue.Rate(q.o.Rate)}
	b.sources = mapping.Only(c.DeadLetter.Topic, onError)
	return b, nil
}

// requeuing is what a Bridge needs to deliver letters.
type requeuing struct {
	b        *Bridge
	reader   *requeue.Reader
	sendsFor string // the group in whose name packs are sent
	rate     requeue.Rate
	found    requeue.Summary
}

// look reads once what is planned, for the newest letter of each original and for the counts. Letters are delivered also where it fails.
func (r *requeuing) look(ctx context.Context) error {
	opts, err := plainOpts(r.b.cfg, r.b.deps, r.b.limits)
	if err != nil {
		return err
	}
	ranges := make(map[int32]requeue.Range)
	for i := range r.b.migration.plans {
		if p := &r.b.migration.plans[i]; !p.done && p.reason == "" {
			ranges[p.id.Num] = requeue.Range{From: p.start, To: p.end}
		}
	}
	found, err := look(ctx, r.reader, r.b.cfg.DeadLetter.Topic, opts, r.b.kafka, ranges, (*requeue.Letter).Target, nil)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.found = found
	if err != nil {
		r.b.log.Warn("the dead letters could not be looked at before the run; older letters of a record may be delivered beside its newest", "err", err)
		return nil
	}
	r.b.log.Info("letters found", "topic", r.b.cfg.DeadLetter.Topic, "group", r.b.cfg.Kafka.Group, "letters", found.String())
	return nil
}

// look reads ranges twice: for the newest letter of each original, and to judge each letter. where says where an original would go; each
// is nil or told of each letter.
func look(ctx context.Context, rd *requeue.Reader, topic string, opts []kgo.Opt, src *source.Source, ranges map[int32]requeue.Range,
	where func(l *requeue.Letter, original *kgo.Record) string, each func(r *kgo.Record, l *requeue.Letter, to string),
) (found requeue.Summary, err error) {
	s := requeue.Scan{Topic: topic, Opts: opts, Ranges: ranges, Next: nextRecord(src, topic)}
	err = s.Run(ctx, func(_ int32, recs []*kgo.Record, _ int64) error {
		for _, r := range recs {
			rd.See(r)
		}
		return nil
	})
	if err != nil {
		return found, err
	}
	err = s.Run(ctx, func(_ int32, recs []*kgo.Record, _ int64) error {
		for _, r := range recs {
			l, original := rd.Open(r)
			to := where(l, original)
			if found.Add(l, to); each != nil {
				each(r, l, to)
			}
		}
		return nil
	})
	return found, err
}

// nextRecord returns what finds the first record of a partition from an offset on, or where its log ends.
func nextRecord(src *source.Source, topic string) func(ctx context.Context, num int32, from int64) (int64, error) {
	return func(ctx context.Context, num int32, from int64) (int64, error) {
		return src.NewRound().NextRecord(ctx, part.ID{Topic: topic, Num: num}, [16]byte{}, from)
	}
}

// DryLetter is a letter that a dry run found.
type DryLetter struct {
	Partition int32     `json:"partition"` // of the dead-letter topic
	Offset    int64     `json:"offset"`
	Verdict   string    `json:"verdict"`
	Reason    string    `json:"reason,omitempty"`
	Sentence  string    `json:"sentence,omitempty"`
	Topic     string    `json:"topic,omitempty"` // of the original
	Of        string    `json:"of,omitempty"`    // identity of the original
	Time      time.Time `json:"time,omitzero"`   // when it became a letter
	Attempts  int       `json:"attempts,omitempty"`
	To        string    `json:"to"`
}

// DryReport is what a requeue would do.
type DryReport struct {
	Group   string        `json:"group"`
	Found   string        `json:"found"`
	Letters []LetterCount `json:"letters"`
}

// DryRun says what Run would do now, or ToSource. It changes and commits nothing. each is nil or told of each letter.
func (q *Requeue) DryRun(ctx context.Context, toSource bool, each func(DryLetter)) (DryReport, error) {
	group, where := q.Group(), (*requeue.Letter).Target
	if toSource {
		group, where = q.SourceGroup(), (*requeue.Letter).Home
	}
	w, err := q.ask(ctx, group)
	if err != nil {
		return DryReport{}, err
	}
	defer w.done()
	found, err := look(ctx, q.reader, q.cfg.DeadLetter.Topic, w.opts, w.src, w.ranges, where, func(r *kgo.Record, l *requeue.Letter, to string) {
		if each == nil {
			return
		}
		d := DryLetter{Partition: r.Partition, Offset: r.Offset, Verdict: l.Verdict.String(), To: to}
		if l.Instance != "" || l.Topic != "" {
			d.Reason, d.Sentence, d.Topic, d.Of, d.Time, d.Attempts = l.Reason, l.Sentence, l.Topic, l.Identity(), l.Time, l.Attempts
		}
		each(d)
	})
	if err != nil {
		return DryReport{}, fmt.Errorf("looking at the dead letters: %w", err)
	}
	return DryReport{Group: group, Found: found.String(), Letters: found.Rows()}, nil
}

// asked is the dead-letter topic as it is at the start, seen from a group.
type asked struct {
	opts   []kgo.Opt
	client *kgo.Client
	src    *source.Source
	survey *source.Survey
	ranges map[int32]requeue.Range // from where the group stands to the end
}

func (a *asked) done() { a.client.Close() }

// ask finds out where a group stands in the dead-letter topic.
func (q *Requeue) ask(ctx context.Context, group string) (*asked, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	opts, err := plainOpts(q.cfg, q.deps, q.cfg.Limits())
	if err != nil {
		return nil, err
	}
	a := &asked{opts: opts, ranges: make(map[int32]requeue.Range)}
	if a.client, err = kgo.NewClient(opts...); err != nil {
		return nil, fmt.Errorf("creating kafka client: %w", err)
	}
	if err := a.stand(ctx, q.cfg, group); err != nil {
		a.client.Close()
		return nil, err
	}
	return a, nil
}

// stand asks for the topic, and for the offsets from where the group stands to its end.
func (a *asked) stand(ctx context.Context, c *config.Config, group string) error {
	k, topic := &c.Kafka, c.DeadLetter.Topic
	a.src = source.New(source.Config{
		Client: a.client, Group: group, ReadCommitted: k.Isolation == "read_committed", FoundRunning: func(string) bool { return false },
	})
	details, err := a.src.ListTopics(ctx, []string{topic})
	if err != nil {
		return kafkaclient.Explain(err, fmt.Sprintf("asking kafka at %v for topic %s", k.Brokers, topic))
	}
	d, ok := details[topic]
	switch {
	case !ok || source.IsAbsent(d.Err):
		return noLetters(c)
	case d.Err != nil:
		return kafkaclient.Explain(d.Err, "asking for topic "+topic)
	}
	if a.survey, err = a.src.Survey(ctx, map[string][]int32{topic: d.Partitions.Numbers()}); err != nil {
		return kafkaclient.Explain(err, "asking for the offsets of topic "+topic)
	}
	for id, log := range a.survey.Logs {
		if log.Err != nil {
			return kafkaclient.Explain(log.Err, "listing offsets of "+id.String())
		}
		bg := a.survey.Begin(id, c.Delivery.OnGap == "continue")
		switch {
		case bg.Stop != nil:
			return errors.New(bg.Stop.Text())
		case bg.Refused != nil:
			return errors.New(source.DeletedTopic(id, bg.Refused, a.survey.Topics[topic].ID).Text())
		}
		a.ranges[id.Num] = requeue.Range{From: bg.Offset, To: log.End}
	}
	return nil
}

func noLetters(c *config.Config) error {
	return fmt.Errorf("the dead-letter topic %s does not exist in kafka at %v; hint: correct dead_letter.topic or kafka.brokers", c.DeadLetter.Topic, c.Kafka.Brokers)
}
