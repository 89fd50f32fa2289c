// Package confirmtest holds what every reader of a queue must do, as tests that run on any implementation and
// any broker, doubles and real ones.
package confirmtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/sdk/frame"
)

// Instance is that of the reader under test.
const Instance = "0123456789abcdefghijkl"

// The stream that is watched.
const (
	Group  = "g"
	Stream = "s"
)

// Broker is one queue cluster with the topic of the stream in it.
type Broker interface {
	// Create makes the topic.
	Create(t *testing.T, partitions int)
	// Grow gives it more partitions.
	Grow(t *testing.T, partitions int)
	Delete(t *testing.T)
	// Put returns when the broker has all of the values.
	Put(ctx context.Context, partition int, values ...[]byte) error
	// Expire takes away everything that is in a partition, as retention does.
	Expire(t *testing.T, partition int)
	// Break makes the broker fail as hard as it can, and Mend brings it back with all that was put.
	Break(t *testing.T)
	Mend(t *testing.T)
}

// Queue makes n clusters and a reader of the first ones that calls one silent after timeout, and closes everything
// when the test ends.
type Queue func(t *testing.T, n, read int, timeout time.Duration) Opened

// Opened is what a Queue made.
type Opened struct {
	Reader  confirm.Reader
	Brokers []Broker
	// Join has the reader read one more of the brokers.
	Join func(ctx context.Context, broker int, since time.Time) error
	// Since says that Join heeds what it is told.
	Since bool
	// Reading is how many topics, or partitions of topics, of a broker the client reads; nil where nobody can tell.
	Reading func(broker int) int
}

// Patience bounds every wait. Nothing is decided by it but that a test has failed.
const Patience = 60 * time.Second

// Run runs all tests.
func Run(t *testing.T, q Queue) {
	for _, test := range []struct {
		name string
		f    func(*bench)
	}{
		{"ForeignPacksAreIgnored", foreign},
		{"PositionsAreFixedBeforeTheFirstPack", positions},
		{"NoBarrierPassesBeforeTheSinkWasTold", told},
		{"BarrierNeverLiesUnderLoad", barriers},
		{"PartitionsAddedLaterAreReadFromTheirBeginning", grow},
		{"TopicCreatedLaterIsReadFromItsBeginning", create},
		{"TopicCreatedAgainIsReadFromItsBeginning", recreate},
		{"TopicIsMissingWhileNoClusterHasIt", lacking},
		{"UnwatchedTopicIsReadNoMoreAndMayBeWatchedAgain", unwatch},
		{"BarriersPassWhileStreamsComeAndGo", unwatchUnderLoad},
		{"RetentionThatOvertookTheReaderIsCounted", retention},
		{"OutageUnderLoadMissesNothing", outage},
		{"OneSilentClusterMeansNoBarrier", silent},
		{"ClusterThatJoinsIsReadAndWaitedFor", join},
		{"NothingPassesAClusterThatJoinsUnderLoad", joinUnderLoad},
		{"ClusterThatLeftIsNotWaitedFor", leave},
		{"BrowsingReadsEverythingOnce", browse},
		{"BrowsingBeginsWhereATimeLies", browseSince},
		{"BrowsingGoesOnAfterAnOutage", browseOutage},
		{"BrowsingASilentClusterIsAnErrorSoon", browseSilence},
		{"CloseEndsEverythingUnderWay", closing},
	} {
		t.Run(test.name, func(t *testing.T) { test.f(&bench{T: t, q: q, sink: NewSink()}) })
	}
}

// Pack is the value of a message of the queue that holds a pack of an instance.
func Pack(instance string, seq uint64) []byte {
	return Value(string(frame.AppendMid([]byte("groupId="+Group+"&streamId="+Stream+"&mid="), instance, seq)))
}

// Value is the value of a message of the queue that holds a pack with these attributes.
func Value(attr string) []byte {
	p := frame.Pack{Ext: frame.ExtStringIDs, Count: 1, Body: frame.AppendItem(nil, []byte("record")), Attr: []byte(attr)}
	value, err := frame.AppendInLongMsg(nil, &p, 1)
	if err != nil {
		panic("bug: " + err.Error())
	}
	return value
}

// Packs are packs of the reader's instance.
func Packs(from, to uint64) (values [][]byte) {
	for ; from < to; from++ {
		values = append(values, Pack(Instance, from))
	}
	return values
}

// Sink remembers what it was told.
type Sink struct {
	mu      sync.Mutex
	seen    map[uint64]bool
	answer  bool
	missing map[string]bool
	told    chan struct{}
}

// NewSink has been told nothing.
func NewSink() *Sink { return &Sink{seen: map[uint64]bool{}, told: make(chan struct{}, 1)} }

// Seen implements confirm.Sink.
func (s *Sink) Seen(seqs []uint64) {
	s.mu.Lock()
	for _, q := range seqs {
		s.seen[q] = true
	}
	s.mu.Unlock()
	s.wake()
}

// TopicMissing implements confirm.Sink.
func (s *Sink) TopicMissing(group, stream string, missing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.missing == nil {
		s.missing = make(map[string]bool)
	}
	s.missing[group+"."+stream] = missing
	s.wake()
}

// Missing reports whether a stream's topic is missing in every cluster.
func (s *Sink) Missing(group, stream string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.missing[group+"."+stream]
}

// RepairsUnseen implements confirm.Sink: nothing is sent again here.
func (s *Sink) RepairsUnseen() int { return 0 }

// QueueAnswers implements confirm.Sink.
func (s *Sink) QueueAnswers(ok bool) {
	s.mu.Lock()
	s.answer = ok
	s.mu.Unlock()
	s.wake()
}

func (s *Sink) wake() {
	select {
	case s.told <- struct{}{}:
	default:
	}
}

// Has reports whether a pack was seen.
func (s *Sink) Has(seq uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[seq]
}

// All are the packs that were seen, in order.
func (s *Sink) All() (seqs []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for q := range s.seen {
		seqs = append(seqs, q)
	}
	slices.Sort(seqs)
	return seqs
}

// Answers reports what it was told last.
func (s *Sink) Answers() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answer
}

type bench struct {
	*testing.T
	q      Queue
	opened Opened
	reader confirm.Reader
	broker []Broker
	sink   *Sink
}

func (b *bench) open(n int, timeout time.Duration) {
	b.Helper()
	b.openFirst(n, n, timeout)
}

// openFirst makes n clusters of which some are read.
func (b *bench) openFirst(n, read int, timeout time.Duration) {
	b.Helper()
	b.opened = b.q(b.T, n, read, timeout)
	b.reader, b.broker = b.opened.Reader, b.opened.Brokers
}

func (b *bench) join(broker int, since time.Time) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), Patience)
	defer cancel()
	if err := b.opened.Join(ctx, broker, since); err != nil {
		b.Fatal(err)
	}
}

// run has the reader read until the test ends.
func (b *bench) run() { b.runInto(b.sink) }

func (b *bench) runInto(sink confirm.Sink) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.reader.Run(ctx, sink) }()
	b.Cleanup(func() {
		stop()
		if err := <-done; err != nil && !errors.Is(err, confirm.ErrClosed) {
			b.Errorf("Run: %v", err)
		}
	})
}

func (b *bench) watch() {
	b.Helper()
	if err := b.reader.Watch(b.Context(), Group, Stream); err != nil {
		b.Fatal(err)
	}
}

func (b *bench) put(broker, partition int, values ...[]byte) {
	b.Helper()
	if err := b.broker[broker].Put(b.Context(), partition, values...); err != nil {
		b.Fatalf("putting %d packs: %v", len(values), err)
	}
}

func (b *bench) barrier() {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), Patience)
	defer cancel()
	for {
		// A topic that was created again under a barrier ends it; so does a cluster that came back just now.
		err := b.reader.Barrier(ctx)
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			b.Fatalf("%v\nstatus %+v", err, b.reader.Status())
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (b *bench) wait(what string, ok func() bool) {
	b.Helper()
	deadline := time.NewTimer(Patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-b.sink.told:
		case <-tick.C:
		case <-deadline.C:
			b.Fatalf("gave up waiting: %s; status %+v", what, b.reader.Status())
		}
	}
}

func (b *bench) wantSeen(from, to uint64) {
	b.Helper()
	got := b.sink.All()
	for i, s := range got {
		if s != from+uint64(i) {
			b.Errorf("pack %d was seen where %d was expected, %d in all; status %+v", s, from+uint64(i), len(got), b.reader.Status())
			return
		}
	}
	if n := int(to - from); len(got) != n {
		b.Errorf("%d packs seen, want %d; status %+v", len(got), n, b.reader.Status())
	}
}

// rest keeps a writer from filling the memory of a double.
func rest() {
	<-time.After(2 * time.Millisecond)
}

func foreign(b *bench) {
	b.open(1, Patience)
	b.broker[0].Create(b.T, 2)
	b.run()
	b.watch()
	b.put(0, 0, Pack("zzzzzzzzzzzzzzzzzzzzzz", 1), []byte("no InLongMsg"), []byte{}, Pack(Instance, 7))
	b.put(0, 1, Pack("zzzzzzzzzzzzzzzzzzzzzz", 8))
	b.barrier()
	b.wantSeen(7, 8)
	if s := b.reader.Status().Clusters[0]; s.Mine != 1 || s.Foreign != 2 || s.Unreadable != 2 || s.Messages != 5 || s.Lag != 0 || s.Missed != 0 || s.Partitions != 2 {
		b.Errorf("status %+v", s)
	}
}

func positions(b *bench) {
	b.open(2, Patience)
	for i := range 2 {
		b.broker[i].Create(b.T, 3)
		b.put(i, 1, Packs(900, 903)...) // before anybody watched
	}
	b.watch()
	b.put(0, 0, Packs(0, 3)...) // before anybody reads
	b.put(1, 1, Packs(3, 4)...)
	b.run()
	b.put(1, 1, Packs(4, 5)...)
	b.watch() // a second stream of the topic
	b.put(0, 2, Packs(5, 6)...)
	b.barrier()
	b.wantSeen(0, 6)
}

// What was acknowledged to a producer before Barrier was called has been reported when it returns.
func barriers(b *bench) {
	b.open(2, Patience)
	for i := range 2 {
		b.broker[i].Create(b.T, 2)
	}
	b.run()
	b.watch()
	l := &load{bench: b}
	ctx, cancel := context.WithTimeout(b.Context(), 2*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil && l.put(w%2, i%2, 1+i%5); i++ {
				rest()
			}
		})
	}
	wg.Go(func() {
		b.broker[1].Grow(b.T, 4)
		l.put(1, 2, 3)
		l.put(1, 3, 1)
	})
	passed := 0
	for (ctx.Err() == nil || passed == 0) && l.barrier() {
		passed++
	}
	wg.Wait()
	b.barrier()
	b.wantSeen(0, l.seq.Load())
	b.Logf("%d packs, %d barriers", l.seq.Load(), passed)
}

// load puts packs in while barriers run.
type load struct {
	*bench
	seq atomic.Uint64

	mu    sync.Mutex
	acked []uint64
}

// put reports whether the broker has n more packs.
func (l *load) put(broker, partition, n int) bool {
	last := l.seq.Add(uint64(n))
	if err := l.bench.broker[broker].Put(l.Context(), partition, Packs(last-uint64(n), last)...); err != nil {
		l.Error(err)
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for s := last - uint64(n); s < last; s++ {
		l.acked = append(l.acked, s)
	}
	return true
}

// barrier reports whether one passed with everything reported that was put in before it.
func (l *load) barrier() bool {
	l.mu.Lock()
	must := slices.Clone(l.acked)
	l.mu.Unlock()
	if err := l.reader.Barrier(l.Context()); err != nil {
		l.Errorf("barrier: %v", err)
		return false
	}
	for _, s := range must {
		if !l.sink.Has(s) {
			l.Errorf("barrier passed, pack %d of %d not reported", s, len(must))
			return false
		}
	}
	return true
}

func grow(b *bench) {
	b.open(1, Patience)
	b.broker[0].Create(b.T, 1)
	b.run()
	b.watch()
	b.broker[0].Grow(b.T, 3)
	b.put(0, 2, Packs(0, 5)...)
	b.barrier()
	b.wantSeen(0, 5)
	b.put(0, 1, Packs(5, 9)...)
	b.wait("packs in a new partition, without a barrier", func() bool { return b.sink.Has(8) })
}

func create(b *bench) {
	b.open(2, Patience)
	b.broker[0].Create(b.T, 1)
	b.run()
	b.watch()
	b.barrier() // nothing there yet in the second cluster
	if got := b.reader.Status().Clusters[1].MissingTopics; len(got) != 1 || !strings.Contains(got[0], Stream) {
		b.Errorf("missing topics of the second cluster: %q", got)
	}
	b.broker[1].Create(b.T, 2)
	b.put(1, 0, Packs(0, 5)...)
	b.put(1, 1, Packs(5, 7)...)
	b.barrier()
	b.wantSeen(0, 7)
}

// lacking: only a topic that no cluster has is missing. Where one of two has it, packs may be seen there.
func lacking(b *bench) {
	b.open(2, Patience)
	b.run()
	b.watch()
	missing := func(want bool) {
		b.Helper()
		b.wait(fmt.Sprint("topic missing: ", want), func() bool { return b.sink.Missing(Group, Stream) == want })
	}
	topics := func(want ...bool) {
		b.Helper()
		b.wait(fmt.Sprint("topic missing in each cluster: ", want), func() bool {
			var got []bool
			for _, at := range b.reader.Topics(Group, Stream) {
				got = append(got, at.Missing)
			}
			return slices.Equal(got, want)
		})
	}
	missing(true)
	topics(true, true)
	b.broker[1].Create(b.T, 1)
	missing(false)
	topics(true, false)
	b.broker[1].Delete(b.T)
	missing(true)
	topics(true, true)
	if got := b.reader.Topics(Group, "another"); len(got) != 0 {
		b.Errorf("topics of a stream that is not watched: %v", got)
	}
}

func unwatch(b *bench) {
	b.open(2, Patience)
	b.broker[0].Create(b.T, 2)
	b.run()
	b.watch()
	b.put(0, 0, Packs(0, 3)...)
	b.barrier()
	b.reader.Unwatch(Group, Stream)
	for i, c := range b.reader.Status().Clusters {
		if c.Topics != 0 || c.Partitions != 0 || len(c.MissingTopics) != 0 {
			b.Errorf("after Unwatch: %+v", c)
		}
		if b.opened.Reading != nil {
			b.wait("the client to leave the topic", func() bool { return b.opened.Reading(i) == 0 })
		}
	}
	if got := b.reader.Topics(Group, Stream); len(got) != 0 {
		b.Errorf("topics of a stream that was unwatched: %v", got)
	}
	b.barrier() // over nothing
	if b.opened.Reading != nil {
		b.put(0, 1, Packs(900, 903)...) // of nobody who waits
	}
	b.watch()
	b.put(0, 0, Packs(3, 5)...)
	b.put(0, 1, Packs(5, 7)...)
	b.barrier()
	b.wantSeen(0, 7)

	// The sink is told again that the topic is missing: a stream that is watched again begins with a topic that exists.
	b.broker[0].Delete(b.T)
	missing := func() bool { return b.sink.Missing(Group, Stream) }
	b.wait("the topic to be missing", missing)
	b.reader.Unwatch(Group, Stream)
	b.sink.TopicMissing(Group, Stream, false)
	b.watch()
	b.wait("the topic to be missing again", missing)
}

func unwatchUnderLoad(b *bench) {
	b.open(1, Patience)
	b.broker[0].Create(b.T, 2)
	b.run()
	b.watch()
	l := &load{bench: b}
	ctx, cancel := context.WithTimeout(b.Context(), 2*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ctx.Err() == nil && l.put(0, i%2, 1+i%5); i++ {
			rest()
		}
	})
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			stream := fmt.Sprint("idle", i%3) // their topics are missing
			if err := b.reader.Watch(b.Context(), Group, stream); err != nil {
				b.Error(err)
				return
			}
			rest()
			b.reader.Unwatch(Group, stream)
		}
	})
	passed := 0
	for (ctx.Err() == nil || passed == 0) && l.barrier() {
		passed++
	}
	wg.Wait()
	b.barrier()
	b.wantSeen(0, l.seq.Load())
	b.Logf("%d packs, %d barriers", l.seq.Load(), passed)
}

func recreate(b *bench) {
	b.open(1, Patience)
	b.broker[0].Create(b.T, 2)
	b.put(0, 0, Packs(900, 920)...)
	b.run()
	b.watch()
	b.put(0, 0, Packs(0, 5)...)
	b.barrier()
	b.broker[0].Delete(b.T)
	b.broker[0].Create(b.T, 2)
	b.put(0, 0, Packs(5, 40)...)
	b.put(0, 1, Packs(40, 45)...)
	b.barrier()
	b.wantSeen(0, 45)
	b.put(0, 0, Packs(45, 47)...)
	b.barrier()
	b.wantSeen(0, 47)
}

func retention(b *bench) {
	b.open(1, Patience)
	b.broker[0].Create(b.T, 1)
	b.put(0, 0, Packs(900, 910)...)
	b.watch() // nobody reads yet
	b.put(0, 0, Packs(900, 905)...)
	if err := b.reader.Watch(b.Context(), Group, Stream); err != nil { // lists the end
		b.Fatal(err)
	}
	b.broker[0].Expire(b.T, 0)
	b.put(0, 0, Packs(0, 5)...)
	b.run()
	b.wait("what is there", func() bool { return b.sink.Has(4) })
	b.barrier()
	b.wantSeen(0, 5)
	if s := b.reader.Status().Clusters[0]; s.Missed == 0 {
		b.Errorf("status %+v, want missed messages", s)
	}
	// To the very end: nothing is left to read, and a barrier still passes.
	b.broker[0].Expire(b.T, 0)
	b.barrier()
	b.put(0, 0, Packs(5, 7)...)
	b.barrier()
	b.wantSeen(0, 7)
}

func outage(b *bench) {
	b.open(1, 1500*time.Millisecond)
	b.broker[0].Create(b.T, 2)
	b.run()
	b.watch()
	b.wait("the queue to answer", b.sink.Answers)
	stop := make(chan struct{})
	var wrote uint64
	var wg sync.WaitGroup
	wg.Go(func() {
		for ; ; wrote += 10 {
			rest()
			select {
			case <-stop:
				return
			default:
			}
			// A broker that died may have it all the same, so again until it says so.
			for b.broker[0].Put(b.Context(), int(wrote/10)%2, Packs(wrote, wrote+10)...) != nil {
				select {
				case <-time.After(50 * time.Millisecond):
				case <-stop:
					return
				}
			}
		}
	})
	for range 2 {
		before := len(b.sink.All())
		b.wait("more packs", func() bool { return len(b.sink.All()) >= before+200 })
		b.broker[0].Break(b.T)
		b.wait("the silence to be noticed", func() bool { return !b.sink.Answers() })
		if err := b.reader.Barrier(b.Context()); err == nil {
			b.Error("a barrier passed over a broker that is down")
		}
		b.broker[0].Mend(b.T)
		b.wait("the queue to answer again", b.sink.Answers)
	}
	close(stop)
	wg.Wait()
	b.barrier()
	for s := range wrote {
		if !b.sink.Has(s) {
			b.Fatalf("pack %d of %d was missed; status %+v", s, wrote, b.reader.Status())
		}
	}
	b.Logf("%d packs", wrote)
}

func silent(b *bench) {
	b.open(2, 1500*time.Millisecond)
	b.broker[0].Create(b.T, 1)
	b.broker[1].Create(b.T, 1)
	b.run()
	b.watch()
	b.barrier()
	b.wait("the queue to answer", b.sink.Answers)
	b.broker[1].Break(b.T)
	defer b.broker[1].Mend(b.T)
	b.wait("the silence to be noticed", func() bool { return !b.sink.Answers() })
	if err := b.reader.Barrier(b.Context()); err == nil || !strings.Contains(err.Error(), "hint") {
		b.Errorf("Barrier = %v, want an error with a remedy", err)
	}
	b.put(0, 0, Packs(0, 1)...) // the other one is read on
	b.wait("a pack in the cluster that lives", func() bool { return b.sink.Has(0) })
	if s := b.reader.Status(); s.Answers || !s.Clusters[0].Answers || s.Clusters[1].Answers || s.Clusters[1].LastError == "" {
		b.Errorf("status %+v", s)
	}
}

func join(b *bench) {
	b.openFirst(2, 1, Patience)
	for i := range 2 {
		b.broker[i].Create(b.T, 2)
	}
	b.run()
	b.watch()
	b.put(0, 0, Packs(0, 2)...)
	b.put(1, 1, Packs(10, 12)...) // long before
	rest()
	since := time.Now()
	rest()
	b.put(1, 1, Packs(20, 22)...) // the proxies knew of the cluster sooner
	b.barrier()
	b.wantSeen(0, 2)
	b.join(1, since)
	b.put(1, 0, Packs(30, 32)...)
	b.put(0, 1, Packs(2, 3)...)
	b.barrier()
	want := []uint64{0, 1, 2, 30, 31}
	if b.opened.Since {
		want = []uint64{0, 1, 2, 20, 21, 30, 31}
	}
	if got := b.sink.All(); !slices.Equal(got, want) {
		b.Errorf("seen %v, want %v", got, want)
	}
	if err := b.opened.Join(b.Context(), 1, since); err == nil {
		b.Error("a cluster joined twice")
	}
	// What is watched later is watched there too.
	if err := b.reader.Watch(b.Context(), Group, "later"); err != nil {
		b.Fatal(err)
	}
	s := b.reader.Status()
	if !s.Answers || len(s.Clusters) != 2 || s.Clusters[1].Topics != 2 || s.Clusters[1].Partitions != 2 {
		b.Errorf("status %+v", s)
	}
}

func joinUnderLoad(b *bench) {
	b.openFirst(2, 1, Patience)
	for i := range 2 {
		b.broker[i].Create(b.T, 1)
	}
	b.run()
	b.watch()
	l := &load{bench: b}
	ctx, cancel := context.WithTimeout(b.Context(), 2*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	write := func(broker int) {
		for ctx.Err() == nil && l.put(broker, 0, 1) {
			rest()
		}
	}
	wg.Go(func() { write(0) })
	wg.Go(func() {
		<-time.After(500 * time.Millisecond)
		if err := b.opened.Join(b.Context(), 1, time.Time{}); err != nil {
			b.Error(err)
			return
		}
		write(1)
	})
	for range 2 {
		wg.Go(func() {
			for ctx.Err() == nil && l.barrier() {
			}
		})
	}
	wg.Wait()
	b.barrier()
	b.wantSeen(0, l.seq.Load())
}

func leave(b *bench) {
	b.open(2, 1500*time.Millisecond)
	for i := range 2 {
		b.broker[i].Create(b.T, 1)
	}
	b.run()
	b.watch()
	b.barrier()
	name := b.reader.Status().Clusters[1].Name
	b.broker[1].Break(b.T)
	b.wait("the silence to be noticed", func() bool { return !b.sink.Answers() })
	if err := b.reader.Barrier(b.Context()); err == nil {
		b.Error("a barrier passed over a broker that is down")
	}
	if !b.reader.Leave(name) {
		b.Fatalf("%s did not leave", name)
	}
	b.wait("the queue to answer again", b.sink.Answers)
	b.put(0, 0, Packs(0, 1)...)
	b.barrier()
	b.wantSeen(0, 1)
	s := b.reader.Status()
	if !s.Answers || len(s.Clusters) != 1 {
		b.Errorf("status %+v", s)
	}
	if b.reader.Leave(name) || b.reader.Leave(s.Clusters[0].Name) {
		b.Error("a cluster left that is not there, or the last one")
	}
	// It comes back under its name.
	b.broker[1].Mend(b.T)
	b.join(1, time.Time{})
	b.put(1, 0, Packs(1, 2)...)
	b.barrier()
	b.wantSeen(0, 2)
}

func closing(b *bench) {
	b.open(1, Patience)
	b.broker[0].Create(b.T, 1)
	b.watch()
	b.put(0, 0, Packs(0, 1)...)
	barrier := make(chan error, 1)
	go func() { barrier <- b.reader.Barrier(b.Context()) }() // nobody runs: it cannot pass
	b.run()
	if err := <-barrier; err != nil {
		b.Errorf("Barrier = %v", err)
	}
	b.wantSeen(0, 1)
	go func() { barrier <- b.reader.Barrier(b.Context()) }()
	b.reader.Close()
	b.reader.Close()
	if err := <-barrier; err != nil && !errors.Is(err, confirm.ErrClosed) {
		b.Errorf("Barrier = %v, want nil or ErrClosed", err)
	}
	if err := b.reader.Watch(b.Context(), Group, "x"); !errors.Is(err, confirm.ErrClosed) {
		b.Errorf("Watch after Close = %v, want ErrClosed", err)
	}
	if err := b.reader.Run(b.Context(), b.sink); !errors.Is(err, confirm.ErrClosed) {
		b.Errorf("Run after Close = %v, want ErrClosed", err)
	}
}
