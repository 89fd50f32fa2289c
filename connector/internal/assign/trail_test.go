package assign

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/internal/assigntest"
	"inlong-bridge/connector/internal/part"
	"inlong-bridge/connector/internal/trail"
	"inlong-bridge/connector/lineage"
	"inlong-bridge/sdk"
)

// listener takes some records of each batch, and hears what is told of where they come from.
type listener struct {
	t     *testing.T
	at    map[int64]int64 // offset to the committed offset that was told with it
	batch int
	lose  bool
}

func (s *listener) TrySendBatch(b *sdk.Batch) (int, error) {
	n := len(b.Payloads)
	if s.batch++; s.batch%3 != 0 && n > 2 {
		n /= 2
	}
	o := b.Trail.(*trail.Origins)
	if len(o.Offsets) < n || o.Source.Partition != 0 || !o.Source.Named {
		s.t.Fatalf("a batch of %d records tells %+v", len(b.Payloads), o)
	}
	for i, v := range b.Payloads[:n] {
		offset := int64(binary.BigEndian.Uint64(v))
		if o.Offsets[i] != offset {
			s.t.Fatalf("the record at offset %d is told as %d", offset, o.Offsets[i])
		}
		s.at[offset] = o.Committed
	}
	pc := b.Packed(0, n)
	b.Token.Settled(pc, sdk.Result{Outcome: sdk.Acked})
	if s.lose {
		b.Token.Settled(pc, sdk.Result{Outcome: sdk.Lost})
	} else {
		b.Token.Settled(pc, sdk.Result{Outcome: sdk.Final})
	}
	if n < len(b.Payloads) {
		return n, sdk.ErrBufferFull
	}
	return n, nil
}

func numberedRecords(from, n int) []*kgo.Record {
	recs := assigntest.Records(from, n)
	for _, r := range recs {
		r.Value = binary.BigEndian.AppendUint64(nil, uint64(r.Offset))
	}
	return recs
}

// TestBatchesTellTheOffsetsOfTheirRecords has a sender that takes batches in parts, so that what is handed over begins in the
// middle of a group, and records that are lost, and read again.
func TestBatchesTellTheOffsetsOfTheirRecords(t *testing.T) {
	for _, told := range []Lineage{WithLineage, WithCommitted} {
		ev, s := new(fakeEvents), &listener{t: t, at: map[int64]int64{}}
		p := New(Spec{
			Partition: orders, Topic: &Topic{Name: "orders"}, Router: assigntest.RouterByHeader(t, false), Limit: -1, Cluster: "c", Lineage: told,
		}, ev, testGate(orders), new(PendingBytes))
		sp := split()
		take := func(from, n int) {
			p.Take(s, sp, numberedRecords(from, n))
			for range 50 {
				p.Offer(s)
			}
		}
		take(0, 100)
		if at, ok := p.checkpoint.BeginCommit(); !ok || at != 100 {
			t.Fatalf("checkpoint %v, %v", at, ok)
		}
		take(100, 10) // while the commit is under way
		p.checkpoint.EndCommit(true)
		s.lose = true
		take(110, 50)
		s.lose = false
		r := replayOf(s, "me", false)
		lost := len(ev.losses)
		ev.lose(r)
		before := len(s.at)
		s.at = map[int64]int64{}
		now := time.Now()
		for range 100 {
			begin, _, _ := r.Plan(now)
			for _, b := range begin {
				r.Fetched(b.Partition, [16]byte{}, 0, numberedRecords(int(b.Offset), 160-int(b.Offset)), now)
			}
			now = now.Add(time.Minute)
		}
		if before != 160 || lost == 0 || len(s.at) != 50 {
			t.Fatalf("%d records were told, %d pieces lost, %d records told again", before, lost, len(s.at))
		}
		for offset, committed := range s.at {
			if want := map[Lineage]int64{WithLineage: lineage.None, WithCommitted: 100}[told]; committed != want {
				t.Errorf("%d committed is told with offset %d, want %d", committed, offset, want)
			}
		}
	}
}

func TestCommittedOffsetIsTakenBeforeTheBatchIsHandedOver(t *testing.T) {
	s := &listener{t: t, at: map[int64]int64{}}
	p := New(Spec{
		Partition: orders, Topic: &Topic{Name: "orders"}, Router: assigntest.RouterByHeader(t, false), Limit: -1, Lineage: WithCommitted,
	}, new(fakeEvents), testGate(orders), new(PendingBytes))
	sp := split()
	for i := range 10 {
		p.Take(s, sp, numberedRecords(i, 1))
		if at, ok := p.checkpoint.BeginCommit(); !ok || at != int64(i+1) {
			t.Fatalf("checkpoint %v, %v", at, ok)
		}
		p.checkpoint.EndCommit(true)
		want := int64(i)
		if i == 0 {
			want = lineage.None
		}
		if got := s.at[int64(i)]; got != want {
			t.Errorf("%d committed is told with offset %d, want %d", got, i, want)
		}
	}
}

func TestTopicIDIsToldIfThereIsOne(t *testing.T) {
	spec := Spec{Partition: part.ID{Topic: "orders", Num: 3}, Topic: &Topic{Name: "orders", ID: [16]byte{1}}, Cluster: "c", Lineage: WithLineage}
	if got := spec.origins().Source; got.Named || got.Topic != [16]byte{1} || got.Partition != 3 || got.Cluster != lineage.ClusterOf("c") {
		t.Errorf("told %+v", got)
	}
	if spec.Lineage = NoLineage; spec.origins() != nil {
		t.Error("lineage that is off tells something")
	}
}
