package pulsar_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"inlong-bridge/connector/confirm/confirmtest"
	"inlong-bridge/connector/confirm/pulsar"
)

// pulsarQueue is a reader of one double.
type pulsarQueue struct {
	t      *testing.T
	d      *pulsar.Double
	reader *pulsar.Reader
	sink   *confirmtest.Sink
}

func newPulsar(t *testing.T, partitions int) *pulsarQueue {
	t.Helper()
	r, doubles := newPulsarQueue(t, 1, 20*time.Second)
	q := &pulsarQueue{t: t, d: doubles[0], reader: r, sink: confirmtest.NewSink()}
	q.d.SetPartitions(pulsarTopic, partitions)
	return q
}

func (q *pulsarQueue) run() {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- q.reader.Run(ctx, q.sink) }()
	q.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			q.t.Errorf("Run: %v", err)
		}
	})
	if err := q.reader.Watch(q.t.Context(), "g", "s"); err != nil {
		q.t.Fatal(err)
	}
}

func (q *pulsarQueue) put(partition int, from, to uint64) {
	q.t.Helper()
	if err := q.d.PutBatch(pulsarTopic, partition, confirmtest.Packs(from, to)...); err != nil {
		q.t.Fatal(err)
	}
}

func (q *pulsarQueue) barrier() {
	q.t.Helper()
	ctx, cancel := context.WithTimeout(q.t.Context(), time.Minute)
	defer cancel()
	if err := q.reader.Barrier(ctx); err != nil {
		q.t.Fatalf("%v; status %+v", err, q.reader.Status())
	}
}

// The client's reader goes on after a reconnect without the rest of the batch that it holds. 1. a batch of 50
// is being read 2. the connection ends 3. the reader says so and returns the first message of the next
// batch. That one must not be accepted: the partition is read again behind the last one that was.
func TestReaderOfPulsarIsOpenedAgainWhereItWasWheneverItReconnects(t *testing.T) {
	q := newPulsar(t, 2)
	q.run()
	const rounds, packs = 20, 40_000
	for deadline := time.Now().Add(time.Minute); q.d.Opened() < 2 && time.Now().Before(deadline); {
		<-time.After(time.Millisecond)
	}
	for round := range uint64(rounds) {
		for at := round * packs / rounds; at < (round+1)*packs/rounds; at += 50 {
			q.put(int(at/50)%2, at, at+50)
		}
		if round%2 == 0 {
			<-time.After(2 * time.Millisecond) // let it read some
		}
		q.d.Disconnect(pulsarTopic)
	}
	q.barrier()
	if got := q.sink.All(); len(got) != packs {
		t.Errorf("%d of %d packs were seen; %d readers were opened", len(got), packs, q.d.Opened())
	}
	if n := q.d.Opened(); n <= 2 {
		t.Errorf("%d readers were opened: nothing was interrupted", n)
	}
	if n := q.d.Readers(t, pulsarTopic); n != 2 {
		t.Errorf("%d readers are left open, want 2", n)
	}
}

func TestIdlePulsarReaderThatReconnectsMissesNothing(t *testing.T) {
	q := newPulsar(t, 1)
	q.run()
	q.put(0, 0, 3)
	q.barrier()
	q.d.Disconnect(pulsarTopic)
	q.put(0, 3, 6)
	q.barrier()
	if got := q.sink.All(); len(got) != 6 {
		t.Errorf("seen %v", got)
	}
}

func TestTopicWithoutPartitionsMayGetSome(t *testing.T) {
	q := newPulsar(t, 0)
	q.run()
	q.put(0, 0, 3)
	q.barrier()
	q.d.DeleteTopic(pulsarTopic)
	q.d.SetPartitions(pulsarTopic, 3)
	q.put(2, 3, 6)
	q.barrier()
	if got := q.sink.All(); len(got) != 6 {
		t.Errorf("seen %v", got)
	}
}

func TestReaderOfPulsarThatCannotBeOpenedAtOnceIsTriedAgain(t *testing.T) {
	q := newPulsar(t, 1)
	q.d.FailOnce(errors.New("not enough non-faulty bookies"))
	q.run()
	q.put(0, 0, 3)
	q.barrier()
	if s := q.reader.Status(); s.Clusters[0].Mine != 3 {
		t.Errorf("status %+v", s)
	}
}

func TestFaultsOfPulsarNameTheRemedy(t *testing.T) {
	for _, tt := range []struct{ says, want string }{
		{"server error: AuthorizationError: Client is not authorized to Get Partition Metadata", "grant-permission acme/g"},
		{"server error: AuthenticationError: Failed to authentication token: JWT expired", "token_file"},
		{"server error: MetadataError: Policies not found for acme/g namespace", "no namespace acme/g, or no tenant acme"},
	} {
		q := newPulsar(t, 1)
		q.d.Deny(errors.New(tt.says))
		err := q.reader.Watch(t.Context(), "g", "s")
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "hint") {
			t.Errorf("%s: Watch = %v, want %q in it", tt.says, err, tt.want)
		}
	}
}

func TestBadConfigurationOfPulsarIsSaidAllAtOnce(t *testing.T) {
	_, err := pulsar.New(pulsar.Config{Clusters: []pulsar.Cluster{
		{Name: "a", ServiceURL: "pulsar://x", Tenant: "{group}", Namespace: "n", Topic: "{strem}"}, {Name: "a", Tenant: "t", Topic: "t"},
	}})
	for _, want := range []string{"{strem}", "two clusters", "no service URL", "no namespace", `tenant "{group}"`, "no instance", "timeout"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not speak of %q", err, want)
		}
	}
}

func TestTopicNamesOfPulsar(t *testing.T) {
	for _, tt := range []struct{ named, want string }{
		{"t", "persistent://acme/g/t"},
		{"ns/t", "persistent://acme/ns/t"},
		{"other/ns/t", "persistent://other/ns/t"},
		{"other//t", "persistent://other/g/t"},
		{"persistent://other/ns/t", "persistent://other/ns/t"},
	} {
		d := pulsar.NewDouble()
		r, err := pulsar.NewOver(pulsar.Config{
			Instance: confirmtest.Instance, Timeout: 20 * time.Second,
			TopicOf:  func(context.Context, string, string) (string, error) { return tt.named, nil },
			Clusters: []pulsar.Cluster{{Name: "q", ServiceURL: "pulsar://0", Tenant: "acme", Namespace: "{group}"}},
		}, d)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Watch(t.Context(), "g", "s"); err != nil {
			t.Fatal(err)
		}
		if got := r.Status().Clusters[0].MissingTopics; len(got) != 1 || got[0] != tt.want {
			t.Errorf("%s: watched %q, want %s", tt.named, got, tt.want)
		}
		r.Close()
	}
}

// Of two clusters one leaves while the other refuses: what the one that is read on says counts.
func TestWatchFailsWhereItFailedAlsoWhenAnotherClusterLeaves(t *testing.T) {
	r, doubles := newPulsarQueue(t, 2, time.Second)
	refused := errors.New("not allowed here")
	doubles[0].Deny(refused)
	doubles[1].SetDown(true)
	watched := make(chan error, 1)
	go func() { watched <- r.Watch(t.Context(), "g", "s") }()
	for deadline := time.Now().Add(10 * time.Second); doubles[1].Asked() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("q1 was not asked")
		}
	}
	if !r.Leave("q1") {
		t.Error("q1 did not leave")
	}
	if err := <-watched; !errors.Is(err, refused) {
		t.Errorf("Watch = %v, want that q0 refused", err)
	}
	doubles[0].Deny(nil)
	if err := r.Watch(t.Context(), "g", "s"); err != nil {
		t.Errorf("Watch = %v although the cluster that is left answers", err)
	}
}
