package source

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"inlong-bridge/connector/internal/part"
)

// walked is a topic t of one partition: a record, a committed transaction of one, an aborted one of one, and a record. The markers
// lie at 2 and 4.
func walked(t *testing.T, readCommitted bool) (*Source, *kgo.Client, Walk) {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	open := func(opts ...kgo.Opt) *kgo.Client {
		cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(c.ListenAddrs()...), kgo.DefaultProduceTopic("t"))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		return cl
	}
	cl, tx := open(), open(kgo.TransactionalID("tx"))
	put := func(cl *kgo.Client) {
		if err := cl.ProduceSync(t.Context(), kgo.StringRecord("x")).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	put(cl)
	for _, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort} {
		if err := tx.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		put(tx)
		if err := tx.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	put(cl)
	src := New(Config{Client: cl, ReadCommitted: readCommitted})
	x, err := src.Extent(t.Context(), part.ID{Topic: "t"})
	if err != nil || x.End != 6 {
		t.Fatal(x, err)
	}
	return src, cl, Walk{ID: part.ID{Topic: "t"}, Topic: x.Topic, Start: x.Start, End: x.End, Next: func(from int64) int64 { return from }}
}

// walk returns the records, and how many offsets are gone.
func (w Walk) collect(t *testing.T, src *Source) (records []int64, gone int64) {
	t.Helper()
	w.Record = func(o int64, _ time.Time) error { records = append(records, o); return nil }
	w.Gone = func(first, last int64) { gone += last - first + 1 }
	if _, err := src.WalkRecords(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	return records, gone
}

func TestWalkTellsRecordsFromMarkersAndAbortedTransactions(t *testing.T) {
	for _, tc := range []struct {
		committed bool
		want      []int64
	}{{false, []int64{0, 1, 3, 5}}, {true, []int64{0, 1, 5}}} {
		src, _, w := walked(t, tc.committed)
		if got, gone := w.collect(t, src); gone != 0 || !slices.Equal(got, tc.want) {
			t.Errorf("read committed %v: records %v, %d gone, want %v", tc.committed, got, gone, tc.want)
		}
	}
}

func TestWalkReadsOnlyWhatIsAskedAbout(t *testing.T) {
	src, _, w := walked(t, false)
	w.Next = func(from int64) int64 {
		if from <= 5 {
			return 5
		}
		return w.End
	}
	if got, _ := w.collect(t, src); !slices.Equal(got, []int64{5}) {
		t.Errorf("records %v, want 5 alone", got)
	}
	w.Next = func(int64) int64 { return w.End }
	w.ID.Topic = "there is none"
	if got, _ := w.collect(t, src); got != nil {
		t.Errorf("nothing is asked: %v", got)
	}
}

// What the log has lost is told, also when it is lost after its start was asked for.
func TestWalkTellsWhatIsGone(t *testing.T) {
	src, cl, w := walked(t, false)
	offsets := kadm.Offsets{}
	offsets.Add(kadm.Offset{Topic: "t", At: 3})
	if _, err := kadm.NewClient(cl).DeleteRecords(t.Context(), offsets); err != nil {
		t.Fatal(err)
	}
	if got, gone := w.collect(t, src); gone != 3 || !slices.Equal(got, []int64{3, 5}) {
		t.Errorf("records %v, %d gone, want 3 and 5, and 3 gone", got, gone)
	}
}

func TestWalkOfAnotherTopicIsAnError(t *testing.T) {
	src, _, w := walked(t, false)
	w.Topic = [16]byte{1}
	w.Record = func(int64, time.Time) error { return errors.New("told of another topic") }
	if _, err := src.WalkRecords(t.Context(), w); !errors.Is(err, ErrOtherTopic) {
		t.Errorf("WalkRecords = %v, want ErrOtherTopic", err)
	}
}

// A batch that cannot be decoded still has a header that tells which offsets it holds.
func TestHeaderTellsTheOffsetsOfABatch(t *testing.T) {
	batch := func(first int64, n int32) []byte {
		b := kmsg.RecordBatch{FirstOffset: first, Magic: 2, LastOffsetDelta: n - 1, FirstTimestamp: 1234, NumRecords: n, Records: []byte("records")}
		raw := b.AppendTo(nil)
		binary.BigEndian.PutUint32(raw[8:], uint32(len(raw)-12))
		return raw
	}
	two := append(batch(10, 5), batch(15, 3)...)
	for _, tc := range []struct {
		raw         []byte
		at          int64
		first, last int64
		ok          bool
	}{
		{two, 10, 10, 14, true}, {two, 14, 10, 14, true}, {two, 15, 15, 17, true}, {two, 18, 0, 0, false}, {two[:70], 16, 0, 0, false}, {nil, 0, 0, 0, false},
	} {
		h, ok := headerAt(tc.raw, tc.at)
		if ok != tc.ok || ok && (h.base != tc.first || h.next != tc.last+1 || h.oldest != 1234) {
			t.Errorf("headerAt(%d) = %+v, %v, want %d to %d, %v", tc.at, h, ok, tc.first, tc.last, tc.ok)
		}
	}
}

func FuzzHeaderAt(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 9}, int64(9))
	f.Fuzz(func(t *testing.T, raw []byte, at int64) {
		if h, ok := headerAt(raw, at); ok && (h.next <= at || h.base < 0) {
			t.Errorf("headerAt(%x, %d) = %+v", raw, at, h)
		}
	})
}
