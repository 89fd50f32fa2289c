package connector

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/internal/gate"
	"inlong-bridge/connector/internal/observe"
	"inlong-bridge/connector/reason"
	"inlong-bridge/sdk"
	"inlong-bridge/sdk/manager"
)

func TestReasonNamesTheTopicThatIsLookedAt(t *testing.T) {
	at := func(s ...string) (out []confirm.StreamTopic) {
		for _, x := range s {
			f := strings.Split(x, " ")
			out = append(out, confirm.StreamTopic{Cluster: f[0], Topic: f[1], Missing: len(f) > 2})
		}
		return out
	}
	long := sdk.UnseenAfter
	for _, row := range []struct {
		name    string
		unfinal int
		unseen  time.Duration
		missing bool
		at      []confirm.StreamTopic
		want    string // the whole reason; "" that of the sender stays
	}{
		{"wrong topic", 4, long, false, at("mq T"), "0 of 7 packs of g.s were seen in topic T of cluster mq; is it the topic the proxies write to?"},
		{"two clusters", 4, long, false, at("a T", "b T"), "0 of 7 packs of g.s were seen in topic T of clusters a, b; is it the topic the proxies write to?"},
		{"two names", 4, long, false, at("a T", "b U"), "0 of 7 packs of g.s were seen in topic T of cluster a and topic U of cluster b; is it the topic the proxies write to?"},
		{"not yet", 4, long - 1, false, at("mq T"), ""},
		{"nothing waits", 0, 0, false, at("mq T missing"), ""},
		{"missing everywhere", 4, long, true, at("a T missing", "b T missing"), "topic T of clusters a, b does not exist, so its packs wait, and are not sent again; is it the topic the proxies write to?"},
		{"deleted", 4, 0, true, at("mq T missing"), "topic T of cluster mq does not exist, so its packs wait, and are not sent again; is it the topic the proxies write to?"},
		{"missing in one, none seen", 4, long, false, at("a T", "b T missing"),
			"0 of 7 packs of g.s were seen in topic T of clusters a, b; is it the topic the proxies write to? It does not exist in every cluster: topic T of cluster b is missing"},
		{"missing in one", 4, 0, false, at("a T", "b T missing"),
			"topic T of cluster b does not exist, though it does in other clusters; packs that proxies keep for it are sent again after queue.patience; create it there"},
		{"well", 4, 0, false, at("a T"), ""},
	} {
		streams := []sdk.StreamStatus{{Group: "g", Stream: "s", UnfinalPacks: row.unfinal, Unseen: row.unseen, TopicMissing: row.missing, PacksAcked: 7}}
		nameQueueTopics(streams, func(string, string) []confirm.StreamTopic { return row.at })
		if got := streams[0].Stall; got != row.want || (streams[0].StallCode == "") != (row.want == "") {
			t.Errorf("%s: %q (%s), want %q and a code with it", row.name, got, streams[0].StallCode, row.want)
		}
	}
}

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
	c.Queue.Patience = 500 * time.Millisecond
	r := e.start(c)
	eventually(t, 40*time.Second, func() error {
		reasons := strings.Join(r.b.Status().Ready.Reasons, "; ")
		if !strings.Contains(reasons, "topic q.g.s of cluster") || !strings.Contains(reasons, "does not exist, so its packs wait") {
			return fmt.Errorf("reasons = %q, want the topic that is missing", reasons)
		}
		return nil
	})
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

// locked is a buffer that a logger and a test share.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestStreamOfAnotherWrapTypeIsNamedAtOnce(t *testing.T) {
	var log locked
	says := kafkaQueue("1", map[string]string{"g.raw": "t", "g.v0": "t", "g.idle": "t"}, "a=a:1")
	says.Wraps = map[string]string{"g.raw": "RAW", "g.idle": "RAW"}
	o := &oracle{says: says}
	q := sourceOf(o, "")
	q.log = slog.New(slog.NewTextHandler(&log, nil))
	if _, _, err := q.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, stream := range []string{"raw", "v0", "raw"} {
		if _, err := q.topicOf(t.Context(), "g", stream); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), "stream is unreadable in the queue"); n != 1 || !strings.Contains(log.String(), "wrap_type=RAW") {
		t.Errorf("%d lines name the stream, want one:\n%s", n, log.String())
	}
	source := q.status()
	if want := []UnreadableStream{{Group: "g", Stream: "raw", WrapType: "RAW"}}; fmt.Sprint(source.Unreadable) != fmt.Sprint(want) {
		t.Errorf("unreadable = %v, want %v", source.Unreadable, want)
	}
	s := &Status{State: "running", QueueSource: &source, Sender: sdk.Status{Streams: []sdk.StreamStatus{{Group: "g", Stream: "raw"}}}}
	if got := strings.Join(observe.New(shown{s}, new(reason.Board), observe.Config{}, q.log).Status().Ready.Reasons, "; "); !strings.Contains(got, "stream g.raw has the wrap type RAW in the Manager") {
		t.Errorf("reasons = %q, want the stream that cannot be read", got)
	}
	s.Sender.Streams[0].PacksFinal = 1
	if got := strings.Join(observe.New(shown{s}, new(reason.Board), observe.Config{}, q.log).Status().Ready.Reasons, "; "); strings.Contains(got, "wrap type") {
		t.Errorf("reasons = %q, want none once a pack of it was seen", got)
	}
	// Another answer makes another stream unreadable.
	o.set(func(o *oracle) {
		o.says.MD5, o.says.Wraps = "2", map[string]string{"g.v0": "INLONG_MSG_V1"}
	})
	if _, err := q.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "wrap_type=INLONG_MSG_V1") || len(q.status().Unreadable) != 1 {
		t.Errorf("unreadable = %v, want the other stream, and a line for it:\n%s", q.status().Unreadable, log.String())
	}
}

// shown is a snapshot for an observer.
type shown struct{ s *Status }

func (s shown) Snapshot() Status              { return *s.s }
func (shown) Stalled(map[uint64][]gate.Entry) {}

func TestTenantOfAStreamReachesTheTopicThatIsWatched(t *testing.T) {
	said := manager.QueueConfig{MD5: "1", Type: "PULSAR", Topics: map[string]string{"g.s": "acme/ns/s", "g.t": "ns/t"},
		Clusters: []manager.QueueCluster{{Name: "p", Params: map[string]string{"serviceUrl": "pulsar://p:6650", "tenant": "public"}}}}
	q := sourceOf(&oracle{says: said}, "")
	if _, _, err := q.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for stream, want := range map[string]string{"s": "acme/ns/s", "t": "ns/t"} {
		if topic, err := q.topicOf(t.Context(), "g", stream); err != nil || topic != want {
			t.Errorf("topic of %s = %q, %v, want %q", stream, topic, err, want)
		}
	}
}
