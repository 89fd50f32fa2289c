package connector

import (
	"log/slog"
	"testing"
	"time"

	"inlong-bridge/connector/internal/part"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
)

// 1. topic orders is deleted and created again  2. a fetch returns records of the new one at offsets that follow
// the old one's. They are another topic's records: the partition stops and takes none of them.
func TestFetchOfAnotherTopicOfTheSameNameIsNotTaken(t *testing.T) {
	t.Parallel()
	e := newEnv(t, withPartitions(1))
	e.produce("orders", 0, 0, 10, 0)
	r := e.start(e.config("queue"))
	e.waitCommitted("orders", 0, 10)
	r.b.group.PauseFetchTopics("orders")
	if err := r.b.fetched(ofAnotherTopic(e.jump("orders", 10, 5)), split()); err != nil {
		t.Fatal(err)
	}
	p := r.b.lookup(part.ID{Topic: "orders", Num: 0})
	if h := p.stopped(); h == nil || h.Code != reason.Recreated {
		t.Errorf("halted by %+v, want %s", h, reason.Recreated)
	}
	if at := p.expects(); at != 10 {
		t.Errorf("the next offset is %d, want 10: records of the other topic were taken", at)
	}
}

// ofAnotherTopic is the fetch as it would be of a topic of the same name with another id.
func ofAnotherTopic(fs kgo.Fetches) kgo.Fetches {
	fs[0].Topics[0].TopicID = [16]byte{0xFF}
	return fs
}

// The records of a lost piece are gone when their topic was created again; what has their offsets now is
// something else and must not be sent in their place.
func TestReadingAgainTakesNothingOfAnotherTopicOfTheSameName(t *testing.T) {
	e := newEnv(t, withPartitions(1))
	r, p, s := e.lostPieces(false, 10, [16]byte{1})
	r.plan(time.Now())
	r.fetched(t.Context(), ofAnotherTopic(e.jump("orders", 0, 10)))
	if len(s.taken) > 0 {
		t.Errorf("%v was sent, which is of another topic", s.taken)
	}
	if h := p.stopped(); h == nil || h.Code != reason.Recreated {
		t.Errorf("halted by %+v, want %s", h, reason.Recreated)
	}
}

// lostPieces is a partition of n records whose pieces, two of them, are all lost, and who reads them again.
func (e *env) lostPieces(acceptGap bool, n int, id [16]byte) (*rereader, *partition, *fakeSender) {
	e.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(e.kafka.ListenAddrs()...), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	if err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(cl.Close)
	ev, s := new(fakeEvents), &fakeSender{room: -1}
	p := newPartition(part.ID{Topic: "orders", Num: 0}, &topic{name: "orders", id: id}, testRouter(e.t, false), 0, ev, testGate(part.ID{Topic: "orders", Num: 0}), new(heldBack), slog.New(slog.DiscardHandler))
	p.take(s, split(), recs(0, n))
	s.settle(sdk.Lost)
	s.taken = nil
	r := newRereader(cl, s, acceptGap, new(bell), slog.New(slog.DiscardHandler))
	for _, x := range ev.losses {
		r.add(x.p, x.piece, x.origin)
	}
	return r, p, s
}

// Retention took the first half of a lost piece's range before it was read again, and on_gap accepts that. The
// books name those records as lost: they were there, and compaction did not take them.
func TestRecordsGoneFromHalfOfALostRangeAreBookedAsLost(t *testing.T) {
	e := newEnv(t, withPartitions(1))
	e.produce("orders", 0, 0, 120, 0)
	e.deleteBefore("orders", 0, 50)
	r, p, s := e.lostPieces(true, 100, [16]byte{})
	r.plan(time.Now())
	r.fetched(t.Context(), e.jump("orders", 50, 70)) // shows that the log begins at 50
	r.plan(time.Now())
	r.fetched(t.Context(), e.jump("orders", 50, 70))
	s.settle(sdk.Final)
	if l := p.wm.Ledger(); l.Checkpoint != 100 || l.Lost != 50 || l.Final != 50 || l.Gap != 0 {
		t.Errorf("ledger = %+v, want 50 lost and 50 final up to 100", l)
	}
}
