package connector

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"inlong-bridge/connector/config"
	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/route"
	"inlong-bridge/connector/internal/source"
	"inlong-bridge/connector/lineage"
	"inlong-bridge/connector/resume"
	"inlong-bridge/connector/verify"
)

// logBrowser is a topic of the queue in memory.
type logBrowser struct {
	confirm.Browser
	logs    []aLog
	since   func(log *aLog, at time.Time) int // where a time lies
	untold  error                             // nobody tells where a time lies
	browsed int
}

type aLog struct {
	start    int  // what lay before was deleted
	silent   bool // it does not tell where it begins
	messages []confirm.Message
}

func (*logBrowser) Name() string { return "q" }

func (q *logBrowser) listing() confirm.TopicListing {
	l := confirm.TopicListing{Exists: true, Partitions: make(map[int32]confirm.Bounds)}
	for n, log := range q.logs {
		b := confirm.Bounds{Start: confirm.At(int64(log.start)), End: confirm.At(int64(len(log.messages)))}
		if log.silent && log.start < len(log.messages) {
			b.Start = confirm.Unknown
		}
		l.Partitions[int32(n)] = b
	}
	return l
}

func (q *logBrowser) Since(_ context.Context, _ string, at time.Time) (map[int32]confirm.Offset, error) {
	out := make(map[int32]confirm.Offset)
	for n := range q.logs {
		out[int32(n)] = confirm.At(int64(q.since(&q.logs[n], at)))
	}
	return out, q.untold
}

func (q *logBrowser) Browse(_ context.Context, s confirm.Stretch, f func(*confirm.Message) error) error {
	log := &q.logs[s.Partition]
	for i := max(int(s.From.Entry), log.start); i < int(s.To.Entry); i++ {
		q.browsed++
		if err := f(&log.messages[i]); err != nil {
			return err
		}
	}
	return nil
}

// firstSince is what a broker says: the first message with such a time, in the order of the log.
func firstSince(log *aLog, at time.Time) int {
	for i := log.start; i < len(log.messages); i++ {
		if !log.messages[i].Time.Before(at) {
			return i
		}
	}
	return len(log.messages)
}

// moved is a source partition, and what a group's books say of it.
type moved struct {
	books   resume.Books
	seen    time.Time
	letters []int64 // that are told
	records []int64 // of the source
	times   []time.Time
}

// moving is a queue and what its source's books say. What the queue lacks, its times, and what it deleted are random.
type moving struct {
	q       *logBrowser
	sources []moved
	topic   resume.TopicID
}

func newMoving(t *testing.T, r *rand.Rand) *moving {
	m := &moving{q: &logBrowser{logs: make([]aLog, 1+r.IntN(3)), since: firstSince}, topic: resume.TopicID{7}}
	seen := time.UnixMilli(1_790_000_000_000)
	often := func(share float64) bool { return r.Float64() < share }
	rare := func(share float64) float64 { // of a share of all migrations
		return []float64{0, share}[r.IntN(2)]
	}
	lost, aside, gone, wrong, untold := rare(0.05), rare(0.2), rare(0.3), rare(0.1), rare(1)
	put := func(at time.Time, value []byte) {
		if often(wrong) {
			at = at.Add(time.Duration(r.IntN(6*3600)-3*3600) * time.Second)
		}
		log := &m.q.logs[r.IntN(len(m.q.logs))]
		log.messages = append(log.messages, confirm.Message{Time: at, Value: value})
	}
	for range r.IntN(20) { // before the books
		attr := []string{"&k=v", "&mid=abc.2&bg=" + route.OriginOf("c", "bridge"), ""}[r.IntN(3)]
		if r.IntN(9) > 0 {
			attr = "&k=v"
		}
		put(seen.Add(-time.Duration(61+r.IntN(7200))*time.Second), packOf(t, "c", m.topic, aPack{offsets: from(0, 3), attr: attr}))
	}
	for n := range int32(1 + r.IntN(2)) {
		s := moved{seen: seen, books: resume.Books{From: r.Int64N(5)}}
		now, open := seen, []int64(nil)
		send := func(requeued bool, offsets ...int64) {
			if len(offsets) > 0 {
				put(now, packOf(t, "c", m.topic, aPack{partition: n, offsets: offsets, requeued: requeued}))
			}
		}
		for o, end := s.books.From, s.books.From+r.Int64N(80); o < end; o++ {
			record := true
			now = now.Add(time.Duration(r.IntN(120)) * time.Second)
			switch fate := r.IntN(4); {
			case !often(aside) || fate == 3:
				if s.books.Final++; !often(lost) {
					open = append(open, o)
				}
			case fate == 0:
				s.books.Skipped++
			case fate == 1:
				s.books.Gap++
				record = often(0.05) // the books are wrong
			case fate == 2:
				if s.books.Dead++; !often(untold) {
					s.letters = append(s.letters, o)
				}
				if often(0.3) {
					send(true, o)
				}
				if often(0.2) { // a proxy had it all the same
					send(false, o)
				}
			}
			if record {
				s.records, s.times = append(s.records, o), append(s.times, now)
			}
			if len(open) > r.IntN(9) {
				send(false, open...)
				if often(0.1) {
					send(false, open...)
				}
				open = nil
			}
		}
		send(false, open...)
		m.sources = append(m.sources, s)
	}
	for n := range m.q.logs {
		log := &m.q.logs[n]
		log.silent = r.IntN(3) == 0
		if often(gone) {
			log.start = r.IntN(len(log.messages) + 1)
		}
	}
	switch r.IntN(6) {
	case 0: // a broker that knows nothing about times
		lie := r.Uint64()
		m.q.since = func(log *aLog, _ time.Time) int { return log.start + int(lie%uint64(len(log.messages)-log.start+2)) }
	case 1:
		m.q.untold = errors.New("no times here")
	}
	return m
}

// verify compares the books with the queue, read from where they began or from its beginning.
func (m *moving) verify(t *testing.T, whole bool) (*verification, []verify.Verdict) {
	t.Helper()
	v := &verification{
		cfg: &config.Config{}, survey: source.NewSurvey(time.Now(), source.Start{}, "c"), accounts: make(map[lineage.Source]*account),
		origin: route.OriginOf("c", "bridge"), memory: verify.NewMemory(64 << 20),
	}
	v.cfg.Delivery.Confirm = "queue"
	v.fill()
	for n, s := range m.sources {
		end := s.books.From + s.books.Sum()
		a := &account{id: part.ID{Topic: "orders", Num: int32(n)}, Account: verify.NewAccount(s.books, end, v.memory)}
		a.commit.Line.Seen.At = s.seen
		v.survey.Logs[a.id] = source.Log{End: end}
		v.accounts[lineage.SourceOf(lineage.ClusterOf("c"), m.topic, "orders", a.id.Num)] = a
		v.ordered = append(v.ordered, a)
		for _, o := range s.letters {
			if err := a.SawLetter(o, o); err != nil {
				t.Fatal(err)
			}
		}
	}
	v.walk = func(_ context.Context, w source.Walk) (int64, error) {
		s := m.sources[w.ID.Num]
		for i, o := range s.records {
			if err := w.Record(o, s.times[i]); err != nil {
				return o, err
			}
		}
		return w.End, nil
	}
	if !whole {
		v.since = v.noted()
	}
	if err := v.add(t.Context(), m.q, "q", m.q.listing()); err != nil {
		t.Fatal(err)
	}
	m.q.browsed = 0
	if err := errors.Join(v.readQueue(t.Context()), v.compare(t.Context())); err != nil {
		t.Fatal(err)
	}
	var verdicts []verify.Verdict
	for _, a := range v.ordered {
		verdicts = append(verdicts, a.Judge(v.doubts(a)))
	}
	return v, verdicts
}

// Reading from where the books began, by clocks that may be wrong and brokers that may lie, says of each partition what reading all of the
// queue says. What came before is read only if something is missing without it.
func TestVerdictIsThatOfTheWholeQueue(t *testing.T) {
	seen := make(map[string]int)
	for seed := range uint64(4000) {
		m := newMoving(t, rand.New(rand.NewPCG(seed, 11)))
		_, want := m.verify(t, true)
		all := m.q.browsed
		v, got := m.verify(t, false)
		for n := range got {
			if v.sums.OlderRead && !reflect.DeepEqual(got[n], want[n]) || got[n].Outcome != want[n].Outcome || got[n].Missing != want[n].Missing {
				t.Fatalf("seed %d, partition %d: %+v, want %+v; books %+v, read %+v", seed, n, got[n], want[n], m.sources[n].books, v.sums)
			}
		}
		found := !slices.ContainsFunc(want, func(v verify.Verdict) bool { return v.Outcome != verify.Found })
		switch {
		case m.q.browsed > all, v.sums.Skipped > 0 && m.q.browsed > all-int(v.sums.Skipped), v.sums.Later == 0 && m.q.browsed != all:
			t.Fatalf("seed %d: %d of %d messages were read, and %+v", seed, m.q.browsed, all, v.sums)
		case v.sums.OlderRead && found:
			seen["found in the older messages"]++
		case v.sums.OlderRead:
			seen["not all found in all"]++
		case v.sums.Later > 0:
			seen["older messages left alone"]++
		case m.q.untold != nil && v.sums.NoPosition != "":
			seen["not told"]++
		}
		for n := range want {
			seen[string(want[n].Outcome)]++
		}
	}
	for _, what := range []string{"found in the older messages", "not all found in all", "older messages left alone", "not told", "found", "missing", "doubtful"} {
		if seen[what] < 20 {
			t.Errorf("%s: %d migrations are no test", what, seen[what])
		}
	}
	t.Log(seen)
}

func TestVerifyLeavesAloneWhatIsOlderThanTheBooks(t *testing.T) {
	t.Parallel()
	p := newProof(t)
	p.produce("orders", 0, 0, 40, 0)
	p.commit(0, resume.Books{Final: 40})
	p.seen = p.at.Add(10 * time.Minute) // the earliest counts
	p.commit(1, resume.Books{})
	for i := range 30 {
		p.put(0, p.value(aPack{attr: "&mid=abc.2&bg=" + route.OriginOf(p.cluster, "bridge")}), p.at.Add(time.Duration(i-90)*time.Minute))
	}
	p.put(1, p.value(aPack{offsets: from(40, 44)}), p.at.Add(-time.Hour))    // by a clock that is wrong
	p.put(1, p.value(aPack{offsets: from(0, 9)}), p.at.Add(-30*time.Second)) // by a slow clock
	p.put(0, p.value(aPack{offsets: from(10, 39)}), p.at.Add(time.Minute))
	var steps []string
	say := VerifyOptions{Say: func(step string) { steps = append(steps, step) }}
	v := p.verify(say)
	p.wants("everything since the books began", v, Pass)
	since := p.at.Add(-clocksDiffer).Truncate(time.Millisecond)
	if q := v.Queue; q.Messages != 2 || q.Skipped != 31 || q.Later != 2 || q.OlderRead || q.Since == nil || !q.Since.Equal(since) {
		t.Errorf("read %+v, want 2 messages since %v, and 31 left alone", q, since)
	}
	if want := "reading the queue since " + since.UTC().Format(time.RFC3339); !slices.Contains(steps, want) {
		t.Errorf("steps %q, want %q among them", steps, want)
	}

	// What is not found is looked for in all of it.
	p.produce("orders", 0, 40, 45, 0)
	p.commit(0, resume.Books{Final: 45})
	v = p.verify(say)
	p.wants("a clock that is wrong proves nothing", v, Pass)
	if q := v.Queue; q.Messages != 33 || !q.OlderRead || q.Skipped != 0 || q.Later != 0 || !strings.Contains(steps[len(steps)-2], "older messages") {
		t.Errorf("read %+v, steps %q", q, steps)
	}
	p.produce("orders", 0, 45, 50, 0)
	p.commit(0, resume.Books{Final: 50})
	p.wants("what is older than the books has no lineage", p.verify(say), Unproven, verify.Interval{First: 45, Last: 49})
}
