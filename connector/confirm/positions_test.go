package confirm_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/sdk/dptest/seeds"
)

type bounds = map[int32]confirm.Bounds

func ends(ends ...int64) bounds {
	b := bounds{}
	for i, e := range ends {
		b[int32(i)] = confirm.Bounds{Start: confirm.Unknown, End: confirm.At(e)}
	}
	return b
}

func says(fresh confirm.Ticket, topic string, id byte, b bounds) confirm.Listing {
	return confirm.Listing{Fresh: fresh, Topics: map[string]confirm.TopicListing{
		topic: {Exists: b != nil, ID: [16]byte{id}, Partitions: b},
	}}
}

// book is the reader's side: lives and where it was told to begin.
type book struct {
	t *testing.T
	p *confirm.Positions
	m map[confirm.Place]confirm.Start
}

func newBook(t *testing.T, clusters ...string) *book {
	return &book{t, confirm.NewPositions(clusters...), map[confirm.Place]confirm.Start{}}
}

func (b *book) take(s []confirm.Start, err error) []confirm.Start {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, x := range s {
		b.m[x.Place] = x
	}
	return s
}

func (b *book) read(cluster, topic string, partition int32, next int64) {
	at := confirm.Place{Cluster: cluster, Topic: topic, Partition: partition}
	b.p.Advance(at, b.m[at].Life, confirm.At(next))
}

func (b *book) wantStart(cluster, topic string, partition int32, offset int64, why confirm.Why, missed int64) {
	b.t.Helper()
	s, ok := b.m[confirm.Place{Cluster: cluster, Topic: topic, Partition: partition}]
	if !ok || s.Offset != confirm.At(offset) || s.Why != why || s.Missed != missed {
		b.t.Errorf("partition %d of %s in %s begins at %v (%v, missed %d, known %v), want %d (%v, missed %d)",
			partition, topic, cluster, s.Offset, s.Why, s.Missed, ok, offset, why, missed)
	}
}

func (b *book) passed(x *confirm.Barrier) bool {
	b.t.Helper()
	ok, err := b.p.Passed(x)
	if err != nil {
		b.t.Fatal(err)
	}
	return ok
}

func (b *book) begin(since confirm.Ticket, said map[string]confirm.Listing) *confirm.Barrier {
	b.t.Helper()
	x, s, err := b.p.Begin(since, said)
	b.take(s, err)
	return x
}

func TestReadingBeginsAtTheEndsThatWereListed(t *testing.T) {
	b := newBook(t, "a")
	b.take(b.p.Fix("a", "t", says(b.p.Ask(), "t", 1, ends(10, 20))))
	b.wantStart("a", "t", 0, 10, confirm.Fixed, 0)
	b.wantStart("a", "t", 1, 20, confirm.Fixed, 0)
	// A second stream in the same topic moves nothing.
	b.read("a", "t", 0, 12)
	if s := b.take(b.p.Fix("a", "t", says(b.p.Ask(), "t", 1, ends(30, 30)))); len(s) != 0 {
		t.Errorf("watching a watched topic started reading again: %v", s)
	}
}

func TestWhatAppearsLaterIsReadFromItsBeginning(t *testing.T) {
	b := newBook(t, "a")
	b.take(b.p.Fix("a", "t", says(b.p.Ask(), "t", 1, ends(10))))
	b.take(b.p.Fix("a", "u", says(b.p.Ask(), "u", 0, nil)))
	b.take(b.p.Update("a", says(b.p.Ask(), "t", 1, ends(10, 7))))
	b.wantStart("a", "t", 1, 0, confirm.Appeared, 0)
	b.take(b.p.Update("a", says(b.p.Ask(), "u", 2, bounds{0: {Start: confirm.At(3), End: confirm.At(9)}})))
	b.wantStart("a", "u", 0, 3, confirm.Appeared, 3)
}

func TestBarrierWaitsForEveryPartitionOfEveryCluster(t *testing.T) {
	b := newBook(t, "a", "b")
	b.take(b.p.Fix("a", "t", says(b.p.Ask(), "t", 1, ends(0))))
	b.take(b.p.Fix("b", "t", says(b.p.Ask(), "t", 9, ends(0))))
	since := b.p.Ask()
	x := b.begin(since, map[string]confirm.Listing{
		"a": says(since, "t", 1, ends(5, 3)), // partition 1 is new to us: it takes part
		"b": says(since, "t", 9, ends(4)),
	})
	b.read("a", "t", 0, 5)
	b.read("b", "t", 0, 4)
	if b.passed(x) {
		t.Fatal("passed without the partition that the barrier itself found")
	}
	b.wantStart("a", "t", 1, 0, confirm.Appeared, 0)
	b.read("a", "t", 1, 2)
	if b.passed(x) {
		t.Fatal("passed with a message unread")
	}
	b.read("a", "t", 1, 3)
	if !b.passed(x) {
		t.Fatal("not passed although all was read")
	}
}

// 1. a barrier begins while a log ends at 7, and the reader stands at 6  2. an unclean election cuts the log off at 6
// Offset 7 of that log may never come, and the position need not go back: only the barrier notices.
func TestBarrierOverALogThatWasCutOffAheadOfTheReaderEnds(t *testing.T) {
	b := newBook(t, "a")
	b.take(b.p.Fix("a", "t", says(b.p.Ask(), "t", 1, ends(0))))
	since := b.p.Ask()
	x := b.begin(since, map[string]confirm.Listing{"a": says(since, "t", 1, ends(7))})
	b.read("a", "t", 0, 6)
	if b.passed(x) {
		t.Fatal("passed with a message unread")
	}
	b.take(b.p.Update("a", says(b.p.Ask(), "t", 1, ends(6))))
	if ok, err := b.p.Passed(x); ok || !confirm.AskAgain(err) {
		t.Fatalf("passed %v, error %v; want an error after which the barrier is begun again", ok, err)
	}
	since = b.p.Ask()
	if !b.passed(b.begin(since, map[string]confirm.Listing{"a": says(since, "t", 1, ends(6))})) {
		t.Fatal("the barrier that was begun after the cut did not pass though everything was read")
	}
}

func TestNoBarrierWithoutFreshAnswersOfAllClusters(t *testing.T) {
	b := newBook(t, "a", "b")
	old := b.p.Ask()
	b.take(b.p.Fix("a", "t", says(old, "t", 1, ends(0))))
	b.take(b.p.Fix("b", "t", says(old, "t", 9, ends(0))))
	since := b.p.Ask()
	fresh := map[string]confirm.Listing{"a": says(since, "t", 1, ends(0)), "b": says(since, "t", 9, ends(0))}
	for _, tt := range []struct {
		name, want string
		change     func(m map[string]confirm.Listing)
	}{
		{"one cluster of two", "cluster b has not answered", func(m map[string]confirm.Listing) { delete(m, "b") }},
		{"an answer kept from before", "older than the barrier", func(m map[string]confirm.Listing) { m["b"] = says(old, "t", 9, ends(0)) }},
		{"a topic left out", "topic t of cluster a", func(m map[string]confirm.Listing) { m["a"] = says(since, "u", 1, ends(0)) }},
		{"a partition left out", "partition 0 of topic t in cluster a is missing", func(m map[string]confirm.Listing) { m["a"] = says(since, "t", 1, bounds{}) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := map[string]confirm.Listing{"a": fresh["a"], "b": fresh["b"]}
			tt.change(m)
			if _, _, err := b.p.Begin(since, m); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Begin = %v, want an error with %q", err, tt.want)
			}
		})
	}
	if !b.passed(b.begin(since, fresh)) {
		t.Error("empty partitions hold a barrier")
	}
}

func TestRecreatedTopicIsReadFromItsBeginning(t *testing.T) {
	b := newBook(t, "a")
	b.take(b.p.Fix("a", "t", says(b.p.Ask(), "t", 1, ends(10))))
	since := b.p.Ask()
	x := b.begin(since, map[string]confirm.Listing{"a": says(since, "t", 1, ends(12))})
	oldLife := b.m[confirm.Place{Cluster: "a", Topic: "t"}].Life

	b.take(b.p.Update("a", says(b.p.Ask(), "t", 0, nil))) // deleted for a moment
	b.take(b.p.Update("a", says(b.p.Ask(), "t", 2, ends(50))))
	b.wantStart("a", "t", 0, 0, confirm.Recreated, 0)
	if _, err := b.p.Passed(x); err == nil {
		t.Error("a barrier over the old topic was not given up")
	}
	since = b.p.Ask()
	x = b.begin(since, map[string]confirm.Listing{"a": says(since, "t", 2, ends(50))})
	b.p.Advance(confirm.Place{Cluster: "a", Topic: "t"}, oldLife, confirm.At(99)) // read before, told late
	if b.passed(x) {
		t.Error("what was read of the old topic counts for the new one")
	}
	b.read("a", "t", 0, 50)
	if !b.passed(x) {
		t.Error("not passed although all was read")
	}
}

func TestLateAnswerAboutTheOldTopicIsIgnored(t *testing.T) {
	b := newBook(t, "a")
	b.take(b.p.Fix("a", "t", says(b.p.Ask(), "t", 1, ends(10))))
	slow := b.p.Ask()
	b.take(b.p.Update("a", says(b.p.Ask(), "t", 2, ends(5, 5))))
	if s := b.take(b.p.Update("a", says(slow, "t", 1, ends(10)))); len(s) != 0 {
		t.Errorf("an older answer brought back the old topic: %v", s)
	}
	if _, _, err := b.p.Begin(slow, map[string]confirm.Listing{"a": says(slow, "t", 1, ends(10))}); err == nil {
		t.Error("a barrier began over a topic that is gone")
	}
}

// Of two questions on their way the later one was answered first, before partition 1 was made.
func TestNoBarrierOverAPartitionThatNobodyReads(t *testing.T) {
	b := newBook(t, "a")
	b.take(b.p.Fix("a", "t", says(b.p.Ask(), "t", 1, ends(0))))
	first, second := b.p.Ask(), b.p.Ask()
	b.take(b.p.Update("a", says(second, "t", 1, ends(0))))
	if _, _, err := b.p.Begin(first, map[string]confirm.Listing{"a": says(first, "t", 1, ends(0, 7))}); err == nil {
		t.Error("a barrier began that nothing read can pass")
	}
	third := b.p.Ask()
	x := b.begin(third, map[string]confirm.Listing{"a": says(third, "t", 1, ends(0, 7))})
	if b.passed(x) {
		t.Error("passed with the new partition unread")
	}
	b.read("a", "t", 1, 7)
	if !b.passed(x) {
		t.Error("not passed although all was read")
	}
}

func TestClusterThatJoinsIsReadFromWhereItWasTold(t *testing.T) {
	b := newBook(t, "a")
	b.take(b.p.Fix("a", "t", says(b.p.Ask(), "t", 1, ends(0))))
	if err := b.p.Add("b"); err != nil || b.p.Add("b") == nil || b.p.Add("a") == nil {
		t.Fatalf("adding b: %v; and twice, or a, must be an error", err)
	}
	b.take(b.p.FixFrom("b", "t", says(b.p.Ask(), "t", 9, bounds{0: {Start: confirm.At(20), End: confirm.At(25)}})))
	b.wantStart("b", "t", 0, 20, confirm.Fixed, 0)
	// A second stream in the same topic: where it was told to begin is not where the log begins.
	if s := b.take(b.p.FixFrom("b", "t", says(b.p.Ask(), "t", 9, bounds{0: {Start: confirm.At(24), End: confirm.At(26)}}))); len(s) != 0 {
		t.Errorf("watching a watched topic started reading again: %v", s)
	}
	since := b.p.Ask()
	only := map[string]confirm.Listing{"a": says(since, "t", 1, ends(0))}
	if !b.passed(b.begin(since, only)) {
		t.Error("a barrier waits for a cluster that has not joined")
	}
	b.p.Join("b")
	if _, _, err := b.p.Begin(since, only); err == nil {
		t.Error("a barrier began without a cluster that has joined")
	}
	since = b.p.Ask()
	x := b.begin(since, map[string]confirm.Listing{"a": says(since, "t", 1, ends(0)), "b": says(since, "t", 9, ends(26))})
	b.read("b", "t", 0, 25)
	if b.passed(x) {
		t.Error("passed with a message unread")
	}
	b.read("b", "t", 0, 26)
	if !b.passed(x) {
		t.Error("not passed although all was read")
	}
}

func TestBarrierFromBeforeAClusterLeftNeverPassesWhenItIsBack(t *testing.T) {
	b := newBook(t, "a", "b")
	b.take(b.p.Fix("a", "t", says(b.p.Ask(), "t", 1, ends(0))))
	b.take(b.p.Fix("b", "t", says(b.p.Ask(), "t", 9, ends(0))))
	since := b.p.Ask()
	x := b.begin(since, map[string]confirm.Listing{"a": says(since, "t", 1, ends(0)), "b": says(since, "t", 9, ends(5))})
	b.p.Remove("b")
	if err := b.p.Add("b"); err != nil {
		t.Fatal(err)
	}
	b.take(b.p.Fix("b", "t", says(b.p.Ask(), "t", 9, ends(8))))
	b.p.Join("b")
	if ok, err := b.p.Passed(x); ok || err == nil {
		t.Errorf("Passed = %v, %v although 0 to 5 of b were never reported", ok, err)
	}
}

// Of two questions on their way the later one was answered first, by a broker that knew more.
func TestNoBarrierWithoutAPartitionThatIsKnown(t *testing.T) {
	for name, behind := range map[string]bounds{"partition": ends(0), "topic": nil} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t, "a")
			b.take(b.p.Fix("a", "t", says(b.p.Ask(), "t", 1, behind)))
			first, second := b.p.Ask(), b.p.Ask()
			b.take(b.p.Update("a", says(second, "t", 1, ends(0, 7))))
			if _, _, err := b.p.Begin(first, map[string]confirm.Listing{"a": says(first, "t", 1, behind)}); err == nil {
				t.Error("a barrier began without partition 1, which is known to hold 7 messages that were not read")
			}
		})
	}
}

func TestClusterThatLeftHoldsNothingAndCountsForNothing(t *testing.T) {
	b := newBook(t, "a", "b")
	b.take(b.p.Fix("a", "t", says(b.p.Ask(), "t", 1, ends(0))))
	b.take(b.p.Fix("b", "t", says(b.p.Ask(), "t", 9, ends(0))))
	life := b.m[confirm.Place{Cluster: "b", Topic: "t"}].Life
	since := b.p.Ask()
	x := b.begin(since, map[string]confirm.Listing{"a": says(since, "t", 1, ends(0)), "b": says(since, "t", 9, ends(5))})
	b.p.Remove("b")
	if ok, err := b.p.Passed(x); ok || err == nil {
		t.Errorf("Passed = %v, %v; a barrier over what is not read any more can never pass", ok, err)
	}
	since = b.p.Ask()
	if !b.passed(b.begin(since, map[string]confirm.Listing{"a": says(since, "t", 1, ends(0))})) {
		t.Error("a barrier waits for a cluster that left")
	}
	// Back under its name: what was read before, and is told late, counts for nothing.
	if err := b.p.Add("b"); err != nil {
		t.Fatal(err)
	}
	b.take(b.p.Fix("b", "t", says(b.p.Ask(), "t", 9, ends(5))))
	b.p.Join("b")
	since = b.p.Ask()
	x = b.begin(since, map[string]confirm.Listing{"a": says(since, "t", 1, ends(0)), "b": says(since, "t", 9, ends(7))})
	b.p.Advance(confirm.Place{Cluster: "b", Topic: "t"}, life, confirm.At(99))
	if b.passed(x) {
		t.Error("what was read before the cluster left counts")
	}
}

func TestDeletedTopicThatIsBackKeepsItsPositions(t *testing.T) {
	b := newBook(t, "a")
	b.take(b.p.Fix("a", "t", says(b.p.Ask(), "t", 1, ends(10))))
	b.take(b.p.Update("a", says(b.p.Ask(), "t", 0, nil)))
	if s := b.take(b.p.Update("a", says(b.p.Ask(), "t", 1, ends(12)))); len(s) != 0 {
		t.Errorf("a broker that was behind made us start again: %v", s)
	}
}

func TestWithoutTopicIDsALostPartitionShowsAnotherTopic(t *testing.T) {
	b := newBook(t, "a")
	b.take(b.p.Fix("a", "t", says(b.p.Ask(), "t", 0, ends(10, 10))))
	b.take(b.p.Update("a", says(b.p.Ask(), "t", 0, ends(3))))
	b.wantStart("a", "t", 0, 0, confirm.Recreated, 0)
}

func TestRetentionThatOvertakesIsCounted(t *testing.T) {
	b := newBook(t, "a")
	b.take(b.p.Fix("a", "t", says(b.p.Ask(), "t", 1, ends(10))))
	b.take(b.p.Update("a", says(b.p.Ask(), "t", 1, bounds{0: {Start: confirm.At(25), End: confirm.At(30)}})))
	b.wantStart("a", "t", 0, 25, confirm.Overtaken, 15)
}

func TestCutLogIsReadFromItsBeginning(t *testing.T) {
	b := newBook(t, "a")
	b.take(b.p.Fix("a", "t", says(b.p.Ask(), "t", 1, ends(10))))
	b.read("a", "t", 0, 40)
	b.take(b.p.Update("a", says(b.p.Ask(), "t", 1, bounds{0: {Start: confirm.At(5), End: confirm.At(30)}})))
	b.wantStart("a", "t", 0, 5, confirm.Truncated, 0)
}

func TestReadingOnWhileTheAnswerTravelsIsNoCut(t *testing.T) {
	b := newBook(t, "a")
	b.take(b.p.Fix("a", "t", says(b.p.Ask(), "t", 1, ends(10))))
	asked := b.p.Ask()
	b.read("a", "t", 0, 40)
	if s := b.take(b.p.Update("a", says(asked, "t", 1, ends(30)))); len(s) != 0 {
		t.Errorf("started again: %v", s)
	}
	// Nor when the question of a barrier overtakes it.
	slow := b.p.Ask()
	b.read("a", "t", 0, 50)
	quick := b.p.Ask()
	b.take(b.p.Update("a", says(slow, "t", 1, ends(45))))
	if s := b.take(b.p.Update("a", says(quick, "t", 1, ends(50)))); len(s) != 0 {
		t.Errorf("started again: %v", s)
	}
}

func TestRewindEndsTheLife(t *testing.T) {
	b := newBook(t, "a")
	b.take(b.p.Fix("a", "t", says(b.p.Ask(), "t", 1, ends(10))))
	at := confirm.Place{Cluster: "a", Topic: "t"}
	b.read("a", "t", 0, 40)
	old := b.m[at].Life
	s, ok := b.p.Rewind(at, old, confirm.At(30))
	if !ok || s.Offset != confirm.At(30) || s.Why != confirm.Diverged {
		t.Fatalf("Rewind = %+v %v", s, ok)
	}
	b.p.Advance(at, old, confirm.At(99))
	since := b.p.Ask()
	if b.passed(b.begin(since, map[string]confirm.Listing{"a": says(since, "t", 1, ends(35))})) {
		t.Error("what was cut counts as read")
	}
	if _, ok := b.p.Rewind(at, old, confirm.At(5)); ok {
		t.Error("a life was ended twice")
	}
}

func TestStuckPartitionsAreFoundTheSecondTime(t *testing.T) {
	b := newBook(t, "a")
	b.take(b.p.Fix("a", "t", says(b.p.Ask(), "t", 1, ends(10, 0))))
	b.take(b.p.Update("a", says(b.p.Ask(), "t", 1, ends(12, 0))))
	if s := b.p.Stuck("a"); len(s) != 0 {
		t.Errorf("stuck at once: %v", s)
	}
	if s := b.p.Stuck("a"); len(s) != 1 || s[0].Next != confirm.At(10) || s[0].End != confirm.At(12) {
		t.Errorf("Stuck = %v, want partition 0 from 10 to 12", s)
	}
	b.read("a", "t", 0, 12)
	if s := b.p.Stuck("a"); len(s) != 0 {
		t.Errorf("stuck after it moved: %v", s)
	}
}

// Random logs that grow, are cut at the start, get partitions and are re-created; a reader that reads what
// it is told to, told late; barriers with answers that come late. When a barrier passes, every message that
// lay in a log when it was called and still does must have been read.
func TestBarrierNeverPassesOverUnreadMessages(t *testing.T) {
	type log struct {
		start, end int64
		read       map[int64]bool
		cursor     int64
		life       uint64
	}
	type topicState struct {
		id   byte
		logs []*log
	}
	passed := 0
	seeds.Run(t, 300, 100, func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 3))
		clusters := []string{"a", "b"}
		p := confirm.NewPositions(clusters...)
		world := map[string]*topicState{}
		for _, c := range clusters {
			world[c] = &topicState{id: 1}
			for range 1 + r.IntN(2) {
				world[c].logs = append(world[c].logs, &log{end: int64(r.IntN(5)), read: map[int64]bool{}})
			}
		}
		apply := func(starts []confirm.Start) {
			for _, s := range starts {
				if logs := world[s.Cluster].logs; int(s.Partition) < len(logs) {
					logs[s.Partition].cursor, logs[s.Partition].life = s.Offset.Entry, s.Life
				}
			}
		}
		listing := func(c string, fresh confirm.Ticket) confirm.Listing {
			b := bounds{}
			for i, l := range world[c].logs {
				b[int32(i)] = confirm.Bounds{Start: confirm.At(l.start), End: confirm.At(l.end)}
			}
			return says(fresh, "t", world[c].id, b)
		}
		type unread struct {
			l      *log
			offset int64
		}
		type barrier struct {
			b    *confirm.Barrier
			must []unread
		}
		for _, c := range clusters {
			l := listing(c, p.Ask())
			starts, err := p.Fix(c, "t", l)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range world[c].logs {
				for off := range x.end {
					x.read[off] = true // before we watched
				}
			}
			apply(starts)
		}
		var open []barrier
		for range 400 {
			c := clusters[r.IntN(2)]
			w := world[c]
			l := w.logs[r.IntN(len(w.logs))]
			switch k := r.IntN(40); {
			case k < 12:
				l.end += int64(r.IntN(3))
			case k < 24: // read some, if the reader knows the partition
				if l.life == 0 || l.cursor < l.start {
					continue
				}
				to := min(l.end, l.cursor+int64(r.IntN(4)))
				for off := l.cursor; off < to; off++ {
					l.read[off] = true
				}
				l.cursor = max(l.cursor, to)
				p.Advance(confirm.Place{Cluster: c, Topic: "t", Partition: int32(slices.Index(w.logs, l))}, l.life, confirm.At(l.cursor))
			case k < 26:
				starts, err := p.Update(c, listing(c, p.Ask()))
				if err != nil {
					t.Fatal(err)
				}
				apply(starts)
			case k == 26:
				l.start += (l.end - l.start) / 2
			case k == 27:
				w.logs = append(w.logs, &log{read: map[int64]bool{}})
			case k == 28 && r.IntN(4) == 0:
				w.id++
				w.logs = []*log{{read: map[int64]bool{}, end: int64(r.IntN(60))}}
			case k < 32:
				var x barrier
				since := p.Ask()
				for _, c := range clusters {
					for _, l := range world[c].logs {
						for off := l.start; off < l.end; off++ {
							if !l.read[off] {
								x.must = append(x.must, unread{l, off})
							}
						}
					}
				}
				// The answer may be younger than the call.
				world["a"].logs[0].end += int64(r.IntN(2))
				said := map[string]confirm.Listing{"a": listing("a", since), "b": listing("b", since)}
				b, starts, err := p.Begin(since, said)
				apply(starts)
				if err == nil {
					x.b = b
					open = append(open, x)
				}
			default:
				for i := 0; i < len(open); i++ {
					ok, err := p.Passed(open[i].b)
					if err == nil && !ok {
						continue
					}
					if ok {
						passed++
						for _, u := range open[i].must {
							if u.offset >= u.l.start && !u.l.read[u.offset] && (slices.Contains(world["a"].logs, u.l) || slices.Contains(world["b"].logs, u.l)) {
								t.Fatalf("barrier passed, message %d unread", u.offset)
							}
						}
					}
					open = append(open[:i], open[i+1:]...)
					i--
				}
			}
		}
	})
	if passed < 300 {
		t.Errorf("%d barriers passed in all: the schedules show nothing", passed)
	}
}
