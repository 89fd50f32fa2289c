package kafka_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"inlong-bridge/connector/confirm"
	"inlong-bridge/connector/confirm/confirmtest"
	"inlong-bridge/connector/confirm/kafka"
	"inlong-bridge/sdk/dptest/leaktest"
)

// two streams of a group share its topic.
func sharedQueue(t *testing.T) (*kafka.Reader, *kafkaBroker) {
	t.Helper()
	leaktest.Check(t)
	c, w := embedded(t, kfake.NumBrokers(1))
	b := &kafkaBroker{c: c, admin: kadm.NewClient(w)}
	b.w.Store(w)
	r, err := kafka.New(kafka.Config{Instance: confirmtest.Instance, Timeout: confirmtest.Patience, Clusters: []kafka.Cluster{{
		Name: "q", Opts: []kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}, Topic: topicName,
	}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	b.Create(t, 1)
	return r, b
}

func TestTopicIsWatchedWhileAnyStreamUsesIt(t *testing.T) {
	r, b := sharedQueue(t)
	sink := runReader(t, r)
	for _, stream := range []string{"one", "two"} {
		if err := r.Watch(t.Context(), "g", stream); err != nil {
			t.Fatal(err)
		}
	}
	r.Unwatch("g", "one")
	r.Unwatch("g", "one")   // a second time, or of a stream that nobody watches: nothing
	r.Unwatch("g", "never") //
	if err := b.Put(t.Context(), 0, confirmtest.Packs(0, 3)...); err != nil {
		t.Fatal(err)
	}
	if err := r.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := len(sink.All()); got != 3 {
		t.Errorf("%d packs were seen, want 3: another stream uses the topic", got)
	}
	if got := r.Status().Clusters[0]; got.Topics != 1 || got.Partitions != 1 {
		t.Errorf("%d topics and %d partitions are watched, want 1 each", got.Topics, got.Partitions)
	}
	r.Unwatch("g", "two")
	if got := r.Status().Clusters[0]; got.Topics != 0 || got.Partitions != 0 {
		t.Errorf("%d topics and %d partitions are watched, want none", got.Topics, got.Partitions)
	}
}

// 1. a stream is about to be watched, and its topic's positions are fixed  2. the only other stream of the topic is
// unwatched  3. Watch returns: what comes from now on must be seen.
func TestTopicOfAStreamThatIsAboutToBeWatchedIsNotDropped(t *testing.T) {
	r, b := sharedQueue(t)
	sink := runReader(t, r)
	want := 0
	for i := range 20 {
		one, two := fmt.Sprint("one", i), fmt.Sprint("two", i)
		if err := r.Watch(t.Context(), "g", one); err != nil {
			t.Fatal(err)
		}
		var both sync.WaitGroup
		both.Go(func() { r.Unwatch("g", one) })
		both.Go(func() {
			if err := r.Watch(t.Context(), "g", two); err != nil {
				t.Error(err)
			}
		})
		both.Wait()
		if err := b.Put(t.Context(), 0, confirmtest.Pack(confirmtest.Instance, uint64(i))); err != nil {
			t.Fatal(err)
		}
		want++
		if err := r.Barrier(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := len(sink.All()); got != want {
			t.Fatalf("%d packs were seen, want %d: the topic of a stream that is watched was dropped", got, want)
		}
		r.Unwatch("g", two)
	}
}

// runReader has a reader read until the test ends.
func runReader(t *testing.T, r confirm.Reader) *confirmtest.Sink {
	t.Helper()
	sink := confirmtest.NewSink()
	done := make(chan error, 1)
	go func() { done <- r.Run(t.Context(), sink) }()
	t.Cleanup(func() {
		r.Close()
		select {
		case <-done: //nolint:errcheck // it ends with the context
		case <-time.After(confirmtest.Patience):
			t.Error("Run did not end")
		}
	})
	return sink
}
