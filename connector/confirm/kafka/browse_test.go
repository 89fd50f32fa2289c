package kafka_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/confirm/confirmtest"
	"inlong-bridge/connector/confirm/kafka"
)

// browsed opens a cluster of which topicName has one partition.
func browsed(t *testing.T) (*kfake.Cluster, *kgo.Client, confirm.Browser) {
	t.Helper()
	c, w := embedded(t, kfake.NumBrokers(1), kfake.SeedTopics(1, topicName))
	r, err := kafka.New(kafka.Config{Instance: confirmtest.Instance, Timeout: 2 * time.Second, Clusters: []kafka.Cluster{
		{Name: "q", Opts: []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}, Topic: topicName},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return c, w, r.Browsers()[0]
}

func stretch(t *testing.T, b confirm.Browser) confirm.Stretch {
	t.Helper()
	l, err := b.Holds(t.Context(), topicName)
	if err != nil || !l.Exists {
		t.Fatal(l, err)
	}
	return confirm.Stretch{Place: confirm.Place{Cluster: "q", Topic: topicName}, TopicID: l.ID, From: l.Partitions[0].Start, To: l.Partitions[0].End}
}

// values browses; an error stands for itself.
func values(t *testing.T, b confirm.Browser, s confirm.Stretch) (got []string) {
	t.Helper()
	if err := b.Browse(t.Context(), s, func(m *confirm.Message) error {
		text := string(m.Value)
		if m.Err != nil {
			text = m.At.String() + "-" + m.Next.String() + ": " + m.Err.Error()
		}
		got = append(got, text)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return got
}

// Control records have offsets and are no messages, also where a log ends in them.
func TestBrowsingEndsBehindControlRecords(t *testing.T) {
	c, w, b := browsed(t)
	tx, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.TransactionalID("tx"), kgo.DefaultProduceTopic(topicName))
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	put := func(value string) {
		if err := w.ProduceSync(t.Context(), &kgo.Record{Topic: topicName, Value: []byte(value)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	put("a")
	if err := tx.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := tx.ProduceSync(t.Context(), kgo.StringRecord("b")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := tx.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	if s := stretch(t, b); s.To != confirm.At(3) || !slices.Equal(values(t, b, s), []string{"a", "b"}) {
		t.Errorf("%v up to %v, want a and b up to 3", values(t, b, s), s.To)
	}
}

// What retention took while it was to be read is told with its offsets, and reading goes on behind it.
func TestBrowsingTellsWhatExpiredMeanwhile(t *testing.T) {
	_, w, b := browsed(t)
	for _, v := range []string{"a", "b", "c", "d"} {
		if err := w.ProduceSync(t.Context(), &kgo.Record{Topic: topicName, Value: []byte(v)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	s := stretch(t, b)
	gone := kadm.Offsets{}
	gone.Add(kadm.Offset{Topic: topicName, At: 2})
	if _, err := kadm.NewClient(w).DeleteRecords(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	if got, want := values(t, b, s), []string{"0-2: " + confirm.ErrExpired.Error(), "c", "d"}; !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

func TestBrowsingBetweenTimes(t *testing.T) {
	_, w, b := browsed(t)
	begin := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	for i, v := range []string{"a", "b", "c", "d"} {
		if err := w.ProduceSync(t.Context(), &kgo.Record{Topic: topicName, Value: []byte(v), Timestamp: begin.Add(time.Duration(i) * time.Minute)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		since, until time.Time
		want         []string
	}{
		{begin.Add(time.Minute), begin.Add(3 * time.Minute), []string{"b", "c"}},
		{time.Time{}, begin.Add(time.Second), []string{"a"}},
		{begin.Add(2 * time.Minute), time.Time{}, []string{"c", "d"}},
		{begin.Add(time.Hour), time.Time{}, nil},
	} {
		s := stretch(t, b)
		s.Since, s.Until = tc.since, tc.until
		if got := values(t, b, s); !slices.Equal(got, tc.want) {
			t.Errorf("from %v to %v: %q, want %q", tc.since, tc.until, got, tc.want)
		}
	}
}

func TestBrowsingATopicThatWasCreatedAgainIsAnError(t *testing.T) {
	_, w, b := browsed(t)
	if err := w.ProduceSync(t.Context(), &kgo.Record{Topic: topicName, Value: []byte("a")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	s := stretch(t, b)
	s.TopicID = [16]byte{1}
	err := b.Browse(t.Context(), s, func(*confirm.Message) error { return errors.New("told of another topic") })
	if err == nil || err.Error() == "told of another topic" {
		t.Errorf("Browse = %v, want an error before any message", err)
	}
}
