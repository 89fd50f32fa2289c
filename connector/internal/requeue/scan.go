package requeue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/part"
	"inlong-bridge/mapping"
)

// scanPatience is how long a scan waits for the next record, or for an answer that there is none.
const scanPatience = time.Minute

// Scan reads ranges of a topic once, as a member of no group.
type Scan struct {
	Topic  string
	Opts   []kgo.Opt // of a client of the source's brokers, without the hook
	Ranges map[int32]Range
	// Next returns the offset of the first record of a partition from an offset on, or where its log ends: logs may end in offsets
	// that hold no record.
	Next func(ctx context.Context, partition int32, from int64) (int64, error)
	Rate Rate
}

// ErrLeave is returned by the function that visits records when it wants no more of their partition.
var ErrLeave = errors.New("nothing more of the partition is wanted")

// scanAtOnce is how many records are visited at a time.
const scanAtOnce = 500

// Run calls visit with consecutive records of one partition, and with the offset up to which that partition is read then. Another error
// of visit than ErrLeave ends the scan.
func (s *Scan) Run(ctx context.Context, visit func(partition int32, recs []*kgo.Record, upTo int64) error) error {
	left := make(map[int32]Range)
	at := make(map[int32]kgo.Offset)
	for num, r := range s.Ranges {
		if r.From < r.To {
			left[num], at[num] = r, kgo.NoResetOffset().At(r.From)
		}
	}
	if len(left) == 0 {
		return nil
	}
	cl, err := kgo.NewClient(append(slices.Clone(s.Opts), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{s.Topic: at}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.KeepControlRecords(), kgo.MaxConcurrentFetches(1), kgo.FetchMaxBytes(8<<20))...)
	if err != nil {
		return fmt.Errorf("creating kafka client: %w", err)
	}
	defer cl.Close()
	most := scanAtOnce
	if n := s.Rate.Most(); n > 0 {
		most = min(n, most)
	}
	for moved := time.Now(); len(left) > 0; {
		poll, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		fs := cl.PollRecords(poll, most)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var failed error
		fs.EachPartition(func(fp kgo.FetchTopicPartition) {
			if failed == nil {
				failed = s.took(left, fp, visit)
			}
		})
		if n := fs.NumRecords(); n > 0 {
			moved = time.Now()
			s.Rate.Wait(ctx, n)
		} else if failed == nil {
			failed = s.pastEnds(ctx, left, visit)
		}
		if failed != nil {
			return failed
		}
		if time.Since(moved) > scanPatience {
			return fmt.Errorf("reading topic %s: nothing came for %v, and %d partitions are not read to their end; hint: look at the brokers that lead them", s.Topic, scanPatience, len(left))
		}
	}
	return nil
}

// took hands over what was fetched of a partition.
func (s *Scan) took(left map[int32]Range, fp kgo.FetchTopicPartition, visit func(int32, []*kgo.Record, int64) error) error {
	r, ok := left[fp.Partition]
	if !ok {
		return nil
	}
	if part.JumpsStart(fp.Records, fp.LogStartOffset, r.From) {
		return fmt.Errorf("reading %s/%d: offsets %d to %d are gone from Kafka: the log begins behind them; hint: start again", s.Topic, fp.Partition, r.From, fp.LogStartOffset-1)
	}
	var recs []*kgo.Record
	from := r.From
	for _, rec := range fp.Records {
		if rec.Offset >= r.To {
			r.From = r.To
			break
		}
		if rec.Offset < from {
			continue
		}
		if r.From = rec.Offset + 1; !rec.Attrs.IsControl() {
			recs = append(recs, rec)
		}
	}
	left[fp.Partition] = r
	if r.From > from {
		if err := s.visit(left, fp.Partition, recs, visit); err != nil {
			return err
		}
	}
	if fp.Err != nil && !errors.Is(fp.Err, context.DeadlineExceeded) && !errors.Is(fp.Err, context.Canceled) {
		return fmt.Errorf("reading %s/%d at offset %d: %w", s.Topic, fp.Partition, r.From, fp.Err)
	}
	return nil
}

// visit hands over records of a partition, and ends it if nothing is left of it.
func (s *Scan) visit(left map[int32]Range, num int32, recs []*kgo.Record, visit func(int32, []*kgo.Record, int64) error) error {
	r := left[num]
	err := visit(num, recs, r.From)
	if r.From >= r.To || errors.Is(err, ErrLeave) {
		delete(left, num)
	}
	if errors.Is(err, ErrLeave) {
		return nil
	}
	return err
}

// pastEnds ends ranges that hold no further record.
func (s *Scan) pastEnds(ctx context.Context, left map[int32]Range, visit func(int32, []*kgo.Record, int64) error) error {
	for num, r := range left {
		next, err := s.Next(ctx, num, r.From)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil || next < r.To { // the fetches get the same error
			continue
		}
		left[num] = Range{r.To, r.To}
		if err := s.visit(left, num, nil, visit); err != nil {
			return err
		}
	}
	return nil
}

// See takes in a record that Scan read, before any letter is opened.
func (rd *Reader) See(r *kgo.Record) { rd.newest.saw(r) }

// ForgetsOlder reports whether there are more originals than a Reader remembers, so that older letters of some are delivered too.
func (rd *Reader) ForgetsOlder() bool { return rd.newest.full }

// Row is a kind of letters.
type Row struct {
	Verdict   string `json:"verdict"`
	Reason    string `json:"reason,omitempty"`
	Topic     string `json:"topic,omitempty"` // of the originals
	Partition int32  `json:"partition"`       // of the originals
	To        string `json:"to,omitempty"`    // where the routes take them, or why they take them nowhere
}

// Counted is a row with its number of letters.
type Counted struct {
	Row
	Letters int64 `json:"letters"`
}

// maxRows is how many kinds are told apart.
const maxRows = 10_000

// Summary counts letters by kind.
type Summary struct {
	rows map[Row]int64
	by   [len(verdictNames)]int64
}

// Add counts a letter.
func (s *Summary) Add(l *Letter, to string) {
	s.by[l.Verdict]++
	row := Row{l.Verdict.String(), l.Reason, l.Topic, l.Partition, to}
	if s.rows == nil {
		s.rows = make(map[Row]int64)
	}
	if _, known := s.rows[row]; !known && len(s.rows) >= maxRows {
		row = Row{Verdict: l.Verdict.String(), Reason: "(more kinds than are told apart)"}
	}
	s.rows[row]++
}

// Of is how many letters have a verdict.
func (s *Summary) Of(v Verdict) int64 { return s.by[v] }

// Rows returns the counts in order.
func (s *Summary) Rows() []Counted {
	out := make([]Counted, 0, len(s.rows))
	for row, n := range s.rows {
		out = append(out, Counted{row, n})
	}
	slices.SortFunc(out, func(a, b Counted) int {
		return cmp.Or(strings.Compare(a.Verdict, b.Verdict), strings.Compare(a.Reason, b.Reason), strings.Compare(a.Topic, b.Topic),
			cmp.Compare(a.Partition, b.Partition), strings.Compare(a.To, b.To))
	})
	return out
}

// String says how many letters there are of each verdict.
func (s *Summary) String() string {
	parts := make([]string, len(s.by))
	for v, n := range s.by {
		parts[v] = fmt.Sprintf("%d %s", n, Verdict(v))
	}
	return strings.Join(parts, ", ")
}

// Target is where the routes take the original of a letter, as they are now.
func (l *Letter) Target(original *kgo.Record) string {
	topic, result, err := l.Way()
	if topic != nil {
		var target mapping.Target
		target, result, err = topic.Route(original.Key, func() (out []mapping.Header) {
			for _, h := range original.Headers {
				out = append(out, mapping.Header{Key: h.Key, Value: h.Value})
			}
			return out
		})
		if result == mapping.Routed {
			return target.String()
		}
	}
	switch {
	case result == mapping.Skip:
		return "passed over"
	case topic != nil:
		return fmt.Sprintf("no stream: %v", err)
	}
	return fmt.Sprintf("stop: %v", err)
}

// Home is the topic and partition that the original of a letter came from.
func (l *Letter) Home(*kgo.Record) string {
	topic, _, err := l.Way()
	switch {
	case topic != nil:
		return fmt.Sprintf("%s/%d", l.Topic, l.Partition)
	case err != nil:
		return fmt.Sprintf("stop: %v", err)
	}
	return "passed over"
}
