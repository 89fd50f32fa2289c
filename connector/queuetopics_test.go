package connector

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"inlong-bridge/connector/confirm/managed"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/observe"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
)

// TestWrongQueueTopicIsNamedAndCostsAFewPacks: the proxies write to q.g.s, and the bridge looks at a topic that exists
// as well. At f91c421 all 400 records went out, all of them again after patience, and nothing named the topic.
func TestWrongQueueTopicIsNamedAndCostsAFewPacks(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if _, err := e.adm.CreateTopic(t.Context(), 1, 1, nil, "wrong.g.s"); err != nil {
		t.Fatal(err)
	}
	e.produce("orders", 0, 0, 400, 1000)
	c := e.config("queue")
	c.Queue.Kafka[0].Topic = "wrong.{group}.{stream}"
	r := e.start(c)
	eventually(t, 40*time.Second, func() error {
		reasons := strings.Join(r.b.Status().Ready.Reasons, "; ")
		if !strings.Contains(reasons, "packs of g.s were seen in topic wrong.g.s of cluster") || !strings.Contains(reasons, "stream g.s: 0 of ") {
			return fmt.Errorf("reasons = %q, want the topic that is looked at", reasons)
		}
		return nil
	})
	st := r.b.Status().Sender.Streams[0]
	// Patience is 2 s here and the first pause 1 s: 4 packs, and one more for each that was given up.
	if st.UnfinalPacks > 4 || st.PacksAcked > 14 {
		t.Errorf("%d packs went out and %d are open, want 4 and few more: %+v", st.PacksAcked, st.UnfinalPacks, st)
	}
	if n := len(e.arrived()); n > 60 {
		t.Errorf("%d of 400 records were sent, want those of a few packs", n)
	}
}

// TestMissingQueueTopicIsWaitedForAndNothingIsSentAgain: the topic appears when the first pack is written to it.
// What goes out before is not given up, however long that takes.
func TestMissingQueueTopicIsWaitedForAndNothingIsSentAgain(t *testing.T) {
	t.Parallel()
	e := newEnv(t)
	if _, err := e.adm.DeleteTopics(t.Context(), queueTopic); err != nil {
		t.Fatal(err)
	}
	for _, p := range e.proxies {
		p.StallQueue(true) // as a proxy whose queue has no such topic: it keeps what it has
	}
	e.produce("orders", 0, 0, 400, 1000)
	c := e.config("queue")
	c.Queue.Patience = 3 * time.Second // the sender is told within a second or so that the topic is missing
	r := e.start(c)
	eventually(t, 40*time.Second, func() error {
		reasons := strings.Join(r.b.Status().Ready.Reasons, "; ")
		if !strings.Contains(reasons, "topic q.g.s of cluster") || !strings.Contains(reasons, "does not exist, so its packs wait") {
			return fmt.Errorf("reasons = %q, want the topic that is missing", reasons)
		}
		return nil
	})
	time.Sleep(c.Queue.Patience + time.Second) // without the rule something is given up now
	if err := createTopic(t.Context(), e.adm, queueTopic); err != nil {
		t.Fatal(err)
	}
	for _, p := range e.proxies {
		p.StallQueue(false)
	}
	e.waitCommitted("orders", 0, 400)
	for v, n := range e.arrived() {
		if n > 1 {
			t.Errorf("%q arrived %d times", v[:20], n)
		}
	}
	if st := r.b.Status().Sender.Streams[0]; st.PacksLost != 0 {
		t.Errorf("%d packs were given up, want none", st.PacksLost)
	}
}

func createTopic(ctx context.Context, adm *kadm.Client, name string) error {
	_, err := adm.CreateTopic(ctx, 2, 1, nil, name)
	return err
}

func TestStreamThatCannotBeReadIsAReasonUntilAPackOfItIsSeen(t *testing.T) {
	source := managed.Status{Unreadable: []managed.UnreadableStream{{Group: "g", Stream: "raw", WrapType: "RAW"}}}
	s := &Status{State: "running", QueueSource: &source, Sender: sdk.Status{Streams: []sdk.StreamStatus{{Group: "g", Stream: "raw"}}}}
	reasons := func() string {
		o := observe.New(shown{s}, new(reason.Board), observe.Config{}, slog.New(slog.DiscardHandler))
		return strings.Join(o.Status().Ready.Reasons, "; ")
	}
	if got := reasons(); !strings.Contains(got, "stream g.raw has the wrap type RAW in the Manager") {
		t.Errorf("reasons = %q, want the stream that cannot be read", got)
	}
	s.Sender.Streams[0].PacksFinal = 1
	if got := reasons(); strings.Contains(got, "wrap type") {
		t.Errorf("reasons = %q, want none once a pack of it was seen", got)
	}
}

// shown is a snapshot for an observer.
type shown struct{ s *Status }

func (s shown) Snapshot() Status              { return *s.s }
func (shown) Stalled(map[uint64][]gate.Entry) {}
