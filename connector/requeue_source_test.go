package connector

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// toSource runs to the end and wants no error.
func (e *env) toSource(o RequeueOptions) RequeueReport {
	e.t.Helper()
	ctx, cancel := context.WithTimeout(e.t.Context(), 30*time.Second)
	defer cancel()
	v, err := e.requeueWith(e.config("queue"), o).ToSource(ctx, nil)
	if err != nil {
		e.t.Fatalf("requeue to the source: %v", err)
	}
	return v
}

// recordsOf reads a topic to its end.
func (e *env) recordsOf(topic string) (recs []*kgo.Record) {
	e.t.Helper()
	ends, err := e.adm.ListEndOffsets(e.t.Context(), topic)
	if err != nil {
		e.t.Fatal(err)
	}
	var want int64
	for _, o := range ends.Offsets()[topic] {
		want += o.At
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(e.kafka.ListenAddrs()...), kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		e.t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(e.t.Context(), 10*time.Second)
	defer cancel()
	for int64(len(recs)) < want && ctx.Err() == nil {
		recs = append(recs, cl.PollFetches(ctx).Records()...)
	}
	return recs
}

func TestOriginalsGoBackToTheirSource(t *testing.T) {
	t.Parallel()
	e := newLetterEnv(t)
	l := letterFor(e, "refused", 7)
	l.Partition = 1
	want := []*kgo.Record{
		{Key: []byte{}, Value: []byte("\x00 v\n"), Timestamp: time.UnixMilli(1_700_000_000_123), Headers: []kgo.RecordHeader{{Key: "a", Value: []byte("1")}, {Key: "a"}}},
		{Timestamp: time.UnixMilli(1_700_000_000_124)}, // no key, null
	}
	for i, r := range want {
		l.Offset, l.Last = int64(7+i), int64(7+i)
		e.letter(l, r)
	}
	v := e.toSource(RequeueOptions{})
	if v.Result != Pass || v.Sums.Final != 2 || v.Group != "bridge.requeue-to-source" || !strings.Contains(v.Proves, "all replicas") {
		t.Errorf("requeue = %s of group %s, want PASS with 2 written", v.String(), v.Group)
	}
	got := e.recordsOf("orders")
	if len(got) != 2 {
		t.Fatalf("%d records, want 2", len(got))
	}
	for i, r := range got {
		w := want[i]
		if r.Partition != 1 || !reflect.DeepEqual([]any{r.Key, r.Value, r.Headers, r.Timestamp.UnixMilli()}, []any{w.Key, w.Value, w.Headers, w.Timestamp.UnixMilli()}) {
			t.Errorf("record %d = %+v\nwant %+v in partition 1", i, r, w)
		}
	}
	if v := e.toSource(RequeueOptions{}); v.Result != Pass || v.Sums.Final != 2 || len(e.recordsOf("orders")) != 2 {
		t.Errorf("again = %s, want nothing more to do", v.String())
	}
	if got := e.arrived(); len(got) > 0 {
		t.Errorf("the routes got %v", got)
	}
}

// The order of events: a letter is written, its ack is lost, the run ends, and the next one repeats it.
func TestToSourceCommitsOnlyPastWhatIsAcknowledged(t *testing.T) {
	t.Parallel()
	e := newLetterEnv(t)
	e.lettersOf("refused", 0, slices.Repeat([]string{"s"}, 20)...)
	var refused atomic.Bool
	e.kafka.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		e.kafka.KeepControl()
		if refused.Load() {
			return nil, nil, false
		}
		return refusal(req.(*kmsg.ProduceRequest), kerr.MessageTooLarge), nil, true
	})
	v, err := e.requeueWith(e.config("queue"), RequeueOptions{}).ToSource(t.Context(), nil)
	if p := v.Partitions[0]; err != nil || v.Result != Unfinished || p.Committed > 0 || !strings.Contains(p.Reason, "orders/0") {
		t.Errorf("requeue = %s, %+v, %v; want it to stop before the first letter", v.String(), p, err)
	}
	if at := e.committedBy("bridge.requeue-to-source"); at > 0 {
		t.Errorf("committed %d although nothing was acknowledged", at)
	}
	refused.Store(true)
	if v := e.toSource(RequeueOptions{}); v.Result != Pass || v.Sums.Final != 20 || len(e.recordsOf("orders")) != 20 {
		t.Errorf("again = %s, want 20 written", v.String())
	}
}

func TestToSourceThatIsToldToStopGoesOn(t *testing.T) {
	t.Parallel()
	e := newLetterEnv(t)
	e.lettersOf("refused", 0, slices.Repeat([]string{"s"}, 50)...)
	ctx, cancel := context.WithCancel(t.Context())
	v, err := e.requeueWith(e.config("queue"), RequeueOptions{Rate: 50}).ToSource(ctx, func(p Progress) {
		if p.Moved > 0 {
			cancel()
		}
	})
	if p := v.Partitions[0]; !errors.Is(err, ErrUnfinished) || v.Result != Unfinished || p.Committed == 0 || p.Committed >= 50 || p.Committed != e.committedBy("bridge.requeue-to-source") {
		t.Errorf("stopped: %s, %+v, %v; want UNFINISHED and a commit half way", v.String(), p, err)
	}
	if v := e.toSource(RequeueOptions{}); v.Result != Pass || v.Sums.Final != 50 {
		t.Errorf("again = %s, want 50 written in all", v.String())
	}
	if got := e.recordsOf("orders"); len(got) != 50 {
		t.Errorf("%d records, want 50: what was acknowledged is committed", len(got))
	}
}

func TestToSourceRefusesAnotherTopicOfTheName(t *testing.T) {
	t.Parallel()
	e := newLetterEnv(t)
	e.lettersOf("refused", 0, "s")
	e.createAgain("orders", 2)
	foreign := letterFor(e, "refused", 1)
	foreign.Cluster = "another"
	foreign.Partition = 9 // more than there are
	e.letter(foreign, &kgo.Record{Value: []byte("v")})
	v, err := e.requeueWith(e.config("queue"), RequeueOptions{}).ToSource(t.Context(), nil)
	if p := v.Partitions[0]; err != nil || v.Result != Unfinished || p.Committed > 0 || !strings.Contains(p.Reason, "which was deleted") || !strings.Contains(p.Reason, "--other-topic") {
		t.Errorf("requeue = %s, %+v, %v; want it to stop: the letter is of a topic that was deleted", v.String(), p, err)
	}
	v, err = e.requeueWith(e.config("queue"), RequeueOptions{Choice: LetterChoice{Offsets: []OffsetRange{{From: 1, To: 2}}}}).ToSource(t.Context(), nil)
	if p := v.Partitions[0]; err != nil || v.Result != Unfinished || p.Committed != 1 || !strings.Contains(p.Reason, "cluster another") {
		t.Errorf("requeue = %s, %+v, %v; want it to stop: the letter is of another cluster", v.String(), p, err)
	}
	if v := e.toSource(RequeueOptions{OtherTopic: true}); v.Result != Pass || v.Sums.Final != 2 {
		t.Errorf("with OtherTopic = %s, want 2 written", v.String())
	}
	if got := e.recordsOf("orders"); len(got) != 2 || got[0].Partition+got[1].Partition != 1 {
		t.Errorf("records = %+v, want one in each partition", got)
	}
}

func TestToSourceRefusesAGroupWithMembers(t *testing.T) {
	t.Parallel()
	e := newLetterEnv(t)
	e.lettersOf("refused", 0, "s")
	cl, err := kgo.NewClient(kgo.SeedBrokers(e.kafka.ListenAddrs()...), kgo.ConsumeTopics("letters"), kgo.ConsumerGroup("mine"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.CloseAllowingRebalance()
	cl.PollFetches(t.Context())
	if _, err := e.requeueWith(e.config("queue"), RequeueOptions{Group: "mine"}).ToSource(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "1 members") {
		t.Errorf("a group with a member: %v, want an error", err)
	}
}
