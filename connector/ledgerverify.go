package connector

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/deadletter"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/requeue"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/internal/source"
	"inlong-bridge/connector/kafkaclient"
	"inlong-bridge/connector/lineage"
	"inlong-bridge/connector/resume"
	"inlong-bridge/connector/verify"
)

// VerifyOptions say how Verify works.
type VerifyOptions struct {
	Topics   []string // of the source; nil for all
	NoSource bool     // the source is not asked which offsets are records
	// QueueComplete is the operator's word that the queue has deleted nothing since the books began.
	QueueComplete bool
	Memory        int64                   // for the bitmaps, in bytes
	Progress      func(read, total int64) // of the queue's messages, as far as they can be counted; nil for none
	Say           func(step string)       // what is done now; nil for nothing
	now           time.Time
}

const (
	// clocksDiffer is the most by which the clocks of producers, proxies and brokers may differ.
	clocksDiffer = time.Minute
	// arriveTime is how long a pack may take into the queue after a commit that did not wait for it to be seen there.
	arriveTime = 5 * time.Minute
)

// ErrNoQueueTopic says that the queue has no topic of the routes.
var ErrNoQueueTopic = errors.New("no topic of the routes exists in the queue")

// Verify is Ledger, and compares the books with what lies in the queue behind the proxies: see docs/operations.md. The commits
// are read before the ends of the queue, so that a bridge may run meanwhile.
func Verify(ctx context.Context, cfg *config.Config, deps Deps, o VerifyOptions) (Report, error) {
	src, done, err := asking(cfg, deps, cfg.Kafka.Group)
	if err != nil {
		return Report{}, err
	}
	defer done()
	o.fill()
	o.Say("reading the books")
	rows, survey, err := ledgerRows(ctx, cfg, src)
	if err != nil {
		return Report{}, err
	}
	if len(o.Topics) > 0 {
		rows = slices.DeleteFunc(rows, func(r PartitionReport) bool { return !slices.Contains(o.Topics, r.Topic) })
		if len(rows) == 0 {
			return Report{}, fmt.Errorf("%w: group %s has no commit of the topics %q", ErrNoBooks, cfg.Kafka.Group, o.Topics)
		}
	}
	v := &verification{
		VerifyOptions: o, cfg: cfg, deps: deps, src: src, walk: src.WalkRecords, survey: survey, accounts: make(map[lineage.Source]*account),
		origin: route.OriginOf(survey.Cluster, cfg.Kafka.Group), memory: verify.NewMemory(o.Memory),
	}
	v.open(rows)
	defer v.close()
	for _, step := range []func(context.Context) error{v.findQueue, v.readQueue, v.readLetters, v.compare} {
		if err := step(ctx); err != nil {
			return Report{}, v.explain(err)
		}
	}
	for _, a := range v.ordered {
		q := a.Judge(v.doubts(a))
		q.Source = a.source
		a.row.Queue = &q
	}
	report := newReport(cfg.Delivery.Confirm, rows)
	report.Proves, report.Queue = "each offset was looked up in the queue by the lineage of its packs", &v.sums
	return report, nil
}

func (o *VerifyOptions) fill() {
	if o.Progress == nil {
		o.Progress = func(int64, int64) {}
	}
	if o.Say == nil {
		o.Say = func(string) {}
	}
	o.now = time.Now()
}

// verification is a Verify under way.
type verification struct {
	VerifyOptions
	cfg      *config.Config
	deps     Deps
	src      *source.Source
	walk     func(context.Context, source.Walk) (int64, error) // asks the source
	survey   *source.Survey
	origin   string
	memory   *verify.Memory
	accounts map[lineage.Source]*account
	ordered  []*account // the same
	sums     QueueSums
	queue    *Queue
	readings []*reading
	since    time.Time // see noted
	total    int64     // of messages to be read, as far as they can be counted
	oldest   time.Time // the queue has deleted nothing that came later; zero if it has deleted nothing
	expired  string    // which partition that is
	letters  int64     // in the books
}

func (v *verification) close() {
	if v.queue != nil {
		v.queue.Close()
	}
}

// account is the account of a row.
type account struct {
	*verify.Account
	row    *PartitionReport
	id     part.ID
	commit resume.Commit
	source string // why the source does not tell, "" if it does
}

// open makes an account of each row whose books are believed.
func (v *verification) open(rows []PartitionReport) {
	cluster := lineage.ClusterOf(v.survey.Cluster)
	for i := range rows {
		row := &rows[i]
		id := part.ID{Topic: row.Topic, Num: row.Partition}
		c, had := v.survey.Commits[id]
		t := v.survey.Topics[id.Topic].ID
		gone := v.survey.Logs[id].Err != nil
		if !had || !c.Ours || !c.Line.Books.Close(c.Offset) || !gone && c.Judge(v.survey.Cluster, t) != resume.Known {
			continue
		}
		if gone { // only the line tells which topic it was
			t = c.Line.Topic
		}
		a := &account{Account: verify.NewAccount(c.Line.Books, c.Offset, v.memory), row: row, id: id, commit: c}
		v.accounts[lineage.SourceOf(cluster, t, id.Topic, id.Num)] = a
		v.ordered = append(v.ordered, a)
		v.letters += c.Line.Books.Dead
	}
}

// readLetters reads which offsets have a dead letter, if the books tell of any and the topic is known.
func (v *verification) readLetters(ctx context.Context) error {
	topic := v.cfg.DeadLetter.Topic
	if v.letters == 0 || topic == "" || v.NoSource {
		return nil
	}
	v.Say("reading dead letters")
	opts, err := plainOpts(v.cfg, v.deps, v.cfg.Limits())
	if err != nil {
		return err
	}
	ranges, err := v.lettersNow(ctx, topic)
	if err == nil {
		s := requeue.Scan{Topic: topic, Opts: opts, Ranges: ranges, Next: nextRecord(v.src, topic)}
		err = s.Run(ctx, v.sawLetters)
	}
	if err != nil {
		return kafkaclient.Explain(err, "reading dead letters of topic "+topic)
	}
	return nil
}

// lettersNow returns the offsets that a dead-letter topic has now, of each partition; none if there is no such topic.
func (v *verification) lettersNow(ctx context.Context, topic string) (map[int32]requeue.Range, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	details, err := v.src.ListTopics(ctx, []string{topic})
	if d, ok := details[topic]; err != nil || !ok || source.IsAbsent(d.Err) {
		return nil, err
	} else if d.Err != nil {
		return nil, d.Err
	}
	s, err := v.src.Survey(ctx, map[string][]int32{topic: details[topic].Partitions.Numbers()})
	if err != nil {
		return nil, err
	}
	ranges := make(map[int32]requeue.Range)
	for id, log := range s.Logs {
		if log.Err != nil {
			return nil, fmt.Errorf("listing offsets of %s: %w", id, log.Err)
		}
		ranges[id.Num] = requeue.Range{From: log.Start, To: log.End}
	}
	return ranges, nil
}

// sawLetters notes records of the dead-letter topic. A letter that was withdrawn counts until compaction takes it: its record is one all the
// same.
func (v *verification) sawLetters(_ int32, recs []*kgo.Record, _ int64) error {
	for _, r := range recs {
		if requeue.Withdraws(r) {
			continue
		}
		l, _, err := deadletter.Decode(r)
		if err != nil {
			v.sums.BadLetters++ // its record counts as dead-lettered by number only
			continue
		}
		if a := v.accounts[lineage.SourceOf(lineage.ClusterOf(l.Cluster), l.TopicID, l.Topic, l.Partition)]; a != nil {
			if err := a.SawLetter(l.Offset, l.Last); err != nil {
				return err
			}
		}
	}
	return nil
}

// askSource asks the source which of the offsets that were not found are records.
func (v *verification) askSource(ctx context.Context) error {
	v.Say("asking the source about offsets that were not found")
	for _, a := range v.ordered {
		log := v.survey.Logs[a.id]
		a.ForgetSource()
		a.source = ""
		switch {
		case v.NoSource:
			a.source = "the source was not asked"
		case log.Err != nil:
			a.source = fmt.Sprintf("the source does not tell: %v", log.Err)
		}
		if a.source != "" {
			a.CannotTell(a.Books.From, a.End-1)
			continue
		}
		t := v.survey.Topics[a.id.Topic].ID
		at, err := v.walk(ctx, source.Walk{
			ID: a.id, Topic: t, Start: log.Start, End: a.End, Next: a.NextNotFound,
			Record: func(offset int64, at time.Time) error {
				return a.IsRecord(offset, at.After(v.oldest.Add(clocksDiffer)))
			},
			Gone: func(first, last int64) {
				a.source = fmt.Sprintf("the source has deleted what lay before offset %d", last+1)
				a.CannotTell(first, last)
			},
		})
		switch {
		case err == nil:
		case ctx.Err() != nil, errors.Is(err, verify.ErrMemory):
			return err
		default: // the books still tell how many there are
			a.source = err.Error()
			a.CannotTell(at, a.End-1)
		}
	}
	return nil
}

// doubts are what could explain that records of a partition were not found.
func (v *verification) doubts(a *account) (d verify.Doubts) {
	seen := a.commit.Line.Seen.At
	if v.expired != "" && !v.QueueComplete && !v.oldest.Add(clocksDiffer).Before(seen) {
		d.Expired = v.expired
	}
	var other []string
	s := &v.sums
	say := func(n int64, format string) {
		if n > 0 {
			other = append(other, fmt.Sprintf(format, n))
		}
	}
	say(s.NoLineage, "%d packs of this or an unknown bridge carry no lineage")
	say(s.Unreadable, "%d messages or lineages of the queue cannot be read")
	if mode := v.cfg.Delivery.Confirm; mode != "queue" && v.now.Sub(a.commit.Line.At) < arriveTime {
		other = append(other, fmt.Sprintf("in mode %s records may arrive after their commit, which is younger than %v: ask again later", mode, arriveTime))
	}
	d.Other = strings.Join(other, "; ")
	return d
}

// explain says what to do about an error.
func (v *verification) explain(err error) error {
	if errors.Is(err, verify.ErrMemory) {
		return fmt.Errorf("comparing offsets: %w (%d MiB); hint: allow more with --memory, or verify topic by topic with --topic", err, v.Memory>>20)
	}
	return err
}

// missingText says what was not found, and why that is no proof if it is none.
func missingText(q *verify.Verdict) string {
	var where []string
	for i, v := range q.Intervals {
		if i == 5 {
			break
		}
		where = append(where, fmt.Sprintf("%d-%d", v.First, v.Last))
	}
	at := "at the offsets " + strings.Join(where, ", ")
	if q.AtMost {
		at = "at most at the offsets " + strings.Join(where, ", ")
	}
	if more := int64(len(q.Intervals)-len(where)) + q.More; more > 0 {
		at += fmt.Sprintf(" and %d more intervals", more)
	}
	if q.Outcome == verify.Missing {
		return fmt.Sprintf("%d records that the books call final are not in the queue, %s", q.Missing, at)
	}
	return fmt.Sprintf("%d records were not found in the queue, %s: %s", q.NoProof, at, q.Reason)
}
